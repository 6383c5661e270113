"""A pool: each task computes blocks of lines, position by position, vectors along the channels.

A window is cut to the taps that meet inputs, so that padding is never read and a maximum never sees it. Where a line's
windows lie inside along w, their taps are written out; a sum adds in the order of the window all the same.
"""

import math
from dataclasses import dataclass

from faltung.algorithms.pool.kernel import VECTORS, PoolAxis, PoolKernel, PoolParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Mask, Value


def emit(e: Emitter, kernel: PoolKernel) -> None:
    """compute(call, index, scratch): some units of y."""
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(PoolParameters)
        x = e.buffer(call.x, n=p.x_n, d=p.d.x, h=p.h.x, w=p.w.x, c=1)
        y = e.buffer(call.y, n=p.y_n, d=p.d.y, h=p.h.y, w=p.w.y, c=1)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_tasks)
        with e.loop("unit", last, first) as unit:
            rest, block = e.divide(unit, p.num_blocks)
            rest, oh = e.divide(rest, p.h.out_size)
            n, od = e.divide(rest, p.d.out_size)
            d, h = _Taps.of(e, p.d, od), _Taps.of(e, p.h, oh)
            line = _Line(e, kernel, p, x.moved(n=n), y.moved(n=n, d=od, h=oh), d, h)
            begin = e.mul(block, p.block)
            end = e.minimum(e.add(begin, p.block), p.w.out_size)
            if not kernel.kernel_w:
                line.compute(begin, end, is_inner=False)
            else:
                inner = e.maximum(begin, e.minimum(end, p.inner_first))
                outer = e.maximum(inner, e.minimum(end, p.inner_last))
                with e.loop("part", 3) as part:
                    is_inner = e.compare(part, "==", 1)
                    with e.either(is_inner) as (inside, edge):
                        with inside:
                            line.compute(inner, outer, is_inner=True)
                        with edge:
                            is_left = e.compare(part, "==", 0)
                            start = e.choose(is_left, begin, outer)
                            line.compute(start, e.choose(is_left, inner, end), is_inner=False)


@dataclass
class _Taps:
    """The taps of one window along one axis that meet inputs; `counted` are those that divide a mean."""

    axis: PoolAxis[Value]
    start: Int
    """Where tap 0 stands in the input."""
    first: Int
    last: Int
    counted: Int

    @classmethod
    def of(cls, e: Emitter, axis: PoolAxis[Value], o: Int) -> "_Taps":
        start = e.sub(e.mul(o, axis.stride), axis.low)

        def below(limit: Int) -> Int:
            """Taps that stand before a place that is not before tap 0, at most all."""
            taps, _ = e.divide(e.add(e.maximum(e.sub(limit, start), 0), axis.dilation, -1), axis.dilation)
            return e.minimum(taps, axis.kernel_size)

        return cls(axis, start, below(0), below(axis.in_size), below(e.add(axis.in_size, axis.high)))

    def count(self, e: Emitter, counts_padding: bool) -> Int:
        return self.counted if counts_padding else e.sub(self.last, self.first)


@dataclass
class _Line:
    """A line of outputs whose windows are cut along planes and lines already."""

    e: Emitter
    kernel: PoolKernel
    p: PoolParameters[Value]
    x: Buffer
    y: Buffer
    d: _Taps
    h: _Taps

    def compute(self, begin: Int, end: Int, *, is_inner: bool) -> None:
        """Outputs from begin to end; with is_inner all their taps along w meet inputs."""
        e, p, k = self.e, self.p, self.kernel
        outer_count = e.mul(self.d.count(e, k.counts_padding), self.h.count(e, k.counts_padding))
        with e.loop("ow", end, begin) as ow:
            if is_inner:
                start, first, last, count = e.sub(e.mul(ow, p.w.stride), p.w.low), 0, k.kernel_w, k.kernel_w
            else:
                w = _Taps.of(e, p.w, ow)
                start, first, last, count = w.start, w.first, w.last, w.count(e, k.counts_padding)
            divisor = None if k.is_max else e.number(e.mul(outer_count, count))
            x, y = self.x.moved(w=start), self.y.moved(w=ow)
            width = VECTORS * e.lanes
            steps, _ = e.divide(p.channels, width)
            vectors, rest = e.divide(p.channels, e.lanes)
            stepped, whole = e.mul(steps, width), e.mul(vectors, e.lanes)
            with e.loop("c", stepped, step=width) as c:
                self._window(x.moved(c=c), y.moved(c=c), VECTORS, None, first, last, divisor)
            with e.loop("c", whole, stepped, step=e.lanes) as c:
                self._window(x.moved(c=c), y.moved(c=c), 1, None, first, last, divisor)
            with e.when(e.compare(rest, ">", 0)):
                self._window(x.moved(c=whole), y.moved(c=whole), 1, e.mask(rest), first, last, divisor)

    def _window(
        self, x: Buffer, y: Buffer, vectors: int, mask: Mask | None, first: Int, last: Int, divisor: Value | None
    ) -> None:
        """Some vectors of channels of one output."""
        e, k = self.e, self.kernel
        totals = [e.vector_variable(f"total_{v}") for v in range(vectors)]
        for total in totals:
            total.set(e.splat(-math.inf if k.is_max else 0.0))
        with e.loop("kd", self.d.last, self.d.first) as kd:
            plane = x.moved(d=e.add(self.d.start, e.mul(kd, self.p.d.dilation)))
            with e.loop("kh", self.h.last, self.h.first) as kh:
                row = plane.moved(h=e.add(self.h.start, e.mul(kh, self.p.h.dilation)))
                taps = range(last) if isinstance(last, int) else None
                for kw in taps or ():
                    self._add(row.moved(w=e.mul(kw, self.p.w.dilation)), totals, mask)
                if taps is None:
                    with e.loop("kw", last, first) as kw:
                        self._add(row.moved(w=e.mul(kw, self.p.w.dilation)), totals, mask)
        for v, total in enumerate(totals):
            value = total.get() if divisor is None else e.arithmetic(total.get(), "/", divisor)
            e.store_masked(value, y.at(c=v * e.lanes), mask)

    def _add(self, x: Buffer, totals: list[Value], mask: Mask | None) -> None:
        e = self.e
        for v, total in enumerate(totals):
            value = e.load_masked(x.at(c=v * e.lanes), mask)
            total.set(
                e.extreme(value, ">", total.get()) if self.kernel.is_max else e.arithmetic(total.get(), "+", value)
            )
