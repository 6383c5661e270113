"""Staging for the Winograd kernels: the sums of inputs, or of gradients, that their products take, tile after tile.

    staged[tile, product, c] = sum over i of matrix[product, i] * x[first position of the tile + i * dilation, c]

Padding, dilation and layout end here. A channels-first line is first turned, `lanes` channels at a time, into a short
channels-last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from faltung.algorithms.direct_nchw.staging import is_there
from faltung.algorithms.winograd.toom_cook import Matrix
from faltung.codegen.block import Block
from faltung.codegen.call import Parameters
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import padded_index
from faltung.codegen.transpose import chunks, turn
from faltung.plan.kernels import WinogradKernel


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


def tile_position(e: Emitter, kernel: WinogradKernel, tile: Int) -> Int:
    """The first position of a tile; its others follow at steps of the dilation, between those of its neighbours."""
    dilation = kernel.dilation[-1]
    turn, phase = e.divide(tile, dilation)
    return e.add(e.mul(turn, kernel.outputs * dilation), phase)


@dataclass
class TileStaging:
    """Fills a staged block, line by line: for each tile, `matrix` times the numbers at its positions.

    A block begins at tile 0 of its lines; `line` is room for a line of `lanes` channels, channels last. The positions
    of a tile lie `phases` apart; the numbers between them follow as further channels.
    """

    e: Emitter
    kernel: WinogradKernel
    matrix: Matrix
    channels: int
    padding_mode: str | None
    num_tiles: Int
    line: Buffer
    phases: int = 1

    def emit(self, source: Buffer, first: Int, limit: Int, size: Int, place: Callable[[Int, Int], Buffer]) -> None:
        """Stage the tiles of one line that lies at `source`.

        first: the index along w at which tile 0 begins; limit: what lies at it and beyond is zero; size: the line's,
        for its padding; place(tile, channel): where the products of a vector of channels go.
        """
        if self.kernel.is_channels_last:
            self._stage(source, first, limit, size, place)
        else:
            self._turn_and_stage(source, first, limit, size, place)

    def _stage(self, source: Buffer, first: Int, limit: Int, size: Int, place: Callable[[Int, Int], Buffer]) -> None:
        e, k = self.e, self.kernel
        padded = -(-self.channels // e.lanes) * e.lanes
        zeros = e.zero_elements(padded, "zeros")
        with e.loop("tile", self.num_tiles) as tile, e.loop("phase", self.phases) as phase:
            start = e.add(first, e.mul(tile_position(e, k, tile), self.phases), phase)
            places = []
            for i in self._places:
                w = padded_index(e, e.add(start, i), size, self.padding_mode)
                there = e.choose_pointer(e.below(w, limit), source.at(w=w), zeros.pointer)
                places.append(e.buffer(there, c=1))
            for start_c, stop_c, mask in chunks(e, self.channels):
                with e.loop("c", stop_c, start_c, e.lanes) as c:
                    vectors = [e.load_masked(there.at(c=c), mask) for there in places]
                    self._multiply(vectors, place(tile, e.add(e.mul(phase, self.channels), c)))

    @property
    def _places(self) -> range:
        """Where the numbers of a tile lie, from its first one on."""
        step = self.phases * self.kernel.dilation[-1]
        return range(0, len(self.matrix[0]) * step, step)

    def _multiply(self, vectors: list[Value], target: Buffer) -> None:
        for product, weights in enumerate(self.matrix):
            self.e.store(weighted_sum(self.e, weights, vectors), target.at(product=product))

    def _turn_and_stage(
        self, source: Buffer, first: Int, limit: Int, size: Int, place: Callable[[Int, Int], Buffer]
    ) -> None:
        """A channels-first line, `lanes` channels at a time."""
        e, k = self.e, self.kernel
        more = (len(self.matrix[0]) - k.outputs) * k.dilation[-1]
        length = e.mul(e.add(e.mul(self.num_tiles, k.outputs), more), self.phases)
        for start_c, stop_c, mask in chunks(e, self.channels):
            count = e.lanes if mask is None else stop_c - start_c
            with e.loop("c", stop_c, start_c, e.lanes) as c:
                turn(
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
                with e.loop("tile", self.num_tiles) as tile, e.loop("phase", self.phases) as phase:
                    here = self.line.moved(w=e.add(e.mul(tile_position(e, k, tile), self.phases), phase))
                    vectors = [e.load(here.at(w=i)) for i in self._places]
                    self._multiply(vectors, place(tile, e.add(e.mul(phase, self.channels), c)))


def stage_input(
    e: Emitter, kernel: WinogradKernel, p: Parameters, x: Value, block: Block, staging: TileStaging, staged: Buffer
) -> None:
    """Stage all channels of the input that the lines of a block of outputs need."""
    k = kernel
    kd, _ = k.tap_lines
    array = e.buffer(x, n=p.x_n, d=p.x_d, line=p.x_line, w=k.in_channels if k.is_channels_last else 1, c=p.x_c)
    with e.loop("plane", kd) as plane, e.loop("line", e.add(block.num_lines, p.more_lines)) as line:
        index_d = e.sub(e.add(block.od, e.mul(plane, k.dilation[0] if kd > 1 else 1)), p.low_d)
        index_line = e.sub(e.add(block.line, line), p.low_h)
        source = array.moved(
            n=block.n,
            d=padded_index(e, index_d, p.in_d, k.padding_mode),
            line=padded_index(e, index_line, p.in_lines, k.padding_mode),
        )
        is_line = e.all_of(is_there(e, k, index_d, p.in_d), is_there(e, k, index_line, p.in_lines))
        limit = e.choose(is_line, p.in_w, 0)
        target = staged.moved(plane=plane, line=line)

        def place(tile: Int, c: Int, here: Buffer = target) -> Buffer:
            return here.moved(tile=tile, c=c)

        staging.emit(source, e.sub(e.mul(block.ow, k.phases), p.low_w), limit, p.in_w, place)
