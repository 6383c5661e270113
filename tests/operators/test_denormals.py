"""Denormal numbers count as zeros unless precision="exact" asks for them, cost no time, and change nothing else."""

import time
from typing import Any

import numpy as np
import pytest
from checking import assert_is_right, call, plain_options
from numpy.typing import NDArray
from strategies import random_arrays

import faltung as ft
from faltung import reference
from faltung.operators.convolution import Convolution

Array = NDArray[Any]
DENORMAL = np.float32(1e-40)
SPECS = [
    "conv1d n2 w300 ic16 oc24 kw1",
    "conv1d n2 w300 ic16 oc24 kw3 same ncw",
    "conv1d n2 w300 ic24 oc24 kw5 g24",
    "conv2d n1 h20 w30 ic12 oc12 kh3 kw3 g12 nchw",
    "conv1d n1 w20000 ic1 oc1 kw600",
]


def gradients(x: Array, kernel: Array, dy: Array, spec: ft.ConvSpec) -> tuple[Array, Array]:
    options = plain_options(spec)
    return (
        ft.input_gradient(dy, kernel, spec.input_shape, **options),
        ft.kernel_gradient(x, dy, spec.kernel_size, **options),
    )


@pytest.mark.parametrize("precision", ["high", "exact"])
@pytest.mark.parametrize("text", SPECS)
@pytest.mark.parametrize("scale", [1e-40, 1e-37])
def test_results_in_the_denormal_range_lie_within_the_bound(text: str, precision: str, scale: float) -> None:
    spec = ft.ConvSpec.from_text(text).replace(precision=precision)
    x, kernel, _ = random_arrays(spec, 1)
    x = x * np.float32(scale)
    y = call(spec, x, kernel, None)
    assert_is_right(y, spec, x, kernel, None, text)
    if precision == "exact":
        assert np.any((y != 0) & (np.abs(y) < np.finfo(np.float32).tiny)) or scale > 1e-39
    elif scale < 1e-39:
        assert not y.any()


@pytest.mark.parametrize("precision", ["high", "exact"])
@pytest.mark.parametrize("text", SPECS)
def test_gradients_in_the_denormal_range_lie_within_the_bound(text: str, precision: str) -> None:
    spec = ft.ConvSpec.from_text(text).replace(precision=precision)
    x, kernel, _ = random_arrays(spec, 2)
    dy = np.random.default_rng(3).standard_normal(spec.output_shape, np.float32) * DENORMAL
    dx, dw = gradients(x, kernel, dy, spec)
    assert np.all(
        np.abs(dx - reference.input_gradient(dy, kernel, spec=spec))
        <= reference.input_gradient_bound(dy, kernel, spec=spec)
    )
    assert np.all(
        np.abs(dw - reference.kernel_gradient(x, dy, spec=spec)) <= reference.kernel_gradient_bound(x, dy, spec=spec)
    )
    assert bool(dx.any() and dw.any()) == (precision == "exact")


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("text", SPECS)
def test_the_caller_keeps_its_denormals(text: str, num_threads: int) -> None:
    spec = ft.ConvSpec.from_text(text)
    x, kernel, _ = random_arrays(spec, 4)
    before = ft.get_num_threads()
    try:
        ft.set_num_threads(num_threads)
        call(spec, x, kernel, None)
        assert np.all(np.full(64, DENORMAL) * np.float32(2) > 0)
    finally:
        ft.set_num_threads(before)


def test_ordinary_numbers_give_the_same_bits() -> None:
    spec = ft.ConvSpec.from_text(SPECS[0])
    x, kernel, _ = random_arrays(spec, 5)
    results = [Convolution(spec.replace(precision=precision))(x, kernel) for precision in ("high", "exact")]
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize("text", SPECS)
def test_denormal_numbers_take_no_longer(text: str) -> None:
    spec = ft.ConvSpec.from_text(text)
    x, kernel, _ = random_arrays(spec, 6)
    convolution = Convolution(spec)
    inputs = [np.ascontiguousarray(x), np.ascontiguousarray(x * DENORMAL)]
    best = [float("inf")] * 2
    for _ in range(40):
        for which, array in enumerate(inputs):
            start = time.perf_counter()
            for _ in range(5):
                convolution(array, kernel)
            best[which] = min(best[which], time.perf_counter() - start)
    assert best[1] <= 2 * best[0]
