"""Who calls: the frameworks' own words, renamed and laid out for faltung. Each framework is imported by its folder only."""
