"""Layers whose window slides: convolutions, transposed ones and pools; which options conflict, and the sizes."""

from collections.abc import Sequence

from faltung.models.axes import Misfit, channel_axis, join, spatial_axis, split
from faltung.models.layer import Layer, Shape, Size
from faltung.spec.geometry import output_size
from faltung.spec.transposed import transposed_size


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


def _channels(layer: Layer, shape: Shape, channels: Size) -> None:
    wanted, groups = layer["in_channels"], layer["groups"] or 1
    axis = (channel_axis(layer, shape),)
    if wanted is not None and channels is not None and channels != wanted:
        raise Misfit("channels", f"wants {wanted} channels on axis {axis[0]}, x has {channels}", axis)
    if channels is not None and channels % groups:
        raise Misfit("groups", f"splits channels into {groups} groups, x has {channels}", axis)


def conv(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that a convolution makes, or raise the Misfit."""
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


def ceil_size(in_size: int, window: int, stride: int, pair: tuple[int, int]) -> int:
    """Return the number of windows in ceil mode: a last one may hang over the end, but begins before the padding there.

    >>> ceil_size(6, 2, 4, (0, 0)), ceil_size(6, 2, 5, (0, 1)), ceil_size(5, 2, 5, (0, 1))
    (2, 2, 1)
    """
    low, high = pair
    count = output_size(in_size, window, stride, (low, high + stride - 1))
    return count - ((count - 1) * stride >= low + in_size)


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
        outs.append(ceil_size(size, window, step, pair) if layer["ceil"] else output_size(size, window, step, pair))
    return outs


def pool(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that pooling makes, or raise the Misfit."""
    lead, channels, sizes = split(layer, shape)
    return join(layer, lead, channels, _windows(layer, shape, sizes, layer.pairs(sizes)))


def transposed(layer: Layer, shape: Shape) -> Shape:
    """Return the shape that a transposed convolution makes, or raise the Misfit."""
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
