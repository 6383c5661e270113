"""Whatever runs between any two lines of a call: other calls in it, signals that end it, a storm of them."""

import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest
from checking import python

import faltung as ft
from faltung.runtime import buffers, team

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape, dtype="f4")


X, OTHER, KERNEL = normal(4, 3000, 16), normal(3, 2000, 16), normal(5, 16, 48)
LONG, TAPS = normal(1, 20_000, 1), normal(900, 1, 2)
WIDE, DEPTHWISE, POINTWISE = normal(2, 20_000, 64), normal(3, 64, 2), normal(1, 128, 8)
DY = normal(4, 2996, 48)

CALLS: dict[str, Callable[[], Any]] = {
    "conv1d": lambda: ft.conv1d(X, KERNEL),
    "kernel gradient": lambda: ft.kernel_gradient(X, DY, 5),
    "input gradient": lambda: ft.input_gradient(DY, KERNEL, X.shape),
    "transposed": lambda: ft.conv1d_transpose(X, KERNEL.transpose(0, 2, 1), stride=2),
    "fft": lambda: ft.conv1d(LONG, TAPS),
    "separable": lambda: ft.separable_conv1d(WIDE, DEPTHWISE, POINTWISE),
}


@pytest.fixture(params=["own threads", "PyTorch's"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Three threads: workers of ours, or the team that PyTorch lends."""
    before, lent = ft.get_num_threads(), team._parallel
    ft.set_num_threads(3)
    if request.param == "own threads":
        team.lend(None)
    else:
        from faltung.torch import threads

        threads.share()
    yield
    team.lend(lent)
    ft.set_num_threads(before)


def between_all_instructions(call: Callable[[], Any], other: Callable[[], object]) -> tuple[Any, int]:
    """The result of a call, with another call before each of its instructions; and how many that were."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_globals.get("__name__", "").startswith("faltung."):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode":
            count += 1
            other()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return call(), count
    finally:
        sys.settrace(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_inside_a_call_changes_no_number(name: str) -> None:
    """Once wrong: the record of a call on PyTorch's team was that of the thread, and the outer result was NaN."""
    expected = CALLS[name]()
    inner_expected = ft.conv1d(OTHER, KERNEL)
    plan = ft.compile(ft.ConvSpec.from_text("conv1d n3 w2000 ic16 oc48 kw5")).plan
    assert plan is not None and plan.num_tasks > 1, "the inner call must be shared among threads, too"

    def other() -> None:
        assert np.array_equal(ft.conv1d(OTHER, KERNEL), inner_expected)

    ft.empty_cache()  # no result is on a block that held the same numbers before
    result, count = between_all_instructions(CALLS[name], other)
    assert count > 100
    assert np.array_equal(result, expected)


def test_a_call_inside_a_call_of_the_fast_path_changes_no_number() -> None:
    import torch

    import faltung.torch.functional as functional

    x, kernel = torch.from_numpy(X.transpose(0, 2, 1).copy()), torch.from_numpy(KERNEL.transpose(2, 1, 0).copy())
    with torch.no_grad():
        expected = functional.conv1d(x, kernel)
        result, count = between_all_instructions(
            lambda: functional.conv1d(x, kernel), lambda: functional.conv1d(x[:, :, :500], kernel)
        )
    assert count > 100
    assert torch.equal(result, expected)


def test_recycled_buffers_keep_their_count_whatever_runs_in_between() -> None:
    """Arrays die, collectors run and limits fall between any two instructions; nobody shares a block."""
    size = 300_000
    alive: list[Any] = []

    def other() -> None:
        if len(alive) % 7 == 3:
            buffers.set_cache_limit(len(alive) * 10_000)
        alive.append(buffers.empty((size,), np.dtype("u1"), size))
        alive[-1][...] = len(alive) % 251
        del alive[: len(alive) // 5 * 2]

    before = buffers.cache_limit()
    try:
        for _ in range(5):
            y, _ = between_all_instructions(lambda: buffers.empty((size,), np.dtype("u1"), size), other)
            y[...] = 255
            between_all_instructions(lambda: buffers.set_cache_limit(2_000_000), other)
            assert np.all(y == 255)
            del y
    finally:
        buffers.set_cache_limit(before)
    alive.clear()
    gc.collect()
    assert buffers.free_bytes() == sum(size * len(blocks) for size, blocks in buffers._free.items())


STORM = """
import faulthandler, random, signal, sys, time
import numpy as np, faltung as ft
from faltung.runtime import buffers
faulthandler.enable()
ft.set_num_threads(3)

def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype="f4")

long, taps = normal(4, 20_000, 1), normal(900, 1, 2)
wide, depthwise, pointwise = normal(2, 20_000, 64), normal(3, 64, 2), normal(1, 128, 256)
dy = normal(4, 19_101, 2)
calls = {
    "separable": lambda: ft.separable_conv1d(wide.copy(), depthwise.copy(), pointwise.copy()),
    "separable again": lambda: ft.separable_conv1d(wide + 1, depthwise.copy(), pointwise.copy()),
    "fft": lambda: ft.conv1d(long.copy(), taps.copy()),
    "fft gradient": lambda: ft.kernel_gradient(long.copy(), dy.copy(), 900),
    "conv": lambda: ft.conv1d(wide[:, :500].copy(), normal(3, 64, 32)),
}
expected = {name: call() for name, call in calls.items()}
assert ft.compile(ft.ConvSpec.from_text("conv1d n4 w20000 ic1 oc2 kw900")).algorithm == "fft"

class Interrupt(BaseException):
    pass

def interrupt(*_):
    signal.setitimer(signal.ITIMER_REAL, random.choice((0.00003, 0.0003, 0.02)) * random.random() + 0.00001)
    if is_armed:
        raise Interrupt

is_armed, interrupted, done = False, 0, 0
sys.unraisablehook = lambda _: None  # an interrupt may fall into a callback of a weak reference, which cannot raise it
signal.signal(signal.SIGALRM, interrupt)
interrupt()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for name, call in calls.items():
        y = None
        try:
            is_armed = True
            y = call()
            is_armed = False
        except Interrupt:
            interrupted += 1
        is_armed = False
        if y is not None:
            done += 1
            assert np.array_equal(y, expected[name]), name
signal.setitimer(signal.ITIMER_REAL, 0)
assert all(np.array_equal(call(), expected[name]) for name, call in calls.items())
ft.empty_cache()
assert buffers.free_bytes() == 0
print(interrupted > 20 and done > 20 or (interrupted, done))
"""


def test_a_storm_of_signals_interrupts_calls_and_breaks_nothing() -> None:
    """Once a segmentation fault: helpers went on in memory that the interrupted caller had let go."""
    done = python(STORM, "6")
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr[-3000:]


def test_the_caller_leaves_only_when_its_helpers_have_stopped() -> None:
    program = """
import _thread, threading, time
import faltung as ft
from faltung.runtime.python_threads import on_threads
ft.set_num_threads(3)
at_work, most = [], threading.Event()

def work(index):
    if threading.current_thread() is threading.main_thread():
        most.wait(5)
        for _ in range(20):
            _thread.interrupt_main()
            time.sleep(0.001)
    at_work.append(index)
    most.set()
    threading.Timer(0.05, _thread.interrupt_main).start()  # while the caller waits
    time.sleep(0.3)
    at_work.remove(index)

try:
    on_threads(work, 3)
except KeyboardInterrupt:
    print("interrupted", at_work)
"""
    done = python(program)
    assert done.stdout.startswith("interrupted []"), done


ENDINGS = {
    "fft": "ft.conv1d(np.ones((4, 20_000, 1), 'f4'), np.ones((900, 1, 2), 'f4'))",
    "separable": "ft.separable_conv1d(*(np.ones(s, 'f4') for s in ((2, 20_000, 64), (3, 64, 2), (1, 128, 8))))",
}


@pytest.mark.parametrize("daemon", [True, False])
@pytest.mark.parametrize("path", ENDINGS)
def test_the_interpreter_ends_in_the_middle_of_a_call_on_python_threads(path: str, daemon: bool) -> None:
    """Once it printed: cannot schedule new futures after shutdown."""
    program = f"""
import atexit, numpy as np, threading, time, faltung as ft
ft.set_num_threads(3)
def call():
    return {ENDINGS[path]}
expected = call()
is_over = threading.Event()
def work():
    while not is_over.is_set():
        assert np.array_equal(call(), expected)
for _ in range(2):
    threading.Thread(target=work, daemon={daemon}).start()
threading.Timer(0.4, is_over.set).start()
def last():
    assert np.array_equal(call(), expected)
    print("end", flush=True)
atexit.register(last)
time.sleep(0.1)
"""
    done = python(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
