"""The shape that a layer makes of a shape, or the one rule that it breaks: the geometry of every kind of layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faltung.models.layer import Layer, Shape, Size
from faltung.spec.geometry import output_size


@dataclass
class Misfit(Exception):
    """A rule that a shape breaks, such as "axes", "channels", "short", "features", "declared", and where."""

    rule: str
    message: str
    axes: tuple[int, ...] = ()


def forward(layer: Layer, shape: Shape) -> Shape:
    """Return the shape of the layer's output, or raise the Misfit."""
    return RULES[layer.kind](layer, shape) if layer.kind in RULES else shape


def misfit(layer: Layer, shape: Shape) -> Misfit | None:
    """Return the rule that a shape breaks, None if none."""
    try:
        forward(layer, shape)
    except Misfit as fault:
        return fault
    return None


def conflict(layer: Layer) -> str | None:
    """Return the rule that the options of a layer break among themselves, whatever the input."""
    if layer.kind not in ("conv", "conv_transpose"):
        return None
    stride, dilation, padding = layer["stride"], layer["dilation"], layer["padding"]
    if len(layer["kernel_size"]) != layer.rank:
        return "kernel rank"
    if layer["out_channels"] and layer["out_channels"] % layer["groups"]:
        return "groups"
    if layer["in_channels"] and layer["in_channels"] % layer["groups"]:
        return "groups"
    is_wide = stride is not None and max(stride) > 1
    if layer.host == "torch" and padding == "same" and is_wide:
        return "same with stride"
    if layer.host == "keras" and is_wide and max(dilation) > 1:
        return "stride with dilation"
    if padding == "causal" and layer.is_first and layer.host == "keras":
        return "causal with channels first"
    if layer.kind == "conv_transpose" and layer["output_padding"]:
        steps = zip(layer["output_padding"], stride, dilation, strict=True)
        if any(extra >= (max(step, gap) if layer.host == "torch" else step) for extra, step, gap in steps):
            return "output_padding"
    return None


def split(layer: Layer, shape: Shape) -> tuple[Shape, Size, Shape]:
    """Return leading axes, channels and spatial sizes, or raise the Misfit of a wrong number of axes."""
    want = layer.rank + 2
    least = want - 1 if layer.host == "torch" else want
    most = 99 if layer.host == "faltung" and not layer.is_first else want
    if not least <= len(shape) <= most:
        raise Misfit("axes", f"wants {want} axes, x has {len(shape)}", tuple(range(len(shape))))
    rest = shape[len(shape) - layer.rank - 1 :]
    lead = shape[: len(shape) - layer.rank - 1]
    return (lead, rest[0], rest[1:]) if layer.is_first else (lead, rest[-1], rest[:-1])


def join(layer: Layer, lead: Shape, channels: Size, sizes: Sequence[Size]) -> Shape:
    """Return the shape again: the inverse of split."""
    return (*lead, channels, *sizes) if layer.is_first else (*lead, *sizes, channels)


def channel_axis(layer: Layer, shape: Shape) -> int:
    """Return the index of the channels in a shape."""
    return len(shape) - layer.rank - 1 if layer.is_first else len(shape) - 1


def spatial_axis(layer: Layer, shape: Shape, index: int) -> int:
    """Return where the spatial axis ``index`` lies in a shape."""
    return len(shape) - layer.rank - (0 if layer.is_first else 1) + index


def _channels(layer: Layer, shape: Shape, channels: Size) -> None:
    wanted, groups = layer["in_channels"], layer["groups"] or 1
    axis = (channel_axis(layer, shape),)
    if wanted is not None and channels is not None and channels != wanted:
        raise Misfit("channels", f"wants {wanted} channels on axis {axis[0]}, x has {channels}", axis)
    if channels is not None and channels % groups:
        raise Misfit("groups", f"splits channels into {groups} groups, x has {channels}", axis)


def _conv(layer: Layer, shape: Shape) -> Shape:
    if rule := conflict(layer):
        raise Misfit(rule, rule)
    lead, channels, sizes = split(layer, shape)
    _channels(layer, shape, channels)
    pairs = layer.pairs(sizes)
    if layer["padding_mode"] == "reflect":
        for index, (size, pair) in enumerate(zip(sizes, pairs, strict=True)):
            if size is not None and max(pair) >= size:
                raise Misfit("reflect", f"reflects {max(pair)} of {size} inputs", (spatial_axis(layer, shape, index),))
    out = layer["out_channels"]
    if out is None and channels is not None:  # depthwise
        out = channels * (layer["multiplier"] or 1)
    return join(layer, lead, out, _windows(layer, shape, sizes, pairs))


def _windows(layer: Layer, shape: Shape, sizes: Shape, pairs: Sequence[tuple[int, int]]) -> list[Size]:
    outs: list[Size] = []
    for index, (size, window, step, pair) in enumerate(zip(sizes, layer.window, layer["stride"], pairs, strict=True)):
        if size is None:
            outs.append(None)
            continue
        low, high = pair
        if window > low + size + high:
            name = layer.spatial[index]
            message = f"spans {window} {name}, x has {size}" + (f" (padded {size + sum(pair)})" if any(pair) else "")
            raise Misfit("short", message, (spatial_axis(layer, shape, index),))
        outs.append(output_size(size, window, step, (low, high + step - 1) if layer["ceil"] else pair))
    return outs


def _pool(layer: Layer, shape: Shape) -> Shape:
    lead, channels, sizes = split(layer, shape)
    return join(layer, lead, channels, _windows(layer, shape, sizes, layer.pairs(sizes)))


def transposed_size(in_size: int, window: int, stride: int, pair: tuple[int, int] = (0, 0)) -> int:
    """Return the size of a transposed result, ``(in - 1)*stride + window - low - high``.

    >>> transposed_size(50, 7, 2, (3, 3))
    99
    """
    return (in_size - 1) * stride + window - sum(pair)


def _transposed(layer: Layer, shape: Shape) -> Shape:
    if rule := conflict(layer):
        raise Misfit(rule, rule)
    lead, channels, sizes = split(layer, shape)
    _channels(layer, shape, channels)
    outs: list[Size] = []
    padding, extra = layer["padding"], layer["output_padding"] or (None,) * layer.rank
    rows = zip(sizes, layer.window, layer["stride"], extra, strict=True)
    for index, (size, window, step, more) in enumerate(rows):
        if size is None:
            outs.append(None)
        elif isinstance(padding, str) and more is None:
            outs.append(max(transposed_size(size, window, step), size * step) if padding == "valid" else size * step)
        else:
            pair = {"same": (window // 2,) * 2}.get(padding, (0, 0)) if isinstance(padding, str) else padding[index]
            outs.append(transposed_size(size, window, step, pair) + (more or 0))
    return join(layer, lead, layer["out_channels"], outs)


def _global(layer: Layer, shape: Shape) -> Shape:
    lead, channels, _ = split(layer, shape)
    sizes = layer["sizes"]  # adaptive pooling; None: the axes go
    if sizes is None and not layer["keepdims"]:
        return (*lead, channels)
    return join(layer, lead, channels, sizes or (1,) * layer.rank)


def _linear(layer: Layer, shape: Shape) -> Shape:
    wanted = layer["in_channels"]
    if len(shape) < (2 if layer.host == "keras" else 1):
        raise Misfit("axes", "wants 2 axes or more", tuple(range(len(shape))))
    if wanted is not None and shape[-1] is not None and shape[-1] != wanted:
        raise Misfit("features", f"wants {wanted} features, x has {shape[-1]}", (len(shape) - 1,))
    return (*shape[:-1], layer["out_channels"])


def _flatten(layer: Layer, shape: Shape) -> Shape:
    if layer["is_left_out"]:
        return shape
    start, end = layer["start"] % max(len(shape), 1), layer["end"] % max(len(shape), 1)
    middle = shape[start : end + 1]
    merged = None if None in middle else math.prod(middle)  # type: ignore[arg-type]
    return (*shape[:start], merged, *shape[end + 1 :])


def _norm(layer: Layer, shape: Shape) -> Shape:
    if layer.rank:
        if layer.rank == 1 and len(shape) == 2:  # BatchNorm1d takes (N, C) too
            channels, axis = shape[1], 1
        elif len(shape) != layer.rank + 2:
            raise Misfit("axes", f"wants {layer.rank + 2} axes, x has {len(shape)}", tuple(range(len(shape))))
        else:
            _, channels, _ = split(layer, shape)
            axis = channel_axis(layer, shape)
    else:
        axis = layer["axis"] % len(shape)
        channels = shape[axis]
    wanted = layer["in_channels"]
    if wanted is not None and channels is not None and channels != wanted:
        raise Misfit("channels", f"wants {wanted} channels on axis {axis}, x has {channels}", (axis,))
    return shape


def _recurrent(layer: Layer, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise Misfit("axes", f"wants 3 axes, x has {len(shape)}", tuple(range(len(shape))))
    if layer["in_channels"] is not None and shape[-1] is not None and shape[-1] != layer["in_channels"]:
        raise Misfit("features", f"wants {layer['in_channels']} features, x has {shape[-1]}", (2,))
    return (*shape[:-1], layer["out_channels"]) if layer["sequences"] else (shape[0], layer["out_channels"])


def _input(layer: Layer, shape: Shape) -> Shape:
    sizes: Shape = layer["sizes"]
    if len(sizes) != len(shape):
        raise Misfit("axes", f"was declared with {len(sizes)} axes, x has {len(shape)}", tuple(range(len(shape))))
    pairs = enumerate(zip(sizes, shape, strict=True))
    wrong = tuple(axis for axis, (size, got) in pairs if None not in (size, got) and size != got)
    if wrong:
        raise Misfit("declared", f"was declared as {sizes}", wrong)
    return tuple(size if got is None else got for size, got in zip(sizes, shape, strict=True))


def _embedding(layer: Layer, shape: Shape) -> Shape:
    return (*shape, layer["out_channels"])


def _pad(layer: Layer, shape: Shape) -> Shape:
    lead, channels, sizes = split(layer, shape)
    pairs = layer["pairs"]
    return join(
        layer, lead, channels, [None if s is None else s + a + b for s, (a, b) in zip(sizes, pairs, strict=True)]
    )


def _upsample(layer: Layer, shape: Shape) -> Shape:
    lead, channels, sizes = split(layer, shape)
    return join(
        layer, lead, channels, [None if s is None else s * f for s, f in zip(sizes, layer["factor"], strict=True)]
    )


def _permute(layer: Layer, shape: Shape) -> Shape:
    if len(layer["order"]) != len(shape):
        raise Misfit("axes", f"permutes {len(layer['order'])} axes, x has {len(shape)}", tuple(range(len(shape))))
    return tuple(shape[axis] for axis in layer["order"])


def _reshape(layer: Layer, shape: Shape) -> Shape:
    target: Shape = layer["target"]
    if None in shape[1:]:
        return (shape[0], *(None if size == -1 else size for size in target))
    total = math.prod(shape[1:])  # type: ignore[arg-type]
    known = math.prod(size for size in target if size is not None and size != -1)
    has_free = -1 in target
    if (known != total) if not has_free else (known == 0 or total % known):
        raise Misfit("reshape", f"has {known} numbers a sample to place, x has {total}", tuple(range(1, len(shape))))
    return (shape[0], *(total // known if size == -1 else size for size in target))


def _other(layer: Layer, shape: Shape) -> Shape:
    run = layer["run"]
    try:
        result: Shape = run(shape)
    except Misfit:
        raise
    except Exception as error:
        raise Misfit("call", str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    return result


RULES = {
    "conv": _conv,
    "conv_transpose": _transposed,
    "pool": _pool,
    "global_pool": _global,
    "linear": _linear,
    "flatten": _flatten,
    "norm": _norm,
    "recurrent": _recurrent,
    "input": _input,
    "embedding": _embedding,
    "pad": _pad,
    "upsample": _upsample,
    "permute": _permute,
    "reshape": _reshape,
    "other": _other,
}
