"""Staging: the part of a channels-first input that a piece reads, laid out so that every tap is a plain offset.

    staged[ic, kd, copy, line phase, line, t]

Along w there is either one copy for each tap, shifted by it, holding just the positions of the outputs (so vectors
may run across lines), or one for each phase of the stride, read by all taps at small offsets. Lines are split by the
phase of their stride, so that the taps along h are whole lines apart. Along d there is one plane for each tap.
Padding is filled in here, for this part only.
"""

from dataclasses import dataclass

from faltung.codegen.call import Call, Parameters
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import padded_index
from faltung.plan.kernels import TapsKernel


@dataclass(frozen=True)
class Block:
    """The output positions of a piece: `num_lines` lines from `line` on, `width` positions of each from `ow` on."""

    n: Int
    od: Int
    line: Int
    num_lines: Int
    ow: Int
    width: Int


@dataclass(frozen=True)
class Axes:
    """Stride and dilation of lines (h, or the batch of a 1-D convolution) and of w; how taps become offsets."""

    kernel: TapsKernel

    @property
    def has_lines(self) -> bool:
        return len(self.kernel.axes) > 1

    @property
    def line_step(self) -> tuple[int, int]:
        """Stride and dilation of lines."""
        return (self.kernel.stride[-2], self.kernel.dilation[-2]) if self.has_lines else (1, 1)

    def line_offset(self, e: Emitter, p: Parameters, kh: Int) -> Int:
        stride, dilation = self.line_step
        lines, phase = e.divide(e.mul(kh, dilation), stride)
        return e.add(e.mul(phase, p.line_phase), e.mul(lines, p.pitch))

    def w_offset(self, e: Emitter, p: Parameters, kw: Int) -> Int:
        if self.kernel.is_shifted:
            return e.mul(kw, p.copy)
        steps, phase = e.divide(e.mul(kw, self.kernel.dilation[-1]), self.kernel.stride[-1])
        return e.add(e.mul(phase, p.copy), steps)


@dataclass
class Staging:
    """Fills the staged block of one piece."""

    e: Emitter
    kernel: TapsKernel
    p: Parameters
    block: Block
    staged: Buffer

    @staticmethod
    def axes_of(kernel: TapsKernel) -> Axes:
        return Axes(kernel)

    def emit(self, call: Call, g: Int) -> None:
        e, k, p, block = self.e, self.kernel, self.p, self.block
        axes = Axes(k)
        strides = {"n": p.x_n, "ic": p.x_c, "d": p.x_d, "line": p.x_line}
        x = e.buffer(call.x, **strides).moved(n=block.n, ic=e.mul(g, k.group_in))
        to = e.buffer(self.staged.pointer, ic=p.channel, d=p.plane, copy=p.copy, phase=p.line_phase, line=p.pitch)
        kd, sd, dd = (k.kernel_size[0], k.stride[0], k.dilation[0]) if len(k.axes) == 3 else (1, 1, 1)
        line_stride, _ = axes.line_step
        with e.loop("ic", k.group_in) as ic, e.loop("kd", kd) as d:
            index_d = e.sub(e.add(e.mul(block.od, sd), e.mul(d, dd)), p.low_d)
            with e.loop("phase", p.num_line_phases) as phase, e.loop("j", e.add(block.num_lines, p.more_lines)) as j:
                index_line = e.sub(e.add(e.mul(e.add(block.line, j), line_stride), phase), p.low_h)
                is_there = e.all_of(self._is_there(index_d, p.in_d), self._is_there(index_line, p.in_lines))
                source = x.at(
                    ic=ic,
                    d=padded_index(e, e.int(index_d), p.in_d, k.padding_mode),
                    line=padded_index(e, e.int(index_line), p.in_lines, k.padding_mode),
                )
                self._stage_copies(to.moved(ic=ic, d=d, phase=phase, line=j), source, is_there)

    def _is_there(self, index: Int, size: Int) -> Value:
        """Read this line? Outside the input: only if the padding mode reads something there."""
        e = self.e
        if self.kernel.padding_mode in ("zeros", None):
            return e.below(index, size)
        return e.true()

    def _stage_copies(self, to: Buffer, source: Value, is_there: Value) -> None:
        e, k, p = self.e, self.kernel, self.p
        count = e.add(self.block.width, p.more_w)
        with e.loop("copy", p.num_copies) as copy:
            shift = e.mul(copy, k.dilation[-1]) if k.is_shifted else copy
            first = e.sub(e.add(e.mul(self.block.ow, k.stride[-1]), shift), p.low_w)
            e.call("stage_line", to.at(copy=copy), source, count, first, p.in_w, e.as_int(is_there))


def emit_stage_line(e: Emitter, kernel: TapsKernel) -> None:
    """stage_line(to, line, count, first, size, is_there): to[t] = line[first + t * stride] for t < count, padded."""
    stride, mode = kernel.stride[-1], kernel.padding_mode
    parameters = ("*to", "*line", "count", "first", "size", "is_there")
    with e.function("stage_line", *parameters, internal=True) as (to_pointer, line_pointer, count, first, size, is_there):
        to, line = e.buffer(to_pointer, t=1), e.buffer(line_pointer, w=1)

        def steps_to(index: Int) -> Int:
            """The first t whose input index is at least `index`, within 0 … count."""
            quotient, _ = e.divide(e.maximum(e.add(e.sub(index, first), stride - 1), 0), stride)
            return e.minimum(quotient, count)

        def pad(start: Int, stop: Int) -> None:
            with e.loop("t_pad", stop, start) as t:
                index = e.int(padded_index(e, e.int(e.add(first, e.mul(t, stride))), size, mode))
                value = e.zero() if mode in ("zeros", None) else e.load_scalar(line.at(w=index))
                e.store_scalar(value, to.at(t=t))

        inside, outside = steps_to(0), steps_to(size)
        with e.either(e.compare(is_there, "!=", 0), likely=True) as (there, missing):
            with there:
                pad(0, inside)
                _copy_strided(e, to, line, inside, outside, first, size, stride)
                pad(outside, count)
            with missing, e.loop("t_zero", count, step=e.lanes) as t:
                e.store_masked(e.splat(0.0), to.at(t=t), e.sub(count, t))


def _copy_strided(
    e: Emitter, to: Buffer, line: Buffer, start: Int, stop: Int, first: Int, size: Int, stride: int
) -> None:
    """to[t] = line[first + t * stride] for start <= t < stop; every index lies inside the line."""
    # a step reads stride whole vectors and keeps every stride-th number; it must not read past the line
    last_whole, _ = e.divide(e.maximum(e.sub(size, first), 0), stride)
    stop_whole = e.sub(e.minimum(stop, last_whole), e.lanes - 1)
    rest = e.variable(start, "rest")
    if stride <= 8:
        with e.loop("t", stop_whole, start, step=e.lanes) as t:
            source = line.moved(w=e.add(first, e.mul(t, stride)))
            vectors = [e.load(source.at(w=v * e.lanes)) for v in range(stride)]
            e.store(e.every(vectors, stride), to.at(t=t))
            rest.set(e.add(t, e.lanes))
    if stride == 1:
        left = e.sub(stop, rest.get())
        with e.when(e.compare(left, ">", 0)):
            e.store_masked(e.load_masked(line.at(w=e.add(first, rest.get())), left), to.at(t=rest.get()), left)
        return
    with e.loop("t_rest", stop, rest.get()) as t:
        e.store_scalar(e.load_scalar(line.at(w=e.add(first, e.mul(t, stride)))), to.at(t=t))
