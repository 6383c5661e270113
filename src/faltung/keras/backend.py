"""Which framework computes, and what goes to Keras's own call.

A module for each of Keras's backends, found by its name when the first layer is called, gives four functions:
`refusal(x)`, `is_exporting(x)`, `convolve(x, kernel, bias, request)` and `convolve_transposed` of the same; x has one
batch axis. Its TOGETHER are the activations that it computes in the same pass.
"""

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import isfunction
from types import ModuleType
from typing import Any

import keras

from faltung.keras.request import Request
from faltung.spec import activation as spec_activation
from faltung.spec.dtype import COMPUTED
from faltung.spec.rules import spoken

BACKENDS = ("jax", "tensorflow", "torch")

Activation = Callable[[Any], Any] | None

ACTIVATIONS: dict[Activation, str] = {
    getattr(keras.activations, name): name for name in spec_activation.ACTIVATIONS if hasattr(keras.activations, name)
}
"""Keras's functions of one argument that faltung has under the same name, with the same defaults."""


def refusal(x: Any, *weights: Any) -> str | None:
    """Return why Keras's own call computes with these tensors; None where faltung does."""
    name = keras.backend.backend()
    if name not in BACKENDS:
        return f"the backend is {name}, and faltung computes with {', '.join(BACKENDS)}"
    dtypes = {keras.backend.standardize_dtype(tensor.dtype) for tensor in (x, *weights) if tensor is not None}
    if len(dtypes) > 1 or not dtypes <= set(COMPUTED):
        return f"the numbers are {spoken(sorted(dtypes), 'and')}, and faltung computes in {' or in '.join(COMPUTED)}"
    reason: str | None = _framework().refusal(x)
    return reason


def is_exporting(x: Any) -> bool:
    """Is the layer traced in order to be written, so that it had better be Keras's own?"""
    return bool(keras.backend.backend() in BACKENDS and _framework().is_exporting(x))


def convolve(x: Any, kernel: Any, bias: Any | None, request: Request, activation: Activation = None) -> Any:
    """Convolve x (*batch, *sizes, C_in), or channels first, and apply the activation."""
    return _compute("convolve", x, kernel, bias, request, activation)


def convolve_transposed(x: Any, kernel: Any, bias: Any | None, request: Request, activation: Activation = None) -> Any:
    """Convolve x transposed and apply the activation."""
    return _compute("convolve_transposed", x, kernel, bias, request, activation)


def _compute(function: str, x: Any, kernel: Any, bias: Any | None, request: Request, activation: Activation) -> Any:
    framework = _framework()
    name = ACTIVATIONS.get(activation) if isfunction(activation) else None
    if name in framework.TOGETHER:
        request, activation = request.with_options(activation=name), None
    y = _with_one_batch_axis(getattr(framework, function), x, kernel, bias, request)
    return y if activation is None else activation(y)


@cache
def _framework() -> ModuleType:
    return import_module(f"faltung.keras.on_{keras.backend.backend()}")


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
