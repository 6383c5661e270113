"""The suite without cliffs: one size grows while the others stay, and the time per output must not jump.

A size that a kernel does not like (one more than a vector, a length that leaves a remainder) is a cliff that people
fall off in real networks. Two neighbours show one if the time per output grows by more than JUMP beyond the growth of
the work per output, or if the smaller convolution takes JUMP times as long as the larger one.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod

from faltung.bench.result import Comparison
from faltung.spec import ConvSpec

JUMP = 1.5


def _around_powers(most: int) -> tuple[int, ...]:
    """Powers of two, and one less and one more."""
    values = {2**power + step for power in range(most.bit_length()) for step in (-1, 0, 1)}
    return tuple(sorted(value for value in values if 1 <= value <= most))


SWEEPS = {
    "length": ("conv1d n8 w{0} ic16 oc16 kw3 same", _around_powers(4096)),
    "channels": ("conv1d n4 w512 ic{0} oc{0} kw3 same", tuple(range(1, 65))),
    "dilation": ("conv1d n4 w2048 ic16 oc16 kw3 dw{0} same", _around_powers(512)),
    "kernel": ("conv1d n1 w4096 ic4 oc8 kw{0} same", _around_powers(1024)),
    "batch": ("conv1d n{0} w64 ic16 oc16 kw3 same", _around_powers(64)),
}
"""What grows: the text with its place, and the values."""


def cases() -> dict[str, str]:
    """Return the spec texts of all sweeps; their names are "length/17", say.

    >>> cases()["batch/3"]
    'conv1d n3 w64 ic16 oc16 kw3 same'
    """
    return {f"{axis}/{value}": text.format(value) for axis, (text, values) in SWEEPS.items() for value in values}


@dataclass(frozen=True, slots=True)
class Point:
    """One convolution of a sweep on one peer."""

    value: int
    seconds: float
    num_outputs: int
    macs: int

    @property
    def seconds_per_output(self) -> float:
        """What the sweep looks at."""
        return self.seconds / self.num_outputs


@dataclass(frozen=True, slots=True)
class Cliff:
    """Two neighbours of a sweep between which the time of a peer jumps."""

    axis: str
    peer: str
    before: int
    after: int
    factor: float


def curves(comparison: Comparison) -> dict[tuple[str, str], list[Point]]:
    """Return the points of each sweep and peer, in the order of the values."""
    found: dict[tuple[str, str], list[Point]] = {}
    for axis, (_, values) in SWEEPS.items():
        for value in values:
            case = comparison.cases.get(f"{axis}/{value}")
            if case is None:
                continue
            spec = ConvSpec.from_text(case.spec)
            for peer in case.measured:
                seconds = case.results[peer].microseconds / 1e6
                point = Point(value, seconds, prod(spec.output_shape), spec.macs)
                found.setdefault((axis, peer), []).append(point)
    return found


def cliffs(comparison: Comparison) -> list[Cliff]:
    """Return all jumps by more than JUMP, the largest first."""
    found = []
    for (axis, peer), points in curves(comparison).items():
        for one, larger in pairwise(points):
            factor = jump(one, larger)
            if factor > JUMP:
                found.append(Cliff(axis, peer, one.value, larger.value, factor))
    return sorted(found, key=lambda cliff: -cliff.factor)


def jump(one: Point, larger: Point) -> float:
    """Return by how much the time jumps, up or down, between a point and a larger one; at most 1 where it does not."""
    work = (larger.macs / larger.num_outputs) / (one.macs / one.num_outputs)
    up = larger.seconds_per_output / one.seconds_per_output / max(work, 1.0)
    return max(up, one.seconds / larger.seconds)
