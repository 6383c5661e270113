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


@dataclass
class Staging:
    """Fills the staged block of one piece."""

    e: Emitter
    kernel: TapsKernel
    p: Parameters
    block: Block
    staged: Buffer

    def emit(self, call: Call, g: Int) -> None:
        """Stage all channels of one group."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        x = e.buffer(call.x, n=p.x_n, ic=p.x_c, d=p.x_d).moved(n=block.n, ic=e.mul(g, k.group_in))
        to = e.buffer(self.staged.pointer, d=p.plane, copy=p.copy, phase=p.line_phase)
        kd, sd, dd = (k.kernel_size[0], k.stride[0], k.dilation[0]) if len(k.axes) == 3 else (1, 1, 1)
        lines, width = e.add(block.num_lines, p.more_lines), e.add(block.width, p.more_w)
        with e.loop("copy", p.num_copies) as copy:
            shift = e.mul(copy, k.dilation[-1]) if k.is_shifted else copy
            first = e.sub(e.add(e.mul(block.ow, k.stride[-1]), shift), p.low_w)
            with e.loop("phase", p.num_line_phases) as phase, e.loop("kd", kd) as d:
                first_line = e.sub(e.add(e.mul(block.line, line_step(k)[0]), phase), p.low_h)
                index_d = e.i64(e.sub(e.add(e.mul(block.od, sd), e.mul(d, dd)), p.low_d))
                source = x.moved(d=padded_index(e, index_d, p.in_d, k.padding_mode))
                # a plane outside the input has no lines, unless the padding mode reads something there
                in_lines = e.choose(self._is_there(index_d, p.in_d), p.in_lines, 0)
                steps = (p.channel, p.x_c, p.pitch, p.x_line)
                sizes = (lines, width, first_line, first, in_lines, p.in_w)
                e.call("stage_lines", to.at(d=d, copy=copy, phase=phase), source.pointer, *steps, *sizes)

    def _is_there(self, index: Int, size: Int) -> Value:
        return is_there(self.e, self.kernel, index, size)


def is_there(e: Emitter, kernel: TapsKernel, index: Int, size: Int) -> Value:
    """Is anything read at this index: inside the input, or wherever the padding mode reads something outside?"""
    return e.below(index, size) if kernel.padding_mode in ("zeros", None) else e.true()


def line_step(kernel: TapsKernel) -> tuple[int, int]:
    """Stride and dilation of lines: those of h, or 1 where the lines are samples of a 1-D convolution."""
    return (kernel.stride[-2], kernel.dilation[-2]) if len(kernel.axes) > 1 else (1, 1)


def line_offset(e: Emitter, kernel: TapsKernel, p: Parameters, kh: Int) -> Int:
    """Where the lines of tap kh lie in the staged block."""
    stride, dilation = line_step(kernel)
    lines, phase = e.divide(e.mul(kh, dilation), stride)
    return e.add(e.mul(phase, p.line_phase), e.mul(lines, p.pitch))


def w_offset(e: Emitter, kernel: TapsKernel, p: Parameters, kw: Int) -> Int:
    """Where the positions of tap kw lie in a line of the staged block."""
    if kernel.is_shifted:
        return e.mul(kw, p.copy)
    steps, phase = e.divide(e.mul(kw, kernel.dilation[-1]), kernel.stride[-1])
    return e.add(e.mul(phase, p.copy), steps)


def emit_stage_lines(e: Emitter, kernel: TapsKernel) -> None:
    """stage_lines(to, x, …): to[ic, j, t] = x[ic, first_line + j * stride_h, first + t * stride_w], padded.

    j < lines and t < width; channel and x_c are the steps from channel to channel, pitch and x_line from line to line,
    in_lines and in_w the sizes of x.
    """
    stride, mode = kernel.stride[-1], kernel.padding_mode
    steps = ("channel", "x_c", "pitch", "x_line")
    sizes = ("lines", "width", "first_line", "first", "in_lines", "in_w")
    with e.function("stage_lines", "*to", "*x", *steps, *sizes, internal=True) as arguments:
        to_pointer, x_pointer, channel, x_c, pitch, x_line, *rest = arguments
        lines, width, first_line, first, in_lines, in_w = rest
        to, x = e.buffer(to_pointer, ic=channel, j=pitch, t=1), e.buffer(x_pointer, ic=x_c, line=x_line, w=1)

        def steps_to(index: Int) -> Int:
            """The first t whose input index is at least `index`, within 0 … width."""
            quotient, _ = e.divide(e.maximum(e.add(e.sub(index, first), stride - 1), 0), stride)
            return e.minimum(quotient, width)

        inside, outside = steps_to(0), steps_to(in_w)
        copy = _LineCopy(e, stride, inside, outside, first, in_w)
        with e.loop("ic", kernel.group_in) as ic, e.loop("j", lines) as j:
            index = e.i64(e.add(first_line, e.mul(j, line_step(kernel)[0])))
            line, target = x.moved(ic=ic, line=padded_index(e, index, in_lines, mode)), to.moved(ic=ic, j=j)

            def pad(start: Int, stop: Int, line: Buffer = line, target: Buffer = target) -> None:
                with e.loop("t_pad", stop, start) as t:
                    where = padded_index(e, e.i64(e.add(first, e.mul(t, stride))), in_w, mode)
                    value = e.zero() if mode in ("zeros", None) else e.load_scalar(line.at(w=where))
                    e.store_scalar(value, target.at(t=t))

            with e.either(is_there(e, kernel, index, in_lines), likely=True) as (there, missing):
                with there:
                    pad(0, inside)
                    copy.emit(line, target)
                    pad(outside, width)
                with missing, e.loop("t_zero", width) as t:
                    e.store_scalar(e.zero(), target.at(t=t))


class _LineCopy:
    """target[t] = line[first + t * stride] for start <= t < stop; every index lies inside the line."""

    def __init__(self, e: Emitter, stride: int, start: Int, stop: Int, first: Int, in_w: Int) -> None:
        self.e, self.stride, self.start, self.stop, self.first = e, stride, start, stop, first
        # a step reads `stride` whole vectors and keeps every stride-th number; it must not read past the line
        last_whole, _ = e.divide(e.maximum(e.sub(in_w, first), 0), stride)
        steps, _ = e.divide(e.maximum(e.sub(e.minimum(stop, last_whole), start), 0), e.lanes)
        self.vector_stop = e.add(start, e.mul(steps, e.lanes)) if stride <= MOST_SHUFFLED_STRIDE else start
        self.rest_mask = e.mask(e.sub(stop, self.vector_stop)) if stride == 1 else None

    def emit(self, line: Buffer, target: Buffer) -> None:
        e, stride = self.e, self.stride
        if stride <= MOST_SHUFFLED_STRIDE:
            with e.loop("t", self.vector_stop, self.start, step=e.lanes) as t:
                source = line.moved(w=e.add(self.first, e.mul(t, stride)))
                vectors = [e.load(source.at(w=v * e.lanes)) for v in range(stride)]
                e.store(e.every(vectors, stride), target.at(t=t))
        if stride == 1:
            t = self.vector_stop
            e.store_masked(
                e.load_masked(line.at(w=e.add(self.first, t)), self.rest_mask), target.at(t=t), self.rest_mask
            )
            return
        with e.loop("t_rest", self.stop, self.vector_stop) as t:
            e.store_scalar(e.load_scalar(line.at(w=e.add(self.first, e.mul(t, stride)))), target.at(t=t))


MOST_SHUFFLED_STRIDE = 8
"""Beyond this most of the numbers in a vector are dropped, and single loads are as good."""
