"""Register tiles: what fits into the registers, and what a step of the reduction costs.

Model of a core: two fused multiply-adds and two loads a cycle, four cycles of latency, which in practice ten sums hide
and eight do not. It ranks tiles; it does not predict times. Measured on Zen 5 (512 bit) and Zen 3 (AVX2); see
docs/performance-notes.md.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import product

from faltung.machine.target import Target

MOST_VECTORS = 8
VECTOR_CYCLES = 1.1
"""To load a vector of the kernel: it often comes from the second cache."""
REMAINDER_COST = 1.03
"""A tile that leaves a remainder of channels puts a second tile into the program: it must be worth compiling."""


def most_rows(target: Target, vectors: int) -> int:
    """Rows such that rows * vectors accumulators, the vectors and one broadcast stay in registers."""
    return (target.num_vector_registers - vectors - 1) // vectors


def step_cycles(rows: int, vectors: int) -> float:
    """Cycles for one step: bound by multiply-adds, by loads, or by the latency of too few accumulators."""
    return max(rows * vectors / 2, (rows + vectors) / 2, vectors * VECTOR_CYCLES, 5.0)


def panels_cycles(vectors_needed: int, rows: int, vectors: int) -> float:
    """Cycles for one step of the tiles of all output channels."""
    whole, rest = divmod(vectors_needed, vectors)
    return whole * step_cycles(rows, vectors) + (step_cycles(rows, rest) if rest else 0.0)


def tile_of(target: Target, vectors_needed: int) -> tuple[int, int]:
    """The rows and vectors that take the fewest cycles for a row of all output channels, whatever the length."""
    tiles = [(most_rows(target, vectors), vectors) for vectors in range(1, min(MOST_VECTORS, vectors_needed) + 1)]
    return min((tile for tile in tiles if tile[0]), key=lambda tile: panels_cycles(vectors_needed, *tile) / tile[0])


def meetings(rows: int, taps: int, stride: int, dilation: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Which neighbouring outputs (rows) read an input through which taps: (input, [(row, tap), …]), in order.

    >>> meetings(2, 2, 1, 1)
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
