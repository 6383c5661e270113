"""Who calls: the frameworks' own words, renamed and laid out for faltung. Only its folder imports a framework."""
