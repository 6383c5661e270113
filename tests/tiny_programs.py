"""Tiny programs: emitted, compiled and run on this machine, whatever the number of lanes."""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from faltung.codegen.emitter import Emitter, Value
from faltung.machine.target import Target
from faltung.runtime import compile as compiler
from faltung.runtime import processor

Array = NDArray[Any]

LANES = [
    ("float32", 1),
    ("float32", 4),
    ("float32", 8),
    ("float32", 16),
    ("float64", 1),
    ("float64", 4),
    ("float64", 8),
]
"""Element types and lanes; LLVM makes several registers of a vector that is longer than the host's."""
every_width = pytest.mark.parametrize(("dtype", "lanes"), LANES, ids=[f"{dtype}x{lanes}" for dtype, lanes in LANES])


def target_of(dtype: str, lanes: int) -> Target:
    """Return the host with vectors of so many lanes."""
    return replace(processor.current(), vector_bytes=lanes * np.dtype(dtype).itemsize)


def run(
    emit: Callable[..., None], *arguments: Array | int, dtype: str = "float32", lanes: int = 4, **traits: bool
) -> Emitter:
    """Run f(*arguments), whose body emit(e, *values) writes; arrays go as addresses. Returns the emitter.

    `traits` are attributes of the emitter: has_masked_stores=False stores some lanes as a target without would.
    """
    names = ["*a" if isinstance(argument, np.ndarray) else "n" for argument in arguments]
    used: list[Emitter] = []

    def program(e: Emitter) -> None:
        used.append(e)
        for name, value in traits.items():
            setattr(e, name, value)
        with e.function("f", *(f"{name}{n}" for n, name in enumerate(names))) as values:
            emit(e, *values)

    target = target_of(dtype, lanes)
    code = compiler.object_code(emit.__name__, program, dtype=dtype, target=target)
    engine, addresses = compiler._load(code, compiler._machine(target), ("f",))
    kinds = [ctypes.c_void_p if isinstance(argument, np.ndarray) else ctypes.c_int64 for argument in arguments]
    given = [argument.ctypes.data if isinstance(argument, np.ndarray) else argument for argument in arguments]
    ctypes.CFUNCTYPE(None, *kinds)(addresses["f"])(*given)
    del engine  # which holds the program until here
    return used[0]


def ints(*numbers: int) -> Array:
    """Return an array of i64."""
    return np.array(numbers, np.int64)


def instructions(e: Emitter) -> list[str]:
    """Return the names of all instructions of the module's functions."""
    functions = [function for function in e.module.functions if function.blocks]
    return [i.opname for function in functions for block in function.blocks for i in block.instructions]


def write(e: Emitter, place: Value, *numbers: Any) -> None:
    """Store numbers one after the other into an array of i64."""
    for n, number in enumerate(numbers):
        e.store_scalar(number, e.fields(place).at(i=n))
