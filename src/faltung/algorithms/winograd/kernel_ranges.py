"""Which kernels may be summed fast: those in which no tap of an output channel is all but missing.

Where a window hangs over an edge, or meets zeros, only some taps meet a number: the sum of their products is what the
rounding is held against. A kernel with a tap that weighs less than LEAST_TAP of the largest number, in any of its
output channels, is summed directly altogether. An output channel of zeros only is no matter.
"""

from dataclasses import dataclass

from faltung.algorithms.winograd.kernel import WinogradKernel
from faltung.algorithms.winograd.ranges import huge
from faltung.codegen.emitter import Buffer, Emitter, Int, Value

LEAST_TAP = 1 / 8
"""What a tap weighs at least, over all input channels, of the largest number of its output channel's kernel."""


def _each_panel(e: Emitter, kernel: WinogradKernel, place: Value) -> Buffer:
    """Beside the packed kernel, for each panel and step: what the lightest tap weighs (0), the largest number (1)."""
    width = kernel.vectors * e.lanes
    return e.buffer(place, panel=kernel.tap_segments * 2 * width, step=2 * width, kind=width, oc=1)


@dataclass
class TapMasses:
    """What the taps of one step of a panel weigh, found while they are packed."""

    e: Emitter
    kernel: WinogradKernel
    place: Value
    index: Int

    def __post_init__(self) -> None:
        e, k = self.e, self.kernel
        self.lanes = range(0, k.vectors * e.lanes, e.lanes)
        self.masses = {lane: [e.vector_variable(f"mass_{t}") for t in range(k.segment_taps)] for lane in self.lanes}
        self.least, self.largest = (
            {lane: e.vector_variable(name) for lane in self.lanes} for name in ("least", "most")
        )
        for lane in self.lanes:
            self.least[lane].set(e.splat(huge(e)))
            self.largest[lane].set(e.splat(0.0))

    def start(self) -> None:
        """Begin with a component."""
        for masses in self.masses.values():
            for mass in masses:
                mass.set(self.e.splat(0.0))

    def see(self, lane: int, vectors: list[Value]) -> None:
        """Look at the taps of one input channel and a vector of output channels."""
        e, largest = self.e, self.largest[lane]
        for mass, vector in zip(self.masses[lane], vectors, strict=True):
            size = e.absolute(vector)
            mass.set(e.arithmetic(mass.get(), "+", size))
            largest.set(e.larger(largest.get(), size))

    def add(self, exists: list[Value]) -> None:
        """End with a component, of which these taps exist."""
        e = self.e
        for lane, masses in self.masses.items():
            for mass, is_tap in zip(masses, exists, strict=True):
                with e.when(is_tap):
                    self.least[lane].set(e.smaller(mass.get(), self.least[lane].get()))

    def finish(self) -> None:
        """Store what was found."""
        # the step's number counts through all panels
        here = _each_panel(self.e, self.kernel, self.place).moved(step=self.index)
        for lane in self.lanes:
            self.e.store(self.least[lane].get(), here.at(kind=0, oc=lane))
            self.e.store(self.largest[lane].get(), here.at(kind=1, oc=lane))


def kernel_is_even(e: Emitter, kernel: WinogradKernel, place: Value) -> Value:
    """Does every tap of every output channel weigh enough?"""
    k, width = kernel, kernel.vectors * e.lanes
    taps = _each_panel(e, k, place)
    uneven = e.vector_variable("uneven")
    uneven.set(e.splat(0.0))
    with e.loop("panel", -(-k.out_channels // width)) as panel, e.loop("oc", width, step=e.lanes) as oc:
        least, largest = e.vector_variable("least"), e.vector_variable("most")
        least.set(e.splat(huge(e)))
        largest.set(e.splat(0.0))
        with e.loop("step", k.tap_segments) as step:
            here = taps.moved(panel=panel, step=step, oc=oc)
            least.set(e.smaller(e.load(here.at(kind=0)), least.get()))
            largest.set(e.larger(largest.get(), e.load(here.at(kind=1))))
        enough = e.is_ordered(least.get(), ">", e.arithmetic(largest.get(), "*", e.splat(LEAST_TAP)))
        enough = e.all_of(enough, e.is_ordered(largest.get(), "<", e.splat(huge(e))))
        is_fast = e.either_of(enough, e.is_ordered(largest.get(), "==", e.splat(0.0)))
        uneven.set(e.where(is_fast, uneven.get(), e.splat(1.0)))
    return e.in_first_lane(e.is_ordered(e.sum_of_lanes(uneven.get()), "==", e.splat(0.0)))
