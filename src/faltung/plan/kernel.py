"""Kernel: the constants that one program is specialised to. What it is told at each call are its parameters.

Two calls with equal kernels share one compiled program: sizes along batch and space are parameters, so one program
serves all lengths. Each algorithm derives its own kernel in algorithms/NAME/kernel.py, beside its parameters.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar, Protocol

from faltung.plan.problem import KernelView, Problem

ALL_AXES = ("d", "h", "w")


class AnyKernel(Hashable, Protocol):
    """What a launch needs to know of the constants of any program; hashable, equal where the programs are."""

    ALGORITHM: ClassVar[str]
    STAGES: ClassVar[tuple[str, str]]
    """The functions of the program, in the order in which a call runs them."""

    @property
    def dtype(self) -> str:
        """The element type."""

    @property
    def has_streaming_stores(self) -> bool:
        """Does the program store past the caches, which wants an aligned result?"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The constants of every convolution kernel; tuples hold one number for each spatial axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    out_channels: int
    w: KernelView
    y_step: int  # elements from one output position along w to the next
    padding_mode: str | None  # None where no window touches padding
    has_bias: bool
    adds_result: bool
    activation: str | None
    activation_parameter: float | None
    dtype: str
    has_streaming_stores: bool  # results that no cache can hold, in whole aligned vectors, are stored past the caches
    rows: int  # MR of the register tile
    vectors: int  # NR of the register tile, in vectors

    ALGORITHM: ClassVar[str]
    STAGES: ClassVar[tuple[str, str]] = ("pack", "compute")

    @property
    def axes(self) -> tuple[str, ...]:
        """The spatial axes by letter: ("w",), ("h", "w") or ("d", "h", "w")."""
        return ALL_AXES[-len(self.kernel_size) :]

    def along_dhw(self, name: str) -> tuple[int, int, int]:
        """kernel_size, stride or dilation along planes, lines and w; 1 where the rank has no such axis."""
        numbers: tuple[int, ...] = getattr(self, name)
        d, h, w = (1,) * (3 - len(numbers)) + numbers
        return d, h, w

    @property
    def group_in(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def num_taps(self) -> int:
        """Taps over all axes."""
        return prod(self.kernel_size)

    @property
    def reduction(self) -> int:
        """Products summed for one output."""
        return self.num_taps * self.group_in


@dataclass(frozen=True, slots=True)
class PanelKernel(Kernel):
    """Constants of kernels whose vectors lie along output channels, so that the learned kernel is read in panels."""

    is_packed: bool  # or read as the caller holds it, output channels side by side


def constants_of(problem: Problem) -> dict[str, Any]:
    """The fields of Kernel that a problem fixes: all but the tile and the way results are stored."""
    return {
        "kernel_size": problem.kernel_size,
        "stride": problem.stride,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "in_channels": problem.in_channels,
        "out_channels": problem.out_channels,
        "w": replace(problem.w, offset=0),  # a parameter: the polyphase components of a stride share one program
        "y_step": problem.y.spatial[-1],
        "padding_mode": problem.padding_mode,
        "has_bias": problem.has_bias,
        "adds_result": problem.adds_result,
        "activation": problem.activation,
        "activation_parameter": problem.activation_parameter,
        "dtype": problem.dtype,
    }
