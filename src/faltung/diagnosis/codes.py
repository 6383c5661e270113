"""Changes of a layer as lines of code in the user's framework."""

from typing import Any

from faltung.models.layer import Layer, Shape, short, show_shape
from faltung.models.readers import keras, torch_layers


def line(layer: Layer) -> str:
    """Return the line that makes a layer and puts it in its place."""
    if layer["call"]:
        return call(layer)
    if layer.host == "faltung":
        return f'spec = ft.ConvSpec.from_text("{spec_text(layer)}")'
    name, arguments, words = (torch_layers if layer.host == "torch" else keras).constructor(layer)
    text = expression(name, arguments, words)
    if layer.host == "torch":
        return f"{place(layer.path)} = {text}"
    if layer.kind == "input":
        return text
    return text if layer.path else f"layer = {text}"


def expression(name: str, arguments: list[Any], words: dict[str, Any]) -> str:
    """Return a call as text."""
    said = [_value(value) for value in arguments] + [f"{word}={_value(value)}" for word, value in words.items()]
    return f"{name}({', '.join(said)})"


def place(path: str) -> str:
    """Return how Python reaches a submodule.

    >>> place("features.0"), place("")
    ('model.features[0]', 'layer')
    """
    if not path:
        return "layer"
    return "model" + "".join(f"[{word}]" if word.isdigit() else f".{word}" for word in path.split("."))


def call(layer: Layer) -> str:
    """Return the call of a function with its options."""
    told = layer["call"]
    kernel = told.get("kernel_code", "kernel" if layer.host in ("faltung", "jax", "tensorflow") else "weight")
    x = "x"
    if told.get("is_swapped"):
        x, kernel = kernel, x
    window, gaps = layer["stride"], layer["dilation"]
    padding: Any = 0 if layer["padding"] == "valid" and layer.host in ("torch", "faltung") else layer["padding"]
    if layer.host == "jax":
        word = padding.upper() if isinstance(padding, str) else list(padding)
        words: dict[str, Any] = {"dimension_numbers": (told["layout"], told["kernel_layout"], told["layout"])}
        if max(gaps) > 1:
            words["rhs_dilation"] = gaps
        if layer["groups"] > 1:
            words["feature_group_count"] = layer["groups"]
        return f"y = {expression('jax.lax.conv_general_dilated', [_Code(x), _Code(kernel), window, word], words)}"
    if not isinstance(padding, str | int):
        padding = short(tuple(low if low == high else (low, high) for low, high in padding))
    said: dict[str, tuple[Any, Any]] = {
        "stride": (short(window), 1),
        "padding": (padding, 0),
        "dilation": (short(gaps), 1),
        "groups": (layer["groups"], 1),
    }
    if layer.host == "tensorflow":
        words = {"stride": short(window), "padding": padding.upper() if isinstance(padding, str) else padding}
        return f"y = {expression(f'tf.nn.{layer.type_name}', [_Code(x), _Code(kernel)], words)}"
    if layer.host == "faltung":
        usual = told["layout"].endswith("C"), not told["kernel_layout"].startswith("O")
        said["layout"] = (told["layout"], told["layout"] if usual[0] else "")
        said["kernel_layout"] = ("OIW", "OIW" if usual[1] else "")
    words = {word: value for word, (value, default) in said.items() if value != default}
    name = f"{'ft' if layer.host == 'faltung' else 'F'}.{layer.type_name}"
    return f"y = {expression(name, [_Code(x), _Code(kernel)], words)}"


def spec_text(layer: Layer) -> str:
    """Return the text of the spec that a layer of ours describes, for one sample of the length of its spec."""
    spec = layer.source
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    changed = {name: layer[name] for name in names}
    if layer.rank != spec.rank:
        in_size = (spec.in_size * layer.rank)[: layer.rank]
        return str(type(spec)(**changed, in_size=in_size, batch=spec.batch).to_text())
    layouts = spec.layout
    if layer.is_first == spec.is_channels_last:
        spatial = spec.layout.strip("NC")
        layouts = f"NC{spatial}" if layer.is_first else f"N{spatial}C"
    return str(spec.replace(**changed, layout=layouts).to_text())


def declaration(shape: Shape) -> str:
    """Return the line that declares an input of a shape.

    >>> declaration((None, 30, 1))
    'keras.Input(shape=(30, 1))'
    """
    inner = shape[1:]
    return f"keras.Input(shape={show_shape(inner).replace('?', 'None')})"


def can_be_made(layer: Layer) -> bool:
    """Whether the host framework accepts a layer, which it is asked to make."""
    if layer["call"]:
        return True
    try:
        if layer.host == "keras" and layer.kind in ("conv", "conv_transpose", "pool"):
            keras.build(layer)
        elif layer.host == "faltung":
            line(layer)
    except (ValueError, TypeError):
        return False
    return True
    try:
        if layer.host == "keras" and layer.kind in ("conv", "conv_transpose", "pool"):
            keras.build(layer)
        elif layer.host == "faltung":
            line(layer)
    except ValueError:
        return False
    except TypeError:
        if layer.host == "keras":
            return False
        raise
    return True


class _Code(str):
    """A name, which is written without quotes."""


def _value(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, _Code):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))}{',' if len(value) == 1 else ''})"
    return str(value)
