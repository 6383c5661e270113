"""Layers that were to be made: a class and its arguments, as a Layer, whether or not the class accepts them."""

import inspect
from typing import Any

from faltung.models.layer import Layer

OURS = {
    "filters": "out_channels",
    "strides": "stride",
    "dilation_rate": "dilation",
    "pool_size": "kernel_size",
    "depth_multiplier": "multiplier",
}
SIZES = ("kernel_size", "stride", "dilation", "output_padding")


def plan(kind: type, arguments: tuple[Any, ...], words: dict[str, Any]) -> Layer:
    """Return the layer that ``kind(*arguments, **words)`` would be."""
    signature = inspect.signature(kind)
    bound = signature.bind_partial(*arguments, **words)
    bound.apply_defaults()
    said = {name: value for name, value in bound.arguments.items() if name not in ("args", "kwargs", "device", "dtype")}
    host = "keras" if "keras" in kind.__module__ else "torch"
    name = kind.__name__
    rank = next(int(letter) for letter in name if letter.isdigit())
    options = {OURS.get(word, word): value for word, value in said.items()}
    for word in SIZES:
        value = options.get(word)
        if isinstance(value, int):
            options[word] = (value,) * rank
        elif isinstance(value, list | tuple):
            options[word] = tuple(value) * (rank if len(value) == 1 else 1)
    padding = options.get("padding")
    if isinstance(padding, int):
        options["padding"] = ((padding, padding),) * rank
    elif isinstance(padding, tuple):
        options["padding"] = tuple((entry, entry) if isinstance(entry, int) else entry for entry in padding)
    options.setdefault("groups", 1)
    is_first = host == "torch" or options.get("data_format") == "channels_first"
    if isinstance(options.get("output_padding"), tuple) and not any(options["output_padding"]) and host == "torch":
        options["output_padding"] = (0,) * rank
    kind_name = "conv_transpose" if "Transpose" in name else "conv"
    return Layer("", host, name, kind_name, rank, is_first, options, kind)
