"""Many numbers folded into one: sums and extremes along a line, or across rows for each of their columns.

Several accumulators take turns, so that a sum is added up in pieces, in an order that the count alone fixes.
"""

import math
from collections.abc import Callable

from faltung.codegen.emitter import Emitter, Int, Mask, Value

SUM, MAX, MIN = "sum", "max", "min"
IDENTITY = {SUM: 0.0, MAX: -math.inf, MIN: math.inf}
HOW = {MAX: ">", MIN: "<"}


def combine(e: Emitter, how: str, a: Value, b: Value) -> Value:
    """The sum or an extreme of two vectors; NaN wins."""
    return e.arithmetic(a, "+", b) if how == SUM else e.extreme(b, HOW[how], a)


def fold_line(
    e: Emitter, count: Int, how: str, value_at: Callable[[Int, Mask | None], Value], accumulators: int = 4
) -> Value:
    """value_at(i, mask) folded for i < count, a vector at a time; the result stands in every lane."""
    totals = [e.vector_variable(f"total_{n}") for n in range(accumulators)]
    for total in totals:
        total.set(e.splat(IDENTITY[how]))

    def step(n: int, i: Int, mask: Mask | None) -> None:
        value = value_at(i, mask)
        if mask is not None:
            value = e.where(mask.lanes, value, e.splat(IDENTITY[how]))
        totals[n].set(combine(e, how, totals[n].get(), value))

    width = accumulators * e.lanes
    steps, _ = e.divide(count, width)
    vectors, rest = e.divide(count, e.lanes)
    stepped, whole = e.mul(steps, width), e.mul(vectors, e.lanes)
    with e.loop("i", stepped, step=width) as i:
        for n in range(accumulators):
            step(n, e.add(i, n * e.lanes), None)
    with e.loop("i", whole, stepped, step=e.lanes) as i:
        step(0, i, None)
    with e.when(e.compare(rest, ">", 0)):
        step(accumulators - 1, whole, e.mask(rest))
    total = _all(e, how, [total.get() for total in totals])
    return e.sum_of_lanes(total) if how == SUM else e.maximum_of_lanes(total, HOW[how])


def fold_rows(
    e: Emitter, num_rows: Int, how: str, vectors: int, value_at: Callable[[Int, int], Value], accumulators: int = 2
) -> list[Value]:
    """value_at(row, vector) folded over the rows, for some vectors of columns side by side."""
    totals = [[e.vector_variable(f"total_{n}_{v}") for v in range(vectors)] for n in range(accumulators)]
    for total in (total for turn in totals for total in turn):
        total.set(e.splat(IDENTITY[how]))

    def step(n: int, row: Int) -> None:
        for v, total in enumerate(totals[n]):
            total.set(combine(e, how, total.get(), value_at(row, v)))

    steps, _ = e.divide(num_rows, accumulators)
    stepped = e.mul(steps, accumulators)
    with e.loop("row", stepped, step=accumulators) as row:
        for n in range(accumulators):
            step(n, e.add(row, n))
    with e.loop("row", num_rows, stepped) as row:
        step(0, row)
    return [_all(e, how, [turn[v].get() for turn in totals]) for v in range(vectors)]


def in_vectors(e: Emitter, count: Int, body: Callable[[Int, int, Mask | None], None], vectors: int = 1) -> None:
    """body(i, vectors, mask) along `count` numbers: some vectors at a time, then one, then the masked rest."""
    steps, _ = e.divide(count, vectors * e.lanes)
    whole_vectors, rest = e.divide(count, e.lanes)
    stepped, whole = e.mul(steps, vectors * e.lanes), e.mul(whole_vectors, e.lanes)
    with e.loop("i", stepped, step=vectors * e.lanes) as i:
        body(i, vectors, None)
    if vectors > 1:
        with e.loop("i", whole, stepped, step=e.lanes) as i:
            body(i, 1, None)
    with e.when(e.compare(rest, ">", 0)):
        body(whole, 1, e.mask(rest))


def _all(e: Emitter, how: str, terms: list[Value]) -> Value:
    """Pairs first."""
    while len(terms) > 1:
        terms = [combine(e, how, a, b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]
