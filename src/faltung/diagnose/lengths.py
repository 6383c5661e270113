"""Windows longer than what is left: padding, a smaller window, or a longer input, for which the whole stack is asked."""

from collections.abc import Iterator
from dataclasses import replace

from faltung.diagnose.candidate import Candidate
from faltung.diagnose.geometry import channel_axis
from faltung.diagnose.layer import Layer, Shape
from faltung.diagnose.options import changed
from faltung.diagnose.program import Edit, Edits, Program, Step, Trace
from faltung.diagnose.resize import Resize

LONGEST = 1 << 22
MOST_PADDED = 6
"""Layers that one fix may change; more is another model."""


def candidates(program: Program, trace: Trace, shape: Shape, edits: Edits) -> Iterator[Candidate]:
    """Yield what lets a window fit: in this layer, in those before it, or in the data."""
    layer, misfit = trace.refused, trace.misfit
    assert layer is not None and misfit is not None
    if misfit.rule == "reflect":
        yield from _reflect(layer, trace.shape)
    found: list[Candidate] = []
    if misfit.rule == "short" and layer.host != "onnx":
        found += [*_this_layer(layer, trace), *_earlier(trace)]
    if misfit.rule in ("short", "reflect", "call"):
        found += _longer(program, trace, shape, edits)
    looks_swapped = 0.9 * _looks_swapped(layer, trace)
    yield from (replace(each, cost=each.cost + looks_swapped) for each in found)


def _looks_swapped(layer: Layer, trace: Trace) -> bool:
    """Whether the channels that come are many times the steps, so that it is not the length that is wrong."""
    if not trace.is_direct or len(trace.shape) != layer.rank + 2 or layer["in_channels"] is not None:
        return False
    channels = trace.shape[channel_axis(layer, trace.shape)]
    return all(channels and size and channels > 4 * size for size in _spatial(layer, trace.shape))


def _this_layer(layer: Layer, trace: Trace) -> Iterator[Candidate]:
    sizes = _spatial(layer, trace.shape)
    sentence = f"the window of {layer.label} is longer than what is left: {_story(trace)}"
    if layer.kind == "conv":
        same = "same" if layer.host != "torch" else tuple((window // 2, window // 2) for window in layer.window)
        yield changed(layer, 1.0, "too short", sentence, padding=same)
    elif layer.host == "keras":
        yield changed(layer, 1.0, "too short", sentence, padding="same")
    fitting = []
    pairs = layer.pairs(trace.shape[-layer.rank :])
    gaps = layer["dilation"] or (1,) * layer.rank
    for size, kernel, gap, pair in zip(sizes, layer["kernel_size"], gaps, pairs, strict=True):
        fitting.append(max(min(kernel, (size + sum(pair) - 1) // gap + 1), 1) if size is not None else kernel)
    is_turned = len(set(layer["kernel_size"])) > 1
    if is_turned:
        turned = tuple(reversed(layer["kernel_size"]))
        one = f"a window {layer['kernel_size']} lies across axes of {tuple(sizes)}: it should be {turned}"
        yield changed(layer, 0.7, "kernel across the wrong axis", one, kernel_size=turned)
    if layer.kind == "conv" and max(gaps) > 1:
        room = zip(sizes, layer["kernel_size"], gaps, pairs, strict=True)
        less = tuple(min(g, (s + sum(p) - 1) // (k - 1)) if k > 1 and s else g for s, k, g, p in room)
        if min(less) >= 1:
            yield changed(layer, 1.0, "too short", sentence, dilation=less)
    smaller: dict[str, object] = {"kernel_size": tuple(fitting)}
    if layer.kind == "pool":
        smaller["stride"] = tuple(min(a, b) for a, b in zip(layer["stride"], fitting, strict=True))
        smaller["padding"] = (
            tuple((min(low, k // 2),) * 2 for (low, _), k in zip(layer["padding"], fitting, strict=True))
            if isinstance(layer["padding"], tuple)
            else layer["padding"]
        )
    yield changed(layer, 1.2 + 0.5 * (max(fitting) < 2), "too short", sentence, **smaller)


def _earlier(trace: Trace) -> Iterator[Candidate]:
    """Padding in every convolution of the stack, which then keeps its length."""
    layer = trace.refused
    assert layer is not None
    eaters = [step.layer for step in trace.steps if step.layer.kind == "conv" and _eaten(step) and _pads(step.layer)]
    if not 1 <= len(eaters) <= MOST_PADDED:
        return
    edits, new = {}, []
    for each in [*eaters, *([layer] if layer.kind == "conv" else [])]:
        if each.host == "torch":
            odd = tuple((window // 2, window // 2) for window in each.window)
            options: dict[str, object] = {"padding": odd}
        else:
            options = {"padding": "same"}
        edits[each.path] = Edit(options=options)
        new.append(each.change(**options))
    sentence = f"the convolutions before it eat the length: {_story(trace)}"
    yield Candidate(1.15, "too short", sentence, edits=edits, changed=tuple(new))


def _pads(layer: Layer) -> bool:
    return layer["padding"] == "valid" or (isinstance(layer["padding"], tuple) and not any(map(any, layer["padding"])))


def _reflect(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    sizes = _spatial(layer, shape)
    pairs = tuple(
        (min(low, (size or 1) - 1), min(high, (size or 1) - 1))
        for (low, high), size in zip(layer.pairs(sizes), sizes, strict=True)
    )
    sentence = f"reflection takes at most {min(size or 1 for size in sizes) - 1} of {tuple(sizes)} inputs, the padding is {layer.pairs(sizes)}"
    yield changed(layer, 0.8, "reflect", sentence, padding_mode="replicate")
    yield changed(layer, 0.9, "reflect", sentence, padding=pairs)


def _longer(program: Program, trace: Trace, shape: Shape, edits: Edits) -> Iterator[Candidate]:
    """The shortest data with which the model gets past this layer."""
    first = next((layer for layer in program.layers if layer.roles() and layer.rank and layer.kind != "input"), None)
    if first is None or None in shape[1:]:
        return
    rank = first.rank
    if len(shape) not in (rank + 1, rank + 2):
        return
    start = len(shape) - rank - (0 if first.is_first else 1)
    base = list(shape)
    for axis in range(start, start + rank):
        least = shortest(program, trace, tuple(base), axis, edits)
        if least is None:
            continue
        old = base[axis]
        assert old is not None
        where = first.spatial[axis - start]
        sentence = f"the model needs {least} {where} or more, x has {old}: {_story(trace)}"
        yield Candidate(1.1, "too short", sentence, Resize(len(shape), axis, old, least))


def shortest(program: Program, trace: Trace, shape: Shape, axis: int, edits: Edits) -> int | None:
    """Return the least size of an axis with which the refusing layer runs, None if none does."""
    old = shape[axis] or 1

    def passes(size: int) -> bool:
        return beyond(program.run((*shape[:axis], size, *shape[axis + 1 :]), edits), trace)

    high = old
    while not passes(high):
        high *= 2
        if high > max(64 * old, 4096) or high > LONGEST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high if high > old else None


def beyond(new: Trace, old: Trace) -> bool:
    """Whether a run gets past the layer that refused in another run."""
    if new.refused is None:
        return True
    assert old.refused is not None
    if new.refused.kind == "other" and not new.refused.path:  # the model's own code: it must get further
        return len(new.steps) > len(old.steps)
    return any(step.layer.path == old.refused.path for step in new.steps[len(old.steps) :]) or (
        len(new.steps) > len(old.steps)
    )


def _spatial(layer: Layer, shape: Shape) -> Shape:
    return shape[-layer.rank :] if layer.is_first else shape[-layer.rank - 1 : -1]


def _eaten(step: Step) -> int:
    layer = step.layer
    before, after = _spatial(layer, step.input_shape), _spatial(layer, step.output_shape)
    pairs = zip(before, after, strict=True)
    return max((a - b for a, b in pairs if a is not None and b is not None), default=0)


def _story(trace: Trace) -> str:
    """How the length shrinks from layer to layer, and which one takes the most."""
    layer = trace.refused
    assert layer is not None
    if not layer.rank:
        return f"{layer.label} refuses {trace.shape}"
    steps = [step for step in trace.steps if step.layer.rank == layer.rank and len(step.output_shape) == len(trace.shape)]
    last = _spatial(layer, trace.shape)
    name = " × ".join(layer.spatial)
    if not steps:
        return f"{'×'.join(map(str, last))} {name} for a window of {'×'.join(map(str, layer.window))}"
    chain = ["×".join(map(str, _spatial(steps[0].layer, steps[0].input_shape)))]
    for step in steps:
        size = "×".join(map(str, _spatial(step.layer, step.output_shape)))
        if size != chain[-1]:
            chain.append(size)
    if len(chain) > 8:
        chain = [*chain[:4], "…", *chain[-3:]]
    greedy = max(steps, key=_eaten)
    return f"{' → '.join(chain)} {name}, most of it taken by {greedy.layer.label}, for a window of {'×'.join(map(str, layer.window))}"
