"""Convolutions of no input channels, or to none: as in lax, every output is its bias.

A sum over no channels is one over zeros, so as many zeros are put in as there are groups; results that nobody asked for
are cut off again. Derivatives follow from that.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from faltung.spec.layout import resolve_kernel_layout, resolve_layout
from faltung.spec.options import ConvOptions
from faltung.spec.rules import integer

Compute = Callable[[Array, Array, Array | None], Array]


def are_missing(x: Array, kernel: Array) -> bool:
    """Has the kernel no numbers, in a call that is otherwise a convolution?"""
    return 0 in kernel.shape and x.ndim >= kernel.ndim > 2


def convolve(
    compute: Compute, x: Array, kernel: Array, bias: Array | None, options: ConvOptions, *, is_transposed: bool = False
) -> Array:
    """What `compute` makes of arrays with some channels; a kernel without taps is left to it to refuse."""
    rank, groups = kernel.ndim - 2, integer("groups", options.groups, minimum=1)
    channels = x.ndim - 1 if resolve_layout(options.layout, rank).endswith("C") else 1
    kernel_layout = resolve_kernel_layout(options.kernel_layout, rank)
    read, made = (kernel_layout.index(letter) for letter in ("OI" if is_transposed else "IO"))
    num_read, num_made = (groups, 1) if is_transposed else (1, groups)
    has_outputs = kernel.shape[made] > 0
    if x.shape[channels] == kernel.shape[read] == 0:
        x, kernel = _with_zeros(x, channels, groups), _with_zeros(kernel, read, num_read)
    if has_outputs:
        return compute(x, kernel, bias)
    y = compute(x, _with_zeros(kernel, made, num_made), None)
    return y[..., :0] if channels == x.ndim - 1 else y[:, :0]


def _with_zeros(array: Array, axis: int, count: int) -> Array:
    return jnp.pad(array, [(0, count if each == axis else 0) for each in range(array.ndim)])
