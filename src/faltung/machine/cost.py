"""The prices of a processor: what the cost models of all algorithms know of it, as data.

A `CostModel` ranks plans; it does not predict times. Its defaults are those that were set by hand on Zen 3 (AVX2) and
Zen 5 (AVX-512) in faltung 0.1, for processors that have no table. `faltung tune` fits those that decide between
algorithms to the processor it runs on; the tables of families, made by that command, lie in costs/. Prices that decide
how an algorithm tiles and stages its work stay as they are, and so do shares of caches and counts: what they decide is
not measured by comparing algorithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCosts:
    """A step of a register tile, and where a tile begins."""

    fmas_per_cycle: float = 2.0
    """Vector multiply-adds that one core starts in a cycle: its FMA ports."""
    loads_per_cycle: float = 2.0
    """Vector loads that one core starts in a cycle."""
    vector_cycles: float = 1.1
    """To load one vector of the packed kernel, which often comes from L2."""
    fewest_step_cycles: float = 5.0
    """A step takes no less: too few accumulators do not hide a latency of four cycles (ten do, eight do not)."""
    fewest_column_cycles: float = 4.0
    """The same for a tap of a tile that shares its inputs between rows."""
    start_cycles: float = 20.0
    """To start a tile, find its place and store it."""
    remainder_factor: float = 1.03
    """A remainder of channels puts a second tile into the program: it must be worth compiling."""
    unaligned_line_loads: float = 1.4
    """Loads that one unaligned load of a line counts as: some touch two cache lines (channels first)."""
    unaligned_channels_loads: float = 1.2
    """The same for vectors of channels of neighbouring positions (small groups)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCosts:
    """How finely work is cut for threads."""

    parallel_cycles: float = 40_000.0
    """Below, one thread is quicker than two: handing over takes about a microsecond, waking a sleeper far more."""
    task_cycles: float = 20_000.0
    """A task lasts some microseconds at least, so that claiming it costs nothing."""
    most: int = 128
    """Tasks of a stage."""
    bytes_per_cycle: float = 16.0
    """What one core moves to and from L2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectNhwcCosts:
    """Direct summation, channels last."""

    total_scale: float = 1.0
    """What all of it takes, in times of what these prices and those of tiles say."""
    gather_cycles: float = 3.0
    """To look up where one row of a tile reads one tap."""
    load_cycles: float = 0.01
    """What a load costs beside multiply-adds: of tiles that are equal otherwise, the one that loads less is quicker."""
    prefetch_cache_lines: int = 4
    """Cache lines of a position from which on it pays to ask for them ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectNchwCosts:
    """Direct summation, channels first."""

    total_scale: float = 1.0
    """What all of it takes, in times of what these prices and those of tiles say."""
    stage_dense_cycles: float = 0.12
    """To stage one element, where the stride along w is 1."""
    stage_stride2_cycles: float = 0.25
    stage_stride3_cycles: float = 0.4
    stage_stride4_cycles: float = 0.5
    stage_other_cycles: float = 1.5
    """The same for larger strides."""
    stage_line_cycles: float = 8.0
    """To stage one line of one channel, besides its elements."""
    exchange_cycles: float = 0.4
    """To stage or to store one element where channels and positions change places."""
    scatter_cycles: float = 0.25
    """To copy one result of a 1-D strip across samples to its place."""
    streams_factor: float = 1.2
    """What reading more channels in place than `most_streams` does to a block's time."""
    most_streams: int = 32
    """Channels read in place whose pages the processor's TLB still reaches."""
    far_factor: float = 1.15
    """What input from L2 does to a block's time, where fewer than `near_vectors` vectors of positions fit into L1."""
    near_vectors: int = 10
    stretch_l1_share: float = 0.5
    """Of L1, for the input of a stretch."""
    fewest_chunk_steps: int = 48
    """Of the reduction, in one chunk: its sums are stored and loaded again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedCosts:
    """Direct summation, channels first through a transposition."""

    sums_scale: float = 1.0
    """What its sums take, in times of what the prices of tiles say."""
    transpose_cycles: float = 0.5
    """To transpose one number."""
    pack_cycles: float = 2.0
    """To pack one number of the kernel, which PyTorch's users hold with output channels far apart."""
    l2_share: float = 2 / 3
    """Of L2, for transposed positions: panels of the kernel pass by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedCosts:
    """Small groups, channels last."""

    lookup_cycles: float = 1.5
    """To find out where one input lies, in a tile at an edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WinogradCosts:
    """Toom-Cook along w."""

    products_scale: float = 1.0
    """What its products take, in times of what the prices of tiles say."""
    tile_cycles: float = 8.0
    """To start a tile of products and store its sums."""
    term_cycles: float = 0.5
    """To add one term to a vector of sums."""
    place_cycles: float = 2.5
    """To find where one position of a tile is read or written."""
    exchange_vector_cycles: float = 5.0
    """To exchange channels and positions, for each vector."""
    pack_cycles: float = 2.0
    """To make one vector of sums of taps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelGradientCosts:
    """Kernel gradients."""

    total_scale: float = 1.0
    """What direct summation takes, in times of what these prices and those of tiles say."""
    products_scale: float = 1.0
    """What the products of winograd_gradient take, in times of what the prices of tiles say."""
    flush_cycles: float = 2.0
    """To add one accumulator to a partial result in L2."""
    far_flush_cycles: float = 10.0
    """The same where L2 does not hold the partial result."""
    dy_l1_share: float = 0.6
    """Of L1, for dy of a block and a panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FftCosts:
    """NumPy's FFT, in the cycles that direct summation takes in the same time."""

    butterfly_cycles: float = 0.7
    """For a number of a transform and a factor of two of its size."""
    far_butterfly_cycles: float = 1.2
    """The same where a transform takes a quarter of L2: input, spectrum, product and result fill it."""
    product_cycles: float = 3.0
    """To multiply and add one pair of complex numbers."""
    matrix_product_cycles: float = 1.5
    """The same in a product of matrices."""
    move_cycles: float = 4.5
    """To gather one input, or to put one result in its place."""
    interleaved_move_cycles: float = 9.0
    """The same with several channels side by side."""
    call_cycles: float = 300_000.0
    """Python's share of a call."""
    task_cycles: float = 150_000.0
    """Python's share of a task."""
    alone_share: float = 1.5
    """What one thread does while others wait counts so many times: direct summation would share it."""
    task_elements: int = 2**16
    """Numbers in the transforms of a task: they stay in L2, and outlast the Python that starts them."""
    matrix_task_elements: int = 2**18
    """The same where spectra are multiplied as matrices, which should have some rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpilogueGradientCosts:
    """The gradient of bias and activation."""

    heavy_vector_cycles: float = 40.0
    """One vector through a derivative that needs an exponential."""
    longest_row: int = 4096
    """Numbers of a row that are summed in one go, so that their sums stay in L1; longer rows are cut."""
    line_block: int = 8192
    """Numbers of a line that are summed in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassCosts:
    """What stands between the convolutions of a network: maps, pools, reductions, norms, resampling."""

    function_vector_cycles: float = 25.0
    """One vector through a function that needs a series or a root."""
    apart_number_cycles: float = 1.5
    """To load or store one number on its own."""
    unit_numbers: int = 8192
    """Numbers of a block, the least that tasks are made of: finding its place costs some dozens of cycles."""
    crossed_rows: int = 1024
    """Rows of a block where rows and lines change places: so long are the runs that it reads."""
    crossed_line: int = 256
    """Numbers of a line of such a block."""
    chunk_numbers: int = 8192
    """Numbers of a line that are summed in one go."""
    chunk_rows: int = 256
    """Rows that are summed in one go, where vectors lie across them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCosts:
    """What lies awkwardly in a cache."""

    aliasing_elements: int = 512
    """Lines so many elements apart, or a multiple, share a few sets of a cache …"""
    most_aliased: int = 8
    """… which hold about so many of them: the ways of L1."""
    far_kernel_bytes_per_cycle: float = 24.0
    """Of a network's packed kernel that L2 does not hold: other layers drove it out, and a sample waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """All prices of one processor, by who pays them."""

    family: str = "any"
    """Whose prices these are."""
    origin: str = "set by hand in faltung 0.1, on Zen 3 with AVX2 and Zen 5 with AVX-512"
    """The processor they were fitted on, the date, and how."""
    tile: TileCosts = field(default_factory=TileCosts)
    tasks: TaskCosts = field(default_factory=TaskCosts)
    cache: CacheCosts = field(default_factory=CacheCosts)
    direct_nhwc: DirectNhwcCosts = field(default_factory=DirectNhwcCosts)
    direct_nchw: DirectNchwCosts = field(default_factory=DirectNchwCosts)
    transposed: TransposedCosts = field(default_factory=TransposedCosts)
    grouped: GroupedCosts = field(default_factory=GroupedCosts)
    winograd: WinogradCosts = field(default_factory=WinogradCosts)
    kernel_gradient: KernelGradientCosts = field(default_factory=KernelGradientCosts)
    fft: FftCosts = field(default_factory=FftCosts)
    epilogue_gradient: EpilogueGradientCosts = field(default_factory=EpilogueGradientCosts)
    passes: PassCosts = field(default_factory=PassCosts)


FITTED_GROUPS = ("transposed", "winograd", "fft")
"""Groups of which all prices are fitted: they decide between algorithms and hardly how one of them cuts its work."""
PRICE_ENDINGS = ("_cycles", "_loads", "_factor")
"""Of the names of prices in those groups; scales, which rank whole algorithms, are fitted in every group."""


def prices_of(costs: CostModel) -> dict[str, float]:
    """The prices that a fit may change, by group and field.

    >>> prices_of(CostModel())["fft.butterfly_cycles"]
    0.7
    """
    return {
        f"{group.name}.{price.name}": getattr(getattr(costs, group.name), price.name)
        for group in fields(costs)
        if group.name not in ("family", "origin")
        for price in fields(getattr(costs, group.name))
        if price.name.endswith(PRICE_ENDINGS if group.name in FITTED_GROUPS else ()) or price.name.endswith("_scale")
    }


def with_prices(costs: CostModel, prices: Mapping[str, float]) -> CostModel:
    """The same cost model with some prices changed, given by group and field.

    >>> with_prices(CostModel(), {"fft.butterfly_cycles": 0.5}).fft.butterfly_cycles
    0.5
    """
    known = prices_of(costs)
    for name, price in prices.items():
        is_number = isinstance(price, float | int) and not isinstance(price, bool)
        if name not in known or not is_number or not 0 < price < 1e9:
            raise ValueError(f"{name} = {price!r} is not a price of the cost model")
        group, _, field_name = name.partition(".")
        costs = replace(costs, **{group: replace(getattr(costs, group), **{field_name: float(price)})})
    return costs
