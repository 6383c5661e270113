"""Planning the Winograd kernel: how many outputs and taps at once, tile, blocks and tasks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from faltung.algorithms.winograd.kernel import WinogradKernel, WinogradParameters
from faltung.algorithms.winograd.toom_cook import Matrix, matrices
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lines import line_counts, line_sizes
from faltung.plan.memory import round_up, round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.tasks import task_count
from faltung.plan.tile import candidates, panels_cycles, tile_of
from faltung.spec.dtype import ITEM_BYTES

FORMS = ((2, 3), (4, 3), (6, 3), (4, 4), (4, 5), (3, 6))
"""(outputs, taps): few, so that lines of many lengths share kernels; none loses more than 5 times the digits of direct
summation. Taps in several segments must be a multiple of the outputs: the next segment begins where a tile begins."""
FEWEST_TAPS = min(taps for _, taps in FORMS)
"""Two taps are too few: F(4,2) was 1.0 to 1.1 times as fast as direct summation."""
FEWEST_CHANNELS = 8
"""On either side; below, the sums cost more than the products they save, and too few products even out their errors."""
MOST_LINES, FEWEST_TILES = 16, 4
"""Lines of a block at most, and tiles of its lines at least, where there are so many."""
FEW_ROWS = 3
"""Times the rows of a register tile: in blocks of more tiles, what the last rows leave empty does not matter."""
MOST_PARTS = 8
"""Parts of the output channels: each transforms its input again."""


@dataclass(frozen=True)
class Cut:
    """How a problem is cut: F(outputs, taps) along w, and what a task stages."""

    outputs: int
    taps: int
    segments: int
    lines: int  # of one block
    tiles: int  # of one line of a block
    halo_lines: int  # staged below those of the outputs
    halo_tiles: int  # staged to the right of those of the outputs
    blocks: int

    @property
    def staged(self) -> int:
        """Tiles that a block transforms, for each tap along d."""
        return (self.lines + self.halo_lines) * (self.tiles + self.halo_tiles)

    @property
    def products(self) -> int:
        """Multiplications for one tile."""
        return self.outputs + self.taps - 1


def refuse(problem: Problem, target: Target, more_channels: int = 0) -> str | None:
    """Why this algorithm does not apply; more_channels as in cuts_of."""
    steps = (1, problem.in_channels) if problem.is_channels_last else (problem.x.c, 1)
    if (problem.x.c, problem.x.spatial[-1]) != steps:
        return "a line has gaps"
    if not problem.is_channels_last and problem.y.spatial[-1] != 1:
        return "results lie apart along w"
    if problem.precision == "exact":
        return 'precision "exact" asks for direct summation'
    if problem.groups > 1 or min(problem.in_channels, problem.out_channels) < FEWEST_CHANNELS:
        return f"fewer than {FEWEST_CHANNELS} channels in or out of a group"
    if any(step > 1 for step in problem.stride[:-1]):
        return "the stride of lines is not 1"
    is_strided = problem.stride[-1] > 1
    if is_strided and problem.dilation[-1] > 1:
        return "there is a stride together with a dilation"
    if is_strided and problem.in_channels % target.lanes(problem.dtype):
        return "the channels of a component do not fill vectors"
    merged = by_components(problem)
    if merged.kernel_size[-1] < FEWEST_TAPS:
        return f"fewer than {FEWEST_TAPS} taps along w{' in a component' if is_strided else ''}"
    return None if any(True for _ in cuts_of(merged, target, more_channels)) else "a few tiles fill L2"


def by_components(problem: Problem) -> Problem:
    """The sizes of the same problem without a stride along w, whose components are further input channels."""
    stride = problem.stride[-1]
    taps = (*problem.kernel_size[:-1], ceil(problem.kernel_size[-1] / stride))
    steps = (*problem.stride[:-1], 1)
    return replace(problem, in_channels=problem.in_channels * stride, kernel_size=taps, stride=steps)


def plan(problem: Problem, target: Target) -> Plan:
    """The cheapest cut and tile by the cost model."""
    merged = by_components(problem)
    form = None
    if problem.is_kernel_constant:  # then batches have the sums of single samples
        _, alone, _ = _cheapest(replace(merged, num_samples=1), target)
        form = alone.outputs, alone.taps
    cycles, cut, (rows, vectors) = _cheapest(merged, target, form)
    kernel = WinogradKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        outputs=cut.outputs,
        segment_taps=cut.taps,
        is_channels_last=problem.is_channels_last,
        has_streaming_stores=False,
    )
    return _in_tasks(problem, target, kernel, cut, cycles)


def _cheapest(
    problem: Problem, target: Target, form: tuple[int, int] | None = None
) -> tuple[float, Cut, tuple[int, int]]:
    """Cycles, cut and tile by the cost model, of one form or of any."""
    needed = ceil(problem.out_channels / target.lanes(problem.dtype))
    usual = tile_of(target, needed)
    # elsewhere a kernel would be compiled for every length, and what few tiles save is small beside packing
    tiles = {usual, *(candidates(target, FEW_ROWS * usual[0], needed) if problem.is_kernel_constant else ())}
    steps = {tile: panels_cycles(target, needed, *tile) for tile in sorted(tiles)}

    def choice(cut: Cut) -> tuple[float, Cut, tuple[int, int]]:
        count = cut.lines * (cut.tiles + cut.halo_tiles)
        tile = usual
        if count <= FEW_ROWS * usual[0]:
            tile = min(steps, key=lambda tile: ceil(count / tile[0]) * steps[tile])
        return _cycles(problem, target, cut, *tile), cut, tile

    cuts = (cut for cut in cuts_of(problem, target) if form in (None, (cut.outputs, cut.taps)))
    return min(map(choice, cuts), key=lambda choice: choice[0])


def _in_tasks(problem: Problem, target: Target, kernel: WinogradKernel, cut: Cut, cycles: float) -> Plan:
    """The plan of a kernel and a cut: its work in tasks, and where sums and results lie in the scratch."""
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    rows, vectors = kernel.rows, kernel.vectors
    panels = ceil(problem.out_channels / (vectors * lanes))
    wanted = min(task_count(target, cycles, 1), MOST_PARTS)
    oc_parts = max(1, min(panels, wanted // cut.blocks))
    panels_per_part = ceil(panels / oc_parts)
    oc_parts = ceil(panels / panels_per_part)
    kd, _ = kernel.tap_lines
    tile_elements = cut.products * kernel.padded_in(lanes)
    # rows of the last tile may lie behind the block
    sums_at = round_up_to_cache_line((kd * cut.staged + rows + cut.halo_tiles) * tile_elements * item_bytes)
    line_at = sums_at + round_up_to_cache_line(cut.products * rows * vectors * lanes * item_bytes)
    results_at, scratch_bytes = line_at, line_at
    if not problem.is_channels_last:
        results_at += line_bytes(problem, cut, lanes)
        results = cut.lines * cut.tiles * cut.outputs + lanes
        scratch_bytes = results_at + round_up_to_cache_line(results * vectors * lanes * item_bytes)
    masses_at = scratch_bytes
    masses_bytes = round_up_to_cache_line(kd * cut.staged * lanes * item_bytes)
    flags_at = masses_at + masses_bytes
    largest_at = flags_at + round_up_to_cache_line(ceil(cut.staged / rows) * 8)
    plain_at = largest_at + masses_bytes
    plain_taps_at = plain_at + sums_at
    num_taps = kernel.reduction * vectors * lanes
    packed_bytes = round_up_to_cache_line(panels * cut.products * num_taps * item_bytes)
    parameters = WinogradParameters(
        sizes=line_sizes(problem),
        num_line_blocks=ceil(line_counts(problem)[1] / cut.lines),
        num_tile_blocks=ceil(tiles_of_line(problem, cut.outputs) / cut.tiles),
        block_lines=cut.lines,
        block_tiles=cut.tiles,
        num_oc_parts=oc_parts,
        panels_per_part=panels_per_part,
        y_offset=problem.y_offset,
        w_offset=problem.w.offset,
        staged_tiles=cut.tiles + cut.halo_tiles,
        staged_lines=cut.lines + cut.halo_lines,
        halo_lines=cut.halo_lines,
        sums_at=sums_at,
        line_at=line_at,
        results_at=results_at,
        masses_at=masses_at,
        flags_at=flags_at,
        largest_at=largest_at,
        plain_at=plain_at,
        plain_taps_at=plain_taps_at,
        taps_at=packed_bytes,
    )
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(panels * kernel.tap_segments, cut.blocks * oc_parts),
        shared_bytes=packed_bytes
        + round_up_to_cache_line(panels * kernel.tap_segments * 2 * vectors * lanes * item_bytes),
        scratch_bytes=plain_taps_at + round_up_to_cache_line(cut.taps * num_taps * item_bytes),
        reasons=(
            f"{cut.outputs} outputs of {cut.taps} taps from {cut.products} products, tile of {rows} x {vectors} "
            f"vectors of {lanes}, blocks of {cut.lines} lines x {cut.tiles} tiles",
        ),
    )


def line_bytes(problem: Problem, cut: Cut, lanes: int) -> int:
    """Room for a line of a block, transposed."""
    positions = (cut.tiles + cut.halo_tiles) * cut.outputs + (cut.taps - 1) * problem.dilation[-1]
    return round_up_to_cache_line(round_up(positions * problem.stride[-1], lanes) * lanes * ITEM_BYTES[problem.dtype])


def tiles_of_line(problem: Problem, outputs: int) -> int:
    """Tiles of a line: neighbouring positions lie `dilation` apart, so there are that many sequences of tiles."""
    dilation = problem.dilation[-1]
    return ceil(problem.out_size[-1] / (outputs * dilation)) * dilation


def cuts_of(problem: Problem, target: Target, more_channels: int = 0) -> Iterator[Cut]:
    """Ways to cut lines into tiles, and lines and tiles into blocks that stay in L2.

    more_channels: staged beside those of the input, in as many tiles.
    """
    lanes = target.lanes(problem.dtype)
    kernel_w, dilation = problem.kernel_size[-1], problem.dilation[-1]
    volumes, lines, _ = line_counts(problem)
    halo_lines = problem.dilation[-2] * (problem.kernel_size[-2] - 1) if problem.rank > 1 else 0
    numbers = prod(problem.kernel_size[:-2]) * round_up(problem.in_channels, lanes) + more_channels
    product_bytes = numbers * ITEM_BYTES[problem.dtype]
    for outputs, taps in FORMS:
        segments = ceil(kernel_w / taps)
        if taps > kernel_w or (segments > 1 and taps % outputs):
            continue
        halo_tiles = (segments - 1) * (taps // outputs) * dilation
        most_tiles = target.l2_bytes // 2 // ((outputs + taps - 1) * product_bytes)
        all_tiles = tiles_of_line(problem, outputs)
        for block_lines in {n for n in (1, 2, 4, 6, 8, MOST_LINES, lines) if n <= max(lines, 1)}:
            widest = most_tiles // (block_lines + halo_lines) - halo_tiles
            if widest < min(all_tiles, max(FEWEST_TILES, dilation)):
                continue
            block_tiles = round_up(ceil(all_tiles / ceil(all_tiles / min(widest, all_tiles))), dilation)
            blocks = volumes * ceil(lines / block_lines) * ceil(all_tiles / block_tiles)
            yield Cut(outputs, taps, segments, block_lines, block_tiles, halo_lines, halo_tiles, blocks)


def staging_cycles(problem: Problem, target: Target, cut: Cut) -> float:
    """The model's cycles to stage the input of a block."""
    *_, b = matrices(cut.outputs, cut.taps)
    planes, vectors = prod(problem.kernel_size[:-2]), ceil(problem.in_channels / target.lanes(problem.dtype))
    return planes * cut.staged * tile_cycles(target, b, vectors, 0 if problem.is_channels_last else cut.outputs)


def tile_cycles(target: Target, matrix: Matrix, vectors: int, transposed: int) -> float:
    """The model's cycles to multiply one tile of so many vectors of channels; `transposed` positions change places."""
    terms = sum(number != 0 for row in matrix for number in row)
    costs = target.costs.winograd
    each = costs.term_cycles * terms + len(matrix) + transposed * costs.exchange_vector_cycles
    return len(matrix[0]) * costs.place_cycles + vectors * each


def _cycles(problem: Problem, target: Target, cut: Cut, rows: int, vectors: int) -> float:
    """The model's cycles: sums of inputs, products, sums of products."""
    costs, (a, *_) = target.costs.winograd, matrices(cut.outputs, cut.taps)
    out_vectors = ceil(problem.out_channels / target.lanes(problem.dtype))
    panels = ceil(out_vectors / vectors)
    steps = prod(problem.kernel_size[:-1]) * cut.segments * problem.in_channels
    step = panels_cycles(target, out_vectors, rows, vectors)
    tiles = cut.lines * (cut.tiles + cut.halo_tiles)
    products = ceil(tiles / rows) * cut.products * (costs.products_scale * steps * step + panels * costs.tile_cycles)
    ending = tiles * tile_cycles(target, a, out_vectors, 0 if problem.is_channels_last else cut.outputs)
    numbers = 0 if problem.is_kernel_constant else prod(problem.kernel_size) * problem.in_channels
    packing = numbers * out_vectors * cut.products * costs.pack_cycles
    return cut.blocks * (staging_cycles(problem, target, cut) + products + ending) + packing
