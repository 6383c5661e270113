"""Toom-Cook: `outputs` sums of `taps` products each from only outputs + taps - 1 multiplications.

The outputs y[j] = sum over k of x[j + k] w[k] are y = A ((G w) * (B x)), * number by number. G takes w as a
polynomial at points a[0] … a[n-2] and at infinity; A is the transpose of the same for `outputs` coefficients, and B
the transposed inverse of the same for n. (A. L. Toom 1963, S. A. Cook 1966; S. Winograd, Arithmetic Complexity of
Computations, 1980. For layers: A. Lavin, S. Gray, arXiv:1509.09308.)
"""

from fractions import Fraction
from functools import cache

HALF = Fraction(1, 2)
POINTS = {
    3: (0, 1),
    4: (0, 1, -1),
    5: (0, 1, -1, HALF),
    6: (0, 1, -1, HALF, -2),
    7: (0, 1, -1, HALF, -HALF, 2),
    8: (0, 1, -1, HALF, -HALF, 2, -2),
}
"""By the number of multiplications: the points that lost the fewest digits of those tried. See performance-notes."""

Matrix = tuple[tuple[Fraction, ...], ...]


@cache
def matrices(outputs: int, taps: int) -> tuple[Matrix, Matrix, Matrix]:
    """(A, G, B): outputs x n, n x taps and n x n, exact."""
    n = outputs + taps - 1
    a, g, inverse = _at_points(n, outputs), _at_points(n, taps), _inverse(_at_points(n, n))
    return _transposed(a), g, _transposed(inverse)


def identity(size: int) -> Matrix:
    """The matrix that takes numbers as they are: what is staged or packed with it is summed directly."""
    return tuple(tuple(Fraction(row == column) for column in range(size)) for row in range(size))


def _at_points(n: int, coefficients: int) -> Matrix:
    """The matrix that takes a polynomial's coefficients to its values at the points of n; at infinity, the highest."""
    finite = [tuple(Fraction(point) ** power for power in range(coefficients)) for point in POINTS[n]]
    infinity = tuple(Fraction(power == coefficients - 1) for power in range(coefficients))
    return (*finite, infinity)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    """By Gauss and Jordan."""
    n = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(r for r in range(column, n) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [number / rows[column][column] for number in rows[column]]
        for r in range(n):
            if r != column:
                factor = rows[r][column]
                rows[r] = [number - factor * above for number, above in zip(rows[r], rows[column], strict=True)]
    return tuple(tuple(row[n:]) for row in rows)
