"""Constants and parameters of the Toom-Cook algorithm."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import Kernel
from faltung.plan.parameters import LineSizes, T


@dataclass(frozen=True, slots=True)
class WinogradKernel(Kernel):
    """As direct_nhwc, on sums of inputs and of taps whose products serve `outputs` positions along w at once.

    The taps along w are cut into segments of `segment_taps`, the last filled with zeros. The polyphase components of a
    stride along w are further inputs: what lies between the positions of neighbouring outputs meets its own taps.
    """

    outputs: int
    segment_taps: int
    is_channels_last: bool  # otherwise input and output exchange channels and positions on the way

    ALGORITHM: ClassVar[str] = "winograd"

    @property
    def products(self) -> int:
        """Multiplications that serve one tile of `outputs` positions, for one segment and one channel."""
        return self.outputs + self.segment_taps - 1

    @property
    def components(self) -> int:
        """Inputs of each channel that lie between the positions of neighbouring outputs."""
        return self.stride[-1]

    @property
    def inputs(self) -> int:
        """Numbers that one tap of a component adds up: of all channels and components."""
        return self.in_channels * self.components

    @property
    def segments(self) -> int:
        """Segments along w."""
        return -(-self.kernel_size[-1] // (self.components * self.segment_taps))

    @property
    def tap_lines(self) -> tuple[int, int]:
        """Taps along d and h."""
        kd, kh, _ = self.along_dhw("kernel_size")
        return kd, kh

    @property
    def tap_segments(self) -> int:
        """Taps along d and h, and segments along w: the steps that a packed kernel is made of."""
        kd, kh = self.tap_lines
        return kd * kh * self.segments

    @property
    def counted(self) -> tuple[int, int]:
        """Segments, and taps of each, that a window surely has in every component.

        The last segment may be filled with zeros: then its taps are counted in all, or those of all but it.
        """
        taps = self.kernel_size[-1] // self.components
        last = taps - (self.segments - 1) * self.segment_taps
        return (self.segments, last) if last > 1 else (taps // self.segment_taps, self.segment_taps)

    @property
    def reduction(self) -> int:
        """Products summed for one output, in each of its `products` sums."""
        return self.tap_segments * self.inputs

    def padded_in(self, lanes: int) -> int:
        """Inputs rounded up to whole vectors."""
        return -(-self.inputs // lanes) * lanes


@dataclass(frozen=True, slots=True)
class WinogradParameters(Generic[T]):
    """Blocks of lines and tiles, parts of the output channels, sizes; places in the scratch are in bytes."""

    num_line_blocks: T
    num_tile_blocks: T
    block_lines: T
    block_tiles: T
    num_oc_parts: T
    panels_per_part: T
    sizes: LineSizes[T]
    y_offset: T
    w_offset: T
    staged_tiles: T
    staged_lines: T
    halo_lines: T
    sums_at: T
    line_at: T
    results_at: T
    masses_at: T
    flags_at: T
    largest_at: T
    plain_at: T
    plain_taps_at: T
    taps_at: T
