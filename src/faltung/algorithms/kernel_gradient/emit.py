"""The kernel gradient: the register tile with the reduction over positions.

    dw[tap, ic, oc] = sum over positions p of x[p * stride + tap * dilation - low, ic] * dy[p, oc]

Rows of the tile are neighbouring numbers of a run of the input (a tap's channels; the taps of a line too where w is
dense), vectors lie along output channels. A task owns a chunk of the positions and some output channels; it sums
block after block of positions, short enough that dy stays in L1 while all rows pass over it, into a
partial result of its own. A second stage adds the partial results in their order: the bits do not depend on the
threads. With small groups the rows are taps, and each lane has the group of its own output channel.
"""

from dataclasses import dataclass
from itertools import product

from faltung.algorithms.kernel_gradient.kernel import (
    GroupedKernelGradientKernel,
    KernelGradientKernel,
    KernelGradientParameters,
)
from faltung.algorithms.kernel_gradient.positions import Positions, emit_gather_positions
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.lanes import load_inputs, spread
from faltung.codegen.tile import RegisterTile
from faltung.plan.tile import input_reuse


def emit(e: Emitter, kernel: KernelGradientKernel) -> None:
    """partial(call, index, scratch): one chunk of positions; total(call, index, scratch): the sum of all chunks."""
    if kernel.stages_x or kernel.stages_dy:
        emit_gather_positions(e, kernel)
    _emit_partial(e, kernel)
    _emit_total(e, kernel)


def _emit_partial(e: Emitter, kernel: KernelGradientKernel) -> None:
    with e.function("partial", "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = call.read(KernelGradientParameters)
        rest, part = e.divide(index, p.num_parts)
        chunk, g = e.divide(rest, kernel.groups)
        sums_of = _GroupSums if isinstance(kernel, GroupedKernelGradientKernel) else _Sums
        sums = sums_of(e, kernel, call, p, g, chunk, part, scratch)
        sums.clear()
        first, _ = e.divide(e.mul(chunk, p.num_blocks), p.num_chunks)
        last, _ = e.divide(e.mul(e.add(chunk, 1), p.num_blocks), p.num_chunks)
        with e.loop("block", last, first) as block:
            sums.add_block(block)


@dataclass
class _Sums:
    """The partial result of one task."""

    e: Emitter
    kernel: KernelGradientKernel
    call: Call
    p: KernelGradientParameters[Value]
    g: Int
    chunk: Int
    part: Int
    scratch: Value

    def __post_init__(self) -> None:
        e, k, p = self.e, self.kernel, self.p
        self.width = k.vectors * e.lanes
        self.whole, self.rest = divmod(k.group_out, self.width)
        padded = k.padded_out(e.lanes)
        partial = e.buffer(
            self.call.workspace, n=k.groups * k.reduction * padded, g=k.reduction * padded, q=padded, oc=1
        )
        self.partial = partial.moved(n=self.chunk, g=self.g)
        self.first = e.mul(self.part, p.panels_per_part)
        self.last = e.minimum(e.add(self.first, p.panels_per_part), self.whole)
        self.is_last_part = e.compare(e.add(self.part, 1), "==", p.num_parts)

    def clear(self) -> None:
        """Set the task's part to zero."""
        e, k = self.e, self.kernel
        with e.loop("q", k.reduction) as q:
            with e.loop("oc", e.mul(self.last, self.width), e.mul(self.first, self.width), step=e.lanes) as oc:
                e.store(e.splat(0.0), self.partial.at(q=q, oc=oc))
            if self.rest:
                with e.when(self.is_last_part):
                    for oc in range(self.whole * self.width, k.padded_out(e.lanes), e.lanes):
                        e.store(e.splat(0.0), self.partial.at(q=q, oc=oc))

    def add_block(self, block: Int) -> None:
        """Add what one block of positions contributes."""
        e, k, p = self.e, self.kernel, self.p
        positions = Positions(e, k, p, Block.numbered(e, p, block))
        x = positions.input(self.call.x, self.g, self.scratch)
        panels = -(-k.group_out // self.width)
        last = e.minimum(e.add(self.first, p.panels_per_part), panels)
        dy = positions.output(self.call.kernel, self.g, self.scratch, self.first, last)
        with e.loop("panel", self.last, self.first) as panel:
            self.add_panel(positions, x, dy.moved(panel=panel), e.mul(panel, self.width), self.width)
        if self.rest:
            with e.when(self.is_last_part):
                self.add_panel(positions, x, dy.moved(panel=self.whole), self.whole * self.width, self.rest)

    def add_panel(self, positions: Positions, x: Buffer, dy: Buffer, oc: Int, channels: int) -> None:
        """All taps and input channels, for `channels` output channels from oc on."""
        e, k = self.e, self.kernel
        kd, kh, kw = k.along_dhw("kernel_size")
        run_taps = kw if k.is_merged else 1
        whole, rest = divmod(k.run_length, k.rows)
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("kw", kw // run_taps) as w:
            tap = e.add(e.mul(e.add(e.mul(d, kh), h), kw), e.mul(w, run_taps))
            run, q = x.moved(kd=d, kh=h, kw=w), e.mul(tap, k.group_in)
            with e.loop("row", whole * k.rows, step=k.rows) as row:
                self._add_tile(positions, run.moved(j=row), dy, e.add(q, row), oc, k.rows, channels)
            if rest:
                row = whole * k.rows
                self._add_tile(positions, run.moved(j=row), dy, e.add(q, row), oc, rest, channels)

    def _add_tile(self, positions: Positions, x: Buffer, dy: Buffer, q: Int, oc: Int, rows: int, channels: int) -> None:
        """`rows` numbers of a run times `channels` output channels, summed over the block's positions."""
        e, k = self.e, self.kernel
        tile = RegisterTile(e, rows, -(-channels // e.lanes))
        places = self._start(tile, q, oc)
        # a staged dy is padded to whole vectors
        masks = [None if k.stages_dy else e.mask(channels - v * e.lanes) for v in range(tile.vectors)]
        with e.loop("line", positions.block.num_lines) as line, e.loop("t", positions.block.width) as t:
            numbers, gradients = x.moved(line=line, t=t), dy.moved(line=line, t=t)
            tile.accumulate(
                lambda r: numbers.at(j=r), lambda v: e.load_masked(gradients.at(oc=v * e.lanes), masks[v], f"dy_v{v}")
            )
        self._finish(tile, places)

    def _start(self, tile: RegisterTile, q: Int, oc: Int) -> list[Value]:
        """Clear a tile and return where its accumulators will be added."""
        e = self.e
        tile.start(lambda r, v: e.splat(0.0))
        places = [
            self.partial.at(q=e.add(q, r), oc=e.add(oc, v * e.lanes))
            for r in range(tile.rows)
            for v in range(tile.vectors)
        ]
        for place in places:  # a large partial result is far away; it comes closer while the tile sums
            e.prefetch(place, to_write=True)
        return places

    def _finish(self, tile: RegisterTile, places: list[Value]) -> None:
        e = self.e
        for n, place in enumerate(places):
            total = e.arithmetic(e.load(place), "+", tile.value(*divmod(n, tile.vectors)))
            e.store(total, place)


class _GroupSums(_Sums):
    """Rows of the tile are taps; each lane meets the inputs of its own group.

    Some positions are taken at once: an input is loaded once for all taps that meet it there.
    """

    kernel: GroupedKernelGradientKernel

    def add_panel(self, positions: Positions, x: Buffer, dy: Buffer, oc: Int, channels: int) -> None:
        """All taps of all groups of a panel."""
        e, k = self.e, self.kernel
        kd, kh, kw = k.along_dhw("kernel_size")
        whole, rest = divmod(kw, k.w_taps)
        here = x.moved(j=e.mul(e.divide(oc, k.lane_out)[0], k.lane_in))
        with e.loop("kd", kd) as d, e.loop("kh", kh, step=k.line_taps) as h:
            lines, tap = here.moved(kd=d, kh=h), e.mul(e.add(e.mul(d, kh), h), kw)
            for i in range(k.lane_in):
                with e.loop("kw", whole * k.w_taps, step=k.w_taps) as w:
                    self._add_taps(positions, lines.moved(kw=w), dy, e.add(tap, w), i, oc, k.w_taps, channels)
                if rest:
                    w = whole * k.w_taps
                    self._add_taps(positions, lines.moved(kw=w), dy, e.add(tap, w), i, oc, rest, channels)

    def _add_taps(
        self, positions: Positions, x: Buffer, dy: Buffer, tap: Int, i: int, oc: Int, w_taps: int, channels: int
    ) -> None:
        """Some taps of input channel i of each group, summed over the block's positions."""
        e, k, block = self.e, self.kernel, positions.block
        tile = RegisterTile(e, k.line_taps * w_taps, -(-channels // e.lanes))
        tile.start(lambda r, v: e.splat(0.0))
        turns, _ = e.divide(block.width, k.positions)
        stop = e.mul(turns, k.positions)
        with e.loop("line", block.num_lines) as line:
            for count, first, last in ((k.positions, 0, stop), (1, stop, block.width)):
                with e.loop("t", last, first, step=count) as t:
                    here = x.moved(line=line, t=t), dy.moved(line=line, t=t)
                    self._add_positions(tile, *here, i, w_taps, count, channels)
                if k.positions == 1:
                    break
        kw = k.kernel_size[-1]
        taps = [e.add(tap, h * kw + w) for h in range(k.line_taps) for w in range(w_taps)]
        q = [e.add(e.mul(t, k.lane_in), i) for t in taps]
        places = [self.partial.at(q=row, oc=e.add(oc, v * e.lanes)) for row in q for v in range(tile.vectors)]
        self._finish(tile, places)

    def _add_positions(
        self, tile: RegisterTile, x: Buffer, dy: Buffer, i: int, w_taps: int, count: int, channels: int
    ) -> None:
        """What `count` neighbouring positions contribute."""
        e, k = self.e, self.kernel
        outputs = [min(e.lanes, channels - v * e.lanes) for v in range(tile.vectors)]
        masks = [None if k.stages_dy else e.mask(n) for n in outputs]
        gradients = [
            [e.load_masked(dy.at(t=t, oc=v * e.lanes), mask, f"dy_v{v}") for v, mask in enumerate(masks)]
            for t in range(count)
        ]
        for h, (_, pairs) in product(range(k.line_taps), input_reuse(count, w_taps, k.stride[-1], k.dilation[-1])):
            t, w = pairs[0]
            here = x.moved(kh=h, kw=w, t=t)
            inputs = spread(e, k, load_inputs(e, k, lambda j, here=here: here.at(j=j), outputs), i)  # type: ignore[misc]
            for t, w in pairs:
                tile.add_to_row(h * w_taps + w, inputs, gradients[t])


def _emit_total(e: Emitter, kernel: KernelGradientKernel) -> None:
    """Each task adds the chunks of some rows and writes them where the caller's kernel layout wants them."""
    padded, view = kernel.padded_out(e.lanes), kernel.w
    taps = dict(zip(("kd", "kh", "kw")[-len(view.taps) :], view.taps, strict=True))
    rows = kernel.groups * kernel.reduction
    with e.function("total", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(KernelGradientParameters)
        partial = e.buffer(call.workspace, n=rows * padded, row=padded, oc=1)
        dw = e.buffer(call.y, g=view.group, ic=view.inner, oc=view.outer, **taps)
        first = e.mul(index, p.rows_per_task)
        with e.loop("row", e.minimum(e.add(first, p.rows_per_task), rows), first) as row:
            g, q = e.divide(row, kernel.reduction)
            tap, ic = e.divide(q, kernel.group_in)
            indices: dict[str, Int] = {}
            for axis, size in reversed(list(zip(kernel.axes, kernel.kernel_size, strict=True))):
                tap, indices[f"k{axis}"] = e.divide(tap, size)
            target = dw.moved(g=g, ic=ic, **indices)
            with e.loop("oc", kernel.group_out, step=e.lanes) as oc:
                here = partial.moved(row=row, oc=oc)
                total = e.vector_variable("total")
                total.set(e.load(here.pointer))
                with e.loop("chunk", p.num_chunks, 1) as chunk:
                    total.set(e.arithmetic(total.get(), "+", e.load(here.at(n=chunk))))
                store_channels(e, total.get(), target.moved(oc=oc), e.sub(kernel.group_out, oc), view.outer)


def store_channels(e: Emitter, value: Value, target: Buffer, count: Int, step: int) -> None:
    """Store up to a vector of output channels, `step` elements apart."""
    if step == 1:
        e.store_masked(value, target.pointer, e.mask(count))
        return
    waiting = e.elements(e.lanes, "waiting")
    e.store(value, waiting.pointer)
    with e.loop("lane", e.minimum(count, e.lanes)) as lane:
        e.store_scalar(e.load_scalar(waiting.at(i=lane)), target.at(oc=lane))
