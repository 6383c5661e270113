"""Planning resampling along one axis: interpolation, padding by copies, adaptive means, lookup of rows."""

from dataclasses import dataclass
from math import ceil

from faltung.algorithms.resample.kernel import ResampleKernel, ResampleParameters
from faltung.machine.target import Target
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES

INDEX_BYTES = {"int32": 4, "int64": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample:
    """y[o, j, i] = sum over t of weight[j, t] * x[o, index[j, t], i], the last axis with stride 1.

    Operands: x, index of (out_size, taps), and weight of the same shape unless taps is 1 and has_weights False: then
    numbers are copied. Who calls has checked that each index lies in x.
    """

    outer: int
    out_size: int
    inner: int
    taps: int
    has_weights: bool
    index_dtype: str
    x_strides: tuple[int, int]
    """Of outer and the axis, in elements."""
    y_strides: tuple[int, int]
    dtype: str
    precision: str = "high"


def rows(num_rows: int, row_size: int, index_dtype: str, dtype: str) -> Resample:
    """y[p, :] = table[index[p], :], all contiguous: operands table and index.

    >>> rows(5, 64, "int64", "float32").out_size
    5
    """
    return Resample(
        outer=1,
        out_size=num_rows,
        inner=row_size,
        taps=1,
        has_weights=False,
        index_dtype=index_dtype,
        x_strides=(0, row_size),
        y_strides=(0, row_size),
        dtype=dtype,
    )


def plan(request: Resample, target: Target) -> Plan:
    """The plan for at least one number."""
    if request.taps != 1 and not request.has_weights:
        raise ValueError(f"several taps need weights; got {request}")
    costs = target.costs
    columns = min(request.inner, costs.passes.unit_numbers)
    column_blocks = ceil(request.inner / columns)
    block = max(1, costs.passes.unit_numbers // (columns * request.taps))
    blocks = ceil(request.out_size / block)
    units = request.outer * blocks * column_blocks
    numbers = request.outer * request.out_size * request.inner
    cycles = numbers * (request.taps + 1) * ITEM_BYTES[request.dtype] / costs.tasks.bytes_per_cycle
    cycles += request.outer * request.out_size * request.taps * costs.direct_nhwc.gather_cycles
    tasks = min(units, task_count(target, cycles, 1))
    parameters = ResampleParameters(
        outer=request.outer,
        out_size=request.out_size,
        inner=request.inner,
        taps=request.taps,
        x_outer=request.x_strides[0],
        x_axis=request.x_strides[1],
        y_outer=request.y_strides[0],
        y_axis=request.y_strides[1],
        block=block,
        num_blocks=blocks,
        columns=columns,
        num_column_blocks=column_blocks,
        num_units=units,
        num_tasks=tasks,
    )
    return Plan(
        problem=request,
        kernel=ResampleKernel(request.has_weights, INDEX_BYTES[request.index_dtype], request.dtype),
        cycles=cycles,
        parameters=parameters,
        tasks=(0, tasks),
        shared_bytes=0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks",),
    )
