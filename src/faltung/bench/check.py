"""Is it right? Asked of every kernel before it is timed.

Small convolutions are compared with the reference element by element. Of large ones, whose reference would take
seconds, the first sample is compared if that is small enough, and outputs at all corners and at random positions, each
computed from its own window. Every output must have been written.
"""

import itertools
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import reference
from faltung.errors import CodegenError
from faltung.spec import ConvSpec

Array = NDArray[Any]
Convolve = Callable[..., Array]

MOST_WORK = 60_000_000
"""What the reference may do for one comparison: multiplications, and as much again for each output and tap."""
MOST_GATHERED = 4_000_000
"""Elements of the windows of sampled outputs."""
TAP_WORK = 8
"""Visiting one tap of one output costs the reference as much as so many multiplications."""


def check(convolve: Convolve, x: Array, kernel: Array, bias: Array | None, *, spec: ConvSpec) -> int:
    """Compare convolve(x, kernel, bias, out=…) with the reference; return how many outputs were compared.

    Raises:
        CodegenError: if an output is missing or further off than reference.bound allows.
    """
    y = np.full(spec.output_shape, np.nan, spec.dtype)
    convolve(x, kernel, bias, out=y)
    if np.isnan(y).any():
        raise _wrong(spec, f"{np.isnan(y).sum():,} of {y.size:,} outputs missing or NaN")
    if _work(spec) <= MOST_WORK:
        return _compare(y, x, kernel, bias, spec)
    compared = 0
    first = spec.replace(batch=1)
    x, y = x.reshape(-1, *x.shape[-spec.rank - 1 :]), y.reshape(-1, *y.shape[-spec.rank - 1 :])
    if _work(first) <= MOST_WORK:
        compared += _compare(y[:1], x[:1], kernel, bias, first)
    places = _places(spec)
    windows, alone = _windows(x, places, spec)
    return compared + _compare(
        _channels_last(y, spec)[places].reshape(alone.output_shape), windows, kernel, bias, alone
    )


def _work(spec: ConvSpec) -> int:
    return spec.macs + TAP_WORK * prod(spec.output_shape) * prod(spec.kernel_size)


def _compare(y: Array, x: Array, kernel: Array, bias: Array | None, spec: ConvSpec) -> int:
    wanted = reference.conv(x, kernel, bias, spec=spec)
    error, limit = np.abs(y - wanted), reference.bound(x, kernel, bias, spec=spec)
    if not (error <= limit).all():
        worst = np.unravel_index(np.argmax(error - limit), y.shape)
        found = f"{(~(error <= limit)).sum():,} of {y.size:,} compared outputs beyond the bound"
        raise _wrong(spec, f"{found}, for one {y[worst]:.6g} instead of {wanted[worst]:.6g} ± {limit[worst]:.2g}")
    return y.size


def _wrong(spec: ConvSpec, found: str) -> CodegenError:
    return CodegenError(
        f"{spec.name}: the kernel's numbers must be those of the reference; got {found}. "
        f"Please report: {spec.to_text()!r}."
    )


def _places(spec: ConvSpec) -> tuple[Array, ...]:
    """Indices of sampled outputs along n and the spatial axes: all corners, then random ones."""
    sizes = (spec.num_samples, *spec.out_size)
    each = prod(spec.kernel_size) * (spec.in_channels + TAP_WORK)
    work = each * max(spec.out_channels // spec.groups, TAP_WORK)
    count = max(min(MOST_WORK // work, MOST_GATHERED // each, prod(sizes)), 1)
    corners = np.array(list(itertools.product(*((0, size - 1) for size in sizes))))
    random = np.random.default_rng(0).integers(0, sizes, (count, len(sizes)))
    return tuple(np.concatenate([corners, random]).T)


def _windows(x: Array, places: tuple[Array, ...], spec: ConvSpec) -> tuple[Array, ConvSpec]:
    """The window of each sampled output as a sample of its own, and the spec that makes one output of each."""
    samples, *positions = places
    inside = np.ones(len(samples), bool)
    indices = []
    for axis, position in enumerate(positions):
        taps = np.arange(spec.kernel_size[axis]) * spec.dilation[axis]
        index = position[:, None] * spec.stride[axis] - spec.padding[axis][0] + taps
        size = spec.in_size[axis]
        if spec.padding_mode == "zeros":
            inside = inside[..., None] & ((index >= 0) & (index < size)).reshape(_along(axis, index.shape))
            index = np.clip(index, 0, size - 1)
        else:
            index = reference.SOURCES[spec.padding_mode](index, size)
        indices.append(index.reshape(_along(axis, index.shape, spec.rank)))
    samples = samples.reshape(-1, *[1] * spec.rank)
    windows = _channels_last(x, spec)[samples, *indices]
    if spec.padding_mode == "zeros":
        windows = windows * inside[..., None]
    alone = spec.replace(
        **{"batch": len(windows), "in_size": spec.kernel_size, "layout": None},
        **{"stride": 1, "dilation": 1, "padding": 0, "padding_mode": "zeros"},
    )
    return windows, alone


def _along(axis: int, shape: tuple[int, ...], rank: int | None = None) -> tuple[int, ...]:
    """The shape (outputs, taps) with the taps on a spatial axis of their own."""
    after = 0 if rank is None else rank - 1 - axis
    return (shape[0], *[1] * axis, shape[1], *[1] * after)


def _channels_last(array: Array, spec: ConvSpec) -> Array:
    return array if spec.is_channels_last else np.moveaxis(array, 1, -1)
