"""What the functions on arrays share: calls that were prepared once are found again, and arrays put in order."""

from contextlib import suppress
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from faltung.errors import DtypeError
from faltung.operators.convolution import as_array
from faltung.spec import named
from faltung.spec.options import ConvOptions

Array = NDArray[Any]
Prepared = TypeVar("Prepared")
Key = tuple[Any, ...]

MOST_CALLS = 4096


def arrays_of(function: str, *values: Any, optional: int = 0) -> list[Array]:
    """What a function was given, as arrays; None stays None among the last `optional`."""
    none: Any = None
    try:
        needed = len(values) - optional
        return [none if value is None and n >= needed else as_array(value) for n, value in enumerate(values)]
    except DtypeError as error:
        with named(function):
            raise error


class Calls(Generic[Prepared]):
    """Whatever was prepared for a call, by everything that the call is told: a warm call is one lookup here."""

    def __init__(self) -> None:
        self._prepared: dict[Key, Prepared] = {}

    def find(self, key: Key) -> Prepared | None:
        """What was kept under this key; None if nothing was, or if the call cannot be remembered."""
        try:
            return self._prepared.get(key)
        except TypeError:  # options given as lists
            return None

    def keep(self, key: Key, prepared: Prepared) -> Prepared:
        """Remember what was prepared, if such a call can be, and return it."""
        if len(self._prepared) >= MOST_CALLS:
            self._prepared.clear()
        with suppress(TypeError):
            self._prepared[key] = prepared
        return prepared


def key_of(function: str, options: ConvOptions, x: Array, kernel: Array, bias: Array | None, more: Key = ()) -> Key:
    """All that a call is told, types of numbers too, since 1 == True == 1.0; ``more`` is what only some are told.

    ``x`` and ``kernel`` may be any two arrays. Written out, since a warm call does little else.
    """
    return (
        function,
        options,
        type(options.stride),
        type(options.padding),
        type(options.dilation),
        type(options.groups),
        x.shape,
        x.strides,
        x.dtype,
        kernel.shape,
        kernel.strides,
        kernel.dtype,
        None if bias is None else (bias.shape, bias.strides, bias.dtype),
        more,
    )


def also(value: object = None, array: Array | None = None) -> Key:
    """One more value and one more array, as ``key_of`` takes them."""
    return value, type(value), None if array is None else (array.shape, array.strides, array.dtype)


def facts_of(*arrays: Any) -> list[Any]:
    """Shape and name of the element type of each array, None and None for none: as functions of spec/ take them."""
    facts: list[Any] = []
    for array in arrays:
        facts += (None, None) if array is None else (array.shape, array.dtype.name)
    return facts


def copies_of(*arrays: Array | None) -> tuple[bool, ...] | None:
    """Which of the arrays must be copied before a kernel reads them; None for none of them."""
    copies = tuple(array is not None and not is_in_order(array) for array in arrays)
    return copies if any(copies) else None


def copied(copies: tuple[bool, ...], *arrays: Array | None) -> list[Any]:
    """The arrays, those that must be as copies in order."""
    pairs = zip(copies, arrays, strict=True)
    return [in_order(array) if is_copied and array is not None else array for is_copied, array in pairs]


def is_in_order(array: Array) -> bool:
    """Is it contiguous, in this machine's byte order?"""
    return array.dtype.isnative and array.flags.c_contiguous


def in_order(array: Array) -> Array:
    """A contiguous copy in this machine's byte order."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
