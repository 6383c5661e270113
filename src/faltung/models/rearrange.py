"""Rearrangements of axes: add, drop, move and merge; run on shapes and arrays, and written as a line of code."""

import math
import sys
from dataclasses import dataclass
from typing import Any

from faltung.models.layer import Shape


@dataclass(frozen=True, slots=True)
class Rearrange:
    """Each axis of the result as the axes of the data that it is made of: none for a new one, several for merged ones.

    >>> Rearrange(((0,), (), (1,)), 2).shape((32, 100))
    (32, 1, 100)
    >>> Rearrange(((0,), (2,), (1,)), 3).code("torch")
    'x = x.transpose(1, 2)'
    """

    axes: tuple[tuple[int, ...], ...]
    rank: int

    @property
    def dropped(self) -> tuple[int, ...]:
        """The axes of the data that the result has no use for, all of size 1."""
        used = {axis for entry in self.axes for axis in entry}
        return tuple(axis for axis in range(self.rank) if axis not in used)

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.axes == tuple((axis,) for axis in range(self.rank))

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the data that stay, in the order of the result."""
        return tuple(axis for entry in self.axes for axis in entry)

    @property
    def is_moved(self) -> bool:
        """Whether axes that stay change places."""
        return list(self.order) != sorted(self.order)

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of the result."""
        return tuple(
            None if any(shape[axis] is None for axis in entry) else math.prod(shape[axis] or 0 for axis in entry)
            for entry in self.axes
        )

    def apply(self, array: Any) -> Any:
        """Return the array rearranged: NumPy's, PyTorch's, JAX's or TensorFlow's."""
        order = (*self.order, *self.dropped)
        if type(array).__module__.split(".")[0] == "tensorflow":
            tf = sys.modules["tensorflow"]
            return tf.reshape(tf.transpose(array, order), self.shape(tuple(array.shape)))
        moved = array.permute(order) if hasattr(array, "permute") else array.transpose(order)
        return moved.reshape(self.shape(tuple(array.shape)))

    def code(self, host: str, x: str = "x") -> str:
        """Return the line that does it in the words of ``host``."""
        lines = [f"{x} = {self.expression(host, x)}"] * (self.expression(host, x) != x)
        at = next((at for at, entry in enumerate(self.axes) if len(entry) > 1), None)
        if at is not None:  # only one entry is ever made of several axes
            count = len(self.axes[at])
            if host == "torch":
                lines.append(f"{x} = {x}.flatten({at}, {at + count - 1})")
            else:
                sizes = [*(f"{x}.shape[{each}]" for each in range(at)), "-1", f"*{x}.shape[{at + count}:]"]
                inner = ", ".join(sizes[: -1 if at + 1 == len(self.axes) else None])
                lines.append(
                    f"{x} = tf.reshape({x}, ({inner}))" if host == "tensorflow" else f"{x} = {x}.reshape({inner})"
                )
        return "; ".join(lines)

    def expression(self, host: str, x: str = "x") -> str:
        """Return the right side of the line."""
        text = x
        left = [axis for axis in range(self.rank) if axis not in self.dropped]
        if self.dropped:
            axes = self.dropped[0] if len(self.dropped) == 1 else self.dropped
            text = f"tf.squeeze({text}, {list(self.dropped)})" if host == "tensorflow" else f"{text}.squeeze({axes})"
        places = tuple(left.index(axis) for axis in self.order)
        if self.is_moved:
            text = _moved(text, places, host)
            is_image = len(self.axes) >= 4 or sum(at != place for at, place in enumerate(places)) > 2
            if host == "torch" and is_image:  # convolutions keep the order in memory, and a view further on would fail
                text += ".contiguous()"
        return text + self._inserted(host)

    def _inserted(self, host: str) -> str:
        if all(self.axes) or any(len(entry) > 1 for entry in self.axes):
            return ""
        new = "tf.newaxis" if host == "tensorflow" else "None"
        words = [":" if entry else new for entry in self.axes]
        last = max(at for at, entry in enumerate(self.axes) if not entry)
        if all(self.axes[: words.index(new)]) and not any(self.axes[words.index(new) :]) and len(self.order) > 0:
            tail = words[words.index(new) :]
            return f"[..., {', '.join(tail)}]"
        return f"[{', '.join(words[: last + 1])}]"


def _moved(text: str, places: tuple[int, ...], host: str) -> str:
    moved = [axis for axis, place in enumerate(places) if axis != place]
    if host == "tensorflow":
        return f"tf.transpose({text}, {list(places)})"
    if len(places) == 2:
        return f"{text}.T"
    if len(moved) == 2:
        return f"{text}.{'transpose' if host == 'torch' else 'swapaxes'}({moved[0]}, {moved[1]})"
    return f"{text}.{'permute' if host == 'torch' else 'transpose'}({', '.join(map(str, places))})"
