"""A reduction: each task of the first stage folds some chunks; the second puts the chunks of each result together.

A variance takes two passes over each chunk, while it is in cache: its mean, then the squares of what is left. Chunks
are put together as in T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37, 1983: squares within
chunks, and between their means.
"""

from dataclasses import dataclass

from faltung.algorithms.reduce.kernel import EXTREMES, SPREADS, VECTORS, ReduceKernel, ReduceParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Mask, Value
from faltung.codegen.fold import SUM, fold_line, fold_rows, in_vectors


def emit(e: Emitter, kernel: ReduceKernel) -> None:
    """chunks(call, index, scratch): some units; total(call, index, scratch): some results, of all their chunks."""
    with e.function("chunks", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(ReduceParameters)
        reduction = _Reduction(e, kernel, p, call)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_tasks)
        with e.loop("unit", last, first) as unit:
            rest, block = e.divide(unit, p.num_column_blocks)
            outer, chunk = e.divide(rest, p.num_chunks)
            reduction.chunk(outer, chunk, e.mul(block, p.columns))
    with e.function("total", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(ReduceParameters)
        reduction = _Reduction(e, kernel, p, call)
        tasks = e.minimum(p.outer, p.num_tasks)
        first, _ = e.divide(e.mul(index, p.outer), tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.outer), tasks)
        if kernel.has_chunks:
            with e.loop("outer", last, first) as outer:
                in_vectors(e, p.inner, lambda i, _, mask: reduction.total(outer, i, mask))


@dataclass
class _Reduction:
    e: Emitter
    kernel: ReduceKernel
    p: ReduceParameters[Value]
    call: Call

    @property
    def how(self) -> str:
        return self.kernel.kind if self.kernel.kind in EXTREMES else SUM

    def parts(self) -> Buffer:
        """What chunks come to: their folds (0) and, of a variance, the squares around their means (1)."""
        p, e = self.p, self.e
        outer = e.mul(p.num_chunks, p.inner)
        return e.buffer(self.call.workspace, part=e.mul(p.outer, outer), outer=outer, chunk=p.inner, i=1)

    def y(self) -> Buffer:
        return self.e.buffer(self.call.y, outer=self.p.inner, i=1)

    def size_of(self, chunk: Int) -> Int:
        return self.e.minimum(self.p.chunk, self.e.sub(self.p.reduced, self.e.mul(chunk, self.p.chunk)))

    def chunk(self, outer: Int, chunk: Int, column: Int) -> None:
        """Some columns of one chunk, or its line."""
        e, p, is_line = self.e, self.p, self.kernel.is_line
        whole = e.buffer(self.call.x, outer=p.x_outer, row=1 if is_line else p.x_reduced, i=1)
        whole = whole.moved(outer=outer, i=column)
        x, count = whole.moved(row=e.mul(chunk, p.chunk)), self.size_of(chunk)
        if is_line:
            origin = e.broadcast(whole.pointer) if self.kernel.kind in SPREADS else None

            def number(i: Int, mask: Mask | None) -> Value:
                return self._term(e.load_masked(x.at(row=i), mask), origin)

            total, squares = fold_line(e, count, self.how, number), None
            if self.kernel.kind in SPREADS:
                mean = e.arithmetic(total, "/", e.number(count))
                squares = fold_line(e, count, SUM, lambda i, mask: self._square(number(i, mask), mean))
            self._store(outer, chunk, 0, [total], [squares], e.mask(1))
            return

        def columns(i: Int, vectors: int, mask: Mask | None) -> None:
            places = [e.add(i, v * e.lanes) for v in range(vectors)]
            origins = [e.load_masked(whole.at(i=place), mask) for place in places]

            def number(row: Int, v: int) -> Value:
                return self._term(e.load_masked(x.at(row=row, i=places[v]), mask), origins[v])

            totals = fold_rows(e, count, self.how, vectors, number)
            squares: list[Value] = [None] * vectors
            if self.kernel.kind in SPREADS:
                means = [e.arithmetic(total, "/", e.number(count)) for total in totals]
                squares = fold_rows(e, count, SUM, vectors, lambda row, v: self._square(number(row, v), means[v]))
            self._store(outer, chunk, e.add(column, i), totals, squares, mask)

        in_vectors(e, e.minimum(p.columns, e.sub(p.inner, column)), columns, VECTORS)

    def _term(self, value: Value, origin: Value) -> Value:
        """What is folded: a variance is that of the distances from the first number, which are small."""
        if self.kernel.kind == "mean_square":
            return self.e.arithmetic(value, "*", value)
        return self.e.arithmetic(value, "-", origin) if self.kernel.kind in SPREADS else value

    def _square(self, value: Value, mean: Value) -> Value:
        apart = self.e.arithmetic(value, "-", mean)
        return self.e.arithmetic(apart, "*", apart)

    def _store(
        self, outer: Int, chunk: Int, i: Int, totals: list[Value], squares: list[Value], mask: Mask | None
    ) -> None:
        """What a chunk comes to, which is the result where there are no others."""
        e = self.e
        for v, (total, square) in enumerate(zip(totals, squares, strict=True)):
            place = {"outer": outer, "i": e.add(i, v * e.lanes)}
            if not self.kernel.has_chunks:
                e.store_masked(self._finished(total, square), self.y().at(**place), mask)
                continue
            e.store_masked(total, self.parts().at(part=0, chunk=chunk, **place), mask)
            if square is not None:
                e.store_masked(square, self.parts().at(part=1, chunk=chunk, **place), mask)

    def total(self, outer: Int, i: Int, mask: Mask | None) -> None:
        """All chunks of a vector of results."""
        e, p = self.e, self.p
        parts = self.parts().moved(outer=outer, i=i)

        def fold_of(chunk: Int) -> Value:
            return e.load_masked(parts.at(part=0, chunk=chunk), mask)

        (total,) = fold_rows(e, p.num_chunks, self.how, 1, lambda chunk, _: fold_of(chunk))
        squares = None
        if self.kernel.kind in SPREADS:
            mean = e.arithmetic(total, "/", e.number(p.reduced))

            def spread(chunk: Int, _: int) -> Value:
                count = e.number(self.size_of(chunk))
                between = self._square(e.arithmetic(fold_of(chunk), "/", count), mean)
                return e.fma(between, count, e.load_masked(parts.at(part=1, chunk=chunk), mask))

            (squares,) = fold_rows(e, p.num_chunks, SUM, 1, spread)
        e.store_masked(self._finished(total, squares), self.y().at(outer=outer, i=i), mask)

    def _finished(self, total: Value, squares: Value) -> Value:
        e, kind = self.e, self.kernel.kind
        if kind in ("sum", *EXTREMES):
            return total
        result = e.arithmetic(squares if kind in SPREADS else total, "/", e.number(self.p.divisor))
        return e.square_root(result) if kind == "std" else result
