"""Constants and parameters of layer normalisation."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.parameters import T


@dataclass(frozen=True, slots=True)
class LayerNormKernel:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + shift along each row."""

    epsilon: float
    has_scale: bool
    has_shift: bool
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "layer_norm"
    STAGES: ClassVar[tuple[str, str]] = ("compute", "compute")


@dataclass(frozen=True, slots=True)
class LayerNormParameters(Generic[T]):
    """Sizes."""

    num_rows: T
    size: T
    num_tasks: T
