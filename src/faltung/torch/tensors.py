"""Tensors as arrays and back, on the same memory, and who is watching.

All of this front-end keeps PyTorch's order of axes, (N, C, *spatial). What lies in memory is told by `channels_last`:
such a tensor is an array in layout NWC, NHWC or NDHWC seen through a transposition, which copies nothing.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from faltung.torch import private

PLAIN = (Tensor, torch.nn.Parameter)
"""Types with nothing of their own: neither a fake nor a subclass that redefines operators."""

TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
TO_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


def as_array(tensor: Tensor, *, channels_last: bool = False) -> NDArray[Any]:
    """The tensor's memory as an array; (N, *spatial, C) for `channels_last`."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    array = tensor.resolve_neg().numpy()
    return array.transpose(TO_LAST[array.ndim]) if channels_last else array


def as_kernel(kernel: Tensor) -> tuple[NDArray[Any], str]:
    """The kernel's memory as an array and the layout it lies in: PyTorch's "OIW", or "WIO", as Keras keeps it."""
    array = as_array(kernel)
    if not array.flags.c_contiguous:
        as_keras_keeps_it = array.transpose(*range(2, array.ndim), 1, 0)
        if as_keras_keeps_it.flags.c_contiguous:
            return as_keras_keeps_it, "WIO"
    return array, "OIW"


def as_tensor(array: NDArray[Any], *, channels_last: bool = False) -> Tensor:
    """The array's memory as a tensor in PyTorch's order of axes; it keeps the array alive."""
    return torch.from_numpy(array.transpose(TO_FIRST[array.ndim]) if channels_last else array)


def empty(like: Tensor, batch: Any, channels: Any, sizes: Any, *, channels_last: bool) -> Tensor:
    """A tensor (batch, channels, *sizes) with the strides that :func:`as_tensor` gives; fake where `like` is fake."""
    if channels_last:
        return like.new_empty((batch, *sizes, channels)).movedim(-1, 1)
    return like.new_empty((batch, channels, *sizes))


def is_channels_last(x: Tensor, kernel: Tensor) -> bool:
    """Do channels lie side by side in either tensor? As PyTorch decides it for images, and here for every rank."""
    return _has_channels_side_by_side(x) or _has_channels_side_by_side(kernel)


def _has_channels_side_by_side(tensor: Tensor) -> bool:
    return tensor.stride(1) == 1 and tensor.numel() > tensor.shape[0] * tensor.shape[1]  # one position lies both ways


def is_observed(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> bool:
    """Is anybody compiling, tracing, transforming or profiling? Then calls must go through PyTorch's dispatcher."""
    return (
        torch.compiler.is_compiling()
        or type(x) not in PLAIN
        or type(kernel) not in PLAIN
        or (bias is not None and type(bias) not in PLAIN)
        or private.are_transforms_active()
        or private.num_dispatch_modes() > 0
        or private.is_function_mode_active()
        or private.is_profiled()
    )
