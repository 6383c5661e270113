"""Constants and parameters of a map."""

from dataclasses import dataclass
from typing import ClassVar, Generic

from faltung.plan.expression import Expression
from faltung.plan.parameters import T

LINE, ONE, CROSSED, INTERLEAVED, APART = "line", "one", "crossed", "interleaved", "apart"
"""How an array lies along the line of a vector: side by side, the same number, side by side along the rows instead,
side by side with the numbers of all rows, or anyhow."""


@dataclass(frozen=True, slots=True)
class MapKernel:
    """y = expression(x, kernel, bias, extra) for each number; vectors lie along `line`, blocks are rows of lines."""

    expression: Expression
    loads: tuple[str, ...]  # of each operand
    store: str  # the same of the result
    rows: int  # where arrays are interleaved, else 0
    outer_axes: int  # axes beside rows and line
    is_slow: bool  # its code is long: it should stand in the program once or twice only
    dtype: str

    has_streaming_stores: ClassVar[bool] = False
    ALGORITHM: ClassVar[str] = "map"
    STAGES: ClassVar[tuple[str, str]] = ("compute", "compute")

    @property
    def is_tiled(self) -> bool:
        """Do rows and lines change places on the way?"""
        return CROSSED in self.loads


@dataclass(frozen=True, slots=True)
class MapAxis(Generic[T]):
    """The size of one axis, and from one of its numbers to the next in each array."""

    size: T
    y: T
    x: T
    kernel: T
    bias: T
    extra: T


@dataclass(frozen=True, slots=True)
class MapParameters(Generic[T]):
    """Axes, outermost first, and how rows and lines are cut into blocks; a unit is one block."""

    outer0: MapAxis[T]
    outer1: MapAxis[T]
    outer2: MapAxis[T]
    outer3: MapAxis[T]
    rows: MapAxis[T]
    line: MapAxis[T]
    row_block: T
    num_row_blocks: T
    line_block: T
    num_line_blocks: T
    num_units: T
    num_tasks: T
