"""The register tile: rows x vectors accumulators that stay in vector registers while the reduction streams past."""

from collections.abc import Callable

from faltung.codegen.emitter import Emitter, Value


class RegisterTile:
    """Accumulators of `rows` broadcast numbers times `vectors` vectors.

    One step loads `vectors` vectors, broadcasts `rows` numbers and does rows * vectors fused multiply-adds; the
    order of the steps alone fixes the bits of the result, whatever tile an output falls into.
    """

    def __init__(self, e: Emitter, rows: int, vectors: int) -> None:
        self.e, self.rows, self.vectors = e, rows, vectors
        self.acc = [[e.vector_variable(f"acc_r{r}_v{v}") for v in range(vectors)] for r in range(rows)]

    def start(self, value_at: Callable[[int, int], Value]) -> None:
        """Set each accumulator to value_at(row, vector)."""
        for r, row in enumerate(self.acc):
            for v, acc in enumerate(row):
                acc.set(value_at(r, v))

    def accumulate(self, scalar_at: Callable[[int], Value], vector_at: Callable[[int], Value]) -> None:
        """Add the product of row number r and vector v to each accumulator; scalar_at gives addresses."""
        vectors = [vector_at(v) for v in range(self.vectors)]
        for r in range(self.rows):
            self.add_to_row(r, [self.e.broadcast(scalar_at(r))] * self.vectors, vectors)

    def add_to_row(self, row: int, factors: list[Value], vectors: list[Value]) -> None:
        """Add the products of factors and vectors, lane by lane, to the accumulators of one row."""
        for factor, vector, acc in zip(factors, vectors, self.acc[row], strict=True):
            acc.set(self.e.fma(factor, vector, acc.get(), acc.slot.name))

    def value(self, row: int, vector: int) -> Value:
        return self.acc[row][vector].get()
