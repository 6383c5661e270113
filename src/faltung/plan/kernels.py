"""What a kernel is specialised to (constants of its code) and what it is told at each call (its parameters).

Two calls with equal kernels share one compiled program: sizes along batch and space are parameters, so one program
serves all lengths.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from faltung.plan.problem import KernelView

ALL_AXES = ("d", "h", "w")
PACKED_STEPS = 64
"""Steps of the reduction that one piece of the packing of TapsKernel lays out."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The constants that runs and taps share; tuples hold one number for each spatial axis."""

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
    activation: str | None
    activation_parameter: float | None
    dtype: str
    writes_around_cache: bool  # results that no cache can hold, in whole aligned vectors
    rows: int
    vectors: int

    PARAMETERS: ClassVar[tuple[str, ...]]

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
class RunsKernel(Kernel):
    """Channels last: rows of the tile are output positions, vectors lie along output channels."""

    is_packed: bool  # or read as the caller holds it, channels side by side
    fetches_ahead: bool  # what the next block of positions reads

    ALGORITHM: ClassVar[str] = "runs"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_positions", "num_blocks", "piece_positions", "block_positions", "num_oc_parts", "panels_per_part"),
        *("out_d", "out_h", "out_w", "in_d", "in_h", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_d", "x_h", "y_n", "y_d", "y_h", "y_offset", "w_offset"),
    )


@dataclass(frozen=True, slots=True)
class TurnedKernel(Kernel):
    """Channels first, by tiles as of runs: a piece turns its lines of channels into positions, and its results back."""

    pitch: int  # elements from one turned position to the next

    is_packed: ClassVar[bool] = True
    ALGORITHM: ClassVar[str] = "turned runs"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_line_blocks", "num_w_blocks", "block_lines", "block_w", "num_oc_parts", "panels_per_part"),
        *("out_d", "lines", "out_w", "in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line", "y_offset", "w_offset"),
        "results_at",
    )

    @property
    def is_merged(self) -> bool:
        """Are the taps of a window one run?"""
        return self.kernel_size[-1] == 1 or (self.dilation[-1] == 1 and self.pitch == self.in_channels)


@dataclass(frozen=True, slots=True)
class GroupsKernel(Kernel):
    """Channels last, small groups: each lane has the group of its own output channel. `groups` is 1 here."""

    taps: int  # along w, that a tile keeps in registers
    fetches_ahead: bool  # a line of the input before it is read
    lane_in: int  # input channels of a group
    lane_out: int  # output channels of a group; they divide the lanes

    is_packed: ClassVar[bool] = True
    ALGORITHM: ClassVar[str] = "groups"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_line_blocks", "num_w_blocks", "block_lines", "block_w", "num_oc_parts", "panels_per_part"),
        *("out_d", "lines", "out_w", "in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_d", "x_line", "y_n", "y_d", "y_line", "y_offset", "w_offset"),
    )

    @property
    def group_in(self) -> int:
        """Input channels that one output reads."""
        return self.lane_in


@dataclass(frozen=True, slots=True)
class TapsKernel(Kernel):
    """Rows of the tile are output channels, vectors lie along output positions; made for channels-first layouts."""

    is_interleaved: bool  # input and output have their channels last
    is_staged: bool  # or read where it lies
    is_shifted: bool  # one staged copy for each tap along w, so that vectors run across lines
    is_chunked: bool  # chunk after chunk of the reduction, whose sums wait in y
    is_packed: bool  # or read as the caller holds it, the steps of the reduction side by side
    lines: int  # output lines of a tile; more than one where a group has one output channel
    line_taps: int  # taps along h whose numbers such a tile keeps in registers

    @property
    def x_step(self) -> int:
        """Elements from one input position along w to the next."""
        return self.in_channels if self.is_interleaved else 1

    @property
    def block_pitch(self) -> int:
        """Elements from one packed block of output channels to the next.

        A little more than a block: packing writes to all blocks in turn, and places a multiple of a page apart would
        share one set of the first cache.
        """
        return self.reduction * self.rows + 16

    @property
    def groups_per_pack(self) -> int:
        """Groups that one piece of the packing lays out."""
        return max(PACKED_STEPS // self.reduction, 1)

    @property
    def pack_pieces(self) -> int:
        """Pieces of the packing."""
        return -(-self.groups // self.groups_per_pack) * -(-self.reduction // PACKED_STEPS)

    @property
    def crosses_samples(self) -> bool:
        """Do strips run across the samples of a 1-D convolution, whose results lie apart in y?"""
        return self.is_shifted and len(self.kernel_size) == 1 and not self.is_interleaved

    @property
    def has_results_apart(self) -> bool:
        """Do neighbouring results of one channel lie apart in y, so that they wait and are moved to their places?"""
        return self.crosses_samples or (self.y_step > 1 and not self.is_interleaved)

    ALGORITHM: ClassVar[str] = "taps"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *(
            "num_line_blocks",
            "num_w_blocks",
            "num_group_parts",
            "groups_per_part",
            "num_oc_parts",
            "oc_blocks_per_part",
        ),
        *("block_lines", "block_w", "stretch", "chunk", "out_d", "lines", "out_w"),
        *("in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line", "y_offset", "w_offset"),
        *("num_line_phases", "more_lines", "num_copies", "more_w"),
        *("pitch", "line_phase", "copy", "plane", "channel", "staged_at", "results_at", "results_pitch"),
    )


@dataclass(frozen=True, slots=True)
class WinogradKernel(Kernel):
    """As runs, on sums of inputs and of taps whose products serve `outputs` positions along w at once.

    The taps along w are cut into segments of `segment_taps`, the last one filled with zeros. The phases of a stride
    along w are further inputs: what lies between the positions of neighbouring outputs meets taps of its own.
    """

    outputs: int
    segment_taps: int
    is_channels_last: bool  # otherwise input and output exchange channels and positions on the way

    ALGORITHM: ClassVar[str] = "winograd"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_line_blocks", "num_tile_blocks", "block_lines", "block_tiles", "num_oc_parts", "panels_per_part"),
        *("out_d", "lines", "out_w", "in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line", "y_offset", "w_offset"),
        *("staged_tiles", "staged_lines", "more_lines", "sums_at", "line_at", "results_at"),
    )

    @property
    def products(self) -> int:
        """Multiplications that serve one tile of `outputs` positions, for one segment and one channel."""
        return self.outputs + self.segment_taps - 1

    @property
    def phases(self) -> int:
        """Inputs of each channel that lie between the positions of neighbouring outputs."""
        return self.stride[-1]

    @property
    def inputs(self) -> int:
        """Numbers that one tap of a phase adds up: of all channels and phases."""
        return self.in_channels * self.phases

    @property
    def segments(self) -> int:
        """Segments along w."""
        return -(-self.kernel_size[-1] // (self.phases * self.segment_taps))

    @property
    def tap_lines(self) -> tuple[int, int]:
        """Taps along d and h."""
        kd, kh, _ = self.along_dhw("kernel_size")
        return kd, kh

    @property
    def reduction(self) -> int:
        """Products summed for one output, in each of its `products` sums."""
        kd, kh = self.tap_lines
        return kd * kh * self.segments * self.inputs

    def padded_in(self, lanes: int) -> int:
        """Inputs rounded up to whole vectors."""
        return -(-self.inputs // lanes) * lanes


@dataclass(frozen=True, slots=True)
class WinogradGradientKernel(WinogradKernel):
    """The kernel gradient from as few products: sums of inputs times sums of output gradients, added up over tiles."""

    ALGORITHM: ClassVar[str] = "winograd kernel gradient"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_chunks", "num_parts", "panels_per_part", "rows_per_piece"),
        *("num_blocks", "num_line_blocks", "num_tile_blocks", "block_lines", "block_tiles"),
        *("out_d", "lines", "out_w", "in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line"),
        *("staged_tiles", "staged_lines", "more_lines", "dy_at", "line_at"),
    )

    def padded_out(self, lanes: int) -> int:
        """Output channels rounded up to whole vectors."""
        return -(-self.out_channels // lanes) * lanes


@dataclass(frozen=True, slots=True)
class GradientKernel(Kernel):
    """The kernel gradient: rows of the tile are numbers of a run of the input, vectors lie along output channels."""

    is_channels_last: bool
    stages_x: bool  # padded or channels first: gathered into lines of positions; otherwise read in place
    stages_dy: bool  # channels first, or several panels: gathered panel by panel

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

    ALGORITHM: ClassVar[str] = "kernel gradient"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_chunks", "num_parts", "panels_per_part", "rows_per_piece"),
        *("num_blocks", "num_line_blocks", "num_w_blocks", "block_lines", "block_w"),
        *("out_d", "lines", "out_w", "in_d", "in_lines", "in_w", "low_d", "low_h", "low_w"),
        *("x_n", "x_c", "x_d", "x_line", "y_n", "y_c", "y_d", "y_line"),
        *("staged_line", "staged_plane", "dy_at"),
    )


@dataclass(frozen=True, slots=True)
class GroupsGradientKernel(GradientKernel):
    """The kernel gradient of small groups: each lane has the group of its own output channel. `groups` is 1 here."""

    line_taps: int  # rows of a tile: taps along h …
    w_taps: int  # … times taps along w
    positions: int  # that meet the inputs of a tile at once
    lane_in: int
    lane_out: int

    ALGORITHM: ClassVar[str] = "groups kernel gradient"

    @property
    def group_in(self) -> int:
        """Input channels that one output reads."""
        return self.lane_in

    @property
    def gathered_channels(self) -> int:
        """Input channels that a gathered line holds."""
        return self.in_channels


@dataclass(frozen=True, slots=True)
class EpilogueGradientKernel:
    """The gradient of bias and activation: dz = dy * activation'(z), and dz summed for each channel."""

    sums_lines: bool  # or columns
    has_bias: bool
    activation: str | None
    activation_parameter: float | None
    rows: int  # rows, or vectors of a line, in one step
    dtype: str

    writes_around_cache: ClassVar[bool] = False  # measured: takes up to twice as long
    ALGORITHM: ClassVar[str] = "epilogue gradient"
    PARAMETERS: ClassVar[tuple[str, ...]] = (
        *("num_chunks", "num_parts", "part_size", "row_size", "num_rows", "last_size"),
        *("num_units", "line_size", "line_blocks", "block_size"),
        *("channels", "num_partials", "partial_step", "num_neighbours", "neighbour_step", "channel_step"),
    )


AnyKernel = (
    RunsKernel
    | TurnedKernel
    | GroupsKernel
    | TapsKernel
    | WinogradKernel
    | WinogradGradientKernel
    | GradientKernel
    | GroupsGradientKernel
    | EpilogueGradientKernel
)
