"""Where the values of a network lie: in buffers of its arena, in arrays of a call, in learned numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from faltung.graph.weights import Weight

Shape = tuple[int, ...]


@dataclass(eq=False)
class Buffer:
    """A part of the arena, for as long as anybody still reads it."""

    num_bytes: int
    first: int  # the first step that writes it
    last: int  # the last step that touches it
    pending: int = 0  # nodes that have yet to read a value that lies here
    offset: int = -1  # in the arena, once that is laid out

    def touch(self, step: int) -> None:
        """A step reads or writes it."""
        self.first, self.last = min(self.first, step), max(self.last, step)


@dataclass(frozen=True)
class Outside:
    """An array that the call brings or takes: an input, an output, or what an island computed."""

    name: str


Place = Buffer | Outside | Weight


@dataclass(frozen=True)
class Stored:
    """A value of `shape`: element strides for each axis, from `offset` elements behind the place's beginning on."""

    place: Place
    shape: Shape
    strides: Shape
    dtype: str
    offset: int = 0

    @classmethod
    def contiguous(cls, place: Place, shape: Shape, dtype: str, order: Shape | None = None) -> "Stored":
        """Contiguous, the axes of `order` from the outermost to the innermost; None is C order."""
        return cls(place, shape, contiguous_strides(shape, order), dtype)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes of its numbers."""
        return self.size * np.dtype(self.dtype).itemsize

    def is_contiguous(self, order: Shape | None = None) -> bool:
        """Is it contiguous with its axes in that order? Axes of one number do not matter."""
        wanted = contiguous_strides(self.shape, order)
        return all(size == 1 or have == want for size, have, want in zip(self.shape, self.strides, wanted, strict=True))

    def order(self) -> Shape:
        """Its axes from the outermost to the innermost; those of one number or stride keep their places."""
        return tuple(sorted(range(len(self.shape)), key=lambda axis: -abs(self.strides[axis])))

    def transposed(self, axes: Shape) -> "Stored":
        """The same numbers with their axes in another order."""
        shape, strides = (tuple(numbers[axis] for axis in axes) for numbers in (self.shape, self.strides))
        return replace(self, shape=shape, strides=strides)

    def sliced(self, ranges: list[range]) -> "Stored":
        """The part at these indices of each axis."""
        starts = sum(r.start * stride for r, stride in zip(ranges, self.strides, strict=True) if len(r))
        return replace(
            self,
            shape=tuple(map(len, ranges)),
            strides=tuple(r.step * stride for r, stride in zip(ranges, self.strides, strict=True)),
            offset=self.offset + starts,
        )

    def reshaped(self, shape: Shape) -> "Stored | None":
        """The same numbers under another shape, where they lie; None if they must be moved for it."""
        if 0 in shape:
            return Stored.contiguous(self.place, shape, self.dtype)
        view = np.lib.stride_tricks.as_strided(
            np.empty(1, np.int8), self.shape, self.strides
        )  # strides in bytes of one
        try:
            moved = view.reshape(shape, copy=False)
        except ValueError:
            return None
        return replace(self, shape=shape, strides=moved.strides)

    def broadcast(self, shape: Shape) -> "Stored":
        """The value read as if it had `shape`, by NumPy's rules."""
        missing = len(shape) - len(self.shape)
        strides = (0,) * missing + tuple(
            0 if size == 1 else stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        return replace(self, shape=shape, strides=strides)


def contiguous_strides(shape: Shape, order: Shape | None = None) -> Shape:
    """Element strides of a contiguous array whose axes lie in that order.

    >>> contiguous_strides((2, 3, 4)), contiguous_strides((2, 3, 4), (0, 2, 1))
    ((12, 4, 1), (12, 1, 3))
    """
    strides, step = [0] * len(shape), 1
    for axis in reversed(order or range(len(shape))):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def channels_last(layout: str) -> Shape:
    """The axes of a layout with the channels innermost.

    >>> channels_last("NCHW"), channels_last("NWC")
    ((0, 2, 3, 1), (0, 1, 2))
    """
    return (layout.index("N"), *(n for n, letter in enumerate(layout) if letter not in "NC"), layout.index("C"))


@dataclass
class Arena:
    """Buffers laid out in one block: those that live at different times may share their bytes."""

    buffers: list[Buffer] = field(default_factory=list)
    num_bytes: int = 0
    live_bytes: int = 0
    """The most that live at once: no arena can be smaller."""

    def lay_out(self, alignment: int) -> None:
        """Give each buffer an offset: of several orders in which they may be placed, the one with the least in all."""
        keys: tuple[Callable[[Buffer], int], ...] = (
            lambda b: -b.num_bytes,
            lambda b: -b.num_bytes * (b.last - b.first + 1),
            lambda b: b.first,
        )
        orders = [sorted(self.buffers, key=key) for key in keys]
        best = min(orders, key=lambda order: self._placed(order, alignment))
        self.num_bytes = self._placed(best, alignment)
        self.live_bytes = max(
            (
                sum(b.num_bytes for b in self.buffers if b.first <= step <= b.last)
                for step in {b.first for b in self.buffers}
            ),
            default=0,
        )

    @staticmethod
    def _placed(order: list[Buffer], alignment: int) -> int:
        """Place each at the lowest offset that is free while it lives; the bytes that all of them take."""
        placed: list[Buffer] = []
        for buffer in order:
            offset = 0
            others = (o for o in placed if o.first <= buffer.last and buffer.first <= o.last)
            for other in sorted(others, key=lambda o: o.offset):
                if offset + buffer.num_bytes <= other.offset:
                    break
                offset = max(offset, -(-(other.offset + other.num_bytes) // alignment) * alignment)
            buffer.offset = offset
            placed.append(buffer)
        return max((b.offset + b.num_bytes for b in placed), default=0)
