"""Constants and parameters of the direct algorithm that transposes channels first to channels last and back."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import PanelKernel
from faltung.plan.parameters import LineSizes, T


@dataclass(frozen=True, slots=True)
class DirectNchwTransposedKernel(PanelKernel):
    """A task transposes its lines of channels into positions, computes as direct_nhwc does, and transposes back."""

    pitch: int  # elements from one transposed position to the next

    ALGORITHM: ClassVar[str] = "direct_nchw_transposed"

    @property
    def is_merged(self) -> bool:
        """Are the taps of a window one run?"""
        return self.kernel_size[-1] == 1 or (self.dilation[-1] == 1 and self.pitch == self.in_channels)


@dataclass(frozen=True, slots=True)
class DirectNchwTransposedParameters(Generic[T]):
    """Blocks, parts of the output channels, sizes; `results_at` is where results wait, in bytes of the scratch."""

    num_line_blocks: T
    num_w_blocks: T
    block_lines: T
    block_w: T
    num_oc_parts: T
    panels_per_part: T
    sizes: LineSizes[T]
    y_offset: T
    w_offset: T
    results_at: T
