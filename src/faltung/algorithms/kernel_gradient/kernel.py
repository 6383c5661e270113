"""Constants and parameters of the kernel gradient by direct summation."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import Kernel
from faltung.plan.parameters import LineSizes, T


@dataclass(frozen=True, slots=True)
class KernelGradientKernel(Kernel):
    """Rows of the tile are numbers of a run of the input, vectors lie along output channels."""

    is_channels_last: bool
    stages_x: bool  # padded or channels first: gathered into lines of positions; otherwise read in place
    stages_dy: bool  # channels first, or several panels: gathered panel by panel

    ALGORITHM: ClassVar[str] = "kernel_gradient"
    STAGES: ClassVar[tuple[str, str]] = ("partial", "total")

    @property
    def x_step(self) -> int:
        """Elements from one input position along w to the next."""
        return self.in_channels if self.is_channels_last else 1

    @property
    def gathered_channels(self) -> int:
        """Input channels that a gathered line holds."""
        return self.group_in

    @property
    def is_merged(self) -> bool:
        """Are the taps of a line one run?"""
        is_side_by_side = self.stages_x or self.groups == 1
        return is_side_by_side and (self.dilation[-1] == 1 or self.kernel_size[-1] == 1)

    @property
    def run_length(self) -> int:
        """Numbers of a run."""
        return self.group_in * (self.kernel_size[-1] if self.is_merged else 1)

    def padded_out(self, lanes: int) -> int:
        """Output channels of a group, rounded up to whole vectors."""
        return -(-self.group_out // lanes) * lanes


@dataclass(frozen=True, slots=True)
class GroupedKernelGradientKernel(KernelGradientKernel):
    """The kernel gradient of small groups: each lane has the group of its own output channel. `groups` is 1 here."""

    line_taps: int  # rows of a tile: taps along h …
    w_taps: int  # … times taps along w
    positions: int  # that meet the inputs of a tile at once
    lane_in: int
    lane_out: int

    ALGORITHM: ClassVar[str] = "grouped_kernel_gradient"

    @property
    def group_in(self) -> int:
        """Input channels that one output reads."""
        return self.lane_in

    @property
    def gathered_channels(self) -> int:
        """Input channels that a gathered line holds."""
        return self.in_channels


@dataclass(frozen=True, slots=True)
class KernelGradientParameters(Generic[T]):
    """Chunks of positions and parts of the output channels, blocks, sizes; `dy_at` is in bytes of the scratch."""

    num_chunks: T
    num_parts: T
    panels_per_part: T
    rows_per_task: T
    num_blocks: T
    num_line_blocks: T
    num_w_blocks: T
    block_lines: T
    block_w: T
    sizes: LineSizes[T]
    staged_line: T
    staged_plane: T
    dy_at: T
