"""Is it right? CaseSpec of every kernel, ours or a peer's, before it is timed.

Small convolutions are compared with the reference element by element. Of large ones, whose reference would take
seconds, the first sample is compared if that is small enough, and outputs at all corners and at random positions, each
computed from its own window. Every output must have been written.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import reference
from faltung.bench.arrays import channels_last
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


class Wrong(Exception):
    """Numbers that are not those of the reference; they are not timed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Some numbers of a result: where they lie, what they must be, how far off direct summation may be."""

    places: tuple[Any, ...]
    wanted: Array
    limit: Array

    @property
    def size(self) -> int:
        """How many numbers these are."""
        return self.wanted.size

    def error(self, result: Array) -> float:
        """Return the largest error over its limit; at most 1 where the result is right by direct summation."""
        found = result[self.places].reshape(self.wanted.shape)
        with np.errstate(invalid="ignore"):
            error = np.abs(found - self.wanted) / self.limit
        return inf if np.isnan(error).any() else float(error.max(initial=0.0))

    def describe(self, result: Array, times: float = 1.0) -> str:
        """Return in words how many numbers are off by more than `times` the limit, and the worst of them."""
        found = result[self.places].reshape(self.wanted.shape)
        error, limit = np.abs(found - self.wanted), times * self.limit
        worst = np.unravel_index(np.argmax(error - limit), error.shape)
        allowed = "the bound" if times == 1 else f"{times:g} times the bound"
        return (
            f"{(~(error <= limit)).sum():,} of {self.size:,} compared outputs beyond {allowed}, "
            f"for one {found[worst]:.6g} instead of {self.wanted[worst]:.6g} ± {limit[worst]:.2g}"
        )


def check(convolve: Convolve, x: Array, kernel: Array, bias: Array | None, *, spec: ConvSpec) -> int:
    """Compare convolve(x, kernel, bias, out=…) with the reference; return how many outputs were compared.

    Raises:
        CodegenError: if an output is missing or further off than reference.bound allows.
    """
    y = np.full(spec.output_shape, np.nan, spec.dtype)
    convolve(x, kernel, bias, out=y)
    if np.isnan(y).any():
        raise _wrong(spec, missing(y))
    result = flat_batch(channels_last(y, spec), spec)
    compared = 0
    for expected in expect(x, kernel, bias, spec=spec):
        if not expected.error(result) <= 1:
            raise _wrong(spec, expected.describe(result))
        compared += expected.size
    return compared


def expect(x: Array, kernel: Array, bias: Array | None, *, spec: ConvSpec) -> list[Expected]:
    """Return what the result must be, with its channels last and its leading axes merged into one."""
    if _work(spec) <= MOST_WORK:
        return [_whole(x, kernel, bias, spec, slice(None))]
    samples = []
    first = spec.replace(batch=1)
    if _work(first) <= MOST_WORK:
        samples.append(_whole(x.reshape(-1, *first.input_shape[1:])[:1], kernel, bias, first, slice(0, 1)))
    places = sample_places(spec)
    windows, alone = _windows(flat_batch(channels_last(x, spec), spec), places, spec)
    return [*samples, of_windows(windows, kernel, bias, alone, places)]


def missing(y: Array) -> str:
    """Return in words how many results were not written."""
    return f"{np.isnan(y).sum():,} of {y.size:,} outputs missing or NaN"


def flat_batch(array: Array, spec: ConvSpec) -> Array:
    """Return a channels-last array with its leading axes merged into one."""
    return array.reshape(spec.num_samples, *array.shape[-spec.rank - 1 :])


def of_windows(
    windows: Array, kernel: Array, bias: Array | None, alone: ConvSpec, places: tuple[Array, ...]
) -> Expected:
    """Return the expected outputs of windows that stand alone, one output position each."""
    shape = (alone.num_samples, alone.out_channels)
    wanted, limit = (f(windows, kernel, bias, spec=alone).reshape(shape) for f in (reference.conv, reference.bound))
    return Expected(places, wanted, limit)


def alone_spec(spec: ConvSpec, count: int) -> ConvSpec:
    """Return the spec that makes one output of each of `count` windows."""
    return spec.replace(
        **{"batch": count, "in_size": spec.kernel_size, "layout": None},
        **{"stride": 1, "dilation": 1, "padding": 0, "padding_mode": "zeros"},
    )


def sample_places(spec: ConvSpec) -> tuple[Array, ...]:
    """Return indices of sampled outputs along n and the spatial axes: all corners, then random ones."""
    each = prod(spec.kernel_size) * (spec.in_channels + TAP_WORK)
    work = each * max(spec.out_channels // spec.groups, TAP_WORK)
    sizes = (spec.num_samples, *spec.out_size)
    return corners_and_random(sizes, min(MOST_WORK // work, MOST_GATHERED // each))


def corners_and_random(sizes: tuple[int, ...], count: int) -> tuple[Array, ...]:
    """Return indices of all corners of an array, then of at most `count` random places, at least one."""
    corners = np.array(list(itertools.product(*((0, size - 1) for size in sizes))))
    random = np.random.default_rng(0).integers(0, sizes, (max(min(count, prod(sizes)), 1), len(sizes)))
    return tuple(np.concatenate([corners, random]).T)


def _work(spec: ConvSpec) -> int:
    return spec.macs + TAP_WORK * prod(spec.output_shape) * prod(spec.kernel_size)


def _whole(x: Array, kernel: Array, bias: Array | None, spec: ConvSpec, samples: slice) -> Expected:
    wanted, limit = (
        flat_batch(channels_last(f(x, kernel, bias, spec=spec), spec), spec) for f in (reference.conv, reference.bound)
    )
    return Expected((samples,), wanted, limit)


def _wrong(spec: ConvSpec, found: str) -> CodegenError:
    return CodegenError(
        f"{spec.name}: the kernel's numbers must be those of the reference; got {found}. "
        f"Please report: {spec.to_text()!r}."
    )


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
            inside = inside[..., None] & along(axis, (index >= 0) & (index < size))
            index = np.clip(index, 0, size - 1)
        else:
            index = reference.SOURCES[spec.padding_mode](index, size)
        indices.append(along(axis, index, spec.rank))
    windows = x[samples.reshape(-1, *[1] * spec.rank), *indices]
    if spec.padding_mode == "zeros":
        windows = windows * inside[..., None]
    return windows, alone_spec(spec, len(windows))


def along(axis: int, index: Array, rank: int | None = None) -> Array:
    """Return an array (outputs, taps) with the taps on a spatial axis of their own."""
    after = 0 if rank is None else rank - 1 - axis
    return index.reshape(index.shape[0], *[1] * axis, index.shape[1], *[1] * after)
