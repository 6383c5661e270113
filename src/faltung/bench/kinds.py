"""Twelve kinds of data that a convolution meets, and random convolutions to meet it: of docs/accuracy.md and tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError
from faltung.spec import ConvSpec
from faltung.spec.layout import kernel_layouts, layouts

Array = NDArray[Any]
Rng = np.random.Generator

FAR = (-9999.0, 1e6, 1e9, 1e20)


def _some(rng: Rng, x: Array, share: float, value: Any) -> Array:
    """Put a value at a share of the places, at one at least."""
    chosen = rng.random(x.shape) < share
    chosen.reshape(-1)[rng.integers(x.size)] = True
    x[chosen] = value
    return x


def _longest(x: Array) -> int:
    return int(np.argmax(x.shape[1:])) + 1


def _stretch(rng: Rng, x: Array, value: float | None, scale: float = 0.0) -> Array:
    """Fill, or scale, everything from some place on along the longest axis."""
    axis = _longest(x)
    place = [slice(None)] * x.ndim
    place[axis] = slice(int(rng.integers(x.shape[axis])), None)
    x[tuple(place)] = x[tuple(place)] * scale if value is None else value
    return x


KINDS: dict[str, Callable[[Rng, Array], Array]] = {
    "normal": lambda rng, x: x,
    "one far number": lambda rng, x: _some(rng, x, 0.0, rng.choice(FAR)),
    "sentinels": lambda rng, x: _some(rng, x, 0.02, -9999.0),
    "mask fills": lambda rng, x: _stretch(rng, x, -1e9),
    "spikes": lambda rng, x: _some(rng, x, 0.005, 1e4),
    "silence beside loudness": lambda rng, x: _stretch(rng, x, None, 1e-6),
    "zeros but one": lambda rng, x: _some(rng, np.zeros_like(x), 0.0, 1e6),
    "mostly zeros": lambda rng, x: x * (rng.random(x.shape) < 0.1),
    "not negative": lambda rng, x: np.abs(x),
    "NaN": lambda rng, x: _some(rng, x, 0.002, np.nan),
    "infinity": lambda rng, x: _some(rng, x, 0.002, np.inf),
    "far from zero": lambda rng, x: x + 1000,
}
"""By name: what becomes of normal numbers."""


def data(rng: Rng, kind: str, shape: tuple[int, ...], dtype: str = "float32") -> Array:
    """Return an array of this kind."""
    return KINDS[kind](rng, rng.standard_normal(shape)).astype(dtype)


def random_kernels(rng: Rng, count: int) -> list[dict[str, Any]]:
    """What programs are made for, every fifth of them long enough for an FFT."""
    return [_random_kernel(rng, number % 5 == 4) for number in range(count)]


def _random_kernel(rng: Rng, is_long: bool) -> dict[str, Any]:
    """Rank, channels, taps, and how windows lie."""
    rank = 1 if is_long else int(rng.choice((1, 1, 2, 2, 3)))
    channels = (1, 2, 16) if is_long else (8, 16, 24, 33, 64)
    taps = (64, 101, 200) if is_long else (3, 4, 5, 7, 9) if rank == 1 else (3, 5) if rank == 2 else (3,)
    ic, oc = (int(rng.choice(channels)) for _ in range(2))
    stride = 1 if rng.random() < 0.7 else 2
    is_last = bool(rng.random() < 0.5)
    return {
        "in_channels": ic,
        "out_channels": oc,
        "kernel_size": (int(rng.choice(taps)),) * rank,
        "stride": (*(1,) * (rank - 1), stride),
        "dilation": (*(1,) * (rank - 1), int(rng.choice((1, 1, 2)))) if stride == 1 else 1,
        "padding": str(rng.choice(("same", "valid", "causal") if rank == 1 else ("same", "valid"))),
        "layout": layouts(rank)[0 if is_last else 1],
        "kernel_layout": kernel_layouts(rank)[0 if is_last else 1],
        "bias": bool(rng.random() < 0.3),
    }


def random_spec(rng: Rng, kernel: dict[str, Any]) -> ConvSpec:
    """A convolution of some size with this kernel."""
    while True:
        rank, taps = len(kernel["kernel_size"]), kernel["kernel_size"][0]
        least = 300 if taps >= 64 else 8
        most = {1: 4 * least if taps >= 64 else 90, 2: 16, 3: 9}[rank]
        sizes = [int(rng.integers(least if rank == 1 else 5, most)) for _ in range(rank)]
        try:
            spec = ConvSpec(in_size=sizes, batch=int(rng.integers(1, 3)), **kernel)
        except ShapeError:
            continue
        if spec.output_bytes:
            return spec
