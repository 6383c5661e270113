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


def convolve(compute: Compute, x: Array, kernel: Array, bias: Array | None, options: ConvOptions) -> Array:
    """What `compute` makes of arrays with some channels; a kernel without taps is left to it to refuse."""
    rank, groups = kernel.ndim - 2, integer("groups", options.groups, minimum=1)
    channels = x.ndim - 1 if resolve_layout(options.layout, rank).endswith("C") else 1
    is_last = resolve_kernel_layout(options.kernel_layout, rank).endswith("O")
    inputs, outputs = (rank, rank + 1) if is_last else (1, 0)
    has_outputs = kernel.shape[outputs] > 0
    if x.shape[channels] == kernel.shape[inputs] == 0:
        x, kernel = _with_zeros(x, channels, groups), _with_zeros(kernel, inputs, 1)
    if has_outputs:
        return compute(x, kernel, bias)
    y = compute(x, _with_zeros(kernel, outputs, groups), None)
    return y[..., :0] if channels == x.ndim - 1 else y[:, :0]


def _with_zeros(array: Array, axis: int, count: int) -> Array:
    return jnp.pad(array, [(0, count if each == axis else 0) for each in range(array.ndim)])
