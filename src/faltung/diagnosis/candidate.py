"""A change that might mend a fault: what it costs, what it says, and what it does to data and model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from faltung.models.layer import Layer, Shape
from faltung.models.program import Edit, Edits


class Change(Protocol):
    """A change of an array."""

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of the result."""

    def apply(self, array: object) -> object:
        """Return the result."""

    def code(self, host: str, x: str = "x") -> str:
        """Return the line that does it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change of the data, of the model, or of both.

    Arguments:
        cost: the size of the change less the evidence for it; lower is likelier.
        kind: the cause it would mend, in two or three words.
        sentence: the cause in one sentence.
        data: the change of the data, if any.
        edits: the changes of the model, by the path of the layer.
        changed: the layers as they will be, for their code.
        code: the line, where it does not follow from the rest.
    """

    cost: float
    kind: str
    sentence: str
    data: Change | None = None
    edits: Edits = field(default_factory=dict)
    changed: tuple[Layer, ...] = ()
    code: str = ""

    def applied(self, shape: Shape, edits: Edits) -> tuple[Shape, Edits]:
        """Return the shape of the data with the change, and all changes of the model."""
        return self.data.shape(shape) if self.data is not None else shape, joined(edits, self.edits)

    @property
    def target(self) -> str:
        """What changes first."""
        return "data" if self.data is not None else "layer"


def joined(first: Edits, more: Edits) -> Mapping[str, Edit]:
    """Return both edits; of the same layer the options are put together."""
    result = dict(first)
    for path, edit in more.items():
        old = result.get(path, Edit())
        result[path] = Edit(edit.before or old.before, {**old.options, **edit.options})
    return result


def changed(layer: Layer, cost: float, kind: str, sentence: str, **options: object) -> Candidate:
    """Return the candidate that changes a layer's options."""
    new = layer.change(**options)
    return Candidate(cost, kind, sentence, edits={layer.path: Edit(options=options)}, changed=(new,))
