"""Activations in JAX's words."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from faltung.spec import ConvSpec

# Name -> the function of x and the parameter; the formulas are those of reference.py.
FUNCTIONS: dict[str, Callable[[Array, Any], Array]] = {
    "relu": lambda x, _: jax.nn.relu(x),
    "relu6": lambda x, _: jax.nn.relu6(x),
    "leaky_relu": lambda x, slope: jnp.where(x > 0, x, slope * x),
    "elu": lambda x, alpha: jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0.0))),
    "selu": lambda x, _: jax.nn.selu(x),
    "gelu": lambda x, _: 0.5 * x * jax.lax.erfc(-x / math.sqrt(2.0)),
    "gelu_tanh": lambda x, _: jax.nn.gelu(x, approximate=True),
    "silu": lambda x, _: jax.nn.silu(x),
    "sigmoid": lambda x, _: jax.nn.sigmoid(x),
    "tanh": lambda x, _: jnp.tanh(x),
    "softplus": lambda x, _: jax.nn.softplus(x),
    "hard_sigmoid": lambda x, _: jax.nn.relu6(x + 3.0) / 6.0,
    "hard_silu": lambda x, _: x * jax.nn.relu6(x + 3.0) / 6.0,
}


def activated(x: Array, name: str | None, parameter: float | None) -> Array:
    """The activation of each element."""
    return x if name is None else FUNCTIONS[name](x, parameter)


# Name -> the derivative at each element, from the result y: constant in pieces, so that second derivatives need no
# more. The derivative of any other asks for the sums that the activation was given.
SLOPES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda y: y > 0,
    "relu6": lambda y: (y > 0) & (y < 6),
}


def pushed(compute: Callable[[ConvSpec], Array], spec: ConvSpec, tangent: Array) -> tuple[Array, Array]:
    """y = compute(spec) and its tangent, from that of the sums before the activation."""
    name, parameter = spec.activation, spec.activation_parameter
    if name is None:
        return compute(spec), tangent
    if name in SLOPES:
        y = compute(spec)
        return y, jnp.where(SLOPES[name](y), tangent, 0)
    sums = compute(spec.replace(activation=None))
    return jax.jvp(lambda sums: activated(sums, name, parameter), (sums,), (tangent,))
