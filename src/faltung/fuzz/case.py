"""A call as data: a function's name, and arguments of which arrays are told by their shape."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Numbers:
    """An array of small whole numbers, which every algorithm sums without much rounding.

    Arguments:
        shape: its sizes.
        dtype: the name of its element type.
        order: "C" (contiguous), "F", or "gaps" (every other element of a larger array, backwards).
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    order: str = "C"

    def array(self) -> NDArray[Any]:
        """The array."""
        numbers = np.arange(int(np.prod(self.shape, dtype=int))) * 7919 % 11 - 5
        array = numbers.reshape(self.shape).astype(self.dtype)
        if self.order == "F":
            return np.asfortranarray(array)
        if self.order == "gaps" and array.ndim:
            return np.repeat(array, 2, axis=-1)[..., ::-2][..., ::-1]
        return array

    def __repr__(self) -> str:
        more = [f"dtype={self.dtype!r}"] * (self.dtype != "float32") + [f"order={self.order!r}"] * (self.order != "C")
        return f"Numbers({', '.join([repr(self.shape), *more])})"


@dataclass(frozen=True)
class Case:
    """One call of a public function."""

    function: str
    arguments: dict[str, Any]

    def values(self) -> dict[str, Any]:
        """The arguments with their arrays made."""
        return {name: given.array() if isinstance(given, Numbers) else given for name, given in self.arguments.items()}

    def with_argument(self, name: str, value: object) -> "Case":
        """The call with one argument changed."""
        return replace(self, arguments={**self.arguments, name: value})

    def without(self, name: str) -> "Case":
        """The call with one argument left out."""
        return replace(self, arguments={key: value for key, value in self.arguments.items() if key != name})

    def line(self) -> str:
        """A line of Python that judges this call again."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"from faltung.fuzz.judge import *; print(judge(Case({self.function!r}, dict({told}))))"
