"""Constants and parameters of the algorithm for small groups, channels last."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import PanelKernel
from faltung.plan.parameters import LineSizes, T


@dataclass(frozen=True, slots=True)
class GroupedKernel(PanelKernel):
    """Each lane has the group of its own output channel. `groups` is 1 here."""

    taps: int  # along w, that a tile keeps in registers
    has_prefetch: bool  # a line of the input is asked for before it is read
    lane_in: int  # input channels of a group
    lane_out: int  # output channels of a group; they divide the lanes

    ALGORITHM: ClassVar[str] = "grouped"

    @property
    def group_in(self) -> int:
        """Input channels that one output reads."""
        return self.lane_in


@dataclass(frozen=True, slots=True)
class GroupedParameters(Generic[T]):
    """Blocks of lines, parts of the output channels, and sizes."""

    num_line_blocks: T
    num_w_blocks: T
    block_lines: T
    block_w: T
    num_oc_parts: T
    panels_per_part: T
    sizes: LineSizes[T]
    y_offset: T
    w_offset: T
