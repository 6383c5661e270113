"""How fast it is: the suites, the machine, the measurement and the report."""
