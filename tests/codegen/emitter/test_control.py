"""Loops, also of one step and of none; branches; functions and calls."""

import ctypes

import numpy as np
import pytest
from tiny_programs import instructions, ints, run, write

from faltung.codegen.emitter import POINTER, Emitter, Value
from faltung.machine.known import AVX2
from faltung.runtime import compile as compiler
from faltung.runtime import processor

RANGES = [(0, 0, 1), (3, 0, 1), (7, 7, 1), (7, 8, 1), (2, 10, 3), (0, 12, 4), (-5, 5, 5), (4, -4, 1), (0, 100, 100)]


@pytest.mark.parametrize("known", ["all", "start", "stop", "step", "none"])
@pytest.mark.parametrize(("start", "stop", "step"), RANGES)
def test_a_loop_is_a_range(start: int, stop: int, step: int, known: str) -> None:
    seen = np.full(64, -99, np.int64)

    def loop(e: Emitter, out: Value, *values: Value) -> None:
        bounds = {"start": start, "stop": stop, "step": step}
        for name, value in zip(bounds, values, strict=True):
            if known not in ("all", name):
                bounds[name] = value
        count = e.variable(0, "count")
        with e.loop("i", **bounds) as i:
            e.store_scalar(i, e.fields(out).at(i=count.get()))
            count.increase(1)

    run(loop, seen, start, stop, step)
    assert seen[seen != -99].tolist() == list(range(start, stop, step))


@pytest.mark.parametrize(("start", "stop", "step"), [(0, 1, 1), (3, 5, 2), (3, 4, 16), (-1, 0, 1)])
def test_a_single_known_step_makes_no_loop(start: int, stop: int, step: int) -> None:
    e = Emitter(AVX2, "float32")
    with e.function("f"), e.loop("i", stop, start, step) as i:
        assert i == start and isinstance(i, int)
    assert instructions(e) == ["ret void"]


def test_a_loop_that_is_known_to_begin_asks_once() -> None:
    e = Emitter(AVX2, "float32")
    with e.function("f", "n") as (n,), e.loop("i", 5):
        pass
    assert instructions(e).count("icmp") == 1
    with e.function("g", "n") as (n,), e.loop("i", n):
        pass
    assert instructions(e).count("icmp") == 3


def test_nested_loops_and_branches_inside() -> None:
    result = np.zeros(12, np.int64)

    def nested(e: Emitter, out: Value, rows: Value, columns: Value) -> None:
        with e.loop("row", rows) as row, e.loop("column", columns) as column:
            place = e.fields(out).at(i=e.add(e.mul(row, columns), column))
            with e.when(e.compare(row, "!=", column)):
                e.store_scalar(e.add(e.mul(row, 10), column), place)

    run(nested, result, 3, 4)
    assert result.tolist() == [0, 1, 2, 3, 10, 0, 12, 13, 20, 21, 0, 23]


def test_a_loop_of_its_own_length() -> None:
    result = ints(0)

    def collatz(e: Emitter, out: Value, n: Value) -> None:
        number, steps = e.variable(n, "number"), e.variable(0, "steps")
        with e.loop_while("steps") as forever:
            forever.leave_if(e.compare(number.get(), "==", 1))
            half, odd = e.divide(number.get(), 2)
            number.set(e.choose(e.compare(odd, "==", 1), e.add(e.mul(number.get(), 3), 1), half))
            steps.increase(1)
        e.store_scalar(steps.get(), out)

    run(collatz, result, 27)
    assert result.tolist() == [111]


@pytest.mark.parametrize("likely", [None, True, False])
@pytest.mark.parametrize("number", [-1, 0, 1])
def test_either_and_when(number: int, likely: bool | None) -> None:
    result = ints(0, 0, 0)

    def branches(e: Emitter, out: Value, n: Value) -> None:
        fields = e.fields(out)
        with e.either(e.compare(n, "<", 0), likely=likely) as (then, otherwise):
            with then:
                e.store_scalar(10, fields.at(i=0))
            with otherwise, e.loop("i", n) as i:
                e.store_scalar(e.add(i, 20), fields.at(i=0))
        with e.when(e.compare(n, "==", 0)):
            e.store_scalar(30, fields.at(i=1))
        e.store_scalar(40, fields.at(i=2))

    run(branches, result, number)
    assert result.tolist() == [{-1: 10, 0: 0, 1: 20}[number], 30 if number == 0 else 0, 40]


def test_calls_of_our_own_and_of_the_c_library() -> None:
    result, text = ints(0, 0, 0, 0), np.frombuffer(b"\x07" * 16, np.uint8).copy()

    def calls(e: Emitter, out: Value, memory: Value, place: Value) -> None:
        with e.function("add_to", "*place", "number", internal=True) as (there, number):
            e.store_scalar(e.add(e.load_i64(there), number), there)
        e.call("add_to", out, 5)
        e.call("add_to", out, e.add(e.load_i64(out), 1))
        e.call_stored(place, memory, 16)  # bzero, whose address stands there
        first = e.call_external("memcpy", [e.fields(out).at(i=1), memory, 8], POINTER)
        e.store_scalar(7, e.fields(first).at(i=1))

    zero = ctypes.cast(ctypes.CDLL(None).bzero, ctypes.c_void_p).value
    assert zero is not None
    run(calls, result, text, ints(zero))
    assert result.tolist() == [11, 0, 7, 0] and not text.any()


def test_functions_return_nothing_or_a_pointer() -> None:
    def emit(e: Emitter) -> None:
        with e.function("nothing", "*place") as (place,):
            e.store_scalar(e.null(), place)
        with e.function("null", "*place", returns_pointer=True) as (place, _):
            e.store_scalar(1, place)
        with e.function("pointer", "*place", returns_pointer=True) as (_, result):
            result.set(e.text("wörter", "words"))

    target = processor.current()
    code = compiler.object_code("returns", emit, dtype="float32", target=target)
    place = ints(99)
    engine, addresses = compiler._load(code, compiler._machine(target), ("nothing", "null", "pointer"))
    assert ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(addresses["null"])(place.ctypes.data) is None
    assert place.tolist() == [1]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(addresses["nothing"])(place.ctypes.data)
    assert place.tolist() == [0]
    told = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(addresses["pointer"])(place.ctypes.data)
    assert told.decode() == "wörter"
    del engine  # which holds the program until here


def test_a_place_of_the_program_s_own() -> None:
    result = ints(1, 2)

    def own(e: Emitter, out: Value) -> None:
        place = e.own_pointer("kept")
        was_there = e.as_int(e.is_there(e.load_pointer(place)))
        e.store_scalar(out, place)
        write(e, e.load_pointer(place), was_there, 5)

    run(own, result)
    assert result.tolist() == [0, 5]
