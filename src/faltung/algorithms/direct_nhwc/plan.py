"""Planning the channels-last kernel: tile, packing, blocks and pieces."""

from math import ceil, prod

from faltung.machine.target import Target
from faltung.plan.constants import constants_of
from faltung.plan.kernels import RunsKernel
from faltung.plan.plan import CACHE_LINE, Plan, whole_lines
from faltung.plan.problem import ITEM_BYTES, KernelView, Problem
from faltung.plan.tasks import BYTES_PER_CYCLE, SMALLEST_PARALLEL_CYCLES, piece_count
from faltung.plan.tile import REMAINDER_COST, candidates, panels_cycles

GATHER_CYCLES = 3.0
"""To look up where one row of a tile reads one tap."""
TILE_CYCLES = 20.0
"""To start a tile, find its place and store it."""
FEWEST_CACHE_LINES = 4
"""Of a position, for which it pays to ask for them ahead."""
LOAD_CYCLES = 0.01
"""What a load costs beside multiply-adds: of tiles that are equal otherwise, the one that loads less is quicker."""


def plan_runs(problem: Problem, target: Target) -> Plan:
    """The cheapest tile by the cost model, and the positions in pieces."""
    lanes = target.lanes(problem.dtype)
    group_out = problem.group_out
    positions = problem.num_samples * prod(problem.out_size)
    vectors_needed = ceil(group_out / lanes)
    tiles = candidates(target, positions, vectors_needed)
    rows, vectors = min(tiles, key=lambda tile: _cycles(problem, lanes, *tile))
    panels = ceil(vectors_needed / vectors)
    # reading the kernel in place pays when it is read once or twice, or when packing would only copy it
    is_in_order = problem.w == _in_order(problem)
    is_packed = not is_in_order or (panels > 1 and positions > 4 * rows) or (group_out % lanes != 0 and positions > 64)
    kernel = RunsKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        is_packed=is_packed,
        fetches_ahead=_fetches_ahead(problem, target),
        writes_around_cache=writes_around_cache(problem, target, group_out),
    )
    return plan_positions(problem, target, kernel, problem.groups * _cycles(problem, lanes, rows, vectors))


def _fetches_ahead(problem: Problem, target: Target) -> bool:
    """Are blocks short, and their positions so many cache lines that the processor does not foresee them?"""
    has_one_line = problem.groups == 1 and prod(problem.kernel_size[:-1]) == 1
    position_bytes = problem.stride[-1] * problem.in_channels * ITEM_BYTES[problem.dtype]
    is_kernel_cached = problem.kernel_bytes <= target.l2_bytes // 2
    return has_one_line and is_kernel_cached and position_bytes >= FEWEST_CACHE_LINES * CACHE_LINE


def writes_around_cache(problem: Problem, target: Target, channels: int) -> bool:
    """Is the result too large for every cache, and are its lines, `channels` long, whole vectors?"""
    is_whole = channels % target.lanes(problem.dtype) == 0
    return problem.is_dense and problem.output_bytes >= target.l3_bytes and is_whole


def plan_positions(problem: Problem, target: Target, kernel: RunsKernel, cycles: float) -> Plan:
    """Positions in pieces and blocks, for a kernel whose rows are positions."""
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    rows, width = kernel.rows, kernel.vectors * lanes
    positions = problem.num_samples * prod(problem.out_size)
    panels = ceil(kernel.group_out / width)
    packed_bytes = whole_lines(kernel.groups * panels * kernel.reduction * width * item_bytes)
    all_cycles = max(cycles, problem.bytes_moved / BYTES_PER_CYCLE)
    is_kernel_cached = packed_bytes // kernel.groups <= target.l2_bytes // 2
    # with a large kernel, a piece must be long enough to pay for fetching each panel
    least_positions = rows if is_kernel_cached else 20 * rows
    pieces_wanted = piece_count(all_cycles, kernel.groups)
    oc_parts = 1
    if all_cycles > SMALLEST_PARALLEL_CYCLES and positions < pieces_wanted * least_positions:
        oc_parts = max(1, min(panels, pieces_wanted // max(positions // least_positions, 1)))
    panels_per_part = ceil(panels / oc_parts)
    oc_parts = ceil(panels / panels_per_part)
    piece_positions = max(ceil(positions / ceil(pieces_wanted / oc_parts)), least_positions)
    piece_positions = ceil(piece_positions / rows) * rows
    num_blocks = ceil(positions / piece_positions)
    position_bytes = item_bytes * (problem.in_channels * prod(problem.stride) + problem.out_channels)
    # where panels come from far away, a block stays in the second cache beside the panel that passes over it
    cache_bytes = target.l1_bytes if is_kernel_cached else target.l2_bytes
    block_rows = max(cache_bytes // 2 // (position_bytes * rows), 1)
    parameters = {
        "num_positions": positions,
        "num_blocks": num_blocks,
        "piece_positions": piece_positions,
        "block_positions": min(block_rows * rows, piece_positions),
        "num_oc_parts": oc_parts,
        "panels_per_part": panels_per_part,
        "x_n": problem.x.n,
        "y_n": problem.y.n,
        "y_offset": problem.y_offset,
        "w_offset": problem.w.offset,
    }
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=_spatial(problem, kernel.axes) | parameters,
        phases=(
            ("pack", kernel.groups * panels if kernel.is_packed else 0),
            ("piece", num_blocks * kernel.groups * oc_parts),
        ),
        shared_bytes=packed_bytes if kernel.is_packed else 0,
        scratch_bytes=0,
        reasons=(f"tile of {rows} positions x {kernel.vectors} vectors of {lanes}",),
    )


def _spatial(problem: Problem, axes: tuple[str, ...]) -> dict[str, int]:
    """Sizes, padding and strides by axis; neutral where the rank has no such axis."""
    numbers = {f"{name}_{axis}": 1 for name in ("out", "in") for axis in "dhw"}
    numbers |= {f"{name}_{axis}": 0 for name in ("low", "x", "y") for axis in "dhw"}
    for n, axis in enumerate(axes):
        numbers |= {
            f"out_{axis}": problem.out_size[n],
            f"in_{axis}": problem.in_size[n],
            f"low_{axis}": problem.low[n],
            f"x_{axis}": problem.x.spatial[n],
            f"y_{axis}": problem.y.spatial[n],
        }
    return numbers


def _cycles(problem: Problem, lanes: int, rows: int, vectors: int) -> float:
    """The model's cycles for one group."""
    steps = prod(problem.kernel_size) * problem.group_in
    whole, rest = divmod(ceil(problem.group_out / lanes), vectors)
    step = panels_cycles(ceil(problem.group_out / lanes), rows, vectors)
    tiles = ceil(problem.num_samples * prod(problem.out_size) / rows)
    panels = whole + (rest > 0)
    lookups = edge_share(problem, rows, straddles_lines=True) * prod(problem.kernel_size) * rows
    start = TILE_CYCLES + lookups * GATHER_CYCLES
    step += panels * (rows + vectors) * LOAD_CYCLES
    return tiles * (steps * step + panels * start) * (REMAINDER_COST if whole and rest else 1.0)


def edge_share(problem: Problem, rows: int, *, straddles_lines: bool = False) -> float:
    """The share of tiles of `rows` positions whose windows touch padding, or that straddle lines where tiles may."""
    inside = 1.0
    for axis, (out, size, window, stride, low) in enumerate(
        zip(problem.out_size, problem.in_size, problem.effective_kernel, problem.stride, problem.low, strict=True)
    ):
        first, last = max(ceil(low / stride), 0), min((size - window + low) // stride, out - 1)
        clear = max(last - first + 1, 0)
        if axis == problem.rank - 1 and (clear < out or (straddles_lines and out % rows)):
            clear = max(clear - rows + 1, 0)
        inside *= min(clear / max(out, 1), 1.0)
    return 1.0 - inside


def _in_order(problem: Problem) -> KernelView:
    """The view of a kernel whose numbers lie in the order in which they are read."""
    taps, step = [], problem.group_in * problem.out_channels
    for k in reversed(problem.kernel_size):
        taps.append(step)
        step *= k
    return KernelView(0, problem.group_out, tuple(reversed(taps)), problem.out_channels, 1)
