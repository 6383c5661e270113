"""The kernel gradient from fewer products: the adjoint of the Winograd kernel by its second argument.

    x'[tile, product, ic]  = sum over i of B[product, i] * x[first position of the tile + i, ic]
    dy'[tile, product, oc] = sum over j of A[j, product] * dy[j-th position of the tile, oc]
    sums[product, ic, oc]  = sum over tiles of x' * dy'
    dw[k, ic, oc]          = sum over products of G[product, k] * sums

As in the kernel gradient, a task sums a chunk of blocks into a partial result of its own, and a second stage adds the
partial results in their order. Blocks whose numbers differ too much (ranges.py) are staged once more with identities
for A and B and summed directly, tap by tap, into another partial result, which only a chunk that has such blocks has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from faltung.algorithms.kernel_gradient.emit import store_channels
from faltung.algorithms.winograd.ranges import Tracking, tile_position
from faltung.algorithms.winograd.staging import TileStaging, stage_input, weighted_sum
from faltung.algorithms.winograd.toom_cook import Matrix, identity, matrices
from faltung.algorithms.winograd_gradient.kernel import WinogradGradientKernel, WinogradGradientParameters
from faltung.algorithms.winograd_gradient.ranges import ChannelStatistics, is_even
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.tile import RegisterTile


def emit(e: Emitter, kernel: WinogradGradientKernel) -> None:
    """partial(call, index, scratch): one chunk of blocks; total(call, index, scratch): the sum of all chunks."""

    def sums_of(pointer: Value, index: Int, scratch: Value) -> "_ProductSums":
        call = Call(e, pointer)
        p = call.read(WinogradGradientParameters)
        return _ProductSums(e, kernel, call, p, *e.divide(index, p.num_parts), scratch)

    with e.function("add_directly", "*call", "index", "*scratch", "number", internal=True) as (*arguments, number):
        sums = sums_of(*arguments)
        sums.add_directly(Block.of_tiles(e, sums.p, number, kernel.outputs))
    with e.function("partial", "*call", "index", "*scratch") as arguments:
        sums = sums_of(*arguments)
        p, chunk = sums.p, sums.chunk
        sums.clear(sums.partial, kernel.products)
        e.store_scalar(0, sums.flag.pointer)
        first, _ = e.divide(e.mul(chunk, p.num_blocks), p.num_chunks)
        last, _ = e.divide(e.mul(e.add(chunk, 1), p.num_blocks), p.num_chunks)
        with e.loop("block", last, first) as number:
            sums.add_block(
                Block.of_tiles(e, p, number, kernel.outputs), lambda: e.call("add_directly", *arguments, number)
            )
    _emit_total(e, kernel)


def _partial(e: Emitter, kernel: WinogradGradientKernel, place: Value, products: int) -> Buffer:
    """The partial results: of each chunk, product (or tap) and step of the reduction, all output channels."""
    padded = kernel.padded_out(e.lanes)
    product = kernel.reduction * padded
    return e.buffer(place, chunk=products * product, product=product, step=padded, oc=1)


def _plain(e: Emitter, kernel: WinogradGradientKernel, call: Call, p: WinogradGradientParameters[Value]) -> Buffer:
    """The partial results of what is summed directly."""
    return _partial(e, kernel, e.byte_buffer(call.workspace).at(i=p.plain_at), kernel.segment_taps)


def _flags(e: Emitter, call: Call, p: WinogradGradientParameters[Value]) -> Buffer:
    """Has a chunk a result of what is summed directly? All its parts look at the same numbers and find the same."""
    return replace(e.fields(e.byte_buffer(call.workspace).at(i=p.flags_at)), strides={"chunk": p.num_parts, "part": 1})


@dataclass
class _ProductSums:
    """The partial result of one task: a chunk of blocks, and a part of the output channels."""

    e: Emitter
    kernel: WinogradGradientKernel
    call: Call
    p: WinogradGradientParameters[Value]
    chunk: Int
    part: Int
    scratch: Value

    def __post_init__(self) -> None:
        e, k, p = self.e, self.kernel, self.p
        self.width = k.vectors * e.lanes
        self.whole, self.rest = divmod(k.out_channels, self.width)
        self.first = e.mul(self.part, p.panels_per_part)
        self.last = e.minimum(e.add(self.first, p.panels_per_part), self.whole)
        self.is_last_part = e.compare(e.add(self.part, 1), "==", p.num_parts)
        self.partial = _partial(e, k, self.call.workspace, k.products).moved(chunk=self.chunk)
        self.plain = _plain(e, k, self.call, p).moved(chunk=self.chunk)
        self.flag = _flags(e, self.call, p).moved(chunk=self.chunk, part=self.part)
        kd, _ = k.tap_lines
        line = e.mul(p.staged_tiles, k.padded_in(e.lanes))
        plane = e.mul(p.staged_lines, line)
        strides = {"product": e.mul(plane, kd), "plane": plane, "line": line, "tile": k.padded_in(e.lanes)}
        self.x = e.buffer(self.scratch, **strides, c=1)
        line = e.mul(p.block_tiles, self.width)
        panel = e.mul(p.block_lines, line)
        panels = self.whole + (self.rest > 0)
        strides = {"product": e.mul(panel, panels), "panel": panel, "line": line, "tile": self.width}
        self.dy = e.buffer(e.byte_buffer(self.scratch).at(i=p.dy_at), **strides, oc=1)

    def clear(self, partial: Buffer, products: int) -> None:
        """Set the task's part of a partial result to zero."""
        e, k = self.e, self.kernel
        with e.loop("product", products) as product, e.loop("step", k.reduction) as step:
            row = partial.moved(product=product, step=step)
            with e.loop("oc", e.mul(self.last, self.width), e.mul(self.first, self.width), step=e.lanes) as oc:
                e.store(e.splat(0.0), row.at(oc=oc))
            if self.rest:
                with e.when(self.is_last_part):
                    for oc in range(self.whole * self.width, k.padded_out(e.lanes), e.lanes):
                        e.store(e.splat(0.0), row.at(oc=oc))

    def add_block(self, block: Block, add_directly: Callable[[], None]) -> None:
        """Add what one block of tiles contributes."""
        e, k = self.e, self.kernel
        a, _, b = matrices(k.outputs, k.segment_taps)
        statistics = self._statistics(block)
        for side in statistics:
            side.start()
        self._stage(block, b, tuple(zip(*a, strict=True)), *statistics)
        with e.either(is_even(e, *statistics, e.mul(block.num_lines, block.width)), likely=True) as (fast, directly):
            with fast, e.loop("product", k.products) as product:
                x, dy, sums = (array.moved(product=product) for array in (self.x, self.dy, self.partial))
                self._each_panel(x, dy, sums, block, self._add_tile)
            with directly:
                add_directly()

    def _statistics(self, block: Block) -> tuple[ChannelStatistics, ChannelStatistics]:
        """Those of the inputs, and of the gradients."""
        e, k, p = self.e, self.kernel, self.p
        here = e.byte_buffer(self.scratch).at(i=p.statistics_at)
        last_tap = (-(-k.kernel_size[-1] // k.components) - 1) * k.dilation[-1]

        def input_meets_all(w: Int) -> Value:
            return e.all_of(e.compare(w, ">=", last_tap), e.compare(w, "<", p.sizes.out_w))

        def gradient_meets_all(w: Int) -> Value:
            first = e.sub(e.mul(w, k.components), p.sizes.low_w)
            last = e.add(first, (k.kernel_size[-1] - 1) * k.dilation[-1])
            return e.all_of(e.compare(first, ">=", 0), e.compare(last, "<", p.sizes.in_w))

        found = []
        for first, channels, num_tiles, meets_all in (
            (0, k.padded_in(e.lanes), p.staged_tiles, input_meets_all),
            (2 * k.padded_in(e.lanes), k.padded_out(e.lanes), 0, gradient_meets_all),
        ):
            place = e.buffer(here, i=1, c=1, kind=channels).moved(i=first)
            found.append(ChannelStatistics(e, place, channels, k, num_tiles, block.ow, meets_all))
        return found[0], found[1]

    def add_directly(self, block: Block) -> None:
        """Add what a block of unlike numbers contributes, tap by tap."""
        e, k = self.e, self.kernel
        with e.when(e.compare(e.load_i64(self.flag.pointer), "==", 0)):
            self.clear(self.plain, k.segment_taps)
            e.store_scalar(1, self.flag.pointer)
        self._stage(block, identity(k.products), identity(k.outputs))
        with e.loop("tap", k.segment_taps) as tap:
            self._each_panel(self.x.moved(product=tap), self.dy, self.plain.moved(product=tap), block, self._add_plain)

    def _each_panel(self, x: Buffer, dy: Buffer, partial: Buffer, block: Block, add: "AddTile") -> None:
        e, k = self.e, self.kernel
        with e.loop("panel", self.last, self.first) as panel:
            here = partial.moved(oc=e.mul(panel, self.width))
            self._add_panel(block, x, dy.moved(panel=panel), here, k.vectors, add)
        if self.rest:
            with e.when(self.is_last_part):
                here = partial.moved(oc=self.whole * self.width)
                self._add_panel(block, x, dy.moved(panel=self.whole), here, -(-self.rest // e.lanes), add)

    def _stage(
        self, block: Block, of_x: Matrix, of_dy: Matrix, x: Tracking | None = None, gradients: Tracking | None = None
    ) -> None:
        """Stage the block's inputs and gradients, multiplied with these matrices; x and gradients look on."""
        e, k, p = self.e, self.kernel, self.p
        line = e.buffer(e.byte_buffer(self.scratch).at(i=p.line_at), w=e.lanes, c=1)
        staging = TileStaging(e, k, of_x, k.in_channels, k.padding_mode, p.staged_tiles, line, k.components)
        stage_input(e, k, p, self.call.x, block, staging, self.x, lambda plane, line: x)
        # positions that no output has are zeros here, so that they add nothing
        staging = TileStaging(e, k, of_dy, k.out_channels, None, p.block_tiles, line)
        w_step = k.out_channels if k.is_channels_last else 1
        dy = e.buffer(
            self.call.kernel, n=p.sizes.y_n, d=p.sizes.y_d, line=p.sizes.y_line, w=w_step, c=p.sizes.y_c
        ).moved(n=block.n, d=block.od, line=block.line)
        limit = e.add(block.ow, block.width)
        with e.loop("line", block.num_lines) as number:
            target = self.dy.moved(line=number)

            def place(tile: Int, c: Int, here: Buffer = target) -> Buffer:
                panel, oc = e.divide(c, self.width)
                return here.moved(panel=panel, tile=tile, oc=oc)

            staging.emit(dy.moved(line=number), block.ow, limit, p.sizes.out_w, place, gradients)

    def _add_panel(self, block: Block, x: Buffer, dy: Buffer, partial: Buffer, vectors: int, add: "AddTile") -> None:
        """All taps along d and h, segments and input channels of one product, or of one tap."""
        e, k = self.e, self.kernel
        kd, kh = k.tap_lines
        line_step = k.dilation[-2] if kh > 1 else 1
        tile_step = k.segment_taps // k.outputs * k.dilation[-1]
        whole, rest = divmod(k.inputs, k.rows)
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("segment", k.segments) as segment:
            rows = x.moved(plane=d, line=e.mul(h, line_step), tile=e.mul(segment, tile_step))
            here = partial.moved(step=e.mul(e.add(e.mul(e.add(e.mul(d, kh), h), k.segments), segment), k.inputs))
            with e.loop("row", whole * k.rows, step=k.rows) as row:
                add(block, rows.moved(c=row), dy, here.moved(step=row), k.rows, vectors)
            if rest:
                row = whole * k.rows
                add(block, rows.moved(c=row), dy, here.moved(step=row), rest, vectors)

    def _add_tile(self, block: Block, x: Buffer, dy: Buffer, partial: Buffer, rows: int, vectors: int) -> None:
        """`rows` input channels times some vectors of output channels, summed over the tiles of the block."""
        e, p = self.e, self.p
        with (
            self._tile(partial, rows, vectors) as tile,
            e.loop("line", block.num_lines) as line,
            e.loop("tile", p.block_tiles) as number,
        ):
            self._accumulate(tile, x.moved(line=line, tile=number), dy.moved(line=line, tile=number))

    def _add_plain(self, block: Block, x: Buffer, dy: Buffer, partial: Buffer, rows: int, vectors: int) -> None:
        """The same of inputs and gradients themselves, at the positions that are outputs: no zero meets a NaN."""
        e, k, p = self.e, self.kernel, self.p
        with (
            self._tile(partial, rows, vectors) as tile,
            e.loop("line", block.num_lines) as line,
            e.loop("tile", p.block_tiles) as number,
            e.loop("output", k.outputs) as j,
        ):
            here = {"line": line, "tile": number, "product": j}
            w = e.add(tile_position(e, k, number), e.mul(j, k.dilation[-1]))
            with e.when(e.compare(w, "<", block.width)):
                self._accumulate(tile, x.moved(**here), dy.moved(**here))

    @contextmanager
    def _tile(self, partial: Buffer, rows: int, vectors: int) -> Iterator[RegisterTile]:
        """A cleared tile, which is added to a partial result in the end."""
        e = self.e
        tile = RegisterTile(e, rows, vectors)
        tile.start(lambda r, v: e.splat(0.0))
        places = [[partial.at(step=r, oc=v * e.lanes) for v in range(vectors)] for r in range(rows)]
        for place in places:  # a large partial result is far away; it comes closer while the tile sums
            e.prefetch(place[0], to_write=True)
        yield tile
        for r in range(rows):
            for v in range(vectors):
                e.store(e.arithmetic(e.load(places[r][v]), "+", tile.value(r, v)), places[r][v])

    def _accumulate(self, tile: RegisterTile, numbers: Buffer, gradients: Buffer) -> None:
        e = self.e
        tile.accumulate(lambda r: numbers.at(c=r), lambda v: e.load(gradients.at(oc=v * e.lanes), f"dy_v{v}"))


AddTile = Callable[[Block, Buffer, Buffer, Buffer, int, int], None]


def _emit_total(e: Emitter, kernel: WinogradGradientKernel) -> None:
    """Each task adds the chunks of some steps and writes their taps where the caller's kernel layout wants them."""
    k, (_, kh) = kernel, kernel.tap_lines
    view = dict(zip(("d", "h", "w")[-len(k.w.taps) :], k.w.taps, strict=True))
    _, g, _ = matrices(k.outputs, k.segment_taps)
    with e.function("total", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(WinogradGradientParameters)
        dw = e.buffer(call.y, ic=k.w.inner, oc=k.w.outer, **view)
        first = e.mul(index, p.rows_per_task)
        num_direct = e.variable(0, "num_direct")
        with e.loop("chunk", p.num_chunks) as chunk:
            num_direct.increase(e.load_i64(_flags(e, call, p).at(chunk=chunk)))
        is_direct = e.compare(num_direct.get(), "!=", 0)
        with e.loop("step", e.minimum(e.add(first, p.rows_per_task), k.reduction), first) as step:
            line_of_taps, number = e.divide(step, k.inputs)
            component, ic = e.divide(number, k.in_channels)
            rest, segment = e.divide(line_of_taps, k.segments)
            d, h = e.divide(rest, kh)
            target = dw.moved(ic=ic, **{axis: tap for axis, tap in (("d", d), ("h", h)) if axis in view})
            with e.loop("oc", k.out_channels, step=e.lanes) as oc:
                sums = [
                    _sum_of_chunks(
                        e, p, _partial(e, k, call.workspace, k.products).moved(product=product, step=step, oc=oc)
                    )
                    for product in range(k.products)
                ]
                for t, weights in enumerate(zip(*g, strict=True)):
                    tap = e.add(e.mul(e.add(e.mul(segment, k.segment_taps), t), k.components), component)
                    with e.when(e.compare(tap, "<", k.kernel_size[-1])):
                        here, count = target.moved(w=tap, oc=oc), e.sub(k.out_channels, oc)
                        value = e.vector_variable("value")
                        value.set(weighted_sum(e, weights, sums))
                        with e.when(is_direct):
                            plain = _plain(e, k, call, p).moved(product=t, step=step, oc=oc)
                            value.set(e.arithmetic(value.get(), "+", _direct_sum(e, call, p, plain)))
                        store_channels(e, value.get(), here, count, k.w.outer)


def _sum_of_chunks(e: Emitter, p: WinogradGradientParameters[Value], partial: Buffer) -> Value:
    total = e.vector_variable("total")
    total.set(e.load(partial.pointer))
    with e.loop("chunk", p.num_chunks, 1) as chunk:
        total.set(e.arithmetic(total.get(), "+", e.load(partial.at(chunk=chunk))))
    return total.get()


def _direct_sum(e: Emitter, call: Call, p: WinogradGradientParameters[Value], plain: Buffer) -> Value:
    """What the chunks have summed directly, those that have."""
    total, flags = e.vector_variable("direct"), _flags(e, call, p)
    total.set(e.splat(0.0))
    with e.loop("chunk", p.num_chunks) as chunk, e.when(e.compare(e.load_i64(flags.at(chunk=chunk)), "!=", 0)):
        total.set(e.arithmetic(total.get(), "+", e.load(plain.at(chunk=chunk))))
    return total.get()
