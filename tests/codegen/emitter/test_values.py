"""Integers: what is known costs no instruction, what is not is computed as Python would; conditions and variables."""

from typing import Any

import numpy as np
import pytest
from tiny_programs import instructions, ints, run, write

from faltung.codegen.emitter import Emitter, Value
from faltung.machine.known import AVX2

NUMBERS = [(0, 1), (1, 1), (7, 3), (12, 4), (5, 9), (2**40, 3)]


def test_known_integers_cost_no_instruction() -> None:
    e = Emitter(AVX2, "float32")
    with e.function("f", "n") as (n,):
        assert e.add(2, 3, 4) == 9 and e.add() == 0
        assert e.sub(2, 3) == -1
        assert e.mul(6, 7) == 42
        assert e.divide(17, 5) == (3, 2)
        assert (e.minimum(2, 3), e.maximum(2, 3)) == (2, 3)
        assert e.mul(n, 0) == 0 and e.mul(0, n) == 0
        assert e.mul(n, 1) is n and e.mul(1, n) is n
        assert e.add(n, 0) is n and e.add(3, n, -3) is n
        assert e.divide(n, 1) == (n, 0)
        assert e.i64(n) is n
    assert instructions(e) == ["ret void"]


def test_known_terms_are_added_first() -> None:
    e = Emitter(AVX2, "float32")
    with e.function("f", "a", "b") as (a, b):
        e.add(1, a, 2, b, 3)
    assert instructions(e) == ["add", "add", "ret void"]


@pytest.mark.parametrize("known", ["neither", "first", "second"])
@pytest.mark.parametrize(("a", "b"), NUMBERS)
def test_arithmetic_is_python_s(a: int, b: int, known: str) -> None:
    result = np.zeros(8, np.int64)

    def arithmetic(e: Emitter, out: Value, x: Value, y: Value) -> None:
        x, y = a if known == "first" else x, b if known == "second" else y
        write(e, out, e.add(x, y), e.sub(x, y), e.mul(x, y), *e.divide(x, y), e.minimum(x, y), e.maximum(x, y))

    run(arithmetic, result, a, b)
    np.testing.assert_array_equal(result[:7], [a + b, a - b, a * b, a // b, a % b, min(a, b), max(a, b)])


@pytest.mark.parametrize(("a", "b"), [*NUMBERS, (-1, 0), (-3, 5), (4, -4)])
def test_conditions(a: int, b: int) -> None:
    result = np.zeros(12, np.int64)

    def conditions(e: Emitter, out: Value, x: Value, y: Value) -> None:
        found = [e.compare(x, how, y) for how in ("<", "<=", "==", "!=", ">", ">=")]
        found += [e.below(x, y), e.all_of(found[0], found[3]), e.is_not(found[2]), e.true(), e.compare(x, ">", -2)]
        write(e, out, *(e.as_int(condition) for condition in found), e.choose(found[0], x, 77))

    run(conditions, result, a, b)
    known = [a < b, a <= b, a == b, a != b, a > b, a >= b, 0 <= a < b or (b < 0 <= a), a < b, a != b, True, a > -2]
    np.testing.assert_array_equal(result, [*known, a if a < b else 77])


def test_halves() -> None:
    result = np.zeros(2, np.int64)
    run(lambda e, out, x: write(e, out, *e.halves(x)), result, (5 << 32) + 2**32 - 7)
    assert result.tolist() == [5, 2**32 - 7]


def test_pointers() -> None:
    result, other = np.zeros(6, np.int64), ints(41, 42)

    def pointers(e: Emitter, out: Value, place: Value, nothing: Value, is_first: Value) -> None:
        second = e.fields(place).at(i=1)
        chosen = e.choose_pointer(e.compare(is_first, "!=", 0), place, second)
        variable = e.pointer_variable(place, "variable")
        variable.set(second)
        null = e.load_pointer(nothing)
        flags = [e.is_there(place), e.is_there(null), e.is_there(e.null())]
        write(e, out, e.load_i64(chosen), e.load_i64(variable.get()), *map(e.as_int, flags))

    run(pointers, result, other, ints(0), 0)
    assert result.tolist() == [42, 42, 1, 0, 0, 0]


@pytest.mark.parametrize("offset", [0, 4, 8, 16, 60])
def test_alignment(offset: int) -> None:
    memory = np.zeros(256, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    result = np.zeros(3, np.int64)

    def alignment(e: Emitter, out: Value, place: Value) -> None:
        write(e, out, *(e.as_int(e.is_aligned(place, size)) for size in (4, 16, 64)))

    run(alignment, result, memory[start:])
    assert result.tolist() == [1, offset % 16 == 0, offset == 0]


def test_variables() -> None:
    result = np.zeros(4, np.int64)

    def variables(e: Emitter, out: Value, n: Value) -> None:
        number, other = e.variable(3, "number"), e.variable(n, "other")
        before = number.get()
        number.increase(n)
        number.increase(2)
        other.set(100)
        write(e, out, before, number.get(), other.get())

    run(variables, result, 10)
    assert result.tolist() == [3, 15, 100, 0]


def test_vector_variables() -> None:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)

    def variables(e: Emitter, source: Value, target: Value) -> None:
        total: Any = e.vector_variable("total")
        total.set(e.load(source))
        total.set(e.arithmetic(total.get(), "+", e.splat(1.0)))
        e.store(total.get(), target)

    run(variables, x, y)
    assert y.tolist() == [1, 2, 3, 4]
