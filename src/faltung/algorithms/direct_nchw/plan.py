"""Planning the direct algorithm for channels first: tile, block and tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from faltung.algorithms.direct_nchw.blocks import BlockPlan, LineView, block_plans
from faltung.algorithms.direct_nchw.kernel import DirectNchwKernel, DirectNchwParameters
from faltung.machine.memory import CACHE_LINE
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lines import line_sizes
from faltung.plan.memory import round_up, round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.tasks import EVEN_TASKS, task_count
from faltung.plan.tile import MOST_VECTORS, candidates, input_reuse, step_cycles

FEW_READS = 2
"""Times that the kernel is read, up to which packing it would cost as much as it saves."""
LARGE_PART = 64
"""Output channels of a part whose staging is small beside its multiply-adds."""
FEWEST_TASKS = 8
"""Tasks that are enough to balance a few threads."""
MOST_TILE_VECTORS, WIDEST_TILE_VECTORS = 4, 8
"""Vectors of a tile; with one or two rows only, the wider tile keeps the pipelines busy."""


def refuse(problem: Problem, _: Target) -> str | None:
    """Why this algorithm does not apply."""
    return None if problem.is_readable else "neighbours along w, or their channels, do not lie side by side"


def plan(problem: Problem, target: Target) -> Plan:
    """The cheapest tile and staging by the cost model, cut into tasks."""
    return _cut(problem, target, min(_choices(problem, target), key=lambda choice: choice.cycles))


@dataclass(frozen=True)
class _Choice:
    """A way to compute one group: how blocks are staged, and rows x vectors of a tile, or lines x vectors of one."""

    cycles: float
    block: BlockPlan
    rows: int
    vectors: int
    lines: int = 1
    line_taps: int = 1


def _choices(problem: Problem, target: Target) -> Iterator[_Choice]:
    """Tiles and stagings worth comparing, with their prices."""
    lanes = target.lanes(problem.dtype)
    item_bytes, group_out = target.vector_bytes // lanes, problem.group_out
    view = LineView.of(problem)
    vectors_of_all = ceil(max(view.lines * view.width, 1) / lanes)
    tiles = list(candidates(target, group_out, min(vectors_of_all, MOST_TILE_VECTORS)))
    if group_out <= 2 and vectors_of_all >= WIDEST_TILE_VECTORS:
        tiles += [tile for tile in candidates(target, group_out, WIDEST_TILE_VECTORS) if tile[1] == WIDEST_TILE_VECTORS]
    blocks = list(block_plans(problem, view, target, target.l2_bytes // 2 // item_bytes))
    for block in [block for block in blocks if _can_be_shared(problem, target, block)] or blocks:
        for rows, vectors in tiles:
            yield _Choice(_cycles(problem, target, block, rows, vectors), block, rows, vectors)
        for tile in _line_tiles(problem, target, block):
            yield _Choice(_line_cycles(problem, target, block, tile), block, 1, tile.vectors, tile.lines, tile.taps)


def _cut(problem: Problem, target: Target, choice: _Choice) -> Plan:
    """The plan of a choice: its work in tasks, and where staged inputs and waiting results lie."""
    block, costs, lanes = choice.block, target.costs, target.lanes(problem.dtype)
    item_bytes, group_out = target.vector_bytes // lanes, problem.group_out
    row_blocks = ceil(group_out / choice.rows)
    # each part of the output channels stages its input again: they are split where blocks are few, or parts large
    all_cycles = max(problem.groups * choice.cycles, problem.bytes_moved / costs.tasks.bytes_per_cycle)
    worth_having = task_count(target, all_cycles, problem.groups)
    few, many = (ceil(min(worth_having, tasks) / max(block.blocks, 1)) for tasks in (FEWEST_TASKS, EVEN_TASKS))
    oc_parts = max(1, min(row_blocks, max(few, min(many, group_out // LARGE_PART))))
    blocks_per_part = ceil(row_blocks / (1 if problem.is_interleaved else oc_parts))
    oc_parts = ceil(row_blocks / blocks_per_part)
    # many small groups share a task
    group_tasks = max(1, min(problem.groups, ceil(task_count(target, all_cycles, 1) / (block.blocks * oc_parts))))
    groups_per_part = ceil(problem.groups / group_tasks)
    group_parts = ceil(problem.groups / groups_per_part)

    strip = block.lines * block.width if block.is_shifted else block.width
    kernel = _kernel(problem, choice, is_packed=True, is_chunked=False)
    stretch = strip
    if not kernel.crosses_samples:
        stretch = min(_stretch(block, target, item_bytes, choice.vectors), round_up(strip, lanes))
    results_pitch = round_up(stretch, lanes)
    reads = block.blocks * (1 if block.is_shifted else block.lines) * ceil(strip / stretch)
    is_packed = choice.lines > 1 or not _is_in_order(problem) or reads > FEW_READS
    chunk = kernel.reduction
    if choice.lines == 1:
        chunk = _chunk(kernel, block, target, item_bytes, min(stretch, strip))
    kernel = _kernel(problem, choice, is_packed=is_packed, is_chunked=chunk < kernel.reduction)
    staged_at = round_up_to_cache_line(8 * kernel.reduction)  # behind the offsets of the taps
    results_at = staged_at + (round_up_to_cache_line(block.elements * item_bytes) if block.is_staged else 0)
    waiting = group_out if kernel.is_interleaved else choice.rows if kernel.has_results_apart else 0
    packed_bytes = round_up_to_cache_line(problem.groups * row_blocks * kernel.block_pitch * item_bytes)
    sizes = line_sizes(problem)
    x_strides = sizes.x_line, 0, 0, sizes.x_d * problem.dilation[0], problem.x.c
    line_stride, component_stride, copy_stride, plane_stride, channel_stride = (
        block.strides if block.is_staged else x_strides
    )
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=problem.groups * choice.cycles,
        parameters=DirectNchwParameters(
            num_line_blocks=ceil(block.view.lines / block.lines),
            num_w_blocks=ceil(block.view.width / block.width),
            num_group_parts=group_parts,
            groups_per_part=groups_per_part,
            num_oc_parts=oc_parts,
            oc_blocks_per_part=blocks_per_part,
            block_lines=block.lines,
            block_w=block.width,
            stretch=stretch,
            chunk=chunk,
            sizes=sizes,
            y_offset=problem.y_offset,
            w_offset=problem.w.offset,
            num_line_components=block.view.line_components,
            halo_lines=block.view.halo_lines,
            num_copies=block.copies,
            halo_w=block.halo_w,
            line_stride=line_stride,
            component_stride=component_stride,
            copy_stride=copy_stride,
            plane_stride=plane_stride,
            channel_stride=channel_stride,
            staged_at=staged_at,
            results_at=results_at,
            results_pitch=results_pitch,
        ),
        tasks=(kernel.pack_tasks if is_packed else 0, block.blocks * group_parts * oc_parts),
        shared_bytes=packed_bytes if is_packed else 0,
        scratch_bytes=round_up_to_cache_line(results_at + waiting * results_pitch * item_bytes),
        reasons=(
            f"tile of {f'{choice.lines} lines' if choice.lines > 1 else f'{choice.rows} channels'} x {choice.vectors} "
            f"vectors of {lanes}, blocks of {block.lines} lines x {block.width} {block.how}",
        ),
    )


def _kernel(problem: Problem, choice: _Choice, *, is_packed: bool, is_chunked: bool) -> DirectNchwKernel:
    return DirectNchwKernel(
        **constants_of(problem),
        rows=choice.rows,
        vectors=choice.vectors,
        is_interleaved=problem.is_interleaved,
        is_staged=choice.block.is_staged,
        is_shifted=choice.block.is_shifted,
        is_chunked=is_chunked,
        is_packed=is_packed,
        lines=choice.lines,
        line_taps=choice.line_taps,
        has_streaming_stores=False,  # lines of one channel need not be aligned
    )


def _can_be_shared(problem: Problem, target: Target, block: BlockPlan) -> bool:
    """Are there blocks enough for some threads, where the work is worth sharing and output channels are not shared?"""
    outputs = problem.num_samples * prod(problem.out_size) * problem.out_channels
    products = outputs * prod(problem.kernel_size) * problem.group_in / target.lanes(problem.dtype)
    is_long = products / target.costs.tile.fmas_per_cycle > target.costs.tasks.parallel_cycles
    return not (problem.is_interleaved and is_long) or block.blocks * problem.groups >= FEWEST_TASKS


def _is_in_order(problem: Problem) -> bool:
    """Do the steps of the reduction lie side by side in the caller's kernel, as in PyTorch's?"""
    steps, step = [], 1
    for taps in reversed(problem.kernel_size):
        steps.append(step)
        step *= taps
    return (*reversed(steps), step) == (*problem.w.taps, problem.w.inner)


def _stretch(block: BlockPlan, target: Target, item_bytes: int, vectors: int) -> int:
    """Positions whose input stays in L1: at least two tiles; with little input, all of them."""
    tile = vectors * block.lanes
    return max(_near_positions(block, target, item_bytes) // tile, 2) * tile


def _near_positions(block: BlockPlan, target: Target, item_bytes: int) -> int:
    """Positions whose input of all channels takes that share of L1."""
    numbers_per_position = block.channels * block.view.planes * (block.copies if block.is_staged else 1)
    return int(target.costs.direct_nchw.stretch_l1_share * target.l1_bytes / (numbers_per_position * item_bytes))


def _chunk(kernel: DirectNchwKernel, block: BlockPlan, target: Target, item_bytes: int, stretch: int) -> int:
    """Steps of the reduction whose input of a stretch stays in L1; all of them where most fit."""
    costs = target.costs.direct_nchw
    lines = prod(kernel.kernel_size[:-1]) * block.copies
    channel_bytes = lines * ((stretch + block.halo_w) * item_bytes + CACHE_LINE)
    fitting = int(costs.stretch_l1_share * target.l1_bytes / channel_bytes)
    chunks = ceil(kernel.group_in / max(fitting, 1))
    steps = ceil(kernel.group_in / chunks) * kernel.num_taps
    is_whole = kernel.has_results_apart or chunks <= 2 or steps < costs.fewest_chunk_steps
    return kernel.reduction if is_whole else steps


def _cycles(problem: Problem, target: Target, block: BlockPlan, rows: int, vectors: int) -> float:
    """The model's cycles for one group: multiply-adds, tile starts and staging."""
    costs, tile = target.costs.direct_nchw, target.costs.tile
    whole, rest = divmod(problem.group_out, rows)
    steps = prod(problem.kernel_size) * block.channels
    cycles = 0.0
    for count, length in block.strips:
        wide, single = _tiles_of(block, length, vectors)
        for number, size in ((whole, rows), (1 if rest else 0, rest)):
            wide_tile = wide * (steps * step_cycles(target, size, vectors) + tile.start_cycles)
            single_tile = single * (steps * step_cycles(target, size, 1) + tile.start_cycles)
            cycles += count * number * (wide_tile + single_tile)
    if whole and rest:
        cycles *= tile.remainder_factor
    item_bytes = target.vector_bytes // block.lanes
    if _near_positions(block, target, item_bytes) < costs.near_vectors * block.lanes:
        cycles *= costs.far_factor
    if not block.is_staged and block.channels > costs.most_streams:
        cycles *= costs.streams_factor
    return _all_blocks(problem, target, block, cycles)


@dataclass(frozen=True)
class _LineTile:
    """Lines x vectors of one output channel, while `taps` taps along h and a vector for each stay in registers."""

    lines: int
    vectors: int
    taps: int


def _line_tiles(problem: Problem, target: Target, block: BlockPlan) -> Iterator[_LineTile]:
    """Tiles of several lines that blocks can be covered with, where a group has one output channel."""
    if problem.group_out > 1 or problem.rank == 1 or problem.y.spatial[-1] > 1 or block.is_shifted:
        return
    kh, stride = problem.kernel_size[-2], problem.stride[-2]
    taps = ceil(kh / ceil(kh / (target.num_vector_registers // 2 - 1)))
    if taps < kh and taps * problem.dilation[-2] % stride:
        return  # where a column of taps goes on, its lines would belong to another polyphase component
    fewest = block.view.lines % block.lines or block.lines
    widest = min(MOST_VECTORS, ceil(block.width / block.lanes) if block.is_staged else block.width // block.lanes)
    for vectors in range(1, widest + 1):
        most = (target.num_vector_registers - taps - vectors) // vectors
        for lines in sorted({most, most * 3 // 4, most // 2, most // 4}):
            if 1 < lines <= fewest:
                yield _LineTile(lines, vectors, taps)


def _line_cycles(problem: Problem, target: Target, block: BlockPlan, tile: _LineTile) -> float:
    """The model's cycles for one group of one output channel by tiles of several lines."""
    costs = target.costs.tile
    read = len(input_reuse(tile.lines, tile.taps, problem.stride[-2], problem.dilation[-2]))
    loads = (read * tile.vectors * costs.unaligned_line_loads + tile.taps) / costs.loads_per_cycle
    products = tile.lines * tile.vectors * tile.taps / costs.fmas_per_cycle
    column = max(products, loads, costs.fewest_step_cycles * tile.taps)
    cycles = block.channels * prod(problem.kernel_size) / tile.taps * column + costs.start_cycles
    whole, last = divmod(block.view.lines, block.lines)
    tiles = (whole * ceil(block.lines / tile.lines) + ceil(last / tile.lines)) * block.lines / block.view.lines
    return _all_blocks(problem, target, block, tiles * ceil(block.width / (tile.vectors * block.lanes)) * cycles)


def _tiles_of(block: BlockPlan, length: int, vectors: int) -> tuple[int, int]:
    """Whole tiles and single vectors of a stretch."""
    wide = length // (vectors * block.lanes)
    return wide, ceil((length - wide * vectors * block.lanes) / block.lanes)


def _all_blocks(problem: Problem, target: Target, block: BlockPlan, cycles: float) -> float:
    """The model's cycles where a block's tiles take so many: with its staging, and times the blocks."""
    costs, view = target.costs.direct_nchw, block.view
    staged_lines = block.channels * view.planes * block.copies * view.line_components
    staged_lines *= block.lines + view.halo_lines
    by_stride = {
        1: costs.stage_dense_cycles,
        2: costs.stage_stride2_cycles,
        3: costs.stage_stride3_cycles,
        4: costs.stage_stride4_cycles,
    }
    stage = by_stride.get(problem.stride[-1], costs.stage_other_cycles)
    if problem.is_interleaved and problem.in_channels > 1:
        stage = costs.exchange_cycles
    staging = staged_lines * (costs.stage_line_cycles + (block.width + block.halo_w) * stage)
    if problem.is_interleaved:
        cycles += costs.exchange_cycles * problem.group_out * block.lines * block.width
    elif block.is_shifted and problem.rank == 1:
        cycles += costs.scatter_cycles * problem.group_out * block.lines * block.width
    # the last block of a line is shorter; count blocks by what they hold
    blocks = view.outer * view.lines * view.width / max(block.lines * block.width, 1)
    return costs.total_scale * blocks * (cycles + (staging if block.is_staged else 0.0))
