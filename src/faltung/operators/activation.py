"""Activations in NumPy, where no kernel of ours computes the epilogue."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.spec.activation import SELU_ALPHA, SELU_SCALE

Array = NDArray[Any]


def activate(x: Array, name: str | None, parameter: float | None = None) -> Array:
    """Return the activation of each element, in the shape and element type of ``x``; gelu in float64.

    >>> activate(np.array([-1.0, 2.0]), "leaky_relu", 0.5)
    array([-0.5,  2. ])
    """
    return x if name is None else NUMPY[name](x, 0.0 if parameter is None else parameter)


def _relu6(x: Array) -> Array:
    return np.clip(x, 0.0, 6.0)


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


_erfc = np.vectorize(math.erfc, otypes=[np.float64])  # one number after the other: for a few

NUMPY: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda x, _: np.maximum(x, 0.0),
    "relu6": lambda x, _: _relu6(x),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": _elu,
    "selu": lambda x, _: SELU_SCALE * _elu(x, SELU_ALPHA),
    "gelu": lambda x, _: 0.5 * x * _erfc(-x / math.sqrt(2.0)),
    "gelu_tanh": lambda x, _: _gelu_tanh(x),
    "silu": lambda x, _: x * _sigmoid(x),
    "sigmoid": lambda x, _: _sigmoid(x),
    "tanh": lambda x, _: np.tanh(x),
    "softplus": lambda x, _: np.logaddexp(0.0, x),
    "hard_sigmoid": lambda x, _: _relu6(x + 3.0) / 6.0,
    "hard_silu": lambda x, _: x * _relu6(x + 3.0) / 6.0,
}
"""Name -> the function of x and the parameter."""
