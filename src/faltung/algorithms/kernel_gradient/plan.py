"""Planning the kernel gradient: tile, blocks of positions, chunks and parts."""

from collections.abc import Iterator
from math import ceil, prod
from typing import Any

from faltung.algorithms.kernel_gradient.kernel import (
    GroupedKernelGradientKernel,
    KernelGradientKernel,
    KernelGradientParameters,
)
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lanes import flat_view, refuse_lanes
from faltung.plan.lines import line_counts, line_sizes
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.partials import MOST_PARTIAL_BYTES, MOST_TASKS
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.tasks import task_count
from faltung.plan.tile import candidates, input_reuse, step_cycles
from faltung.spec.dtype import ITEM_BYTES

MOST_GROUP_VECTORS = 4
"""Vectors of a tile of small groups: more leave too few positions in the registers."""
FEWEST_POSITIONS, MOST_POSITIONS = 48, 512
"""Positions of a block: enough to pay for flushing the sums, few enough to stay in L1."""
ROWS_PER_TASK = 64
"""Rows of the gradient that one task of the second stage adds up."""
FLUSH_POSITIONS = 96
"""Positions after which the model counts a flush of the accumulators: about those of a block."""


def refuse(problem: Problem, _: Target) -> str | None:
    """It covers everything."""
    return None


def plan(problem: Problem, target: Target) -> Plan:
    """The plan for the kernel gradient of a forward problem on contiguous arrays."""
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    kernel = _kernel(problem, target, lanes)
    width = kernel.vectors * lanes
    padded = kernel.padded_out(lanes)

    outer, lines, out_w = line_counts(problem)
    positions = min(
        max(int(target.costs.kernel_gradient.dy_l1_share * target.l1_bytes) // (width * item_bytes), FEWEST_POSITIONS),
        MOST_POSITIONS,
    )
    block_w = ceil(out_w / ceil(out_w / positions))
    block_lines = max(1, min(lines, positions // block_w))
    line_blocks, w_blocks = ceil(lines / block_lines), ceil(out_w / block_w)
    num_blocks = outer * line_blocks * w_blocks

    partial_bytes = kernel.groups * kernel.reduction * padded * item_bytes
    if isinstance(kernel, GroupedKernelGradientKernel):
        cycles = problem.num_samples * prod(problem.out_size) * problem.out_channels * kernel.reduction / lanes
    else:
        cycles = problem.groups * _cycles(problem, target, kernel.run_length, kernel.rows, kernel.vectors)
    wanted = min(
        task_count(target, max(cycles, problem.bytes_moved / target.costs.tasks.bytes_per_cycle), kernel.groups),
        MOST_TASKS,
    )
    # a task's own part of a partial result stays in its L2
    panels = ceil(kernel.group_out / width)
    own_bytes = kernel.reduction * padded * item_bytes
    panels_per_part = ceil(panels / max(1, min(panels, ceil(own_bytes / (target.l2_bytes // 2)))))
    parts = ceil(panels / panels_per_part)
    chunks = max(1, min(ceil(wanted / parts), num_blocks, MOST_PARTIAL_BYTES // partial_bytes))

    staged_line, staged_plane = _staged(problem, block_lines, block_w, kernel.gathered_channels)
    staged_bytes = (
        round_up_to_cache_line(prod(problem.kernel_size[:-2]) * staged_plane * item_bytes) if kernel.stages_x else 0
    )
    dy_bytes = round_up_to_cache_line(block_lines * block_w * panels * width * item_bytes) if kernel.stages_dy else 0
    rows = kernel.groups * kernel.reduction
    parameters = KernelGradientParameters(
        sizes=line_sizes(problem),
        num_chunks=chunks,
        num_parts=parts,
        panels_per_part=panels_per_part,
        rows_per_task=ROWS_PER_TASK,
        num_blocks=num_blocks,
        num_line_blocks=line_blocks,
        num_w_blocks=w_blocks,
        block_lines=block_lines,
        block_w=block_w,
        staged_line=staged_line,
        staged_plane=staged_plane,
        dy_at=staged_bytes,
    )
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(chunks * kernel.groups * parts, ceil(rows / ROWS_PER_TASK)),
        shared_bytes=round_up_to_cache_line(chunks * partial_bytes),
        scratch_bytes=staged_bytes + dy_bytes,
        reasons=(
            f"tile of {kernel.rows} inputs x {kernel.vectors} vectors of {lanes}, blocks of {block_lines} lines x "
            f"{block_w}, {chunks} chunks of positions",
        ),
    )


def _kernel(problem: Problem, target: Target, lanes: int) -> KernelGradientKernel | GroupedKernelGradientKernel:
    """The constants, with the cheapest tile by the cost model."""
    constants = constants_of(problem) | {
        "has_streaming_stores": False,
        "is_channels_last": problem.is_channels_last,
        "stages_x": problem.padding_mode is not None or not problem.is_channels_last,
    }
    run_length = KernelGradientKernel(**constants, stages_dy=False, rows=1, vectors=1).run_length
    tiles = candidates(target, run_length, ceil(problem.group_out / lanes))
    rows, vectors = min(tiles, key=lambda tile: _cycles(problem, target, run_length, *tile))
    if refuse_lanes(problem, target) is None:
        return _groups_kernel(problem, target, lanes, constants)
    # several panels lie too far apart in y to share L1
    stages_dy = not problem.is_channels_last or problem.group_out > vectors * lanes
    return KernelGradientKernel(**constants, stages_dy=stages_dy, rows=rows, vectors=vectors)


def _groups_kernel(
    problem: Problem, target: Target, lanes: int, constants: dict[str, Any]
) -> GroupedKernelGradientKernel:
    """The constants for small groups, whose lanes have a group each: the tile that spends least on a product."""
    vectors, line_taps, w_taps, positions = min(
        _group_tiles(problem, target, lanes), key=lambda tile: _group_cycles(problem, target, *tile)
    )
    return GroupedKernelGradientKernel(
        **(constants | {"groups": 1, "w": flat_view(problem)}),
        stages_dy=not problem.is_channels_last,
        rows=line_taps * w_taps,
        vectors=vectors,
        line_taps=line_taps,
        w_taps=w_taps,
        positions=positions,
        lane_in=problem.group_in,
        lane_out=problem.group_out,
    )


def _group_tiles(problem: Problem, target: Target, lanes: int) -> Iterator[tuple[int, int, int, int]]:
    """(vectors, taps along h, taps along w, positions) that fit into the registers, with one vector of inputs each."""
    kh, kw = (problem.kernel_size[-2] if problem.rank > 1 else 1), problem.kernel_size[-1]
    for vectors in range(1, min(ceil(problem.out_channels / lanes), MOST_GROUP_VECTORS) + 1):
        for line_taps in {1, kh}:
            for w_taps in range(1, kw + 1):
                positions = (target.num_vector_registers - vectors) // vectors - line_taps * w_taps
                if positions < 1:
                    break
                yield vectors, line_taps, w_taps, min(positions, max(problem.out_size[-1], 1))


def _group_cycles(problem: Problem, target: Target, vectors: int, line_taps: int, w_taps: int, positions: int) -> float:
    """The model's cycles for a product of vectors: bound by multiply-adds, loads, or the latency of too few sums."""
    stride, dilation = problem.stride[-1], problem.dilation[-1]
    kw, width, costs = problem.kernel_size[-1], max(problem.out_size[-1], 1), target.costs.tile

    def tile(taps: int, positions: int) -> float:
        read = len(input_reuse(positions, taps, stride, dilation))
        loads = (line_taps * read * costs.unaligned_channels_loads + positions) * vectors / costs.loads_per_cycle
        return max(
            line_taps * taps * positions * vectors / costs.fmas_per_cycle, loads, costs.fewest_column_cycles * positions
        )

    whole_taps, last_taps = divmod(kw, w_taps)
    steps, left = divmod(width, positions)
    cycles = 0.0
    for count, taps in ((whole_taps, w_taps), (1 if last_taps else 0, last_taps)):
        cycles += count * (steps * tile(taps, positions) + left * tile(taps, 1))
    return cycles / (kw * line_taps * width * vectors)


def _cycles(problem: Problem, target: Target, run_length: int, rows: int, vectors: int) -> float:
    """The model's cycles for one group: every row tile meets every panel at every position."""
    positions = problem.num_samples * prod(problem.out_size)
    whole, rest = divmod(run_length, rows)
    panels, last = divmod(ceil(problem.group_out / target.lanes(problem.dtype)), vectors)
    cycles = 0.0
    for number, size in ((whole, rows), (1 if rest else 0, rest)):
        for count, breadth in ((panels, vectors), (1 if last else 0, last)):
            flushes = positions / FLUSH_POSITIONS * target.costs.kernel_gradient.flush_cycles * size * breadth
            cycles += number * count * (positions * step_cycles(target, size, breadth) + flushes)
    runs = prod(problem.kernel_size) * problem.group_in / run_length
    has_remainder = (whole and rest) or (panels and last)
    remainder = target.costs.tile.remainder_factor if has_remainder else 1.0
    return target.costs.kernel_gradient.total_scale * runs * cycles * remainder


def _staged(problem: Problem, block_lines: int, block_w: int, channels: int) -> tuple[int, int]:
    """Elements of one gathered line, and of one plane, of the input of a block."""
    taps, stride, dilation = problem.kernel_size, problem.stride, problem.dilation
    line = ((block_w - 1) * stride[-1] + (taps[-1] - 1) * dilation[-1] + 1) * channels
    if problem.rank == 1:
        return line, block_lines * line
    return line, ((block_lines - 1) * stride[-2] + (taps[-2] - 1) * dilation[-2] + 1) * line
