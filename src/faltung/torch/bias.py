"""The gradient of a bias: dy summed over samples and positions, by whoever is quicker."""

import torch
from torch import Tensor

from faltung.operators.epilogue_gradient import bias_gradient_of
from faltung.torch.coverage import COMPUTED
from faltung.torch.private import is_batched_by_old_vmap, is_in_forward_mode
from faltung.torch.tensors import is_observed

LEAST_NUMBERS = 2**15
"""PyTorch's sum starts 3 µs sooner."""
WHOLE_VECTORS = 16
"""PyTorch's sum is good where so many channels make whole vectors, and channels first: measured 0.6 to 1.3 times ours;
elsewhere up to 5 times (15 channels, channels last)."""


def sum_of_channels(dy: Tensor) -> Tensor:
    """The sum of dy, (N, C, *spatial), for each channel; differentiable, to any order."""
    if type(dy) is Tensor and not is_batched_by_old_vmap(dy) and _is_ours(dy):
        shape = (dy.shape[0], *dy.shape[2:], dy.shape[1])
        total = dy.new_empty(dy.shape[1])
        bias_gradient_of(shape, True, COMPUTED[dy.dtype]).sum_at(dy.data_ptr(), total.data_ptr())
        return total
    return dy.sum([0, *range(2, dy.dim())])


def _is_ours(dy: Tensor) -> bool:
    """Is it large, with channels side by side that are no whole vectors, and is nobody watching or deriving again?"""
    return (
        dy.shape[1] % WHOLE_VECTORS > 1
        and dy.stride(1) == 1
        and dy.numel() >= LEAST_NUMBERS
        and dy.dtype in COMPUTED
        and dy.device.type == "cpu"
        and not (dy.requires_grad and torch.is_grad_enabled())
        and not is_observed(dy, dy)
        and not is_in_forward_mode()
        and not dy.is_neg()
        and dy.movedim(1, -1).is_contiguous()
    )
