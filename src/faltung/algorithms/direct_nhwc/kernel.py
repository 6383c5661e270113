"""Constants and parameters of the direct algorithm for channels last."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.kernel import PanelKernel
from faltung.plan.parameters import T


@dataclass(frozen=True, slots=True)
class DirectNhwcKernel(PanelKernel):
    """Rows of the tile are output positions, vectors lie along output channels."""

    has_prefetch: bool  # what the next block of positions reads is asked for ahead

    ALGORITHM: ClassVar[str] = "direct_nhwc"


@dataclass(frozen=True, slots=True)
class DirectNhwcParameters(Generic[T]):
    """Positions in tasks and blocks, then sizes, padding and strides by axis; neutral where the rank has none."""

    num_positions: T
    num_blocks: T
    task_positions: T
    block_positions: T
    num_oc_parts: T
    panels_per_part: T
    out_d: T
    out_h: T
    out_w: T
    in_d: T
    in_h: T
    in_w: T
    low_d: T
    low_h: T
    low_w: T
    x_n: T
    x_d: T
    x_h: T
    y_n: T
    y_d: T
    y_h: T
    y_offset: T
    w_offset: T
