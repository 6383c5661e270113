"""Groups that divide neither the channels that come nor those that go."""

import math
from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.models.layer import Layer


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield numbers of groups that divide, and outputs that the groups divide."""
    layer = facts.layer
    if facts.misfit.rule != "groups" or layer.kind not in ("conv", "conv_transpose"):
        return
    if layer.kind == "conv" and layer["in_channels"] is None and len(facts.shape) == layer.rank + 2:
        channels = facts.given[1 if layer.is_first else -1]
        if channels is not None and layer["out_channels"] % layer["groups"] == 0:
            sentence = f"{layer['groups']} groups do not divide the {channels} channels that come"
            best = _nearest_divisor(layer, math.gcd(channels, layer["out_channels"]))
            yield changed(layer, costs.OTHER_GROUPS, "groups", sentence, groups=best)
    yield from _of_the_layer(layer)


def _of_the_layer(layer: Layer) -> Iterator[Candidate]:
    groups, inputs, outputs = layer["groups"], layer["in_channels"], layer["out_channels"]
    sentence = f"{groups} groups do not divide in_channels {inputs} and out_channels {outputs}"
    if inputs is None:
        sentence = f"{groups} groups do not divide out_channels {outputs}"
    best = _nearest_divisor(layer, math.gcd(*(count for count in (inputs, outputs) if count)))
    yield changed(layer, costs.OTHER_GROUPS, "groups", sentence, groups=best)
    if outputs % groups and (inputs is None or inputs % groups == 0):
        rounded = -(-outputs // groups) * groups
        yield changed(layer, costs.ROUNDED_OUT_CHANNELS, "groups", sentence, out_channels=rounded)


def _nearest_divisor(layer: Layer, common: int) -> int:
    divisors = [count for count in range(1, common + 1) if common % count == 0]
    return min(divisors, key=lambda count: (abs(count - layer["groups"]), -count))
