"""Register tiles: what fits into the registers, and what a step of the reduction costs.

Prices are those of `TileCosts` (machine/cost.py). See docs/performance-notes.md for what they were measured on.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from math import ceil

from faltung.machine.target import Target
from faltung.plan.problem import Problem

MOST_VECTORS = 8
"""Vectors of a tile: more would leave a row or two."""


def most_rows(target: Target, vectors: int) -> int:
    """Rows such that rows * vectors accumulators, the vectors and one broadcast stay in registers."""
    return (target.num_vector_registers - vectors - 1) // vectors


def step_cycles(target: Target, rows: int, vectors: int) -> float:
    """Cycles for one step: bound by multiply-adds, by loads, or by the latency of too few accumulators."""
    costs = target.costs.tile
    products, loads = rows * vectors / costs.fmas_per_cycle, (rows + vectors) / costs.loads_per_cycle
    return max(products, loads, vectors * costs.vector_cycles, costs.fewest_step_cycles)


def panels_cycles(target: Target, vectors_needed: int, rows: int, vectors: int) -> float:
    """Cycles for one step of the tiles of all output channels."""
    whole, rest = divmod(vectors_needed, vectors)
    return whole * step_cycles(target, rows, vectors) + (step_cycles(target, rows, rest) if rest else 0.0)


def tile_of(target: Target, vectors_needed: int) -> tuple[int, int]:
    """The rows and vectors that take the fewest cycles for a row of all output channels, whatever the length."""
    tiles = [(most_rows(target, vectors), vectors) for vectors in range(1, min(MOST_VECTORS, vectors_needed) + 1)]
    return min(
        (tile for tile in tiles if tile[0]), key=lambda tile: panels_cycles(target, vectors_needed, *tile) / tile[0]
    )


def input_reuse(rows: int, taps: int, stride: int, dilation: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Which neighbouring outputs (rows) read an input through which taps: (input, [(row, tap), …]), in order.

    >>> input_reuse(2, 2, 1, 1)
    [(0, [(0, 0)]), (1, [(0, 1), (1, 0)]), (2, [(1, 1)])]
    """
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, tap in product(range(rows), range(taps)):
        found[row * stride + tap * dilation].append((row, tap))
    return sorted(found.items())


def candidates(target: Target, most_rows_wanted: int, most_vectors_wanted: int) -> Iterator[tuple[int, int]]:
    """Tiles (rows, vectors) worth comparing: a few row counts for each number of vectors.

    The row counts are few and fixed so that a sweep over lengths compiles a bounded number of kernels.
    """
    for vectors in range(1, min(MOST_VECTORS, most_vectors_wanted) + 1):
        most = most_rows(target, vectors)
        choices = {most, most - 1, most * 3 // 4, most // 2, most // 4, 1} if most else set()
        for rows in sorted(choices, reverse=True):
            if 1 <= rows <= max(most_rows_wanted, 1):
                yield rows, vectors


def edge_share(problem: Problem, rows: int, *, straddles_lines: bool = False) -> float:
    """The share of tiles of `rows` positions whose windows touch padding, or that straddle lines where tiles may."""
    inside = 1.0
    for axis, (out, size, window, stride, low) in enumerate(
        zip(problem.out_size, problem.in_size, problem.effective_kernel, problem.stride, problem.low, strict=True)
    ):
        first, last = max(ceil(low / stride), 0), min((size - window + low) // stride, out - 1)
        clear = max(last - first + 1, 0)
        if axis == problem.rank - 1 and (clear < out or (straddles_lines and out % rows)):
            clear = max(clear - rows + 1, 0)
        inside *= min(clear / max(out, 1), 1.0)
    return 1.0 - inside
