"""ONNX's ops over windows: pools, reductions, softmax, resizing."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np

from faltung.graph.graph import Array
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.onnx_layers import layout, number, padding, per_axis, spatial
from faltung.models.graphs.onnx_nodes import Reader
from faltung.models.graphs.onnx_rearranging import reshape


def _pool(r: Reader, x: str, *, kind: str) -> str:
    taps = tuple(r.said["kernel_shape"])
    return r.emit(
        "pool",
        [x],
        kind=kind,
        layout=layout(len(taps)),
        kernel_size=taps,
        stride=per_axis(r, "strides", len(taps)),
        dilation=per_axis(r, "dilations", len(taps)),
        padding=padding(r, x, taps),
        ceil_mode=bool(r.said.get("ceil_mode", 0)),
        counts_padding=kind == "average" and bool(r.said.get("count_include_pad", 0)),
    )


def _global_pool(r: Reader, x: str, *, kind: str) -> str:
    return r.emit("reduce", [x], kind=kind, axes=tuple(range(2, r.rank(x))), keeps_axes=True, correction=0)


def _axes(r: Reader, x: str, axes: str | None) -> tuple[int, ...]:
    given = r.numbers(axes, "axes")
    if not given:
        if r.said.get("noop_with_empty_axes", 0):
            raise NotCovered("a reduction of nothing")
        given = list(range(r.rank(x)))
    return tuple(sorted(axis % r.rank(x) for axis in given))


def _reduce(r: Reader, x: str, axes: str | None = None, *, kind: str, before: str = "", after: str = "") -> str:
    along, keeps = _axes(r, x, axes), bool(r.said.get("keepdims", 1))
    value = r.map(lambda x: (before, x), x) if before else x
    value = r.emit("reduce", [value], kind=kind, axes=along, keeps_axes=keeps, correction=0)
    return r.map(lambda x: (after, x), value) if after else value


def _softmax(r: Reader, x: str, *, is_log: bool) -> str:
    """Before opset 13 everything behind the axis was one row."""
    rank = r.rank(x)
    axis = r.said.get("axis", -1 if r.opset >= 13 else 1) % rank
    shape = r.shape(x)
    if r.opset >= 13 or axis == rank - 1 or all(size == 1 for size in shape[axis + 1 :]):
        return r.emit("softmax", [x], axis=axis, is_log=is_log)
    if axis == 0:
        raise NotCovered("a softmax over the whole batch")
    row = prod([number(size) for size in shape[axis:]])
    flat = reshape(r, x, shape, (*shape[:axis], row))
    return reshape(r, r.emit("softmax", [flat], axis=axis, is_log=is_log), (*shape[:axis], row), shape)


def _resize(r: Reader, x: str, roi: str | None = None, scales: str | None = None, sizes: str | None = None) -> str:
    said, rank = r.said, r.rank(x)
    if r.opset < 11:
        roi, scales = None, roi or scales
    if said.get("antialias", 0) or said.get("exclude_outside", 0) or "keep_aspect_ratio_policy" in said:
        raise NotCovered("a resize that smooths, or keeps proportions")
    before = spatial(r, x)
    outs, factors = _target(r, x, scales, sizes)
    mode = said.get("mode", "nearest")
    coordinates = said.get("coordinate_transformation_mode", "half_pixel" if r.opset >= 11 else "asymmetric")
    if mode == "nearest":
        rounding = said.get("nearest_mode", "round_prefer_floor" if r.opset >= 11 else "floor")
        coordinates = _nearest(before, outs, factors, coordinates, rounding)
    elif coordinates == "pytorch_half_pixel" and 1 not in outs:
        coordinates = "half_pixel"
    if coordinates not in ("half_pixel", "align_corners", "asymmetric", "nearest_exact"):
        raise NotCovered(f"a resize with coordinates {coordinates}")
    if mode == "cubic" and said.get("cubic_coeff_a", -0.75) != -0.75:
        raise NotCovered("a cubic resize with a coefficient of its own")
    return r.emit(
        "resize",
        [x],
        layout=layout(rank - 2),
        out_size=None if factors else tuple(outs),
        scale=tuple(factors) if factors else None,
        mode=mode,
        coordinates=coordinates,
    )


def _target(r: Reader, x: str, scales: str | None, sizes: str | None) -> tuple[list[int], list[float]]:
    """The sizes to be reached, and the factors where it is they that were told."""
    before, rank = spatial(r, x), r.rank(x)
    axes = [axis % rank for axis in r.said.get("axes", range(rank))]
    factors = r.numbers(scales, "scales")
    if factors:
        told = dict(zip(axes, factors, strict=True))
        if told.get(0, 1.0) != 1 or told.get(1, 1.0) != 1:
            raise NotCovered("a resize of the channels")
        along = [float(told.get(axis, 1.0)) for axis in range(2, rank)]
        return [int(size * factor) for size, factor in zip(before, along, strict=True)], along
    if sizes is None or sizes not in r.known:
        raise NotCovered("a resize to a size that is computed")
    columns = dict(zip(axes, zip(*(array.tolist() for array in r.known[sizes]), strict=True), strict=True))
    whole = r.shape(x)
    for axis in (0, 1):
        kept = whole[axis] if not isinstance(whole[axis], int) else (whole[axis],) * r.num_worlds
        if axis in columns and columns[axis] != kept:
            raise NotCovered("a resize of the channels")
    if any(len(set(columns[axis])) > 1 for axis in columns if axis > 1):
        raise NotCovered("a resize to a size that hangs on the batch")
    return [int(columns[axis][0]) if axis in columns else before[axis - 2] for axis in range(2, rank)], []


def _nearest(before: list[int], outs: list[int], factors: list[float], coordinates: str, rounding: str) -> str:
    """The rule of ours that picks the same inputs as ONNX's, if one does."""
    for name, half in (("asymmetric", 0.0), ("nearest_exact", 0.5)):
        for n, (size, out) in enumerate(zip(before, outs, strict=True)):
            factor = factors[n] if factors else out / size
            y, step = np.arange(out), np.float32(1 / factor if factors else size / out)
            ours = np.floor((y.astype(np.float32) + np.float32(half)) * step).clip(0, size - 1)
            if not np.array_equal(ours, _places(y, size, out, factor, coordinates, rounding)):
                break
        else:
            return name
    return f"{coordinates} and {rounding}"


def _places(y: Array, size: int, out: int, factor: float, coordinates: str, rounding: str) -> Array:
    """Which input ONNX takes for each output."""
    at = {
        "half_pixel": (y + 0.5) / factor - 0.5,
        "pytorch_half_pixel": (y + 0.5) / factor - 0.5 if out > 1 else y * 0.0,
        "align_corners": y * ((size - 1) / max(out - 1, 1)),
        "asymmetric": y / factor,
    }.get(coordinates)
    if at is None:
        raise NotCovered(f"a resize with coordinates {coordinates}")
    rounded = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
    }[rounding]
    return rounded.clip(0, size - 1)


def _upsample(r: Reader, x: str, scales: str | None = None) -> str:
    return _resize(r, x, None, scales) if r.opset >= 11 else _resize(r, x, scales)


TABLE: dict[str, Callable[..., Any]] = {
    "MaxPool": partial(_pool, kind="max"),
    "AveragePool": partial(_pool, kind="average"),
    "GlobalAveragePool": partial(_global_pool, kind="mean"),
    "GlobalMaxPool": partial(_global_pool, kind="max"),
    "ReduceMean": partial(_reduce, kind="mean"),
    "ReduceSum": partial(_reduce, kind="sum"),
    "ReduceMax": partial(_reduce, kind="max"),
    "ReduceMin": partial(_reduce, kind="min"),
    "ReduceL1": partial(_reduce, kind="sum", before="abs"),
    "ReduceL2": partial(_reduce, kind="sum", before="square", after="sqrt"),
    "ReduceSumSquare": partial(_reduce, kind="sum", before="square"),
    "Softmax": partial(_softmax, is_log=False),
    "LogSoftmax": partial(_softmax, is_log=True),
    "Resize": _resize,
    "Upsample": _upsample,
}
