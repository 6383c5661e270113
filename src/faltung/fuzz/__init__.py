"""Random calls of every function on NumPy arrays: a result is the reference's, or there is one clear error of ours.

    python -m faltung.fuzz --seconds 60 --seed 7

Read it in this order: `case.py` (a call as data, and as a line that anybody can run), `draw.py` (calls that are mostly
right, with something odd in them), `judge.py` (what a call may do), `shrink.py` (the smallest call that still fails).
"""
