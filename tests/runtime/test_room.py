"""No memory, no mapping of memory: one clear error each time, never the end of the process, and numbers afterwards."""

import numpy as np
import pytest
from checking import python

import faltung as ft
from faltung.runtime import buffers

# A process that can be left with so much and no more, and tries kernels that it has not compiled yet.
HEAD = """
import ctypes, mmap, resource, sys
import numpy as np, faltung as ft

def attempt(channels, width=20):
    y = ft.conv1d(np.ones((1, width, 1), "f4"), np.ones((3, 1, channels), "f4"))
    assert (y == 3).all()

def outcome(*arguments):
    try:
        attempt(*arguments)
    except ft.OutOfMemoryError as error:
        return str(error).partition(": ")[2].partition(",")[0]
    except MemoryError:
        return "MemoryError"
    return "computed"

attempt(1)
attempt(2)
"""

WITHOUT_MAPPINGS = (
    HEAD
    + """
most = int(open("/proc/sys/vm/max_map_count").read())
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
area = mmap.mmap(-1, 2 * (most + 100) * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))

def fill():
    # every second page without access is a mapping of its own, until there are no more
    for page in range(most + 100):
        if protect(start + 2 * page * mmap.PAGESIZE, mmap.PAGESIZE, 0):
            return page
    raise AssertionError("there is no limit")

pages = fill()
print(sorted({outcome(channels) for channels in range(3, 9)}))
print(outcome(2))
protect(start, 2 * pages * mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)
print([outcome(channels) for channels in range(3, 9)], outcome(2, 200_000))
"""
)


def test_without_mappings_left_there_is_one_clear_error() -> None:
    """Once an abort: LLVM ends the process where it cannot allocate a section."""
    done = python(WITHOUT_MAPPINGS)
    assert done.returncode == 0, done.stderr
    errors, warm, after = done.stdout.splitlines()
    assert errors == "['found no memory']"
    assert warm == "computed"
    assert after == f"{['computed'] * 6} computed"


WITHOUT_MEMORY = (
    HEAD
    + """
from faltung.runtime import compile, room
for megabytes in range(0, 180, 6):
    used = int(open("/proc/self/statm").read().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, -1))
    found = outcome(3 + megabytes)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    assert found in ("computed", "found no memory", "MemoryError"), found
    print(megabytes, found)
print(outcome(1000))
"""
)


def test_without_memory_left_there_is_one_clear_error() -> None:
    done = python(WITHOUT_MEMORY)
    assert done.returncode == 0, done.stderr[-2000:]
    *tried, last = done.stdout.splitlines()
    assert last == "computed"
    assert tried[0] == "0 found no memory" and tried[-1].endswith("computed"), tried


def test_a_result_beyond_memory_is_one_clear_error() -> None:
    with pytest.raises(ft.OutOfMemoryError, match=r"found no memory for [\d,]+ bytes of a result or a workspace"):
        buffers.empty((2**50,), np.dtype("u1"), 2**50)
    with pytest.raises(MemoryError, match="Use smaller arrays or batches, or let go of some"):
        buffers.take_workspace(2**70)


def test_memory_stays_flat_while_shapes_change() -> None:
    """`python tests/changing_shapes.py 1000000` is the long run."""
    program = """
import changing_shapes
found = list(changing_shapes.run(9_000, uses=6, reports=6))
for number, shapes, megabytes, mappings, programs in found:
    print(number, shapes, megabytes, mappings, programs)
"""
    done = python(program, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    (_, _, _, mappings, programs), (_, num_shapes, _, last_mappings, last_programs) = found[2], found[-1]
    assert num_shapes > 1400
    assert last_programs <= 200, "one program serves all lengths and batches"
    assert last_mappings - mappings <= 3 * (last_programs - programs) + 20
    assert found[-1][2] - found[2][2] <= 0.3 * (last_programs - programs) + 4, done.stdout  # MB


def test_programs_are_bounded_and_unloaded_while_kernels_change() -> None:
    """Once each stayed for good, with a megabyte of LLVM's."""
    program = """
import gc, numpy as np, faltung as ft
from changing_shapes import num_mappings, resident_mb
from faltung.arrays import calls
from faltung.runtime import launch
calls.MOST_CALLS = launch.MOST_PROGRAMS = 8
for channels in range(1, 101):
    y = ft.conv1d(np.ones((1, 20, 1), "f4"), np.ones((3, 1, channels), "f4"))
    assert (y == 3).all()
    if channels in (40, 100):
        gc.collect()
        print(resident_mb(), num_mappings(), len(launch._programs))
"""
    done = python(program, FALTUNG_CACHE_DIR="", timeout=120)
    assert done.returncode == 0, done.stderr
    (before, mappings, kept), (after, last_mappings, last_kept) = (
        map(float, line.split()) for line in done.stdout.splitlines()
    )
    assert (kept, last_kept) == (8, 8)
    assert last_mappings <= mappings + 40
    assert after - before < 15, "60 programs more"
