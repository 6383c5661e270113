"""PyTorch: modules and functions with its names, its tensors and its autograd. The public face is `faltung.torch`.

Read it in this order: `tensors.py` (memory), `operators.py` (the three operators and their derivatives), `batching.py`
(vmap), `coverage.py` (what goes to PyTorch's own kernel), `functional.py`, `modules.py`, `replace.py` (ft.accelerate).
"""
