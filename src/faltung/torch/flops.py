"""What `torch.utils.flop_counter` counts for the three operators: a multiplication and an addition for each number met.

Of each, the number of positions that the window takes times the number of entries of the kernel times the samples.
"""

from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

Shape = tuple[int, ...]


def _flops(positions: Shape, kernel: Shape) -> int:
    """Of data (N, C, *positions) and a kernel (C_out, C_in/groups, *kernel_size)."""
    return 2 * positions[0] * prod(positions[2:]) * prod(kernel)


def register() -> None:
    """Tell PyTorch the formulas."""

    @register_flop_formula(torch.ops.faltung.convolve)
    def convolve(x: Shape, kernel: Shape, *others: Any, out_shape: Shape, **more: Any) -> int:
        return _flops(out_shape, kernel)

    @register_flop_formula(torch.ops.faltung.input_gradient)
    def input_gradient(dy: Shape, kernel: Shape, *others: Any, **more: Any) -> int:
        return _flops(dy, kernel)

    @register_flop_formula(torch.ops.faltung.kernel_gradient)
    def kernel_gradient(x: Shape, dy: Shape, *others: Any, out_shape: Shape, **more: Any) -> int:
        return _flops(dy, out_shape)
