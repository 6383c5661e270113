"""The Winograd kernel: `outputs` positions along w at once, from fewer products than they have taps.

    staged[tile, product, ic] = sum over i of B[product, i] * x[first position of the tile + i, ic]
    packed[product, ic, oc]   = sum over k of G[product, k] * w[k, ic, oc]
    sums[tile, product, oc]   = sum over (kd, kh, segment, ic) of staged * packed
    y[j-th position, oc]      = bias[oc] + sum over products of A[j, product] * sums

A, G, B are those of toom_cook.py. The sums run as in direct_nhwc, with tiles for positions: all that lies
between them and the arrays ends in the staged block. Taps along d and h, and segments of many taps along w, are steps
of the reduction. With a dilation, the positions of a tile lie that far apart and neighbouring tiles interleave.
"""

from dataclasses import dataclass

from faltung.algorithms.winograd.kernel import WinogradKernel, WinogradParameters
from faltung.algorithms.winograd.staging import TileStaging, stage_input, tile_position, weighted_sum
from faltung.algorithms.winograd.toom_cook import matrices
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue
from faltung.codegen.panel import each_panel
from faltung.codegen.tile import RegisterTile
from faltung.codegen.transpose import transpose_back


def emit(e: Emitter, kernel: WinogradKernel) -> None:
    """pack(call, index): one panel and segment of taps. compute(call, index, scratch): a block of lines and tiles."""
    _emit_packing(e, kernel)
    epilogue = Epilogue(e, kernel)
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = call.read(WinogradParameters)
        block_number, oc_part = e.divide(index, p.num_oc_parts)
        block = _Block(e, kernel, call, p, epilogue, block_number, scratch)
        block.stage()
        each_panel(e, p, oc_part, kernel.out_channels, kernel.vectors * e.lanes, block.emit)


def _packed(e: Emitter, kernel: WinogradKernel, call: Call) -> Buffer:
    width = kernel.vectors * e.lanes
    product = kernel.reduction * width
    return e.buffer(call.workspace, panel=kernel.products * product, product=product, step=width, oc=1)


def _emit_packing(e: Emitter, kernel: WinogradKernel) -> None:
    """pack(call, index): for one panel, tap along d and h, and segment, the sums of taps of all input channels."""
    k, (kd, kh) = kernel, kernel.tap_lines
    width, kw = k.vectors * e.lanes, k.kernel_size[-1]
    view = dict(zip(("d", "h", "w")[-len(k.w.taps) :], k.w.taps, strict=True))
    _, g, _ = matrices(k.outputs, k.segment_taps)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        panel, line_of_taps = e.divide(index, kd * kh * k.segments)
        rest, segment = e.divide(line_of_taps, k.segments)
        d, h = e.divide(rest, kh)
        source = e.buffer(call.kernel, i=1, ic=k.w.inner, oc=k.w.outer, **view).moved(
            i=call.read(WinogradParameters).w_offset, oc=e.mul(panel, width)
        )
        source = source.moved(**{axis: tap for axis, tap in (("d", d), ("h", h)) if axis in view})
        out = _packed(e, k, call).moved(panel=panel, step=e.mul(line_of_taps, k.inputs))
        wanted = e.sub(k.out_channels, e.mul(panel, width))
        gathered = e.elements(e.lanes, "gathered")
        with e.loop("component", k.components) as component, e.loop("ic", k.in_channels) as ic:
            step = e.add(e.mul(component, k.in_channels), ic)
            for lane in range(0, width, e.lanes):
                vectors = []
                for t in range(k.segment_taps):
                    tap = e.add(e.mul(e.add(e.mul(segment, k.segment_taps), t), k.components), component)
                    count = e.choose(e.compare(tap, "<", kw), e.maximum(e.sub(wanted, lane), 0), 0)
                    place = source.moved(ic=ic, w=tap, oc=lane)
                    vectors.append(_load_channels(e, place, count, gathered))
                for product, weights in enumerate(g):
                    e.store(weighted_sum(e, weights, vectors), out.at(product=product, step=step, oc=lane))


def _load_channels(e: Emitter, place: Buffer, count: Int, gathered: Buffer) -> Value:
    """The numbers of `count` output channels, zeros behind them."""
    mask = e.mask(count)
    if place.strides["oc"] == 1:
        return e.load_masked(place.pointer, mask)
    with e.loop("oc", e.minimum(count, e.lanes)) as oc:
        e.store_scalar(e.load_scalar(place.at(oc=oc)), gathered.at(i=oc))
    return e.load_masked(gathered.pointer, mask)


@dataclass
class _Block:
    """Some lines of outputs, and some tiles of each."""

    e: Emitter
    kernel: WinogradKernel
    call: Call
    p: WinogradParameters[Value]
    epilogue: Epilogue
    number: Int
    scratch: Value

    def __post_init__(self) -> None:
        e, k, p = self.e, self.kernel, self.p
        self.block = Block.of_tiles(e, p, self.number, k.outputs)
        tile = k.products * k.padded_in(e.lanes)
        line = e.mul(p.staged_tiles, tile)
        strides = {"plane": e.mul(p.staged_lines, line), "line": line, "tile": tile, "product": k.padded_in(e.lanes)}
        self.staged = e.buffer(self.scratch, **strides, c=1)
        scratch, width = e.byte_buffer(self.scratch), k.vectors * e.lanes
        self.sums = e.buffer(scratch.at(i=p.sums_at), product=k.rows * width, tile=width, oc=1)
        y = e.buffer(
            self.call.y, i=1, n=p.sizes.y_n, oc=p.sizes.y_c, d=p.sizes.y_d, line=p.sizes.y_line, w=k.y_step
        ).moved(i=p.y_offset)
        self.y = y.moved(**self.block.corner)
        # results of a panel, of all lines of the block, that wait for their channels to be exchanged with positions
        strides = {"line": e.mul(p.block_tiles, k.outputs * width), "w": width}
        self.results = e.buffer(scratch.at(i=p.results_at), **strides, oc=1)

    def stage(self) -> None:
        """Fill the staged block."""
        e, k, p = self.e, self.kernel, self.p
        line = e.buffer(e.byte_buffer(self.scratch).at(i=p.line_at), w=e.lanes, c=1)
        _, _, b = matrices(k.outputs, k.segment_taps)
        staging = TileStaging(e, k, b, k.in_channels, k.padding_mode, p.staged_tiles, line, k.components)
        stage_input(e, k, p, self.call.x, self.block, staging, self.staged)

    def emit(self, panel: Int, channels: int) -> None:
        """Compute `channels` output channels of one panel."""
        e, k, p = self.e, self.kernel, self.p
        packed = _packed(e, k, self.call).moved(panel=panel)
        oc = e.mul(panel, k.vectors * e.lanes)
        tiles = e.mul(self.block.num_lines, p.staged_tiles)
        vectors = -(-channels // e.lanes)
        with e.loop("tile", tiles, step=k.rows) as first:
            with e.loop("product", k.products) as product:
                tile = RegisterTile(e, k.rows, vectors)
                tile.start(lambda r, v: e.splat(0.0))
                self._sum(tile, self.staged.moved(tile=first, product=product), packed.moved(product=product))
                for r in range(k.rows):
                    for v in range(vectors):
                        e.store(tile.value(r, v), self.sums.at(product=product, tile=r, oc=v * e.lanes))
            with e.loop("r", e.minimum(e.sub(tiles, first), k.rows)) as r:
                line, number = e.divide(e.add(first, r), p.staged_tiles)
                with e.when(e.compare(number, "<", p.block_tiles)):
                    self._finish(self.sums.moved(tile=r), line, number, oc, channels)
        if not k.is_channels_last:
            self._exchange(oc, channels)

    def _sum(self, tile: RegisterTile, staged: Buffer, packed: Buffer) -> None:
        """Add all products of one kind: over taps along d and h, segments and input channels."""
        e, k = self.e, self.kernel
        kd, kh = k.tap_lines
        line_step = k.dilation[-2] if kh > 1 else 1
        # a segment's taps are whole tiles apart
        tile_step = k.segment_taps // k.outputs * k.dilation[-1]
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("segment", k.segments) as segment:
            step = e.mul(e.add(e.mul(e.add(e.mul(d, kh), h), k.segments), segment), k.inputs)
            rows = staged.moved(plane=d, line=e.mul(h, line_step), tile=e.mul(segment, tile_step))
            weights = packed.moved(step=step)
            with e.loop("ic", k.inputs) as ic:
                tile.accumulate(
                    lambda r: rows.at(tile=r, c=ic),
                    lambda v: e.load(weights.at(step=ic, oc=v * e.lanes), f"w_v{v}"),
                )

    def _finish(self, sums: Buffer, line: Int, number: Int, oc: Int, channels: int) -> None:
        """The outputs of one tile."""
        e, k = self.e, self.kernel
        a, _, _ = matrices(k.outputs, k.segment_taps)
        y = self.y.moved(line=line, oc=oc) if k.is_channels_last else self.results.moved(line=line)
        first = tile_position(e, k, number)
        for lane in range(0, channels, e.lanes):
            count = min(e.lanes, channels - lane)
            mask = e.mask(count)
            vectors = [e.load(sums.at(product=product, oc=lane)) for product in range(k.products)]
            bias = self._bias(e.add(oc, lane), mask)
            for j, weights in enumerate(a):
                w = e.add(first, j * k.dilation[-1])
                with e.when(e.compare(w, "<", self.block.width)):
                    self.epilogue.store(weighted_sum(e, weights, vectors, bias), y.at(w=w, oc=lane), count, mask)

    def _bias(self, oc: Int, mask: Value) -> Value:
        e = self.e
        return e.load_masked(e.buffer(self.call.bias, oc=1).at(oc=oc), mask) if self.kernel.has_bias else None

    def _exchange(self, oc: Int, channels: int) -> None:
        """Move the results of a panel to y, where the positions of a channel lie side by side."""
        e, width = self.e, self.block.width
        with e.loop("line", self.block.num_lines) as line:
            transpose_back(
                e, self.results.moved(line=line), self.y.moved(line=line, oc=oc), channels=channels, width=width
            )
