"""What both gradients must be, for the check before training is timed: sampled numbers, each from its definition.

With ``y[n, p, o] = sum(x[n, p*stride + k*dilation - low, i] * kernel[k, i, o] for k, i)`` and the gradient dy of y:

- ``dx[n, q, i] = sum(dy[n, p, o] * kernel[k, i, o] for k, o)`` with ``p = (q + low - k*dilation) / stride`` where that
  is a whole number and lies in y. The windows of dy at q are gathered; the rest is a convolution of windows alone.
- ``dkernel[k, i, o] = sum(x[n, p*stride + k*dilation - low, i] * dy[n, p, o] for n, p)``, one inner product for each.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.bench.check import (
    MOST_WORK,
    Expected,
    alone_spec,
    along,
    corners_and_random,
    flat_batch,
    of_windows,
    sample_places,
)
from faltung.errors import UnsupportedConvError
from faltung.spec import ConvSpec

Array = NDArray[Any]

PRODUCT_WORK = 8
"""Visiting one term of a strided inner product costs as much as so many multiplications."""


def expect_gradients(x: Array, kernel: Array, dy: Array, *, spec: ConvSpec) -> tuple[Expected, Expected]:
    """Return what dx, its leading axes merged, and dkernel must be; all arrays have their channels last.

    Raises:
        UnsupportedConvError: for a spec with an activation, or with padding other than zeros.
    """
    if spec.activation or spec.padding_mode != "zeros":
        raise UnsupportedConvError(
            f"{spec.name}: gradients are checked without activation and for padding with zeros only; got "
            f"{spec.to_text()!r}. Leave out the activation and the padding mode."
        )
    x, dy = flat_batch(x, spec), flat_batch(dy, spec)
    return expect_input_gradient(kernel, dy, spec), expect_kernel_gradient(x, dy, spec)


def expect_input_gradient(kernel: Array, dy: Array, spec: ConvSpec) -> Expected:
    """Return what dx (N, …, C_in) must be at sampled places."""
    swapped = spec.replace(in_channels=spec.out_channels, out_channels=spec.in_channels, bias=False)
    count = len(sample_places(swapped)[0])
    samples, *positions = places = corners_and_random((spec.num_samples, *spec.in_size), count)
    inside = np.ones(len(samples), bool)
    indices = []
    for axis, position in enumerate(positions):
        taps = np.arange(spec.kernel_size[axis]) * spec.dilation[axis]
        index, rest = np.divmod(position[:, None] + spec.padding[axis][0] - taps, spec.stride[axis])
        inside = inside[..., None] & along(axis, (rest == 0) & (index >= 0) & (index < spec.out_size[axis]))
        indices.append(along(axis, np.clip(index, 0, spec.out_size[axis] - 1), spec.rank))
    windows = dy[samples.reshape(-1, *[1] * spec.rank), *indices] * inside[..., None]
    # (*K, I, g, O) of one group each → (*K, O, g, I)
    grouped = kernel.reshape(*kernel.shape[:-1], spec.groups, -1)
    turned = np.swapaxes(grouped, -1, -3).reshape(*spec.kernel_size, -1, spec.in_channels)
    return of_windows(windows, turned, None, alone_spec(swapped, len(windows)), places)


def expect_kernel_gradient(x: Array, dy: Array, spec: ConvSpec) -> Expected:
    """Return what dkernel (*K, C_in/groups, C_out) must be at sampled places."""
    inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    num_terms = spec.num_samples * prod(spec.out_size)
    sizes = (*spec.kernel_size, inputs, spec.out_channels)
    places = corners_and_random(sizes, MOST_WORK // (PRODUCT_WORK * num_terms))
    wanted, magnitude = [], []
    for *tap, i, o in zip(*places, strict=True):
        met, used = [], []
        for axis, k in enumerate(tap):
            shift, stride, size = k * spec.dilation[axis] - spec.padding[axis][0], spec.stride[axis], spec.in_size[axis]
            first = max(-(shift // stride), 0)  # the first and last p that meet the input
            last = max(min((size - 1 - shift) // stride, spec.out_size[axis] - 1), first - 1)
            used.append(slice(first, last + 1))
            met.append(slice(first * stride + shift, last * stride + shift + 1, stride) if last >= first else slice(0))
        of_x = x[:, *met, o // outputs * inputs + i].astype(np.float64).ravel()
        of_y = dy[:, *used, o].astype(np.float64).ravel()
        wanted.append(of_x @ of_y)
        magnitude.append(np.abs(of_x) @ np.abs(of_y))
    limits = np.finfo(spec.dtype)
    limit = num_terms * float(limits.eps) * np.maximum(magnitude, float(limits.tiny))
    return Expected(places, np.array(wanted), limit)
