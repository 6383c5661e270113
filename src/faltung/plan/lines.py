"""A problem as volumes of lines, the view that most algorithms share.

The lines of a 1-D convolution are its samples, so that short sequences can share vectors and blocks.
"""

from math import prod

from faltung.plan.parameters import LineSizes
from faltung.plan.problem import Problem


def line_counts(problem: Problem) -> tuple[int, int, int]:
    """(volumes, lines of each, positions of each line) of the output."""
    if problem.rank == 1:
        return 1, problem.num_samples, problem.out_size[0]
    return problem.num_samples * prod(problem.out_size[:-2]), problem.out_size[-2], problem.out_size[-1]


def line_sizes(problem: Problem) -> LineSizes[int]:
    """Sizes, padding and strides; neutral where the rank has no such axis."""
    x, y, is_flat, has_depth = problem.x, problem.y, problem.rank == 1, problem.rank == 3
    _, lines, out_w = line_counts(problem)
    return LineSizes(
        out_d=problem.out_size[0] if has_depth else 1,
        lines=lines,
        out_w=out_w,
        in_d=problem.in_size[0] if has_depth else 1,
        in_lines=problem.num_samples if is_flat else problem.in_size[-2],
        in_w=problem.in_size[-1],
        low_d=problem.low[0] if has_depth else 0,
        low_h=0 if is_flat else problem.low[-2],
        low_w=problem.low[-1],
        x_n=0 if is_flat else x.n,
        x_c=x.c,
        x_d=x.spatial[0] if has_depth else 0,
        x_line=x.n if is_flat else x.spatial[-2],
        y_n=0 if is_flat else y.n,
        y_c=y.c,
        y_d=y.spatial[0] if has_depth else 0,
        y_line=y.n if is_flat else y.spatial[-2],
    )
