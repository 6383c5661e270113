"""Which tiles may be summed fast: those in which no number outweighs what an output sees.

A product of Toom-Cook mixes all numbers of a tile. What an output does not see cancels up to rounding, at about 5 eps
of the *largest* number there; the rule allows 8 n*eps of the sum over the output's own window. So a tile is fast if

    LEAST_MASS * (largest |x| of the tile)  <  sum of |x| over the window of each of its outputs

over all channels and all lines that the windows meet: several numbers of a window weigh as much as the largest of the
tile. A NaN, an infinity, a number beside zeros and one far number all fail; everything that fails is summed directly.
A tile of zeros is fast, since all its products are exactly zero.

While inputs are staged, each tile of a line gets a lower bound of the sum, and the block the largest number. Only in a
block where this is not enough are the largest numbers of its tiles looked up.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

from faltung.algorithms.winograd.kernel import WinogradKernel
from faltung.codegen.emitter import Buffer, Emitter, Int, Value, Variable

LEAST_MASS = 2.0
"""How many times the largest number of a tile the numbers of each window weigh."""


def tile_position(e: Emitter, kernel: WinogradKernel, tile: Int) -> Int:
    """The first position of a tile; its others follow at steps of the dilation, between those of its neighbours."""
    dilation = kernel.dilation[-1]
    tile_group, component = e.divide(tile, dilation)
    return e.add(e.mul(tile_group, kernel.outputs * dilation), component)


class Tracking(Protocol):
    """What looks at the numbers of each tile of a line while they are staged."""

    def clear(self, tile: Int) -> None:
        """Nothing of this tile has been seen."""

    def enter(self, tile: Int) -> None:
        """What is seen next is of this tile."""

    def see(self, tile: Int, c: Int, vectors: list[Value]) -> None:
        """Look at a vector of channels, from c on, at each position of the tile."""


@dataclass
class Masses:
    """For each tile of a line, lane by lane, a lower bound of the sum over any window; and the largest number of all.

    Windows of `counted` taps at positions q - 1 and q have the counted - 1 positions from q on in common. Numbers
    behind the first `outputs` of a tile are also the first ones of the next. The last tile of a line is looked at in
    full; where only some of its positions are outputs, only their windows count.
    """

    e: Emitter
    kernel: WinogradKernel
    masses: Buffer
    largest: Variable
    zero_or_huge: Buffer
    width: Int
    num_tiles: Int

    def __post_init__(self) -> None:
        self._least = self.e.vector_variable("least")

    def clear(self, tile: Int) -> None:
        self.e.store(self.e.splat(0.0), self.masses.at(tile=tile))

    def enter(self, tile: Int) -> None:
        e, k = self.e, self.kernel
        first = tile_position(e, k, tile)
        self._exist = [e.compare(e.add(first, j * k.dilation[-1]), "<", self.width) for j in range(k.outputs)]
        self._is_last = e.either_of(is_partial(e, k, tile, self.width), is_last(e, k, tile, self.num_tiles))

    def see(self, tile: Int, c: Int, vectors: list[Value]) -> None:
        e, k = self.e, self.kernel
        sizes = [e.absolute(vector) for vector in vectors]
        _, taps = k.counted
        with e.either(self._is_last, likely=False) as (last, others):
            with others:
                self.largest.set(reduce(e.larger, sizes[: k.outputs], self.largest.get()))
                runs = [self._sum(sizes[q : q + taps - 1]) for q in range(1, k.outputs + 1, 2)]
                self._least.set(reduce(e.smaller, runs))
            with last:
                self.largest.set(reduce(e.larger, sizes, self.largest.get()))
                self._least.set(self._sum(sizes[:taps]))
                for j in range(1, k.outputs):
                    nothing = self.zero_or_huge.at(i=e.choose(self._exist[j], 0, 1))
                    window = e.arithmetic(self._sum(sizes[j : j + taps]), "+", e.broadcast(nothing))
                    self._least.set(e.smaller(window, self._least.get()))
        place = self.masses.at(tile=tile)
        e.store(e.arithmetic(e.load(place), "+", self._least.get()), place)

    def _sum(self, sizes: list[Value]) -> Value:
        return reduce(lambda a, b: self.e.arithmetic(a, "+", b), sizes)


def is_partial(e: Emitter, kernel: WinogradKernel, tile: Int, width: Int) -> Value:
    """Are some positions of a tile outputs and others not?"""
    first = tile_position(e, kernel, tile)
    last = e.add(first, (kernel.outputs - 1) * kernel.dilation[-1])
    return e.all_of(e.compare(first, "<", width), e.compare(last, ">=", width))


def is_last(e: Emitter, kernel: WinogradKernel, tile: Int, num_tiles: Int) -> Value:
    """Does no further tile begin in a tile?"""
    return e.compare(e.add(tile, kernel.dilation[-1]), ">=", num_tiles)


@dataclass
class Largest:
    """For each tile of a line, lane by lane, its largest number."""

    e: Emitter
    largest: Buffer

    def clear(self, tile: Int) -> None:
        self.e.store(self.e.splat(0.0), self.largest.at(tile=tile))

    def enter(self, tile: Int) -> None:
        """A tile is all that it sees."""

    def see(self, tile: Int, c: Int, vectors: list[Value]) -> None:
        place = self.largest.at(tile=tile)
        largest = self.e.load(place)
        for vector in vectors:
            largest = self.e.larger(largest, self.e.absolute(vector))
        self.e.store(largest, place)


def huge(e: Emitter) -> float:
    """What sums of inputs or taps must stay far from, so that none overflows."""
    return 2.0**100 if e.element_bytes == 4 else 2.0**900


def is_even(e: Emitter, mass: Value, largest: Value) -> Value:
    """Is there mass enough for the largest number, and is that one far from overflowing? Both in every lane."""
    enough = e.is_ordered(mass, ">", e.arithmetic(largest, "*", e.splat(LEAST_MASS)))
    return e.in_first_lane(
        e.either_of(
            e.all_of(enough, e.is_ordered(largest, "<", e.splat(huge(e)))), e.is_ordered(largest, "==", e.splat(0.0))
        )
    )


def zero_or_huge(e: Emitter) -> Buffer:
    """The two numbers 0 and one that no even sum reaches."""
    numbers = e.elements(2, "zero_or_huge")
    for n, number in enumerate((0.0, huge(e))):
        e.store_scalar(e.element(number), numbers.at(i=n))
    return numbers
