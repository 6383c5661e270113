"""Constants and parameters of the direct algorithm for channels first."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import Kernel
from faltung.plan.parameters import LineSizes, T

PACKED_STEPS = 64
"""Steps of the reduction that one task of the packing lays out: enough to outlast its claiming."""
MOST_SHUFFLED_STRIDE = 8
"""Largest stride along w at which staging loads whole vectors and shuffles; beyond it most numbers are dropped."""


@dataclass(frozen=True, slots=True)
class DirectNchwKernel(Kernel):
    """Rows of the tile are output channels, vectors lie along output positions."""

    is_interleaved: bool  # input and output have their channels last
    is_staged: bool  # or read where it lies
    is_shifted: bool  # one staged copy for each tap along w, so that vectors run across lines
    is_chunked: bool  # chunk after chunk of the reduction, whose sums wait in y
    is_packed: bool  # or read as the caller holds it, the steps of the reduction side by side
    lines: int  # output lines of a tile; more than one where a group has one output channel
    line_taps: int  # taps along h whose numbers such a tile keeps in registers

    ALGORITHM: ClassVar[str] = "direct_nchw"

    @property
    def x_step(self) -> int:
        """Elements from one input position along w to the next."""
        return self.in_channels if self.is_interleaved else 1

    @property
    def block_pitch(self) -> int:
        """Elements from one packed block of output channels to the next.

        A little more than a block: packing writes to all blocks in turn, and places a multiple of a page apart would
        share one set of L1.
        """
        return self.reduction * self.rows + 16

    @property
    def groups_per_pack(self) -> int:
        """Groups that one task of the packing lays out."""
        return max(PACKED_STEPS // self.reduction, 1)

    @property
    def pack_tasks(self) -> int:
        """Tasks of the packing."""
        return -(-self.groups // self.groups_per_pack) * -(-self.reduction // PACKED_STEPS)

    @property
    def crosses_samples(self) -> bool:
        """Do strips run across the samples of a 1-D convolution, whose results lie apart in y?"""
        return self.is_shifted and len(self.kernel_size) == 1 and not self.is_interleaved

    @property
    def has_results_apart(self) -> bool:
        """Do neighbouring results of one channel lie apart in y, so that they wait and are moved to their places?"""
        return self.crosses_samples or (self.y_step > 1 and not self.is_interleaved)


@dataclass(frozen=True, slots=True)
class DirectNchwParameters(Generic[T]):
    """Blocks and parts, sizes, and the strides of the staged block; places in the scratch are in bytes."""

    num_line_blocks: T
    num_w_blocks: T
    num_group_parts: T
    groups_per_part: T
    num_oc_parts: T
    oc_blocks_per_part: T
    block_lines: T
    block_w: T
    stretch: T
    chunk: T
    sizes: LineSizes[T]
    y_offset: T
    w_offset: T
    num_line_components: T
    halo_lines: T
    num_copies: T
    halo_w: T
    line_stride: T
    component_stride: T
    copy_stride: T
    plane_stride: T
    channel_stride: T
    staged_at: T
    results_at: T
    results_pitch: T
