"""Changes of a layer's own arguments that would let it take what it was given."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from faltung.diagnosis.axes import readings
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.codes import line, place
from faltung.models.geometry import Misfit, channel_axis, forward
from faltung.models.layer import SPATIAL, Layer, Role, Shape, short
from faltung.models.program import Edit, Trace
from faltung.models.rearrange import Rearrange


def changed(layer: Layer, cost: float, kind: str, sentence: str, **options: object) -> Candidate:
    """Return the candidate that changes a layer's options."""
    new = layer.change(**options)
    return Candidate(cost, kind, sentence, edits={layer.path: Edit(options=options)}, changed=(new,))


def candidates(trace: Trace) -> Iterator[Candidate]:
    """Yield the changes of the refusing layer's arguments."""
    layer, shape, misfit = trace.refused, trace.shape, trace.misfit
    assert layer is not None and misfit is not None
    if layer.host == "onnx":
        return
    if layer.kind == "view":
        per_sample = math.prod(size or 1 for size in shape[1:])
        sentence = (
            f"{layer.type_name} does not fit {shape}: each sample has {_product(shape[1:])} = {per_sample} numbers"
        )
        edits = {layer.path: Edit(options={"is_flat": True})}
        yield Candidate(
            0.6, "view size", sentence, edits=edits, code=f"x = x.flatten(1)  # in place of {layer.type_name}"
        )
        return
    flatten = next((step.layer for step in reversed(trace.steps) if step.layer.kind == "flatten"), None)
    if flatten is not None and misfit.rule == "axes" and layer.kind in ("conv", "pool", "recurrent"):
        sentence = f"{flatten.label} leaves no axes for {layer.label}: leave it out"
        edits = {flatten.path: Edit(options={"is_left_out": True})}
        word = "nn.Identity()" if layer.host == "torch" else 'keras.layers.Identity(name="' + flatten.path + '")'
        code = f"{place(flatten.path)} = {word}" if layer.host == "torch" else word
        yield Candidate(0.4, "flattened too early", sentence, edits=edits, code=code)
    if layer.kind in ("conv", "conv_transpose"):
        yield from conflicts(layer, misfit.rule)
        yield from _channels(trace, layer, shape)
        yield from _layout(layer, shape)
    if layer.kind in ("conv", "conv_transpose", "pool", "global_pool", "norm") and layer.rank:
        yield from _rank(layer, shape)
    if layer.kind == "norm" and misfit.rule == "channels":
        got = shape[misfit.axes[0]]
        yield changed(
            layer,
            0.8,
            "channels",
            f"{layer.type_name} was made for {layer['in_channels']} channels, {got} come",
            in_channels=got,
        )
    if layer.kind in ("linear", "recurrent") and misfit.rule == "features":
        yield from _features(trace, layer, shape)


def _channels(trace: Trace, layer: Layer, shape: Shape) -> Iterator[Candidate]:
    """The layer made for the channels that come; together with a rearrangement where the axes are wrong too."""
    wanted = layer["in_channels"]
    if wanted is None or layer["call"] or layer.host == "keras":
        return
    roles = layer.roles() or ()
    free = tuple(Role(role.name, None, role.least) if role.name == "channels" else role for role in roles)
    direct = 0.0 if trace.is_direct else -0.3
    least = layer.rank + (1 if layer.host == "torch" else 2)
    if least <= len(shape) <= layer.rank + 2:
        got = shape[channel_axis(layer, shape)]
        is_batch_like = len(shape) == layer.rank + 1 and wanted == 1
        spatial = [
            size
            for at, size in enumerate(shape)
            if at != channel_axis(layer, shape) and at >= len(shape) - layer.rank - 1
        ]
        longest, count = max((size for size in spatial if size is not None), default=0), got or 0
        is_long = count > max(longest, 4) and trace.is_direct and layer.rank == 1  # more channels than steps
        cost = 1.2 + direct + 0.8 * is_batch_like + (0.9 if is_long and count >= 1.5 * longest else 0.6 * is_long)
        if got is not None and got != wanted and got % layer["groups"] == 0:
            sentence = f"the layer was made for {wanted} channels, {got} come"
            yield changed(layer, cost, "in_channels", sentence, in_channels=got)
    if trace.is_direct:
        for reading in readings(layer, free, shape):
            got = reading.rearrange.shape(shape)[channel_axis(layer, reading.rearrange.shape(shape))]
            if got in (None, wanted) or got % layer["groups"]:
                continue
            is_kept = not reading.rearrange.dropped and reading.rearrange.axes[0] in ((0,), ())
            if not is_kept and least <= len(shape) <= layer.rank + 2:
                continue  # the axes are as many as they should be
            sentence = f"{reading.sentence}; and the layer was made for {wanted} channels, these are {got}"
            one = changed(layer, reading.cost + 1.2, f"{reading.kind}, in_channels", sentence, in_channels=got)
            yield Candidate(one.cost, one.kind, sentence, reading.rearrange, one.edits, one.changed)
    before = next((step.layer for step in reversed(trace.steps) if step.layer.kind in ("conv", "conv_transpose")), None)
    if before is not None and before["groups"] == 1 and trace.misfit is not None and trace.misfit.rule == "channels":
        sentence = f"{before.label} makes {before['out_channels']} channels, {layer.label} was made for {wanted}"
        yield changed(before, 1.1, "in_channels", sentence, out_channels=wanted)


def _layout(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    """The layer told the other order of axes; a call told that of its kernel; a call's arguments exchanged."""
    call = layer["call"]
    if layer.host in ("keras", "faltung", "jax") and len(shape) == layer.rank + 2:
        flipped = layer.change(is_first=not layer.is_first)
        cost = _fit(flipped, shape) + 0.95 + 0.3 * (layer.host == "keras")
        words = "channels last" if layer.is_first else "channels first"
        sentence = f"x is {words}, and the layer reads it the other way"
        kind = "axes swapped" if layer.rank == 1 else "layout"
        options: dict[str, object] = {"is_first": not layer.is_first}
        if call:
            letters = call["layout"]
            spatial = letters.strip("NC")
            options["call"] = {**call, "layout": f"NC{spatial}" if flipped.is_first else f"N{spatial}C"}
        if layer.host == "keras" and layer["in_channels"] is not None:
            cost += 0.3
        yield changed(layer, cost, kind, sentence, **options)
    if call:
        yield from _kernel(layer, shape)


def _kernel(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    from faltung.models.readers.calls import layer_of

    call = layer["call"]
    kernel_shape: tuple[int, ...] = call["kernel_shape"]
    sizes = tuple(size or 0 for size in shape)
    swapped = layer_of(
        layer.host, layer.type_name, layer.rank, call["layout"], call["kernel_layout"], sizes, call["said"]
    )
    if None not in shape and len(shape) == layer.rank + 2 == len(kernel_shape):
        try:
            out = forward(swapped, kernel_shape)
        except Misfit:
            out = ()
        if out and 0 not in shape:
            said = {**swapped["call"], "is_swapped": True}
            sentence = "input and kernel stand in each other's place in the call"
            one = changed(layer, 0.5, "input and kernel swapped", sentence, **{**swapped.options, "call": said})
            yield replace(one, data=Exchange(kernel_shape), changed=(), code=line(one.changed[0]))
    if len(kernel_shape) != layer.rank + 2:
        return
    is_last = call["kernel_layout"].startswith("O")  # the layer reads OIW: the kernel may be WIO
    rank = layer.rank
    places = (rank + 1, rank, *range(rank)) if is_last else (*range(2, rank + 2), 1, 0)
    moved = tuple(kernel_shape[place] for place in places)
    turned = layer_of(layer.host, layer.type_name, rank, call["layout"], call["kernel_layout"], moved, call["said"])
    name = "kernel" if layer.host in ("faltung", "jax", "tensorflow") else "weight"
    method = "permute" if layer.host == "torch" else "transpose"
    said = {**turned["call"], "kernel_code": f"{name}.{method}({', '.join(map(str, places))})"}
    have, want = ("WIO", "OIW") if is_last else ("OIW", "WIO")
    if layer["call"]["layout"].endswith("C") == turned["call"]["layout"].endswith("C"):
        sentence = f"the kernel lies as {have}, and the call reads it as {want}"
        cost = _odd(turned) - _odd(layer)
        yield changed(layer, 0.9 + cost, "kernel layout", sentence, **{**turned.options, "call": said})
        if layer.host == "jax" and len(shape) == rank + 2:
            spatial = call["layout"].strip("NC")
            layout = f"N{spatial}C" if layer.is_first else f"NC{spatial}"
            kernel_layout = f"{spatial}IO" if is_last else f"OI{spatial}"
            both = layer_of(layer.host, layer.type_name, rank, layout, kernel_layout, kernel_shape, call["said"])
            sentence = f"x and kernel lie as {layout} and {kernel_layout}, and the call reads them the other way"
            options = {**both.options, "is_first": both.is_first}
            yield changed(layer, 1.0 + cost + _fit(both, shape), "layout, kernel layout", sentence, **options)


def _odd(layer: Layer) -> float:
    """How odd a kernel looks as this layer reads it: a window that is not square, or longer than there are outputs."""
    sizes: tuple[int, ...] = layer["kernel_size"]
    outputs: int = layer["out_channels"]
    return 0.8 * (len(set(sizes)) > 1) + 0.4 * (max(sizes) > outputs) + 0.3 * (max(sizes) > 16)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The kernel's array in the place of the data."""

    kernel_shape: tuple[int, ...]

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of what is now the data."""
        return self.kernel_shape

    def apply(self, array: object) -> object:
        """Return the array: it is the call that changes."""
        return array

    def code(self, host: str, x: str = "x") -> str:
        """Return no line of its own."""
        return ""


def _fit(layer: Layer, shape: Shape) -> float:
    """How well a shape fits a layer as it is: evidence of its numbers, negative when it speaks for it."""
    from faltung.diagnosis.axes import _evidence

    roles = layer.roles()
    if roles is None or len(roles) != len(shape):
        return 0.0
    return _evidence(layer, roles, tuple(range(len(shape))), shape)


def _rank(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    """The same layer for another number of spatial axes, on the data as it is or with an axis more."""
    if layer["call"] or len(layer["kernel_size"] or layer.spatial) != layer.rank:
        return
    for rank in (1, 2, 3):
        if (
            rank == layer.rank
            or f"{layer.rank}" not in layer.type_name
            or (rank == 3 and "Depthwise" in layer.type_name)
        ):
            continue
        if rank != 2 and ("Depthwise" in layer.type_name or "Separable" in layer.type_name) and rank == 3:
            continue
        options = re_ranked(layer, rank)
        new = layer.change(**options)
        roles = new.roles() or ()
        sentence = (
            f"x has {rank} spatial ax{'es' if rank > 1 else 'is'} "
            f"({', '.join(SPATIAL[rank])}), the layer slides along {layer.rank}"
        )
        if len(shape) == rank + 2 and all(role.takes(size) for role, size in zip(roles, shape, strict=True)):
            yield changed(layer, 1.5 + _fit(new, shape), "rank of the layer", sentence, **options)
        if len(shape) == rank + 1 and layer.kind != "norm":
            for reading in readings(new, roles, shape):
                if reading.rearrange.is_moved:
                    continue
                one = changed(
                    layer,
                    1.7 + reading.cost,
                    f"rank of the layer, {reading.kind}",
                    f"{sentence}; {reading.sentence}",
                    **options,
                )
                yield Candidate(one.cost, one.kind, one.sentence, reading.rearrange, one.edits, one.changed)


def re_ranked(layer: Layer, rank: int) -> dict[str, object]:
    """Return the options that make a layer slide along another number of axes."""
    options: dict[str, object] = {"rank": rank, "type_name": layer.type_name.replace(str(layer.rank), str(rank))}
    for name in ("kernel_size", "stride", "dilation", "padding", "output_padding", "sizes"):
        value = layer[name]
        if isinstance(value, tuple) and value:
            longest = max(value, key=lambda entry: entry if isinstance(entry, int) else 0)
            is_alike = len(set(value)) == 1
            options[name] = (value * 3)[:rank] if is_alike else (longest,) * rank
    return options


def _features(trace: Trace, layer: Layer, shape: Shape) -> Iterator[Candidate]:
    """A dense layer: as many inputs as come, or the axes before it flattened."""
    wanted, got = layer["in_channels"], shape[-1]
    flatten = next((step for step in reversed(trace.steps) if step.layer.kind == "flatten"), None)
    if flatten and flatten.layer["start"] == 0 and len(flatten.input_shape) > 1:
        sentence = "Flatten(0) merges the batch too; from axis 1 it keeps the samples apart"
        yield changed(flatten.layer, 0.2, "batch merged", sentence, start=1)
        per_sample = math.prod(size or 1 for size in flatten.input_shape[1:])
        if layer.host == "torch" and per_sample != wanted:
            edits = {
                flatten.layer.path: Edit(options={"start": 1}),
                layer.path: Edit(options={"in_channels": per_sample}),
            }
            both = (flatten.layer.change(start=1), layer.change(in_channels=per_sample))
            yield Candidate(0.5, "batch merged", sentence, edits=edits, changed=both)
    inner = shape[1:]
    if len(shape) > 2 and None not in inner:
        merged = math.prod(size or 1 for size in inner)
        flat = Rearrange(((0,), tuple(range(1, len(shape)))), len(shape))
        where = "" if trace.is_direct else f"  # before {layer.label}"
        code = f"x = x.flatten(1){where}" if layer.host == "torch" else "keras.layers.Flatten()" + where
        if merged == wanted:
            sentence = f"nothing flattens {inner} before {layer.label}, which wants {wanted} = {_product(inner)}"
            yield Candidate(0.1, "not flattened", sentence, edits={layer.path: Edit(flat)}, code=code)
        elif layer.host == "torch" and layer.kind == "linear":
            sentence = (
                f"nothing flattens {inner} before {layer.label}, and "
                f"{_product(inner)} = {merged} numbers come, not {wanted}"
            )
            new = layer.change(in_channels=merged)
            edits = {layer.path: Edit(flat, {"in_channels": merged})}
            yield Candidate(1.3, "not flattened, in_features", sentence, edits=edits, changed=(new,), code=code)
    if layer.host == "torch" or (layer.host == "keras" and layer.kind != "recurrent"):
        origin = ""
        if flatten and flatten.output_shape[-1] == got:
            names = [*layer_names(trace, flatten.input_shape)]
            origin = (
                f" = {_product(flatten.input_shape[1:])} ({' × '.join(names)})" if len(flatten.input_shape) > 2 else ""
            )
        sentence = f"{got} features come{origin}, {layer.label} was made for {wanted}"
        yield changed(layer, 0.7, "in_features" if layer.kind == "linear" else "input_size", sentence, in_channels=got)


def layer_names(trace: Trace, shape: Shape) -> tuple[str, ...]:
    """Return the names of the axes after the batch, as the last convolution calls them."""
    last = next((step.layer for step in reversed(trace.steps) if step.layer.rank and step.layer.roles()), None)
    roles = last.roles() if last else None
    return tuple(role.name for role in roles[1:]) if roles and len(roles) == len(shape) else ()


def _product(sizes: Shape) -> str:
    return "×".join(map(str, sizes))


def conflicts(layer: Layer, rule: str) -> Iterator[Candidate]:
    """Yield the ways out of options that do not go together."""
    window, step = layer.window if len(layer["kernel_size"]) == layer.rank else (), short(layer["stride"])
    name = layer.type_name
    if rule == "kernel rank":
        sizes = layer["kernel_size"]
        count = len(sizes)
        sentence = f"{name} slides along {layer.rank}, and its kernel_size {sizes} is for {count} axes"
        if count in (1, 2, 3):
            full = re_ranked(layer, count) | {"kernel_size": sizes}
            yield changed(layer, 1.0, "rank of the layer", sentence, **full)
        yield changed(layer, 1.3, "kernel_size", sentence, kernel_size=(max(sizes),) * layer.rank)
    elif rule == "groups":
        yield from _groups(layer)
    elif rule == "same with stride":
        pads = tuple(((size - 1) // 2, (size - 1) // 2) for size in window)
        instead = f"{pads[0][0]} at each end gives ceil(steps / {step}) for an odd window"
        sentence = f'PyTorch has no padding="same" for stride {step}; {instead}'
        yield changed(layer, 0.6, "same with stride", sentence, padding=pads)
        yield changed(layer, 1.3, "same with stride", "stride 1 goes with padding same", stride=(1,) * layer.rank)
    elif rule == "stride with dilation":
        sentence = f"Keras has no stride {step} together with dilation {short(layer['dilation'])}"
        yield changed(layer, 0.8, "stride with dilation", sentence, stride=(1,) * layer.rank)
        yield changed(layer, 0.9, "stride with dilation", sentence, dilation=(1,) * layer.rank)
    elif rule == "causal with channels first":
        sentence = "Keras pads causally with channels last only"
        yield changed(layer, 0.6, "causal with channels first", sentence, is_first=False, data_format=None)
        yield changed(layer, 1.2, "causal with channels first", sentence, padding="same")
    elif rule == "output_padding":
        limit = [
            max(a, b) if layer.host == "torch" else a for a, b in zip(layer["stride"], layer["dilation"], strict=True)
        ]
        extra = tuple(min(more, most - 1) for more, most in zip(layer["output_padding"], limit, strict=True))
        sentence = (
            f"output_padding {short(layer['output_padding'])} must be below the "
            f"stride {step}: it only chooses among the lengths that the stride merges"
        )
        yield changed(layer, 0.6, "output_padding", sentence, output_padding=extra)
        wide = tuple(max(more + 1, old) for more, old in zip(layer["output_padding"], layer["stride"], strict=True))
        yield changed(layer, 0.9, "output_padding", sentence, stride=wide)


def _groups(layer: Layer) -> Iterator[Candidate]:
    groups, inputs, outputs = layer["groups"], layer["in_channels"], layer["out_channels"]
    common = math.gcd(*(count for count in (inputs, outputs) if count))
    sentence = f"{groups} groups do not divide in_channels {inputs} and out_channels {outputs}"
    if inputs is None:
        sentence = f"{groups} groups do not divide out_channels {outputs}"
    divisors = [count for count in range(1, common + 1) if common % count == 0]
    best = min(divisors, key=lambda count: (abs(count - groups), -count))
    yield changed(layer, 0.8, "groups", sentence, groups=best)
    if outputs % groups and (inputs is None or inputs % groups == 0):
        rounded = -(-outputs // groups) * groups
        yield changed(layer, 0.9, "groups", sentence, out_channels=rounded)


def groups_of_input(layer: Layer, channels: int) -> Iterator[Candidate]:
    """Yield numbers of groups that split the channels that come, for layers that learn their channels from the data."""
    common = math.gcd(channels, layer["out_channels"])
    divisors = [count for count in range(1, common + 1) if common % count == 0]
    best = min(divisors, key=lambda count: (abs(count - layer["groups"]), -count))
    sentence = f"{layer['groups']} groups do not divide the {channels} channels that come"
    yield changed(layer, 0.8, "groups", sentence, groups=best)
