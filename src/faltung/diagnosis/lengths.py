"""Windows longer than what is left: padding, a smaller window, or an input long enough for the whole stack."""

import math
from collections.abc import Iterator
from dataclasses import replace

from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.options import changed
from faltung.diagnosis.resize import Resize, Resizes
from faltung.models.geometry import channel_axis
from faltung.models.layer import Layer, Shape
from faltung.models.program import Edit, Edits, Program, Step, Trace

LONGEST = 1 << 22
ROOMY = 4096
"""A length that every stack of layers that people write has room in, for the axes that are not looked at."""
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
    if misfit.rule in ("short", "reflect"):
        found += _longer(program, trace, shape, edits)
    first = next((each for each in program.layers if each.kind == "conv"), layer)
    if misfit.rule == "call":
        found += _nearest(program, trace, shape, edits)
    looks_swapped = 0.9 * _looks_swapped(first, shape)
    yield from (replace(each, cost=each.cost + looks_swapped) for each in found)


def _looks_swapped(first: Layer, shape: Shape) -> bool:
    """Whether the data has many times as many channels as steps, so that it is not the length that is wrong."""
    if len(shape) != first.rank + 2 or first["in_channels"] is not None:
        return False
    channels = shape[channel_axis(first, shape)]
    return all(channels and size and channels > 4 * size for size in _spatial(first, shape))


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
    is_turned = len(set(layer["kernel_size"])) > 1 and not layer["call"]  # a call's kernel is there already
    if is_turned:
        turned = tuple(reversed(layer["kernel_size"]))
        one = f"a window {layer['kernel_size']} lies across axes of {tuple(sizes)}: it should be {turned}"
        yield changed(layer, 0.7, "kernel across the wrong axis", one, kernel_size=turned)
    if layer.kind == "conv" and max(gaps) > 1:
        room = zip(sizes, layer["kernel_size"], gaps, pairs, strict=True)
        less = tuple(min(g, (s + sum(p) - 1) // (k - 1)) if k > 1 and s else g for s, k, g, p in room)
        if min(less) >= 1:
            yield changed(layer, 1.0, "too short", sentence, dilation=less)
    if layer["call"]:
        return
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
    sentence = (
        f"reflection takes at most {min(size or 1 for size in sizes) - 1} "
        f"of {tuple(sizes)} inputs, the padding is {layer.pairs(sizes)}"
    )
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
    wide = tuple(max(size or 1, ROOMY) if start <= axis < start + rank else size for axis, size in enumerate(shape))
    changes, words = [], []
    for axis in range(start, start + rank):
        old = shape[axis]
        assert old is not None
        least = shortest(program, trace, (*wide[:axis], old, *wide[axis + 1 :]), axis, edits)
        if least is not None and least > old:
            changes.append(Resize(len(shape), axis, old, least))
            words.append(f"{least} {first.spatial[axis - start]} or more, x has {old}")
    if changes:
        sentence = f"the model needs {' and '.join(words)}: {_story(trace)}"
        data = changes[0] if len(changes) == 1 else Resizes(tuple(changes))
        growth = max(change.size / max(change.old, 1) for change in changes)
        yield Candidate(1.0 + 0.4 * math.log2(growth), "too short", sentence, data)


def _nearest(program: Program, trace: Trace, shape: Shape, edits: Edits) -> Iterator[Candidate]:
    """The nearest lengths that the model's own code can join: halves that double again must have been even."""
    first = next((layer for layer in program.layers if layer.kind in ("conv", "pool")), None)
    if first is None or len(shape) != first.rank + 2 or None in shape:
        return
    start = len(shape) - first.rank - (0 if first.is_first else 1)
    for sign in (1, -1):
        for power in range(1, 8):
            unit = 2**power
            changes = []
            for axis in range(start, start + first.rank):
                old = shape[axis] or 1
                new = -(-old // unit) * unit if sign > 0 else old // unit * unit
                if new != old and new > 0:
                    changes.append(Resize(len(shape), axis, old, new))
            if not changes:
                continue
            data = changes[0] if len(changes) == 1 else Resizes(tuple(changes))
            if program.run(data.shape(shape), edits).refused is None:
                sentence = (
                    f"{trace.misfit.message if trace.misfit else ''}: sizes "
                    f"that are multiples of {unit} fit together again"
                )
                yield Candidate(0.9 + 0.1 * (sign < 0), "length", sentence, data)
                break


def shortest(program: Program, trace: Trace, shape: Shape, axis: int, edits: Edits) -> int | None:
    """Return the least size of an axis that is long enough for the whole model, None if none is."""
    old = shape[axis] or 1

    def passes(size: int) -> bool:
        ran = program.run((*shape[:axis], size, *shape[axis + 1 :]), edits)
        return beyond(ran, trace) and (ran.misfit is None or ran.misfit.rule != "short")

    high = old
    while not passes(high):
        high *= 2
        if high > max(64 * old, 4096) or high > LONGEST:
            return None
    low = high // 2 if high > old else old - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def beyond(new: Trace, old: Trace) -> bool:
    """Whether a run gets past the layer that refused in another run."""
    if new.refused is None:
        return True
    assert old.refused is not None
    if new.refused.kind == "other" and not new.refused.path:  # the model's own code: it must get further
        return len(new.steps) > len(old.steps)
    if old.refused.kind == "view":
        return new.refused.path != old.refused.path
    return len(new.steps) > len(old.steps)


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
    steps = [
        step for step in trace.steps if step.layer.rank == layer.rank and len(step.output_shape) == len(trace.shape)
    ]
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
    return (
        f"{' → '.join(chain)} {name}, most of it taken by {greedy.layer.label}, "
        f"for a window of {'×'.join(map(str, layer.window))}"
    )
