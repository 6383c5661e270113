"""Buffers, loads and stores; masks of no lane to all lanes, by masked stores and by the halves of targets without."""

import ctypes
import mmap
from typing import Any

import numpy as np
import pytest
from tiny_programs import Array, every_width, instructions, ints, run, target_of, write

from faltung.codegen.emitter import Buffer, Emitter, Value
from faltung.machine.known import AVX2, AVX512


def numbers(dtype: str, size: int = 64) -> Array:
    """Return distinct numbers, none of them zero."""
    return np.arange(1, size + 1).astype(dtype)


# --- addresses


def test_known_offsets_are_one() -> None:
    e = Emitter(AVX2, "float32")
    with e.function("f", "*x", "n") as (x, n):
        buffer = e.buffer(x, line=100, w=1)
        assert buffer.at() is x and buffer.at(line=0, w=0) is x and buffer.at(line=1, w=-100) is x
        buffer.at(line=2, w=3)
        assert instructions(e) == ["getelementptr"]
        buffer.at(line=n, w=3)
    assert instructions(e) == ["getelementptr", "mul", "getelementptr", "getelementptr", "ret void"]


def test_axes_and_origins() -> None:
    x, result = np.arange(60, dtype=np.float64).reshape(3, 4, 5), np.zeros(4)

    def axes(e: Emitter, source: Value, target: Value, n: Value) -> None:
        array, out = e.buffer(source, c=20, h=5, w=1), e.buffer(target, i=1)
        places = [array.at(c=2, h=n, w=4), array.moved(c=n).at(h=3), array.moved(h=1).moved(c=1, w=n).at(w=-1)]
        for place_number, place in enumerate(places):
            e.store_scalar(e.load_scalar(place), out.at(i=place_number))
        e.store_scalar(e.zero(), out.at(i=3))

    result[3] = 9
    run(axes, x, result, 2, dtype="float64")
    assert result.tolist() == [x[2, 2, 4], x[2, 3, 0], x[1, 1, 1], 0]


def test_fields_bytes_and_small_arrays() -> None:
    result, record = np.zeros(6, np.int64), ints(11, 22, 33)

    def arrays(e: Emitter, out: Value, place: Value, n: Value) -> None:
        fields, own, pointers = e.fields(place), e.integers(3, "own"), e.pointers(2, "pointers")
        for i in range(3):
            e.store_scalar(e.mul(fields.field(i), 2), own.at(i=i))
        e.store_scalar(place, pointers.at(i=0))
        e.store_scalar(e.byte_buffer(place).at(i=8), pointers.at(i=1))
        second = e.load_i64(pointers.pointer_at(n))
        write(e, out, own.field(0), own.field(n), own.moved(i=1).field(1), second, fields.field(n))

    run(arrays, result, record, 1)
    assert result.tolist() == [22, 44, 66, 22, 22, 0]


@every_width
def test_elements_of_the_program_s_own(dtype: str, lanes: int) -> None:
    x, y = numbers(dtype), np.full(64, -1, dtype)

    def elements(e: Emitter, source: Value, target: Value) -> None:
        own, zeros, out = e.elements(2 * lanes, "own"), e.zero_elements(lanes, "zeros"), e.buffer(target, i=1)
        e.store(e.load(source), own.pointer)
        e.store(e.load(zeros.pointer), own.at(i=lanes))
        e.store_scalar(e.load_scalar(own.at(i=lanes - 1)), out.at(i=0))
        e.store(e.load(own.at(i=lanes)), out.at(i=1))
        e.copy_numbers(source, out.at(i=lanes + 1), 3)

    run(elements, x, y, dtype=dtype, lanes=lanes)
    np.testing.assert_array_equal(y[: lanes + 4], [lanes, *[0] * lanes, 1, 2, 3])
    assert np.all(y[lanes + 4 :] == -1)


# --- vectors


@every_width
def test_loads_stores_and_broadcasts(dtype: str, lanes: int) -> None:
    x, y = numbers(dtype), np.full(64, -1, dtype)

    def move(e: Emitter, source: Value, target: Value) -> None:
        here, there = e.buffer(source, i=1), e.buffer(target, i=1)
        e.prefetch(here.at(i=1000))
        e.prefetch(here.at(i=1000), to_write=True)
        e.store(e.load(here.at(i=1)), there.at(i=3))  # aligned to nothing but its element
        e.store(e.broadcast(here.at(i=7)), there.at(i=3 + lanes))

    run(move, x, y, dtype=dtype, lanes=lanes)
    expected = np.full(64, -1, dtype)
    expected[3 : 3 + lanes], expected[3 + lanes : 3 + 2 * lanes] = x[1 : 1 + lanes], x[7]
    np.testing.assert_array_equal(y, expected)


@every_width
def test_streaming_stores(dtype: str, lanes: int) -> None:
    memory = np.zeros(128, dtype)
    y = memory[-memory.ctypes.data % 64 // memory.itemsize :]

    def stream(e: Emitter, source: Value, target: Value) -> None:
        e.store_streaming(e.load(source), e.buffer(target, i=1).at(i=lanes))
        e.fence()

    run(stream, numbers(dtype), y, dtype=dtype, lanes=lanes)
    np.testing.assert_array_equal(y[: 3 * lanes], [*[0] * lanes, *range(1, lanes + 1), *[0] * lanes])


# --- some lanes


def test_all_lanes_are_no_mask() -> None:
    e = Emitter(AVX512, "float32")
    with e.function("f"):
        assert e.mask(16) is None and e.mask(20) is None
        mask = e.mask(15)
        assert mask is not None and mask.count == 15
    assert instructions(e) == ["ret void"]


@every_width
@pytest.mark.parametrize("has_masked_stores", [True, False], ids=["masked", "halves"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "counted"])
def test_some_lanes_are_read_and_written(dtype: str, lanes: int, has_masked_stores: bool, is_known: bool) -> None:
    """Lanes that no mask names hold NaN in memory before, and after."""

    def masked(e: Emitter, source: Value, target: Value, count: Value) -> None:
        here, there, step = e.buffer(source, i=1), e.buffer(target, i=1), 0
        for known in range(-1, lanes + 2):
            mask = e.mask(known if is_known else e.add(known, count))
            value = e.load_masked(here.at(i=step + 1), mask)
            e.store_masked(value, there.at(i=step + 1), mask)
            step += lanes + 2
        # lanes outside are zeros in the register
        e.store(e.load_masked(here.at(i=1), e.mask(0 if is_known else count)), there.at(i=step))

    total = (lanes + 2) * (lanes + 3)
    x, y = numbers(dtype, total + lanes), np.full(total + lanes, np.nan, dtype)
    expected = y.copy()
    for step, count in enumerate(range(-1, lanes + 2)):
        begin = step * (lanes + 2) + 1
        end = begin + min(max(count, 0), lanes)
        expected[begin:end] = x[begin:end]
    expected[total:] = 0
    run(masked, x, y, 0, dtype=dtype, lanes=lanes, has_masked_stores=has_masked_stores)
    np.testing.assert_array_equal(y, expected)


def test_a_target_says_how_it_stores_some_lanes() -> None:
    for target, is_masked in ((AVX2, False), (AVX512, True)):
        e = Emitter(target, "float32")
        with e.function("f", "*x") as (x,):
            e.store_masked(e.splat(1.0), x, e.mask(3))
        assert ("llvm.masked.store" in str(e.module)) == is_masked == target.has_masked_stores


def test_a_mask_reads_nothing_past_the_end_of_memory() -> None:
    """The last page of an array: a load of all lanes would reach into the next, which may not be there."""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    memory = np.frombuffer(pages, np.float32)
    end = mmap.PAGESIZE // 4
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    address = memory.ctypes.data + mmap.PAGESIZE
    assert protect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    try:
        memory[end - 3 : end] = 1, 2, 3

        def last(e: Emitter, place: Value, count: Value) -> None:
            for mask in (e.mask(3), e.mask(count)):
                e.store_masked(e.arithmetic(e.load_masked(place, mask), "*", e.splat(2.0)), place, mask)

        for has_masked_stores in (True, False):
            run(last, memory[end - 3 : end], 3, lanes=16, has_masked_stores=has_masked_stores)
        assert memory[end - 3 : end].tolist() == [16, 32, 48]
    finally:
        protect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 3)


def test_a_buffer_shows_what_it_was_given() -> None:
    e = Emitter(target_of("float32", 4), "float32")
    with e.function("f", "*x") as (x,):
        buffer: Any = e.buffer(x, w=3)
        assert isinstance(buffer, Buffer) and buffer.pointer is x and buffer.strides == {"w": 3}
