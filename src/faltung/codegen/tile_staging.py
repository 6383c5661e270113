"""Staging for the Winograd kernel: the sums of inputs that its products take, tile after tile.

    staged[plane, line, tile, product, ic] = sum over i of B[product, i] * x[first position of the tile + i, ic]

Padding, dilation and layout end here. A channels-first line is first turned, `lanes` channels at a time, into a short
channels-last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from faltung.codegen.call import Parameters
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import padded_index
from faltung.codegen.staging import is_there
from faltung.plan.kernels import WinogradKernel
from faltung.plan.toom_cook import matrices


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
    """Fills the staged block of one piece, whose first output lies at `corner`."""

    e: Emitter
    kernel: WinogradKernel
    p: Parameters
    x: Value
    corner: dict[str, Int]
    staged: Buffer
    line: Buffer  # room for a line of `lanes` channels, channels last

    def emit(self, num_lines: Int) -> None:
        """Stage all channels of the lines that `num_lines` lines of outputs need."""
        e, k, p, corner = self.e, self.kernel, self.p, self.corner
        kd, _ = k.tap_lines
        x = e.buffer(self.x, n=p.x_n, d=p.x_d, line=p.x_line, w=k.in_channels if k.is_channels_last else 1, ic=p.x_c)
        with e.loop("plane", kd) as plane, e.loop("line", e.add(num_lines, p.more_lines)) as line:
            index_d = e.sub(e.add(corner["d"], e.mul(plane, k.dilation[0] if kd > 1 else 1)), p.low_d)
            index_line = e.sub(e.add(corner["line"], line), p.low_h)
            source = x.moved(
                n=corner["n"],
                d=padded_index(e, index_d, p.in_d, k.padding_mode),
                line=padded_index(e, index_line, p.in_lines, k.padding_mode),
            )
            is_line = e.all_of(is_there(e, k, index_d, p.in_d), is_there(e, k, index_line, p.in_lines))
            in_w = e.choose(is_line, p.in_w, 0)
            target = self.staged.moved(plane=plane, line=line)
            if k.is_channels_last:
                self._stage_line(source, in_w, target)
            else:
                self._turn_and_stage_line(source, in_w, target)

    def _stage_line(self, source: Buffer, in_w: Int, target: Buffer) -> None:
        """All tiles of a channels-last line."""
        e, k, p = self.e, self.kernel, self.p
        zeros = e.zero_elements(k.padded_in(e.lanes), "zeros")
        source = e.buffer(source.pointer, w=k.in_channels, ic=1)
        first = e.sub(self.corner["w"], p.low_w)
        with e.loop("tile", p.staged_tiles) as tile:
            start = e.add(first, tile_position(e, k, tile))
            places = []
            for i in range(k.products):
                w = padded_index(e, e.add(start, i * k.dilation[-1]), p.in_w, k.padding_mode)
                place = e.choose_pointer(e.below(w, in_w), source.at(w=w), zeros.pointer)
                places.append(e.buffer(place, ic=1))
            for start_ic, stop_ic, mask in _chunks(e, k.in_channels):
                with e.loop("ic", stop_ic, start_ic, e.lanes) as ic:
                    self._sums(
                        [e.load_masked(place.at(ic=ic), mask) for place in places], target.moved(tile=tile, ic=ic)
                    )

    def _sums(self, vectors: list[Value], target: Buffer) -> None:
        _, _, b = matrices(self.kernel.outputs, self.kernel.segment_taps)
        for product, weights in enumerate(b):
            self.e.store(weighted_sum(self.e, weights, vectors), target.at(product=product))

    def _turn_and_stage_line(self, source: Buffer, in_w: Int, target: Buffer) -> None:
        """All tiles of a channels-first line, `lanes` channels at a time."""
        e, k, p = self.e, self.kernel, self.p
        for start_ic, stop_ic, mask in _chunks(e, k.in_channels):
            count = e.lanes if mask is None else stop_ic - start_ic
            with e.loop("ic", stop_ic, start_ic, e.lanes) as ic:
                self._turn(source.moved(ic=ic), in_w, count)
                with e.loop("tile", p.staged_tiles) as tile:
                    here = self.line.moved(w=tile_position(e, k, tile))
                    vectors = [e.load(here.at(w=i * k.dilation[-1])) for i in range(k.products)]
                    self._sums(vectors, target.moved(tile=tile, ic=ic))

    def _turn(self, source: Buffer, in_w: Int, count: int) -> None:
        """line[w, ic] = source[ic, first + w], padded, for `count` channels and all positions that tiles read."""
        e, k, p = self.e, self.kernel, self.p
        first = e.sub(self.corner["w"], p.low_w)
        length = e.add(e.mul(p.staged_tiles, k.outputs), (k.segment_taps - 1) * k.dilation[-1])
        with e.loop("w", length, step=e.lanes) as w:
            start = e.add(first, w)
            is_inside = e.all_of(e.compare(start, ">=", 0), e.compare(e.add(start, e.lanes), "<=", in_w))
            with e.either(is_inside, likely=True) as (inside, edge):
                with inside:
                    rows = [e.load(source.at(ic=n, w=start)) if n < count else e.splat(0.0) for n in range(e.lanes)]
                    for n, channels in enumerate(e.transpose(rows)):
                        e.store(channels, self.line.at(w=e.add(w, n)))
                with edge, e.loop("n", e.lanes) as n:
                    index = padded_index(e, e.add(start, n), p.in_w, k.padding_mode)
                    here = self.line.moved(w=e.add(w, n))
                    e.store(e.splat(0.0), here.pointer)
                    with e.when(e.below(index, in_w)), e.loop("c", count) as c:
                        e.store_scalar(e.load_scalar(source.at(ic=c, w=index)), here.at(ic=c))


def _chunks(e: Emitter, channels: int) -> list[tuple[int, int, Value]]:
    """(first, end, mask) of whole vectors of channels, and of the rest."""
    whole = channels // e.lanes * e.lanes
    chunks = [(0, whole, None), (whole, channels, e.mask(channels - whole))]
    return [chunk for chunk in chunks if chunk[0] < chunk[1]]
