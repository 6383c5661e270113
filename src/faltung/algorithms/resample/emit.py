"""Resampling: each task computes blocks of outputs; vectors lie along the inner axis, taps are added in their order."""

from faltung.algorithms.resample.kernel import VECTORS, ResampleKernel, ResampleParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Emitter, Int, Mask
from faltung.codegen.fold import in_vectors


def emit(e: Emitter, kernel: ResampleKernel) -> None:
    """compute(call, index, scratch): some units. The words of the call: index as kernel, weight as bias."""
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(ResampleParameters)
        indices, weights = e.byte_buffer(call.kernel), e.buffer(call.bias, j=p.taps, t=1)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_tasks)
        with e.loop("unit", last, first) as unit:
            rest, block = e.divide(unit, p.num_blocks)
            outer, column_block = e.divide(rest, p.num_column_blocks)
            column = e.mul(column_block, p.columns)
            x = e.buffer(call.x, o=p.x_outer, j=p.x_axis, i=1).moved(o=outer, i=column)
            y = e.buffer(call.y, o=p.y_outer, j=p.y_axis, i=1).moved(o=outer, i=column)
            begin = e.mul(block, p.block)
            end = e.minimum(e.add(begin, p.block), p.out_size)
            with e.loop("j", end, begin) as j:

                def source(t: Int, j: Int = j) -> Int:
                    place = e.mul(e.add(e.mul(j, p.taps), t), kernel.index_bytes)
                    return e.load_index(indices.at(i=place), kernel.index_bytes)

                only = None if kernel.has_weights else x.moved(j=source(0))
                target = y.moved(j=j)

                def sums(i: Int, vectors: int, mask: Mask | None, j: Int = j) -> None:
                    if only is not None:
                        for v in range(vectors):
                            place = e.add(i, v * e.lanes)
                            e.store_masked(e.load_masked(only.at(i=place), mask), target.at(i=place), mask)
                        return
                    totals = [e.vector_variable(f"total_{v}") for v in range(vectors)]
                    for total in totals:
                        total.set(e.splat(0.0))
                    with e.loop("t", p.taps) as t:
                        weight, line = e.broadcast(weights.at(j=j, t=t)), x.moved(j=source(t), i=i)
                        for v, total in enumerate(totals):
                            total.set(e.fma(weight, e.load_masked(line.at(i=v * e.lanes), mask), total.get()))
                    for v, total in enumerate(totals):
                        e.store_masked(total.get(), target.at(i=e.add(i, v * e.lanes)), mask)

                in_vectors(e, e.minimum(p.columns, e.sub(p.inner, column)), sums, VECTORS)
