"""The gradient of bias and activation in one pass: dz = dy * activation'(z), and its sum for each channel.

Each task of the first stage writes its part of dz and leaves partial sums in the workspace: of the columns of some
rows, or of blocks of lines (plan.py). The second stage adds the partial sums in their order. What is
summed with what is fixed by the plan, so bits do not depend on the threads. The partial sum of channel c with numbers n
(task or sample) and i (neighbour) stands at n * partial_step + i * neighbour_step + c * channel_step.
"""

from dataclasses import dataclass

from faltung.algorithms.epilogue_gradient.kernel import (
    TASK_CHANNELS,
    EpilogueGradientKernel,
    EpilogueGradientParameters,
)
from faltung.codegen.activation_gradient import activation_gradient
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value


def emit(e: Emitter, kernel: EpilogueGradientKernel) -> None:
    """sums(call, index, scratch): dz and partial sums; total(call, index, scratch): the bias gradient.

    The words of the call: dy as x, y or z as kernel, the gradient of the bias as bias, dz as y.
    """
    if kernel.sums_lines:
        _emit_lines(e, kernel)
    else:
        for rows in sorted({kernel.rows, 1}):
            _emit_rows(e, kernel, rows)
        _emit_columns(e, kernel)
    _emit_total(e)


@dataclass
class _Arrays:
    """dy, what the derivative is taken from, and dz, from some place on."""

    e: Emitter
    kernel: EpilogueGradientKernel
    dy: Buffer
    source: Buffer
    dz: Buffer

    @classmethod
    def of(cls, e: Emitter, kernel: EpilogueGradientKernel, pointers: list[Value], row: Int) -> "_Arrays":
        return cls(e, kernel, *(e.buffer(pointer, row=row, i=1) for pointer in pointers))

    def moved(self, **indices: Int) -> "_Arrays":
        buffers = (buffer.moved(**indices) for buffer in (self.dy, self.source, self.dz))
        return _Arrays(self.e, self.kernel, *buffers)

    def pointers(self) -> list[Value]:
        return [self.dy.pointer, self.source.pointer, self.dz.pointer]

    def dz_at(self, mask: Value, **indices: Int) -> Value:
        """Compute and store one vector of dz; lanes outside the mask are 0."""
        e, k = self.e, self.kernel
        dz = e.load_masked(self.dy.at(**indices), mask)
        if k.activation is None:
            return dz
        source = e.load_masked(self.source.at(**indices), mask)
        dz = activation_gradient(e, dz, source, k.activation, k.activation_parameter)
        e.store_masked(dz, self.dz.at(**indices), mask)
        return dz


def _sum(e: Emitter, terms: list[Value]) -> Value:
    """The sum, pairs first."""
    while len(terms) > 1:
        terms = [e.arithmetic(a, "+", b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def _emit_rows(e: Emitter, kernel: EpilogueGradientKernel, rows: int) -> None:
    """rows_N: `count` columns of N rows, added to the partial sums of the columns."""
    arrays = ("*dy", "*source", "*dz", "*partial")
    with e.function(f"rows_{rows}", *arrays, "row_size", "count", internal=True) as (*pointers, partial, row, count):
        first, sums = _Arrays.of(e, kernel, pointers, row), e.buffer(partial, i=1)
        lines = [first.moved(row=r) for r in range(rows)]
        full, rest = e.divide(count, e.lanes)
        whole = e.mul(full, e.lanes)

        def step(i: Int, mask: Value) -> None:
            total = _sum(e, [line.dz_at(mask, i=i) for line in lines])
            e.store_masked(e.arithmetic(e.load_masked(sums.at(i=i), mask), "+", total), sums.at(i=i), mask)

        with e.loop("i", whole, step=e.lanes) as i:
            step(i, None)
        with e.when(e.compare(rest, ">", 0)):
            step(whole, e.mask(rest))


def _emit_columns(e: Emitter, kernel: EpilogueGradientKernel) -> None:
    """Each task: one chunk of the rows, and one part of their columns."""
    with e.function("sums", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(EpilogueGradientParameters)
        chunk, part = e.divide(index, p.num_parts)
        begin = e.mul(part, p.part_size)
        count = e.minimum(p.part_size, e.sub(p.row_size, begin))
        first, _ = e.divide(e.mul(chunk, p.num_rows), p.num_chunks)
        last, _ = e.divide(e.mul(e.add(chunk, 1), p.num_rows), p.num_chunks)
        here = _Arrays.of(e, kernel, [call.x, call.kernel, call.y], p.row_size).moved(i=begin)
        partial = e.buffer(call.workspace, chunk=p.row_size, i=1).moved(chunk=chunk, i=begin)
        with e.loop("i", count, step=e.lanes) as i:
            e.store_masked(e.splat(0.0), partial.at(i=i), e.mask(e.sub(count, i)))

        def add(rows: int, row: Int, count: Int) -> None:
            e.call(f"rows_{rows}", *here.moved(row=row).pointers(), partial.pointer, p.row_size, count)

        groups, _ = e.divide(e.sub(last, first), kernel.rows)
        rest = e.add(first, e.mul(groups, kernel.rows))
        with e.loop("row", rest, first, step=kernel.rows) as row:
            add(kernel.rows, row, count)
        with e.loop("row", last, rest) as row:
            add(1, row, count)
        is_last = e.compare(e.add(chunk, 1), "==", p.num_chunks)
        with e.when(e.all_of(is_last, e.compare(p.last_size, ">", begin))):
            add(1, p.num_rows, e.minimum(count, e.sub(p.last_size, begin)))


def _emit_lines(e: Emitter, kernel: EpilogueGradientKernel) -> None:
    """Each task: some units, each a block of a line."""
    with e.function("sums", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(EpilogueGradientParameters)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_chunks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_chunks)
        arrays = _Arrays.of(e, kernel, [call.x, call.kernel, call.y], p.line_size)
        partial = e.buffer(call.workspace, unit=1)
        with e.loop("unit", last, first) as unit:
            line, block = e.divide(unit, p.line_blocks)
            begin = e.mul(block, p.block_size)
            count = e.minimum(p.block_size, e.sub(p.line_size, begin))
            total = _sum_of_line(e, kernel, arrays.moved(row=line, i=begin), count)
            if kernel.has_bias:
                e.store_masked(e.sum_of_lanes(total), partial.at(unit=unit), e.mask(1))


def _sum_of_line(e: Emitter, kernel: EpilogueGradientKernel, here: _Arrays, count: Int) -> Value:
    """The sum of `count` neighbours, still spread over the lanes."""
    totals = [e.vector_variable(f"total_{v}") for v in range(kernel.rows)]
    for total in totals:
        total.set(e.splat(0.0))

    def step(total: int, i: Int, mask: Value) -> None:
        totals[total].set(e.arithmetic(totals[total].get(), "+", here.dz_at(mask, i=i)))

    width = kernel.rows * e.lanes
    steps, _ = e.divide(count, width)
    vectors, rest = e.divide(count, e.lanes)
    stepped, whole = e.mul(steps, width), e.mul(vectors, e.lanes)
    with e.loop("i", stepped, step=width) as i:
        for v in range(kernel.rows):
            step(v, e.add(i, v * e.lanes), None)
    if kernel.rows > 1:
        with e.loop("i", whole, stepped, step=e.lanes) as i:
            step(0, i, None)
    with e.when(e.compare(rest, ">", 0)):
        step(kernel.rows - 1, whole, e.mask(rest))
    return _sum(e, [total.get() for total in totals])


def _emit_total(e: Emitter) -> None:
    """Each task adds the partial sums of TASK_CHANNELS channels, as many at a time as have theirs side by side."""
    with e.function("total", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(EpilogueGradientParameters)
        steps = {"n": p.partial_step, "i": p.neighbour_step, "oc": p.channel_step}
        partial, db = e.buffer(call.workspace, **steps), e.buffer(call.bias, oc=1)
        begin = e.mul(index, TASK_CHANNELS)
        end = e.minimum(e.add(begin, TASK_CHANNELS), p.channels)
        width = e.choose(e.compare(p.channel_step, "==", 1), e.lanes, 1)
        with e.loop("oc", end, begin, step=width) as oc:
            mask = e.mask(e.minimum(width, e.sub(end, oc)))
            total, neighbours = e.vector_variable("total"), e.vector_variable("neighbours")
            total.set(e.splat(0.0))
            with e.loop("n", p.num_partials) as n:
                neighbours.set(e.splat(0.0))
                with e.loop("i", p.num_neighbours) as i:
                    terms = e.load_masked(partial.at(n=n, i=i, oc=oc), mask)
                    neighbours.set(e.arithmetic(neighbours.get(), "+", terms))
                total.set(e.arithmetic(total.get(), "+", neighbours.get()))
            e.store_masked(total.get(), db.at(oc=oc), mask)
