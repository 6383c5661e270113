"""One call, one of three ways: straight into a kernel, through an operator with derivatives, or to PyTorch's own."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faltung import ops, transposed
from faltung.frontends.torch import operators
from faltung.frontends.torch.coverage import refusal
from faltung.frontends.torch.tensors import as_array, as_tensor, is_channels_last, is_observed
from faltung.spec import named, spec_from_call
from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, resolve_layout

CONVOLVE = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
TRANSPOSED = {1: transposed.conv1d_transpose, 2: transposed.conv2d_transpose, 3: transposed.conv3d_transpose}

functional = torch.nn.functional
TORCH_CONVOLVE: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TORCH_TRANSPOSED: dict[int, Any] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def convolve(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    layout: str | None,
) -> Tensor:
    """Convolve, all options as PyTorch's users spell them."""
    if layout is not None and is_last(layout, rank):
        y = convolve(
            rank, x.movedim(-1, -1 - rank), kernel, bias, stride, padding, dilation, groups, padding_mode, None
        )
        return y.movedim(-1 - rank, -1)
    ...
