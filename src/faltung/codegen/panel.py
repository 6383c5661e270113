"""A panel: some vectors of neighbouring output channels, with their part of the kernel and their biases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.plan.kernel import PanelKernel


@dataclass
class Panel:
    """The output channels of one panel: where their kernel rows and biases lie."""

    e: Emitter
    kernel: PanelKernel
    call: Call
    panel: Int
    oc: Int
    channels: int
    g: Int

    def __post_init__(self) -> None:
        e, k = self.e, self.kernel
        if k.is_packed:
            width = k.vectors * e.lanes
            panels = -(-k.group_out // width)
            number = e.add(e.mul(self.g, panels), self.panel)
            packed = e.buffer(self.call.workspace, panel=k.reduction * width, k=width, oc=1)
            self.w = packed.moved(panel=number)
        else:
            self.w = e.buffer(self.call.kernel, k=k.out_channels, oc=1).moved(oc=self.oc)

    def rows_of_tap(self, tap: Int) -> Buffer:
        return self.w.moved(k=self.e.mul(tap, self.kernel.group_in))

    def vector(self, rows: Buffer, j: Int, v: int) -> Value:
        """Kernel row j of a tap: lanes of vector v."""
        lane = v * self.e.lanes
        if self.kernel.is_packed:
            return self.e.load(rows.at(k=j, oc=lane), f"w_v{v}")
        return self.e.load_masked(rows.at(k=j, oc=lane), self.e.mask(self.channels - lane), f"w_v{v}")

    def bias(self, v: int) -> Value:
        if not self.kernel.has_bias:
            return self.e.splat(0.0)
        lane = v * self.e.lanes
        place = self.e.buffer(self.call.bias, oc=1).at(oc=self.e.add(self.oc, lane))
        return self.e.load_masked(place, self.e.mask(self.channels - lane))


class PanelParts(Protocol):
    """What the parameters of an algorithm say about its parts of the output channels."""

    @property
    def num_oc_parts(self) -> Int: ...
    @property
    def panels_per_part(self) -> Int: ...


def each_panel(
    e: Emitter, p: PanelParts, oc_part: Int, channels: int, width: int, body: Callable[[Int, int], None]
) -> None:
    """Run body(panel, its channels) for the whole panels of a part, and in the last part for what they leave."""
    whole, rest = divmod(channels, width)
    if whole:
        first = e.mul(oc_part, p.panels_per_part)
        with e.loop("panel", e.minimum(e.add(first, p.panels_per_part), whole), first) as panel:
            body(panel, width)
    if rest:
        with e.when(e.compare(e.add(oc_part, 1), "==", p.num_oc_parts)):
            body(whole, rest)
