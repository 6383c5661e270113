"""Constants and parameters of the kernel gradient by Toom-Cook."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.algorithms.winograd.kernel import WinogradKernel
from faltung.plan.parameters import LineSizes, T


@dataclass(frozen=True, slots=True)
class WinogradGradientKernel(WinogradKernel):
    """Sums of inputs times sums of output gradients, added up over tiles."""

    ALGORITHM: ClassVar[str] = "winograd_gradient"
    STAGES: ClassVar[tuple[str, str]] = ("partial", "total")

    def padded_out(self, lanes: int) -> int:
        """Output channels rounded up to whole vectors."""
        return -(-self.out_channels // lanes) * lanes


@dataclass(frozen=True, slots=True)
class WinogradGradientParameters(Generic[T]):
    """Chunks of blocks and parts of the output channels, blocks, sizes; places in the scratch are in bytes."""

    num_chunks: T
    num_parts: T
    panels_per_part: T
    rows_per_task: T
    num_blocks: T
    num_line_blocks: T
    num_tile_blocks: T
    block_lines: T
    block_tiles: T
    sizes: LineSizes[T]
    staged_tiles: T
    staged_lines: T
    halo_lines: T
    dy_at: T
    line_at: T
    statistics_at: T
    plain_at: T
    flags_at: T
