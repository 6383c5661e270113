"""Activations in TensorFlow's words, and the slopes of those whose result tells it."""

import math
from collections.abc import Callable

import tensorflow as tf

from faltung.tensorflow.tensors import Tensor

# Name -> the function of x and the parameter; the formulas are those of reference.py.
FUNCTIONS: dict[str, Callable[[Tensor, float | None], Tensor]] = {
    "relu": lambda x, _: tf.nn.relu(x),
    "relu6": lambda x, _: tf.nn.relu6(x),
    "leaky_relu": lambda x, slope: tf.where(x > 0, x, slope * x),
    "elu": lambda x, alpha: tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0.0))),
    "selu": lambda x, _: tf.nn.selu(x),
    "gelu": lambda x, _: 0.5 * x * tf.math.erfc(-x / math.sqrt(2.0)),
    "gelu_tanh": lambda x, _: 0.5 * x * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x, _: tf.nn.silu(x),
    "sigmoid": lambda x, _: tf.nn.sigmoid(x),
    "tanh": lambda x, _: tf.nn.tanh(x),
    "softplus": lambda x, _: tf.nn.softplus(x),
    "hard_sigmoid": lambda x, _: tf.nn.relu6(x + 3.0) / 6.0,
    "hard_silu": lambda x, _: x * tf.nn.relu6(x + 3.0) / 6.0,
}

# Name -> the derivative at each element, from the result y. These are computed together with the convolution; their
# slopes are constant in pieces, so that second derivatives need no more. None of them has a parameter.
SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda y: tf.cast(y > 0, y.dtype),
    "relu6": lambda y: tf.cast((y > 0) & (y < 6), y.dtype),
}


def activated(x: Tensor, name: str | None, parameter: float | None) -> Tensor:
    """The activation of each element."""
    return x if name is None else FUNCTIONS[name](x, parameter)
