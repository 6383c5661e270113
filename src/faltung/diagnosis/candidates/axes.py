"""The axes are others than the layer takes them for: moved, missing, or too many."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.facts import OWN_RULES, Facts
from faltung.diagnosis.readings import readings
from faltung.models.layer import Shape
from faltung.models.program import Edit
from faltung.models.rearrange import Rearrange


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield readings of what the layer was given: of the data, or of what comes out of the layers before it."""
    if facts.misfit.rule in OWN_RULES:
        return
    if facts.is_direct and facts.roles:
        for reading in facts.readings:
            yield Candidate(reading.cost, reading.kind, reading.sentence, reading.rearrange)
        return
    yield from _before_the_layer(facts)
    yield from _of_the_data(facts)
    if facts.is_unknown:
        yield from _blind(facts.shape)


def _before_the_layer(facts: Facts) -> Iterator[Candidate]:
    layer = facts.layer
    if not facts.roles or layer.kind in ("linear", "pool", "global_pool") or layer.host == "onnx":
        return
    for reading in readings(layer, facts.roles, facts.given):
        if reading.rearrange.axes[0] == (0,):  # what comes out of layers has its batch where it belongs
            edits = {layer.path: Edit(reading.rearrange)}
            yield Candidate(reading.cost + costs.BEFORE_A_LAYER, reading.kind, reading.sentence, edits=edits)


def _of_the_data(facts: Facts) -> Iterator[Candidate]:
    """The data was the mistake, though the first layers took it."""
    rank = len(facts.shape)
    for reading in facts.readings:
        axes = reading.rearrange.axes
        if axes[0] in ((0,), ()) and (len(axes) >= rank or reading.rearrange.is_moved):
            cost = reading.cost + costs.GOT_THIS_FAR * (len(axes) == rank)
            yield Candidate(cost, reading.kind, reading.sentence, reading.rearrange)


def _blind(shape: Shape) -> Iterator[Candidate]:
    """One axis more, one less, or two exchanged."""
    rank = len(shape)
    own = [(axis,) for axis in range(rank)]
    for axis in range(rank + 1 if rank else 0):
        change = Rearrange((*own[:axis], (), *own[axis:]), rank)
        cost = costs.BLIND_AXIS + costs.BLIND_AXIS_LATER * axis
        yield Candidate(cost, "missing axis", f"an axis is missing at {axis}", change)
    for axis in range(rank):
        if shape[axis] == 1:
            change = Rearrange((*own[:axis], *own[axis + 1 :]), rank)
            sentence = f"axis {axis} of size 1 is one too many"
            yield Candidate(costs.BLIND_DROP, "axis too many", sentence, change)
    for axis in range(1, rank - 1):
        for other in range(axis + 1, rank):
            swapped = list(own)
            swapped[axis], swapped[other] = swapped[other], swapped[axis]
            sentence = f"axes {axis} and {other} are in each other's place"
            yield Candidate(costs.BLIND_EXCHANGE, "axes swapped", sentence, Rearrange(tuple(swapped), rank))
