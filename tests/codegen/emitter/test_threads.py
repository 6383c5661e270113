"""Atomics, between threads too; waiting; and the floating-point control of a thread."""

import ctypes
import threading

import numpy as np
import pytest
from tiny_programs import ints, run, write

from faltung.codegen.emitter import Emitter, Value
from faltung.machine.known import NEON, SSE2, TARGETS
from faltung.runtime import compile as compiler
from faltung.runtime import processor


def test_exchange_add_and_replace() -> None:
    shared, result = ints(5), np.zeros(8, np.int64)

    def atomics(e: Emitter, place: Value, out: Value) -> None:
        found = [e.exchange(place, 7), e.add_shared(place, 3), e.load_shared(place)]
        found += [e.as_int(e.replace_if_equal(place, 10, 20)), e.as_int(e.replace_if_equal(place, 10, 30))]
        write(e, out, *found, e.load_shared(place), e.add_shared(place, -1), e.load_shared(place))

    run(atomics, shared, result)
    assert result.tolist() == [5, 7, 10, 1, 0, 20, 20, 19] and shared.tolist() == [19]


def test_pointers_are_exchanged_whole() -> None:
    place, other, result = ints(0), ints(77), ints(9, 9)

    def swap(e: Emitter, place: Value, other: Value, out: Value) -> None:
        before = e.exchange(place, other)
        write(e, out, e.as_int(e.is_there(before)), e.load_i64(e.exchange(place, e.null())))

    run(swap, place, other, result)
    assert result.tolist() == [0, 77] and place.tolist() == [0]


def test_threads_lose_no_addition() -> None:
    def emit(e: Emitter) -> None:
        with e.function("count", "*shared", "times") as (shared, times), e.loop("i", times):
            e.add_shared(shared, 1)
            # a field of which each takes its turn: read, then replace what was read
            with e.loop_while("again") as again:
                seen = e.load_shared(e.fields(shared).at(i=8))
                again.leave_if(e.replace_if_equal(e.fields(shared).at(i=8), seen, e.add(seen, 2)))
                e.pause()

    target = processor.current()
    code = compiler.object_code("count", emit, dtype="float32", target=target)
    engine, addresses = compiler._load(code, compiler._machine(target), ("count",))
    count = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(addresses["count"])
    shared = np.zeros(16, np.int64)
    threads = [threading.Thread(target=count, args=(shared.ctypes.data, 20_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (shared[0], shared[8]) == (80_000, 160_000)
    del engine  # which holds the program until here


def test_denormal_numbers_are_dropped_and_come_back() -> None:
    tiny = np.full(4, 1e-40, np.float32)
    result, control = np.full(12, -1, np.float32), np.zeros(3, np.int64)

    def drop(e: Emitter, source: Value, target: Value, kept: Value) -> None:
        before = e.float_control()
        out = e.buffer(target, row=4)
        e.store(e.arithmetic(e.load(source), "*", e.splat(2.0)), out.at(row=0))
        e.set_float_control(e.without_denormals(before))
        e.call("twice", source, out.at(row=1))
        dropped = e.float_control()
        e.set_float_control(before)
        e.call("twice", source, out.at(row=2))
        write(e, kept, before, dropped, e.float_control())

    def program(e: Emitter, *arrays: Value) -> None:
        with e.function("twice", "*source", "*target", internal=True) as (source, target):
            e.store(e.arithmetic(e.load(source), "*", e.splat(2.0)), target)
        drop(e, *arrays)

    run(program, tiny, result, control)
    first, dropped, last = result.reshape(3, 4)
    assert np.all(first == 2 * tiny) and np.all(dropped == 0) and np.all(last == 2 * tiny)
    before, without, after = control.tolist()
    assert before == after != without


@pytest.mark.parametrize("name", TARGETS)
def test_waiting_and_control_are_the_target_s(name: str) -> None:
    def emit(e: Emitter) -> None:
        with e.function("wait"):
            e.pause()
            e.set_float_control(e.without_denormals(e.float_control()))

    text = compiler.assembly("wait", emit, dtype="float32", target=TARGETS[name])
    theirs, others = ("pause", "ldmxcsr", "stmxcsr"), ("yield", "mrs\t", "msr\t")
    for word in theirs if TARGETS[name].is_x86 else others:
        assert word in text.lower(), word
    for word in others if TARGETS[name].is_x86 else theirs:
        assert word not in text.lower(), word


def test_control_bits() -> None:
    for target, bits in ((SSE2, 0x8040), (NEON, 1 << 24)):
        e = Emitter(target, "float32")
        with e.function("f", "control") as (control,):
            e.without_denormals(control)
        assert f'or i64 %"control", {bits}' in str(e.module)
