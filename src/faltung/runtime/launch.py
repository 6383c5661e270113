"""A plan made callable: its program loaded, its numbers laid out, one native call for each convolution."""

import ctypes
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.algorithms.algorithm import emit_program
from faltung.codegen.launcher import JOB_FIELDS
from faltung.plan.kernel import AnyKernel
from faltung.plan.plan import Plan
from faltung.runtime import buffers, pool, processor, team
from faltung.runtime import compile as compiler
from faltung.runtime.locks import lock_across_forks

Array = NDArray[Any]

_lock = lock_across_forks()
MOST_PROGRAMS = 1024
"""Programs that are found again without a look at the disk; others stay loaded as long as a Launch holds them."""
_programs: dict[AnyKernel, compiler.Program] = {}


def program_of(kernel: AnyKernel) -> compiler.Program:
    """The kernel's program: from memory, from disk, or compiled now."""
    program = _programs.get(kernel)
    if program is None:
        with _lock:
            program = _programs.get(kernel)
            if program is None:
                program = _programs[kernel] = build(kernel)
            while len(_programs) > MOST_PROGRAMS:
                _programs.pop(next(iter(_programs)), None)
    return program


def build(kernel: AnyKernel) -> compiler.Program:
    """Compile or load the kernel's program anew."""
    target = processor.current()
    emit = partial(emit_program, kernel=kernel)
    return compiler.build(kernel, emit, kernel.STAGES, dtype=kernel.dtype, target=target, stays=False)


def assembly_of(kernel: AnyKernel) -> str:
    """The kernel's program as assembly text."""
    return compiler.assembly(kernel, lambda e: emit_program(e, kernel), dtype=kernel.dtype, target=processor.current())


@cache
def _native_launch():  # type: ignore[no-untyped-def]
    # arrays go as objects, since asking NumPy for an address takes longer than a small convolution
    check = np.zeros(1)
    place = ctypes.c_void_p.from_address(id(check) + object.__basicsize__)
    if place.value != check.ctypes.data:
        raise ImportError("faltung: this build of NumPy keeps the address of an array's data elsewhere; please report.")
    arrays, pointers = [ctypes.py_object] * 4, [ctypes.c_void_p] * 3
    return ctypes.CFUNCTYPE(None, *arrays, *pointers)(pool.addresses()["launch"])


class Launch:
    """One plan, ready to run on arrays of its shapes and strides; safe under concurrent callers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.program = program_of(plan.kernel)
        values = plan.parameter_values()
        self._parameters = (ctypes.c_int64 * len(values))(*values)
        self._job = (ctypes.c_int64 * JOB_FIELDS)(
            ctypes.addressof(self._parameters),
            plan.shared_bytes,
            plan.scratch_bytes,
            plan.keeps_denormals,
            *(
                number
                for name, tasks in zip(plan.kernel.STAGES, plan.tasks, strict=True)
                for number in (self.program.addresses[name], tasks)
            ),
        )
        self._job_address = ctypes.addressof(self._job)
        self._is_alone = plan.num_tasks == 1
        self._native = _native_launch()

    @property
    def job_address(self) -> int:
        """Where the job lies, for as long as this object lives."""
        return self._job_address

    @property
    def workspace_bytes(self) -> int:
        """Workspace with the present number of threads."""
        return self.plan.shared_bytes + pool.get_num_threads() * self.plan.scratch_bytes

    def __call__(self, x: Array, kernel: Array, bias: Array | None, y: Array) -> None:
        """Compute into y; the arrays must be what the plan was made for."""
        self._run("launch", self._native, x, kernel, bias, y)

    def at(self, x: int, kernel: int, bias: int, y: int) -> None:
        """Compute on arrays at these addresses (0: no bias); they must be what the plan was made for, and stay."""
        self._run("launch_pointers", _native_launch_of_pointers(), x, kernel, bias, y)

    def pack_at(self, kernel: int, workspace: int) -> None:
        """Run the first stage alone, on the calling thread; the workspace has room for one thread."""
        job = (ctypes.c_int64 * JOB_FIELDS)(*self._job)
        job[JOB_FIELDS - 1] = 0
        _native_launch_of_pointers()(0, kernel, 0, 0, workspace, ctypes.addressof(job), 0)

    def alone_at(self, x: int, kernel: int, bias: int, y: int) -> None:
        """The same on the calling thread only, for callers that have threads of their own."""
        self._run("launch_pointers", _native_launch_of_pointers(), x, kernel, bias, y, is_alone=True)

    def _run(
        self, function: str, native: Any, x: Any, kernel: Any, bias: Any, y: Any, *, is_alone: bool = False
    ) -> None:
        plan = self.plan
        if self._is_alone or is_alone:
            address, num_threads = 0, 1
        elif (lent := team.take()) is not None:
            workspace = buffers.take_workspace(plan.shared_bytes + lent.num_threads * plan.scratch_bytes)
            arrays = (x, kernel, bias, y) if function == "launch_pointers" else map(id, (x, kernel, bias, y))
            lent.run(function, *arrays, workspace.address, self._job_address)
            buffers.give_workspace_back(workspace)
            team.give_back(lent)
            return
        else:
            workers = pool.current()
            address, num_threads = workers.address, workers.num_threads
        workspace_bytes = plan.shared_bytes + num_threads * plan.scratch_bytes
        if workspace_bytes == 0:
            native(x, kernel, bias, y, 0, self._job_address, address)
            return
        workspace = buffers.take_workspace(workspace_bytes)
        native(x, kernel, bias, y, workspace.address, self._job_address, address)
        buffers.give_workspace_back(workspace)


@cache
def _native_launch_of_pointers():  # type: ignore[no-untyped-def]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 7)(pool.addresses()["launch_pointers"])


class Job:
    """Tasks of one function, cut by hand; the same launcher and threads run them as run a convolution.

    The function is a compute(call, index, scratch) at `function`; `scratch_bytes` is for each thread.
    """

    def __init__(self, function: int, parameters: tuple[int, ...], scratch_bytes: int = 64) -> None:
        self._parameters = (ctypes.c_int64 * len(parameters))(*parameters)
        self._scratch_bytes = scratch_bytes
        self._function = function
        self._native = _native_launch_of_pointers()

    def run(self, tasks: int, x: int, y: int, *, is_alone: bool = False) -> None:
        """Run `tasks` tasks on the arrays at the addresses x and y, on all threads or on this one alone."""
        parameters, scratch_bytes = ctypes.addressof(self._parameters), self._scratch_bytes
        job = (ctypes.c_int64 * JOB_FIELDS)(parameters, 0, scratch_bytes, 0, 0, 0, self._function, tasks)
        workers = pool.current()
        workspace = buffers.take_workspace(workers.num_threads * scratch_bytes)
        address = 0 if is_alone else workers.address
        self._native(x, 0, 0, y, workspace.address, ctypes.addressof(job), address)
        buffers.give_workspace_back(workspace)
