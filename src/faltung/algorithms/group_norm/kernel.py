"""Constants and parameters of group normalisation."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T

VECTORS = 4
"""Vectors of channels that are summed together."""


@dataclass(frozen=True, slots=True)
class GroupNormKernel:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + shift, by the mean and variance of sample and group."""

    epsilon: float
    has_scale: bool
    has_shift: bool
    is_instance: bool  # each channel is a group of its own
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "group_norm"
    STAGES: ClassVar[tuple[str, str]] = ("moments", "compute")


@dataclass(frozen=True, slots=True)
class GroupNormParameters(Generic[T]):
    """Sizes, the chunks of positions whose moments are taken, and the blocks of them that a task computes."""

    num_samples: T
    positions: T
    channels: T
    groups: T
    group_size: T
    chunk: T
    num_chunks: T
    block: T
    num_blocks: T
    num_moment_tasks: T
    num_tasks: T
