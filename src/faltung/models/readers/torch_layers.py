"""PyTorch's layers as Layers, and back: made anew, or as the line that makes them."""

import sys
from typing import Any

from faltung.models.layer import Layer, short

SAME = (
    *("ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softplus", "Hardswish", "Mish"),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Identity", "Softmax", "LogSoftmax", "PReLU"),
)


def describe(module: Any, path: str) -> Layer:
    """Return a module as a Layer."""
    nn = sys.modules["torch"].nn
    name = type(module).__name__
    rank = int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0

    def layer(kind: str, is_first: bool = True, **options: Any) -> Layer:
        return Layer(path, "torch", name, kind, rank if kind != "linear" else 0, is_first, options, module)

    def each(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, tuple | list) else (value,) * rank

    if isinstance(module, nn.modules.conv._ConvNd):
        is_transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
        rank = rank or module.weight.ndim - 2
        padding = module.padding
        pairs = (
            padding if isinstance(padding, str) else tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
        )
        options = {
            "in_channels": module.in_channels or None,
            "out_channels": module.out_channels,
            "kernel_size": tuple(module.kernel_size),
            "stride": each(module.stride),
            "padding": pairs,
            "dilation": each(module.dilation),
            "groups": module.groups,
            "padding_mode": module.padding_mode,
            "bias": module.bias is not None,
            **({"output_padding": each(module.output_padding)} if is_transposed else {}),
        }
        is_first = getattr(module, "layout", None) is None or not module.layout.endswith(
            "C"
        )  # ours may be channels last
        return layer("conv_transpose" if is_transposed else "conv", is_first, **options)
    if isinstance(module, nn.modules.pooling._MaxPoolNd | nn.modules.pooling._AvgPoolNd):
        pads = tuple((p, p) for p in each(module.padding))
        gaps = each(getattr(module, "dilation", 1))
        sizes, steps = each(module.kernel_size), each(module.stride)
        return layer("pool", kernel_size=sizes, stride=steps, padding=pads, dilation=gaps, ceil=module.ceil_mode)
    if isinstance(module, nn.modules.pooling._AdaptiveAvgPoolNd | nn.modules.pooling._AdaptiveMaxPoolNd):
        return layer("global_pool", sizes=each(module.output_size), keepdims=True)
    if isinstance(module, nn.Linear):
        return layer("linear", in_channels=module.in_features or None, out_channels=module.out_features)
    if isinstance(module, nn.Flatten):
        return layer("flatten", start=module.start_dim, end=module.end_dim)
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return layer("norm", in_channels=module.num_features or None)
    if isinstance(module, nn.LayerNorm):
        return layer("norm", in_channels=module.normalized_shape[-1], axis=-1)
    if isinstance(module, nn.GroupNorm):
        return layer("norm", in_channels=module.num_channels, axis=1)
    if isinstance(module, nn.RNNBase):
        size = module.hidden_size * (2 if module.bidirectional else 1)
        names = {"batch_first": module.batch_first, "sequences": True}
        return layer("recurrent", in_channels=module.input_size, out_channels=size, **names)
    if isinstance(module, nn.Embedding):
        return layer("embedding", out_channels=module.embedding_dim)
    return layer("same" if name in SAME else "other", run=lambda shape: shape)


def build(layer: Layer, dtype: str | None = None) -> Any:
    """Return the module that a Layer describes, on the meta device."""
    torch = sys.modules["torch"]
    if layer["is_left_out"]:
        return torch.nn.Identity()
    _, arguments, words = constructor(layer)
    kind = getattr(torch.nn, layer.type_name, None) or type(layer.source)
    if layer.kind not in ("flatten", "pool"):
        words = {**words, "device": "meta", "dtype": getattr(torch, dtype or "float32")}
    return kind(*arguments, **words).eval()


def constructor(layer: Layer) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the class, the positional and the named arguments that make a module like this Layer."""
    if layer.kind == "linear":
        return "nn.Linear", [layer["in_channels"], layer["out_channels"]], {}
    if layer.kind == "flatten":
        words = {"start_dim": (layer["start"], 1), "end_dim": (layer["end"], -1)}
        return "nn.Flatten", [], {word: value for word, (value, usual) in words.items() if value != usual}
    if layer.kind == "norm":
        return f"nn.{layer.type_name}", [layer["in_channels"]], {}
    if layer.kind == "recurrent":
        return (
            f"nn.{layer.type_name}",
            [layer["in_channels"], layer["out_channels"]],
            {"batch_first": layer["batch_first"]},
        )
    size = short(layer["kernel_size"])
    padding = layer["padding"]
    if not isinstance(padding, str):
        padding = short(tuple(low if low == high else (low, high) for low, high in padding))
    said: dict[str, tuple[Any, Any]] = {"stride": (short(layer["stride"]), 1), "padding": (padding, 0)}
    if layer.kind == "pool":
        said["stride"] = (short(layer["stride"]), size)
        named = {word: value for word, (value, usual) in said.items() if value != usual}
        return f"nn.{layer.type_name}", [size], named
    said["dilation"] = (short(layer["dilation"]), 1)
    said["output_padding"] = (short(layer["output_padding"] or (0,)), 0)
    said["groups"] = (layer["groups"], 1)
    said["bias"] = (layer["bias"] is not False, True)
    said["padding_mode"] = (layer["padding_mode"] or "zeros", "zeros")
    named = {word: value for word, (value, usual) in said.items() if value != usual}
    return f"nn.{layer.type_name}", [layer["in_channels"], layer["out_channels"], size], named
