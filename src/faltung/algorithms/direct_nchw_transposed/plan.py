"""Planning the direct algorithm for channels first through a transposition: tile, stretches and tasks."""

from dataclasses import replace
from math import ceil, lcm

from faltung.algorithms.direct_nchw_transposed.kernel import DirectNchwTransposedKernel, DirectNchwTransposedParameters
from faltung.machine.target import Target
from faltung.plan.kernel import constants_of
from faltung.plan.lines import line_counts, line_sizes
from faltung.plan.memory import round_up, round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.tasks import EVEN_TASKS, task_count
from faltung.plan.tile import panels_cycles, tile_of
from faltung.spec.dtype import ITEM_BYTES


def refuse(problem: Problem, _: Target) -> str | None:
    """Why this algorithm does not apply."""
    if problem.is_channels_last:
        return "channels lie side by side as it is"
    if problem.x.spatial[-1] != 1 or problem.y.spatial[-1] != 1:
        return "neighbours along w do not lie side by side"
    if problem.groups > 1:
        return "there are groups"
    if not all(_is_inside(problem, axis) for axis in range(problem.rank - 1)):
        return "there are taps or padding along other axes than w"
    return None


def _is_inside(problem: Problem, axis: int) -> bool:
    """Does every output read a single position along this axis, inside the input?"""
    is_single = (problem.kernel_size[axis], problem.low[axis]) == (1, 0)
    return is_single and (problem.out_size[axis] - 1) * problem.stride[axis] < problem.in_size[axis]


def plan(problem: Problem, target: Target) -> Plan:
    """One tile for all lengths, and stretches that fit into L2."""
    problem = _with_long_lines(problem)
    lanes, item_bytes = target.lanes(problem.dtype), ITEM_BYTES[problem.dtype]
    volumes, lines, width = line_counts(problem)
    needed = ceil(problem.out_channels / lanes)
    pitch = _pitch(problem, target)
    reach, stride = problem.effective_kernel[-1], problem.stride[-1]
    fitting = int(target.costs.transposed.l2_share * target.l2_bytes) // (pitch * item_bytes)
    rows, vectors = tile_of(target, needed)
    stretch = _stretch(width, lcm(rows, lanes), (fitting - reach) // stride)
    cycles = _cycles(problem, target, rows, vectors, stretch)
    kernel = DirectNchwTransposedKernel(
        **constants_of(problem), rows=rows, vectors=vectors, pitch=pitch, is_packed=True, has_streaming_stores=False
    )
    blocks = volumes * lines * ceil(width / stretch)
    panels = ceil(needed / vectors)
    # each part of the output channels transposes its input again: they are split where blocks are few
    wanted = min(task_count(target, cycles, 1), EVEN_TASKS)
    panels_per_part = ceil(panels / max(1, min(panels, ceil(wanted / blocks))))
    oc_parts = ceil(panels / panels_per_part)
    # rows of the last tile may lie behind the stretch, and positions are transposed a vector at a time
    transposed = (round_up(stretch, rows) - 1) * stride + reach + lanes
    results_at = round_up_to_cache_line(transposed * pitch * item_bytes)
    results = round_up(stretch, rows) + lanes
    parameters = DirectNchwTransposedParameters(
        sizes=line_sizes(problem),
        num_line_blocks=lines,
        num_w_blocks=ceil(width / stretch),
        block_lines=1,
        block_w=stretch,
        num_oc_parts=oc_parts,
        panels_per_part=panels_per_part,
        y_offset=problem.y_offset,
        w_offset=problem.w.offset,
        results_at=results_at,
    )
    return Plan(
        problem=problem,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(panels, blocks * oc_parts),
        shared_bytes=round_up_to_cache_line(panels * kernel.reduction * vectors * lanes * item_bytes),
        scratch_bytes=results_at + round_up_to_cache_line(results * vectors * lanes * item_bytes),
        reasons=(f"tile of {rows} positions x {vectors} vectors of {lanes}, stretches of {stretch} positions",),
    )


def _pitch(problem: Problem, target: Target) -> int:
    """Elements of a transposed position: whole vectors; not a multiple of so many that all share a few sets of L1."""
    if problem.in_channels == 1:
        return 1
    lanes = target.lanes(problem.dtype)
    elements = round_up(problem.in_channels, lanes)
    return elements + lanes if elements % target.costs.cache.aliasing_elements == 0 else elements


def _stretch(width: int, step: int, fitting: int) -> int:
    """Positions of a stretch: whole tiles and vectors, all stretches of a line about as long."""
    longest = max(fitting // step, 1) * step
    return round_up(ceil(max(width, 1) / ceil(max(width, 1) / longest)), step)


def _cycles(problem: Problem, target: Target, rows: int, vectors: int, stretch: int) -> float:
    """The model's cycles: products, transposing inputs and results, packing."""
    volumes, lines, width = line_counts(problem)
    costs, lanes = target.costs.transposed, target.lanes(problem.dtype)
    needed = ceil(problem.out_channels / lanes)
    steps = problem.kernel_size[-1] * problem.in_channels
    whole_stretches, last = divmod(width, stretch)
    tiles = whole_stretches * (stretch // rows) + ceil(last / rows)
    sums = tiles * (
        steps * panels_cycles(target, needed, rows, vectors) + ceil(needed / vectors) * target.costs.tile.start_cycles
    )
    transposed = width * problem.stride[-1] * problem.in_channels + width * needed * lanes
    moved = transposed * costs.transpose_cycles
    return volumes * lines * (costs.sums_scale * sums + moved) + steps * needed * lanes * costs.pack_cycles


def _with_long_lines(problem: Problem) -> Problem:
    """The same problem with lines that follow one another as one, where a window is a single position.

    >>> from faltung.spec import ConvSpec
    >>> _with_long_lines(Problem.of(ConvSpec.from_text("conv2d n2 h8 w15 ic4 oc8 kh1 kw1 nchw"))).out_size
    (120,)
    """
    x, y = problem.x, problem.y
    is_point = problem.kernel_size[-1] == 1 and set(problem.stride[-2:]) == {1} and problem.low[-1] == 0
    are_joined = all(array.spatial[-2:-1] == (problem.out_size[-1],) for array in (x, y))
    if problem.rank == 1 or not is_point or not are_joined or problem.in_size[-1] != problem.out_size[-1]:
        return problem

    def merged(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (*sizes[:-2], sizes[-2] * sizes[-1])

    def without_lines(values: tuple[int, ...]) -> tuple[int, ...]:
        return (*values[:-2], values[-1])

    longer = replace(
        problem,
        in_size=merged(problem.in_size),
        out_size=merged(problem.out_size),
        kernel_size=without_lines(problem.kernel_size),
        stride=without_lines(problem.stride),
        dilation=without_lines(problem.dilation),
        low=without_lines(problem.low),
        x=replace(x, spatial=without_lines(x.spatial)),
        y=replace(y, spatial=without_lines(y.spatial)),
        w=replace(problem.w, taps=without_lines(problem.w.taps)),
    )
    return _with_long_lines(longer)
