"""Staging for the Winograd kernels: the sums of inputs, or of gradients, that their products take, tile after tile.

    staged[tile, product, c] = sum over i of matrix[product, i] * x[first position of the tile + i * dilation, c]

Padding, dilation and layout end here. A channels-first line is transposed, `lanes` channels at a time,
into a short channels-last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from faltung.algorithms.winograd.kernel import WinogradKernel
from faltung.algorithms.winograd.ranges import Tracking, tile_position
from faltung.algorithms.winograd.toom_cook import Matrix
from faltung.codegen.block import Block
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import is_there, padded_index
from faltung.codegen.transpose import chunks, transpose_line
from faltung.plan.parameters import LineSizes


def weighted_sum(e: Emitter, weights: Sequence[Fraction], vectors: Sequence[Value], total: Value = None) -> Value:
    """total + sum of weights * vectors; vectors of weight 0 cost nothing, those of weight 1 or -1 an addition."""
    for weight, vector in sorted(zip(weights, vectors, strict=True), key=lambda pair: abs(pair[0]) != 1):
        if weight == 0:
            continue
        if total is None:
            total = vector if weight == 1 else e.arithmetic(vector, "*", e.splat(float(weight)))
        elif abs(weight) == 1:
            total = e.arithmetic(total, "+" if weight > 0 else "-", vector)
        else:
            total = e.fma(vector, e.splat(float(weight)), total)
    return total


@dataclass
class TileStaging:
    """Fills a staged block, line by line: for each tile, `matrix` times the numbers at its positions.

    A block begins at tile 0 of its lines; `line` is room for a line of `lanes` channels, channels last. The positions
    of a tile lie `components` apart; the numbers between them follow as further channels.
    """

    e: Emitter
    kernel: WinogradKernel
    matrix: Matrix
    channels: int
    padding_mode: str | None
    num_tiles: Int
    line: Buffer
    components: int = 1

    def emit(
        self,
        source: Buffer,
        first: Int,
        limit: Int,
        size: Int,
        place: Callable[[Int, Int], Buffer],
        tracking: Tracking | None = None,
    ) -> None:
        """Stage the tiles of one line that lies at `source`.

        first: the index along w at which tile 0 begins; limit: what lies at it and beyond is zero; size: the line's,
        for its padding; place(tile, channel): where the products of a vector of channels go; tracking looks on.
        """
        if self.kernel.is_channels_last:
            self._stage(source, first, limit, size, place, tracking)
        else:
            self._transpose_and_stage(source, first, limit, size, place, tracking)

    def _stage(
        self,
        source: Buffer,
        first: Int,
        limit: Int,
        size: Int,
        place: Callable[[Int, Int], Buffer],
        tracking: Tracking | None,
    ) -> None:
        e, k = self.e, self.kernel
        padded = -(-self.channels // e.lanes) * e.lanes
        zeros = e.zero_elements(padded, "zeros")
        with e.loop("tile", self.num_tiles) as tile:
            if tracking:
                tracking.clear(tile)
                tracking.enter(tile)
            with e.loop("component", self.components) as component:
                start = e.add(first, e.mul(tile_position(e, k, tile), self.components), component)
                places = []
                for i in self._places:
                    w = padded_index(e, e.add(start, i), size, self.padding_mode)
                    there = e.choose_pointer(e.below(w, limit), source.at(w=w), zeros.pointer)
                    places.append(e.buffer(there, c=1))
                for start_c, stop_c, mask in chunks(e, self.channels):
                    with e.loop("c", stop_c, start_c, e.lanes) as c:
                        vectors = [e.load_masked(there.at(c=c), mask) for there in places]
                        self._multiply(tile, e.add(e.mul(component, self.channels), c), vectors, place, tracking)

    @property
    def _places(self) -> range:
        """Where the numbers of a tile lie, from its first one on."""
        step = self.components * self.kernel.dilation[-1]
        return range(0, len(self.matrix[0]) * step, step)

    def _multiply(
        self,
        tile: Int,
        c: Int,
        vectors: list[Value],
        place: Callable[[Int, Int], Buffer],
        tracking: Tracking | None,
    ) -> None:
        target = place(tile, c)
        if tracking:
            tracking.see(tile, c, vectors)
        for product, weights in enumerate(self.matrix):
            self.e.store(weighted_sum(self.e, weights, vectors), target.at(product=product))

    def _transpose_and_stage(
        self,
        source: Buffer,
        first: Int,
        limit: Int,
        size: Int,
        place: Callable[[Int, Int], Buffer],
        tracking: Tracking | None,
    ) -> None:
        """A channels-first line, `lanes` channels at a time."""
        e, k = self.e, self.kernel
        more = (len(self.matrix[0]) - k.outputs) * k.dilation[-1]
        length = e.mul(e.add(e.mul(self.num_tiles, k.outputs), more), self.components)
        if tracking:
            with e.loop("tile", self.num_tiles) as tile:
                tracking.clear(tile)
        for start_c, stop_c, mask in chunks(e, self.channels):
            count = e.lanes if mask is None else stop_c - start_c
            with e.loop("c", stop_c, start_c, e.lanes) as c:
                transpose_line(
                    e,
                    source.moved(c=c),
                    self.line,
                    count=count,
                    first=first,
                    length=length,
                    limit=limit,
                    size=size,
                    padding_mode=self.padding_mode,
                )
                with e.loop("tile", self.num_tiles) as tile:
                    if tracking:
                        tracking.enter(tile)
                    with e.loop("component", self.components) as component:
                        here = self.line.moved(w=e.add(e.mul(tile_position(e, k, tile), self.components), component))
                        vectors = [e.load(here.at(w=i)) for i in self._places]
                        self._multiply(tile, e.add(e.mul(component, self.channels), c), vectors, place, tracking)


class StagedLines(Protocol):
    """What the parameters of both Winograd algorithms say about the lines that a block stages."""

    @property
    def sizes(self) -> LineSizes[Int]: ...
    @property
    def halo_lines(self) -> Int: ...


def stage_input(
    e: Emitter,
    kernel: WinogradKernel,
    p: StagedLines,
    x: Value,
    block: Block,
    staging: TileStaging,
    staged: Buffer,
    tracking_of: Callable[[Int, Int], Tracking | None] = lambda plane, line: None,
) -> None:
    """Stage all channels of the input that the lines of a block of outputs need; tracking_of(plane, line) looks on."""
    k = kernel
    kd, _ = k.tap_lines
    array = e.buffer(
        x,
        n=p.sizes.x_n,
        d=p.sizes.x_d,
        line=p.sizes.x_line,
        w=k.in_channels if k.is_channels_last else 1,
        c=p.sizes.x_c,
    )
    with e.loop("plane", kd) as plane, e.loop("line", e.add(block.num_lines, p.halo_lines)) as line:
        index_d = e.sub(e.add(block.od, e.mul(plane, k.dilation[0] if kd > 1 else 1)), p.sizes.low_d)
        index_line = e.sub(e.add(block.line, line), p.sizes.low_h)
        source = array.moved(
            n=block.n,
            d=padded_index(e, index_d, p.sizes.in_d, k.padding_mode),
            line=padded_index(e, index_line, p.sizes.in_lines, k.padding_mode),
        )
        is_line = e.all_of(
            is_there(e, k.padding_mode, index_d, p.sizes.in_d),
            is_there(e, k.padding_mode, index_line, p.sizes.in_lines),
        )
        limit = e.choose(is_line, p.sizes.in_w, 0)
        target = staged.moved(plane=plane, line=line)

        def place(tile: Int, c: Int, here: Buffer = target) -> Buffer:
            return here.moved(tile=tile, c=c)

        staging.emit(
            source,
            e.sub(e.mul(block.ow, k.components), p.sizes.low_w),
            limit,
            p.sizes.in_w,
            place,
            tracking_of(plane, line),
        )
