"""Planning a reduction: the axis is cut into chunks, which keep long sums accurate and give every thread work."""

from dataclasses import dataclass
from math import ceil

from faltung.algorithms.reduce.kernel import KINDS, SPREADS, ReduceKernel, ReduceParameters
from faltung.machine.target import Target
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES

COLUMNS = 256
"""Columns of a unit: some vectors, and some cache lines of each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce:
    """y[outer, inner] from x[outer, reduced, inner], whose last axis has stride 1; y is contiguous."""

    kind: str
    """sum, mean, mean_square, max, min, variance or std."""
    outer: int
    reduced: int
    inner: int
    dtype: str
    correction: int = 0
    """What a variance takes off the count that it divides by."""
    x_strides: tuple[int, int] | None = None
    """Of outer and reduced, in elements; None: x is contiguous."""
    precision: str = "high"


def plan(request: Reduce, target: Target) -> Plan:
    """The plan for at least one number."""
    if request.kind not in KINDS:
        raise ValueError(f"a reduction is one of {', '.join(KINDS)}; got {request.kind!r}")
    x_outer, x_reduced = request.x_strides or (request.reduced * request.inner, request.inner)
    costs, is_line = target.costs, request.inner == 1 and x_reduced == 1
    chunk = min(costs.passes.chunk_numbers if is_line else costs.passes.chunk_rows, request.reduced)
    chunks, blocks = ceil(request.reduced / chunk), ceil(request.inner / COLUMNS)
    passes = 2 if request.kind in SPREADS else 1
    size = request.outer * request.reduced * request.inner
    cycles = size * passes * ITEM_BYTES[request.dtype] / costs.tasks.bytes_per_cycle
    kernel = ReduceKernel(kind=request.kind, is_line=is_line, has_chunks=chunks > 1, dtype=request.dtype)
    units = request.outer * chunks * blocks
    tasks = min(units, task_count(target, cycles, 1))
    parameters = ReduceParameters(
        outer=request.outer,
        reduced=request.reduced,
        inner=request.inner,
        x_outer=x_outer,
        x_reduced=x_reduced,
        chunk=chunk,
        num_chunks=chunks,
        columns=COLUMNS,
        num_column_blocks=blocks,
        divisor=request.reduced - request.correction if request.kind in SPREADS else request.reduced,
        num_units=units,
        num_tasks=tasks,
    )
    results = request.outer * request.inner
    return Plan(
        problem=request,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(tasks, min(request.outer, tasks) if chunks > 1 else 0),
        shared_bytes=round_up_to_cache_line(2 * results * chunks * ITEM_BYTES[request.dtype]) if chunks > 1 else 0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks, {chunks} chunks",),
    )
