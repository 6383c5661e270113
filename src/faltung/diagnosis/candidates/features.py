"""Dense and recurrent layers made for other features than come, because nothing flattens, or too much does."""

import math
from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.models.layer import Shape, show_product
from faltung.models.program import Edit, Trace
from faltung.models.rearrange import Rearrange


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield as many inputs as come, the axes before it flattened, and samples kept apart."""
    layer = facts.layer
    if layer.kind not in ("linear", "recurrent") or facts.misfit.rule != "features":
        return
    yield from _batch_merged(facts)
    yield from _not_flattened(facts)
    yield from _as_many_as_come(facts)


def _batch_merged(facts: Facts) -> Iterator[Candidate]:
    layer, flatten = facts.layer, facts.flatten
    if not flatten or flatten.layer["start"] != 0 or len(flatten.input_shape) < 2:
        return
    sentence, kind = "Flatten(0) merges the batch too; from axis 1 it keeps the samples apart", "batch merged"
    yield changed(flatten.layer, costs.BATCH_MERGED, kind, sentence, start=1)
    per_sample = math.prod(size or 1 for size in flatten.input_shape[1:])
    if layer.host == "torch" and per_sample != layer["in_channels"]:
        options = ((flatten.layer, {"start": 1}), (layer, {"in_channels": per_sample}))
        edits = {each.path: Edit(options=new) for each, new in options}
        both = tuple(each.change(**new) for each, new in options)
        yield Candidate(costs.BATCH_MERGED_OTHER_FEATURES, kind, sentence, edits=edits, changed=both)


def _not_flattened(facts: Facts) -> Iterator[Candidate]:
    layer, wanted, inner = facts.layer, facts.layer["in_channels"], facts.given[1:]
    if len(inner) < 2 or None in inner:
        return
    merged = math.prod(size or 1 for size in inner)
    flat = Rearrange(((0,), tuple(range(1, len(inner) + 1))), len(inner) + 1)
    where = "" if facts.is_direct else f"  # before {layer.label}"
    code = f"x = x.flatten(1){where}" if layer.host == "torch" else "keras.layers.Flatten()" + where
    sentence, kind = f"nothing flattens {inner} before {layer.label}", "not flattened"
    if merged == wanted:
        sentence = f"{sentence}, which wants {wanted} = {show_product(inner)}"
        yield Candidate(costs.NOT_FLATTENED, kind, sentence, edits={layer.path: Edit(flat)}, code=code)
    elif layer.host == "torch" and layer.kind == "linear":
        sentence = f"{sentence}, and {show_product(inner)} = {merged} numbers come, not {wanted}"
        edits = {layer.path: Edit(flat, {"in_channels": merged})}
        new, cost = (layer.change(in_channels=merged),), costs.NOT_FLATTENED_OTHER_FEATURES
        yield Candidate(cost, f"{kind}, in_features", sentence, edits=edits, changed=new, code=code)


def _as_many_as_come(facts: Facts) -> Iterator[Candidate]:
    layer, flatten, got = facts.layer, facts.flatten, facts.given[-1]
    if layer.host != "torch" and (layer.host != "keras" or layer.kind == "recurrent"):
        return
    origin = ""
    if flatten and flatten.output_shape[-1] == got and len(flatten.input_shape) > 2:
        names = _names(facts.trace, flatten.input_shape)
        origin = f" = {show_product(flatten.input_shape[1:])} ({' × '.join(names)})"
    sentence = f"{got} features come{origin}, {layer.label} was made for {layer['in_channels']}"
    kind = "in_features" if layer.kind == "linear" else "input_size"
    yield changed(layer, costs.OTHER_FEATURES, kind, sentence, in_channels=got)


def _names(trace: Trace, shape: Shape) -> tuple[str, ...]:
    """The names of the axes after the batch, as the last convolution calls them."""
    last = next((step.layer for step in reversed(trace.steps) if step.layer.rank and step.layer.roles()), None)
    roles = last.roles() if last else None
    return tuple(role.name for role in roles[1:]) if roles and len(roles) == len(shape) else ()
