"""By which means: one folder for each algorithm, and the ordered list of them (choose.py)."""
