"""The model was declared for other data: declared anew, or the data cut and filled to what was declared."""

import math
from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.readings import readings
from faltung.diagnosis.resize import Resize
from faltung.models.layer import Shape, show_shape
from faltung.models.program import unbuilt
from faltung.models.rearrange import Rearrange


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield other declarations that the data fits, and data as it was declared."""
    if facts.layer.kind != "input":
        return
    if facts.layer.host == "keras":
        yield _redeclared(facts)
        yield from _moved_and_redeclared(facts)
    yield from _as_declared(facts)


def _redeclared(facts: Facts) -> Candidate:
    layer, shape, sizes = facts.layer, facts.shape, facts.layer["sizes"]
    kind, cost = "input_shape", costs.REDECLARED
    sentence = f"the model was declared for {show_shape(sizes)}, x is {show_shape(shape)}"
    if _has_batch(sizes, shape):
        kind, cost = "batch in input_shape", costs.BATCH_DECLARED
        sentence = f"input_shape {show_shape(shape)} has the batch of {shape[0]} in it; Keras adds that axis itself"
    elif len(sizes) == len(shape):
        named = zip(layer["names"], sizes, shape, strict=True)
        differing = [name for name, size, got in named if None not in (size, got) and size != got]
        if differing and all(name not in ("channels", "features") for name in differing):
            cost = costs.REDECLARED_LENGTH
    return changed(layer, cost, kind, sentence, sizes=(None, *shape[1:]))


def _has_batch(sizes: Shape, shape: Shape) -> bool:
    return len(sizes) == len(shape) + 1 and sizes[1:] == shape


def _moved_and_redeclared(facts: Facts) -> Iterator[Candidate]:
    layer, shape, sizes = facts.layer, facts.shape, facts.layer["sizes"]
    window = unbuilt(facts.judge)
    roles = window.roles()
    if roles is None or window is layer:
        return
    for reading in readings(window, roles, shape):
        new = reading.rearrange.shape(shape)
        sides = zip(sizes[1:], new[1:], strict=False)
        if sizes[:1] + tuple(size if size is None else got for size, got in sides) == sizes:
            continue
        has_batch = _has_batch(sizes, shape) and () in reading.rearrange.axes
        cost = costs.MOVED_AND_BATCH_DECLARED if has_batch else costs.MOVED_AND_REDECLARED
        kind = f"{reading.kind}, {'batch in input_shape' if has_batch else 'input_shape'}"
        sentence = f"{reading.sentence}; and the model was declared for {show_shape(sizes)}"
        one = changed(layer, reading.cost + cost, kind, sentence, sizes=(None, *new[1:]))
        yield Candidate(one.cost, kind, sentence, reading.rearrange, one.edits, one.changed)


def _as_declared(facts: Facts) -> Iterator[Candidate]:
    layer, shape, sizes = facts.layer, facts.shape, facts.layer["sizes"]
    if len(sizes) == 2 and len(shape) > 2 and None not in shape[1:] and math.prod(shape[1:]) == sizes[1]:  # type: ignore[arg-type]
        flat = Rearrange(((0,), tuple(range(1, len(shape)))), len(shape))
        sentence = f"the model was declared for {sizes[1]} features, and x {shape} has them in {len(shape) - 1} axes"
        yield Candidate(costs.FLAT_AS_DECLARED, "not flattened", sentence, flat)
    if len(sizes) == len(shape) and len(facts.misfit.axes) == 1:
        axis = facts.misfit.axes[0]
        size, old, name = sizes[axis], shape[axis], layer["names"][axis]
        if size is not None and old is not None and name != "channels":
            sentence = f"the model was declared for {size} {name}, x has {old}"
            yield Candidate(costs.LENGTH_AS_DECLARED, "length", sentence, Resize(len(shape), axis, old, size))
