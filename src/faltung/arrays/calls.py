"""What the functions on arrays share: calls that were prepared once are found again, and arrays put in order."""

from contextlib import suppress
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError

Array = NDArray[Any]
Prepared = TypeVar("Prepared")
Key = tuple[Any, ...]

MOST_CALLS = 4096


class Calls(Generic[Prepared]):
    """Whatever was prepared for a call, by everything that the call is told: a warm call is one lookup here."""

    def __init__(self) -> None:
        self._prepared: dict[Key, Prepared] = {}

    def find(self, key: Key | None) -> Prepared | None:
        """What was kept under this key; None if nothing was, or if the call cannot be remembered."""
        try:
            return self._prepared.get(key)  # type: ignore[arg-type]  # nothing is kept under None
        except TypeError:  # options given as lists
            return None

    def keep(self, key: Key | None, prepared: Prepared) -> None:
        """Remember what was prepared, if such a call can be."""
        if key is None:
            return
        if len(self._prepared) >= MOST_CALLS:
            self._prepared.clear()
        with suppress(TypeError):
            self._prepared[key] = prepared


def key_of(name: str, options: tuple[Any, ...], *arrays: Any) -> Key | None:
    """All that a call is told, where absent arrays are None; types too, since 1 == True == 1.0.

    None for a call with anything but arrays, which must become some first.
    """
    key: list[Any] = [name, options, *map(type, options)]
    for array in arrays:
        if type(array) is np.ndarray:
            key += (array.shape, array.strides, array.dtype)
        elif array is None:
            key.append(None)
        else:
            return None
    return tuple(key)


def is_in_order(array: Array) -> bool:
    """Is it contiguous, in this machine's byte order?"""
    return array.dtype.isnative and array.flags.c_contiguous


def in_order(array: Array) -> Array:
    """A contiguous copy in this machine's byte order."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def check_out(function: str, out: Array, shape: tuple[int, ...], dtype: str, inputs: tuple[Array | None, ...]) -> None:
    """Refuse an `out` that cannot receive the result of `inputs`."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        rule = f"{function}: out must be a writable array of the result's shape and type; got {got}"
        raise ShapeError(f"{rule}. Use np.empty({shape}, {dtype!r}).")
    if any(array is not None and np.may_share_memory(out, array) for array in inputs):
        rule = f"{function}: out must not share memory with the inputs; got arrays that overlap"
        raise ShapeError(f"{rule}. Use another.")
