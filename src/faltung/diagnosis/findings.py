"""What is found: faults with their axes, causes and fixes, warnings, and all of them together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faltung.diagnosis import costs
from faltung.models.layer import Shape


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an input: what came, what was wanted, and whether that is the difference."""

    name: str
    got: str
    wanted: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Fix:
    """A change after which the layer runs; it was executed on shapes before it was shown.

    Arguments:
        code: the line, in the user's framework.
        target: "data" or "layer".
        reading: what this fix takes the axes to be, in one sentence.
        kind: the cause that it mends, in two or three words.
        data_shape: the shape of the data with it.
        output_shape: the shape that comes out of the layer with it.
        confidence: how likely this is what was meant, between 0 and 1.
        where: the layer that changes, "x" for the data.
        edits: the steps that .apply performs on data.
        reaches: whether the whole model runs with this fix alone.
    """

    code: str
    target: str
    reading: str
    kind: str
    data_shape: Shape
    output_shape: Shape | None
    confidence: float
    where: str = "x"
    edits: tuple[Callable[[Any], Any], ...] = field(default=(), repr=False, compare=False)
    reaches: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, what came, what was wanted, why, and the fixes, the likeliest first."""

    where: str
    kind: str
    cause: str
    got: Shape
    axes: tuple[Axis, ...]
    fixes: tuple[Fix, ...]
    rule: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_ambiguous(self) -> bool:
        """Whether the shapes alone cannot decide between two causes."""
        rivals = [fix for fix in self.fixes[1:] if fix.kind != self.fixes[0].kind]
        return bool(rivals) and rivals[0].confidence > costs.RIVAL * self.fixes[0].confidence

    @property
    def expected(self) -> str:
        """What was wanted, axis by axis."""
        return ", ".join(f"{axis.name} {axis.wanted}" for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that runs but is probably not what was meant."""

    where: str
    kind: str
    sentence: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is found between a model and its data: faults in the order they bite, and what only looks wrong."""

    model: str
    data_shape: Shape
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Warning, ...] = ()
    output_shape: Shape | None = None
