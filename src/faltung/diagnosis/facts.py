"""What is known where a layer refuses its input: gathered once, and all that candidates may look at."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from faltung.diagnosis.lengths import Lengths, lengths_of
from faltung.diagnosis.readings import Reading, readings
from faltung.models.axes import Misfit
from faltung.models.layer import Layer, Role, Shape
from faltung.models.program import Edits, ShapeProgram, Step, Trace

OWN_RULES = ("groups", "output_padding", "same with stride", "stride with dilation", "kernel rank")
"""Rules that the options of a layer break whatever its input: there the data is not read in another way."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One refusal and all that is known of it.

    Arguments:
        shape: of the data, with the changes so far.
        edits: the changes of the model so far.
        trace: the run that ended here; its ``shape`` is what the layer was given.
        layer: the layer that refuses.
        misfit: the rule that it says is broken.
        roles: what the layer wants on each axis, None where any shape will do.
        judge: the layer whose numbers judge a reading: for a declared input the first that has a window.
        flatten: the last Flatten before the layer.
        readings: every way to see the data that would suit the layer; inside a model, the first layer.
        is_unknown: whether so little is known of the model's start that its axes can only be guessed.
        lengths: what runs on other lengths show.
    """

    shape: Shape
    edits: Edits
    trace: Trace
    layer: Layer
    misfit: Misfit
    roles: tuple[Role, ...] | None
    judge: Layer
    flatten: Step | None
    readings: tuple[Reading, ...]
    is_unknown: bool
    lengths: Lengths

    @property
    def given(self) -> Shape:
        """What the layer was given."""
        return self.trace.shape

    @property
    def is_direct(self) -> bool:
        """Whether that is the data itself."""
        return self.trace.is_direct


def facts_of(program: ShapeProgram, shape: Shape, edits: Edits, trace: Trace) -> Facts:
    """Return what is known of a run that ended at a layer."""
    trace = replace(trace, data_shape=shape)
    layer, misfit = trace.refused, trace.misfit
    assert layer is not None and misfit is not None
    roles = layer.roles()
    first = next((each for each in program.layers if each.roles()), None)
    start = next((each for each in program.layers if each.kind != "input"), layer)
    found: Iterable[Reading] = ()
    if misfit.rule not in OWN_RULES:
        if trace.is_direct and roles:
            found = readings(_judge(program, layer), roles, shape)
        elif first is not None and trace.steps:
            found = readings(_judge(program, first), first.roles() or (), shape)
    return Facts(
        shape=shape,
        edits=edits,
        trace=trace,
        layer=layer,
        misfit=misfit,
        roles=roles,
        judge=_judge(program, layer),
        flatten=next((step for step in reversed(trace.steps) if step.layer.kind == "flatten"), None),
        readings=tuple(found),
        is_unknown=first is None or layer.kind == "other" or start.kind == "embedding" or not trace.steps,
        lengths=lengths_of(program, trace, shape, edits),
    )


def _judge(program: ShapeProgram, layer: Layer) -> Layer:
    if layer.kind != "input":
        return layer
    return next((each for each in program.layers if each.kind != "input" and each.rank), layer)
