"""What a diagnosis is: all that was found, which prints itself and mends the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faltung.diagnosis.findings import Findings
from faltung.diagnosis.report import as_html, as_text
from faltung.errors import ShapeError
from faltung.models.data import as_data
from faltung.models.files import read
from faltung.models.layer import Shape


@dataclass(frozen=True, slots=True)
class Diagnosis(Findings):
    """Why a model refuses its data, and what to do: faults in the order they bite, and what only looks wrong."""

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
        if isinstance(data, str) or hasattr(data, "suffix"):
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
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
