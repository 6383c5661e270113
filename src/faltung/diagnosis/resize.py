"""Changes of one axis: a longer or shorter one, or a single channel repeated; and changes of the element type."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.models.layer import Shape


@dataclass(frozen=True, slots=True)
class Resize:
    """Axis ``axis`` gets ``size``: cut, filled with zeros at its end, or (a single channel) repeated.

    >>> Resize(3, 2, 20, 32).code("numpy")
    'x = np.pad(x, ((0, 0), (0, 0), (0, 12)))'
    """

    rank: int
    axis: int
    old: int
    size: int
    is_repeated: bool = False

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of the result."""
        return (*shape[: self.axis], self.size, *shape[self.axis + 1 :])

    def apply(self, array: Any) -> Any:
        """Return the array with the axis resized."""
        if self.size < self.old:
            return array[(slice(None),) * self.axis + (slice(self.size),)]
        if hasattr(array, "permute"):
            torch = sys.modules["torch"]
            if self.is_repeated:
                return array.repeat_interleave(self.size, self.axis)
            return torch.nn.functional.pad(array, (0, 0) * (self.rank - self.axis - 1) + (0, self.size - self.old))
        if self.is_repeated:
            return np.repeat(array, self.size, self.axis)
        return np.pad(array, self._ends())

    def _ends(self) -> tuple[tuple[int, int], ...]:
        return tuple((0, self.size - self.old if axis == self.axis else 0) for axis in range(self.rank))

    def code(self, host: str, x: str = "x") -> str:
        """Return the line that does it."""
        if self.size < self.old:
            return f"{x} = {x}[{':, ' * self.axis}:{self.size}]"
        if self.is_repeated:
            word = f"{x}.repeat_interleave" if host == "torch" else f"np.repeat({x}, "
            return (
                f"{x} = {word}({self.size}, {self.axis})"
                if host == "torch"
                else f"{x} = {word}{self.size}, {self.axis})"
            )
        if host == "torch":
            ends = (0, 0) * (self.rank - self.axis - 1) + (0, self.size - self.old)
            return f"{x} = torch.nn.functional.pad({x}, {ends})"
        return f"{x} = np.pad({x}, {self._ends()})"


@dataclass(frozen=True, slots=True)
class Resizes:
    """Several axes resized."""

    each: tuple[Resize, ...]

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of the result."""
        for one in self.each:
            shape = one.shape(shape)
        return shape

    def apply(self, array: Any) -> Any:
        """Return the array with the axes resized."""
        for one in self.each:
            array = one.apply(array)
        return array

    def code(self, host: str, x: str = "x") -> str:
        """Return the lines that do it."""
        return "; ".join(one.code(host, x) for one in self.each)


@dataclass(frozen=True, slots=True)
class Cast:
    """Another element type, or numbers out of a container that is no array."""

    dtype: str
    trouble: str = ""

    def shape(self, shape: Shape) -> Shape:
        """Return the shape, which stays."""
        return shape

    def apply(self, array: Any) -> Any:
        """Return the array as numbers of the type."""
        if self.trouble == "sparse":
            array = array.to_dense() if hasattr(array, "to_dense") else array.toarray()
        elif self.trouble == "ragged":
            longest = max(len(row) for row in array)
            rows = [np.pad(np.asarray(row), [(0, longest - len(row))] + [(0, 0)] * (np.ndim(row) - 1)) for row in array]
            array = np.stack(rows)
        elif self.trouble == "complex":
            array = array.real
        if hasattr(array, "permute"):
            return array.to(getattr(sys.modules["torch"], self.dtype))
        return array.astype(self.dtype)

    def code(self, host: str, x: str = "x") -> str:
        """Return the line that does it."""
        if self.trouble == "sparse":
            x_dense = f"{x}.to_dense()" if host == "torch" else f"{x}.toarray()"
            return f"{x} = {x_dense}"
        if self.trouble == "ragged":
            return f"{x} = np.stack([np.pad(row, (0, max(map(len, {x})) - len(row))) for row in {x}])"
        if self.trouble == "complex":
            return f"{x} = {x}.real"
        if host == "torch":
            short = {"float32": "float", "float64": "double", "float16": "half"}.get(self.dtype)
            return f"{x} = {x}.{short}()" if short else f"{x} = {x}.to(torch.{self.dtype})"
        return f"{x} = tf.cast({x}, tf.{self.dtype})" if host == "tensorflow" else f'{x} = {x}.astype("{self.dtype}")'
