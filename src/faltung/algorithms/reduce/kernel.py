"""Constants and parameters of a reduction."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T

EXTREMES = ("max", "min")
SPREADS = ("variance", "std")
KINDS = ("sum", "mean", "mean_square", *EXTREMES, *SPREADS)
VECTORS = 4
"""Vectors of columns that are reduced together."""


@dataclass(frozen=True, slots=True)
class ReduceKernel:
    """y[outer, inner] = the sum, mean … of x[outer, :, inner]; `is_line`: what is reduced lies side by side."""

    kind: str
    is_line: bool
    has_chunks: bool  # whose results a second stage puts together
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "reduce"
    STAGES: ClassVar[tuple[str, str]] = ("chunks", "total")


@dataclass(frozen=True, slots=True)
class ReduceParameters(Generic[T]):
    """Sizes, strides of x, and chunks of the reduced axis; a unit is some columns of one chunk."""

    outer: T
    reduced: T
    inner: T
    x_outer: T
    x_reduced: T
    chunk: T
    num_chunks: T
    columns: T
    num_column_blocks: T
    divisor: T
    num_units: T
    num_tasks: T
