"""The learned numbers of a layer, whoever made it: kernel and bias in one order, ``(C_out, C_in/groups, *taps)``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError
from faltung.models.data import as_data
from faltung.models.layer import Layer
from faltung.pages.operation import exchanged
from faltung.pages.sample import made_up_kernel, numbers
from faltung.spec.layout import kernel_layouts

Array = NDArray[Any]
MADE_UP = "The layer has no weights yet; those shown are made up."


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A kernel ``(C_out, C_in/groups, *taps)``, its bias, the groups, and what to know about them."""

    kernel: Array
    bias: Array | None
    groups: int
    note: str = ""


def weights_of(layer: Layer, channels: int, given: tuple[Any, Any] = (None, None)) -> tuple[Weights, ...]:
    """Return the weights of a layer that reads ``channels`` channels; a separable one has two, one after the other.

    Arguments:
        layer: a convolution or a transposed one.
        channels: of its input.
        given: kernel and bias that the user gave, in the layer's own order; for a spec, which has none.
    """
    if given[0] is not None:
        return (_given(layer, *given),)
    source = layer.source
    if layer.host == "torch" and hasattr(source, "weight"):
        kernel, bias = _array(source.weight), None if source.bias is None else _array(source.bias)
        return (_ordered(layer, kernel, bias, "OIW"),)
    if layer.host == "keras" and getattr(source, "built", False):
        return _of_keras(layer, channels)
    if layer["call"] is not None and "said" in layer["call"]:
        return (_of_call(layer),)
    return _made_up(layer, channels)


def _given(layer: Layer, kernel: Any, bias: Any) -> Weights:
    order = getattr(layer.source, "kernel_layout", None) or kernel_layouts(layer.rank)[layer.host == "torch"]
    kernel = _array(kernel)
    groups = layer["groups"] or 1
    wanted = (layer["out_channels"], (layer["in_channels"] or groups) // groups, *layer["kernel_size"])
    found = _ordered(layer, kernel, None if bias is None else _array(bias), order)
    if found.kernel.shape != wanted:
        rule = f"show: the kernel must have the spec's channels and taps, {wanted} as (O, I, *taps)"
        raise ShapeError(f"{rule}; got {found.kernel.shape}. Give it in the order {order}.")
    return found


def _ordered(layer: Layer, kernel: Array, bias: Array | None, order: str) -> Weights:
    """Return a kernel in "WIO" or "OIW" as (O, I, *taps); that of a transposed convolution gets its channels turned."""
    if not order.startswith("O"):
        kernel = np.moveaxis(kernel, (-1, -2), (0, 1))
    groups = layer["groups"] or 1
    if layer.kind == "conv_transpose":
        kernel = exchanged(kernel, groups)
    return Weights(np.ascontiguousarray(kernel), bias, groups)


def _of_keras(layer: Layer, channels: int) -> tuple[Weights, ...]:
    source = layer.source
    bias = _array(source.bias) if getattr(source, "use_bias", False) else None
    if layer["multiplier"] is None:
        return (_ordered(layer, _array(source.kernel), bias, "WIO"),)
    is_separable = hasattr(source, "pointwise_kernel")
    depthwise = _array(source.depthwise_kernel if is_separable else source.kernel)
    first = np.moveaxis(depthwise.reshape(*layer["kernel_size"], 1, -1), (-1, -2), (0, 1))
    if not is_separable:
        return (Weights(np.ascontiguousarray(first), bias, channels),)
    second = np.moveaxis(_array(source.pointwise_kernel), (-1, -2), (0, 1))
    return Weights(np.ascontiguousarray(first), None, channels), Weights(np.ascontiguousarray(second), bias, 1)


def _of_call(layer: Layer) -> Weights:
    said, order = layer["call"]["said"], layer["call"]["kernel_layout"]
    kernel = next(said[name] for name in ("kernel", "weight", "rhs", "filters", "filter") if name in said)
    bias = said.get("bias")
    return _ordered(layer, _array(kernel), None if bias is None else _array(bias), order)


def _made_up(layer: Layer, channels: int) -> tuple[Weights, ...]:
    taps, multiplier = tuple(layer["kernel_size"]), layer["multiplier"]
    note = MADE_UP if layer.host != "faltung" else ""
    if multiplier is not None:
        first = Weights(made_up_kernel((channels * multiplier, 1, *taps)), None, channels, note)
        if layer["out_channels"] is None:
            return (first,)
        shape = (layer["out_channels"], channels * multiplier, *(1,) * layer.rank)
        return first, Weights(made_up_kernel(shape, seed=2), None, 1, note)
    groups = layer["groups"] or 1
    kernel = made_up_kernel((layer["out_channels"], channels // groups, *taps))
    has_bias = getattr(layer.source, "bias", False) is True
    bias = np.round(np.linspace(-0.2, 0.2, layer["out_channels"]), 2).astype(np.float32) if has_bias else None
    return (Weights(kernel, bias, groups, note),)


def _array(tensor: Any) -> Array:
    is_variable = type(tensor).__module__.startswith("keras")
    return numbers(as_data(tensor.value if is_variable else tensor))
