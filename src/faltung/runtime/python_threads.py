"""Python functions on as many threads as a call may use: for NumPy, which lets other threads run while it computes.

The caller takes part, never waits to begin, and leaves only when no helper is at work any more, whatever interrupts it:
a helper may be writing into memory that the caller is about to let go. At the end of the interpreter the helpers stop
first, and callers that still run compute alone.
"""

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from faltung.runtime import pool
from faltung.runtime.locks import lock_across_forks

Result = TypeVar("Result")
log = logging.getLogger("faltung")


class _Help:
    """One helper's part in a call: it begins, or the caller calls it off, whichever of the two comes first."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work
        self._fate: dict[str, str] = {}
        self._at_work = threading.Lock()
        self._at_work.acquire()

    def begin(self) -> None:
        """On the helper's thread: work, unless called off."""
        work = self._work
        if self._fate.setdefault("is", "begun") == "begun" and work is not None:
            try:
                work()
            finally:
                self._at_work.release()

    def end(self) -> None:
        """On the caller's thread: return when the helper has ended, or never will begin; may be called again."""
        if self._fate.setdefault("is", "called off") == "begun":
            with self._at_work:
                pass
        self._work = None


class _Helpers:
    """Threads that wait for parts of calls."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[_Help | None] = SimpleQueue()
        self.threads: list[threading.Thread] = []

    def grow(self, num_threads: int) -> None:
        """Be at least so many, if the system allows."""
        while len(self.threads) < num_threads:
            thread = threading.Thread(target=self._live, name=f"faltung_{len(self.threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # there are too many, or the interpreter ends
                log.debug("could not start a helper: %s", error)
                return
            self.threads.append(thread)

    def _live(self) -> None:
        while (part := self.waiting.get()) is not None:
            part.begin()
            del part  # it holds the arrays of its call
        self.waiting.put(None)  # for the next

    def stop(self) -> None:
        """Let them end, and wait for it: no thread may be inside NumPy when the interpreter goes."""
        self.waiting.put(None)
        for thread in self.threads:
            thread.join()


_lock = lock_across_forks()
_helpers = _Helpers()


def on_threads(function: Callable[[int], Result], count: int) -> list[Result]:
    """The results of function(0) … function(count - 1), in this order. The function must hold all that it touches.

    >>> on_threads(lambda index: index * index, 4)
    [0, 1, 4, 9]
    """
    num_helpers = min(pool.get_num_threads(), count) - 1
    if num_helpers <= 0:
        return [function(index) for index in range(count)]
    waiting, results, errors = deque(range(count)), dict[int, Result](), list[BaseException]()

    def work() -> None:
        while True:
            try:
                index = waiting.popleft()
            except IndexError:
                return
            results[index] = function(index)

    def help_out() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    with _lock:
        _helpers.grow(num_helpers)
    parts = [_Help(help_out) for _ in range(num_helpers)]
    try:
        for part in parts:
            _helpers.waiting.put(part)
        work()
    finally:
        _end(waiting, parts)
    if errors:
        raise errors[0]
    return [results[index] for index in range(count)]


def _end(waiting: deque[int], parts: list[_Help]) -> None:
    """Wait until no helper is at work; what interrupts the wait goes on after it."""
    interrupt: BaseException | None = None
    while True:
        try:
            waiting.clear()
            for part in parts:
                part.end()
            break
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _forget() -> None:
    global _helpers
    _helpers = _Helpers()


atexit.register(lambda: _helpers.stop())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # threads do not survive a fork
