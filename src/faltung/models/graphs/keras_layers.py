"""Keras's layers as nodes: those with weights, and those whose `call` asks for the batch; others are read by it.

A function for each kind of layer, given the reader, the layer and what it is called with.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import keras
import numpy as np

from faltung.graph.graph import Array
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.keras_nodes import Name, Reader
from faltung.models.graphs.keras_ops import axes_of
from faltung.models.graphs.keras_variables import numbers
from faltung.models.graphs.keras_windows import (
    adaptive_pool,
    by_channel,
    conv,
    conv_transpose,
    layout_of,
    resized,
    sizes_of,
    upsampled,
)

UNCHANGED = {
    *("__init__", "build", "get_config", "from_config", "compute_output_shape", "compute_output_spec", "compute_mask"),
    *("__module__", "__qualname__", "__doc__", "__annotations__", "__static_attributes__", "__firstlineno__"),
}
"""What a subclass may define and still compute what its parent does."""


def table_entry(layer: Any) -> Callable[..., Any] | None:
    """The function that reads a layer; None for one that no table knows, or that computes something of its own."""
    for kind in type(layer).__mro__:
        if kind.__module__.startswith("keras."):
            return TABLE.get(kind.__name__)
        if not kind.__module__.startswith("faltung.") and not UNCHANGED.issuperset(vars(kind)):
            return None
    return None


def _kernel(r: Reader, layer: Any, then: Callable[[Array], Array] = lambda array: array, label: str = "") -> str:
    """A layer's kernel, with what LoRA adds to it."""
    if not getattr(layer, "lora_enabled", False):
        return r.constant(layer._kernel if hasattr(layer, "_kernel") else layer.kernel, then, label)
    variables = (layer._kernel, layer.lora_kernel_a, layer.lora_kernel_b)
    return r.computed(layer._kernel.path + ".lora" + label, lambda: then(numbers(layer.kernel)), variables)


def _bias(r: Reader, layer: Any) -> str | None:
    return r.constant(layer.bias) if layer.use_bias else None


def _options(layer: Any, **others: Any) -> dict[str, Any]:
    """What the layers over windows have in common."""
    options = {"stride": layer.strides, "dilation": layer.dilation_rate, "padding": layer.padding}
    return options | {"layout": layout_of(len(layer.kernel_size), layer.data_format)} | others


def _mode(layer: Any) -> dict[str, str]:
    return {"padding_mode": getattr(layer, "padding_mode", "zeros")}  # faltung's layers have one


def _with_one_batch_axis(read: Callable[..., Name]) -> Callable[..., Name]:
    """Read a layer over windows; faltung's take further batch axes, which are merged for it."""

    def merged(r: Reader, layer: Any, x: Name) -> Name:
        shape, inner = r.shape(x), len(layer.kernel_size) + 1
        if len(shape) <= inner + 1:
            return r.activated(layer.activation, read(r, layer, x))
        y = r.activated(layer.activation, read(r, layer, r.reshape(x, shape[-inner:], batch=-1)))
        return r.reshape(y, (*shape[1:-inner], *r.shape(y)[1:]), batch=-1)

    return merged


def _conv(r: Reader, layer: Any, x: Name) -> Name:
    return conv(r, x, _kernel(r, layer), _bias(r, layer), **_options(layer, **_mode(layer)))


def _depthwise(r: Reader, layer: Any, x: Name) -> Name:
    kernel = r.constant(layer.kernel, by_channel, ".by_channel")
    return conv(r, x, kernel, _bias(r, layer), **_options(layer, **_mode(layer)))


def _separable(r: Reader, layer: Any, x: Name) -> Name:
    """By channel, then a dense one of a single tap; bias and activation come at the end only."""
    inner = conv(r, x, r.constant(layer.depthwise_kernel, by_channel, ".by_channel"), **_options(layer, **_mode(layer)))
    kernel = r.constant(layer.pointwise_kernel)
    return conv(r, inner, kernel, _bias(r, layer), **_options(layer, stride=1, dilation=1, padding="valid"))


def _transposed(r: Reader, layer: Any, x: Name) -> Name:
    return conv_transpose(r, x, _kernel(r, layer), _bias(r, layer), **_options(layer, more=layer.output_padding))


def _dense(r: Reader, layer: Any, x: Name) -> Name:
    bias = _bias(r, layer)
    inputs = (_kernel(r, layer), *((bias,) if bias else ()))
    y = r.emit("dense", r.floats(x), *inputs, kernel_layout="IO", activation=None, has_bias=bias is not None)
    return r.activated(layer.activation, y)


def _scale_and_shift(r: Reader, scale: Any, shift: Any) -> tuple[list[str], dict[str, bool]]:
    """Learned scale and shift where there are such: as inputs, and the attributes that tell of them."""
    inputs = [r.constant(each) for each in (scale, shift) if each is not None]
    return inputs, {"has_scale": scale is not None, "has_shift": shift is not None}


def _batch_norm(r: Reader, layer: Any, x: Name) -> Name:
    more, has = _scale_and_shift(r, layer.gamma, layer.beta)
    statistics = r.constant(layer.moving_mean), r.constant(layer.moving_variance)
    (axis,) = axes_of(layer.axis, len(r.shape(x)))
    return r.emit("batch_norm", r.floats(x), *statistics, *more, axis=axis, epsilon=float(layer.epsilon), **has)


def _layer_norm(r: Reader, layer: Any, x: Name) -> Name:
    """Over the last axes; others are brought there and back."""
    if layer.rms_scaling:
        raise NotCovered("rms_scaling")
    rank = len(r.shape(x))
    axes = axes_of(layer.axis, rank)
    order = (*(axis for axis in range(rank) if axis not in axes), *axes)
    is_last = order == tuple(range(rank))
    inner = x if is_last else r.emit("transpose", x, axes=order)
    more, has = _scale_and_shift(r, layer.gamma, layer.beta)
    y = r.emit("layer_norm", r.floats(inner), *more, num_axes=len(axes), epsilon=float(layer.epsilon), **has)
    return y if is_last else r.emit("transpose", y, axes=tuple(map(int, np.argsort(order))))


def _group_norm(r: Reader, layer: Any, x: Name) -> Name:
    more, has = _scale_and_shift(r, layer.gamma, layer.beta)
    (axis,) = axes_of(layer.axis, len(r.shape(x)))
    options = {"axis": axis, "groups": int(layer.groups), "epsilon": float(layer.epsilon)}
    return r.emit("group_norm", r.floats(x), *more, **options, **has)


def _normalization(r: Reader, layer: Any, x: Name) -> Name:
    """(x - mean) / max(sqrt(variance), epsilon) with what `adapt` found or the user gave; or back."""
    variables = () if layer.input_mean is not None else (layer.adapt_mean, layer.adapt_variance)
    epsilon = keras.config.epsilon()

    def scale() -> Array:
        return np.maximum(np.sqrt(numbers(layer.variance)), epsilon)

    place = f"{layer.path}.{id(layer)}"
    mean = r.computed(place + ".mean", lambda: numbers(layer.mean), variables)
    deviation = r.computed(place + ".deviation", scale, variables)
    if layer.invert:
        return r.map(lambda a, b, c: ("add", b, ("mul", a, c)), x, mean, deviation)
    return r.map(lambda a, b, c: ("div", ("sub", a, b), c), x, mean, deviation)


def _rescaling(r: Reader, layer: Any, x: Name) -> Name:
    if np.ndim(layer.scale) and keras.config.image_data_format() == "channels_first":
        raise NotCovered("a scale for each channel, channels first")
    scale, offset = (each if np.ndim(each) else float(each) for each in (layer.scale, layer.offset))
    return r.map(lambda a, b, c: ("add", ("mul", a, b), c), x, scale, offset)


def _prelu(r: Reader, layer: Any, x: Name) -> Name:
    """A slope for each place but for the shared axes."""
    return r.map(lambda a, b: ("prelu", a, b), x, layer.alpha)


def _embedding(r: Reader, layer: Any, x: Name) -> Name:
    if getattr(layer, "lora_enabled", False):
        raise NotCovered("LoRA")
    return r.emit("embedding", r.indices(x), r.constant(layer._embeddings))


def _flatten(r: Reader, layer: Any, x: Name) -> Name:
    """In the order of channels last, whatever the data format."""
    shape = r.shape(x)
    if layer.data_format == "channels_first" and len(shape) > 2:
        x = r.emit("transpose", x, axes=(0, *range(2, len(shape)), 1))
    return r.reshape(x, (int(np.prod(shape[1:])),))


def _reshape(r: Reader, layer: Any, x: Name) -> Name:
    sizes = [-1 if size is None else int(size) for size in layer.target_shape]
    if -1 in sizes:
        known = int(np.prod([size for size in sizes if size != -1]))
        sizes[sizes.index(-1)] = int(np.prod(r.shape(x)[1:])) // max(known, 1)
    return r.reshape(x, sizes)


def _repeat_vector(r: Reader, layer: Any, x: Name) -> Name:
    return r.emit("expand", r.reshape(x, (1, *r.shape(x)[1:])), shape=(1, layer.n, 1))


def _upsampling(r: Reader, layer: Any, x: Name) -> Name:
    rank = len(r.shape(x)) - 2
    layout = layout_of(rank, getattr(layer, "data_format", "channels_last"))
    if getattr(layer, "interpolation", "nearest") == "nearest":
        return upsampled(r, x, layout, layer.size if rank > 1 else (layer.size,))
    sizes = tuple(size * factor for size, factor in zip(sizes_of(r, x, layout), layer.size, strict=True))
    return resized(r, x, layout, sizes, layer.interpolation)


def _time_distributed(r: Reader, layer: Any, x: Name) -> Name:
    """The layer of every step at once, as of a larger batch."""
    steps, *inner = r.shape(x)[1:]
    y = r.layer(layer.layer, r.reshape(x, inner, batch=-1))
    return r.reshape(y, (steps, *r.shape(y)[1:]), batch=-1)


def _activation(r: Reader, layer: Any, x: Name) -> Name:
    for name in ("mish", "hard_silu"):  # these two take no symbolic tensors
        if layer.activation is getattr(keras.activations, name):
            return r.map(lambda n, name=name: (name, n), x)
    (found,) = r.call(layer.activation, (x,))
    return found


def _merged(name: str) -> Callable[..., Name]:
    """What reads a merge: one after the other, axes of one behind the batch where an input has fewer than others."""

    def read(r: Reader, layer: Any, xs: Sequence[Name]) -> Name:
        rank = max(len(r.shape(x)) for x in xs)
        wide = [x if len(r.shape(x)) == rank else r.reshape(x, _widened(r.shape(x), rank)) for x in xs]
        return reduce(lambda a, b: r.map(lambda m, n: (name, m, n), a, b), wide)

    return read


def _widened(shape: Sequence[int], rank: int) -> tuple[int, ...]:
    return (*(1,) * (rank - len(shape)), *shape[1:])


def _average(r: Reader, layer: Any, xs: Sequence[Name]) -> Name:
    return r.map(lambda n: ("div", n, float(len(xs))), _merged("add")(r, layer, xs))


def _identity(r: Reader, layer: Any, x: Name) -> Name:
    return x


TABLE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _with_one_batch_axis(_conv)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _with_one_batch_axis(_depthwise)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _with_one_batch_axis(_separable)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _with_one_batch_axis(_transposed)),
    **{"Dense": _dense, "Embedding": _embedding, "PReLU": _prelu},
    **{"BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm, "GroupNormalization": _group_norm},
    **{"Normalization": _normalization, "Rescaling": _rescaling},
    **{"Add": _merged("add"), "Subtract": _merged("sub"), "Multiply": _merged("mul"), "Average": _average},
    **{"Maximum": _merged("maximum"), "Minimum": _merged("minimum")},
    **{"Flatten": _flatten, "Reshape": _reshape, "RepeatVector": _repeat_vector},
    **dict.fromkeys(("UpSampling1D", "UpSampling2D", "UpSampling3D"), _upsampling),
    **{f"AdaptiveAveragePooling{n}D": adaptive_pool("average") for n in (1, 2, 3)},
    **{f"AdaptiveMaxPooling{n}D": adaptive_pool("max") for n in (1, 2, 3)},
    **{"TimeDistributed": _time_distributed, "Activation": _activation},
    **dict.fromkeys(
        (
            *("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
            *("GaussianNoise", "GaussianDropout", "ActivityRegularization"),
        ),
        _identity,
    ),
}
