"""Lanes of small groups: I input and O output channels make a group; a vector of outputs holds whole groups."""

from collections.abc import Callable
from typing import Protocol

from faltung.codegen.emitter import Emitter, Value


class LaneKernel(Protocol):
    """Constants of kernels whose lanes each have a group of their own."""

    @property
    def lane_in(self) -> int: ...
    @property
    def lane_out(self) -> int: ...


def load_inputs(
    e: Emitter,
    kernel: LaneKernel,
    address_at: Callable[[int], Value],
    outputs: list[int],
) -> list[Value]:
    """The inputs of some vectors of outputs, of which so many lanes count; address_at takes an input channel."""
    return [
        e.load_masked(address_at(v * inputs_of(e.lanes, kernel)), e.mask(inputs_of(count, kernel)), f"x_v{v}")
        for v, count in enumerate(outputs)
    ]


def spread(e: Emitter, kernel: LaneKernel, loaded: list[Value], i: int) -> list[Value]:
    """The vectors in which each lane has input i of its own group: that of lane l, l // O, begins at l // O * I."""
    if kernel.lane_in == kernel.lane_out == 1:
        return loaded
    lanes = [lane // kernel.lane_out * kernel.lane_in + i for lane in range(e.lanes)]
    return [e.shuffle(vector, vector, lanes) for vector in loaded]


def inputs_of(outputs: int, kernel: LaneKernel) -> int:
    """The input channels of the groups that so many output channels belong to."""
    return -(-outputs // kernel.lane_out) * kernel.lane_in
