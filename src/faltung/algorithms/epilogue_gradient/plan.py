"""Planning the gradient of bias and activation: which numbers are summed side by side, and in how many tasks.

Channels last (and channels first with short lines) is an array of rows; the sums of its columns are kept side by side.
Several positions count as one row, so that a row is long and, where that is cheap, whole vectors. Channels first with
long lines sums each line, or each block of a line, in registers.
"""

from dataclasses import dataclass
from math import ceil, gcd

from faltung.algorithms.epilogue_gradient.kernel import (
    TASK_CHANNELS,
    EpilogueGradientKernel,
    EpilogueGradientParameters,
)
from faltung.machine.target import Target
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.activation import HEAVY_SLOPE
from faltung.spec.dtype import ITEM_BYTES

LONG_LINE = 64
"""Numbers of a line that are worth the sum over lanes at its end."""
SHORTEST_ROW = 512
"""Numbers of a row that are worth the start of its loop."""
ROWS, HEAVY_ROWS = 4, 1
"""Rows, or vectors of a line, in one step; one where the code of each is long."""
ROUND = 64
"""Parts of rows and lines are whole vectors of every width."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the gradient of an epilogue looks at: the shape of a convolution's result, and its activation."""

    num_samples: int
    channels: int
    positions: int
    is_channels_last: bool
    has_bias: bool
    activation: str | None
    activation_parameter: float | None
    dtype: str
    precision: str = "high"

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.num_samples * self.channels * self.positions


def plan(outputs: Outputs, target: Target) -> Plan:
    """The plan for at least one number."""
    lanes, item_bytes = target.lanes(outputs.dtype), ITEM_BYTES[outputs.dtype]
    is_heavy = outputs.activation in HEAVY_SLOPE
    arrays = 1 if outputs.activation is None else 3
    cycles = outputs.size * max(
        arrays * item_bytes / target.costs.tasks.bytes_per_cycle,
        is_heavy * target.costs.epilogue_gradient.heavy_vector_cycles / lanes,
    )
    wanted = task_count(target, cycles, 1)
    if _has_lines(outputs):
        parameters, tasks, num_partials = _lines(outputs, wanted, target)
    else:
        parameters, tasks, num_partials = _columns(outputs, wanted, target)
    kernel = EpilogueGradientKernel(
        sums_lines=_has_lines(outputs),
        has_bias=outputs.has_bias,
        activation=outputs.activation,
        activation_parameter=outputs.activation_parameter,
        rows=HEAVY_ROWS if is_heavy else ROWS,
        dtype=outputs.dtype,
    )
    return Plan(
        problem=outputs,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(tasks, ceil(outputs.channels / TASK_CHANNELS) if outputs.has_bias else 0),
        shared_bytes=round_up_to_cache_line(num_partials * item_bytes) if outputs.has_bias else 0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks, {num_partials} partial sums",),
    )


def _has_lines(outputs: Outputs) -> bool:
    """Do the numbers of one channel lie side by side in lines worth summing?"""
    if not outputs.has_bias or outputs.channels == 1:
        return True
    is_worth_it = outputs.positions >= LONG_LINE or (outputs.num_samples < 16 and outputs.positions >= 4)
    return not outputs.is_channels_last and is_worth_it


def _lines(outputs: Outputs, wanted: int, target: Target) -> tuple[EpilogueGradientParameters[int], int, int]:
    """Parameters, tasks and partial sums where each block of a line has one sum."""
    is_one_line = outputs.channels == 1 or not outputs.has_bias
    lines = 1 if is_one_line else outputs.num_samples * outputs.channels
    line_size = outputs.size // lines
    line_blocks = ceil(line_size / target.costs.epilogue_gradient.line_block)
    block = ceil(line_size / line_blocks / ROUND) * ROUND
    line_blocks = ceil(line_size / block)
    tasks = min(wanted, lines * line_blocks)
    parameters = EpilogueGradientParameters(
        num_chunks=tasks,
        num_units=lines * line_blocks,
        line_size=line_size,
        line_blocks=line_blocks,
        block_size=block,
        num_partials=max(lines // outputs.channels, 1),
        partial_step=outputs.channels * line_blocks,
        num_neighbours=line_blocks,
        neighbour_step=1,
        channel_step=line_blocks,
        channels=outputs.channels,
    )
    return parameters, tasks, lines * line_blocks


def _columns(outputs: Outputs, wanted: int, target: Target) -> tuple[EpilogueGradientParameters[int], int, int]:
    """Parameters, tasks and partial sums where each column has one sum."""
    longest = target.costs.epilogue_gradient.longest_row
    is_last = outputs.is_channels_last or outputs.positions == 1
    fold = (
        _fold(outputs.channels, outputs.num_samples * outputs.positions, target.lanes(outputs.dtype), longest)
        if is_last
        else 1
    )
    row_size = outputs.channels * (fold if is_last else outputs.positions)
    rows, last_size = divmod(outputs.size, row_size)
    part_size = ceil(row_size / ceil(row_size / longest) / ROUND) * ROUND
    parts = ceil(row_size / part_size)
    chunks = max(1, min(ceil(wanted / parts), rows // ROWS))
    parameters = EpilogueGradientParameters(
        num_chunks=chunks,
        num_parts=parts,
        part_size=part_size,
        row_size=row_size,
        num_rows=rows,
        last_size=last_size,
        num_partials=chunks,
        partial_step=row_size,
        num_neighbours=fold if is_last else outputs.positions,
        neighbour_step=outputs.channels if is_last else 1,
        channel_step=1 if is_last else outputs.positions,
        channels=outputs.channels,
    )
    return parameters, chunks * parts, chunks * row_size


def _fold(channels: int, positions: int, lanes: int, longest: int) -> int:
    """Positions that make a row: enough for a long row of whole vectors, where one is not too long for that."""
    whole = lanes // gcd(channels, lanes)
    if channels * whole > longest:
        whole = 1
    return min(whole * ceil(SHORTEST_ROW / (channels * whole)), positions)
