"""Planning a map: axes that are one in all arrays become one, then one is chosen for vectors and one for rows.

It serves everything that computes, moves or repeats numbers one by one: activations, sums, scales, copies, slices,
concatenation, transposition, repetition and fills are differences of strides.
"""

from dataclasses import dataclass, replace
from itertools import repeat
from math import ceil, prod

from faltung.algorithms.map.kernel import APART, CROSSED, INTERLEAVED, LINE, ONE, MapAxis, MapKernel, MapParameters
from faltung.machine.target import Target
from faltung.plan.expression import Expression, num_slow, operands_of
from faltung.plan.memory import round_up
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES

MOST_AXES, MOST_OPERANDS = 6, 4
MOST_INTERLEAVED, SHORTEST_INTERLEAVED = 8, 64
"""Rows that change places with a line by shuffles of neighbouring vectors, and the least that such a line holds."""
ROUND = 64
"""Blocks are whole vectors of every width."""


@dataclass(frozen=True, slots=True)
class Map:
    """result[i] = expression(operands at i) for all i below `sizes`; strides in elements, 0 repeats an operand.

    The result may be one of the operands, with the same strides; otherwise it overlaps none.
    """

    sizes: tuple[int, ...]
    operand_strides: tuple[tuple[int, ...], ...]
    result_strides: tuple[int, ...]
    expression: Expression
    dtype: str
    precision: str = "high"


@dataclass(frozen=True, slots=True)
class _Axis:
    size: int
    y: int
    operands: tuple[int, ...]

    @property
    def loads(self) -> tuple[str, ...]:
        return tuple({0: ONE, 1: LINE}.get(stride, APART) for stride in self.operands)

    @property
    def num_apart(self) -> int:
        return self.loads.count(APART)


def plan(request: Map, target: Target) -> Plan:
    """The plan for at least one number."""
    _check(request)
    axes = _merged(request)
    is_slow = num_slow(request.expression) > 0
    line, rows, loads, store = _chosen(axes, is_slow)
    outer_axes = [axis for axis in axes if axis is not line and axis is not rows]
    kernel = MapKernel(
        expression=request.expression,
        loads=loads,
        store=store,
        rows=rows.size if rows is not None and INTERLEAVED in (store, *loads) else 0,
        outer_axes=len(outer_axes),
        is_slow=is_slow,
        dtype=request.dtype,
    )
    nothing = _Axis(1, 0, (0,) * len(loads))
    rows = rows or nothing
    costs = target.costs.passes
    if kernel.is_tiled:
        row_block, line_block = costs.crossed_rows, costs.crossed_line
    else:
        line_block = round_up(min(line.size, costs.unit_numbers), ROUND)
        row_block = max(1, kernel.rows, costs.unit_numbers // min(line.size, line_block))
    row_blocks, line_blocks = ceil(rows.size / row_block), ceil(line.size / line_block)
    num_units = prod(axis.size for axis in outer_axes) * row_blocks * line_blocks
    cycles = _cycles(request, kernel, target)
    tasks = min(num_units, task_count(target, cycles, 1))
    outer = [_numbers(axis) for axis in [nothing] * (MOST_AXES - 2 - len(outer_axes)) + outer_axes]
    parameters = MapParameters(
        outer0=outer[0],
        outer1=outer[1],
        outer2=outer[2],
        outer3=outer[3],
        rows=_numbers(rows),
        line=_numbers(line),
        row_block=row_block,
        num_row_blocks=row_blocks,
        line_block=line_block,
        num_line_blocks=line_blocks,
        num_units=num_units,
        num_tasks=tasks,
    )
    return Plan(
        problem=request,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(0, tasks),
        shared_bytes=0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks, operands {', '.join(loads) or 'none'}",),
    )


def _check(request: Map) -> None:
    """Refuse what no caller of ours asks for."""
    rank, count = len(request.sizes), len(request.operand_strides)
    strides = (*request.operand_strides, request.result_strides)
    numbers = operands_of(request.expression)
    if rank > MOST_AXES or count > MOST_OPERANDS or any(len(s) != rank for s in strides):
        raise ValueError(f"{request} has more axes or operands than a map takes, or strides of another rank")
    if not numbers <= set(range(count)) or min(request.sizes, default=1) < 1:
        raise ValueError(f"{request} uses an operand that it lacks, or has no numbers")


def _merged(request: Map) -> list[_Axis]:
    """The axes from the outermost of the result to its innermost; neighbours that are one in all arrays are merged."""
    each = zip(request.sizes, request.result_strides, *request.operand_strides, strict=True)
    axes = [_Axis(size, y, tuple(operands)) for size, y, *operands in each if size > 1]
    merged: list[_Axis] = []
    for axis in sorted(axes, key=lambda axis: -abs(axis.y)):
        steps = (axis.y, *axis.operands)
        if merged and (merged[-1].y, *merged[-1].operands) == tuple(axis.size * step for step in steps):
            merged[-1] = replace(axis, size=axis.size * merged[-1].size)
        else:
            merged.append(axis)
    return merged or [_Axis(1, 1, (0,) * len(request.operand_strides))]


def _chosen(axes: list[_Axis], is_slow: bool) -> tuple[_Axis, _Axis | None, tuple[str, ...], str]:
    """The axis of vectors, that of rows, and how the operands and the result lie along them."""
    for rows in [] if is_slow else axes:
        for line in axes:
            if line is not rows and rows.size <= MOST_INTERLEAVED and line.size >= SHORTEST_INTERLEAVED:
                store, *loads = map(_interleaved, _strides(line), _strides(rows), repeat(rows.size))
                if INTERLEAVED in (store, *loads) and APART not in (store, *loads) and store != ONE:
                    return line, rows, tuple(loads), store
    line = min(axes, key=lambda axis: (axis.y != 1, axis.num_apart, abs(axis.y), -axis.size))
    others = [axis for axis in axes if axis is not line]
    for rows in others:
        crossed = _crossed(line, rows)
        if crossed and APART not in crossed:
            return line, rows, crossed, LINE
    nearest = min(others, key=lambda axis: abs(axis.y), default=None)
    return line, nearest, line.loads, LINE if line.y == 1 else APART


def _strides(axis: _Axis) -> tuple[int, ...]:
    return (axis.y, *axis.operands)


def _interleaved(along_line: int, along_rows: int, num_rows: int) -> str:
    if (along_line, along_rows) == (num_rows, 1):
        return INTERLEAVED
    return {0: ONE, 1: LINE}.get(along_line, APART)


def _crossed(line: _Axis, rows: _Axis) -> tuple[str, ...]:
    """How operands lie where those apart along the line are read along the rows; nothing where there are none."""
    if line.y != 1 or APART not in line.loads:
        return ()
    return tuple(CROSSED if load == APART and rows.operands[n] == 1 else load for n, load in enumerate(line.loads))


def _cycles(request: Map, kernel: MapKernel, target: Target) -> float:
    costs, size = target.costs, prod(request.sizes)
    moved = size * (1 + sum(load != ONE for load in kernel.loads)) * ITEM_BYTES[request.dtype]
    slow = num_slow(request.expression) * costs.passes.function_vector_cycles / target.lanes(request.dtype)
    apart = (kernel.store, *kernel.loads).count(APART) * costs.passes.apart_number_cycles
    return max(moved / costs.tasks.bytes_per_cycle, size * (slow + apart))


def _numbers(axis: _Axis) -> MapAxis[int]:
    return MapAxis(axis.size, axis.y, *axis.operands, *(0,) * (MOST_OPERANDS - len(axis.operands)))
