"""Recycled memory: large outputs and workspaces from buffers that were used before.

Fresh pages from the operating system cost more than the arithmetic of a memory-bound layer. A large output is
therefore an ordinary ndarray on a recycled block; when it and all its views are gone, the block is free again.
"""

import ctypes
import mmap
import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faltung.machine.memory import CACHE_LINE
from faltung.runtime.locks import lock_across_forks

SMALLEST_RECYCLED_BYTES = 64 * 1024
"""Below this malloc is quick."""
MOST_FREE_BYTES = 512 * 1024 * 1024
"""Free blocks beyond this go back to the operating system, oldest first."""
HUGE_PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of a large page on x86-64; larger blocks ask for such."""
VECTOR_ALIGNMENT = CACHE_LINE
"""Bytes to which results with streaming stores are aligned; recycled outputs begin at a page."""

_lock = lock_across_forks()  # reentrant: the collector may return a block while this thread holds it
_free: dict[int, list[mmap.mmap]] = {}
_free_bytes = 0
_leases: dict[int, "weakref.ref[ctypes.Array[ctypes.c_char]]"] = {}


def empty(shape: tuple[int, ...], dtype: np.dtype, num_bytes: int) -> NDArray:  # type: ignore[type-arg]
    """An uninitialised C-contiguous array of `num_bytes` = prod(shape) * dtype.itemsize."""
    if num_bytes < SMALLEST_RECYCLED_BYTES:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _lease(_rounded(num_bytes)))  # type: ignore[arg-type]  # it is a buffer


def _fresh(size: int) -> mmap.mmap:
    """Pages of our own: a forked child gets a copy, not the same memory."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _rounded(num_bytes: int) -> int:
    """A size class: steps of an eighth of the power of two below, at least a page."""
    step = max(mmap.PAGESIZE, 1 << max(num_bytes.bit_length() - 4, 0))
    return -(-num_bytes // step) * step


def _lease(size: int) -> "ctypes.Array[ctypes.c_char]":
    global _free_bytes
    with _lock:
        blocks = _free.get(size)
        block = blocks.pop() if blocks else None
        if block is not None:
            _free_bytes -= size
    if block is None:
        block = _fresh(size)
        if size >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
            block.madvise(mmap.MADV_HUGEPAGE)
    lease = (ctypes.c_char * size).from_buffer(block)
    key = id(lease)

    def give_back(_: object) -> None:
        _leases.pop(key, None)
        _give_back(block, size)

    _leases[key] = weakref.ref(lease, give_back)
    return lease


def _give_back(block: mmap.mmap, size: int) -> None:
    global _free_bytes
    with _lock:
        _free.setdefault(size, []).append(block)
        _free_bytes += size
        while _free_bytes > MOST_FREE_BYTES:
            oldest = next(iter(_free))
            _free[oldest].pop(0)
            _free_bytes -= oldest
            if not _free[oldest]:
                del _free[oldest]


def free_bytes() -> int:
    """Bytes in blocks that wait to be used again."""
    return _free_bytes


@dataclass
class Workspace:
    """Memory for one call at a time, aligned to pages."""

    block: mmap.mmap
    num_bytes: int
    address: int


_workspaces: list[Workspace] = []


def take_workspace(num_bytes: int) -> Workspace:
    """A workspace of at least `num_bytes`; give it back after the call."""
    try:
        workspace = _workspaces.pop()
        if workspace.num_bytes >= num_bytes:
            return workspace
    except IndexError:
        pass
    size = max(num_bytes, 1 << 20)
    block = _fresh(size)
    return Workspace(block, size, ctypes.addressof(ctypes.c_char.from_buffer(block)))


def give_workspace_back(workspace: Workspace) -> None:
    """Let the next call have it."""
    _workspaces.append(workspace)
