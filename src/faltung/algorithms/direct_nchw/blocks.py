"""Blocks of the taps kernel: which positions a piece has, and how its input is staged or read in place."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, prod

from faltung.plan.lines import line_counts
from faltung.plan.problem import Problem

ALIASING_ELEMENTS, MOST_ALIASED = 512, 8
"""Lines so many elements apart, or a multiple, share a few sets of a cache, which hold about so many of them."""
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
        h_reach, h_phases = _reach(taps[-2], stride[-2], dilation[-2]) if problem.rank > 1 else (0, 1)
        return cls(*line_counts(problem), h_reach, h_phases, w_reach, w_phases, prod(taps[:-2]))


def _reach(taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """How far the last tap reaches within its phase of the stride, and how many phases taps fall into."""
    offsets = [k * dilation for k in range(taps)]
    phases = 1 if all(offset % stride == 0 for offset in offsets) else stride
    return max(offset // stride for offset in offsets), phases


@dataclass(frozen=True)
class Layout:
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
        """Staged copies along w: one for each tap, or one for each phase of the stride."""
        return self.kernel_width if self.is_shifted else self.shape.w_phases

    @property
    def more_w(self) -> int:
        """Positions of a staged line beyond those of its outputs."""
        return 0 if self.is_shifted else self.shape.w_tap_reach

    @property
    def pitch(self) -> int:
        """Elements from one staged line to the next."""
        return self.width if self.is_shifted else round_up(self.width + self.more_w, self.lanes)

    @property
    def line_phase(self) -> int:
        """Elements from one phase of lines to the next."""
        return round_up((self.lines + self.shape.line_tap_reach) * self.pitch, self.lanes)

    @property
    def copy(self) -> int:
        """Elements from one copy to the next."""
        return self.shape.line_phases * self.line_phase

    @property
    def plane(self) -> int:
        """Elements from one tap along d to the next."""
        return self.copies * self.copy

    @property
    def channel(self) -> int:
        """Elements from one channel to the next; not a multiple of so many that all share a few sets of a cache."""
        elements = self.shape.planes * self.plane
        return elements + self.lanes if elements % ALIASING_ELEMENTS == 0 else elements

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


def layouts_of(problem: Problem, shape: Shape, lanes: int, channels: int, most_elements: int) -> Iterator[Layout]:
    """Ways to cut the work into blocks that stay in cache, staged or in place."""
    yield from _blocks(problem, shape, lanes, channels, most_elements)
    is_moved = (
        problem.padding_mode is not None or any(problem.low) or problem.stride[-2:] != (1,) * min(problem.rank, 2)
    )
    is_aliased = problem.group_in > MOST_ALIASED and problem.x.c % ALIASING_ELEMENTS == 0
    if is_moved or is_aliased or problem.x.spatial[-1] != 1:
        return
    width, lines = max(shape.width, 1), max(shape.lines, 1)
    are_lines_joined = (
        _can_cross_lines(problem)
        and problem.rank > 1
        and problem.kernel_size[-1] == 1
        and problem.x.spatial[-2] == problem.in_size[-1]
    )
    layout = partial(Layout, shape, problem.kernel_size[-1], channels, lanes, False, are_lines_joined)
    fewest = FEWEST_BLOCKS / (shape.outer * problem.groups)
    yield layout(max(1, min(lines, int(lines / fewest))), width)
    if lines < fewest:
        yield layout(1, min(round_up(ceil(width * lines / fewest), 12 * lanes), width))


def _blocks(problem: Problem, shape: Shape, lanes: int, channels: int, most_elements: int) -> Iterator[Layout]:
    """Staged blocks of at most `most_elements` where possible."""
    kw, width, most_lines = problem.kernel_size[-1], max(shape.width, 1), max(shape.lines, 1)
    layout = partial(Layout, shape, kw, channels, lanes, True)
    # at least a handful of blocks, over all groups, so that threads have something to share
    volumes = shape.outer * problem.groups
    fair = max(1, min(most_lines, most_lines * volumes // FEWEST_BLOCKS))
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
    fair_width = ceil(width * shape.lines * volumes / FEWEST_BLOCKS)
    if not fitting or (shape.lines * volumes < FEWEST_BLOCKS and fair_width < width):
        for block_width in {widest, min(fair_width, widest), max(min(fair_width, widest) // 2, step)}:
            yield layout(False, 1, min(round_up(block_width, step), width))


def is_interleaved(problem: Problem) -> bool:
    """Do channels lie side by side, and are there several?"""
    return problem.is_channels_last and problem.is_multichannel


def _can_cross_lines(problem: Problem) -> bool:
    """Do the results of neighbouring lines lie side by side, or are they copied to their places anyway?"""
    step = problem.out_channels if is_interleaved(problem) else 1
    if problem.y.spatial[-1] != step:
        return False
    between = problem.y.spatial[-2] if problem.rank > 1 else problem.y.n
    is_copied = problem.rank == 1 and not is_interleaved(problem)
    return is_copied or between == step * problem.out_size[-1]


def round_up(number: int, step: int) -> int:
    """The least multiple of step that is not below number."""
    return -(-number // step) * step
