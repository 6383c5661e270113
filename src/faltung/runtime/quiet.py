"""NumPy as our kernels compute: infinities and NaN without a warning, denormal numbers as zeros."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from faltung.runtime import pool

NOT_READ = -1
"""No control register looks like this."""


@contextmanager
def quiet() -> Iterator[None]:
    """On this thread, for the length of the block."""
    before = (ctypes.c_int64 * 1)(NOT_READ)
    try:
        _function("drop_denormals")(before)
        with np.errstate(all="ignore"):
            yield
    finally:
        if before[0] != NOT_READ:  # an interrupt may come before the first line
            _function("restore_denormals")(before)


@cache
def _function(name: str) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pool.addresses()[name])
