"""Channels first or last: the layer, or the call, is told the other order of axes."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.evidence import fit
from faltung.diagnosis.facts import Facts


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the layer that reads the other layout."""
    layer, shape, call = facts.layer, facts.given, facts.layer["call"]
    if layer.kind not in ("conv", "conv_transpose") or layer.host not in ("keras", "faltung", "jax"):
        return
    if len(shape) != layer.rank + 2:
        return
    flipped = layer.change(is_first=not layer.is_first)
    cost = fit(flipped, shape) + costs.OTHER_LAYOUT + costs.OTHER_LAYOUT_KERAS * (layer.host == "keras")
    if layer.host == "keras" and layer["in_channels"] is not None:
        cost += costs.OTHER_LAYOUT_BUILT
    words = "channels last" if layer.is_first else "channels first"
    options: dict[str, object] = {"is_first": not layer.is_first}
    if call:
        spatial = call["layout"].strip("NC")
        options["call"] = {**call, "layout": f"NC{spatial}" if flipped.is_first else f"N{spatial}C"}
    kind = "axes swapped" if layer.rank == 1 else "layout"
    yield changed(layer, cost, kind, f"x is {words}, and the layer reads it the other way", **options)
