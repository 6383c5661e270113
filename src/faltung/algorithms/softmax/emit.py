"""Softmax: the maximum of a line, the sum of the exponentials of what is left without it, and the result.

The exponentials are kept in the result on the way; the logarithm needs none of them but their sum.
"""

from faltung.algorithms.softmax.kernel import SoftmaxKernel, SoftmaxParameters
from faltung.codegen.activation import Number, exp
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Mask, Value
from faltung.codegen.fold import MAX, SUM, fold_line, fold_rows, in_vectors
from faltung.codegen.functions import log

ACCUMULATORS = 2
"""The code of an exponential stands in the program once for each."""


def emit(e: Emitter, kernel: SoftmaxKernel) -> None:
    """compute(call, index, scratch): some units."""
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(SoftmaxParameters)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_tasks)
        with e.loop("unit", last, first) as unit:
            outer, block = e.divide(unit, p.num_column_blocks)
            step = 1 if kernel.is_line else p.inner
            column = e.mul(block, p.columns)
            x, y = (
                e.buffer(array, outer=e.mul(p.axis, p.inner), j=step, i=1).moved(outer=outer, i=column)
                for array in (call.x, call.y)
            )
            if kernel.is_line:
                _emit_line(e, kernel, x, y, p.axis)
            else:
                count = e.minimum(p.columns, e.sub(p.inner, column))
                in_vectors(
                    e, count, lambda i, _, mask: _emit_column(e, kernel, x.moved(i=i), y.moved(i=i), p.axis, mask)
                )


def _emit_line(e: Emitter, kernel: SoftmaxKernel, x: Buffer, y: Buffer, size: Int) -> None:
    most = fold_line(e, size, MAX, lambda j, mask: e.load_masked(x.at(j=j), mask))

    def exponential(j: Int, mask: Mask | None) -> Value:
        return _exponential(e, kernel, x.at(j=j), y.at(j=j), most, mask)

    total = fold_line(e, size, SUM, exponential, ACCUMULATORS)
    last = _last(e, kernel, total)
    in_vectors(e, size, lambda j, _, mask: _finish(e, kernel, x.at(j=j), y.at(j=j), most, last, mask))


def _emit_column(e: Emitter, kernel: SoftmaxKernel, x: Buffer, y: Buffer, size: Int, mask: Mask | None) -> None:
    (most,) = fold_rows(e, size, MAX, 1, lambda j, _: e.load_masked(x.at(j=j), mask))

    def exponential(j: Int, _: int) -> Value:
        return _exponential(e, kernel, x.at(j=j), y.at(j=j), most, mask)

    (total,) = fold_rows(e, size, SUM, 1, exponential, ACCUMULATORS)
    last = _last(e, kernel, total)
    with e.loop("j", size) as j:
        _finish(e, kernel, x.at(j=j), y.at(j=j), most, last, mask)


def _exponential(e: Emitter, kernel: SoftmaxKernel, x: Value, y: Value, most: Value, mask: Mask | None) -> Value:
    value = exp(Number(e, e.arithmetic(e.load_masked(x, mask), "-", most))).value
    if not kernel.is_log:
        e.store_masked(value, y, mask)
    return value


def _last(e: Emitter, kernel: SoftmaxKernel, total: Value) -> Value:
    """What the sum of a line does to each of its numbers."""
    return log(Number(e, total)).value if kernel.is_log else e.arithmetic(e.splat(1.0), "/", total)


def _finish(e: Emitter, kernel: SoftmaxKernel, x: Value, y: Value, most: Value, last: Value, mask: Mask | None) -> None:
    if kernel.is_log:
        value = e.arithmetic(e.arithmetic(e.load_masked(x, mask), "-", most), "-", last)
    else:
        value = e.arithmetic(e.load_masked(y, mask), "*", last)
    e.store_masked(value, y, mask)
