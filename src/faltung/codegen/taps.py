"""The channels-first kernel: vectors along output positions, one broadcast of the packed kernel for each tap.

    y[oc, q] = bias[oc] + sum over (ic, kd, kh, kw) of w[ic, kd, kh, kw, oc] * staged[ic, tap offset + q]

A piece first stages its part of the input (see staging.py), where padding, stride, dilation and layout end: in the
staged block every tap is a plain offset. Then all its output channels pass over the block, `rows` at a time. The
positions q of a piece form strips: one for each line of outputs, or a single one across lines where the block holds
a shifted copy for each tap.
"""

from dataclasses import dataclass

from faltung.codegen.call import Call, Parameters
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue
from faltung.codegen.staging import Block, Staging, emit_stage_line
from faltung.codegen.tile import RegisterTile
from faltung.plan.kernels import TapsKernel


def emit_taps(e: Emitter, kernel: TapsKernel) -> None:
    """piece(call, index, scratch): a range of output channels at a block of output lines."""
    epilogue = Epilogue(e, kernel)
    emit_stage_line(e, kernel)
    whole, rest = divmod(kernel.group_out, kernel.rows)
    with e.function("piece", "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = Parameters(e, call.parameters, kernel.PARAMETERS)
        block, g, oc_part = _unravel(e, p, index, kernel)
        Staging(e, kernel, p, block, e.buffer(scratch, i=1)).emit(call, g)
        strips = _Strips(e, kernel, call, p, epilogue, g, block, e.buffer(scratch, i=1))
        first = e.mul(oc_part, p.oc_blocks_per_part)
        with e.loop("oc_block", e.minimum(e.add(first, p.oc_blocks_per_part), whole), first) as oc_block:
            strips.emit(oc_block, kernel.rows)
        if rest:
            with e.when(e.compare(e.add(oc_part, 1), "==", p.num_oc_parts)):
                strips.emit(whole, rest)


def _unravel(e: Emitter, p: Parameters, index: Value, kernel: TapsKernel) -> tuple[Block, Int, Int]:
    """The piece's place: block of positions, group, part of the output channels (these vary slowest to fastest)."""
    rest, oc_part = e.divide(index, p.num_oc_parts)
    rest, g = e.divide(rest, kernel.groups)
    rest, w_block = e.divide(rest, p.num_w_blocks)
    outer, line_block = e.divide(rest, p.num_line_blocks)
    n, od = e.divide(outer, p.out_d)
    line, ow = e.mul(line_block, p.block_lines), e.mul(w_block, p.block_w)
    num_lines = e.minimum(p.block_lines, e.sub(p.lines, line))
    width = e.minimum(p.block_w, e.sub(p.out_w, ow))
    return Block(n, od, line, num_lines, ow, width), g, oc_part


@dataclass
class _Strips:
    """The walk of some output channels over the staged block."""

    e: Emitter
    kernel: TapsKernel
    call: Call
    p: Parameters
    epilogue: Epilogue
    g: Int
    block: Block
    staged: Buffer

    def emit(self, oc_block: Int, rows: int) -> None:
        """Compute `rows` output channels at all positions of the block."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        blocks = -(-k.group_out // k.rows)
        number = e.add(e.mul(self.g, blocks), oc_block)
        packed = e.buffer(self.call.workspace, block=k.reduction * k.rows, i=1).moved(block=number)
        oc = e.add(e.mul(self.g, k.group_out), e.mul(oc_block, k.rows))
        y = e.buffer(self.call.y, n=p.y_n, oc=p.y_c, d=p.y_d, line=p.y_line, w=1)
        y = y.moved(n=block.n, oc=oc, d=block.od, line=block.line, w=block.ow)
        if not k.is_shifted:
            with e.loop("line", block.num_lines) as line:
                strip = self.staged.moved(i=e.mul(line, p.pitch))
                self._strip(rows, strip, block.width, packed, oc, e.buffer(y.at(line=line), oc=p.y_c, w=1))
            return
        length = e.mul(block.num_lines, block.width)
        if len(k.axes) > 1:  # lines of one channel lie side by side in y too
            self._strip(rows, self.staged, length, packed, oc, e.buffer(y.pointer, oc=p.y_c, w=1))
            return
        results = e.buffer(self.staged.at(i=p.results), oc=p.results_pitch, w=1)
        self._strip(rows, self.staged, length, packed, oc, results)
        with e.loop("r", rows) as r, e.loop("line", block.num_lines) as line:
            source = results.moved(oc=r, w=e.mul(line, block.width))
            target = y.moved(oc=r, line=line)
            with e.loop("w", block.width, step=e.lanes) as w:
                count = e.sub(block.width, w)
                e.store_masked(e.load_masked(source.at(w=w), count), target.at(w=w), count)

    def _strip(self, rows: int, staged: Buffer, length: Int, packed: Buffer, oc: Int, y: Buffer) -> None:
        """`rows` output channels at `length` neighbouring positions of the staged block."""
        e, k = self.e, self.kernel
        bias = [self._bias(e.add(oc, r)) for r in range(rows)]
        width = k.vectors * e.lanes
        wide, _ = e.divide(e.add(length, e.lanes - 1), width)
        wide_stop = e.mul(wide, width)
        with e.loop("q", wide_stop, step=width) as q:
            self._tile(RegisterTile(e, rows, k.vectors), staged, q, length, packed, bias, y)
        if k.vectors > 1:
            with e.loop("q_rest", length, wide_stop, step=e.lanes) as q:
                self._tile(RegisterTile(e, rows, 1), staged, q, length, packed, bias, y)

    def _bias(self, oc: Int) -> Value:
        e = self.e
        return e.broadcast(e.buffer(self.call.bias, oc=1).at(oc=oc)) if self.kernel.has_bias else e.splat(0.0)

    def _tile(
        self, tile: RegisterTile, staged: Buffer, q: Int, length: Int, packed: Buffer, bias: list[Value], y: Buffer
    ) -> None:
        e, k, p = self.e, self.kernel, self.p
        tile.start(lambda r, v: bias[r])
        kd, kh, kw = (1,) * (3 - len(k.axes)) + k.kernel_size
        x = e.buffer(staged.at(i=q), ic=p.channel, kd=p.plane, i=1)
        w = e.buffer(packed.pointer, ic=k.num_taps * k.rows, tap=k.rows, oc=1)
        axes = Staging.axes_of(k)
        with e.loop("ic", k.group_in) as ic, e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("kw", kw) as t:
            tap = e.add(e.mul(e.add(e.mul(d, kh), h), kw), t)
            weights = w.moved(ic=ic, tap=tap)
            place = x.moved(ic=ic, kd=d).moved(i=e.add(axes.line_offset(e, p, h), axes.w_offset(e, p, t)))
            tile.accumulate(lambda r: weights.at(oc=r), lambda v: e.load(place.at(i=v * e.lanes), f"x_v{v}"))
        place_of = y.moved(w=q)
        left = e.sub(length, q)
        with e.either(e.compare(left, ">=", tile.vectors * e.lanes), likely=True) as (whole, partial):
            with whole:
                self._store(tile, place_of, None)
            with partial:
                self._store(tile, place_of, left)

    def _store(self, tile: RegisterTile, y: Buffer, left: Int | None) -> None:
        lanes = self.e.lanes
        for v in range(tile.vectors):
            count = lanes if left is None else self.e.sub(left, v * lanes)
            for r in range(tile.rows):
                self.epilogue.store(tile.value(r, v), y.at(oc=r, w=v * lanes), count)
