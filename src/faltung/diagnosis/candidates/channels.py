"""A layer made for other channels than come."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.readings import readings
from faltung.models.axes import channel_axis
from faltung.models.layer import Layer, Role


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the layer made for the channels that come; together with another reading where the axes are wrong too."""
    layer = facts.layer
    is_made_for_some = layer["in_channels"] is not None and not layer["call"] and layer.host != "keras"
    if layer.kind not in ("conv", "conv_transpose") or not is_made_for_some:
        return
    yield from _as_it_comes(facts)
    if facts.is_direct:
        yield from _read_anew(facts)
    yield from _from_before(facts)


def of_norm(facts: Facts) -> Iterator[Candidate]:
    """Yield a norm made for the channels that come."""
    layer = facts.layer
    if layer.kind == "norm" and facts.misfit.rule == "channels":
        got = facts.given[facts.misfit.axes[0]]
        sentence = f"{layer.type_name} was made for {layer['in_channels']} channels, {got} come"
        yield changed(layer, costs.OTHER_NORM, "channels", sentence, in_channels=got)


def _least(layer: Layer) -> int:
    """How many axes the layer takes at least."""
    return layer.rank + (1 if layer.host == "torch" else 2)


def _as_it_comes(facts: Facts) -> Iterator[Candidate]:
    layer, shape = facts.layer, facts.given
    if not _least(layer) <= len(shape) <= layer.rank + 2:
        return
    wanted, got = layer["in_channels"], shape[channel_axis(layer, shape)]
    if got is not None and got != wanted and got % layer["groups"] == 0:
        sentence = f"the layer was made for {wanted} channels, {got} come"
        yield changed(layer, _cost(facts, got), "in_channels", sentence, in_channels=got)


def _cost(facts: Facts, count: int) -> float:
    """Less inside a model, more where the channels that come may be a batch or steps."""
    layer, shape = facts.layer, facts.given
    channels = channel_axis(layer, shape)
    spatial = [size for at, size in enumerate(shape) if at != channels and at >= len(shape) - layer.rank - 1]
    longest = max((size for size in spatial if size is not None), default=0)
    is_batch_like = len(shape) == layer.rank + 1 and layer["in_channels"] == 1
    is_long = count > max(longest, 4) and facts.is_direct and layer.rank == 1  # more channels than steps
    is_longest = is_long and count >= costs.STEPS_FOR_MANY * longest
    cost = costs.OTHER_IN_CHANNELS + (0.0 if facts.is_direct else costs.OTHER_IN_CHANNELS_LATER)
    cost += costs.LOOKS_LIKE_A_BATCH * is_batch_like
    return cost + (costs.CHANNELS_LIKE_MANY_STEPS if is_longest else costs.CHANNELS_LIKE_STEPS * is_long)


def _read_anew(facts: Facts) -> Iterator[Candidate]:
    """Both wrong, the axes and the channels."""
    layer, shape, wanted = facts.layer, facts.given, facts.layer["in_channels"]
    free = tuple(Role(role.name, None, role.least) if role.name == "channels" else role for role in facts.roles or ())
    has_its_axes = _least(layer) <= len(shape) <= layer.rank + 2
    for reading in readings(layer, free, shape):
        new = reading.rearrange.shape(shape)
        got = new[channel_axis(layer, new)]
        if got is None or got == wanted or got % layer["groups"]:
            continue
        is_kept = not reading.rearrange.dropped and reading.rearrange.axes[0] in ((0,), ())
        if has_its_axes and not is_kept:
            continue
        kind, cost = f"{reading.kind}, in_channels", reading.cost + costs.OTHER_IN_CHANNELS
        sentence = f"{reading.sentence}; and the layer was made for {wanted} channels, these are {got}"
        one = changed(layer, cost, kind, sentence, in_channels=got)
        yield Candidate(cost, kind, sentence, reading.rearrange, one.edits, one.changed)


def _from_before(facts: Facts) -> Iterator[Candidate]:
    """The convolution before it makes as many as this one was made for."""
    layer, steps = facts.layer, reversed(facts.trace.steps)
    before = next((step.layer for step in steps if step.layer.kind in ("conv", "conv_transpose")), None)
    if before is not None and before["groups"] == 1 and facts.misfit.rule == "channels":
        wanted = layer["in_channels"]
        sentence = f"{before.label} makes {before['out_channels']} channels, {layer.label} was made for {wanted}"
        yield changed(before, costs.OTHER_OUT_CHANNELS, "in_channels", sentence, out_channels=wanted)
