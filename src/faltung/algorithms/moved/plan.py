"""Channels first by way of channels last: three kernels one after the other.

Windows that lie apart (a stride, a dilation), images smaller than a vector and single output channels leave vectors
along positions empty, or make staging longer than the sums. Channels last has none of that, and moving a number costs
about as much as transposing it in place; where it meets enough multiplications, it pays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from faltung.algorithms.map import plan as maps
from faltung.machine.target import Target
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.problem import ITEM_BYTES, Problem, Strides


@dataclass(frozen=True, slots=True)
class MovedPlan:
    """Three plans: x moved, the convolution channels last, its result moved."""

    problem: Problem
    cycles: float
    x_moved: Plan
    inner: Plan
    y_moved: Plan
    x_bytes: int
    y_bytes: int
    reasons: tuple[str, ...]

    algorithm = "moved"

    @property
    def num_tasks(self) -> int:
        """Tasks of the largest of the three."""
        return max(plan.num_tasks for plan in (self.x_moved, self.inner, self.y_moved))

    @property
    def shared_bytes(self) -> int:
        """Both arrays, channels last, and the packed kernel."""
        return self.x_bytes + self.y_bytes + self.inner.shared_bytes

    @property
    def scratch_bytes(self) -> int:
        """For each thread."""
        return self.inner.scratch_bytes


def refuse(problem: Problem, _: Target) -> str | None:
    """Why not by way of channels last."""
    if problem.is_channels_last or not problem.is_multichannel:
        return "channels lie side by side already"
    if 0 in problem.in_size:
        return "there is nothing to move"
    return None


def plan(problem: Problem, target: Target, choose: Callable[[Problem, Target], Plan]) -> MovedPlan:
    """The cheapest plan channels last, as `choose` says, between two moves."""
    x = Strides.of_contiguous(True, problem.in_channels, problem.in_size)
    y = Strides.of_contiguous(True, problem.out_channels, problem.out_size)
    inner = choose(replace(problem, is_channels_last=True, x=x, y=y, y_offset=0), target)
    x_moved = _move(problem, problem.in_channels, problem.in_size, (problem.x, x), target)
    y_moved = _move(problem, problem.out_channels, problem.out_size, (y, problem.y), target)
    numbers = [prod(move.problem.sizes) for move in (x_moved, y_moved)]  # type: ignore[attr-defined]
    # two more launches cost a call as much as a task does
    calls = target.costs.tasks.task_cycles
    moves = x_moved.cycles + y_moved.cycles + sum(numbers) * target.costs.transposed.transpose_cycles
    x_bytes, y_bytes = (round_up_to_cache_line(n * ITEM_BYTES[problem.dtype]) for n in numbers)
    return MovedPlan(
        problem=problem,
        cycles=inner.cycles + moves + calls,
        x_moved=x_moved,
        inner=inner,
        y_moved=y_moved,
        x_bytes=x_bytes,
        y_bytes=y_bytes,
        reasons=(f"channels last: {inner.algorithm}", *inner.reasons),
    )


def _move(
    problem: Problem, channels: int, sizes: tuple[int, ...], arrays: tuple[Strides, Strides], target: Target
) -> Plan:
    source, result = ((strides.n, *strides.spatial, strides.c) for strides in arrays)
    request = maps.Map((problem.num_samples, *sizes, channels), (source,), result, 0, problem.dtype, problem.precision)
    return maps.plan(request, target)
