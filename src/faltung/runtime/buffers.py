"""Recycled memory: large outputs and workspaces from buffers that were used before.

Fresh pages from the operating system cost more than the arithmetic of a memory-bound layer. A large output is
therefore an ordinary ndarray on a recycled block; when it and all its views are gone, the block is free again.

A block comes back whenever its array dies: between any two lines, on any thread, while another call looks for one. So
there is no lock, and no state that takes more than one step to change: blocks wait in lists, and what they add up to is
counted when it is asked for.
"""

import ctypes
import mmap
import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from operator import mul

import numpy as np
from numpy.typing import NDArray

from faltung.errors import FaltungError, OutOfMemoryError
from faltung.machine.memory import CACHE_LINE

SMALLEST_RECYCLED_BYTES = 64 * 1024
"""Below this malloc is quick."""
MOST_FREE_BYTES = 512 * 1024 * 1024
"""What may wait, unless FALTUNG_MEMORY_MB or set_cache_limit say otherwise."""
HUGE_PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of a large page on x86-64; larger blocks ask for such."""
VECTOR_ALIGNMENT = CACHE_LINE
"""Bytes to which results with streaming stores are aligned; recycled outputs begin at a page."""

_free: dict[int, list[mmap.mmap]] = {}
"""The blocks that wait, by their size."""
_clock = count()
_last_use: dict[int, int] = {}
"""When a block of each size was given back last."""
_leases: dict[int, "weakref.ref[ctypes.Array[ctypes.c_char]]"] = {}
_limit: int | None = None


def empty(shape: tuple[int, ...], dtype: np.dtype, num_bytes: int) -> NDArray:  # type: ignore[type-arg]
    """An uninitialised C-contiguous array of `num_bytes` = prod(shape) * dtype.itemsize."""
    if num_bytes < SMALLEST_RECYCLED_BYTES:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _lease(_rounded(num_bytes)))  # type: ignore[arg-type]  # it is a buffer


def _fresh(size: int) -> mmap.mmap:
    """Pages of our own: a forked child gets a copy, not the same memory."""
    with suppress(OSError, OverflowError):
        return _mapped(size)
    empty_cache()
    try:
        return _mapped(size)
    except (OSError, OverflowError) as error:
        raise OutOfMemoryError(
            f"faltung: found no memory for {size:,} bytes of a result or a workspace: {error}. "
            "Use smaller arrays or batches, or let go of some."
        ) from error


def _mapped(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _rounded(num_bytes: int) -> int:
    """A size class: steps of an eighth of the power of two below, at least a page."""
    step = max(mmap.PAGESIZE, 1 << max(num_bytes.bit_length() - 4, 0))
    return -(-num_bytes // step) * step


def _lease(size: int) -> "ctypes.Array[ctypes.c_char]":
    try:
        block = _free[size].pop()
    except (KeyError, IndexError):
        cache_limit()  # a wrong setting is an error here, not in a callback
        block = _fresh(size)
        if size >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel may have none
                block.madvise(mmap.MADV_HUGEPAGE)
    lease = (ctypes.c_char * size).from_buffer(block)
    key = id(lease)

    def give_back(_: object) -> None:
        _leases.pop(key, None)
        _last_use[size] = next(_clock)
        _free.setdefault(size, []).append(block)
        if free_bytes() > cache_limit():
            _evict()

    _leases[key] = weakref.ref(lease, give_back)
    return lease


def _evict() -> None:
    """Unmap what waits beyond the limit: of the sizes used longest ago first, and of these the oldest blocks."""
    for size in sorted(list(_free), key=lambda size: _last_use[size]):
        with suppress(IndexError):
            while free_bytes() > cache_limit():
                _free[size].pop(0)


def free_bytes() -> int:
    """Bytes in blocks that wait to be used again."""
    waiting = _free.copy()  # a size more, in the middle, would stop the count
    return sum(map(mul, waiting, map(len, waiting.values())))


def cache_limit() -> int:
    """Bytes that may wait to be used again: set_cache_limit, else FALTUNG_MEMORY_MB (of 2**20 bytes), else 512 MiB."""
    global _limit
    if _limit is None:
        wanted = os.environ.get("FALTUNG_MEMORY_MB", "")
        if wanted and not wanted.isdecimal():
            raise FaltungError(f"FALTUNG_MEMORY_MB: must be a number of MiB, 0 or more; got {wanted!r}. Use 512.")
        _limit = int(wanted) << 20 if wanted else MOST_FREE_BYTES
    return _limit


def set_cache_limit(num_bytes: int) -> None:
    """Let at most so many bytes of results that are gone wait to be used again; the rest goes back to the system."""
    global _limit
    if not isinstance(num_bytes, (int, np.integer)) or num_bytes < 0:
        raise FaltungError(f"set_cache_limit: must be a number of bytes, 0 or more; got {num_bytes!r}. Use {2**29}.")
    _limit = int(num_bytes)
    _evict()


def empty_cache() -> None:
    """Give all memory that waits to be used again back to the system: what results left, and workspaces."""
    for blocks in list(_free.values()):
        blocks.clear()
    _workspaces.clear()


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
