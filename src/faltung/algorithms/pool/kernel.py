"""Constants and parameters of a pool."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T

VECTORS = 4
"""Vectors of channels that go through a window together."""


@dataclass(frozen=True, slots=True)
class PoolKernel:
    """y = the maximum or the mean of each window; `kernel_w` taps along w are written out where none is outside."""

    is_max: bool
    counts_padding: bool
    kernel_w: int
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "pool"
    STAGES: ClassVar[tuple[str, str]] = ("compute", "compute")


@dataclass(frozen=True, slots=True)
class PoolAxis(Generic[T]):
    """One axis of space: sizes, window and strides of both arrays."""

    in_size: T
    out_size: T
    kernel_size: T
    stride: T
    dilation: T
    low: T
    high: T
    x: T
    y: T


@dataclass(frozen=True, slots=True)
class PoolParameters(Generic[T]):
    """Sizes, and how lines are cut: a unit is a block of positions of one line."""

    d: PoolAxis[T]
    h: PoolAxis[T]
    w: PoolAxis[T]
    x_n: T
    y_n: T
    channels: T
    inner_first: T
    """The first position along w whose window is all inside, and the first behind those."""
    inner_last: T
    block: T
    num_blocks: T
    num_units: T
    num_tasks: T
