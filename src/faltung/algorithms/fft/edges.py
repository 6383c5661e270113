"""Outputs of an FFT that are summed directly: those at the ends whose windows meet few inputs.

The rounding of an FFT is that of a whole window, about eps * sqrt(taps) for numbers of size 1, wherever the output
lies. Direct summation of n terms is allowed n*eps times their sum, which is about 0.6 n: with few terms that is less.
From n = 4 * taps**(1/4) on it is 10 * eps * sqrt(taps).
"""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from faltung.plan.problem import Problem


def reach_of(problem: Problem) -> int:
    """Inputs that a window at an end meets at least, if it is not summed directly."""
    return ceil(4 * problem.kernel_size[0] ** 0.25) * problem.dilation[0]


def edges_of(problem: Problem) -> Iterator[Problem]:
    """The outputs at both ends, if any, as problems of their own."""
    if problem.padding_mode != "zeros":
        return
    (dilation,), (stride,) = problem.dilation, problem.stride
    (low,), (in_size,), (outputs,) = problem.low, problem.in_size, problem.out_size
    reach = reach_of(problem)
    if in_size * dilation < reach:
        yield problem
        return
    num_first = min(max(ceil((low - problem.effective_kernel[0] + reach) / stride), 0), outputs)
    begin_last = max((in_size + low - reach) // stride + 1, num_first)
    if num_first:
        yield part_of(problem, 0, num_first)
    if begin_last < outputs:
        yield part_of(problem, begin_last, outputs)


def part_of(problem: Problem, begin: int, end: int) -> Problem:
    """The outputs from `begin` to `end`, summed directly."""
    return replace(
        problem,
        precision="exact",
        out_size=(end - begin,),
        low=(problem.low[0] - begin * problem.stride[0],),
        y_offset=problem.y_offset + begin * problem.y.spatial[0],
    )
