"""A hunt for convolutions that are slower than they ought to be: random ones, timed beside PyTorch on the same data.

Read it in this order: `draw.py` (random realistic specs), `calls.py` (what is timed), `measure.py` (ratios),
`shrink.py` (the simplest spec that still shows a bad one), `hunt.py` (all of it, until the time is up), `report.py`.
"""
