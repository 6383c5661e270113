"""Planning the algorithm for small groups, channels last: tile, blocks and tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from faltung.algorithms.grouped.kernel import GroupedKernel, GroupedParameters
from faltung.machine.memory import CACHE_LINE
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lanes import flat_view, refuse_lanes
from faltung.plan.lines import line_counts, line_sizes
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.streaming import has_streaming_stores
from faltung.plan.tasks import task_count
from faltung.plan.tile import edge_share, input_reuse
from faltung.spec.dtype import ITEM_BYTES

MOST_TASKS = 32
"""Tasks of neighbouring lines, whose inputs overlap."""
EVEN_TILES = 8
"""A line of up to so many tiles is cut evenly; in a longer one the last tile's share does not matter."""


@dataclass(frozen=True)
class _Tile:
    """Positions x vectors of channels, while `taps` taps along w stay in registers."""

    rows: int
    vectors: int
    taps: int


def refuse(problem: Problem, target: Target) -> str | None:
    """Why this algorithm does not apply."""
    refusal = refuse_lanes(problem, target)
    if refusal is None and not (problem.is_channels_last and problem.x.c == 1):
        return "the input's channels do not lie side by side"
    if refusal is None and problem.x.spatial[-1] != problem.in_channels:
        return "a line has gaps"
    return refusal


def plan(problem: Problem, target: Target) -> Plan:
    """The cheapest tile by the cost model, and as few blocks as give the threads something to share."""
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    tiles = list(_tiles(problem, target))
    # half a cache line at a time would fetch each line twice, from wherever it has gone to in between
    whole_lines_wide = [tile for tile in tiles if tile.vectors * target.vector_bytes >= CACHE_LINE]
    cycles, tile = min(
        ((_cycles(problem, target, t), t) for t in whole_lines_wide or tiles), key=lambda choice: choice[0]
    )
    width = tile.vectors * lanes
    fills_lines = width * item_bytes % CACHE_LINE == 0
    kernel = GroupedKernel(
        **(constants_of(problem) | {"groups": 1, "w": flat_view(problem)}),
        rows=tile.rows,
        vectors=tile.vectors,
        taps=tile.taps,
        has_prefetch=problem.rank > 1 and problem.bytes_moved - problem.output_bytes > target.l2_bytes,
        is_packed=True,
        lane_in=problem.group_in,
        lane_out=problem.group_out,
        has_streaming_stores=fills_lines and has_streaming_stores(problem, target, problem.out_channels),
    )
    outer, lines, out_w = line_counts(problem)
    panels = ceil(problem.out_channels / width)
    wanted = min(
        task_count(target, max(cycles, problem.bytes_moved / target.costs.tasks.bytes_per_cycle), 1), MOST_TASKS
    )
    block_lines = max(min(lines, ceil(outer * lines / wanted)), 1)
    blocks = outer * ceil(lines / block_lines)
    block_w = _block_width(out_w, ceil(wanted / max(blocks, 1)), tile.rows)
    w_blocks = ceil(out_w / block_w)
    panels_per_part = ceil(panels / min(panels, ceil(wanted / max(blocks * w_blocks, 1))))
    parts = ceil(panels / panels_per_part)
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=GroupedParameters(
            sizes=line_sizes(problem),
            num_line_blocks=ceil(lines / block_lines),
            num_w_blocks=w_blocks,
            block_lines=block_lines,
            block_w=block_w,
            num_oc_parts=parts,
            panels_per_part=panels_per_part,
            y_offset=problem.y_offset,
            w_offset=problem.w.offset,
        ),
        tasks=(panels, blocks * w_blocks * parts),
        shared_bytes=round_up_to_cache_line(panels * kernel.reduction * width * item_bytes),
        scratch_bytes=0,
        reasons=(
            f"tile of {tile.rows} positions x {tile.vectors} vectors of {lanes}, {tile.taps} taps in registers, "
            f"blocks of {block_lines} lines x {block_w}",
        ),
    )


def _tiles(problem: Problem, target: Target) -> Iterator[_Tile]:
    """What fits into the registers: sums, the taps of a column and one vector of inputs for each of the panel's."""
    registers, out_w = target.num_vector_registers, max(problem.out_size[-1], 1)
    needed = ceil(problem.out_channels / target.lanes(problem.dtype))
    for vectors in range(1, min(needed, max(registers // 4, CACHE_LINE // target.vector_bytes)) + 1):
        for taps in range(1, problem.kernel_size[-1] + 1):
            most = (registers - taps * problem.group_in * vectors - vectors) // vectors
            if most < 1:
                break
            tiles = ceil(out_w / most)
            yield _Tile(ceil(out_w / tiles) if tiles <= EVEN_TILES else most, vectors, taps)


def _block_width(out_w: int, blocks: int, rows: int) -> int:
    """The width of about so many blocks of a line, each of which holds a whole tile."""
    tiles = ceil(out_w / rows)
    for count in range(min(blocks, tiles), 1, -1):
        width = ceil(tiles / count) * rows
        if out_w % width == 0 or out_w % width >= rows:
            return width
    return max(out_w, 1)


def _cycles(problem: Problem, target: Target, tile: _Tile) -> float:
    """The model's cycles: multiply-adds, loads, spreading over the lanes, or latency, whichever takes longest."""
    kw, stride, dilation, inputs = problem.kernel_size[-1], problem.stride[-1], problem.dilation[-1], problem.group_in
    out_w = max(problem.out_size[-1], 1)

    costs, lanes = target.costs.tile, target.lanes(problem.dtype)
    edge = target.costs.grouped.lookup_cycles * edge_share(problem, tile.rows)

    def column(taps: int) -> float:
        read = len(input_reuse(tile.rows, taps, stride, dilation))
        products = tile.rows * taps * inputs * tile.vectors / costs.fmas_per_cycle
        spread = read * inputs * tile.vectors if problem.group_out > 1 else 0
        loads = (read * costs.unaligned_channels_loads + taps * inputs) * tile.vectors / costs.loads_per_cycle
        return max(products, loads, spread, costs.fewest_column_cycles * taps * inputs) + read * edge

    whole, rest = divmod(kw, tile.taps)
    columns = prod(problem.kernel_size[:-1]) * (whole * column(tile.taps) + (column(rest) if rest else 0.0))
    panels = ceil(ceil(problem.out_channels / lanes) / tile.vectors)
    lines = problem.num_samples * prod(problem.out_size[:-1])
    return lines * ceil(out_w / tile.rows) * panels * (columns + costs.start_cycles)
