"""A window longer than what is left: padding, or a smaller window, in this layer or in those before it."""

from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.lengths import eaten
from faltung.models.axes import spatial_sizes
from faltung.models.layer import Layer
from faltung.models.program import Edit

MOST_PADDED = 6
"""Layers that one fix may change; more is another model."""


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the layer padded, turned, or with a smaller window; and the convolutions before it padded."""
    layer = facts.layer
    if facts.misfit.rule != "short" or layer.host == "onnx":
        return
    doubt = costs.LOOKS_SWAPPED * facts.lengths.look_swapped
    sentence = f"the window of {layer.label} is longer than what is left: {facts.lengths.story}"
    yield from _padded(layer, sentence, doubt)
    yield from _turned(facts, doubt)
    yield from _less_dilated(facts, sentence, doubt)
    yield from _smaller(facts, sentence, doubt)
    yield from _padded_before(facts, doubt)


def reflected(facts: Facts) -> Iterator[Candidate]:
    """Yield padding for a reflection of more inputs than there are."""
    layer, shape = facts.layer, facts.given
    if facts.misfit.rule != "reflect":
        return
    sizes = spatial_sizes(layer, shape)
    pairs = layer.pairs(sizes)
    ends = zip(pairs, sizes, strict=True)
    less = tuple((min(low, (size or 1) - 1), min(high, (size or 1) - 1)) for (low, high), size in ends)
    most = min(size or 1 for size in sizes) - 1
    sentence = f"reflection takes at most {most} of {tuple(sizes)} inputs, the padding is {pairs}"
    yield changed(layer, costs.REPLICATED, "reflect", sentence, padding_mode="replicate")
    yield changed(layer, costs.LESS_REFLECTED, "reflect", sentence, padding=less)


def _halves(layer: Layer) -> tuple[tuple[int, int], ...]:
    return tuple((window // 2, window // 2) for window in layer.window)


def _padded(layer: Layer, sentence: str, doubt: float) -> Iterator[Candidate]:
    if layer.kind == "conv" or layer.host == "keras":
        padding: object = _halves(layer) if layer.kind == "conv" and layer.host == "torch" else "same"
        yield changed(layer, costs.PADDED + doubt, "too short", sentence, padding=padding)


def _turned(facts: Facts, doubt: float) -> Iterator[Candidate]:
    layer, sizes = facts.layer, spatial_sizes(facts.layer, facts.given)
    if len(set(layer["kernel_size"])) > 1 and not layer["call"]:  # a call's kernel is there already
        turned = tuple(reversed(layer["kernel_size"]))
        sentence = f"a window {layer['kernel_size']} lies across axes of {tuple(sizes)}: it should be {turned}"
        yield changed(layer, costs.WINDOW_TURNED + doubt, "kernel across the wrong axis", sentence, kernel_size=turned)


def _less_dilated(facts: Facts, sentence: str, doubt: float) -> Iterator[Candidate]:
    layer, gaps = facts.layer, facts.layer["dilation"] or (1,)
    if layer.kind != "conv" or max(gaps) == 1:
        return
    sizes, pairs = spatial_sizes(layer, facts.given), layer.pairs(facts.given[-layer.rank :])
    room = zip(sizes, layer["kernel_size"], gaps, pairs, strict=True)
    less = tuple(min(g, (s + sum(p) - 1) // (k - 1)) if k > 1 and s else g for s, k, g, p in room)
    if min(less) >= 1:
        yield changed(layer, costs.LESS_DILATION + doubt, "too short", sentence, dilation=less)


def _smaller(facts: Facts, sentence: str, doubt: float) -> Iterator[Candidate]:
    layer = facts.layer
    if layer["call"]:
        return
    sizes, pairs = spatial_sizes(layer, facts.given), layer.pairs(facts.given[-layer.rank :])
    gaps = layer["dilation"] or (1,) * layer.rank
    room = zip(sizes, layer["kernel_size"], gaps, pairs, strict=True)
    fitting = tuple(k if s is None else max(min(k, (s + sum(p) - 1) // g + 1), 1) for s, k, g, p in room)
    smaller: dict[str, object] = {"kernel_size": fitting}
    if layer.kind == "pool":
        padding = layer["padding"]
        smaller["stride"] = tuple(min(a, b) for a, b in zip(layer["stride"], fitting, strict=True))
        smaller["padding"] = (
            tuple((min(low, k // 2),) * 2 for (low, _), k in zip(padding, fitting, strict=True))
            if isinstance(padding, tuple)
            else padding
        )
    cost = costs.SMALLER_WINDOW + costs.WINDOW_OF_ONE * (max(fitting) < 2) + doubt
    yield changed(layer, cost, "too short", sentence, **smaller)


def _padded_before(facts: Facts, doubt: float) -> Iterator[Candidate]:
    """Padding in every convolution of the stack, which then keeps its length."""
    layer, steps = facts.layer, facts.trace.steps
    eaters = [step.layer for step in steps if step.layer.kind == "conv" and eaten(step) and _pads_nothing(step.layer)]
    if not 1 <= len(eaters) <= MOST_PADDED:
        return
    edits, new = {}, []
    for each in [*eaters, *([layer] if layer.kind == "conv" else [])]:
        options: dict[str, object] = {"padding": _halves(each) if each.host == "torch" else "same"}
        edits[each.path] = Edit(options=options)
        new.append(each.change(**options))
    sentence = f"the convolutions before it eat the length: {facts.lengths.story}"
    yield Candidate(costs.PADDED_BEFORE + doubt, "too short", sentence, edits=edits, changed=tuple(new))


def _pads_nothing(layer: Layer) -> bool:
    return layer["padding"] == "valid" or (isinstance(layer["padding"], tuple) and not any(map(any, layer["padding"])))
