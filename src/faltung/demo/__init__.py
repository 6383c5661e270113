"""The programs that `faltung demo` and examples/ run.

`main_job.py` is `faltung demo`; read `datasets.py`, `tasks.py` (the networks) and `contest.py` (who learns, and how it
is timed) first. `programs.py` gathers the short programs on NumPy arrays; `torch_residual.py` is an example of its own.
"""
