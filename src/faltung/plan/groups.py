"""Planning the groups kernel: small groups, channels last."""

from math import ceil, prod

from faltung.plan.constants import constants_of
from faltung.plan.kernels import GroupsKernel
from faltung.plan.plan import Plan
from faltung.plan.problem import KernelView, Problem
from faltung.plan.runs import TILE_CYCLES, gather_cycles, plan_positions, writes_around_cache
from faltung.plan.target import Target
from faltung.plan.tiles import candidates

MOST_ROWS = 30


def refuse_groups(problem: Problem, target: Target) -> str | None:
    """Why lanes cannot each have a group of their own."""
    if problem.groups == 1:
        return "there is one group"
    if not problem.is_channels_last or (problem.x.c, problem.x.spatial[-1]) != (1, problem.in_channels):
        return "the input's channels do not lie side by side"
    if target.lanes(problem.dtype) % problem.group_out:
        return "the outputs of a group do not divide a vector"
    if problem.group_in > problem.group_out:
        return "a group has more inputs than outputs"
    if problem.group_out > 1 and problem.w.group != problem.group_out * problem.w.outer:
        return "the kernels of neighbouring groups do not follow each other"
    return None


def plan_groups(problem: Problem, target: Target) -> Plan:
    """The cheapest tile by the cost model."""
    lanes = target.lanes(problem.dtype)
    rows, vectors = _tile(problem, target, lanes)
    kernel = GroupsKernel(
        **(constants_of(problem) | {"groups": 1, "w": flat_view(problem)}),
        rows=rows,
        vectors=vectors,
        is_packed=True,
        lane_in=problem.group_in,
        lane_out=problem.group_out,
        writes_around_cache=writes_around_cache(problem, target, problem.out_channels),
    )
    return plan_positions(problem, target, kernel, _cycles(problem, lanes, rows, vectors))


def flat_view(problem: Problem) -> KernelView:
    """The kernel with the output channels of all groups on one axis."""
    view = problem.w
    return KernelView(view.offset, 0, view.taps, view.inner, view.group if problem.group_out == 1 else view.outer)


def _tile(problem: Problem, target: Target, lanes: int) -> tuple[int, int]:
    """Accumulators for some rows of vectors, and where windows overlap as many registers for their inputs."""
    registers, needed = target.num_vector_registers, ceil(problem.out_channels / lanes)
    if problem.stride[-1] == problem.dilation[-1] == problem.group_out == 1:
        vectors = min(needed, registers // 16)
        most = (registers - vectors - 2) // (2 * vectors)
        return min(((rows, vectors) for rows in (most, most - 1, most - 2)), key=lambda t: _cycles(problem, lanes, *t))
    # neighbouring vectors come from the same pages: as many as leave room for some rows
    vectors = min(needed, registers // 8)
    tiles = (tile for tile in candidates(target, MOST_ROWS, vectors) if tile[1] == vectors)
    return min(tiles, key=lambda tile: _cycles(problem, lanes, *tile))


def _cycles(problem: Problem, lanes: int, rows: int, vectors: int) -> float:
    """The model's cycles: multiply-adds, loads, and spreading over the lanes, whichever takes longest."""
    panels = ceil(ceil(problem.out_channels / lanes) / vectors)
    inputs = problem.group_in
    spread = rows * vectors * inputs if problem.group_out > 1 else 0
    loads = (rows * vectors + vectors * inputs) / 2
    tap = max(rows * vectors * inputs / 2, loads, spread, 4.0)
    tiles = ceil(problem.num_samples * prod(problem.out_size) / rows)
    return tiles * panels * (prod(problem.kernel_size) * tap + TILE_CYCLES + gather_cycles(problem, rows))
