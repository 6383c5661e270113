"""Planning softmax: lines, or blocks of columns, are shared out to tasks."""

from dataclasses import dataclass
from math import ceil

from faltung.algorithms.softmax.kernel import SoftmaxKernel, SoftmaxParameters
from faltung.machine.target import Target
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count

COLUMNS = 64
"""Columns of a unit: whole vectors of every width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax:
    """Along the middle axis of a contiguous (outer, axis, inner); the result may be x."""

    outer: int
    axis: int
    inner: int
    is_log: bool
    dtype: str
    precision: str = "high"


def plan(request: Softmax, target: Target) -> Plan:
    """The plan for at least one number."""
    lanes = target.lanes(request.dtype)
    if request.inner == 1:
        vectors = request.outer * ceil(request.axis / lanes)
    else:
        vectors = request.outer * request.axis * ceil(request.inner / lanes)
    cycles = vectors * target.costs.passes.function_vector_cycles
    blocks = ceil(request.inner / COLUMNS)
    units = request.outer * blocks
    tasks = min(units, task_count(target, cycles, 1))
    return Plan(
        problem=request,
        kernel=SoftmaxKernel(request.is_log, request.inner == 1, request.dtype),
        cycles=cycles,
        parameters=SoftmaxParameters(request.axis, request.inner, COLUMNS, blocks, units, tasks),
        tasks=(0, tasks),
        shared_bytes=0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks",),
    )
