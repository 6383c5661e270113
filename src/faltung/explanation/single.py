"""One convolution on one input, in words and numbers."""

import math
from collections.abc import Iterator

from faltung.explanation.counts import has_bias, kernel_numbers, known, multiplications, parameters
from faltung.models.axes import channel_axis, split
from faltung.models.layer import Layer, Shape, show_product


def describe(layer: Layer, shape: Shape, out: Shape) -> str:
    """Return the whole description as text."""
    shape, out = known(shape), known(out)
    lines = [f"{layer.type_name}: x {shape} → y {out}", ""]
    roles = layer.roles() or ()
    extra = len(shape) - len(roles)
    names = [*["batch"] * max(extra, 0), *(role.name for role in (roles if extra >= 0 else roles[1:]))]
    lines.append(
        "axes           " + ", ".join(f"{name} {a} → {b}" for name, a, b in zip(names, shape, out, strict=True))
    )
    _, _, sizes = split(layer, shape)
    _, _, outs = split(layer, out)
    lines += [
        f"{'output size' if not at else '':<15}{text}"
        for at, text in enumerate(_formulas(layer, known(sizes), known(outs)))
    ]
    weights, _ = kernel_numbers(layer, shape)
    bias = " with bias" if has_bias(layer) else ""
    lines.append(f"parameters     {parameters(layer, shape):,}{bias}; the kernel has {weights:,} numbers")
    lines.append(f"multiplications {multiplications(layer, shape, out):,}")
    total = math.prod(shape), weights, math.prod(out)
    lines.append(f"memory         x {_bytes(total[0])}, kernel {_bytes(total[1])}, y {_bytes(total[2])} (float32)")
    window = show_product(layer.window)
    lines.append(f"receptive field {window} ({'×'.join(layer.spatial)}): what one output sees")
    if layer.kind == "conv":
        pairs = layer.pairs(sizes)
        pads = ", ".join(
            f"{name} {low} before, {high} after" for name, (low, high) in zip(layer.spatial, pairs, strict=True)
        )
        lines.append(f"padding        {pads}")
        lines += _touched(layer, known(sizes), known(outs))
        if layer.rank == 1:
            lines += [f"as 2-D         {_as_2d(layer, shape)}"]
    lines += ["", "what each argument changes:"]
    lines += [f"  {text}" for text in _arguments(layer, known(sizes), known(outs), shape)]
    return "\n".join(lines)


def _formulas(layer: Layer, sizes: tuple[int, ...], outs: tuple[int, ...]) -> Iterator[str]:
    gaps = layer["dilation"]
    rows = zip(layer.spatial, sizes, outs, layer["kernel_size"], gaps, layer["stride"], strict=True)
    for at, (name, size, out, taps, gap, step) in enumerate(rows):
        if layer.kind == "conv_transpose":
            yield f"{name}: {size} inputs, {step} apart, each spread over {layer.window[at]} outputs: {out}"
            continue
        low, high = layer.pairs(sizes)[at]
        yield f"{name}: floor(({size} + {low} + {high} - {gap}*({taps} - 1) - 1) / {step}) + 1 = {out}"


def _touched(layer: Layer, sizes: tuple[int, ...], outs: tuple[int, ...]) -> Iterator[str]:
    """What the first, a middle and the last output read, padding told apart."""
    for word, pick in (("first", 0), ("middle", None), ("last", -1)):
        parts = []
        for at, (name, size, out) in enumerate(zip(layer.spatial, sizes, outs, strict=True)):
            if not out:
                continue
            index = out // 2 if pick is None else pick % out
            start = index * layer["stride"][at] - layer.pairs(sizes)[at][0]
            gap = layer["dilation"][at]
            places = [start + gap * tap for tap in range(layer["kernel_size"][at])]
            inside = [place for place in places if 0 <= place < size]
            outside = len(places) - len(inside)
            every = f", every {gap}" if gap > 1 and len(inside) > 1 else ""
            read = f"{inside[0]} … {inside[-1]}{every}" if inside else "nothing"
            parts.append(f"{name} {read}" + (f" and {outside} of padding" if outside else ""))
        yield f"{word + ' output':<15}reads {'; '.join(parts)}"


def _as_2d(layer: Layer, shape: Shape) -> str:
    name = "conv2d" if layer.host == "faltung" else layer.type_name.replace("1", "2").replace("conv1d", "conv2d")
    at = len(shape) - 1 - (0 if layer.is_first else 1)
    flat = (*shape[:at], 1, *shape[at:])
    (low, high), stride, gap = layer.pairs((shape[at],))[0], layer["stride"][0], layer["dilation"][0]
    return (
        f"{name} on x {flat} with a kernel (1, {layer['kernel_size'][0]}), "
        f"stride (1, {stride}), dilation (1, {gap}), padding "
        f"(0, 0), ({low}, {high})"
    )


def _arguments(layer: Layer, sizes: tuple[int, ...], outs: tuple[int, ...], shape: Shape) -> Iterator[str]:
    step, gap, taps = layer["stride"][0], layer["dilation"][0], layer["kernel_size"][0]
    channels = known(shape)[channel_axis(layer, shape)]
    torch = layer.host == "torch"
    outputs = layer["out_channels"] or channels * (layer["multiplier"] or 1)
    yield (
        f"{'out_channels' if layer.host != 'keras' else 'filters'}={outputs}: "
        "how many patterns are looked for; channels of y"
    )
    yield (
        f"kernel_size={taps}: {taps} taps, so {layer.window[0]} "
        f"{layer.spatial[0]} seen at once; more taps, more multiplications"
    )
    word = {"keras": "strides"}.get(layer.host, "stride")
    if layer.kind == "conv":
        yield (
            f"{word}={step}: an output for every {_th(step)} position, "
            f"{sizes[0]} → {outs[0]}; 2 gives half as many as 1"
        )
    else:
        yield f"{word}={step}: outputs between two inputs, {sizes[0]} → {outs[0]}"
    word = {"keras": "dilation_rate"}.get(layer.host, "dilation")
    yield f"{word}={gap}: inputs between taps, 1 is dense; it widens the view to {layer.window[0]} at no cost"
    padding = layer["padding"]
    said = padding if isinstance(padding, str) else (padding[0][0] if len(set(padding[0])) == 1 else padding[0])
    if layer.kind == "conv":
        same = -(-sizes[0] // step)
        way = f"padding={layer.window[0] // 2}" if torch and layer.window[0] % 2 else 'padding="same"'
        yield f"padding={said!r}: {sum(layer.pairs(sizes)[0])} positions added; {way} gives {same}"
    groups = layer["groups"] or 1
    each = channels // groups
    yield f"groups={groups}: each output sees {each} of {channels} channels" + (
        "; channels never mix" if each == 1 < channels else ""
    )


def _th(number: int) -> str:
    return {1: "single", 2: "second", 3: "third"}.get(number, f"{number}th")


def _bytes(numbers: int) -> str:
    size = 4.0 * numbers
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
