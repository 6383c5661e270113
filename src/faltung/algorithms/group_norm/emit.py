"""Group normalisation, channels last: sums and squares of each channel first, then groups, then numbers.

A task of the first stage sums chunks of positions, channel by channel, and the squares around the chunk's own mean.
One of the second puts the chunks of its sample together, channels into groups, as reduce/emit.py says; its scratch
holds a mean and a factor for each channel.
"""

from dataclasses import dataclass

from faltung.algorithms.group_norm.kernel import VECTORS, GroupNormKernel, GroupNormParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Mask, Value
from faltung.codegen.fold import SUM, fold_line, fold_rows, in_vectors


def emit(e: Emitter, kernel: GroupNormKernel) -> None:
    """moments(call, index, scratch): some chunks; compute(call, index, scratch): some blocks of y."""
    with e.function("moments", "*call", "index", "*scratch") as (pointer, index, _):
        norm = _GroupNorm.of(e, kernel, pointer, None)
        p = norm.p
        count = e.mul(p.num_samples, p.num_chunks)
        first, _ = e.divide(e.mul(index, count), p.num_moment_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), count), p.num_moment_tasks)
        with e.loop("unit", last, first) as unit:
            n, chunk = e.divide(unit, p.num_chunks)
            in_vectors(e, p.channels, lambda c, v, mask: norm.moments(n, chunk, c, v, mask), VECTORS)
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, scratch):
        norm = _GroupNorm.of(e, kernel, pointer, scratch)
        p = norm.p
        count = e.mul(p.num_samples, p.num_blocks)
        first, _ = e.divide(e.mul(index, count), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), count), p.num_tasks)
        ready = e.variable(-1, "ready")
        with e.loop("unit", last, first) as unit:
            n, block = e.divide(unit, p.num_blocks)
            with e.when(e.compare(ready.get(), "!=", n)):
                ready.set(n)
                norm.prepare(n)
            norm.compute(n, block)


@dataclass
class _GroupNorm:
    e: Emitter
    kernel: GroupNormKernel
    p: GroupNormParameters[Value]
    x: Buffer
    y: Buffer
    scale: Buffer
    shift: Buffer
    parts: Buffer  # sums (0) and squares (1) of each chunk
    channel: Buffer  # mean (0) and factor (1) of each channel

    @classmethod
    def of(cls, e: Emitter, kernel: GroupNormKernel, pointer: Value, scratch: Value) -> "_GroupNorm":
        call = Call(e, pointer)
        p = call.read(GroupNormParameters)
        x, y = (e.buffer(array, n=e.mul(p.positions, p.channels), i=p.channels, c=1) for array in (call.x, call.y))
        sample = e.mul(p.num_chunks, p.channels)
        parts = e.buffer(call.workspace, part=e.mul(p.num_samples, sample), n=sample, chunk=p.channels, c=1)
        channel = e.buffer(scratch, part=p.channels, c=1)
        return cls(e, kernel, p, x, y, e.buffer(call.kernel, c=1), e.buffer(call.bias, c=1), parts, channel)

    def size_of(self, chunk: Int) -> Int:
        return self.e.minimum(self.p.chunk, self.e.sub(self.p.positions, self.e.mul(chunk, self.p.chunk)))

    def _square(self, value: Value, mean: Value) -> Value:
        apart = self.e.arithmetic(value, "-", mean)
        return self.e.arithmetic(apart, "*", apart)

    def moments(self, n: Int, chunk: Int, c: Int, vectors: int, mask: Mask | None) -> None:
        """Sums and squares of some vectors of channels of one chunk."""
        e = self.e
        x, count = self.x.moved(n=n, i=e.mul(chunk, self.p.chunk), c=c), self.size_of(chunk)

        def load(i: Int, v: int) -> Value:
            return e.load_masked(x.at(i=i, c=v * e.lanes), mask)

        totals = fold_rows(e, count, SUM, vectors, load)
        means = [e.arithmetic(total, "/", e.number(count)) for total in totals]
        squares = fold_rows(e, count, SUM, vectors, lambda i, v: self._square(load(i, v), means[v]))
        for part, values in enumerate((totals, squares)):
            for v, value in enumerate(values):
                e.store_masked(value, self.parts.at(part=part, n=n, chunk=chunk, c=e.add(c, v * e.lanes)), mask)

    def prepare(self, n: Int) -> None:
        """Mean and factor of each channel of one sample."""
        e, p = self.e, self.p
        in_vectors(e, p.channels, lambda c, _, mask: self._channel(n, c, mask))
        if self.kernel.is_instance:
            return
        with e.loop("group", p.groups) as group:
            channel = self.channel.moved(c=e.mul(group, p.group_size))

            def mean_at(c: Int, mask: Mask | None) -> Value:
                return e.load_masked(channel.at(part=0, c=c), mask)

            mean = e.arithmetic(fold_line(e, p.group_size, SUM, mean_at), "/", e.number(p.group_size))

            def spread(c: Int, mask: Mask | None) -> Value:
                between = self._square(mean_at(c, mask), mean)
                return e.fma(between, e.number(p.positions), e.load_masked(channel.at(part=1, c=c), mask))

            factor = self._factor(fold_line(e, p.group_size, SUM, spread), e.mul(p.group_size, p.positions))

            def keep(c: Int, _: int, mask: Mask | None) -> None:
                e.store_masked(mean, channel.at(part=0, c=c), mask)
                e.store_masked(
                    self._scaled(factor, e.add(e.mul(group, p.group_size), c), mask), channel.at(part=1, c=c), mask
                )

            in_vectors(e, p.group_size, keep)

    def _channel(self, n: Int, c: Int, mask: Mask | None) -> None:
        """The chunks of one vector of channels: its means, and squares around them or, of instances, factors."""
        e, p = self.e, self.p
        parts = self.parts.moved(n=n, c=c)

        def total_at(chunk: Int) -> Value:
            return e.load_masked(parts.at(part=0, chunk=chunk), mask)

        (total,) = fold_rows(e, p.num_chunks, SUM, 1, lambda chunk, _: total_at(chunk))
        mean = e.arithmetic(total, "/", e.number(p.positions))

        def spread(chunk: Int, _: int) -> Value:
            count = e.number(self.size_of(chunk))
            between = self._square(e.arithmetic(total_at(chunk), "/", count), mean)
            return e.fma(between, count, e.load_masked(parts.at(part=1, chunk=chunk), mask))

        (squares,) = fold_rows(e, p.num_chunks, SUM, 1, spread)
        if self.kernel.is_instance:
            squares = self._scaled(self._factor(squares, p.positions), c, mask)
        e.store_masked(mean, self.channel.at(part=0, c=c), mask)
        e.store_masked(squares, self.channel.at(part=1, c=c), mask)

    def _factor(self, squares: Value, count: Int) -> Value:
        """1 / sqrt(variance + epsilon)."""
        e = self.e
        variance = e.arithmetic(squares, "/", e.number(count))
        return e.arithmetic(e.splat(1.0), "/", e.square_root(e.arithmetic(variance, "+", e.splat(self.kernel.epsilon))))

    def _scaled(self, factor: Value, c: Int, mask: Mask | None) -> Value:
        if not self.kernel.has_scale:
            return factor
        return self.e.arithmetic(factor, "*", self.e.load_masked(self.scale.at(c=c), mask))

    def compute(self, n: Int, block: Int) -> None:
        """One block of positions: vector after vector of channels, each with what it needs in registers."""
        e, p = self.e, self.p
        begin = e.mul(block, p.block)
        end = e.minimum(e.add(begin, p.block), p.positions)

        def channels(c: Int, vectors: int, mask: Mask | None) -> None:
            x, y = self.x.moved(n=n, c=c), self.y.moved(n=n, c=c)

            def numbers(buffer: Buffer, **place: Int) -> list[Value]:
                return [e.load_masked(buffer.at(c=e.add(c, v * e.lanes), **place), mask) for v in range(vectors)]

            means, factors = numbers(self.channel, part=0), numbers(self.channel, part=1)
            shifts = numbers(self.shift) if self.kernel.has_shift else None
            with e.loop("i", end, begin) as i:
                for v in range(vectors):
                    value = e.arithmetic(e.load_masked(x.at(i=i, c=v * e.lanes), mask), "-", means[v])
                    value = e.arithmetic(value, "*", factors[v])
                    if shifts is not None:
                        value = e.arithmetic(value, "+", shifts[v])
                    e.store_masked(value, y.at(i=i, c=v * e.lanes), mask)

        in_vectors(e, p.channels, channels, VECTORS)
