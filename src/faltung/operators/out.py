"""The array that a caller gives for the result."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError

Array = NDArray[Any]


def check_out(function: str, out: Array, shape: tuple[int, ...], dtype: Any, **inputs: Array | None) -> None:
    """Refuse an ``out`` that cannot receive a result of this shape and element type, or that is part of an input."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ShapeError(
            f"{function}: out must be an array of the result's shape and type; got {got}. "
            f"Use np.empty({shape}, {np.dtype(dtype).name!r})."
        )
    if not out.flags.writeable:
        raise ShapeError(f"{function}: out must be writable; got a read-only array. Use a copy: out.copy().")
    for role, array in inputs.items():
        if array is not None and _overlap(out, array):
            raise ShapeError(
                f"{function}: out must not share memory with {role}; got arrays that overlap. "
                f"Use an array of its own for out, or pass {role}.copy()."
            )


def _overlap(a: Array, b: Array) -> bool:
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=100_000)  # type: ignore[arg-type]  # NumPy's stub knows -1 and 0 only
    except np.exceptions.TooHardError:
        return True
