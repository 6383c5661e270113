"""All tables of PyTorch's ops: name of the op → the function that writes it as nodes.

A function takes the Reader and the op's arguments by the names of its schema ("self" as "input"), and returns the value
it computes, or a tuple with None for what it does not compute. It raises NotCovered for arguments it does not cover.
"""

from faltung.models.graphs import torch_arithmetic, torch_rearranging, torch_weighted, torch_windows

TABLE = {**torch_weighted.TABLE, **torch_windows.TABLE, **torch_arithmetic.TABLE, **torch_rearranging.TABLE}
