"""Staging: the part of a channels-first input that a task reads, laid out so that every tap is a plain offset.

    staged[ic, kd, copy, line component, line, t]

Along w there is either one copy for each tap, shifted by it, holding just the positions of the outputs (so vectors
may run across lines), or one for each polyphase component, read by all taps at small offsets. Lines are split by the
component of their stride, so that the taps along h are whole lines apart. Along d there is one plane for each tap.
Padding is filled in here, for this part only.
"""

from dataclasses import dataclass

from faltung.algorithms.direct_nchw.kernel import MOST_SHUFFLED_STRIDE, DirectNchwKernel, DirectNchwParameters
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import is_there, padded_index


@dataclass
class Staging:
    """Fills the staged block of one task."""

    e: Emitter
    kernel: DirectNchwKernel
    p: DirectNchwParameters[Value]
    block: Block
    staged: Buffer

    def emit(self, call: Call, g: Int) -> None:
        """Stage all channels of one group."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        x = e.buffer(call.x, n=p.sizes.x_n, ic=p.sizes.x_c, d=p.sizes.x_d).moved(n=block.n, ic=e.mul(g, k.group_in))
        to = e.buffer(self.staged.pointer, d=p.plane_stride, copy=p.copy_stride, component=p.component_stride)
        (kd, _, _), (sd, sh, _), (dd, _, _) = map(k.along_dhw, ("kernel_size", "stride", "dilation"))
        lines, width = e.add(block.num_lines, p.halo_lines), e.add(block.width, p.halo_w)
        with e.loop("copy", p.num_copies) as copy:
            shift = e.mul(copy, k.dilation[-1]) if k.is_shifted else copy
            first = e.sub(e.add(e.mul(block.ow, k.stride[-1]), shift), p.sizes.low_w)
            with e.loop("component", p.num_line_components) as component, e.loop("kd", kd) as d:
                first_line = e.sub(e.add(e.mul(block.line, sh), component), p.sizes.low_h)
                index_d = e.i64(e.sub(e.add(e.mul(block.od, sd), e.mul(d, dd)), p.sizes.low_d))
                source = x.moved(d=padded_index(e, index_d, p.sizes.in_d, k.padding_mode))
                # a plane outside the input has no lines, unless the padding mode reads something there
                in_lines = e.choose(is_there(e, k.padding_mode, index_d, p.sizes.in_d), p.sizes.in_lines, 0)
                steps = (p.channel_stride, p.sizes.x_c, p.line_stride, p.sizes.x_line)
                sizes = (lines, width, first_line, first, in_lines, p.sizes.in_w)
                e.call("stage_lines", to.at(d=d, copy=copy, component=component), source.pointer, *steps, *sizes)


def line_offset(e: Emitter, kernel: DirectNchwKernel, p: DirectNchwParameters[Value], kh: Int) -> Int:
    """Where the lines of tap kh lie in the staged block."""
    stride, dilation = kernel.along_dhw("stride")[1], kernel.along_dhw("dilation")[1]
    lines, component = e.divide(e.mul(kh, dilation), stride)
    return e.add(e.mul(component, p.component_stride), e.mul(lines, p.line_stride))


def w_offset(e: Emitter, kernel: DirectNchwKernel, p: DirectNchwParameters[Value], kw: Int) -> Int:
    """Where the positions of tap kw lie in a line of the staged block."""
    if kernel.is_shifted:
        return e.mul(kw, p.copy_stride)
    steps, component = e.divide(e.mul(kw, kernel.dilation[-1]), kernel.stride[-1])
    return e.add(e.mul(component, p.copy_stride), steps)


def emit_stage_lines(e: Emitter, kernel: DirectNchwKernel) -> None:
    """stage_lines(to, x, …): to[ic, j, t] = x[ic, first_line + j * stride_h, first + t * stride_w], padded.

    j < lines and t < width; channel and x_c are the steps from channel to channel, pitch and x_line from line to line,
    in_lines and in_w the sizes of x.
    """
    steps = ("channel", "x_c", "pitch", "x_line")
    sizes = ("lines", "width", "first_line", "first", "in_lines", "in_w")
    with e.function("stage_lines", "*to", "*x", *steps, *sizes, internal=True) as arguments:
        to_pointer, x_pointer, channel, x_c, pitch, x_line, *rest = arguments
        lines, width, first_line, first, in_lines, in_w = rest
        to = e.buffer(to_pointer, ic=channel, j=pitch, t=1)
        x = e.buffer(x_pointer, ic=x_c, line=x_line, w=kernel.x_step)
        line = _Line(e, kernel, width, first, in_w)
        # channels that lie side by side are staged together, others one by one
        one_by_one, together = (1, kernel.group_in) if kernel.x_step > 1 else (kernel.group_in, 1)
        with e.loop("ic", one_by_one) as ic, e.loop("j", lines) as j:
            index = e.i64(e.add(first_line, e.mul(j, kernel.along_dhw("stride")[1])))
            source = x.moved(ic=ic, line=padded_index(e, index, in_lines, kernel.padding_mode))
            target = to.moved(ic=ic, j=j)
            with e.either(is_there(e, kernel.padding_mode, index, in_lines), likely=True) as (there, missing):
                with there:
                    line.stage(source, target, together)
                with missing, e.loop("ic_zero", together) as c, e.loop("t_zero", width) as t:
                    e.store_scalar(e.zero(), target.at(ic=c, t=t))


class _Line:
    """target[ic, t] = source[ic, first + t * stride] for all t < width, padded."""

    def __init__(self, e: Emitter, kernel: DirectNchwKernel, width: Int, first: Int, in_w: Int) -> None:
        self.e, self.kernel, self.width, self.first, self.in_w = e, kernel, width, first, in_w
        self.stride = kernel.stride[-1]
        self.inside, self.outside = self._steps_to(0), self._steps_to(in_w)
        # a step along a line reads `stride` whole vectors and keeps every stride-th number: not past the line's end
        end = self.outside
        if kernel.x_step == 1:
            end = e.minimum(end, e.divide(e.maximum(e.sub(in_w, first), 0), self.stride)[0])
        steps, _ = e.divide(e.maximum(e.sub(end, self.inside), 0), e.lanes)
        has_vectors = kernel.x_step > 1 or self.stride <= MOST_SHUFFLED_STRIDE
        self.vector_stop = e.add(self.inside, e.mul(steps, e.lanes)) if has_vectors else self.inside
        self.rest_mask = e.mask(e.sub(self.outside, self.vector_stop))

    def _steps_to(self, index: Int) -> Int:
        """The first t whose input index is at least `index`, within 0 … width."""
        e = self.e
        quotient, _ = e.divide(e.maximum(e.add(e.sub(index, self.first), self.stride - 1), 0), self.stride)
        return e.minimum(quotient, self.width)

    def stage(self, source: Buffer, target: Buffer, channels: int) -> None:
        """Stage one line of `channels` channels."""
        e = self.e
        self._pad(source, target, channels, 0, self.inside)
        with e.loop("t", self.vector_stop, self.inside, step=e.lanes) as t:
            if self.kernel.x_step > 1:
                self._exchange(source, target, channels, t)
            else:
                here = source.moved(w=self._index(t))
                vectors = [e.load(here.at(w=v * e.lanes)) for v in range(self.stride)]
                e.store(e.every(vectors, self.stride), target.at(t=t))
        if self.kernel.x_step == self.stride == 1:
            t = self.vector_stop
            e.store_masked(e.load_masked(source.at(w=self._index(t)), self.rest_mask), target.at(t=t), self.rest_mask)
        else:
            with e.loop("t_rest", self.outside, self.vector_stop) as t, e.loop("ic_rest", channels) as ic:
                e.store_scalar(e.load_scalar(source.at(ic=ic, w=self._index(t))), target.at(ic=ic, t=t))
        self._pad(source, target, channels, self.outside, self.width)

    def _index(self, t: Int) -> Int:
        return self.e.add(self.first, self.e.mul(t, self.stride))

    def _pad(self, source: Buffer, target: Buffer, channels: int, start: Int, stop: Int) -> None:
        e, mode = self.e, self.kernel.padding_mode
        with e.loop("t_pad", stop, start) as t, e.loop("ic_pad", channels) as ic:
            where = padded_index(e, e.i64(self._index(t)), self.in_w, mode)
            value = e.zero() if mode in ("zeros", None) else e.load_scalar(source.at(ic=ic, w=where))
            e.store_scalar(value, target.at(ic=ic, t=t))

    def _exchange(self, source: Buffer, target: Buffer, channels: int, t: Int) -> None:
        """`lanes` positions of all channels: vectors of channels become vectors of positions."""
        e = self.e
        whole, rest = divmod(channels, e.lanes)

        def square(ic: Int, count: int) -> None:
            positions = [source.at(ic=ic, w=self._index(e.add(t, n))) for n in range(e.lanes)]
            rows = e.transpose([e.load_masked(place, e.mask(count)) for place in positions])
            for n in range(count):
                e.store(rows[n], target.at(ic=e.add(ic, n), t=t))

        if whole:
            with e.loop("ic_square", whole * e.lanes, step=e.lanes) as ic:
                square(ic, e.lanes)
        if rest:
            square(whole * e.lanes, rest)
