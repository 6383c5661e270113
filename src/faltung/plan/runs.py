"""Planning the channels-last kernel: tile, packing, blocks and pieces."""

from math import ceil, prod

from faltung.plan.constants import constants_of
from faltung.plan.kernels import RunsKernel
from faltung.plan.pieces import BYTES_PER_CYCLE, SMALLEST_PARALLEL_CYCLES, piece_count
from faltung.plan.plan import Plan, whole_lines
from faltung.plan.target import Target
from faltung.plan.tiles import REMAINDER_COST, candidates, step_cycles
from faltung.spec import ConvSpec

GATHER_CYCLES = 3.0
"""To look up where one row of a tile reads one tap."""
TILE_CYCLES = 20.0
"""To start a tile, find its place and store it."""


def plan_runs(spec: ConvSpec, target: Target, x_strides: tuple[int, ...]) -> Plan:
    """The cheapest tile by the cost model, and the positions in pieces; x_strides are (n, *spatial) in elements."""
    lanes = target.lanes(spec.dtype)
    group_out = spec.out_channels // spec.groups
    positions = spec.num_samples * prod(spec.out_size)
    vectors_needed = ceil(group_out / lanes)
    tiles = candidates(target, positions, vectors_needed)
    rows, vectors = min(tiles, key=lambda tile: _cycles(spec, lanes, *tile))
    item_bytes = target.vector_bytes // lanes
    panels = ceil(vectors_needed / vectors)
    kernel_bytes = spec.kernel_bytes // spec.groups
    # reading the kernel in place pays when it is read once or twice, or when packing would only copy it
    is_in_order = spec.kernel_layout.endswith("IO")
    is_packed = not is_in_order or (panels > 1 and positions > 4 * rows) or (group_out % lanes != 0 and positions > 64)
    kernel = RunsKernel(
        **constants_of(spec),
        rows=rows,
        vectors=vectors,
        is_packed=is_packed,
        writes_around_cache=spec.output_bytes >= target.l3_bytes and group_out % lanes == 0,
    )

    cycles = max(spec.groups * _cycles(spec, lanes, rows, vectors), spec.bytes_moved / BYTES_PER_CYCLE)
    is_kernel_cached = kernel_bytes <= target.l2_bytes // 2
    # with a large kernel, a piece must be long enough to pay for fetching each panel
    least_positions = rows if is_kernel_cached else 20 * rows
    pieces_wanted = piece_count(cycles, spec.groups)
    oc_parts = 1
    if cycles > SMALLEST_PARALLEL_CYCLES and positions < pieces_wanted * least_positions:
        oc_parts = max(1, min(panels, pieces_wanted // max(positions // least_positions, 1)))
    panels_per_part = ceil(panels / oc_parts)
    oc_parts = ceil(panels / panels_per_part)
    piece_positions = max(ceil(positions / ceil(pieces_wanted / oc_parts)), least_positions)
    piece_positions = ceil(piece_positions / rows) * rows
    num_blocks = ceil(positions / piece_positions)
    position_bytes = item_bytes * (spec.in_channels * prod(spec.stride) + spec.out_channels)
    block_rows = max(target.l1_bytes // 2 // (position_bytes * rows), 1) if is_kernel_cached else piece_positions
    axes = ("d", "h", "w")
    sizes = {f"{name}_{axis}": 1 for name in ("out", "in") for axis in axes} | {f"low_{axis}": 0 for axis in axes}
    strides = {"x_d": 0, "x_h": 0}
    for axis, out, size, (low, _), stride in zip(
        kernel.axes, spec.out_size, spec.in_size, spec.padding, x_strides[1:], strict=True
    ):
        sizes |= {f"out_{axis}": out, f"in_{axis}": size, f"low_{axis}": low}
        strides[f"x_{axis}"] = stride
    parameters = (
        sizes
        | strides
        | {
            "num_positions": positions,
            "num_blocks": num_blocks,
            "piece_positions": piece_positions,
            "block_positions": min(block_rows * rows, piece_positions),
            "num_oc_parts": oc_parts,
            "panels_per_part": panels_per_part,
            "x_n": x_strides[0],
        }
    )
    packed_bytes = whole_lines(spec.groups * panels * kernel.reduction * vectors * lanes * item_bytes)
    return Plan(
        spec=spec,
        kernel=kernel,
        cycles=spec.groups * _cycles(spec, lanes, rows, vectors),
        parameters=parameters,
        pack_pieces=spec.groups * panels if is_packed else 0,
        pieces=num_blocks * spec.groups * oc_parts,
        shared_bytes=packed_bytes if is_packed else 0,
        scratch_bytes=0,
        reasons=(f"tile of {rows} positions x {vectors} vectors of {lanes}",),
    )


def _cycles(spec: ConvSpec, lanes: int, rows: int, vectors: int) -> float:
    """The model's cycles for one group."""
    group_in, group_out = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    steps = prod(spec.kernel_size) * group_in
    whole, rest = divmod(ceil(group_out / lanes), vectors)
    step = whole * step_cycles(rows, vectors) + (step_cycles(rows, rest) if rest else 0.0)
    tiles = ceil(spec.num_samples * prod(spec.out_size) / rows)
    panels = whole + (rest > 0)
    gathered = _gathered_share(spec, rows) * prod(spec.kernel_size) * rows * GATHER_CYCLES
    return tiles * (steps * step + panels * (TILE_CYCLES + gathered)) * (REMAINDER_COST if whole and rest else 1.0)


def _gathered_share(spec: ConvSpec, rows: int) -> float:
    """The share of tiles that straddle lines or touch padding."""
    inside = 1.0
    for axis, (out, size, window, stride, (low, high)) in enumerate(
        zip(spec.out_size, spec.in_size, spec.effective_kernel, spec.stride, spec.padding, strict=True)
    ):
        clear = out if low == high == 0 else max((size - window) // stride + 1 - ceil(low / stride), 0)
        if axis == spec.rank - 1 and (clear < out or out % rows):
            clear = max(clear - rows + 1, 0)
        inside *= min(clear / max(out, 1), 1.0)
    return 1.0 - inside
