"""Models as programs that run on shapes, with changes tried out on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from faltung.models.axes import Misfit
from faltung.models.geometry import forward
from faltung.models.layer import Layer, Shape
from faltung.models.rearrange import Rearrange


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the model at one layer: axes rearranged before it, or other options."""

    before: Rearrange | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


Edits = Mapping[str, Edit]


@dataclass(frozen=True, slots=True)
class Step:
    """A layer that ran: what came in, what went out."""

    layer: Layer
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True, slots=True)
class Trace:
    """A run: the steps that went well, and the layer that refused its input, if one did."""

    steps: tuple[Step, ...]
    refused: Layer | None = None
    shape: Shape = ()
    misfit: Misfit | None = None
    data_shape: Shape | None = None

    def output_of(self, path: str) -> Shape | None:
        """The output shape of a layer that ran, None if it did not."""
        return next((step.output_shape for step in self.steps if step.layer.path == path), None)

    @property
    def is_direct(self) -> bool:
        """Whether what the refusing layer was given is the data itself."""
        if self.data_shape not in (None, self.shape):  # the model's own code came between
            return False
        return all(step.layer.kind in ("same", "input", "repeat") for step in self.steps)

    def is_beyond(self, other: "Trace") -> bool:
        """Whether this run gets past the layer that refused in another run."""
        if self.refused is None:
            return True
        assert other.refused is not None
        is_own_code = self.refused.kind == "other" and not self.refused.path  # of the model: it must get further
        if other.refused.kind == "view" and not is_own_code:
            return self.refused.path != other.refused.path
        return len(self.steps) > len(other.steps)

    @property
    def output_shape(self) -> Shape | None:
        """The shape that comes out of it all."""
        return None if self.refused or not self.steps else self.steps[-1].output_shape


class ShapeProgram(Protocol):
    """A model that runs on shapes."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    @property
    def host(self) -> str:
        """Whose it is."""

    @property
    def dtype(self) -> str | None:
        """The element type of its weights."""

    @property
    def device(self) -> str | None:
        """Where its weights lie."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its layers, in the order they run."""

    def run(self, shape: Shape, edits: Edits) -> Trace:
        """Run it on a shape, with changes."""


def edited(layer: Layer, edits: Edits) -> Layer:
    """Return a layer with the changes that edits make to it."""
    edit = edits.get(layer.path)
    return layer.change(**edit.options) if edit and edit.options else layer


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers one after the other, run by our own geometry."""

    name: str
    host: str
    layers: tuple[Layer, ...]
    dtype: str | None = None
    device: str | None = None
    wires: tuple[tuple[int, ...], ...] = ()
    """For each layer of a branching model, which layers feed it; -1 is the data."""

    def run(self, shape: Shape, edits: Edits) -> Trace:
        """Run the layers until one refuses."""
        steps: list[Step] = []
        is_redeclared = any(layer.kind == "input" and edits.get(layer.path, Edit()).options for layer in self.layers)
        data = shape
        made: list[Shape] = []
        for at, plain in enumerate(self.layers):
            sources = self.wires[at] if self.wires else (at - 1,)
            shapes = [made[source] if source >= 0 else data for source in sources]
            shape = shapes[0]
            layer = edited(plain, edits)
            if is_redeclared and plain.path not in edits:  # the model is built anew on the new input
                layer = unbuilt(layer)
            edit = edits.get(layer.path)
            try:
                if edit and edit.before:
                    if len(shape) != edit.before.rank:
                        raise Misfit("axes", f"{len(shape)} axes cannot be rearranged as {edit.before.rank}")
                    shape = edit.before.shape(shape)
                out = forward(layer, shape) if len(shapes) == 1 else merge(layer, shapes)
            except Misfit as misfit:
                return Trace(tuple(steps), layer, shape, misfit)
            steps.append(Step(layer, shape, out))
            made.append(out)
        return Trace(tuple(steps))


def merge(layer: Layer, shapes: list[Shape]) -> Shape:
    """Return the shape that a layer with several inputs makes."""
    try:
        out: Shape = tuple(layer["run"](shapes))
    except Exception as error:
        raise Misfit("call", str(error).splitlines()[0]) from error
    return out


def unbuilt(layer: Layer) -> Layer:
    """Return a Keras layer as it was before it saw its first input."""
    if layer.host == "keras" and layer.kind in ("conv", "conv_transpose", "linear", "norm", "recurrent"):
        return layer.change(in_channels=None)
    return layer
