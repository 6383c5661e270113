"""The shape that a layer makes of a shape, or the one rule that it breaks: the geometry of every kind of layer."""

import math

from faltung.models.axes import Misfit, channel_axis, join, split
from faltung.models.layer import Layer, Shape
from faltung.models.windows import conv, pool, transposed


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
    "conv": conv,
    "conv_transpose": transposed,
    "pool": pool,
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
