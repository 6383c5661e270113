"""Padding that repeats the input, as indices of NumPy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[Any]

SOURCES: dict[str, Callable[[Indices, int], Indices]] = {
    "reflect": lambda i, size: size - 1 - abs(size - 1 - abs(i)),
    "replicate": lambda i, size: np.clip(i, 0, size - 1),
    "circular": lambda i, size: i % size,
}
"""Mode -> the input that each position of a padded axis repeats, from -low to size + high; "zeros" repeats none."""
