"""Threads: many callers, changes of their number, forks and the end of the interpreter in the middle of work."""

import multiprocessing
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from checking import assert_is_right, call, exit_code, fork, python, repro
from strategies import random_arrays

import faltung as ft

NUM_CALLERS = 8
TIMEOUT = 60


@pytest.fixture(autouse=True)
def same_number_of_threads() -> Iterator[None]:
    before = ft.get_num_threads()
    yield
    ft.set_num_threads(before)


def specs_of(caller: int, *, first_channels: int = 3) -> list[ft.ConvSpec]:
    """Return specs that no other caller has: small ones, and ones large enough to be shared among threads."""
    channels = first_channels + caller
    return [
        ft.ConvSpec.from_text(text)
        for text in (
            f"conv1d n3 w40 ic{channels} oc5 kw3 same relu f32",
            f"conv1d n4 w900 ic{channels} oc32 kw9 same bias f32",
            f"conv1d n4 w900 ic{channels} oc32 kw9 same ncw f32",
            f"conv2d n2 h40 w40 ic{channels} oc24 kh3 kw3 same gelu f64",
        )
    ]


def bits(spec: ft.ConvSpec) -> bytes:
    return call(spec, *random_arrays(spec)).tobytes()


def at_once(works: list[Callable[[], None]]) -> None:
    """Run all works at the same time, each in its thread; raise the first error."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(TIMEOUT)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def test_callers_that_compile_and_run_while_the_process_forks() -> None:
    """Eight threads with specs of their own; meanwhile children that run old ones and compile new ones."""
    ft.set_num_threads(3)
    results: dict[ft.ConvSpec, set[bytes]] = {}

    def work(caller: int) -> Callable[[], None]:
        def run() -> None:
            for spec in specs_of(caller) * 4:
                results.setdefault(spec, set()).add(bits(spec))

        return run

    ours = specs_of(20)
    expected = [bits(spec) for spec in ours]

    def child_works(number: int) -> Callable[[], bool]:
        def run() -> bool:
            new = specs_of(30 + number)
            for spec in new:
                assert_is_right(call(spec, *random_arrays(spec)), spec, *random_arrays(spec), repro(spec, 0))
            ft.set_num_threads(2)
            return [bits(spec) for spec in ours] == expected

        return run

    codes: list[int | str] = []

    def run_children() -> None:
        for number in range(4):
            codes.append(exit_code(fork(child_works(number)), TIMEOUT / 2))
            time.sleep(0.01)

    at_once([*(work(caller) for caller in range(NUM_CALLERS)), run_children])
    assert codes == [0] * 4
    ft.set_num_threads(1)
    assert len(results) == NUM_CALLERS * 4
    for spec, found in results.items():
        assert found == {bits(spec)}, repro(spec, 0)


def test_callers_that_share_one_convolution() -> None:
    spec = ft.ConvSpec.from_text("conv1d n4 w900 ic16 oc32 kw9 same bias silu f32")
    convolution, arrays = ft.compile(spec), random_arrays(spec)
    expected = convolution(*arrays).tobytes()
    found: set[bytes] = set()

    def work() -> None:
        out = np.empty(spec.output_shape, "f4")
        for number in range(40):
            found.add(convolution(*arrays, out=out if number % 2 else None).tobytes())

    at_once([work] * NUM_CALLERS)
    assert found == {expected}


def test_the_number_of_threads_may_change_while_calls_run() -> None:
    spec = ft.ConvSpec.from_text("conv2d n2 h60 w60 ic16 oc32 kh3 kw3 same f32")
    expected, found = bits(spec), set()
    is_over = threading.Event()

    def change() -> None:
        try:
            for number in [1, 2, 3, 8, 1, 5] * 8:
                ft.set_num_threads(number)
                assert ft.get_num_threads() == number
                time.sleep(0.002)
        finally:
            is_over.set()

    def work() -> None:
        while not is_over.is_set():
            found.add(bits(spec))

    at_once([change, work, work, work])
    assert found == {expected}


def test_a_forked_child_of_a_busy_parent_uses_several_threads() -> None:
    ft.set_num_threads(4)
    spec = specs_of(9)[1]
    expected = bits(spec)

    def work() -> bool:
        return ft.get_num_threads() == 4 and all(bits(spec) == expected for _ in range(20))

    for _ in range(5):
        assert exit_code(fork(work)) == 0
        assert bits(spec) == expected


def test_a_child_may_fork_again() -> None:
    spec = specs_of(9)[1]
    expected = bits(spec)

    def child() -> bool:
        return bits(spec) == expected and exit_code(fork(lambda: bits(spec) == expected)) == 0

    assert exit_code(fork(child)) == 0


def test_a_multiprocessing_pool_that_forks() -> None:
    specs = [spec for caller in range(3) for spec in specs_of(caller, first_channels=50)]
    expected = [bits(spec) for spec in specs[:4]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            found = pool.map_async(bits, specs * 2, chunksize=1).get(TIMEOUT)
    assert found[:4] == expected
    assert found == [bits(spec) for spec in specs] * 2


# --- the end

LARGE = "np.ones((8, 2000, 32), 'f4'), np.ones((9, 32, 64), 'f4')"
ENDINGS = {
    "with idle workers": f"""
import numpy as np, faltung as ft
ft.set_num_threads(4)
ft.conv1d({LARGE})
""",
    "with sleeping workers": f"""
import numpy as np, time, faltung as ft
ft.set_num_threads(4)
ft.conv1d({LARGE})
time.sleep(0.2)
""",
    "with a daemon thread in the middle": f"""
import numpy as np, threading, time, faltung as ft
ft.set_num_threads(4)
arrays = {LARGE}
ft.conv1d(*arrays)
def work():
    while True:
        ft.conv1d(*arrays)
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
""",
    "with a daemon thread that compiles": """
import numpy as np, threading, time, faltung as ft
def work():
    for channels in range(1, 10_000):
        ft.conv1d(np.ones((1, 20, 1), 'f4'), np.ones((3, 1, channels), 'f4'))
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
""",
    "with a result that lives on": f"""
import numpy as np, sys, faltung as ft
sys.kept = ft.conv1d({LARGE})[:, ::2]
""",
    "with a convolution in a cycle": f"""
import numpy as np, faltung as ft
class Model: pass
model = Model()
model.self = model
model.conv = ft.compile(ft.ConvSpec.from_text('conv1d n8 w2000 ic32 oc64 kw9'))
model.y = model.conv({LARGE})
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_ends_at_once(ending: str) -> None:
    done = python(ENDINGS[ending] + "print('end', flush=True)", timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_workers_do_not_keep_a_processor_busy_for_long() -> None:
    """Idle workers spin for a moment and then sleep: a second of doing nothing costs no processor time."""
    done = python(
        f"""
import numpy as np, time, faltung as ft
ft.set_num_threads(4)
ft.conv1d({LARGE})
time.sleep(0.1)
before = time.process_time()
time.sleep(1)
print(time.process_time() - before)
"""
    )
    assert float(done.stdout) < 0.05, done


def test_signals_reach_python_not_the_workers() -> None:
    done = python(
        f"""
import numpy as np, os, signal, faltung as ft
ft.set_num_threads(4)
ft.conv1d({LARGE})
signal.signal(signal.SIGUSR1, lambda *_: print('caught'))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    )
    assert done.stdout == "caught\n", done


def test_the_setting_of_the_environment() -> None:
    program = "import faltung as ft; print(ft.get_num_threads())"
    assert python(program, FALTUNG_NUM_THREADS="3").stdout == "3\n"
    everywhere = (
        "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())"
    )
    found = python(f"{program}; {everywhere}", FALTUNG_NUM_THREADS="").stdout.split()
    assert found[0] == found[1]
    on_one = "import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    found = python(f"{on_one}{program}; {everywhere}", FALTUNG_NUM_THREADS="").stdout.split()
    assert found[0] == found[1]


@pytest.mark.parametrize("said, number", [("1", "1"), ("3,2", "3"), (" 2 ", "2")])
def test_openmps_setting_is_followed(said: str, number: str) -> None:
    program = "import faltung as ft; print(ft.get_num_threads())"
    assert python(program, FALTUNG_NUM_THREADS="", OMP_NUM_THREADS=said).stdout.strip() == number
    assert python(program, FALTUNG_NUM_THREADS="4", OMP_NUM_THREADS=said).stdout == "4\n"
    for nonsense in ("", "many", "0", "-1"):
        everywhere = python(program, FALTUNG_NUM_THREADS="", OMP_NUM_THREADS=nonsense).stdout
        assert everywhere == python(program, FALTUNG_NUM_THREADS="").stdout
