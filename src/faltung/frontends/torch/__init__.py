"""PyTorch: modules and functions with its names, its tensors and its autograd. The public face is `faltung.torch`.

Read it in this order: `tensors.py` (memory), `operators.py` (the three operators and their derivatives), `batching.py`
(vmap), `straight.py` (without derivatives), `coverage.py` (what goes to PyTorch's own kernel), `calls.py` (which of
these ways), `functional.py`, `modules.py`, `why.py`, `replace.py` (ft.accelerate). `threads.py` borrows its threads.
"""

from faltung.frontends.torch import threads

threads.share()
