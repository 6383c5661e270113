"""Planning the channels-first kernel: tile, staged block and pieces."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, prod

from faltung.plan.constants import constants_of
from faltung.plan.kernels import TapsKernel
from faltung.plan.pieces import BYTES_PER_CYCLE, piece_count
from faltung.plan.plan import Plan, whole_lines
from faltung.plan.problem import Problem
from faltung.plan.target import Target
from faltung.plan.tiles import REMAINDER_COST, candidates, step_cycles

STAGE_CYCLES = {1: 0.12, 2: 0.25, 3: 0.4, 4: 0.5}
"""To stage one element, by the stride along w."""
OTHER_STAGE_CYCLES = 1.5
LINE_CYCLES = 8.0
"""To stage one line of one channel, besides its elements."""
TILE_CYCLES = 20.0
EXCHANGE_CYCLES = 0.5
"""To stage or to store one element where channels and positions change places."""
SCATTER_CYCLES = 0.25
"""To copy one result of a 1-D strip across samples to its place."""
STRETCH_SHARE = 0.5
"""Of the first cache, for the input of a stretch."""
FEWEST_PIECES = 8
FEWEST_BLOCKS = 16
"""Enough to balance a few threads."""


@dataclass(frozen=True)
class Shape:
    """The problem in the kernel's view: `outer` independent volumes of `lines` x `width` outputs.

    The lines of a 1-D convolution are its samples, so that short sequences can share vectors.
    """

    outer: int
    lines: int
    width: int
    line_tap_reach: int  # input lines beyond the first that a line of outputs needs, within a phase
    line_phases: int
    w_tap_reach: int
    w_phases: int
    planes: int

    @classmethod
    def of(cls, problem: Problem) -> "Shape":
        """The view of one problem."""
        taps, stride, dilation = problem.kernel_size, problem.stride, problem.dilation
        w_reach, w_phases = _reach(taps[-1], stride[-1], dilation[-1])
        if problem.rank == 1:
            return cls(1, problem.num_samples, problem.out_size[0], 0, 1, w_reach, w_phases, 1)
        h_reach, h_phases = _reach(taps[-2], stride[-2], dilation[-2])
        outer = problem.num_samples * prod(problem.out_size[:-2])
        return cls(
            outer, problem.out_size[-2], problem.out_size[-1], h_reach, h_phases, w_reach, w_phases, prod(taps[:-2])
        )


def _reach(taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """How far the last tap reaches within its phase of the stride, and how many phases taps fall into."""
    offsets = [k * dilation for k in range(taps)]
    phases = 1 if all(offset % stride == 0 for offset in offsets) else stride
    return max(offset // stride for offset in offsets), phases


@dataclass(frozen=True)
class _Layout:
    """One way to stage: shifted copies or phases, and the lines and widths of a piece's block."""

    shape: Shape
    kernel_width: int
    channels: int
    lanes: int
    is_staged: bool
    is_shifted: bool
    lines: int
    width: int

    @property
    def how(self) -> str:
        """In words."""
        return ("staged once for each tap" if self.is_shifted else "staged") if self.is_staged else "read in place"

    @property
    def copies(self) -> int:
        return self.kernel_width if self.is_shifted else self.shape.w_phases

    @property
    def more_w(self) -> int:
        return 0 if self.is_shifted else self.shape.w_tap_reach

    @property
    def pitch(self) -> int:
        return self.width if self.is_shifted else _up(self.width + self.more_w, self.lanes)

    @property
    def line_phase(self) -> int:
        return _up((self.lines + self.shape.line_tap_reach) * self.pitch, self.lanes)

    @property
    def copy(self) -> int:
        return self.shape.line_phases * self.line_phase

    @property
    def plane(self) -> int:
        return self.copies * self.copy

    @property
    def channel(self) -> int:
        return self.shape.planes * self.plane

    @property
    def elements(self) -> int:
        """Elements of the staged block; vectors of the last tile may read past its end."""
        return self.channels * self.channel + 8 * self.lanes

    @property
    def blocks(self) -> int:
        """Blocks in the whole output."""
        return self.shape.outer * ceil(self.shape.lines / self.lines) * ceil(self.shape.width / self.width)

    @property
    def strips(self) -> list[tuple[int, int]]:
        """(how many, how long) the strips of a whole block are."""
        return [(1, self.lines * self.width)] if self.is_shifted else [(self.lines, self.width)]


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
    layouts = list(_layouts(problem, shape, lanes, group_in, target.l2_bytes // 2 // item_bytes))
    cycles, (rows, vectors), layout = min(
        ((_cycles(problem, layout, *tile), tile, layout) for layout in layouts for tile in tiles), key=lambda c: c[0]
    )
    kernel = TapsKernel(
        **constants_of(problem),
        rows=rows,
        vectors=vectors,
        is_interleaved=_is_interleaved(problem),
        is_staged=layout.is_staged,
        is_shifted=layout.is_shifted,
        writes_around_cache=False,  # lines of one channel need not be aligned
    )

    row_blocks = ceil(group_out / rows)
    # each part of the output channels stages its input again: split them only where blocks are too few to share
    all_cycles = max(problem.groups * cycles, problem.bytes_moved / BYTES_PER_CYCLE)
    wanted = min(piece_count(all_cycles, problem.groups), FEWEST_PIECES)
    oc_parts = max(1, min(row_blocks, ceil(wanted / max(layout.blocks, 1)))) if not kernel.is_interleaved else 1
    blocks_per_part = ceil(row_blocks / oc_parts)
    oc_parts = ceil(row_blocks / blocks_per_part)
    # many small groups share a piece
    group_pieces = max(1, min(problem.groups, ceil(piece_count(all_cycles, 1) / (layout.blocks * oc_parts))))
    groups_per_part = ceil(problem.groups / group_pieces)
    group_parts = ceil(problem.groups / groups_per_part)
    staged_at = whole_lines(8 * kernel.reduction)  # behind the offsets of the taps
    results_at = staged_at + (whole_lines(layout.elements * item_bytes) if layout.is_staged else 0)
    strip = layout.lines * layout.width if layout.is_shifted else layout.width
    stretch = strip if kernel.crosses_samples else min(_stretch(layout, target, item_bytes, vectors), _up(strip, lanes))
    results_pitch = _up(stretch, lanes)
    waiting = group_out if kernel.is_interleaved else rows if kernel.has_results_apart else 0
    x, y = problem.x, problem.y
    is_flat = problem.rank == 1
    depth = problem.rank == 3
    parameters = {
        "num_line_blocks": ceil(shape.lines / layout.lines),
        "num_w_blocks": ceil(shape.width / layout.width),
        "num_group_parts": group_parts,
        "groups_per_part": groups_per_part,
        "num_oc_parts": oc_parts,
        "oc_blocks_per_part": blocks_per_part,
        "block_lines": layout.lines,
        "block_w": layout.width,
        "stretch": stretch,
        "out_d": problem.out_size[0] if depth else 1,
        "lines": shape.lines,
        "out_w": shape.width,
        "in_d": problem.in_size[0] if depth else 1,
        "in_lines": problem.num_samples if is_flat else problem.in_size[-2],
        "in_w": problem.in_size[-1],
        "low_d": problem.low[0] if depth else 0,
        "low_h": 0 if is_flat else problem.low[-2],
        "low_w": problem.low[-1],
        "x_n": 0 if is_flat else x.n,
        "x_c": x.c,
        "x_d": x.spatial[0] if depth else 0,
        "x_line": x.n if is_flat else x.spatial[-2],
        "y_n": 0 if is_flat else y.n,
        "y_c": y.c,
        "y_d": y.spatial[0] if depth else 0,
        "y_line": y.n if is_flat else y.spatial[-2],
        "y_offset": problem.y_offset,
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
        steps = (parameters["x_line"], 0, 0, parameters["x_d"] * problem.dilation[0], x.c)
    parameters |= zip(("pitch", "line_phase", "copy", "plane", "channel"), steps, strict=True)
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=problem.groups * cycles,
        parameters=parameters,
        phases=(
            ("pack", kernel.pack_pieces),
            ("piece", layout.blocks * group_parts * oc_parts),
        ),
        shared_bytes=whole_lines(problem.groups * row_blocks * kernel.reduction * rows * item_bytes),
        scratch_bytes=whole_lines(results_at + waiting * results_pitch * item_bytes),
        reasons=(
            f"tile of {rows} channels x {vectors} vectors of {lanes}, blocks of {layout.lines} lines x {layout.width} "
            f"{layout.how}",
        ),
    )


def _is_interleaved(problem: Problem) -> bool:
    """Do channels lie side by side, and are there several?"""
    return problem.is_channels_last and problem.is_multichannel


def _can_cross_lines(problem: Problem) -> bool:
    """Do the results of neighbouring lines lie side by side, or are they copied to their places anyway?"""
    step = problem.out_channels if _is_interleaved(problem) else 1
    if problem.y.spatial[-1] != step:
        return False
    between = problem.y.spatial[-2] if problem.rank > 1 else problem.y.n
    is_copied = problem.rank == 1 and not _is_interleaved(problem)
    return is_copied or between == step * problem.out_size[-1]


def _stretch(layout: _Layout, target: Target, item_bytes: int, vectors: int) -> int:
    """Positions whose input stays in the first cache: at least two tiles; with little input, all of them."""
    tile = vectors * layout.lanes
    numbers_per_position = layout.channels * layout.shape.planes * (layout.copies if layout.is_staged else 1)
    positions = STRETCH_SHARE * target.l1_bytes / (numbers_per_position * item_bytes)
    return max(int(positions) // tile, 2) * tile


def _layouts(problem: Problem, shape: Shape, lanes: int, channels: int, most_elements: int) -> Iterator[_Layout]:
    """Ways to cut the work into blocks that stay in cache, staged or in place."""
    yield from _blocks(problem, shape, lanes, channels, most_elements)
    is_moved = (
        problem.padding_mode is not None or any(problem.low) or problem.stride[-2:] != (1,) * min(problem.rank, 2)
    )
    if is_moved or problem.x.spatial[-1] != 1:
        return
    width, lines = max(shape.width, 1), max(shape.lines, 1)
    are_lines_joined = (
        _can_cross_lines(problem)
        and problem.rank > 1
        and problem.kernel_size[-1] == 1
        and problem.x.spatial[-2] == problem.in_size[-1]
    )
    layout = partial(_Layout, shape, problem.kernel_size[-1], channels, lanes, False, are_lines_joined)
    fewest = FEWEST_BLOCKS / shape.outer
    yield layout(max(1, min(lines, int(lines / fewest))), width)
    if lines < fewest:
        yield layout(1, min(_up(ceil(width * lines / fewest), 12 * lanes), width))


def _blocks(problem: Problem, shape: Shape, lanes: int, channels: int, most_elements: int) -> Iterator[_Layout]:
    """Staged blocks of at most `most_elements` where possible."""
    kw, width, most_lines = problem.kernel_size[-1], max(shape.width, 1), max(shape.lines, 1)
    layout = partial(_Layout, shape, kw, channels, lanes, True)
    # at least a handful of blocks, so that threads have something to share
    fair = max(1, min(most_lines, most_lines * shape.outer // FEWEST_BLOCKS))
    choices = {n for n in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, fair, most_lines) if n <= most_lines}
    can_cross_lines = shape.lines > 1 and (width < 32 * lanes or kw == 1) and _can_cross_lines(problem)
    fitting = [
        layout(is_shifted, lines, width)
        for is_shifted in ((False, True) if can_cross_lines else (False,))
        for lines in sorted(choices)
    ]
    fitting = [candidate for candidate in fitting if candidate.elements <= most_elements]
    yield from fitting
    # long lines are cut: to fit, and so that threads have something to share
    step = 12 * lanes  # a whole number of tiles for every tile width up to 4
    per_channel = most_elements // max(channels * shape.planes * shape.line_phases * shape.w_phases, 1)
    widest = max(per_channel // (1 + shape.line_tap_reach) - shape.w_tap_reach, step)
    fair_width = ceil(width * shape.lines * shape.outer / FEWEST_BLOCKS)
    if not fitting or (shape.lines * shape.outer < FEWEST_BLOCKS and fair_width < width):
        for block_width in {widest, min(fair_width, widest), max(min(fair_width, widest) // 2, step)}:
            yield layout(False, 1, min(_up(block_width, step), width))


def _cycles(problem: Problem, layout: _Layout, rows: int, vectors: int) -> float:
    """The model's cycles for one group: multiply-adds, tile starts and staging."""
    group_out = problem.group_out
    whole, rest = divmod(group_out, rows)
    steps = prod(problem.kernel_size) * layout.channels
    block = 0.0
    for count, length in layout.strips:
        wide, single = divmod(ceil(length / layout.lanes), vectors)
        for number, size in ((whole, rows), (1 if rest else 0, rest)):
            wide_tile = wide * (steps * step_cycles(size, vectors) + TILE_CYCLES)
            block += count * number * (wide_tile + single * (steps * step_cycles(size, 1) + TILE_CYCLES))
    staged_lines = layout.channels * layout.shape.planes * layout.copies * layout.shape.line_phases
    staged_lines *= layout.lines + layout.shape.line_tap_reach
    stage = STAGE_CYCLES.get(problem.stride[-1], OTHER_STAGE_CYCLES) if problem.stride[-1] <= 8 else OTHER_STAGE_CYCLES
    if _is_interleaved(problem) and problem.in_channels > 1:
        stage = EXCHANGE_CYCLES
    staging = staged_lines * (LINE_CYCLES + (layout.width + layout.more_w) * stage)
    if whole and rest:
        block *= REMAINDER_COST
    if _is_interleaved(problem):
        block += EXCHANGE_CYCLES * group_out * layout.lines * layout.width
    elif layout.is_shifted and problem.rank == 1:
        block += SCATTER_CYCLES * group_out * layout.lines * layout.width
    # the last block of a line is shorter; count blocks by what they hold
    blocks = layout.shape.outer * layout.shape.lines * layout.shape.width / max(layout.lines * layout.width, 1)
    return blocks * (block + (staging if layout.is_staged else 0.0))


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
