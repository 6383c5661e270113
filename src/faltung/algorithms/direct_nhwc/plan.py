"""Planning the direct algorithm for channels last: tile, packing, blocks and tasks."""

from math import ceil, prod

from faltung.algorithms.direct_nhwc.kernel import DirectNhwcKernel, DirectNhwcParameters
from faltung.machine.memory import CACHE_LINE
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.memory import round_up, round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import KernelView, Problem
from faltung.plan.streaming import has_streaming_stores
from faltung.plan.tasks import task_count
from faltung.plan.tile import candidates, edge_share, panels_cycles
from faltung.spec.dtype import ITEM_BYTES

FEW_TILES = 4
"""Up to so many tiles read a kernel of several panels as it lies; packing it would cost as much as it saves."""
FEW_POSITIONS = 64
"""Up to so many positions, a kernel whose channels do not fill vectors is read as it lies, with masks."""
FAR_KERNEL_TILES = 20
"""Tiles of a task where L2 does not hold the kernel: a task must be long enough to pay for fetching each panel."""


def refuse(problem: Problem, _: Target) -> str | None:
    """Why this algorithm does not apply."""
    if not problem.is_channels_last:
        return "the input's channels do not lie side by side"
    return None if (problem.x.c, problem.x.spatial[-1]) == (1, problem.in_channels) else "a line has gaps"


def plan(problem: Problem, target: Target) -> Plan:
    """The cheapest tile by the cost model, and the positions in tasks."""
    lanes, group_out = target.lanes(problem.dtype), problem.group_out
    positions = problem.num_samples * prod(problem.out_size)
    vectors_needed = ceil(group_out / lanes)
    tiles = candidates(target, positions, vectors_needed)
    rows, vectors = min(tiles, key=lambda tile: _cycles(problem, target, *tile))
    panels = ceil(vectors_needed / vectors)
    # reading the kernel in place pays when it is read once or twice, or when packing would only copy it
    is_read_often = panels > 1 and positions > FEW_TILES * rows
    is_masked_often = group_out % lanes != 0 and positions > FEW_POSITIONS
    kernel = DirectNhwcKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        is_packed=problem.is_kernel_constant or problem.w != _in_order(problem) or is_read_often or is_masked_often,
        has_prefetch=_has_prefetch(problem, target),
        has_streaming_stores=has_streaming_stores(problem, target, group_out),
    )
    return _cut(problem, target, kernel, problem.groups * _cycles(problem, target, rows, vectors))


def _has_prefetch(problem: Problem, target: Target) -> bool:
    """Are blocks short, and their positions so many cache lines that the processor does not foresee them?"""
    has_one_line = problem.groups == 1 and prod(problem.kernel_size[:-1]) == 1
    position_bytes = problem.stride[-1] * problem.in_channels * ITEM_BYTES[problem.dtype]
    is_kernel_cached = problem.kernel_bytes <= target.l2_bytes // 2
    least_bytes = target.costs.direct_nhwc.prefetch_cache_lines * CACHE_LINE
    return has_one_line and is_kernel_cached and position_bytes >= least_bytes


def _cut(problem: Problem, target: Target, kernel: DirectNhwcKernel, cycles: float) -> Plan:
    """The plan of a kernel: its positions in tasks and blocks."""
    lanes, item_bytes, costs = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype], target.costs.tasks
    rows, width = kernel.rows, kernel.vectors * lanes
    positions = problem.num_samples * prod(problem.out_size)
    panels = ceil(kernel.group_out / width)
    packed_bytes = round_up_to_cache_line(kernel.groups * panels * kernel.reduction * width * item_bytes)
    all_cycles = max(cycles, problem.bytes_moved / costs.bytes_per_cycle)
    is_kernel_cached = packed_bytes // kernel.groups <= target.l2_bytes // 2
    least_positions = rows if is_kernel_cached else FAR_KERNEL_TILES * rows
    tasks_wanted = task_count(target, all_cycles, kernel.groups)
    oc_parts = 1
    if all_cycles > costs.parallel_cycles and positions < tasks_wanted * least_positions:
        oc_parts = max(1, min(panels, tasks_wanted // max(positions // least_positions, 1)))
    panels_per_part = ceil(panels / oc_parts)
    oc_parts = ceil(panels / panels_per_part)
    task_positions = max(ceil(positions / ceil(tasks_wanted / oc_parts)), least_positions)
    task_positions = round_up(task_positions, rows)
    num_blocks = ceil(positions / task_positions)
    position_bytes = item_bytes * (problem.in_channels * prod(problem.stride) + problem.out_channels)
    # where panels come from far away, a block stays in L2 beside the panel that passes over it
    cache_bytes = target.l1_bytes if is_kernel_cached else target.l2_bytes
    block_rows = max(cache_bytes // 2 // (position_bytes * rows), 1)
    out_size, in_size = _along_dhw(problem.out_size, 1), _along_dhw(problem.in_size, 1)
    low, x, y = (_along_dhw(numbers, 0) for numbers in (problem.low, problem.x.spatial, problem.y.spatial))
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=DirectNhwcParameters(
            num_positions=positions,
            num_blocks=num_blocks,
            task_positions=task_positions,
            block_positions=min(block_rows * rows, task_positions),
            num_oc_parts=oc_parts,
            panels_per_part=panels_per_part,
            out_d=out_size[0],
            out_h=out_size[1],
            out_w=out_size[2],
            in_d=in_size[0],
            in_h=in_size[1],
            in_w=in_size[2],
            low_d=low[0],
            low_h=low[1],
            low_w=low[2],
            x_n=problem.x.n,
            x_d=x[0],
            x_h=x[1],
            y_n=problem.y.n,
            y_d=y[0],
            y_h=y[1],
            y_offset=problem.y_offset,
            w_offset=problem.w.offset,
        ),
        tasks=(kernel.groups * panels if kernel.is_packed else 0, num_blocks * kernel.groups * oc_parts),
        shared_bytes=packed_bytes if kernel.is_packed else 0,
        scratch_bytes=0,
        reasons=(f"tile of {rows} positions x {kernel.vectors} vectors of {lanes}",),
    )


def _along_dhw(numbers: tuple[int, ...], absent: int) -> tuple[int, ...]:
    """The numbers of the axes d, h and w; `absent` where the rank has no such axis."""
    return (absent,) * (3 - len(numbers)) + numbers


def _cycles(problem: Problem, target: Target, rows: int, vectors: int) -> float:
    """The model's cycles for one group."""
    costs, tile = target.costs.direct_nhwc, target.costs.tile
    steps = prod(problem.kernel_size) * problem.group_in
    vectors_needed = ceil(problem.group_out / target.lanes(problem.dtype))
    whole, rest = divmod(vectors_needed, vectors)
    step = panels_cycles(target, vectors_needed, rows, vectors)
    tiles = ceil(problem.num_samples * prod(problem.out_size) / rows)
    panels = whole + (rest > 0)
    lookups = edge_share(problem, rows, straddles_lines=True) * prod(problem.kernel_size) * rows
    start = tile.start_cycles + lookups * costs.gather_cycles
    step += panels * (rows + vectors) * costs.load_cycles
    remainder = tile.remainder_factor if whole and rest else 1.0
    return costs.total_scale * tiles * (steps * step + panels * start) * remainder


def _in_order(problem: Problem) -> KernelView:
    """The view of a kernel whose numbers lie in the order in which they are read."""
    taps, step = [], problem.group_in * problem.out_channels
    for k in reversed(problem.kernel_size):
        taps.append(step)
        step *= k
    return KernelView(0, problem.group_out, tuple(reversed(taps)), problem.out_channels, 1)
