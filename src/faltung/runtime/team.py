"""Threads lent by a host: calls run on the OpenMP team that PyTorch keeps, instead of on workers of our own.

Two sets of threads that both spin while they wait take the processors from each other; on as many processors as
threads, each step of a network then runs at half its speed. So where PyTorch is the host, its threads do our tasks.
"""

import ctypes
import os

from faltung.codegen import launcher
from faltung.runtime import pool

_parallel: "ctypes._FuncPointer | None" = None
_idle: "list[Team]" = []


class Team:
    """What the threads of a team share in one call: taken for it and given back after it.

    A call belongs to no thread: between any two lines a signal's handler or a collector's callback may make another.
    """

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
        (_parallel or _alone)(self._entry, self._call_address, self.num_threads, 0)


def _alone(entry: int, call: int, num_threads: int, flags: int) -> None:
    """What OpenMP does, without its threads: where a handler has forked in the middle of this call, in the child."""
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(entry)(call)


def lend(parallel: "ctypes._FuncPointer | None") -> None:
    """Use the team behind OpenMP's `GOMP_parallel` for all calls of this process; None for threads of our own."""
    global _parallel
    if parallel is not None:
        parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        parallel.restype = None
    _parallel = parallel


def take() -> Team | None:
    """A team for one call of this thread; None if no host lends one."""
    if _parallel is None:
        return None
    num_threads = pool.get_num_threads()
    try:
        team = _idle.pop()
        if team.num_threads == num_threads:
            return team
    except IndexError:
        pass
    return Team(num_threads)


def give_back(team: Team) -> None:
    """Let the next call have it."""
    _idle.append(team)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=lambda: lend(None)
    )  # OpenMP's threads do not survive a fork, and it waits for them
