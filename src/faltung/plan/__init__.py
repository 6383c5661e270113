"""How: algorithm, tiles, staging and pieces for one spec on one target."""
