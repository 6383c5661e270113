"""Arithmetic lane by lane, and lanes that change places, for every number of lanes."""

import math
from typing import Any

import numpy as np
import pytest
from tiny_programs import Array, every_width, run

from faltung.codegen.emitter import Emitter, Value
from faltung.machine.known import AVX2, SSE2


def drawn(dtype: str, *shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


@every_width
def test_lane_by_lane(dtype: str, lanes: int) -> None:
    x, y = drawn(dtype, 2, lanes), np.zeros((10, lanes), dtype)

    def lane_by_lane(e: Emitter, source: Value, target: Value) -> None:
        a, b = (e.load(e.buffer(source, row=lanes).at(row=row)) for row in range(2))
        results = [e.arithmetic(a, how, b) for how in "+-*/"]
        results += [e.absolute(a), e.splat(2.5), e.where(e.is_ordered(a, "<", b), a, b)]
        results += [e.where(e.is_ordered(a, how, e.splat(0.0)), e.splat(1.0), b) for how in (">", "<=")]
        for row, value in enumerate(results):
            e.store(value, e.buffer(target, row=lanes).at(row=row))

    run(lane_by_lane, x, y, dtype=dtype, lanes=lanes)
    a, b = x
    one = np.ones(lanes, dtype)
    expected = [a + b, a - b, a * b, a / b, abs(a), 2.5 * one, np.minimum(a, b)]
    expected += [np.where(a > 0, one, b), np.where(a <= 0, one, b), 0 * one]
    np.testing.assert_array_equal(y, expected)


@every_width
def test_comparisons_are_false_of_nan(dtype: str, lanes: int) -> None:
    y = np.zeros(lanes, dtype)

    def compare(e: Emitter, target: Value) -> None:
        nan = e.splat(math.nan)
        e.store(e.where(e.is_ordered(nan, "<=", nan), e.splat(1.0), e.splat(2.0)), target)

    run(compare, y, dtype=dtype, lanes=lanes)
    assert np.all(y == 2)


@every_width
def test_fma_rounds_once_where_the_target_can(dtype: str, lanes: int) -> None:
    eps = float(np.finfo(dtype).eps)
    y = np.zeros(lanes, dtype)

    def emit(e: Emitter, target: Value) -> None:
        e.store(e.fma(e.load(target), e.splat(1 + eps), e.splat(-1 - 2 * eps)), target)

    y[:] = 1 + eps
    used = run(emit, y, dtype=dtype, lanes=lanes)
    assert np.all(y == (eps * eps if used.has_fma else 0))


def test_without_the_instruction_fma_calls_no_library() -> None:
    for target, word in ((AVX2, "llvm.fma.v8f32"), (SSE2, "llvm.fmuladd.v4f32")):
        e = Emitter(target, "float32")
        with e.function("f", "*x") as (x,):
            e.store(e.fma(e.load(x), e.load(x), e.load(x)), x)
        assert word in str(e.module)


@every_width
def test_sum_of_lanes(dtype: str, lanes: int) -> None:
    x, y = np.arange(1, lanes + 1).astype(dtype), np.zeros(lanes, dtype)

    def total(e: Emitter, source: Value, target: Value) -> None:
        e.store(e.sum_of_lanes(e.load(source)), target)

    run(total, x, y, dtype=dtype, lanes=lanes)
    assert np.all(y == lanes * (lanes + 1) // 2)


@every_width
def test_transpose(dtype: str, lanes: int) -> None:
    x, y = drawn(dtype, lanes, lanes), np.zeros((lanes, lanes), dtype)

    def exchange(e: Emitter, source: Value, target: Value) -> None:
        here, there = e.buffer(source, row=lanes), e.buffer(target, row=lanes)
        for row, value in enumerate(e.transpose([e.load(here.at(row=row)) for row in range(lanes)])):
            e.store(value, there.at(row=row))

    run(exchange, x, y, dtype=dtype, lanes=lanes)
    np.testing.assert_array_equal(y, x.T)


@every_width
@pytest.mark.parametrize("stride", [1, 2, 3, 5, 8])
def test_every(dtype: str, lanes: int, stride: int) -> None:
    x, y = drawn(dtype, stride * lanes), np.zeros(lanes, dtype)

    def every(e: Emitter, source: Value, target: Value) -> None:
        vectors = [e.load(e.buffer(source, v=lanes).at(v=v)) for v in range(stride)]
        e.store(e.every(vectors, stride), target)

    run(every, x, y, dtype=dtype, lanes=lanes)
    np.testing.assert_array_equal(y, x[::stride])


@every_width
def test_shuffle(dtype: str, lanes: int) -> None:
    x, y = drawn(dtype, 2 * lanes), np.zeros(2 * lanes, dtype)
    picks = [int(pick) for pick in np.random.default_rng(3).integers(0, 2 * lanes, lanes)]

    def shuffle(e: Emitter, source: Value, target: Value) -> None:
        a, b = (e.load(e.buffer(source, v=lanes).at(v=v)) for v in range(2))
        e.store(e.shuffle(a, b, picks), target)
        half: Any = e.shuffle(a, b, range(max(lanes // 2, 1)))  # of another length than a vector
        e.store(half, e.buffer(target, v=lanes).at(v=1))

    run(shuffle, x, y, dtype=dtype, lanes=lanes)
    count = max(lanes // 2, 1)
    np.testing.assert_array_equal(y[: lanes + count], [*x[picks], *x[:count]])


@every_width
@pytest.mark.parametrize("k", [-100, -1, 0, 5, 100])
def test_power_of_two(dtype: str, lanes: int, k: int) -> None:
    width, bias, shift = {"float32": (8, 127, 1.5 * 2**23), "float64": (11, 1023, 1.5 * 2**52)}[dtype]
    x, y = np.full(lanes, k, dtype), np.zeros(lanes, dtype)

    def power(e: Emitter, source: Value, target: Value) -> None:
        # adding a large number leaves the integer in the low bits
        shifted = e.arithmetic(e.arithmetic(e.load(source), "+", e.splat(shift)), "+", e.splat(float(bias)))
        e.store(e.power_of_two(shifted, width), target)

    run(power, x, y, dtype=dtype, lanes=lanes)
    assert np.all(y == 2.0**k)


@every_width
def test_extremes_roots_and_counts(dtype: str, lanes: int) -> None:
    """NaN wins on either side, and over all lanes."""
    a, b = np.resize([1.0, np.nan, -np.inf, 3.0], lanes), np.resize([2.0, 5.0, np.nan, -1.0, 4.0], lanes)
    x, y = np.array([a, b], dtype), np.zeros((6, lanes), dtype)

    def emit(e: Emitter, source: Value, target: Value) -> None:
        first, second = (e.load(e.buffer(source, row=lanes).at(row=row)) for row in range(2))
        results = [e.extreme(first, ">", second), e.extreme(first, "<", second), e.square_root(e.splat(2.0))]
        numbers = e.load_each([e.buffer(source, i=1).at(i=0)] * e.lanes)
        results += [e.number(lanes), e.maximum_of_lanes(first), e.maximum_of_lanes(numbers, "<")]
        for row, value in enumerate(results):
            e.store(value, e.buffer(target, row=lanes).at(row=row))

    run(emit, x, y, dtype=dtype, lanes=lanes)
    root = np.sqrt(np.array(2, dtype))
    expected = [np.maximum(*x), np.minimum(*x), *([value] * lanes for value in (root, lanes, x[0].max(), 1.0))]
    np.testing.assert_array_equal(y, np.array(expected, dtype))


@every_width
def test_mantissa_and_exponent(dtype: str, lanes: int) -> None:
    x = np.resize([1.0, 0.75, 0.7, 1e-30, 1.5, 1e30, 2.0, 0.5], lanes).astype(dtype)
    y = np.zeros((2, lanes), dtype)

    def emit(e: Emitter, source: Value, target: Value) -> None:
        parts = e.mantissa_and_exponent(e.load(source), 8 if dtype == "float32" else 11, math.sqrt(0.5))
        for row, value in enumerate(parts):
            e.store(value, e.buffer(target, row=lanes).at(row=row))

    run(emit, x, y, dtype=dtype, lanes=lanes)
    mantissa, exponent = y
    np.testing.assert_array_equal(mantissa * np.exp2(exponent), x)
    least = np.array(math.sqrt(0.5), dtype)
    assert ((mantissa >= least) & (mantissa < 2 * least)).all()


@every_width
def test_numbers_far_apart(dtype: str, lanes: int) -> None:
    """Lanes picked from several vectors, then each stored to a place of its own."""
    x, y = np.arange(3 * lanes).astype(dtype), np.zeros(2 * lanes, dtype)
    wanted = [((2 * lane) % 3, lanes - 1 - lane) for lane in range(lanes)]

    def emit(e: Emitter, source: Value, target: Value) -> None:
        vectors = [e.load(e.buffer(source, i=1).at(i=v * lanes)) for v in range(3)]
        places = [e.buffer(target, i=2).at(i=lane) for lane in range(lanes)]
        e.store_each(e.picked(vectors, wanted), places)

    run(emit, x, y, dtype=dtype, lanes=lanes)
    np.testing.assert_array_equal(y[::2], [v * lanes + p for v, p in wanted])
    assert not y[1::2].any()
