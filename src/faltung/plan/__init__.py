"""How: algorithm, tiles, staging and tasks for one spec on one target."""
