"""A network planned for inputs of given shapes: its arena, its jobs laid out for the native call, and how they run."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from faltung.codegen import jobs
from faltung.errors import ShapeError
from faltung.graph import lower_convs, lower_norms, lower_rest, lower_shapes, lower_windows  # noqa: F401  # each registers its rules
from faltung.graph.graph import Array, Constant, Graph, Value
from faltung.graph.lower_rest import plan_destinations
from faltung.graph.lowering import HostStep, Lowering, Operand, Step
from faltung.graph.stored import Arena, Buffer, Outside, Stored
from faltung.graph.weights import Weight, Weights, aligned_empty
from faltung.machine.memory import CACHE_LINE
from faltung.runtime import pool, processor, team
from faltung.runtime.launch import program_of

SMALL_MACS = 500_000
"""Networks of fewer multiply-adds run on the calling thread: handing over would take longer."""

_ARENA = "arena"


@dataclass
class Context:
    """The memory of one call at a time: its places, its arena and scratch."""

    places: Any
    address: int
    arena: Array
    scratch: Array
    num_threads: int
    weights: tuple[Array, ...]  # which must outlive the call, whatever is made anew meanwhile


@dataclass(frozen=True)
class _Native:
    """Jobs that run in one native call."""

    record: Any
    address: int
    keep: tuple[Any, ...]  # programs, and the parameters that the record points to
    steps: tuple[Step, ...]


class Program:
    """All steps of a graph with known shapes; safe under concurrent callers."""

    def __init__(self, graph: Graph, weights: Weights, precision: str) -> None:
        self.graph = graph
        lowering = Lowering(graph, processor.current(), weights, precision)
        plan_destinations(lowering)
        self.steps = lowering.run()
        self.lookups = lowering.lookups
        self.arena = Arena(lowering.buffers)
        self.arena.lay_out(CACHE_LINE)
        self._places: dict[Any, int] = {}
        self._weights: list[Weight] = []
        for n, name in enumerate(graph.inputs):
            self._places[Outside(name)] = jobs.FIRST_INPUT if n == 0 else self._new_place()
        for n in range(len(graph.outputs)):
            self._places[Outside(f"output {n}")] = jobs.FIRST_OUTPUT if n == 0 else self._new_place()
        self.parts: list[_Native | HostStep] = []
        for is_host, steps in groupby(self.steps, lambda step: isinstance(step, HostStep)):
            if is_host:
                self.parts += steps  # type: ignore[arg-type]
            else:
                self.parts.append(self._native(tuple(steps)))  # type: ignore[arg-type]
        self.scratch_bytes = max((s.plan.scratch_bytes for s in self.steps if isinstance(s, Step)), default=0)
        self.macs = sum(macs_of(step) for step in self.steps if isinstance(step, Step))
        self.is_alone = self.macs < SMALL_MACS
        is_single = len(self.parts) == 1 and isinstance(self.parts[0], _Native) and not self.lookups
        self.single: _Native | None = self.parts[0] if is_single else None  # type: ignore[assignment]
        self.layouts = [_layout(graph.value(name)) for name in graph.outputs]
        self._contexts: list[Context] = []
        functions = pool.addresses()
        pointers = [ctypes.c_void_p] * 7
        self._run_jobs = ctypes.CFUNCTYPE(None, *pointers)(functions["run_jobs"])
        self._run_jobs_on = ctypes.CFUNCTYPE(None, ctypes.py_object, ctypes.py_object, *pointers[:3])(
            functions["run_jobs_on"]
        )

    def _new_place(self) -> int:
        return len({*self._places.values()} | {*range(jobs.FIRST_OUTPUT + 1)})

    def _place(self, place: Any) -> tuple[int, int]:
        """The number of an operand's place, and where in it the operand's place begins."""
        if isinstance(place, Buffer):
            return self._places.setdefault(_ARENA, self._new_place()), place.offset
        if place not in self._places:
            self._places[place] = self._new_place()
            if isinstance(place, Weight):
                self._weights.append(place)
        return self._places[place], 0

    def _native(self, steps: tuple[Step, ...]) -> _Native:
        fields: list[int] = [len(steps), any(step.plan.keeps_denormals for step in steps)]
        keep: list[Any] = []
        for step in steps:
            for name in jobs.OPERANDS:
                fields += self._pointer(step.operands.get(name))
            values = step.plan.parameter_values()
            keep.append((ctypes.c_int64 * len(values))(*values))
            fields += [ctypes.addressof(keep[-1]), step.plan.scratch_bytes]
            program, tasks = program_of(step.plan.kernel), list(step.plan.tasks)
            keep.append(program)
            if step.is_packed:
                tasks[0] = 0
            for stage, count in zip(step.plan.kernel.STAGES, tasks, strict=True):
                fields += [program.addresses[stage], count]
        record = (ctypes.c_int64 * len(fields))(*fields)
        return _Native(record, ctypes.addressof(record), tuple(keep), steps)

    def _pointer(self, operand: Operand | None) -> list[int]:
        if operand is None:
            return [jobs.NOTHING, 0]
        place, begin = self._place(operand.place)
        return [place, begin + operand.offset_bytes]

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights in the form in which jobs read them."""
        return sum(weight.array.nbytes for weight in self._weights)

    @property
    def segments(self) -> list[str]:
        """The native calls and the islands between them."""
        return [
            f"{len(part.steps)} steps"
            if isinstance(part, _Native)
            else f"island: {part.node.attributes.get('description', part.node.op)}, "
            f"{part.node.attributes.get('reason', 'its indices are computed')}"
            for part in self.parts
        ]

    def forget_contexts(self) -> None:
        """The weights have changed: the next calls look where the new ones lie."""
        self._contexts = []

    def _take(self, num_threads: int) -> Context:
        try:
            context = self._contexts.pop()
            if context.num_threads == num_threads:
                return context
        except IndexError:
            pass
        arena, scratch = aligned_empty(self.arena.num_bytes), aligned_empty(self.scratch_bytes * num_threads)
        places = (ctypes.c_void_p * (self._new_place() + 1))()
        places[jobs.SCRATCH] = scratch.ctypes.data
        if _ARENA in self._places:
            places[self._places[_ARENA]] = arena.ctypes.data
        for weight in self._weights:
            places[self._places[weight]] = weight.address
        arrays = tuple(weight.array for weight in self._weights)
        return Context(places, ctypes.addressof(places), arena, scratch, num_threads, arrays)

    def run_one(self, x: Array, y: Array) -> None:
        """One input, one output, no island: a single native call."""
        assert self.single is not None
        contexts = self._contexts
        if self.is_alone:
            context = self._take(1)
            self._run_jobs_on(x, y, context.address, self.single.address, 0)
        else:
            crew = _crew()
            context = self._take(crew.num_threads)
            context.places[jobs.FIRST_INPUT], context.places[jobs.FIRST_OUTPUT] = x.ctypes.data, y.ctypes.data
            self._run_with(crew, context, self.single)
            _give_back(crew)
        contexts.append(context)

    def bound(self, arrays: Mapping[str, Array]) -> Context:
        """A context for a caller of one native call on one thread, in which some inputs and outputs have a fixed place.

        Outputs are called "output 0" and so on; the first input and the first output may come with each call.
        """
        context = self._take(1)
        for name, array in arrays.items():
            context.places[self._places[Outside(name)]] = array.ctypes.data
        return context

    def run_bound(self, context: Context, x: Array | None, y: Array | None) -> None:
        """The native call in such a context, of a program that is `single` and runs alone; None: bound before."""
        assert self.single is not None
        if x is not None and y is not None:
            self._run_jobs_on(x, y, context.address, self.single.address, 0)
            return
        for array, place in ((x, jobs.FIRST_INPUT), (y, jobs.FIRST_OUTPUT)):
            if array is not None:
                context.places[place] = array.ctypes.data
        self._run_jobs(context.address, self.single.address, 0, 0, 0, 0, 0)

    def run(self, inputs: list[Array], outputs: list[Array]) -> None:
        """Compute all outputs from C-contiguous inputs of the planned shapes."""
        arrays = dict(zip(self.graph.inputs, inputs, strict=True))
        arrays |= {f"output {n}": y for n, y in enumerate(outputs)}
        for name, count in self.lookups:
            check_indices(name, arrays[name], count)
        contexts, crew = self._contexts, None if self.is_alone else _crew()
        context = self._take(crew.num_threads if crew else 1)
        for name, array in arrays.items():
            context.places[self._places[Outside(name)]] = array.ctypes.data
        for part in self.parts:
            if isinstance(part, _Native):
                self._run_with(crew, context, part)
            else:
                self._run_island(part, context, arrays)
        if crew:
            _give_back(crew)
        contexts.append(context)

    def _run_with(self, crew: team.Team | pool.Pool | None, context: Context, native: _Native) -> None:
        """The jobs on the threads of the crew, which are those that the context has scratch for."""
        if isinstance(crew, team.Team):
            crew.run("run_jobs", context.address, native.address, 0, 0, 0, 0)
        else:
            self._run_jobs(context.address, native.address, 0, 0, 0, 0, crew.address if crew else 0)

    def _run_island(self, step: HostStep, context: Context, arrays: dict[str, Array]) -> None:
        found = step.run(*(self._array(x, context, arrays) for x in step.inputs))
        for y, array in zip(step.outputs, found, strict=True):
            assert isinstance(y.place, Outside)
            kept = np.ascontiguousarray(array, y.dtype)
            if y.place.name in arrays:  # an output of the call
                np.copyto(arrays[y.place.name], kept)
                continue
            arrays[y.place.name] = kept
            if y.place in self._places:
                context.places[self._places[y.place]] = kept.ctypes.data

    def _array(self, x: Stored, context: Context, arrays: dict[str, Array]) -> Array:
        """A contiguous value as an array, where it lies."""
        if isinstance(x.place, Outside):
            whole = arrays[x.place.name].reshape(-1)
        elif isinstance(x.place, Weight):
            whole = x.place.array.reshape(-1)
        else:
            end = x.place.offset + x.place.num_bytes
            whole = context.arena[x.place.offset : end].view(x.dtype)
        return whole[x.offset : x.offset + x.size].reshape(x.shape)


def _crew() -> team.Team | pool.Pool:
    """The threads for one call: those that a host lends, or our own."""
    return team.take() or pool.current()


def _give_back(crew: team.Team | pool.Pool) -> None:
    if isinstance(crew, team.Team):
        team.give_back(crew)


def check_indices(name: str, indices: Array, count: int) -> None:
    """Refuse indices of rows that a table does not have."""
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        got = f"{indices.min()} to {indices.max()}"
        raise ShapeError(f"net: {name} chooses among {count} rows, 0 to {count - 1}; got {got}.")


def _layout(value: Value | Constant) -> tuple[tuple[int, ...], Any, int]:
    """Shape, element type and bytes of an output."""
    dtype = np.dtype(value.dtype)
    return value.shape, dtype, prod(value.shape) * dtype.itemsize


def macs_of(step: Step) -> int:
    """Multiply-adds of a step that is a convolution; elementwise work counts for its numbers."""
    problem = step.plan.problem
    kernel = getattr(problem, "kernel_size", None)
    if kernel is None or not hasattr(problem, "group_in"):
        return int(step.plan.cycles)
    positions = int(np.prod(problem.out_size)) * problem.num_samples  # type: ignore[attr-defined]
    return int(positions * problem.out_channels * problem.group_in * np.prod(kernel))  # type: ignore[attr-defined]
