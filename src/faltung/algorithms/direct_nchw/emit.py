"""Direct summation, channels first: vectors along output positions, one broadcast of the packed kernel for each tap.

    y[oc, q] = bias[oc] + sum over (ic, kd, kh, kw) of w[ic, kd, kh, kw, oc] * staged[ic, tap offset + q]

A task first stages its part of the input (see staging.py), where padding, stride, dilation and layout end: in the
staged block every tap is a plain offset. Then all its output channels pass over the block, `rows` at a time. The
positions q of a task form strips: one for each line of outputs, or a single one across lines where the block holds
a shifted copy for each tap.

Where a group has one output channel only, several lines of it make the rows of a tile instead: they share input lines.

It is made for channels-first layouts. With few output channels it serves channels-last ones too: staging and storing
then exchange channels and positions, which costs less than the empty lanes of direct_nhwc.
"""

from dataclasses import dataclass
from functools import partial

from faltung.algorithms.direct_nchw.kernel import DirectNchwKernel, DirectNchwParameters
from faltung.algorithms.direct_nchw.packing import emit_block_packing
from faltung.algorithms.direct_nchw.staging import Staging, emit_stage_lines, line_offset, w_offset
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue, Result
from faltung.codegen.tile import RegisterTile
from faltung.machine.memory import CACHE_LINE
from faltung.plan.tile import input_reuse


def emit(e: Emitter, kernel: DirectNchwKernel) -> None:
    """pack(call, index), and compute(call, index, scratch): a range of output channels at a block of output lines."""
    emit_block_packing(e, kernel)
    epilogue = Epilogue(e, kernel)
    emit_stage_lines(e, kernel)
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = call.read(DirectNchwParameters)
        rest, oc_part = e.divide(index, p.num_oc_parts)
        number, part = e.divide(rest, p.num_group_parts)
        block = Block.numbered(e, p, number)
        offsets = e.fields(scratch)
        _emit_offsets(e, kernel, p, offsets)
        first_group = e.mul(part, p.groups_per_part)
        last_group = e.minimum(e.add(first_group, p.groups_per_part), kernel.groups)
        with e.loop("g", last_group, first_group) as g:
            staged = _staged(e, kernel, p, call, block, g, scratch)
            if kernel.lines > 1:
                _Lines(e, kernel, call, p, epilogue, g, block, staged, offsets, scratch).emit_block()
            else:
                strips = _Strips(e, kernel, call, p, epilogue, g, block, staged, offsets, scratch)
                _emit_group(e, kernel, p, strips, oc_part)


def _staged(
    e: Emitter,
    kernel: DirectNchwKernel,
    p: DirectNchwParameters[Value],
    call: Call,
    block: Block,
    g: Int,
    scratch: Value,
) -> Buffer:
    """The input of one group, staged or where it lies."""
    if kernel.is_staged:
        staged = e.buffer(e.byte_buffer(scratch).at(i=p.staged_at), i=1)
        Staging(e, kernel, p, block, staged).emit(call, g)
        return staged
    x = e.buffer(
        call.x, n=p.sizes.x_n, ic=p.sizes.x_c, d=e.mul(p.sizes.x_d, kernel.stride[0]), line=p.sizes.x_line, w=1
    )
    here = x.moved(**block.corner, ic=e.mul(g, kernel.group_in))
    return e.buffer(here.pointer, i=1)


def _emit_group(
    e: Emitter, kernel: DirectNchwKernel, p: DirectNchwParameters[Value], strips: "_Strips", oc_part: Int
) -> None:
    """A range of output channels of one group at all strips of the block."""
    block = strips.block
    whole, rest = divmod(kernel.group_out, kernel.rows)
    first = e.mul(oc_part, p.oc_blocks_per_part)
    last = e.minimum(e.add(first, p.oc_blocks_per_part), whole)
    length = e.mul(block.num_lines, block.width) if kernel.is_shifted else block.width
    num_strips = 1 if kernel.is_shifted else block.num_lines
    # the input of a stretch stays in cache while the output channels pass over it
    with e.loop("strip", num_strips) as strip, e.loop("stretch", length, step=p.stretch) as start:
        stop = e.minimum(e.add(start, p.stretch), length)
        # with many channels only a chunk of them does, whose sums wait in y for those of the next
        step = p.chunk if kernel.is_chunked else kernel.reduction
        with e.loop("chunk", kernel.reduction, step=step) as chunk:
            steps = chunk, e.minimum(e.add(chunk, step), kernel.reduction)
            with e.loop("oc_block", last, first) as oc_block:
                if not kernel.is_staged:
                    strips.prefetch_next(strip, stop, e.sub(oc_block, first), e.sub(last, first))
                strips.emit(strip, start, stop, steps, oc_block, kernel.rows)
            if rest:
                with e.when(e.compare(e.add(oc_part, 1), "==", p.num_oc_parts)):
                    strips.emit(strip, start, stop, steps, whole, rest)
        if kernel.is_interleaved:
            strips.interleave(strip, start, stop)


def _emit_offsets(e: Emitter, kernel: DirectNchwKernel, p: DirectNchwParameters[Value], offsets: Buffer) -> None:
    """Where each step of the reduction reads, so that a tile runs through all channels and taps in a single loop."""
    kd, kh, kw = kernel.along_dhw("kernel_size")
    with e.loop("ic", kernel.group_in) as ic, e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("kw", kw) as w:
        step = e.add(e.mul(e.add(e.mul(e.add(e.mul(ic, kd), d), kh), h), kw), w)
        plane = e.add(e.mul(ic, p.channel_stride), e.mul(d, p.plane_stride))
        e.store_scalar(e.add(plane, line_offset(e, kernel, p, h), w_offset(e, kernel, p, w)), offsets.at(i=step))


@dataclass
class _Strips:
    """The walk of some output channels over the staged block."""

    e: Emitter
    kernel: DirectNchwKernel
    call: Call
    p: DirectNchwParameters[Value]
    epilogue: Epilogue
    g: Int
    block: Block
    staged: Buffer
    offsets: Buffer
    scratch: Value

    def emit(self, strip: Int, start: Int, stop: Int, steps: tuple[Int, Int], oc_block: Int, rows: int) -> None:
        """Add steps of the reduction to `rows` output channels at positions start … stop - 1 of one strip."""
        e, k, p = self.e, self.kernel, self.p
        weights = self._weights(oc_block)
        block_oc = e.mul(oc_block, k.rows)
        oc = e.add(e.mul(self.g, k.group_out), block_oc)
        y = self._output().moved(oc=block_oc)
        bias = [self._bias(e.add(oc, r)) for r in range(rows)]
        x = self.staged.moved(i=e.mul(strip, p.line_stride))
        if k.is_interleaved:
            self._stretch(rows, x, start, stop, steps, weights, bias, self._results(start).moved(oc=block_oc))
        elif k.has_results_apart:
            self._stretch(rows, x, start, stop, steps, weights, bias, self._results(start))
            if k.crosses_samples:
                self._scatter(rows, self._results(start), y)
            else:
                self._spread(rows, start, stop, self._results(start), y.moved(line=strip))
        else:  # positions of a strip lie side by side in y
            self._stretch(rows, x, start, stop, steps, weights, bias, y.moved(line=strip))

    def _weights(self, oc_block: Int) -> Buffer:
        """The kernel's numbers for a block of output channels."""
        e, k = self.e, self.kernel
        if k.is_packed:
            number = e.add(e.mul(self.g, -(-k.group_out // k.rows)), oc_block)
            return e.buffer(self.call.workspace, block=k.block_pitch, step=k.rows, oc=1).moved(block=number)
        weights = e.buffer(self.call.kernel, i=1, g=k.w.group, step=1, oc=k.w.outer)
        return weights.moved(i=self.p.w_offset, g=self.g, oc=e.mul(oc_block, k.rows))

    def prefetch_next(self, strip: Int, start: Int, turn: Int, turns: Int) -> None:
        """Ask for what the last tap reads next: channels are more streams than the processor foresees."""
        e, k, p = self.e, self.kernel, self.p
        last_tap = self.staged.moved(i=self.offsets.field(k.num_taps - 1))
        x = e.buffer(last_tap.pointer, ic=p.channel_stride, line=p.line_stride, w=1).moved(line=strip, w=start)
        first, _ = e.divide(e.mul(turn, k.group_in), turns)
        last, _ = e.divide(e.mul(e.add(turn, 1), k.group_in), turns)
        with (
            e.loop("ic_ahead", last, first) as ic,
            e.loop("w_ahead", p.stretch, step=CACHE_LINE // e.element_bytes) as w,
        ):
            e.prefetch(x.at(ic=ic, w=w))

    def _output(self) -> Buffer:
        """The output at the first position of the block and the first channel of the group."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        y = e.buffer(self.call.y, n=p.sizes.y_n, oc=p.sizes.y_c, d=p.sizes.y_d, line=p.sizes.y_line, w=k.y_step)
        y = y.moved(**block.corner, oc=e.mul(self.g, k.group_out))
        return e.buffer(e.buffer(y.pointer, i=1).at(i=p.y_offset), **y.strides)

    def _results(self, start: Int) -> Buffer:
        """Where results wait to be moved to their places; seen from position `start` of the strip."""
        results = self.e.buffer(self.e.byte_buffer(self.scratch).at(i=self.p.results_at), oc=self.p.results_pitch, w=1)
        return results.moved(w=self.e.sub(0, start))

    def interleave(self, strip: Int, start: Int, stop: Int) -> None:
        """Move the results of all channels of the group to y, where the channels of a position lie side by side."""
        e, k = self.e, self.kernel
        y, results = self._output().moved(line=strip), self._results(start)
        with e.loop("w", stop, start, step=e.lanes) as w:
            for oc in range(0, k.group_out, e.lanes):
                count = min(e.lanes, k.group_out - oc)
                rows = [e.load(results.at(oc=oc + r, w=w)) if r < count else e.splat(0.0) for r in range(e.lanes)]
                for n, position in enumerate(e.transpose(rows)):
                    with e.when(e.compare(e.add(w, n), "<", stop)):
                        e.store_masked(position, y.at(w=e.add(w, n), oc=oc), e.mask(count))

    def _scatter(self, rows: int, results: Buffer, y: Buffer) -> None:
        """Copy a strip that runs across samples to each of them."""
        e, block = self.e, self.block
        with e.loop("r", rows) as r, e.loop("line", block.num_lines) as line:
            source, target = results.moved(oc=r, w=e.mul(line, block.width)), y.moved(oc=r, line=line)
            with e.loop("w", block.width, step=e.lanes) as w:
                mask = e.mask(e.sub(block.width, w))
                e.store_masked(e.load_masked(source.at(w=w), mask), target.at(w=w), mask)

    def _spread(self, rows: int, start: Int, stop: Int, results: Buffer, y: Buffer) -> None:
        """Copy results to places that lie apart in y."""
        e = self.e
        with e.loop("r", rows) as r, e.loop("w", stop, start) as w:
            e.store_scalar(e.load_scalar(results.at(oc=r, w=w)), y.at(oc=r, w=w))

    def _stretch(
        self,
        rows: int,
        x: Buffer,
        start: Int,
        stop: Int,
        steps: tuple[Int, Int],
        weights: Buffer,
        bias: list[Value],
        y: Buffer,
    ) -> None:
        """Whole tiles first, then single vectors, the last of them partly filled."""
        e, k = self.e, self.kernel
        width = k.vectors * e.lanes
        wide, _ = e.divide(e.sub(stop, start), width)
        wide_stop = e.add(start, e.mul(wide, width))
        with e.loop("q", wide_stop, start, step=width) as q:
            tile, here = RegisterTile(e, rows, k.vectors), y.moved(w=q)
            self._start(tile, steps, bias, here, None)
            self._sum(tile, steps, x.moved(i=q), weights, None)
            self._store(tile, steps, here, width)
        with e.loop("q_rest", stop, wide_stop, step=e.lanes) as q:
            left = e.minimum(e.sub(stop, q), e.lanes)
            # a staged block may be read past its end, the input itself may not
            mask = None if k.is_staged else e.mask(left)
            tile, here = RegisterTile(e, rows, 1), y.moved(w=q)
            self._start(tile, steps, bias, here, e.mask(left))
            self._sum(tile, steps, x.moved(i=q), weights, mask)
            self._store(tile, steps, here, left)

    def _bias(self, oc: Int) -> Value:
        e = self.e
        return e.broadcast(e.buffer(self.call.bias, oc=1).at(oc=oc)) if self.kernel.has_bias else e.splat(0.0)

    def _start(self, tile: RegisterTile, steps: tuple[Int, Int], bias: list[Value], y: Buffer, mask: Value) -> None:
        """Begin with the bias, or with what the steps before have left in y."""
        e = self.e
        if not self.kernel.is_chunked:
            tile.start(lambda r, v: bias[r])
            return
        with e.either(e.compare(steps[0], "==", 0)) as (first, later):
            with first:
                tile.start(lambda r, v: bias[r])
            with later:
                tile.start(lambda r, v: e.load_masked(y.at(oc=r, w=v * e.lanes), mask))

    def _sum(self, tile: RegisterTile, steps: tuple[Int, Int], x: Buffer, weights: Buffer, mask: Value | None) -> None:
        """Add some steps, of all input channels and taps, for the positions from x on."""
        e = self.e
        first, last = steps
        with e.loop("step", last, first) as step:
            place, factors = x.moved(i=self.offsets.field(step)), weights.moved(step=step)
            tile.accumulate(
                lambda r: factors.at(oc=r), lambda v: e.load_masked(place.at(i=v * e.lanes), mask, f"x_v{v}")
            )

    def _store(self, tile: RegisterTile, steps: tuple[Int, Int], y: Buffer, count: Int) -> None:
        """Store `count` positions of each row."""
        e = self.e
        results = [
            Result(partial(tile.value, r, v), y.at(oc=r, w=v * e.lanes), e.sub(count, v * e.lanes))
            for v in range(tile.vectors)
            for r in range(tile.rows)
        ]
        if not self.kernel.is_chunked:
            self.epilogue.store(results)
            return
        with e.either(e.compare(steps[1], "==", self.kernel.reduction)) as (last, earlier):
            with last:
                self.epilogue.store(results)
            with earlier:
                for result in results:
                    e.store_masked(result.value(), result.place, e.mask(result.count))


class _Lines(_Strips):
    """The walk where a group has one output channel: a tile's rows are neighbouring lines of it.

    Where whole tiles leave something, the last one begins earlier, over outputs that are written again.
    """

    def emit_block(self) -> None:
        """All lines and positions of the block, tile by tile."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        width, output = k.vectors * e.lanes, self._output()
        weights = self._weights(0)
        bias = self._bias(self.g)
        with e.loop("tile_line", block.num_lines, step=k.lines) as line, e.loop("q", block.width, step=width) as q:
            line = e.minimum(line, e.sub(block.num_lines, k.lines))
            # a staged block may be read past its end, the input itself may not
            q = q if k.is_staged else e.minimum(q, e.sub(block.width, width))
            tile = RegisterTile(e, k.lines, k.vectors)
            tile.start(lambda r, v: bias)
            self._add(tile, self.staged.moved(i=e.add(e.mul(line, p.line_stride), q)), weights)
            y = output.moved(line=line, w=q)
            left = e.sub(block.width, q) if k.is_staged else width
            self.epilogue.store(
                Result(partial(tile.value, r, v), y.at(line=r, w=v * e.lanes), e.sub(left, v * e.lanes))
                for v in range(tile.vectors)
                for r in range(tile.rows)
            )

    def _add(self, tile: RegisterTile, x: Buffer, weights: Buffer) -> None:
        """Add the whole reduction, for each column of taps some at a time."""
        e, k = self.e, self.kernel
        kd, kh, kw = k.along_dhw("kernel_size")
        whole = kh // k.line_taps * k.line_taps
        with e.loop("plane", k.group_in * kd) as plane, e.loop("kw", kw) as w:

            def add(h: Int, taps: int) -> None:
                step = e.add(e.mul(e.add(e.mul(plane, kh), h), kw), w)
                self._add_column(tile, x.moved(i=self.offsets.field(step)), weights.moved(step=step), taps)

            with e.loop("kh", whole, step=k.line_taps) as h:
                add(h, k.line_taps)
            if whole < kh:
                add(whole, kh - whole)

    def _add_column(self, tile: RegisterTile, x: Buffer, weights: Buffer, taps: int) -> None:
        """Add some taps along h: each input line is loaded once, for every line of outputs that reads it."""
        e, p = self.e, self.p
        stride, dilation = self.kernel.along_dhw("stride")[1], self.kernel.along_dhw("dilation")[1]
        for line, pairs in input_reuse(tile.rows, taps, stride, dilation):
            whole, component = divmod(line, stride)
            here = x.moved(i=e.add(e.mul(p.line_stride, whole), e.mul(p.component_stride, component)))
            vectors = [e.load(here.at(i=v * e.lanes), f"x_v{v}") for v in range(tile.vectors)]
            for row, tap in pairs:
                factor = e.broadcast(weights.at(step=tap * self.kernel.kernel_size[-1]))
                tile.add_to_row(row, [factor] * tile.vectors, vectors)
