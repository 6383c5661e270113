"""Planning the taps kernel: tile, block and pieces."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from faltung.algorithms.direct_nchw.blocks import Layout, Shape, is_interleaved, layouts_of, round_up
from faltung.machine.target import Target
from faltung.plan.constants import constants_of
from faltung.plan.kernels import TapsKernel
from faltung.plan.lines import line_parameters
from faltung.plan.plan import CACHE_LINE, Plan, whole_lines
from faltung.plan.problem import Problem
from faltung.plan.tasks import BYTES_PER_CYCLE, EVEN_PIECES, SMALLEST_PARALLEL_CYCLES, piece_count
from faltung.plan.tile import MOST_VECTORS, REMAINDER_COST, candidates, meetings, step_cycles

STAGE_CYCLES = {1: 0.12, 2: 0.25, 3: 0.4, 4: 0.5}
"""To stage one element, by the stride along w."""
OTHER_STAGE_CYCLES = 1.5
LINE_CYCLES = 8.0
"""To stage one line of one channel, besides its elements."""
TILE_CYCLES = 20.0
UNALIGNED_LOAD = 1.4
"""Loads that an unaligned one counts as: some touch two cache lines."""
EXCHANGE_CYCLES = 0.4
"""To stage or to store one element where channels and positions change places."""
SCATTER_CYCLES = 0.25
"""To copy one result of a 1-D strip across samples to its place."""
STRETCH_SHARE = 0.5
"""Of the first cache, for the input of a stretch."""
MOST_STREAMS, STREAMS_COST = 32, 1.2
"""Of channels read in place: more are too many pages for the processor to remember."""
NEAR_VECTORS, FAR_COST = 10, 1.15
"""Where fewer vectors of positions fit there, their input comes from the second cache, or in chunks that wait in y."""
FEW_READS = 2
"""Times that the kernel is read, for which it is not packed."""
FEWEST_STEPS = 48
"""Of a chunk: its sums are stored and loaded again."""
LARGE_PART = 64
"""Output channels of a part whose staging is small beside its multiply-adds."""
FEWEST_PIECES = 8
"""Enough to balance a few threads."""


def plan_taps(problem: Problem, target: Target) -> Plan:
    """The cheapest tile and staging by the cost model."""
    lanes = target.lanes(problem.dtype)
    item_bytes = target.vector_bytes // lanes
    group_in, group_out = problem.group_in, problem.group_out
    shape = Shape.of(problem)
    vectors_of_all = ceil(max(shape.lines * shape.width, 1) / lanes)
    tiles = list(candidates(target, group_out, min(vectors_of_all, 4)))
    if group_out <= 2 and vectors_of_all >= 8:  # too few rows to keep the pipelines busy: more vectors instead
        tiles += [tile for tile in candidates(target, group_out, 8) if tile[1] == 8]
    layouts = list(layouts_of(problem, shape, lanes, group_in, target.l2_bytes // 2 // item_bytes))
    layouts = [layout for layout in layouts if _can_be_shared(problem, layout, lanes)] or layouts
    choices: list[tuple[float, Layout, int, int, int, int]] = []
    for layout in layouts:
        near = _near_positions(layout, target, item_bytes)
        choices += [(_cycles(problem, layout, near, *tile), layout, *tile, 1, 1) for tile in tiles]
        for tile in _line_tiles(problem, layout, target):
            cycles = _line_cycles(problem, layout, tile)
            choices.append((cycles, layout, 1, tile.vectors, tile.lines, tile.taps))
    cycles, layout, rows, vectors, lines, line_taps = min(choices, key=lambda choice: choice[0])
    kernel = TapsKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        is_interleaved=is_interleaved(problem),
        is_staged=layout.is_staged,
        is_shifted=layout.is_shifted,
        is_chunked=False,
        is_packed=True,
        lines=lines,
        line_taps=line_taps,
        writes_around_cache=False,  # lines of one channel need not be aligned
    )

    row_blocks = ceil(group_out / rows)
    # each part of the output channels stages its input again: they are split where blocks are few, or parts large
    all_cycles = max(problem.groups * cycles, problem.bytes_moved / BYTES_PER_CYCLE)
    worth_having = piece_count(all_cycles, problem.groups)
    few, many = (ceil(min(worth_having, pieces) / max(layout.blocks, 1)) for pieces in (FEWEST_PIECES, EVEN_PIECES))
    oc_parts = max(1, min(row_blocks, max(few, min(many, group_out // LARGE_PART)))) if not kernel.is_interleaved else 1
    blocks_per_part = ceil(row_blocks / oc_parts)
    oc_parts = ceil(row_blocks / blocks_per_part)
    # many small groups share a piece
    group_pieces = max(1, min(problem.groups, ceil(piece_count(all_cycles, 1) / (layout.blocks * oc_parts))))
    groups_per_part = ceil(problem.groups / group_pieces)
    group_parts = ceil(problem.groups / groups_per_part)
    staged_at = whole_lines(8 * kernel.reduction)  # behind the offsets of the taps
    results_at = staged_at + (whole_lines(layout.elements * item_bytes) if layout.is_staged else 0)
    strip = layout.lines * layout.width if layout.is_shifted else layout.width
    stretch = (
        strip if kernel.crosses_samples else min(_stretch(layout, target, item_bytes, vectors), round_up(strip, lanes))
    )
    results_pitch = round_up(stretch, lanes)
    strips = 1 if layout.is_shifted else layout.lines
    reads = layout.blocks * strips * ceil(strip / stretch)
    is_packed = lines > 1 or not _is_in_order(problem) or reads > FEW_READS
    chunk = kernel.reduction if lines > 1 else _chunk(kernel, layout, target, item_bytes, min(stretch, strip))
    kernel = replace(kernel, is_packed=is_packed, is_chunked=chunk < kernel.reduction)
    waiting = group_out if kernel.is_interleaved else rows if kernel.has_results_apart else 0
    parameters = line_parameters(problem) | {
        "num_line_blocks": ceil(shape.lines / layout.lines),
        "num_w_blocks": ceil(shape.width / layout.width),
        "num_group_parts": group_parts,
        "groups_per_part": groups_per_part,
        "num_oc_parts": oc_parts,
        "oc_blocks_per_part": blocks_per_part,
        "block_lines": layout.lines,
        "block_w": layout.width,
        "stretch": stretch,
        "chunk": chunk,
        "y_offset": problem.y_offset,
        "w_offset": problem.w.offset,
        "num_line_phases": shape.line_phases,
        "more_lines": shape.line_tap_reach,
        "num_copies": layout.copies,
        "more_w": layout.more_w,
        "staged_at": staged_at,
        "results_at": results_at,
        "results_pitch": results_pitch,
    }
    if layout.is_staged:
        steps = (layout.pitch, layout.line_phase, layout.copy, layout.plane, layout.channel)
    else:
        steps = (parameters["x_line"], 0, 0, parameters["x_d"] * problem.dilation[0], problem.x.c)
    parameters |= zip(("pitch", "line_phase", "copy", "plane", "channel"), steps, strict=True)
    packed_bytes = whole_lines(problem.groups * row_blocks * kernel.block_pitch * item_bytes)
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=problem.groups * cycles,
        parameters=parameters,
        phases=(
            ("pack", kernel.pack_pieces if kernel.is_packed else 0),
            ("piece", layout.blocks * group_parts * oc_parts),
        ),
        shared_bytes=packed_bytes if kernel.is_packed else 0,
        scratch_bytes=whole_lines(results_at + waiting * results_pitch * item_bytes),
        reasons=(
            f"tile of {f'{lines} lines' if lines > 1 else f'{rows} channels'} x {vectors} vectors of {lanes}, "
            f"blocks of {layout.lines} lines x {layout.width} {layout.how}",
        ),
    )


def _can_be_shared(problem: Problem, layout: Layout, lanes: int) -> bool:
    """Are there blocks enough for some threads, where the work is worth sharing and output channels are not shared?"""
    outputs = problem.num_samples * prod(problem.out_size) * problem.out_channels
    cycles = outputs * prod(problem.kernel_size) * problem.group_in / lanes / 2
    is_worth_it = is_interleaved(problem) and cycles > SMALLEST_PARALLEL_CYCLES
    return not is_worth_it or layout.blocks * problem.groups >= FEWEST_PIECES


def _is_in_order(problem: Problem) -> bool:
    """Do the steps of the reduction lie side by side in the caller's kernel, as in PyTorch's?"""
    steps, step = [], 1
    for taps in reversed(problem.kernel_size):
        steps.append(step)
        step *= taps
    return (*reversed(steps), step) == (*problem.w.taps, problem.w.inner)


def _stretch(layout: Layout, target: Target, item_bytes: int, vectors: int) -> int:
    """Positions whose input stays in the first cache: at least two tiles; with little input, all of them."""
    tile = vectors * layout.lanes
    return max(_near_positions(layout, target, item_bytes) // tile, 2) * tile


def _near_positions(layout: Layout, target: Target, item_bytes: int) -> int:
    """Positions whose input of all channels takes that share of the first cache."""
    numbers_per_position = layout.channels * layout.shape.planes * (layout.copies if layout.is_staged else 1)
    return int(STRETCH_SHARE * target.l1_bytes / (numbers_per_position * item_bytes))


def _chunk(kernel: TapsKernel, layout: Layout, target: Target, item_bytes: int, stretch: int) -> int:
    """Steps of the reduction whose input of a stretch stays in the first cache; all of them where most fit."""
    lines = prod(kernel.kernel_size[:-1]) * layout.copies
    channel_bytes = lines * ((stretch + layout.more_w) * item_bytes + CACHE_LINE)
    fitting = int(STRETCH_SHARE * target.l1_bytes / channel_bytes)
    chunks = ceil(kernel.group_in / max(fitting, 1))
    steps = ceil(kernel.group_in / chunks) * kernel.num_taps
    return kernel.reduction if kernel.has_results_apart or chunks <= 2 or steps < FEWEST_STEPS else steps


def _cycles(problem: Problem, layout: Layout, near_positions: int, rows: int, vectors: int) -> float:
    """The model's cycles for one group: multiply-adds, tile starts and staging."""
    group_out = problem.group_out
    whole, rest = divmod(group_out, rows)
    steps = prod(problem.kernel_size) * layout.channels
    block = 0.0
    for count, length in layout.strips:
        wide, single = _tiles_of(layout, length, vectors)
        for number, size in ((whole, rows), (1 if rest else 0, rest)):
            wide_tile = wide * (steps * step_cycles(size, vectors) + TILE_CYCLES)
            block += count * number * (wide_tile + single * (steps * step_cycles(size, 1) + TILE_CYCLES))
    if whole and rest:
        block *= REMAINDER_COST
    if near_positions < NEAR_VECTORS * layout.lanes:
        block *= FAR_COST
    if not layout.is_staged and layout.channels > MOST_STREAMS:
        block *= STREAMS_COST
    return _all_blocks(problem, layout, block)


@dataclass(frozen=True)
class _LineTile:
    """Lines x vectors of one output channel, while `taps` taps along h and a vector for each stay in registers."""

    lines: int
    vectors: int
    taps: int


def _line_tiles(problem: Problem, layout: Layout, target: Target) -> Iterator[_LineTile]:
    """Tiles of several lines that a layout's blocks can be covered with, where a group has one output channel."""
    if problem.group_out > 1 or problem.rank == 1 or problem.y.spatial[-1] > 1 or layout.is_shifted:
        return
    kh, stride = problem.kernel_size[-2], problem.stride[-2]
    taps = ceil(kh / ceil(kh / (target.num_vector_registers // 2 - 1)))
    if taps < kh and taps * problem.dilation[-2] % stride:
        return  # where a column of taps goes on, its lines would belong to another phase
    fewest = layout.shape.lines % layout.lines or layout.lines
    widest = min(MOST_VECTORS, ceil(layout.width / layout.lanes) if layout.is_staged else layout.width // layout.lanes)
    for vectors in range(1, widest + 1):
        most = (target.num_vector_registers - taps - vectors) // vectors
        for lines in sorted({most, most * 3 // 4, most // 2, most // 4}):
            if 1 < lines <= fewest:
                yield _LineTile(lines, vectors, taps)


def _line_cycles(problem: Problem, layout: Layout, tile: _LineTile) -> float:
    """The model's cycles for one group of one output channel by tiles of several lines."""
    stride, dilation = problem.stride[-2], problem.dilation[-2]
    read = len(meetings(tile.lines, tile.taps, stride, dilation))
    loads = (read * tile.vectors * UNALIGNED_LOAD + tile.taps) / 2
    column = max(tile.lines * tile.vectors * tile.taps / 2, loads, 5.0 * tile.taps)
    cycles = layout.channels * prod(problem.kernel_size) / tile.taps * column + TILE_CYCLES
    whole, last = divmod(layout.shape.lines, layout.lines)
    tiles = (whole * ceil(layout.lines / tile.lines) + ceil(last / tile.lines)) * layout.lines / layout.shape.lines
    return _all_blocks(problem, layout, tiles * ceil(layout.width / (tile.vectors * layout.lanes)) * cycles)


def _tiles_of(layout: Layout, length: int, vectors: int) -> tuple[int, int]:
    """Whole tiles and single vectors of a stretch."""
    wide = length // (vectors * layout.lanes)
    return wide, ceil((length - wide * vectors * layout.lanes) / layout.lanes)


def _all_blocks(problem: Problem, layout: Layout, block: float) -> float:
    """The model's cycles where a block's tiles take so many: with its staging, and times the blocks."""
    staged_lines = layout.channels * layout.shape.planes * layout.copies * layout.shape.line_phases
    staged_lines *= layout.lines + layout.shape.line_tap_reach
    stage = STAGE_CYCLES.get(problem.stride[-1], OTHER_STAGE_CYCLES) if problem.stride[-1] <= 8 else OTHER_STAGE_CYCLES
    if is_interleaved(problem) and problem.in_channels > 1:
        stage = EXCHANGE_CYCLES
    staging = staged_lines * (LINE_CYCLES + (layout.width + layout.more_w) * stage)
    if is_interleaved(problem):
        block += EXCHANGE_CYCLES * problem.group_out * layout.lines * layout.width
    elif layout.is_shifted and problem.rank == 1:
        block += SCATTER_CYCLES * problem.group_out * layout.lines * layout.width
    # the last block of a line is shorter; count blocks by what they hold
    blocks = layout.shape.outer * layout.shape.lines * layout.shape.width / max(layout.lines * layout.width, 1)
    return blocks * (block + (staging if layout.is_staged else 0.0))
