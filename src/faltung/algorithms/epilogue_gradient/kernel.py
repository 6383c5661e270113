"""Constants and parameters of the gradient of bias and activation."""

from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from faltung.plan.parameters import T

TASK_CHANNELS = 256
"""Channels whose partial sums one task of the second stage adds up: some microseconds of work."""


@dataclass(frozen=True, slots=True)
class EpilogueGradientKernel:
    """dz = dy * activation'(z), and dz summed for each channel."""

    sums_lines: bool  # or columns
    has_bias: bool
    activation: str | None
    activation_parameter: float | None
    rows: int  # rows, or vectors of a line, in one step
    dtype: str

    has_streaming_stores: ClassVar[bool] = False  # measured: takes up to twice as long
    ALGORITHM: ClassVar[str] = "epilogue_gradient"
    STAGES: ClassVar[tuple[str, str]] = ("sums", "total")


ABSENT: Any = 0
"""A number that one way of summing does not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpilogueGradientParameters(Generic[T]):
    """How columns or lines are cut, and where partial sums stand; a program reads those of its own way of summing."""

    num_chunks: T
    num_parts: T = ABSENT
    part_size: T = ABSENT
    row_size: T = ABSENT
    num_rows: T = ABSENT
    last_size: T = ABSENT
    num_units: T = ABSENT
    line_size: T = ABSENT
    line_blocks: T = ABSENT
    block_size: T = ABSENT
    channels: T
    num_partials: T
    partial_step: T
    num_neighbours: T
    neighbour_step: T
    channel_step: T
