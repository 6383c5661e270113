"""Layer normalisation: three passes over each row, which stays in cache: mean, variance around it, result."""

from faltung.algorithms.layer_norm.kernel import LayerNormKernel, LayerNormParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Emitter, Int, Mask, Value
from faltung.codegen.fold import SUM, fold_line, in_vectors


def emit(e: Emitter, kernel: LayerNormKernel) -> None:
    """compute(call, index, scratch): some rows. The words of the call: scale as kernel, shift as bias."""
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(LayerNormParameters)
        scale, shift = e.buffer(call.kernel, i=1), e.buffer(call.bias, i=1)
        first, _ = e.divide(e.mul(index, p.num_rows), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_rows), p.num_tasks)
        with e.loop("row", last, first) as row:
            x, y = (e.buffer(array, row=p.size, i=1).moved(row=row) for array in (call.x, call.y))
            count = e.number(p.size)
            total = fold_line(e, p.size, SUM, lambda i, mask: e.load_masked(x.at(i=i), mask))
            mean = e.arithmetic(total, "/", count)

            def centred(i: Int, mask: Mask | None) -> Value:
                return e.arithmetic(e.load_masked(x.at(i=i), mask), "-", mean)

            def square(i: Int, mask: Mask | None) -> Value:
                value = centred(i, mask)
                return e.arithmetic(value, "*", value)

            variance = e.arithmetic(fold_line(e, p.size, SUM, square), "/", count)
            root = e.square_root(e.arithmetic(variance, "+", e.splat(kernel.epsilon)))
            factor = e.arithmetic(e.splat(1.0), "/", root)

            def result(i: Int, _: int, mask: Mask | None) -> None:
                value = e.arithmetic(centred(i, mask), "*", factor)
                if kernel.has_scale:
                    value = e.arithmetic(value, "*", e.load_masked(scale.at(i=i), mask))
                if kernel.has_shift:
                    value = e.arithmetic(value, "+", e.load_masked(shift.at(i=i), mask))
                e.store_masked(value, y.at(i=i), mask)

            in_vectors(e, p.size, result)
