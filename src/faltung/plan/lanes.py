"""Groups so small that a vector of outputs holds whole groups: each lane has the group of its own output channel."""

from faltung.machine.target import Target
from faltung.plan.problem import KernelView, Problem


def refuse_lanes(problem: Problem, target: Target) -> str | None:
    """Why lanes cannot each have a group of their own."""
    if problem.groups == 1:
        return "there is one group"
    if target.lanes(problem.dtype) % problem.group_out:
        return "the outputs of a group do not divide a vector"
    if problem.group_in > problem.group_out:
        return "a group has more inputs than outputs"
    if problem.group_out > 1 and problem.w.group != problem.group_out * problem.w.outer:
        return "the kernels of neighbouring groups do not follow each other"
    return None


def flat_view(problem: Problem) -> KernelView:
    """The kernel with the output channels of all groups on one axis."""
    view = problem.w
    return KernelView(0, 0, view.taps, view.inner, view.group if problem.group_out == 1 else view.outer)
