"""The positions of a block, channels side by side: in place, or gathered from a padded or channels-first array.

Both x and dy are seen as [line, t, channel]; x also through the taps. Gathering is where padding and layout end.
"""

from dataclasses import dataclass

from faltung.algorithms.kernel_gradient.kernel import KernelGradientKernel, KernelGradientParameters
from faltung.codegen.block import Block
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import is_there, padded_index


@dataclass
class Positions:
    """The positions of one block, as the kernel gradient reads them."""

    e: Emitter
    kernel: KernelGradientKernel
    p: KernelGradientParameters[Value]
    block: Block

    def input(self, x: Value, g: Int, scratch: Value) -> Buffer:
        """x as [kd, kh, kw, line, t, j]: where a tap reads for an output."""
        e, k, p = self.e, self.kernel, self.p
        (sd, sh, sw), (dd, dh, dw) = k.along_dhw("stride"), k.along_dhw("dilation")
        if k.stages_x:
            self._gather_input(x, g, scratch)
            channels, line, plane = k.gathered_channels, p.staged_line, p.staged_plane
            here, d_tap = scratch, plane
        else:
            channels, line, plane = k.in_channels, p.sizes.x_line, p.sizes.x_d
            d_tap = e.mul(plane, dd)
            array = e.buffer(x, n=p.sizes.x_n, d=e.mul(plane, sd), line=e.mul(line, sh), w=sw * channels, ic=1)
            here = array.at(
                n=self.block.n, d=self.block.od, line=self.block.line, w=self.block.ow, ic=e.mul(g, k.group_in)
            )
        return e.buffer(
            here, kd=d_tap, kh=e.mul(line, dh), kw=dw * channels, line=e.mul(line, sh), t=sw * channels, j=1
        )

    def output(self, dy: Value, g: Int, scratch: Value, first: Int, last: Int) -> Buffer:
        """dy as [panel, line, t, oc]; panels first … last - 1 are asked for."""
        e, k, p = self.e, self.kernel, self.p
        width = k.vectors * e.lanes
        array = e.buffer(dy, n=p.sizes.y_n, d=p.sizes.y_d, line=p.sizes.y_line, oc=p.sizes.y_c, w=k.y_step)
        here = array.moved(
            n=self.block.n, d=self.block.od, line=self.block.line, w=self.block.ow, oc=e.mul(g, k.group_out)
        )
        if not k.stages_dy:
            return e.buffer(here.pointer, panel=width, line=p.sizes.y_line, t=k.y_step, oc=1)
        line_step = e.mul(p.block_w, width)
        strides = {"panel": e.mul(p.block_lines, line_step), "line": line_step, "t": width, "oc": 1}
        place = e.buffer(e.byte_buffer(scratch).at(i=p.dy_at), **strides)
        with e.loop("panel", last, first) as panel, e.loop("line", self.block.num_lines) as line:
            oc = e.mul(panel, width)
            channels = e.minimum(e.sub(k.group_out, oc), width)
            steps = (p.sizes.y_c, k.y_step, width, channels)
            self._call_gather(
                place.at(panel=panel, line=line),
                here.at(line=line, oc=oc),
                *steps,
                self.block.width,
                0,
                self.block.width,
                1,
            )
        return place

    def _gather_input(self, x: Value, g: Int, scratch: Value) -> None:
        """All input lines that the block's windows touch, padded."""
        e, k, p = self.e, self.kernel, self.p
        (sd, sh, sw), (dd, dh, dw) = k.along_dhw("stride"), k.along_dhw("dilation")
        kd, kh, kw = k.along_dhw("kernel_size")
        array = e.buffer(x, n=p.sizes.x_n, d=p.sizes.x_d, line=p.sizes.x_line, ic=p.sizes.x_c).moved(
            n=self.block.n, ic=e.mul(g, k.group_in)
        )
        lines = e.add(e.mul(e.sub(self.block.num_lines, 1), sh), (kh - 1) * dh + 1)
        count = e.add(e.mul(e.sub(self.block.width, 1), sw), (kw - 1) * dw + 1)
        first = e.sub(e.mul(self.block.ow, sw), p.sizes.low_w)
        to = e.buffer(scratch, d=p.staged_plane, line=p.staged_line)
        with e.loop("d", kd) as d, e.loop("line", lines) as line:
            at_d = e.i64(e.sub(e.add(e.mul(self.block.od, sd), e.mul(d, dd)), p.sizes.low_d))
            at_line = e.i64(e.sub(e.add(e.mul(self.block.line, sh), line), p.sizes.low_h))
            source = array.at(
                d=padded_index(e, at_d, p.sizes.in_d, k.padding_mode),
                line=padded_index(e, at_line, p.sizes.in_lines, k.padding_mode),
            )
            exists = e.all_of(
                is_there(e, k.padding_mode, at_d, p.sizes.in_d), is_there(e, k.padding_mode, at_line, p.sizes.in_lines)
            )
            steps = (p.sizes.x_c, k.x_step, k.gathered_channels, k.gathered_channels)
            self._call_gather(to.at(d=d, line=line), source, *steps, count, first, p.sizes.in_w, e.as_int(exists))

    def _call_gather(self, to: Value, source: Value, *numbers: Int) -> None:
        self.e.call("gather_positions", to, source, *numbers)


def emit_gather_positions(e: Emitter, kernel: KernelGradientKernel) -> None:
    """gather_positions(to, from, …): to[t, c] = from[first + t, c] for t < count, padded; zeros from c = channels on.

    c_step and w_step are the steps in `from`, pitch is the step of t in `to`.
    """
    names = ("c_step", "w_step", "pitch", "channels", "count", "first", "size", "is_there")
    with e.function("gather_positions", "*to", "*from", *names, internal=True) as arguments:
        to_pointer, from_pointer, c_step, w_step, pitch, channels, count, first, size, exists = arguments
        to, source = e.buffer(to_pointer, t=pitch, c=1), e.buffer(from_pointer, w=w_step, c=c_step)
        mode = kernel.padding_mode
        inside = e.minimum(e.maximum(e.sub(0, first), 0), count)
        inside = e.choose(e.compare(exists, "!=", 0), inside, count)
        outside = e.maximum(e.minimum(e.sub(size, first), count), inside)

        def pad(start: Int, stop: Int) -> None:
            with e.loop("t_pad", stop, start) as t, e.loop("c_pad", channels) as c:
                where = padded_index(e, e.i64(e.add(first, t)), size, mode)
                value = e.zero() if mode in ("zeros", None) else e.load_scalar(source.at(w=where, c=c))
                e.store_scalar(value, to.at(t=t, c=c))

        pad(0, inside)
        if kernel.is_channels_last:
            with e.loop("t", outside, inside) as t, e.loop("c", channels, step=e.lanes) as c:
                mask = e.mask(e.sub(channels, c))
                e.store_masked(e.load_masked(source.at(w=e.add(first, t), c=c), mask), to.at(t=t, c=c), mask)
        else:
            _exchange(e, source.moved(w=first), to, inside, outside, channels)
        pad(outside, count)
        with e.loop("t_blank", count) as t, e.loop("c_blank", pitch, channels) as c:
            e.store_scalar(e.zero(), to.at(t=t, c=c))


def _exchange(e: Emitter, source: Buffer, to: Buffer, start: Int, stop: Int, channels: Int) -> None:
    """to[t, c] = source[c, t]: squares of vectors, then what is left of channels and of positions one by one."""
    square_t, _ = e.divide(e.sub(stop, start), e.lanes)
    square_c, _ = e.divide(channels, e.lanes)
    t_stop, c_stop = e.add(start, e.mul(square_t, e.lanes)), e.mul(square_c, e.lanes)
    with e.loop("c", c_stop, step=e.lanes) as c, e.loop("t", t_stop, start, step=e.lanes) as t:
        rows = [e.load(source.at(c=e.add(c, n), w=t)) for n in range(e.lanes)]
        for n, column in enumerate(e.transpose(rows)):
            e.store(column, to.at(t=e.add(t, n), c=c))

    def one_by_one(t_first: Int, t_last: Int, c_first: Int) -> None:
        with e.loop("c_left", channels, c_first) as c, e.loop("t_left", t_last, t_first) as t:
            e.store_scalar(e.load_scalar(source.at(c=c, w=t)), to.at(t=t, c=c))

    one_by_one(start, t_stop, c_stop)
    one_by_one(t_stop, stop, 0)
