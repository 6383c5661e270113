"""Handlers for XLA, called as XLA calls them: with call frames laid out by hand, from any thread."""

import ctypes
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from checking import assert_is_right, random_dy
from strategies import random_arrays

import faltung as ft
from faltung import reference
from faltung.codegen import xla
from faltung.operators import handlers
from faltung.operators.convolution import Convolution
from faltung.runtime import pool, processor

METADATA, EXECUTE = 1, 3
FRAME_WORDS, API, STAGE, INPUTS, RESULTS = 21, 2, 4, 9, 14


@pytest.fixture(autouse=True)
def restored_threads():
    before = ft.get_num_threads()
    yield
    ft.set_num_threads(before)


def words(*values):
    return (ctypes.c_int64 * len(values))(*values)


def buffer(array):
    return words(48, 0, 11, array.ctypes.data, array.ndim, 0)


def table(entries):
    return words(*map(ctypes.addressof, entries))


def call(handler, inputs, result, stage=EXECUTE, api=None):
    """Call the handler with these arrays as xla/ffi/api/c_api.h lays them out; the error that it returns."""
    entries = [buffer(array) for array in inputs], [buffer(result)]
    tables = [table(part) for part in entries]
    frame = words(*[0] * FRAME_WORDS)
    frame[API] = 0 if api is None else ctypes.addressof(api)
    frame[STAGE] = stage | 0x7FFF << 32  # what lies behind a C enumeration means nothing
    frame[INPUTS], frame[RESULTS] = map(ctypes.addressof, tables)
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(handler)(ctypes.addressof(frame))


def placed(array, offset):
    """A copy that begins `offset` bytes behind a cache line, with NaN around it."""
    memory = np.full(array.nbytes + 256, 0xFF, np.uint8)
    start = -memory.ctypes.data % 64 + 64 + offset
    memory[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    return memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape), memory


def test_the_version_is_told_and_nothing_is_computed():
    handler = handlers.xla_handler_of_convolution(ft.ConvSpec.from_text("conv1d n1 w9 ic1 oc1 kw3"))
    metadata = words(48, 24, 0, -1, -1, 77)
    extension = words(32, METADATA, 0, ctypes.addressof(metadata))
    frame = words(*[0] * FRAME_WORDS)
    frame[1], frame[STAGE] = ctypes.addressof(extension), EXECUTE
    assert ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(handler)(ctypes.addressof(frame)) is None
    assert list(metadata) == [48, 24, 0, 1 << 32, 0, 77]


def test_other_stages_compute_nothing():
    spec = ft.ConvSpec.from_text("conv1d n1 w9 ic1 oc1 kw3")
    x, kernel, _ = random_arrays(spec)
    y = np.full(spec.output_shape, 7.0, spec.dtype)
    handler = handlers.xla_handler_of_convolution(spec)
    for stage in (0, 1, 2):
        assert call(handler, (x, kernel), y, stage) is None
        assert (y == 7).all()
    assert call(handler, (x, kernel), y) is None
    assert_is_right(y, spec, x, kernel, None, "stage 3")


@pytest.mark.parametrize("offset", [0, 4, 60])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_around_the_cache_wherever_they_lie(monkeypatch, offset, threads):
    ft.set_num_threads(threads)
    tiny = replace(processor.current(), l3_bytes=1)
    monkeypatch.setattr(processor, "current", lambda: tiny)
    spec = ft.ConvSpec.from_text("conv1d n3 w500 ic4 oc64 kw3 same relu").replace(bias=True, activation="relu")
    arrays = random_arrays(spec)
    assert Convolution(spec).plan.kernel.has_streaming_stores
    y, memory = placed(np.zeros(spec.output_shape, spec.dtype), offset)
    outside = memory.copy()
    assert call(handlers.xla_handler_of_convolution(spec), arrays, y) is None
    assert_is_right(y, spec, *arrays, f"offset {offset}")
    y[...] = 0
    np.testing.assert_array_equal(memory, outside)


@pytest.mark.parametrize(
    "text",
    [
        "conv1d n2 w40 ic3 oc8 kw3 sw5",
        "conv2d n2 h9 w11 ic4 oc6 kh3 kw2 sh2 sw3 dh2 ph1 g2",
        "conv1d n1 w9 ic2 oc2 kw9 f64",
    ],
)
def test_gradients_fill_the_whole_result(text):
    spec = ft.ConvSpec.from_text(text)
    x, kernel, _ = random_arrays(spec)
    dy = random_dy(spec, 1)
    dx, dkernel = (np.full(shape, np.nan, spec.dtype) for shape in (spec.input_shape, spec.kernel_shape))
    call(handlers.xla_handler_of_input_gradient(spec), (dy, kernel), dx)
    call(handlers.xla_handler_of_kernel_gradient(spec), (x, dy), dkernel)
    expected = reference.input_gradient(dy, kernel, spec=spec), reference.kernel_gradient(x, dy, spec=spec)
    assert np.all(abs(dx - expected[0]) <= reference.input_gradient_bound(dy, kernel, spec=spec)), text
    assert np.all(abs(dkernel - expected[1]) <= reference.kernel_gradient_bound(x, dy, spec=spec)), text


def test_concurrent_callers_while_the_number_of_threads_changes():
    specs = [ft.ConvSpec.from_text(f"conv1d n4 w{width} ic16 oc32 kw5 same") for width in (900, 2000, 5000)]
    native = [handlers.xla_handler_of_convolution(spec) for spec in specs]
    arrays = [random_arrays(spec)[:2] for spec in specs]
    expected = [ft.compile(spec)(*operands) for spec, operands in zip(specs, arrays, strict=True)]
    wrong = []

    def work(first):
        for turn in range(first, first + 30):
            which = turn % len(specs)
            y = np.empty_like(expected[which])
            call(native[which], arrays[which], y)
            if not np.array_equal(y, expected[which]):
                wrong.append(specs[which].to_text())

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for number in (1, 3, 2, 4, 1, 2):
        ft.set_num_threads(number)
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_native_callers_find_the_present_pool():
    place = ctypes.c_int64.from_address(pool.place())
    for number in (3, 1, 2):
        ft.set_num_threads(number)
        assert place.value == pool.current().address
        assert (place.value == 0) == (number == 1)


@pytest.fixture
def boundless(monkeypatch):
    """Handlers want more memory than there is."""

    def record(plans, *arguments):
        return wanted(tuple(replace(plan, shared_bytes=2**60) for plan in plans), *arguments)

    wanted = handlers._record
    monkeypatch.setattr(handlers, "_record", record)


@pytest.mark.usefixtures("boundless")
def test_without_memory_the_host_gets_an_error():
    spec, told = ft.ConvSpec.from_text("conv1d n1 w9 ic2 oc2 kw3 f32"), []
    create_error = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64 * 4))

    @create_error
    def create(arguments):
        size, extension, message, code = arguments.contents
        told.append((size, extension, ctypes.string_at(message).decode(), code & 0xFFFFFFFF))
        return 4096

    api = words(*[0] * 6, ctypes.cast(create, ctypes.c_void_p).value)
    x, kernel = random_arrays(spec)[:2]
    y = np.full(spec.output_shape, 7, "f4")
    assert call(handlers.xla_handler_of_convolution(spec), [x, kernel], y, api=api) == 4096
    assert told == [(32, 0, xla.NO_MEMORY, 8)] and (y == 7).all()


def test_xla_passes_the_error_on():
    program = """
import dataclasses, jax, jax.numpy as jnp
import faltung.jax as fj
from faltung.operators import handlers
wanted = handlers._record
handlers._record = lambda plans, *rest: wanted([dataclasses.replace(p, shared_bytes=2**60) for p in plans], *rest)
try:
    fj.conv1d(jnp.ones((1, 9, 2)), jnp.ones((3, 2, 2))).block_until_ready()
except Exception as error:
    print(error)
handlers._record = wanted
print(fj.conv1d(jnp.ones((1, 9, 2)), jnp.ones((3, 2, 3)))[0, 0, 0])
"""
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"RESOURCE_EXHAUSTED: {xla.NO_MEMORY}", "6.0"]
