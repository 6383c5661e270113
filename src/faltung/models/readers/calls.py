"""Convolution functions with their kernel filled in, as programs: functools.partial(F.conv1d, weight=w)."""

import inspect
from functools import partial
from typing import Any

from faltung.errors import ShapeError
from faltung.models.layer import Layer
from faltung.models.program import Chain
from faltung.models.readers import planned
from faltung.spec.layout import kernel_layouts, layouts

RHS = {"rhs", "weight", "kernel", "filters", "filter"}
TORCH = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def as_program(call: "partial[Any]") -> Chain:
    """Return a convolution function with its kernel as a program of one layer."""
    if isinstance(call.func, type):
        return _constructed(call)
    function = call.func
    name = getattr(function, "__name__", type(function).__name__)
    said = dict(zip(_names(function), call.args, strict=False)) | dict(call.keywords)
    kernel = next((value for key, value in said.items() if key in RHS), None)
    if kernel is None or not hasattr(kernel, "shape"):
        raise ShapeError(f"diagnose: functools.partial of {name} must fill in the kernel; got {sorted(said)}. Add it.")
    return of_call(_host(function), name, tuple(kernel.shape), said, str(getattr(kernel, "dtype", "float32")))


def of_call(host: str, name: str, kernel_shape: tuple[int, ...], said: dict[str, Any], dtype: str | None) -> Chain:
    """Return a call as a program: whose function, its name, the kernel's shape and all that was said."""
    rank = len(kernel_shape) - 2
    if name[:4] == "conv" and any(letter.isdigit() for letter in name):
        rank = int(next(letter for letter in name if letter.isdigit()))
    if rank not in (1, 2, 3) or len(kernel_shape) != rank + 2:
        rank = min(max(rank, 1), 3)
    layout, kernel_layout = _layouts(host, said, rank)
    layer = layer_of(host, name, rank, layout, kernel_layout, kernel_shape, said)
    return Chain(name, host, (layer,), dtype.removeprefix("torch.") if dtype else None)


def layer_of(
    host: str,
    name: str,
    rank: int,
    layout: str,
    kernel_layout: str,
    kernel_shape: tuple[int, ...],
    said: dict[str, Any],
) -> Layer:
    """Return a call as a layer: its numbers are those of its kernel."""
    letters = dict(zip(kernel_layout, kernel_shape, strict=False))
    groups = int(said.get("groups") or said.get("feature_group_count") or 1)
    spatial = [letter for letter in kernel_layout if letter not in "IO"]
    options = {
        "in_channels": letters.get("I", 1) * groups,
        "out_channels": letters.get("O", 1),
        "kernel_size": tuple(letters.get(letter, 1) for letter in spatial)
        if len(kernel_shape) == rank + 2
        else kernel_shape[: max(len(kernel_shape) - 2, 1)],
        "stride": _each(said.get("stride", said.get("strides", said.get("window_strides"))), rank),
        "dilation": _each(said.get("dilation", said.get("dilations", said.get("rhs_dilation"))), rank),
        "padding": _padding(said.get("padding", "valid"), rank),
        "groups": groups,
        "padding_mode": said.get("padding_mode", "zeros"),
        "call": {"layout": layout, "kernel_layout": kernel_layout, "kernel_shape": kernel_shape, "said": said},
    }
    if name.endswith("_transpose") or "transpose" in name:
        options |= {
            "in_channels": options["out_channels"] * (groups if host == "torch" else 1),
            "out_channels": options["in_channels"],
        }
        options |= {"output_padding": None}
        if host == "torch":  # (in, out/groups, …)
            options |= {"in_channels": kernel_shape[0], "out_channels": kernel_shape[1] * groups}
        return Layer("", host, name, "conv_transpose", rank, not layout.endswith("C"), options)
    return Layer("", host, name, "conv", rank, not layout.endswith("C"), options)


def _constructed(call: "partial[Any]") -> Chain:
    """A class with its arguments: a layer that may not even be made."""
    kind: Any = call.func
    layer = planned.plan(kind, call.args, dict(call.keywords))
    return Chain(layer.type_name, layer.host, (layer,), "float32" if layer.host == "torch" else None)


def _host(function: Any) -> str:
    module = getattr(function, "__module__", None) or ""
    root = module.split(".")[0]
    return {"jax": "jax", "tensorflow": "tensorflow", "faltung": "faltung", "torch": "torch"}.get(root, "torch")


def _names(function: Any) -> tuple[str, ...]:
    try:
        names = tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return TORCH
    return names if RHS & set(names) else TORCH


def _layouts(host: str, said: dict[str, Any], rank: int) -> tuple[str, str]:
    """The orders of the axes of data and kernel."""
    numbers = said.get("dimension_numbers")
    if numbers is not None and isinstance(numbers, tuple | list) and isinstance(numbers[0], str):
        return numbers[0], numbers[1]
    if host in ("torch", "jax"):
        return layouts(rank)[1], kernel_layouts(rank)[1]
    layout = said.get("layout") or said.get("data_format") or layouts(rank)[0]
    kernel = said.get("kernel_layout") or kernel_layouts(rank)[0]
    general = dict(zip(("WIO", "OIW"), kernel_layouts(rank), strict=True))
    return layout, general.get(kernel, kernel)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return (1,) * rank
    if isinstance(value, int):
        return (value,) * rank
    entries = tuple(value)
    return entries[1:-1] if len(entries) == rank + 2 else entries * rank if len(entries) == 1 else entries


def _padding(padding: Any, rank: int) -> Any:
    if isinstance(padding, str):
        return padding.lower()
    entries = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * rank
    return tuple((entry, entry) if isinstance(entry, int) else tuple(entry) for entry in entries)
