"""Which framework computes, and what goes to Keras's own call.

A module for each of Keras's backends, found by its name when the first layer is called, gives three functions:
`refusal(x)`, `convolve(x, kernel, bias, request)` and `convolve_transposed` of the same; x has one batch axis.
"""

import math
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import keras

from faltung.frontends.keras.request import Request

BACKENDS = ("jax", "tensorflow", "torch")
COMPUTED = ("float32", "float64")


def refusal(x: Any, *weights: Any) -> str | None:
    """Return why Keras's own call computes with these tensors; None where faltung does."""
    name = keras.backend.backend()
    if name not in BACKENDS:
        return f"the backend is {name}, and faltung computes with {', '.join(BACKENDS)}"
    dtypes = {keras.backend.standardize_dtype(tensor.dtype) for tensor in (x, *weights) if tensor is not None}
    if len(dtypes) > 1 or not dtypes <= set(COMPUTED):
        return f"the numbers are {' and '.join(sorted(dtypes))}, and faltung computes in float32 or in float64"
    reason: str | None = _framework().refusal(x)
    return reason


def convolve(x: Any, kernel: Any, bias: Any | None, request: Request) -> Any:
    """Convolve x (*batch, *sizes, C_in), or channels first."""
    return _with_one_batch_axis(_framework().convolve, x, kernel, bias, request)


def convolve_transposed(x: Any, kernel: Any, bias: Any | None, request: Request) -> Any:
    """Convolve x transposed."""
    return _with_one_batch_axis(_framework().convolve_transposed, x, kernel, bias, request)


@cache
def _framework() -> ModuleType:
    return import_module(f"faltung.frontends.keras.on_{keras.backend.backend()}")


def _with_one_batch_axis(compute: Any, x: Any, kernel: Any, bias: Any | None, request: Request) -> Any:
    """Compute on x with its leading axes merged into one, which copies nothing."""
    num_inner = request.rank + 1
    if len(x.shape) == num_inner + 1 or not request.is_last:
        return compute(x, kernel, bias, request)
    shape = keras.ops.shape(x)
    leading, inner = shape[:-num_inner], shape[-num_inner:]
    is_known = all(isinstance(size, int) for size in leading)
    merged = keras.ops.reshape(x, (math.prod(leading) if is_known else -1, *inner))
    y = compute(merged, kernel, bias, request)
    return keras.ops.reshape(y, (*leading, *keras.ops.shape(y)[1:]))
