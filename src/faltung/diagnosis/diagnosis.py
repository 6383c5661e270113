"""What a diagnosis says: faults with their causes and fixes, warnings, and how to apply a fix to the data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faltung.errors import ShapeError
from faltung.models.data import as_data
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
        return bool(rivals) and rivals[0].confidence > 0.6 * self.fixes[0].confidence

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
class Diagnosis:
    """Why a model refuses its data, and what to do: faults in the order they bite, and what only looks wrong."""

    model: str
    data_shape: Shape
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Warning, ...] = ()
    output_shape: Shape | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.faults)

    @property
    def fixed_shape(self) -> Shape:
        """The shape of the data after the first fix of every fault."""
        shapes = [fault.fixes[0].data_shape for fault in self.faults if fault.fixes]
        return shapes[-1] if shapes else self.data_shape

    def apply(self, data: Any) -> Any:
        """Return the data with the best data fix of every fault done to it.

        Raises:
            ShapeError: if a fault can only be mended in the model.
        """
        from faltung.models.files import read

        if isinstance(data, str) or hasattr(data, "suffix"):
            from pathlib import Path

            data = read(Path(data))
        as_data(data)
        for fault in self.faults:
            fix = fault.fixes[0] if fault.fixes else None
            if fix is None or not fix.edits:
                rest = f"Change the model: {fix.code}" if fix else fault.cause
                raise ShapeError(f"apply: {fault.where} needs a change of the model, not of the data. {rest}")
            for edit in fix.edits:
                data = edit(data)
        return data

    def __str__(self) -> str:
        from faltung.diagnosis.report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from faltung.diagnosis.report import as_html

        return as_html(self)
