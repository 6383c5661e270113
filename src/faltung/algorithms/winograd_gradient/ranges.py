"""Which blocks of a kernel gradient may be summed fast: those in which no number outweighs what its channel holds.

A product of Toom-Cook mixes the taps of a tile. Channels do not mix: dw[k, ic, oc] sums x[p + k, ic] * dy[p, oc] over
positions, and what a tile leaks into it is about 5 eps of its largest |x[:, ic]| times its largest |dy[:, oc]|. So
let a channel have as many positions in effect as its numbers outweigh the largest of them, sum |x| / max |x|: about a
quarter of all where numbers are random. Two channels of e and f positions in effect, out of P, coincide in about e *
f / P of them at each tap. A block is fast if that is more than LEAST_COINCIDENCES for the sparsest channels. One far
number, a spike, a NaN or an infinity are one position in effect. Channels of zeros only are no matter. Near the ends
of a line some taps see padding: only positions that meet every tap count, so that a large number there counts for
nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

from faltung.algorithms.winograd.ranges import huge, is_last, tile_position
from faltung.algorithms.winograd_gradient.kernel import WinogradGradientKernel
from faltung.codegen.emitter import Buffer, Emitter, Int, Value

LEAST_COINCIDENCES = 3.0


@dataclass
class ChannelStatistics:
    """For each channel of a block: the sum of its absolute values and the largest of them.

    Numbers behind the first `outputs` of a tile are also the first ones of the next, and looked at there.
    """

    e: Emitter
    place: Buffer  # c, kind: the sum is number 0, the largest number 1
    channels: int
    kernel: WinogradGradientKernel
    num_tiles: Int
    first: Int  # the first position of tile 0
    meets_all_taps: Callable[[Int], Value]

    def __post_init__(self) -> None:
        self._total = self.e.vector_variable("total")

    def start(self) -> None:
        """Begin with a block."""
        for here in self._each_vector():
            for kind in range(2):
                self.e.store(self.e.splat(0.0), here.at(kind=kind))

    def clear(self, tile: Int) -> None:
        """Tiles are not told apart."""

    def enter(self, tile: Int) -> None:
        e, k = self.e, self.kernel
        self._is_last = is_last(e, k, tile, self.num_tiles)
        first = e.add(self.first, tile_position(e, k, tile))
        self._counts = [self.meets_all_taps(e.add(first, j * k.dilation[-1])) for j in range(k.outputs)]
        self._all_count = e.all_of(*self._counts)

    def see(self, tile: Int, c: Int, vectors: list[Value]) -> None:
        e, here = self.e, self.place.moved(c=c)
        outputs = self.kernel.outputs
        own, further = ([e.absolute(vector) for vector in part] for part in (vectors[:outputs], vectors[outputs:]))
        self._total.set(e.load(here.at(kind=0)))
        with e.either(self._all_count, likely=True) as (inside, edge):
            with inside:
                self._total.set(reduce(lambda a, b: e.arithmetic(a, "+", b), own, self._total.get()))
            with edge:
                for size, counts in zip(own, self._counts, strict=True):
                    self._total.set(e.fma(size, e.number(e.as_int(counts)), self._total.get()))
        e.store(self._total.get(), here.at(kind=0))
        e.store(reduce(e.larger, own, e.load(here.at(kind=1))), here.at(kind=1))
        if further:
            with e.when(self._is_last):
                e.store(reduce(e.larger, further, e.load(here.at(kind=1))), here.at(kind=1))

    def share_of_largest(self) -> Value:
        """The largest share that one number has in the sum of its channel, in every lane; 0 where all are zeros."""
        e = self.e
        most = e.vector_variable("most")
        most.set(e.splat(0.0))
        for here in self._each_vector():
            total, largest = (e.load(here.at(kind=kind)) for kind in range(2))
            share = e.where(e.is_ordered(largest, "==", e.splat(0.0)), largest, e.arithmetic(largest, "/", total))
            share = e.where(e.is_ordered(largest, "<", e.splat(huge(e))), share, e.splat(huge(e)))
            most.set(e.larger(most.get(), share))
        return e.largest_of_lanes(most.get())

    def _each_vector(self) -> Iterator[Buffer]:
        with self.e.loop("c", self.channels, step=self.e.lanes) as c:
            yield self.place.moved(c=c)


def is_even(e: Emitter, x: ChannelStatistics, dy: ChannelStatistics, num_positions: Int) -> Value:
    """May the block be summed fast?"""
    shares = e.arithmetic(x.share_of_largest(), "*", dy.share_of_largest())
    least = e.arithmetic(shares, "*", e.arithmetic(e.number(num_positions), "*", e.splat(LEAST_COINCIDENCES)))
    return e.in_first_lane(e.is_ordered(least, "<", e.splat(1.0)))
