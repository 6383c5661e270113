"""Blocks of output positions: which of them a task has, and how its input is staged or read in place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, prod

from faltung.machine.target import Target
from faltung.plan.lines import line_counts
from faltung.plan.memory import round_up
from faltung.plan.problem import Problem

FEWEST_BLOCKS = 16
"""Blocks, over all groups, that are enough to balance a few threads."""
VECTORS_PER_STEP = 12
"""Long lines are cut at multiples of so many vectors: whole tiles for every tile width up to 4."""
BLOCK_LINES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64)
"""Lines of a block worth comparing: few, so that planning takes a millisecond."""
SHORT_LINE_VECTORS = 32
"""Lines up to so many vectors may be worth joining, so that vectors run across them."""
SPARE_VECTORS = 8
"""Behind a staged block: vectors of the last tile may read past its end."""


@dataclass(frozen=True)
class LineView:
    """The problem in the kernel's view: `outer` independent volumes of `lines` x `width` outputs.

    The lines of a 1-D convolution are its samples, so that short sequences can share vectors.
    """

    outer: int
    lines: int
    width: int
    halo_lines: int  # input lines beyond the first that a line of outputs needs, within a component
    line_components: int
    halo_w: int
    w_components: int
    planes: int

    @classmethod
    def of(cls, problem: Problem) -> "LineView":
        """The view of one problem."""
        taps, stride, dilation = problem.kernel_size, problem.stride, problem.dilation
        w_reach, w_components = _reach(taps[-1], stride[-1], dilation[-1])
        h_reach, h_components = _reach(taps[-2], stride[-2], dilation[-2]) if problem.rank > 1 else (0, 1)
        return cls(*line_counts(problem), h_reach, h_components, w_reach, w_components, prod(taps[:-2]))


def _reach(taps: int, stride: int, dilation: int) -> tuple[int, int]:
    """How far the last tap reaches within its polyphase component, and how many components taps fall into."""
    offsets = [k * dilation for k in range(taps)]
    components = 1 if all(offset % stride == 0 for offset in offsets) else stride
    return max(offset // stride for offset in offsets), components


@dataclass(frozen=True)
class BlockPlan:
    """One way to stage: shifted copies or components, and the lines and widths of a task's block."""

    view: LineView
    kernel_width: int
    channels: int
    lanes: int
    aliasing_elements: int  # channels must not lie a multiple of so many elements apart
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
        """Staged copies along w: one for each tap, or one for each polyphase component."""
        return self.kernel_width if self.is_shifted else self.view.w_components

    @property
    def halo_w(self) -> int:
        """Positions of a staged line beyond those of its outputs."""
        return 0 if self.is_shifted else self.view.halo_w

    @property
    def line_stride(self) -> int:
        """Elements from one staged line to the next."""
        return self.width if self.is_shifted else round_up(self.width + self.halo_w, self.lanes)

    @property
    def component_stride(self) -> int:
        """Elements from one component of lines to the next."""
        return round_up((self.lines + self.view.halo_lines) * self.line_stride, self.lanes)

    @property
    def copy_stride(self) -> int:
        """Elements from one copy to the next."""
        return self.view.line_components * self.component_stride

    @property
    def plane_stride(self) -> int:
        """Elements from one tap along d to the next."""
        return self.copies * self.copy_stride

    @property
    def channel_stride(self) -> int:
        """Elements from one channel to the next; not a multiple of so many that all share a few sets of a cache."""
        elements = self.view.planes * self.plane_stride
        return elements + self.lanes if elements % self.aliasing_elements == 0 else elements

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """From line to line, component to component, copy to copy, plane to plane and channel to channel."""
        return self.line_stride, self.component_stride, self.copy_stride, self.plane_stride, self.channel_stride

    @property
    def elements(self) -> int:
        """Elements of the staged block, with what vectors of the last tile may read past its end."""
        return self.channels * self.channel_stride + SPARE_VECTORS * self.lanes

    @property
    def blocks(self) -> int:
        """Blocks in the whole output."""
        return self.view.outer * ceil(self.view.lines / self.lines) * ceil(self.view.width / self.width)

    @property
    def strips(self) -> list[tuple[int, int]]:
        """(how many, how long) the strips of a whole block are."""
        return [(1, self.lines * self.width)] if self.is_shifted else [(self.lines, self.width)]


def block_plans(problem: Problem, view: LineView, target: Target, most_elements: int) -> Iterator[BlockPlan]:
    """Ways to cut the work of one group into blocks that stay in cache, staged or in place."""
    lanes, cache = target.lanes(problem.dtype), target.costs.cache
    of_problem = partial(BlockPlan, view, problem.kernel_size[-1], problem.group_in, lanes, cache.aliasing_elements)
    yield from _staged(problem, view, partial(of_problem, True), lanes, most_elements)
    is_moved = (
        problem.padding_mode is not None or any(problem.low) or problem.stride[-2:] != (1,) * min(problem.rank, 2)
    )
    is_aliased = problem.group_in > cache.most_aliased and problem.x.c % cache.aliasing_elements == 0
    if not (is_moved or is_aliased or problem.x.spatial[-1] != 1):
        yield from _in_place(problem, view, partial(of_problem, False), lanes)


def _in_place(problem: Problem, view: LineView, block: Callable[..., BlockPlan], lanes: int) -> Iterator[BlockPlan]:
    """Blocks of lines, or of parts of them where there are few."""
    width, lines = max(view.width, 1), max(view.lines, 1)
    are_lines_joined = (
        _can_cross_lines(problem)
        and problem.rank > 1
        and problem.kernel_size[-1] == 1
        and problem.x.spatial[-2] == problem.in_size[-1]
    )
    fewest = FEWEST_BLOCKS / (view.outer * problem.groups)
    yield block(are_lines_joined, max(1, min(lines, int(lines / fewest))), width)
    if lines < fewest:
        yield block(are_lines_joined, 1, min(round_up(ceil(width * lines / fewest), VECTORS_PER_STEP * lanes), width))


def _staged(
    problem: Problem, view: LineView, block: Callable[..., BlockPlan], lanes: int, most_elements: int
) -> Iterator[BlockPlan]:
    """Staged blocks of at most `most_elements` where possible."""
    width, most_lines = max(view.width, 1), max(view.lines, 1)
    volumes = view.outer * problem.groups
    fair = max(1, min(most_lines, most_lines * volumes // FEWEST_BLOCKS))
    choices = {n for n in (*BLOCK_LINES, fair, most_lines) if n <= most_lines}
    is_short = width < SHORT_LINE_VECTORS * lanes or problem.kernel_size[-1] == 1
    can_cross_lines = view.lines > 1 and is_short and _can_cross_lines(problem)
    fitting = [
        block(is_shifted, lines, width)
        for is_shifted in ((False, True) if can_cross_lines else (False,))
        for lines in sorted(choices)
    ]
    fitting = [candidate for candidate in fitting if candidate.elements <= most_elements]
    yield from fitting
    # long lines are cut: to fit, and so that threads have something to share
    step = VECTORS_PER_STEP * lanes
    per_channel = most_elements // max(problem.group_in * view.planes * view.line_components * view.w_components, 1)
    widest = max(per_channel // (1 + view.halo_lines) - view.halo_w, step)
    fair_width = ceil(width * view.lines * volumes / FEWEST_BLOCKS)
    if not fitting or (view.lines * volumes < FEWEST_BLOCKS and fair_width < width):
        for block_width in {widest, min(fair_width, widest), max(min(fair_width, widest) // 2, step)}:
            yield block(False, 1, min(round_up(block_width, step), width))


def _can_cross_lines(problem: Problem) -> bool:
    """Do the results of neighbouring lines lie side by side, or are they copied to their places anyway?"""
    step = problem.out_channels if problem.is_interleaved else 1
    if problem.y.spatial[-1] != step:
        return False
    between = problem.y.spatial[-2] if problem.rank > 1 else problem.y.n
    is_copied = problem.rank == 1 and not problem.is_interleaved
    return is_copied or between == step * problem.out_size[-1]
