"""A layer that slides along another number of axes than the data, or its own kernel, has."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.evidence import fit
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.readings import readings
from faltung.models.layer import SPATIAL, Layer

KINDS = ("conv", "conv_transpose", "pool", "global_pool", "norm")


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the same layer for another number of spatial axes, on the data as it is or with an axis more."""
    layer = facts.layer
    if layer.kind not in KINDS or not layer.rank or layer["call"] or str(layer.rank) not in layer.type_name:
        return
    if len(layer["kernel_size"] or layer.spatial) != layer.rank:
        return
    has_no_3d = "Depthwise" in layer.type_name or "Separable" in layer.type_name
    for rank in (1, 2) if has_no_3d else (1, 2, 3):
        if rank != layer.rank:
            yield from _of_rank(facts, layer, rank)


def of_kernel(facts: Facts) -> Iterator[Candidate]:
    """Yield layer and kernel of one rank, where the kernel_size itself is for another number of axes."""
    layer, sizes = facts.layer, facts.layer["kernel_size"]
    if layer.kind not in ("conv", "conv_transpose") or facts.misfit.rule != "kernel rank":
        return
    count = len(sizes)
    sentence = f"{layer.type_name} slides along {layer.rank}, and its kernel_size {sizes} is for {count} axes"
    if count in (1, 2, 3):
        full = _re_ranked(layer, count) | {"kernel_size": sizes}
        yield changed(layer, costs.KERNEL_RANK_OF_LAYER, "rank of the layer", sentence, **full)
    longest = (max(sizes),) * layer.rank
    yield changed(layer, costs.KERNEL_RANK_OF_KERNEL, "kernel_size", sentence, kernel_size=longest)


def _of_rank(facts: Facts, layer: Layer, rank: int) -> Iterator[Candidate]:
    shape, options = facts.given, _re_ranked(layer, rank)
    new = layer.change(**options)
    roles = new.roles() or ()
    axes = f"{rank} spatial ax{'es' if rank > 1 else 'is'} ({', '.join(SPATIAL[rank])})"
    sentence, kind = f"x has {axes}, the layer slides along {layer.rank}", "rank of the layer"
    if len(shape) == rank + 2 and all(role.takes(size) for role, size in zip(roles, shape, strict=True)):
        yield changed(layer, costs.OTHER_RANK + fit(new, shape), kind, sentence, **options)
    if len(shape) == rank + 1 and layer.kind != "norm":
        for reading in readings(new, roles, shape):
            if reading.rearrange.is_moved:
                continue
            cost = costs.OTHER_RANK_AND_AXIS + reading.cost
            one = changed(layer, cost, f"{kind}, {reading.kind}", f"{sentence}; {reading.sentence}", **options)
            yield Candidate(one.cost, one.kind, one.sentence, reading.rearrange, one.edits, one.changed)


def _re_ranked(layer: Layer, rank: int) -> dict[str, object]:
    """The options that make a layer slide along another number of axes."""
    options: dict[str, object] = {"rank": rank, "type_name": layer.type_name.replace(str(layer.rank), str(rank))}
    for name in ("kernel_size", "stride", "dilation", "padding", "output_padding", "sizes"):
        value = layer[name]
        if isinstance(value, tuple) and value:
            longest = max(value, key=lambda entry: entry if isinstance(entry, int) else 0)
            is_alike = len(set(value)) == 1
            options[name] = (value * 3)[:rank] if is_alike else (longest,) * rank
    return options
