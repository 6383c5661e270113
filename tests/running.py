"""Plans run by hand, task by task: for kernels with a fourth operand, and with tasks in whatever order."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from guarded import Arena
from numpy.typing import NDArray

from faltung.codegen.call import FIELDS
from faltung.machine.memory import CACHE_LINE
from faltung.plan.plan import Plan
from faltung.runtime.launch import program_of

Array = NDArray[Any]
OPERANDS = ("x", "kernel", "bias", "extra")
FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


def _aligned(num_bytes: int) -> Array:
    """Memory full of NaN at a cache line."""
    memory = np.full(num_bytes + CACHE_LINE, 0xFF, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + num_bytes]


def prepare(plan: Plan, operands: Sequence[Array | None], y: Array) -> Any:
    """Return run(), which runs all tasks of both stages in this thread; later tasks first within a stage."""
    program = program_of(plan.kernel)
    values = plan.parameter_values()
    parameters = (ctypes.c_int64 * len(values))(*values)
    shared, scratch = _aligned(plan.shared_bytes), _aligned(plan.scratch_bytes)
    given = {name: array for name, array in zip(OPERANDS, operands, strict=False) if array is not None}
    given |= {"y": y, "workspace": shared}
    words = {name: array.ctypes.data for name, array in given.items()} | {"parameters": ctypes.addressof(parameters)}
    call = (ctypes.c_void_p * len(FIELDS))(*(words.get(name) for name in FIELDS))
    stages = [
        (FUNCTION(program.addresses[name]), tasks) for name, tasks in zip(plan.kernel.STAGES, plan.tasks, strict=True)
    ]

    def run(keep: Any = (parameters, shared, scratch, given)) -> None:
        for function, tasks in stages:
            for index in reversed(range(tasks)):
                function(ctypes.addressof(call), index, scratch.ctypes.data)

    return run


def run(plan: Plan, operands: Sequence[Array | None], y: Array) -> None:
    """Run a plan once."""
    prepare(plan, operands, y)()


class Pages:
    """Arrays that end, or begin, where pages without access lie; what else lies there is NaN."""

    def __init__(self) -> None:
        self.arenas: list[tuple[Arena, int, int]] = []

    def array(self, values: Array, is_at_end: bool) -> Array:
        """Return a contiguous copy on pages of its own."""
        arena = Arena(values.nbytes)
        arena.clear()
        start = arena.offset(values.nbytes, is_at_end)
        self.arenas.append((arena, start, values.nbytes))
        result: Array = arena.bytes[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        result[...] = values
        return result

    def assert_only_arrays_changed(self) -> None:
        for arena, start, num_bytes in self.arenas:
            outside = np.concatenate([arena.bytes[:start], arena.bytes[start + num_bytes :]])
            assert np.all(outside == 0xFF), "written outside an array"


def run_on_pages(
    plan: Plan,
    operands: Sequence[Array | None],
    y: Array,
    is_at_end: bool,
    offsets: Sequence[int] = (),
    y_offset: int = 0,
) -> Array:
    """Run a plan on arrays that lie flush with pages without access, from some offsets on; returns the result."""
    pages = Pages()
    placed = [None if array is None else pages.array(array, is_at_end) for array in operands]
    result = pages.array(y, is_at_end)
    seen = (
        [array if array is None else array[offset:] for array, offset in zip(placed, offsets, strict=True)]
        if offsets
        else placed
    )
    run(plan, seen, result[y_offset:])
    pages.assert_only_arrays_changed()
    return result.copy()
