"""Learned numbers in the form in which kernels read them, made once and made again when they change."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np

from faltung.graph.graph import Array, Constant
from faltung.machine.memory import CACHE_LINE


@dataclass(eq=False)
class Weight:
    """One array that jobs read: a constant as it is, transposed, or packed by a kernel's first stage."""

    make: Callable[[], Array]
    array: Array = field(init=False)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Make it of the numbers as they are now, in memory of its own: calls under way still read the old."""
        self.array = self.make()

    @property
    def address(self) -> int:
        """Where its numbers begin."""
        return self.array.ctypes.data


@dataclass
class Weights:
    """All weights of a network, shared by its plans for different sizes."""

    made: dict[Hashable, Weight] = field(default_factory=dict)

    def get(self, key: Hashable, make: Callable[[], Array]) -> Weight:
        """The weight of that key, made now if it is new."""
        if key not in self.made:
            self.made[key] = Weight(make)
        return self.made[key]

    def of(self, constant: Constant, dtype: str) -> Weight:
        """A constant as it is, contiguous."""
        return self.get((id(constant), dtype), lambda: aligned(np.asarray(constant.read(), dtype)))

    def refresh(self) -> None:
        """Make all of them again, in the order in which they were made: packed ones come after what they pack."""
        for weight in self.made.values():
            weight.refresh()


def aligned(array: Array) -> Array:
    """A contiguous copy that begins at a cache line."""
    copy = aligned_empty(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def aligned_empty(num_bytes: int) -> Array:
    """Bytes that begin at a cache line."""
    memory = np.empty(num_bytes + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + num_bytes]
