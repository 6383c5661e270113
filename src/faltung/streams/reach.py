"""How the outputs of a node along time depend on the indices of one of its inputs: exact integers, each formula once.

A reach tells, of `available` first inputs of a signal that goes on, how many outputs they complete; of a signal that
has ended, how many outputs there are in all; and which input is the first that outputs from some index on still need.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Window:
    """Output o reads `window` inputs from o * stride - low on; a crop at either end is negative padding."""

    window: int = 1
    stride: int = 1
    low: int = 0
    high: int = 0
    overhangs: bool = False  # a last window may end beyond the padding, if it begins before its end (ceil_mode)

    @property
    def rate(self) -> Fraction:
        """Outputs for each input."""
        return Fraction(1, self.stride)

    def complete(self, available: int) -> int:
        """Outputs that can be computed while the signal goes on."""
        if available == 0:
            return 0
        return max(0, (available + self.low + min(self.high, 0) - self.window) // self.stride + 1)

    def total(self, size: int) -> int:
        """Outputs of a signal that has ended."""
        padded = size + self.low + self.high
        count = (padded - self.window) // self.stride + 1
        if (
            self.overhangs
            and (count - 1) * self.stride + self.window < padded
            and count * self.stride < size + self.low
        ):
            count += 1
        return max(0, count)

    def first(self, done: int, available: int) -> int:
        """The first input that outputs from `done` on read; it may lie before the first or behind the last."""
        return done * self.stride - self.low

    @property
    def span(self) -> tuple[Fraction, Fraction, Fraction]:
        """The first, the last and the middle input of output o, from o / rate on."""
        return Fraction(-self.low), Fraction(self.window - 1 - self.low), Fraction(self.window - 1, 2) - self.low


@dataclass(frozen=True, slots=True)
class Spread:
    """A transposed convolution: input i reaches i * stride + k, 0 <= k < window; then `low` and `high` are cut."""

    window: int
    stride: int
    low: int
    high: int
    more: int  # outputs behind the full result, before cropping

    @property
    def rate(self) -> Fraction:
        """Outputs for each input."""
        return Fraction(self.stride)

    def complete(self, available: int) -> int:
        """Outputs that no later input reaches; those that the end would cut off wait."""
        if available == 0:
            return 0
        return max(0, min(available * self.stride - self.low, self.total(available)))

    def total(self, size: int) -> int:
        """Outputs of a signal that has ended."""
        return max(0, (size - 1) * self.stride + self.window - self.low - self.high + self.more)

    def first(self, done: int, available: int) -> int:
        """The first input that reaches outputs from `done` on, or one that begins no later than they do."""
        reaches = -((self.window - 1 - self.low - done) // self.stride)  # rounded up
        return max(0, min(reaches, (done + self.low) // self.stride, available - 1))

    @property
    def span(self) -> tuple[Fraction, Fraction, Fraction]:
        """The first, the last and the middle input of output o, from o / rate on."""
        last = Fraction(self.low, self.stride)
        return last - Fraction(self.window - 1, self.stride), last, last - Fraction(self.window - 1, 2 * self.stride)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Each input stands for `factor` outputs."""

    factor: int

    @property
    def rate(self) -> Fraction:
        """Outputs for each input."""
        return Fraction(self.factor)

    def complete(self, available: int) -> int:
        """Outputs that can be computed."""
        return available * self.factor

    def total(self, size: int) -> int:
        """Outputs of a signal that has ended."""
        return size * self.factor

    def first(self, done: int, available: int) -> int:
        """The first input that outputs from `done` on read."""
        return done // self.factor

    @property
    def span(self) -> tuple[Fraction, Fraction, Fraction]:
        """The first, the last and the middle input of output o, from o / rate on."""
        before = Fraction(1 - self.factor, self.factor)
        return before, Fraction(0), before / 2


Reach = Window | Spread | Repeat
SAME = Window()
