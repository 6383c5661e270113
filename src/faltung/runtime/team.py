"""Threads lent by a host: calls run on the OpenMP team that PyTorch keeps, instead of on workers of our own.

Two sets of threads that both spin while they wait take the processors from each other; on as many processors as
threads, each step of a network then runs at half its speed. So where PyTorch is the host, its threads do our tasks.
"""

import ctypes
import os
import threading

from faltung.codegen import launcher
from faltung.runtime import pool

_parallel: "ctypes._FuncPointer | None" = None
_of_thread = threading.local()


class Team:
    """The team of one calling thread, as OpenMP has it: no two calls are on it at once."""

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads
        pool_fields = launcher.pool_fields(num_threads)
        self._memory = (ctypes.c_int64 * (launcher.TEAM_FIELDS + pool_fields + 16))()
        start = -(-ctypes.addressof(self._memory) // 64) * 64
        self._call = (ctypes.c_int64 * launcher.TEAM_FIELDS).from_address(start)
        self._call_address, self.address = start, start + 8 * launcher.TEAM_FIELDS
        fields = (ctypes.c_int64 * pool_fields).from_address(self.address)
        fields[launcher.NUM_THREADS] = num_threads
        self._entry = pool.addresses()["team"]

    def run(self, function: str, *arguments: int) -> None:
        """Run `launch` or `launch_pointers` on x, kernel, bias, y, workspace and job, helped by the team."""
        call, place = self._call, launcher.TEAM_ARGUMENTS
        call[launcher.ARRIVED] = call[launcher.FINISHED] = 0
        call[launcher.TEAM_FUNCTION] = pool.addresses()[function]
        call[place : place + 7] = [*arguments, self.address]
        assert _parallel is not None
        _parallel(self._entry, self._call_address, self.num_threads, 0)


def lend(parallel: "ctypes._FuncPointer | None") -> None:
    """Use the team behind OpenMP's `GOMP_parallel` for all calls of this process; None for threads of our own."""
    global _parallel
    if parallel is not None:
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
    _parallel = parallel


def current() -> Team | None:
    """The team of this thread; None if no host lends one."""
    if _parallel is None:
        return None
    num_threads = pool.get_num_threads()
    team: Team | None = getattr(_of_thread, "team", None)
    if team is None or team.num_threads != num_threads:
        team = _of_thread.team = Team(num_threads)
    return team


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: lend(None)
    )  # OpenMP's threads do not survive a fork, and it waits for them
