"""Python functions on as many threads as a call may use: for NumPy, which lets other threads run while it computes."""

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from faltung.runtime import pool
from faltung.runtime.locks import lock_across_forks

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Result = TypeVar("Result")

_lock = lock_across_forks()
_executors: "dict[int, ThreadPoolExecutor]" = {}


def on_threads(function: Callable[[int], Result], count: int) -> list[Result]:
    """The results of function(0) … function(count - 1), in this order; the caller takes part, and never waits to begin.

    >>> on_threads(lambda index: index * index, 4)
    [0, 1, 4, 9]
    """
    num_helpers = min(pool.get_num_threads(), count) - 1
    if num_helpers <= 0:
        return [function(index) for index in range(count)]
    waiting, results = deque(range(count)), dict[int, Result]()

    def work() -> None:
        while True:
            try:
                index = waiting.popleft()
            except IndexError:
                return
            results[index] = function(index)

    executor = _executor(pool.get_num_threads())
    helpers = [executor.submit(work) for _ in range(num_helpers)]
    try:
        work()
    finally:
        waiting.clear()
        begun = [helper for helper in helpers if not helper.cancel()]
        for helper in begun:
            helper.exception()  # waits
    for helper in begun:
        helper.result()
    return [results[index] for index in range(count)]


def _executor(num_threads: int) -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # 10 ms that `import faltung` need not pay

    with _lock:
        found = _executors.get(num_threads)
        if found is None:
            found = _executors[num_threads] = ThreadPoolExecutor(num_threads - 1, thread_name_prefix="faltung")
        return found


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_executors.clear)  # threads do not survive a fork
