"""The derivatives of the activations on vectors: dz = dy * activation'(z), from the result y where that determines it.

A slope of 0 or 1 is a choice and not a product, so that dz is 0 and not NaN where dy is infinite and the slope is 0.
Where a kink lies, the derivative is PyTorch's. Where a number is large, products such as x * 0 are taken of a smaller
one, so that they stay 0.
"""

import math
from collections.abc import Callable

from faltung.codegen.activation import Number, exp, exp_of_negative, expm1, scaled_erfc
from faltung.codegen.emitter import Emitter, Value
from faltung.spec.activation import SELU_ALPHA, SELU_SCALE

LARGE = 60.0
"""exp(-x * x / 2) is 0 beyond, and so is the derivative of a sigmoid of x**3."""


def activation_gradient(e: Emitter, dy: Value, source: Value, activation: str, parameter: float | None) -> Value:
    """Dz of each lane; `source` is y or z, as `shows_slope` of spec/activation.py says."""
    return GRADIENTS[activation](Number(e, dy), Number(e, source), parameter or 0.0).value


def _relu(dy: Number, y: Number, _: float) -> Number:
    return y.where("<=", 0.0, 0.0, dy)


def _relu6(dy: Number, y: Number, _: float) -> Number:
    return y.where("<=", 0.0, 0.0, y.where(">=", 6.0, 0.0, dy))


def _leaky_relu(dy: Number, y: Number, slope: float) -> Number:
    return y.where(">", 0.0, dy, dy * slope)


def _elu(dy: Number, source: Number, alpha: float) -> Number:
    # alpha exp(z) = y + alpha; a negative alpha folds the curve, and z is what is known
    return source.where("<=", 0.0, dy * (exp(source) * alpha if alpha < 0 else source + alpha), dy)


def _selu(dy: Number, y: Number, _: float) -> Number:
    return dy * y.where("<=", 0.0, y + SELU_SCALE * SELU_ALPHA, SELU_SCALE)


def _softplus(dy: Number, y: Number, _: float) -> Number:
    return dy * (0.0 - expm1(0.0 - y))  # sigmoid(z) = 1 - exp(-y)


def _hard_sigmoid(dy: Number, y: Number, _: float) -> Number:
    return y.where(">", 0.0, y.where("<", 1.0, dy * (1 / 6), 0.0), 0.0)


def _hard_silu(dy: Number, z: Number, _: float) -> Number:
    return z.where("<=", -3.0, 0.0, z.where("<", 3.0, dy * z.times_plus(1 / 3, 0.5), dy))


def _sigmoids(x: Number) -> tuple[Number, Number]:
    """The sigmoid of x, and its derivative, both accurate in the tails."""
    small = exp_of_negative(0.0 - x.absolute())
    large = 1.0 / (small + 1.0)
    small = small * large
    return x.where("<", 0.0, small, large), small * large


def _silu(dy: Number, z: Number, _: float) -> Number:
    sigmoid, slope = _sigmoids(z)
    return dy * z.clamp(-1e3, 1e3).times_plus(slope, sigmoid)


def _gelu(dy: Number, z: Number, _: float) -> Number:
    # Phi(z) + z phi(z), with one exponential for both
    near = z.clamp(-LARGE, LARGE)
    bell = exp_of_negative(near * near * -0.5)
    tail = scaled_erfc((near * math.sqrt(0.5)).absolute()) * bell * 0.5
    return dy * (near * bell).times_plus(1 / math.sqrt(2 * math.pi), z.where("<", 0.0, tail, 1.0 - tail))


def _gelu_tanh(dy: Number, z: Number, _: float) -> Number:
    # the derivative of z sigmoid(u), u = scale (z + 0.044715 z**3)
    near, scale = z.clamp(-LARGE, LARGE), 2 * math.sqrt(2 / math.pi)
    square = near * near
    sigmoid, slope = _sigmoids((square * near).times_plus(0.044715, near) * scale)
    return dy * (near * square.times_plus(3 * 0.044715 * scale, scale)).times_plus(slope, sigmoid)


GRADIENTS: dict[str, Callable[[Number, Number, float], Number]] = {
    "relu": _relu,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "sigmoid": lambda dy, y, _: dy * ((1.0 - y) * y),
    "tanh": lambda dy, y, _: dy * (1.0 - y * y),
    "softplus": _softplus,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
}
