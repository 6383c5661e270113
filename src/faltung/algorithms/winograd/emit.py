"""The Winograd kernel: `outputs` positions along w at once, from fewer products than they have taps.

    staged[tile, product, ic] = sum over i of B[product, i] * x[first position of the tile + i, ic]
    packed[product, ic, oc]   = sum over k of G[product, k] * w[k, ic, oc]
    sums[tile, product, oc]   = sum over (kd, kh, segment, ic) of staged * packed
    y[j-th position, oc]      = bias[oc] + sum over products of A[j, product] * sums

A, G, B are those of toom_cook.py. The sums run as in direct_nhwc, with tiles for positions: all that lies
between them and the arrays ends in the staged block. Taps along d and h, and segments of many taps along w, are steps
of the reduction. With a dilation, the positions of a tile lie that far apart and neighbouring tiles interleave.

Rows of tiles whose numbers differ too much (ranges.py) are summed directly, from a block staged and a panel packed with
identities for B and G, which only a block that has such rows makes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from faltung.algorithms.winograd.kernel import WinogradKernel, WinogradParameters
from faltung.algorithms.winograd.kernel_ranges import TapMasses, kernel_is_even
from faltung.algorithms.winograd.ranges import (
    Largest,
    Masses,
    Tracking,
    is_even,
    is_partial,
    tile_position,
    zero_or_huge,
)
from faltung.algorithms.winograd.staging import TileStaging, stage_input, weighted_sum
from faltung.algorithms.winograd.toom_cook import Matrix, identity, matrices
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue, Result
from faltung.codegen.panel import each_panel
from faltung.codegen.tile import RegisterTile
from faltung.codegen.transpose import transpose_back


def emit(e: Emitter, kernel: WinogradKernel) -> None:
    """pack(call, index): one panel and segment of taps. compute(call, index, scratch): a block of lines and tiles."""
    _emit_packing(e, kernel)
    epilogue = Epilogue(e, kernel)

    def block_of(pointer: Value, index: Int, scratch: Value) -> tuple["_Block", Int]:
        call = Call(e, pointer)
        p = call.read(WinogradParameters)
        block_number, oc_part = e.divide(index, p.num_oc_parts)
        return _Block(e, kernel, call, p, epilogue, block_number, scratch), oc_part

    with e.function("examine", "*call", "index", "*scratch", internal=True) as arguments:
        block, _ = block_of(*arguments)
        block.examine()
    width = kernel.vectors * e.lanes
    for channels in {width if kernel.out_channels >= width else 0, kernel.out_channels % width} - {0}:
        names = ("*call", "index", "*scratch", "panel", "first")
        with e.function(f"sum_directly_{channels}", *names, internal=True) as (*arguments, panel, first):
            block, _ = block_of(*arguments)
            block.sum_directly(panel, first, channels)
    with e.function("compute", "*call", "index", "*scratch") as arguments:
        block, oc_part = block_of(*arguments)
        is_plain = block.stage()
        with e.when(is_plain):
            e.call("examine", *arguments)

        def emit_panel(panel: Int, channels: int) -> None:
            with e.when(is_plain):
                e.call("pack_plainly", arguments[0], panel, arguments[2])
            block.emit(panel, channels, lambda first: e.call(f"sum_directly_{channels}", *arguments, panel, first))

        each_panel(e, block.p, oc_part, kernel.out_channels, width, emit_panel)


def _packed(e: Emitter, kernel: WinogradKernel, place: Value, products: int) -> Buffer:
    width = kernel.vectors * e.lanes
    product = kernel.reduction * width
    return e.buffer(place, panel=products * product, product=product, step=width, oc=1)


def _emit_packing(e: Emitter, kernel: WinogradKernel) -> None:
    """pack(call, index): for one panel, tap along d and h, and segment, the sums of taps of all input channels.

    pack_plainly(call, panel, scratch): all taps of a panel themselves.
    """
    k = kernel
    _, g, _ = matrices(k.outputs, k.segment_taps)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(WinogradParameters)
        panel, line_of_taps = e.divide(index, k.tap_segments)
        masses = TapMasses(e, k, e.byte_buffer(call.workspace).at(i=p.taps_at), index)
        out = _packed(e, k, call.workspace, k.products).moved(panel=panel)
        _pack_line(e, k, call, p, panel, line_of_taps, g, out, masses)
    with e.function("pack_plainly", "*call", "panel", "*scratch", internal=True) as (pointer, panel, scratch):
        call = Call(e, pointer)
        p = call.read(WinogradParameters)
        out = _packed(e, k, e.byte_buffer(scratch).at(i=p.plain_taps_at), k.segment_taps)
        with e.loop("line_of_taps", k.tap_segments) as line_of_taps:
            _pack_line(e, k, call, p, panel, line_of_taps, identity(k.segment_taps), out)


def _pack_line(
    e: Emitter,
    k: WinogradKernel,
    call: Call,
    p: WinogradParameters[Value],
    panel: Int,
    line_of_taps: Int,
    matrix: Matrix,
    out: Buffer,
    masses: TapMasses | None = None,
) -> None:
    """Pack `matrix` times the taps of one segment, for all input channels; masses looks at them."""
    (_, kh), width, kw = k.tap_lines, k.vectors * e.lanes, k.kernel_size[-1]
    view = dict(zip(("d", "h", "w")[-len(k.w.taps) :], k.w.taps, strict=True))
    rest, segment = e.divide(line_of_taps, k.segments)
    d, h = e.divide(rest, kh)
    source = e.buffer(call.kernel, i=1, ic=k.w.inner, oc=k.w.outer, **view).moved(i=p.w_offset, oc=e.mul(panel, width))
    source = source.moved(**{axis: tap for axis, tap in (("d", d), ("h", h)) if axis in view})
    out = out.moved(step=e.mul(line_of_taps, k.inputs))
    wanted = e.sub(k.out_channels, e.mul(panel, width))
    gathered = e.elements(e.lanes, "gathered")
    with e.loop("component", k.components) as component:
        taps = [
            e.add(e.mul(e.add(e.mul(segment, k.segment_taps), t), k.components), component)
            for t in range(k.segment_taps)
        ]
        if masses:
            masses.start()
        with e.loop("ic", k.in_channels) as ic:
            step = e.add(e.mul(component, k.in_channels), ic)
            for lane in range(0, width, e.lanes):
                vectors = []
                for tap in taps:
                    count = e.choose(e.compare(tap, "<", kw), e.maximum(e.sub(wanted, lane), 0), 0)
                    vectors.append(_load_channels(e, source.moved(ic=ic, w=tap, oc=lane), count, gathered))
                if masses:
                    masses.see(lane, vectors)
                for product, weights in enumerate(matrix):
                    e.store(weighted_sum(e, weights, vectors), out.at(product=product, step=step, oc=lane))
        if masses:
            masses.add([e.compare(tap, "<", kw) for tap in taps])
    if masses:
        masses.finish()


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
        self.staged, self.plain = (self._tiles(place) for place in (0, p.plain_at))
        vectors = {"plane": e.mul(p.staged_lines, p.staged_tiles), "line": p.staged_tiles, "tile": 1}
        strides = {axis: e.mul(step, e.lanes) for axis, step in vectors.items()}
        self.masses, self.largest = (self._at(place, **strides) for place in (p.masses_at, p.largest_at))
        self.flags = e.fields(e.byte_buffer(self.scratch).at(i=p.flags_at))
        scratch, width = e.byte_buffer(self.scratch), k.vectors * e.lanes
        self.sums = e.buffer(scratch.at(i=p.sums_at), product=k.rows * width, tile=width, oc=1)
        y = e.buffer(
            self.call.y, i=1, n=p.sizes.y_n, oc=p.sizes.y_c, d=p.sizes.y_d, line=p.sizes.y_line, w=k.y_step
        ).moved(i=p.y_offset)
        self.y = y.moved(**self.block.corner)
        # results of a panel, of all lines of the block, that wait for their channels to be exchanged with positions
        strides = {"line": e.mul(p.block_tiles, k.outputs * width), "w": width}
        self.results = e.buffer(scratch.at(i=p.results_at), **strides, oc=1)

    def _at(self, place: Int, **strides: Int) -> Buffer:
        return self.e.buffer(self.e.byte_buffer(self.scratch).at(i=place), **strides)

    def _tiles(self, place: Int) -> Buffer:
        """A block of staged tiles."""
        e, k, p = self.e, self.kernel, self.p
        tile = k.products * k.padded_in(e.lanes)
        line = e.mul(p.staged_tiles, tile)
        plane = e.mul(p.staged_lines, line)
        return self._at(place, plane=plane, line=line, tile=tile, product=k.padded_in(e.lanes), c=1)

    @property
    def _num_tiles(self) -> Int:
        return self.e.mul(self.block.num_lines, self.p.staged_tiles)

    def _stage(self, matrix: Matrix, to: Buffer, tracking_of: Callable[[Int, Int], Tracking]) -> None:
        e, k, p = self.e, self.kernel, self.p
        line = self._at(p.line_at, w=e.lanes, c=1)
        staging = TileStaging(e, k, matrix, k.in_channels, k.padding_mode, p.staged_tiles, line, k.components)
        stage_input(e, k, p, self.call.x, self.block, staging, to, tracking_of)

    def stage(self) -> Value:
        """Fill the staged block; must rows of it be examined, since some may have to be summed directly?"""
        e, k, p = self.e, self.kernel, self.p
        *_, b = matrices(k.outputs, k.segment_taps)
        largest, penalties = e.vector_variable("largest"), zero_or_huge(e)
        largest.set(e.splat(0.0))

        def masses_of(plane: Int, line: Int) -> Masses:
            here = self.masses.moved(plane=plane, line=line)
            return Masses(e, k, here, largest, penalties, self.block.width, p.staged_tiles)

        self._stage(b, self.staged, masses_of)
        most = e.largest_of_lanes(largest.get())
        num_uneven = e.variable(0, "num_uneven")
        with e.loop("line", self.block.num_lines) as line, e.loop("tile", p.block_tiles) as tile:
            is_fast = e.either_of(is_even(e, self._mass(line, tile), most), e.is_not(self._is_output(tile)))
            num_uneven.increase(e.as_int(e.is_not(is_fast)))
        with e.loop("row", self._num_tiles, step=k.rows) as first:
            e.store_scalar(0, self.flags.at(i=e.divide(first, k.rows)[0]))
        is_kernel_even = kernel_is_even(e, k, e.byte_buffer(self.call.workspace).at(i=p.taps_at))
        return e.is_not(e.all_of(e.compare(num_uneven.get(), "==", 0), is_kernel_even))

    def _is_output(self, tile: Int) -> Value:
        """Does this tile of a line hold any output?"""
        return self.e.compare(tile_position(self.e, self.kernel, tile), "<", self.block.width)

    def _mass(self, line: Int, tile: Int) -> Value:
        """A lower bound of the sum of |x| over the window of any output of a tile, in every lane."""
        e, k, segments = self.e, self.kernel, self.kernel.counted[0]
        total = e.vector_variable("total")
        total.set(e.splat(0.0))
        for segment, place in self._each_place(self.masses.moved(line=line, tile=tile), segments):
            here = e.add(tile, e.mul(segment, self._tile_step))
            # the mass of the last tile is that of its own outputs
            counts = e.either_of(e.compare(segment, "==", 0), e.is_not(is_partial(e, k, here, self.block.width)))
            with e.when(counts if segments > 1 else e.true()):
                total.set(e.arithmetic(total.get(), "+", e.load(place.pointer)))
        return e.sum_of_lanes(total.get())

    def _largest(self, line: Int, tile: Int) -> Value:
        """The largest |x| that is mixed into an output of a tile, in every lane."""
        e = self.e
        total = e.vector_variable("total")
        total.set(e.splat(0.0))
        for _, place in self._each_place(self.largest.moved(line=line, tile=tile), self.kernel.segments):
            total.set(e.larger(total.get(), e.load(place.pointer)))
        return e.largest_of_lanes(total.get())

    def _each_place(self, tiles: Buffer, segments: int) -> Iterator[tuple[Int, Buffer]]:
        """The staged tiles that the outputs of a tile read: along d, h and the segments."""
        e, k = self.e, self.kernel
        kd, kh = k.tap_lines
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("segment", segments) as segment:
            yield segment, tiles.moved(plane=d, line=e.mul(h, self._line_step), tile=e.mul(segment, self._tile_step))

    @property
    def _line_step(self) -> int:
        """Lines from one tap along h to the next."""
        return self.kernel.dilation[-2] if self.kernel.tap_lines[1] > 1 else 1

    @property
    def _tile_step(self) -> int:
        """Tiles from one segment to the next."""
        k = self.kernel
        return k.segment_taps // k.outputs * k.dilation[-1]

    def examine(self) -> None:
        """Stage the inputs themselves, and flag the rows of tiles that must be summed directly."""
        e, k, p = self.e, self.kernel, self.p
        self._stage(
            identity(k.products), self.plain, lambda plane, line: Largest(e, self.largest.moved(plane=plane, line=line))
        )
        is_kernel_even = kernel_is_even(e, k, e.byte_buffer(self.call.workspace).at(i=p.taps_at))
        with e.loop("line", self.block.num_lines) as line, e.loop("tile", p.block_tiles) as tile:
            is_fast = e.all_of(is_kernel_even, is_even(e, self._mass(line, tile), self._largest(line, tile)))
            with e.when(e.all_of(e.is_not(is_fast), self._is_output(tile))):
                group, _ = e.divide(e.add(e.mul(line, p.staged_tiles), tile), k.rows)
                e.store_scalar(1, self.flags.at(i=group))

    def emit(self, panel: Int, channels: int, sum_directly: Callable[[Int], None]) -> None:
        """Compute `channels` output channels of one panel."""
        e, k = self.e, self.kernel
        a, *_ = matrices(k.outputs, k.segment_taps)
        with e.loop("tile", self._num_tiles, step=k.rows) as first:
            is_direct = e.compare(self.flags.field(e.divide(first, k.rows)[0]), "!=", 0)
            with e.either(is_direct, likely=False) as (directly, fast):
                with directly:
                    sum_directly(first)
                with fast:
                    self._sum_fast(panel, first, channels)
                    self._finish(a, panel, first, channels)
        if not k.is_channels_last:
            self._exchange(e.mul(panel, k.vectors * e.lanes), channels)

    def _sum_fast(self, panel: Int, first: Int, channels: int) -> None:
        """All kinds of products, for `rows` tiles."""
        e, k = self.e, self.kernel
        packed = _packed(e, k, self.call.workspace, k.products).moved(panel=panel)
        with e.loop("product", k.products) as product:
            tile = self._cleared(channels)
            weights, staged = packed.moved(product=product), self.staged.moved(tile=first, product=product)
            for _, step, rows in self._steps(staged):
                with e.loop("ic", k.inputs) as ic:
                    self._accumulate(tile, rows.moved(c=ic), weights.moved(step=e.add(step, ic)))
            self._keep(tile, product)

    def sum_directly(self, panel: Int, first: Int, channels: int) -> None:
        """The outputs of `rows` tiles, from inputs and taps themselves; taps that fill up a segment are left out."""
        e, k = self.e, self.kernel
        packed = _packed(e, k, e.byte_buffer(self.scratch).at(i=self.p.plain_taps_at), k.segment_taps)
        with e.loop("output", k.outputs) as output:
            tile = self._cleared(channels)
            for segment, step, rows in self._steps(self.plain.moved(tile=first, product=output)):
                with e.loop("t", k.segment_taps) as t, e.loop("component", k.components) as component:
                    tap = e.add(e.mul(e.add(e.mul(segment, k.segment_taps), t), k.components), component)
                    with e.when(e.compare(tap, "<", k.kernel_size[-1])), e.loop("ic", k.in_channels) as ic:
                        number = e.add(e.mul(component, k.in_channels), ic)
                        weights = packed.moved(product=t, step=e.add(step, number))
                        self._accumulate(tile, rows.moved(product=t, c=number), weights)
            self._keep(tile, output)
        self._finish(identity(k.outputs), panel, first, channels)

    def _cleared(self, channels: int) -> RegisterTile:
        tile = RegisterTile(self.e, self.kernel.rows, -(-channels // self.e.lanes))
        tile.start(lambda r, v: self.e.splat(0.0))
        return tile

    def _steps(self, tiles: Buffer) -> Iterator[tuple[Int, Int, Buffer]]:
        """(segment, step of the reduction, staged numbers) along d, h and the segments."""
        e, k = self.e, self.kernel
        kd, kh = k.tap_lines
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("segment", k.segments) as segment:
            step = e.mul(e.add(e.mul(e.add(e.mul(d, kh), h), k.segments), segment), k.inputs)
            # a segment's taps are whole tiles apart
            where = {"plane": d, "line": e.mul(h, self._line_step), "tile": e.mul(segment, self._tile_step)}
            yield segment, step, tiles.moved(**where)

    def _accumulate(self, tile: RegisterTile, numbers: Buffer, weights: Buffer) -> None:
        e = self.e
        tile.accumulate(lambda r: numbers.at(tile=r), lambda v: e.load(weights.at(oc=v * e.lanes), f"w_v{v}"))

    def _keep(self, tile: RegisterTile, product: Int) -> None:
        """Keep the sums of one kind until all are there."""
        for r in range(tile.rows):
            for v in range(tile.vectors):
                self.e.store(tile.value(r, v), self.sums.at(product=product, tile=r, oc=v * self.e.lanes))

    def _finish(self, matrix: Matrix, panel: Int, first: Int, channels: int) -> None:
        """The outputs of `rows` tiles: `matrix` times their sums."""
        e, k, p = self.e, self.kernel, self.p
        oc = e.mul(panel, k.vectors * e.lanes)
        with e.loop("r", e.minimum(e.sub(self._num_tiles, first), k.rows)) as r:
            line, number = e.divide(e.add(first, r), p.staged_tiles)
            with e.when(e.compare(number, "<", p.block_tiles)):
                self._finish_tile(matrix, self.sums.moved(tile=r), line, number, oc, channels)

    def _finish_tile(self, matrix: Matrix, sums: Buffer, line: Int, number: Int, oc: Int, channels: int) -> None:
        """The outputs of one tile."""
        e, k = self.e, self.kernel
        y = self.y.moved(line=line, oc=oc) if k.is_channels_last else self.results.moved(line=line)
        first = tile_position(e, k, number)
        results = []
        for lane in range(0, channels, e.lanes):
            count = min(e.lanes, channels - lane)
            mask = e.mask(count)
            vectors = [e.load(sums.at(product=product, oc=lane)) for product in range(len(matrix[0]))]
            bias = self._bias(e.add(oc, lane), mask)
            for j, weights in enumerate(matrix):
                w = e.add(first, j * k.dilation[-1])
                value = partial(weighted_sum, e, weights, vectors, bias)
                results.append(Result(value, y.at(w=w, oc=lane), count, e.compare(w, "<", self.block.width)))
        self.epilogue.store(results)

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
