"""Constants and parameters of resampling."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T

VECTORS = 4
"""Vectors of neighbouring numbers that are summed together."""


@dataclass(frozen=True, slots=True)
class ResampleKernel:
    """y[o, j, i] = sum over t of weight[j, t] * x[o, index[j, t], i]; without weights there is one t."""

    has_weights: bool
    index_bytes: int
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "resample"
    STAGES: ClassVar[tuple[str, str]] = ("compute", "compute")


@dataclass(frozen=True, slots=True)
class ResampleParameters(Generic[T]):
    """Sizes and strides; a unit is a block of outputs along the axis, of one outer index and some columns."""

    outer: T
    out_size: T
    inner: T
    taps: T
    x_outer: T
    x_axis: T
    y_outer: T
    y_axis: T
    block: T
    num_blocks: T
    columns: T
    num_column_blocks: T
    num_units: T
    num_tasks: T
