"""NumPy as our kernels compute: infinities and NaN without a warning, denormal numbers as zeros."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from faltung.runtime import pool


@contextmanager
def quiet() -> Iterator[None]:
    """On this thread, for the length of the block."""
    before = (ctypes.c_int64 * 1)()
    _function("drop_denormals")(before)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _function("restore_denormals")(before)


@cache
def _function(name: str) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pool.addresses()[name])
