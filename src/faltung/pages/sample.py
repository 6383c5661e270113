"""Data as numbers: arrays of any framework, one sample of them, and made-up data where only a shape is known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.models.data import Data
from faltung.models.layer import Layer, Shape

Array = NDArray[Any]
TYPICAL = {1: (24, 5), 2: (9, 4), 3: (6, 3)}
"""By rank: the least size of made-up data, and how much longer than the window it is."""


def numbers(data: Data) -> Array:
    """Return the array of the data in float32 or float64; made up where there is only a shape."""
    if data.array is None:
        return made_up(tuple(1 if size is None else size for size in data.shape))
    array = data.array
    if data.host == "torch":
        array = array.detach().cpu()
        array = (array if str(array.dtype) == "torch.float64" else array.float()).numpy()
    found = np.asarray(array)
    return found if found.dtype == np.float64 else found.astype(np.float32)


def made_up(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return numbers with two decimals that look like a signal along every longer axis: waves and a little noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 0.25, shape)
    for axis, size in enumerate(shape):
        if size > 4:
            phase = np.arange(size) * 2 * np.pi / max(size / 2.5, 6.0) + axis
            x = x + 0.8 * np.sin(phase).reshape(-1, *(1,) * (len(shape) - axis - 1))
    return np.round(x, 2).astype(np.float32)


def made_up_kernel(shape: tuple[int, ...], seed: int = 1) -> Array:
    """Return a random kernel with two decimals whose results have the size of the data; shape is ``(O, I, *K)``."""
    spread = 1.0 / np.sqrt(max(int(np.prod(shape[1:])), 1))
    return np.round(np.random.default_rng(seed).normal(0.0, spread, shape), 2).astype(np.float32)


def usual_shape(layer: Layer) -> Shape:
    """Return a shape that a layer takes, long enough to see the window move."""
    least, more = TYPICAL[layer.rank]
    sizes = [max(least, window + more) for window in layer.window]
    channels = layer["in_channels"] or 1
    return (1, channels, *sizes) if layer.is_first else (1, *sizes, channels)
