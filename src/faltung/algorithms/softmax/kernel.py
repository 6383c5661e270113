"""Constants and parameters of softmax."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T


@dataclass(frozen=True, slots=True)
class SoftmaxKernel:
    """y = exp(x) / sum(exp(x)) along an axis, or its logarithm; `is_line`: its numbers lie side by side."""

    is_log: bool
    is_line: bool
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "softmax"
    STAGES: ClassVar[tuple[str, str]] = ("compute", "compute")


@dataclass(frozen=True, slots=True)
class SoftmaxParameters(Generic[T]):
    """Sizes; a unit is some columns of one outer index."""

    axis: T
    inner: T
    columns: T
    num_column_blocks: T
    num_units: T
    num_tasks: T
