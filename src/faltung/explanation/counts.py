"""Parameters, multiplications and bytes of a layer."""

import math

from faltung.models.axes import channel_axis
from faltung.models.layer import Layer, Shape


def known(shape: Shape) -> tuple[int, ...]:
    """Return a shape with 1 for sizes that nobody knows."""
    return tuple(1 if size is None else size for size in shape)


def parameters(layer: Layer, shape: Shape) -> int:
    """Return how many numbers a layer learns when its input has this shape."""
    source = layer.source
    if layer.host == "torch" and hasattr(source, "parameters"):
        return int(sum(parameter.numel() for parameter in source.parameters()))
    if layer.host == "keras" and getattr(source, "built", False):
        return int(source.count_params())
    if layer.kind in ("conv", "conv_transpose"):
        weights, outputs = kernel_numbers(layer, shape)
        return weights + outputs * has_bias(layer)
    if layer.kind == "linear":
        inputs = known(shape)[-1]
        return int((inputs + 1) * layer["out_channels"])
    return 0


def kernel_numbers(layer: Layer, shape: Shape) -> tuple[int, int]:
    """Return the numbers in the kernel and the output channels."""
    channels = known(shape)[channel_axis(layer, shape)]
    taps = math.prod(layer["kernel_size"])
    multiplier = layer["multiplier"]
    if multiplier is not None:
        depthwise = taps * channels * multiplier
        outputs = layer["out_channels"]
        return (
            (depthwise, channels * multiplier)
            if outputs is None
            else (depthwise + channels * multiplier * outputs, outputs)
        )
    return taps * (channels // layer["groups"]) * layer["out_channels"], layer["out_channels"]


def has_bias(layer: Layer) -> bool:
    """Whether a bias is added."""
    said = layer["bias"]
    return bool(getattr(layer.source, "use_bias", getattr(layer.source, "bias", False) if said is None else said))


def multiplications(layer: Layer, shape: Shape, out: Shape) -> int:
    """Return the multiply-adds of a layer, those with padded zeros included."""
    if layer.kind in ("conv", "conv_transpose"):
        weights, _ = kernel_numbers(layer, shape)
        positions = known(out if layer.kind == "conv" else shape)
        axis = channel_axis(layer, out)
        return math.prod(positions) // positions[axis] * weights
    if layer.kind == "linear":
        return math.prod(known(out)) * known(shape)[-1]
    return 0
