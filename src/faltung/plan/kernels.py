"""What a kernel is specialised to (constants of its code) and what it is told at each call (its parameters).

Two calls with equal kernels share one compiled program: sizes along batch and space are parameters, so one program
serves all lengths.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

ALL_AXES = ("d", "h", "w")
PACKED_STEPS = 64
"""Steps of the reduction that one piece of the packing of TapsKernel lays out."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The constants that every forward kernel has; tuples hold one number for each spatial axis."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    out_channels: int
    kernel_is_oiw: bool
    padding_mode: str | None  # None where no window touches padding
    has_bias: bool
    activation: str | None
    activation_parameter: float | None
    dtype: str
    writes_around_cache: bool  # results that no cache can hold, in whole aligned vectors
    rows: int
    vectors: int

    @property
    def axes(self) -> tuple[str, ...]:
        """The spatial axes by letter: ("w",), ("h", "w") or ("d", "h", "w")."""
        return ALL_AXES[-len(self.kernel_size) :]

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
class RunsKernel(Kernel):
    """Channels last: rows of the tile are output positions, vectors lie along output channels."""

    is_packed: bool

    ALGORITHM: ClassVar[str] = "runs"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_positions", "num_blocks", "piece_positions", "block_positions", "num_oc_parts", "panels_per_part"),
        *("out_d", "out_h", "out_w", "in_d", "in_h", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_d", "x_h"),
    )


@dataclass(frozen=True, slots=True)
class TapsKernel(Kernel):
    """Rows of the tile are output channels, vectors lie along output positions; made for channels-first layouts."""

    is_interleaved: bool  # input and output have their channels last
    is_staged: bool  # or read where it lies
    is_shifted: bool  # one staged copy for each tap along w, so that vectors run across lines

    @property
    def x_step(self) -> int:
        """Elements from one input position along w to the next."""
        return self.in_channels if self.is_interleaved else 1

    @property
    def y_step(self) -> int:
        """Elements from one output position along w to the next."""
        return self.out_channels if self.is_interleaved else 1

    @property
    def crosses_samples(self) -> bool:
        """Do strips run across the samples of a 1-D convolution, whose results lie apart in y?"""
        return self.is_shifted and len(self.kernel_size) == 1 and not self.is_interleaved

    ALGORITHM: ClassVar[str] = "taps"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_line_blocks", "num_w_blocks", "num_oc_parts", "oc_blocks_per_part"),
        *("block_lines", "block_w", "stretch", "out_d", "lines", "out_w"),
        *("in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line"),
        *("num_line_phases", "more_lines", "num_copies", "more_w"),
        *("pitch", "line_phase", "copy", "plane", "channel", "staged_at", "results_at", "results_pitch"),
    )
