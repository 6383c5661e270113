"""The worker threads: how many, started once, closed and restarted when the number changes or the process forks."""

import ctypes
import logging
import operator
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import SupportsIndex, TypeVar

from faltung.codegen import launcher
from faltung.errors import FaltungError, OutOfMemoryError
from faltung.runtime import compile as compiler
from faltung.runtime import processor
from faltung.runtime.locks import lock_across_forks

SPIN_MICROSECONDS = 500
"""How long an idle worker spins before it sleeps: waking a sleeping one takes about this long on a virtual machine."""

MOST_THREADS = 1024

log = logging.getLogger("faltung")
_lock = lock_across_forks()
FUNCTIONS = (
    *("launch", "launch_pointers", "serve", "run_jobs", "run_jobs_on", "worker", "team"),
    *("wake", "spin", "drop_denormals", "restore_denormals"),
)


@cache
def addresses() -> dict[str, int]:
    """The launcher's functions, compiled once for all kernels."""
    array_data_offset = object.__basicsize__
    program = compiler.build(
        ("launcher", array_data_offset),
        lambda e: launcher.emit_launcher(e, array_data_offset),
        FUNCTIONS,
        dtype="float32",
        target=processor.current(),
    )
    return program.addresses


@cache
def _spins() -> int:
    """How many pauses fill SPIN_MICROSECONDS."""
    spin = ctypes.CFUNCTYPE(None, ctypes.c_int64)(addresses()["spin"])
    sample = 2000
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        spin(sample)
        seconds.append(time.perf_counter() - start)
    return max(int(SPIN_MICROSECONDS * 1e-6 * sample / min(seconds)), 1)


class Pool:
    """`num_threads` threads for one call at a time: the caller and num_threads - 1 workers."""

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self.address = 0
        if num_threads > 1:
            self._start()

    def _start(self) -> None:
        # workers may outlive the interpreter's memory, so theirs is never freed
        arguments = launcher.pool_fields(self.num_threads)
        num_fields = arguments + 2 * self.num_threads
        allocate = ctypes.pythonapi.PyMem_RawCalloc
        allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
        memory = allocate(8 * num_fields + 64, 1)
        if not memory:
            raise OutOfMemoryError(f"faltung: found no memory for {self.num_threads} threads. Use fewer.")
        self.address = -(-memory // 64) * 64
        fields = (ctypes.c_int64 * num_fields).from_address(self.address)
        fields[launcher.SPINS], fields[launcher.NUM_THREADS] = _spins(), self.num_threads
        self._fields = fields
        c = ctypes.CDLL(None)
        c.pthread_mutex_init(ctypes.c_void_p(self.address + 8 * launcher.MUTEX), None)
        c.pthread_cond_init(ctypes.c_void_p(self.address + 8 * launcher.CONDITION), None)
        # signals are for Python's threads
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for slot in range(1, self.num_threads):
                place = arguments + 2 * slot
                fields[place], fields[place + 1] = self.address, slot
                thread = ctypes.c_ulong()
                argument = ctypes.c_void_p(self.address + 8 * place)
                failure = c.pthread_create(ctypes.byref(thread), None, ctypes.c_void_p(addresses()["worker"]), argument)
                if failure:
                    log.warning("could not start worker %d: %s", slot, os.strerror(failure))
                    break
                c.pthread_detach(thread)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Let the workers end; a call in progress finishes first."""
        if self.address:
            self._fields[launcher.IS_CLOSING] = 1
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(addresses()["wake"])(self.address)


Kept = TypeVar("Kept")


def immortal(thing: Kept) -> Kept:
    """The thing, never freed: native code points to it, and may run until the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


_num_threads: int | None = None
_host: Callable[[], int] | None = None
_pool: Pool | None = None
_place = immortal((ctypes.c_int64 * 1)())
_has_native_callers = False


def current() -> Pool:
    """The pool for the present setting, started if need be."""
    global _pool
    num_threads = get_num_threads()
    with _lock:
        if _pool is None or _pool.num_threads != num_threads:
            if _pool is not None:
                _pool.close()
            _pool = Pool(num_threads)
            _place[0] = _pool.address
        return _pool


def place() -> int:
    """Where callers that are not Python find the address of the present pool, 0 for none; it stays for good."""
    global _has_native_callers
    with _lock:
        _has_native_callers = True
        current()
    return ctypes.addressof(_place)


def get_num_threads() -> int:
    """How many threads a call may use.

    What set_num_threads was told, else FALTUNG_NUM_THREADS; else what PyTorch says where it is loaded: it is told by
    torch.set_num_threads, and 1 in a DataLoader's worker; else OMP_NUM_THREADS, else the processors we may run on.
    """
    if _num_threads is not None:
        return _num_threads
    if _host is not None:
        return _host()
    return _usual() if "torch" not in sys.modules else _as_pytorch_says()


def set_num_threads(num_threads: int) -> None:
    """Use `num_threads` threads from the next call on, for the whole process."""
    global _num_threads
    _num_threads = _checked(num_threads, "set_num_threads")
    if _has_native_callers:
        current()


@cache
def _usual() -> int:
    """The number for this process, if no host tells another."""
    global _num_threads
    if wanted := os.environ.get("FALTUNG_NUM_THREADS", ""):
        _num_threads = _checked(wanted, "FALTUNG_NUM_THREADS")
        return _num_threads
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), MOST_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _as_pytorch_says() -> int:
    """PyTorch's number, unless the environment has one for us; from then on PyTorch is asked at once."""
    global _host
    number = _usual()
    if _num_threads is None:
        _host = getattr(sys.modules["torch"], "get_num_threads", None)  # None while it is being imported
        number = _host() if _host is not None else number
    return number


def _checked(value: SupportsIndex | str, name: str) -> int:
    try:
        number = int(value) if isinstance(value, str) else 0 if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= MOST_THREADS:
        rule = f"{name}: the number of threads must be between 1 and {MOST_THREADS}"
        raise FaltungError(f"{rule}; got {value!r}. Use {os.cpu_count()}.")
    return number


def _forget_pool() -> None:
    global _pool
    _pool = None
    _place[0] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # threads do not survive a fork
