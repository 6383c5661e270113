"""Flattened where it should not be: a Flatten before a layer that needs the axes, a view that does not fit."""

import math
from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.codes import place
from faltung.diagnosis.facts import Facts
from faltung.models.layer import show_product
from faltung.models.program import Edit


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield a view that flattens each sample, and the model without a Flatten."""
    layer, given = facts.layer, facts.given
    if layer.kind == "view":
        per_sample = math.prod(size or 1 for size in given[1:])
        sentence = (
            f"{layer.type_name} does not fit {given}: each sample has {show_product(given[1:])} = {per_sample} numbers"
        )
        edits = {layer.path: Edit(options={"is_flat": True})}
        code = f"x = x.flatten(1)  # in place of {layer.type_name}"
        yield Candidate(costs.VIEW_SIZE, "view size", sentence, edits=edits, code=code)
    if facts.flatten and facts.misfit.rule == "axes" and layer.kind in ("conv", "pool", "recurrent"):
        flatten = facts.flatten.layer
        sentence = f"{flatten.label} leaves no axes for {layer.label}: leave it out"
        edits = {flatten.path: Edit(options={"is_left_out": True})}
        word = "nn.Identity()" if layer.host == "torch" else 'keras.layers.Identity(name="' + flatten.path + '")'
        code = f"{place(flatten.path)} = {word}" if layer.host == "torch" else word
        yield Candidate(costs.FLATTENED_TOO_EARLY, "flattened too early", sentence, edits=edits, code=code)
