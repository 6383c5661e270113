"""`out` is checked in one place, and the message names the function that was called and the input that overlaps."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.operators.out import check_out

X, KERNEL, MIXING = np.ones((2, 10, 4), "f4"), np.ones((3, 4, 4), "f4"), np.ones((1, 4, 4), "f4")
CALLS: dict[str, Callable[..., Any]] = {
    "conv": lambda out: ft.conv(X, KERNEL, out=out),
    "conv1d": lambda out: ft.conv1d(X, KERNEL, out=out),
    "conv1d_transpose": lambda out: ft.conv1d_transpose(X[:, :6], KERNEL, out=out),
    "depthwise_conv1d": lambda out: ft.depthwise_conv1d(X, KERNEL[..., :1], out=out),
    "separable_conv1d": lambda out: ft.separable_conv1d(X, KERNEL[..., :1], MIXING, out=out),
    "input_gradient": lambda out: ft.input_gradient(X[:, :6], KERNEL, (2, 8, 4), out=out),
}


@pytest.mark.parametrize("function", CALLS)
def test_every_function_checks_it_in_the_same_words(function: str) -> None:
    call = CALLS[function]
    assert call(np.empty((2, 8, 4), "f4")).shape == (2, 8, 4)
    assert call(np.empty((2, 8, 8), "f4")[..., ::2]).shape == (2, 8, 4)
    rule = f"{function}: out must be an array of the result's shape and type; got float64 (2, 8, 4). "
    with pytest.raises(ft.ShapeError, match=re.escape(f"{rule}Use np.empty((2, 8, 4), 'float32').")):
        call(np.empty((2, 8, 4)))
    with pytest.raises(ft.ShapeError, match=f"^{function}: out must not share memory with (x|dy); got arrays"):
        call(X[:, 2:])


def test_arrays_side_by_side_in_one_memory_do_not_overlap() -> None:
    both = np.zeros((4, 2), "f4")
    check_out("f", both[:, 0], (4,), "float32", x=both[:, 1], bias=None)
    with pytest.raises(ft.ShapeError, match=r"^f: out must not share memory with kernel; "):
        check_out("f", both[:, 0], (4,), "float32", x=both[:, 1], kernel=both)
