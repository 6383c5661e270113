"""Planning the Winograd kernel gradient: cut, tile, chunks of blocks and parts of channels."""

from math import ceil, prod

from faltung.algorithms.winograd import plan as winograd
from faltung.algorithms.winograd.plan import (
    Cut,
    by_components,
    cuts_of,
    line_bytes,
    staging_cycles,
    tile_cycles,
    tiles_of_line,
)
from faltung.algorithms.winograd.toom_cook import matrices
from faltung.algorithms.winograd_gradient.kernel import WinogradGradientKernel, WinogradGradientParameters
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lines import line_counts, line_sizes
from faltung.plan.memory import round_up, round_up_to_cache_line
from faltung.plan.partials import MOST_PARTIAL_BYTES, MOST_TASKS
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.tasks import task_count
from faltung.plan.tile import step_cycles, tile_of
from faltung.spec.dtype import ITEM_BYTES

FEWEST_POSITIONS = 64
"""Positions summed over: with fewer, too few products even out the errors of a few."""
STEPS_PER_TASK = 16
"""Steps of the reduction that one task of the second stage adds up."""


def refuse(problem: Problem, target: Target) -> str | None:
    """Why this algorithm does not apply."""
    if problem.num_samples * prod(problem.out_size) < FEWEST_POSITIONS:
        return f"fewer than {FEWEST_POSITIONS} positions"
    return winograd.refuse(problem, target, _staged_out(problem, target))


def _staged_out(problem: Problem, target: Target) -> int:
    """Output channels rounded up to whole panels."""
    lanes = target.lanes(problem.dtype)
    _, vectors = tile_of(target, ceil(problem.out_channels / lanes))
    return round_up(problem.out_channels, vectors * lanes)


def plan(problem: Problem, target: Target) -> Plan:
    """The cheapest cut by the cost model."""
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    rows, vectors = tile_of(target, ceil(problem.out_channels / lanes))
    merged = by_components(problem)
    rows = min(rows, merged.in_channels)
    width = vectors * lanes
    panels = ceil(problem.out_channels / width)
    cuts = cuts_of(merged, target, _staged_out(problem, target))
    cycles, cut = min(
        ((_cycles(merged, target, cut, rows, vectors), cut) for cut in cuts), key=lambda choice: choice[0]
    )
    kernel = WinogradGradientKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        outputs=cut.outputs,
        segment_taps=cut.taps,
        is_channels_last=problem.is_channels_last,
        has_streaming_stores=False,
    )
    wanted = min(task_count(target, cycles, 1), MOST_TASKS)
    partial_bytes = cut.products * kernel.reduction * kernel.padded_out(lanes) * item_bytes
    chunks = max(1, min(wanted, cut.blocks, MOST_PARTIAL_BYTES // partial_bytes))
    # each part of the output channels stages the block again: only where blocks are too few to share
    panels_per_part = ceil(panels / max(1, min(panels, wanted // chunks, 4)))
    parts = ceil(panels / panels_per_part)
    kd, _ = kernel.tap_lines
    dy_at = round_up_to_cache_line(kd * cut.staged * cut.products * kernel.padded_in(lanes) * item_bytes)
    line_at = dy_at + round_up_to_cache_line(cut.lines * cut.tiles * cut.products * panels * width * item_bytes)
    statistics_at = line_at + (0 if problem.is_channels_last else line_bytes(problem, cut, lanes))
    channels = kernel.padded_in(lanes) + kernel.padded_out(lanes)
    plain_at = round_up_to_cache_line(chunks * partial_bytes)
    flags_at = plain_at + round_up_to_cache_line(chunks * partial_bytes // cut.products * cut.taps)
    parameters = WinogradGradientParameters(
        sizes=line_sizes(problem),
        num_chunks=chunks,
        num_parts=parts,
        panels_per_part=panels_per_part,
        rows_per_task=STEPS_PER_TASK,
        num_blocks=cut.blocks,
        num_line_blocks=ceil(line_counts(problem)[1] / cut.lines),
        num_tile_blocks=ceil(tiles_of_line(problem, cut.outputs) / cut.tiles),
        block_lines=cut.lines,
        block_tiles=cut.tiles,
        staged_tiles=cut.tiles + cut.halo_tiles,
        staged_lines=cut.lines + cut.halo_lines,
        halo_lines=cut.halo_lines,
        dy_at=dy_at,
        line_at=line_at,
        statistics_at=statistics_at,
        plain_at=plain_at,
        flags_at=flags_at,
    )
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(chunks * parts, ceil(kernel.reduction / STEPS_PER_TASK)),
        shared_bytes=flags_at + round_up_to_cache_line(chunks * parts * 8),
        scratch_bytes=statistics_at + round_up_to_cache_line(2 * channels * item_bytes),
        reasons=(
            f"{cut.outputs} outputs of {cut.taps} taps from {cut.products} products, tile of {rows} inputs x {vectors} "
            f"vectors of {lanes}, blocks of {cut.lines} lines x {cut.tiles} tiles, {chunks} chunks of blocks",
        ),
    )


def _cycles(problem: Problem, target: Target, cut: Cut, rows: int, vectors: int) -> float:
    """The model's cycles: sums of inputs and of gradients, products, and the flush of each block's sums."""
    costs, lanes = target.costs.kernel_gradient, target.lanes(problem.dtype)
    a, *_ = matrices(cut.outputs, cut.taps)
    out_vectors, transposed = ceil(problem.out_channels / lanes), 0 if problem.is_channels_last else cut.outputs
    tiles = cut.lines * cut.tiles
    staging = staging_cycles(problem, target, cut)
    staging += tiles * tile_cycles(target, tuple(zip(*a, strict=True)), out_vectors, transposed)
    runs = cut.products * prod(problem.kernel_size[:-1]) * cut.segments
    whole, rest = divmod(problem.in_channels, rows)
    panels, last = divmod(out_vectors, vectors)
    partial_bytes = runs * problem.in_channels * out_vectors * target.vector_bytes
    flush = costs.flush_cycles if partial_bytes <= 2 * target.l2_bytes else costs.far_flush_cycles
    sums = 0.0
    for number, size in ((whole, rows), (1 if rest else 0, rest)):
        for count, breadth in ((panels, vectors), (1 if last else 0, last)):
            sums += number * count * (tiles * step_cycles(target, size, breadth) + flush * size * breadth)
    return cut.blocks * (staging + costs.products_scale * runs * sums)
