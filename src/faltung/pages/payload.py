"""What a page is told: operations as JSON, arrays as base64 in the fewest bytes that keep every number exactly."""

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from faltung.pages.operation import Array, Operation

NUM_CHECKED = 48
"""How many results of the library go into the page, for it to compare its own with."""


def as_json(told: dict[str, Any]) -> str:
    """Return the JSON that a script element of a page may hold."""
    return json.dumps(told, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def of_operations(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return what the page of one layer is told."""
    return {"kind": "layer", "steps": [_operation(each) for each in operations]}


def _operation(each: Operation) -> dict[str, Any]:
    return {
        "title": each.title,
        "names": each.names,
        "rank": each.rank,
        "size": each.in_size,
        "channels": each.x.shape[0],
        "filters": each.kernel.shape[0],
        "kernelSize": each.kernel_size,
        "stride": each.stride,
        "dilation": each.dilation,
        "padding": each.padding,
        "word": each.word,
        "mode": each.padding_mode,
        "groups": each.groups,
        "activation": each.activation,
        "parameter": each.parameter,
        "isTransposed": each.is_transposed,
        "rest": each.rest if each.is_transposed else None,
        "outSize": each.out_size,
        "notes": each.notes,
        "x": encoded(each.x),
        "kernel": encoded(each.kernel),
        "bias": None if each.bias is None else encoded(each.bias),
        "check": _check(each),
    }


def _check(each: Operation) -> dict[str, Any]:
    """Some results of the library, spread over the whole output, with their places."""
    y = each.result().reshape(-1)
    places = np.unique(np.linspace(0, max(y.size - 1, 0), min(NUM_CHECKED, y.size)).astype(np.int64))
    picked = [float(y[place]) for place in places]
    finite = [(int(place), value) for place, value in zip(places, picked, strict=True) if math.isfinite(value)]
    epsilon = float(np.finfo(each.x.dtype).eps)
    return {"at": [place for place, _ in finite], "y": [value for _, value in finite], "epsilon": epsilon}


def encoded(array: Array) -> dict[str, Any]:
    """Return an array for the page: little-endian bytes of the smallest type that holds every number exactly.

    >>> encoded(np.array([0.0, 255.0], "f4"))
    {'type': 'u1', 'shape': [2], 'divisor': 1, 'isDouble': False, 'data': 'AP8='}
    """
    is_double = array.dtype == np.float64
    kind, divisor, small = "f8" if is_double else "f4", 1, array
    for short, scale in (("u1", 1), ("i2", 1), ("u1", 255), ("i2", 100)):
        integers = _as_integers(array, np.dtype(short), scale)
        if integers is not None:
            kind, divisor, small = short, scale, integers
            break
    data = base64.b64encode(np.ascontiguousarray(small).astype(f"<{kind}").tobytes()).decode("ascii")
    return {"type": kind, "shape": list(array.shape), "divisor": divisor, "isDouble": is_double, "data": data}


def _as_integers(array: Array, kind: np.dtype[Any], divisor: int) -> Array | None:
    """The array times ``divisor`` as integers, if that loses nothing: the page divides in double precision."""
    if not array.size or not np.isfinite(array).all():
        return None
    limits = np.iinfo(kind)
    scaled = np.round(array.astype(np.float64) * divisor)
    if scaled.min() < limits.min or scaled.max() > limits.max:
        return None
    return scaled.astype(kind) if np.array_equal((scaled / divisor).astype(array.dtype), array) else None
