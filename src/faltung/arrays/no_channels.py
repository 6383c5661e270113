"""Convolutions without input or output channels: every output is its bias, or there is none.

One channel of zeros for each group stands in for those that are missing, so that everything else, the errors too, is
as in any convolution.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError
from faltung.operators.out import check_out
from faltung.spec.layout import RANKS, resolve_kernel_layout, resolve_layout
from faltung.spec.options import ConvOptions

Array = NDArray[Any]


def without_channels(
    compute: Callable[[Array, Array, Array | None], Array],
    x: Array,
    kernel: Array,
    bias: Array | None,
    options: ConvOptions,
    *,
    is_transposed: bool = False,
) -> Array | None:
    """What ``compute`` gives of arrays with stand-ins, without theirs; None where no channels are missing."""
    rank, groups = kernel.ndim - 2, options.groups
    if rank not in RANKS or not isinstance(groups, int) or groups < 1 or x.ndim < rank + 2:
        return None
    try:
        kernel_layout, layout = resolve_kernel_layout(options.kernel_layout, rank), resolve_layout(options.layout, rank)
    except ShapeError:  # whoever asks refuses it with more to say
        return None
    axes = {letter: kernel_layout.index(letter) for letter in "IO"}
    read, made = (axes["O"], axes["I"]) if is_transposed else (axes["I"], axes["O"])
    channels = x.ndim - 1 if layout.endswith("C") else 1
    has_no_inputs = kernel.shape[read] == x.shape[channels] == 0
    has_no_outputs = kernel.shape[made] == 0
    if not has_no_inputs and not has_no_outputs:
        return None
    size = {axes["I"]: 1, axes["O"]: groups}
    if has_no_inputs:
        x, kernel = _zeros(x, channels, groups), _zeros(kernel, read, size[read])
    if has_no_outputs:
        kernel = _zeros(kernel, made, size[made])
        bias = None if bias is None or bias.shape == (0,) else bias
    y = compute(x, kernel, bias)
    return np.take(y, np.arange(0), axis=channels) if has_no_outputs else y


def copied_to(function: str, out: Array, y: Array) -> Array:
    """The array that the caller gave for the result, with the result in it."""
    check_out(function, out, y.shape, y.dtype)
    out[...] = y
    return out


def _zeros(array: Array, axis: int, size: int) -> Array:
    return np.zeros((*array.shape[:axis], size, *array.shape[axis + 1 :]), array.dtype)
