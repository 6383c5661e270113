"""The short way: tensors of known shapes and strides go to a compiled kernel by their addresses.

Everything that a call is told is one key. The first call of its kind checks, plans and compiles; a later one is a
lookup and one native call.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faltung.operators.convolution import Convolution
from faltung.plan.in_place import strides_in_place
from faltung.plan.plan import Plan
from faltung.runtime import buffers
from faltung.runtime.launch import Launch
from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.layout import layouts
from faltung.torch.tensors import TO_FIRST, as_array, as_kernel

MOST_CALLS = 4096
_calls: dict[tuple[Any, ...], "Straight | None"] = {}


@dataclass(frozen=True, slots=True)
class Straight:
    """A compiled convolution for tensors of known shapes, strides and type."""

    launch: Launch
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    num_bytes: int
    axes: tuple[int, ...]

    def __call__(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve; the tensors must be as planned, and in this process's memory."""
        y = torch.from_numpy(buffers.empty(self.shape, self.dtype, self.num_bytes).transpose(self.axes))
        self.launch.at(x.data_ptr(), kernel.data_ptr(), 0 if bias is None else bias.data_ptr(), y.data_ptr())
        return y


def straight(x: Tensor, kernel: Tensor, bias: Tensor | None, *options: Any) -> Straight | None:
    """The convolution of tensors like these; None where some must be copied, or for an FFT. Options as of `spec_of`."""
    of_bias = None if bias is None else (bias.shape, bias.stride())
    key = (x.dtype, x.shape, x.stride(), kernel.shape, kernel.stride(), of_bias, options)
    try:
        return _calls[key]
    except KeyError:
        pass
    if len(_calls) >= MOST_CALLS:
        _calls.clear()
    found = _calls[key] = _prepare(x, kernel, bias, options)
    return found


def spec_of(
    x: Any,
    kernel: Any,
    bias: Any,
    rank: int,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    is_last: bool,
    *,
    kernel_layout: str,
) -> ConvSpec:
    """The spec of a call with arrays in the order that `is_last` says, or one error that explains what is wrong."""
    return spec_from_call(
        f"conv{rank}d",
        *(x.shape, x.dtype.name, kernel.shape, kernel.dtype.name),
        *((None, None) if bias is None else (bias.shape, bias.dtype.name)),
        rank=rank,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        layout=layouts(rank)[0 if is_last else 1],
        kernel_layout=kernel_layout,
        padding_mode=padding_mode,
    )


def _prepare(x: Tensor, kernel: Tensor, bias: Tensor | None, options: tuple[Any, ...]) -> Straight | None:
    is_last = options[-1]
    array = as_array(x, channels_last=is_last)
    kernel_array, kernel_layout = as_kernel(kernel)
    spec = spec_of(array, kernel_array, None if bias is None else as_array(bias), *options, kernel_layout=kernel_layout)
    strides = strides_in_place(spec, array)
    are_in_order = kernel_array.flags.c_contiguous and (bias is None or bias.is_contiguous())
    if strides is None or not are_in_order or not spec.output_bytes:
        return None
    plan = Convolution(spec, strides).plan
    if not isinstance(plan, Plan):
        return None  # an FFT works on arrays
    axes = TO_FIRST[len(spec.output_shape)] if is_last else tuple(range(len(spec.output_shape)))
    return Straight(Launch(plan), spec.output_shape, np.dtype(spec.dtype), spec.output_bytes, axes)
