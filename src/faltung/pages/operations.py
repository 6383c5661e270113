"""From a layer and its input to the operations that the page shows: one, or two for a separable convolution."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from faltung.errors import ShapeError
from faltung.models.axes import split
from faltung.models.layer import Layer, Shape
from faltung.pages.operation import Array, Operation
from faltung.pages.weights import Weights, weights_of
from faltung.spec.activation import ACTIVATIONS, ALIASES
from faltung.spec.geometry import output_size
from faltung.spec.transposed import transposed_sizes


def operations_of(
    layer: Layer, x: Array, out_shape: Shape, *, sample: int = 0, names: Sequence[str] = (), given: Any = (None, None)
) -> tuple[Operation, ...]:
    """Return what ``layer`` does to one sample of ``x``.

    Arguments:
        layer: a convolution or a transposed one.
        x: the data, in the layer's own order of axes.
        out_shape: the shape of its result.
        sample: which of the batch.
        names: of the spatial axes; default: the layer's.
        given: kernel and bias for a spec.
    """
    _, channels, sizes = split(layer, x.shape)
    _, _, outs = split(layer, out_shape)
    assert channels is not None  # an array has sizes
    picked = _sample(layer, x, channels, sizes, sample)
    spatial = tuple(names) or layer.spatial
    if len(spatial) != layer.rank:
        raise ShapeError(f"show: names must have one for each of {layer.rank} spatial axes; got {tuple(names)}.")
    first, *second = weights_of(layer, channels, given)
    activation, parameter, note = _activation(layer)
    dtype = np.result_type(picked.dtype, first.kernel.dtype)
    step = _operation(layer, picked.astype(dtype), first, tuple(int(out or 0) for out in outs), spatial, dtype)
    finish: dict[str, Any] = {
        "activation": activation,
        "parameter": parameter,
        "notes": tuple(filter(None, (first.note, note))),
    }
    if not second:
        return (replace(step, **finish),)
    return _separable(step, second[0], finish)


def _separable(depthwise: Operation, weights: Weights, finish: dict[str, Any]) -> tuple[Operation, ...]:
    """The two halves of a separable convolution: each channel alone, then channels mixed at each position."""
    step = replace(depthwise, title=f"{depthwise.title}: depthwise")
    rank = step.rank
    pointwise = Operation(
        title=f"{depthwise.title}: pointwise",
        names=step.names,
        x=step.result(),
        kernel=weights.kernel.astype(step.x.dtype),
        bias=None if weights.bias is None else weights.bias.astype(step.x.dtype),
        stride=(1,) * rank,
        dilation=(1,) * rank,
        padding=((0, 0),) * rank,
        out_size=step.out_size,
    )
    return step, replace(pointwise, **finish)


def _operation(
    layer: Layer, x: Array, weights: Weights, outs: tuple[int, ...], names: tuple[str, ...], dtype: Any
) -> Operation:
    ones = (1,) * layer.rank
    stride, dilation = layer["stride"] or ones, layer["dilation"] or ones
    is_transposed = layer.kind == "conv_transpose"
    said = layer["padding"]
    window = layer.window
    padding = _cut(layer, x.shape[1:], outs) if is_transposed else layer.pairs(x.shape[1:])
    if not is_transposed:
        outs = tuple(map(output_size, x.shape[1:], window, stride, padding))
    return Operation(
        title=layer.label,
        names=names,
        x=x,
        kernel=weights.kernel.astype(dtype),
        bias=None if weights.bias is None else weights.bias.astype(dtype),
        stride=tuple(stride),
        dilation=tuple(dilation),
        padding=tuple((int(low), int(high)) for low, high in padding),
        out_size=outs,
        word=said if isinstance(said, str) else "",
        padding_mode=(layer["padding_mode"] or "zeros") if any(map(any, padding)) else "zeros",
        groups=weights.groups,
        is_transposed=is_transposed,
    )


def _cut(layer: Layer, sizes: tuple[int, ...], outs: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """What a transposed convolution cuts off the low end; the high end follows from the size of its result."""
    said, extra = layer["padding"] or 0, layer["output_padding"]
    more = None if extra is None or (layer.host == "torch" and not any(extra)) else tuple(extra)
    _, pairs = transposed_sizes(sizes, layer.window, tuple(layer["stride"]), said, more)
    return pairs


def _sample(layer: Layer, x: Array, channels: int, sizes: Shape, sample: int) -> Array:
    known = tuple(size or 0 for size in sizes)
    flat = x.reshape(-1, channels, *known) if layer.is_first else x.reshape(-1, *known, channels)
    if not 0 <= sample < len(flat):
        raise ShapeError(f"show: sample must be one of the batch's {len(flat)}; got {sample}. Give 0, say.")
    picked: Array = flat[sample]
    return picked if layer.is_first else np.moveaxis(picked, -1, 0)


def _activation(layer: Layer) -> tuple[str | None, float | None, str]:
    """The activation that is computed with the layer, its parameter, and what to say where the page cannot show it."""
    source = layer.source
    if layer.host == "faltung" and getattr(source, "activation", None):
        return source.activation, source.activation_parameter, ""
    said = layer["activation"] or (layer["call"] or {}).get("said", {}).get("activation")
    name, parameter = said if isinstance(said, tuple) else (said, None)
    name = ALIASES.get(name, name)
    if name is not None and name not in ACTIVATIONS:
        return None, None, f"The activation {name} is left out: the page shows the sums before it."
    return name, ACTIVATIONS[name] if name and parameter is None else parameter, ""
