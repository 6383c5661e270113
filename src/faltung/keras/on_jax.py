"""The JAX backend."""

import jax

from faltung.jax import operators
from faltung.jax.activation import FUNCTIONS
from faltung.keras.request import Request, spec_of, transposed_spec_of

TOGETHER = FUNCTIONS


def refusal(x: jax.Array) -> str | None:
    """Return why Keras's own call computes with this array."""
    platform = jax.default_backend()
    return None if platform == "cpu" else f"JAX computes on {platform}, and faltung on processors"


def convolve(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, request: Request) -> jax.Array:
    """Convolve."""
    spec = spec_of(request, x.shape, kernel.shape, x.dtype.name, bias is not None)
    return operators.conv(spec, x, kernel, bias)


def convolve_transposed(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, request: Request) -> jax.Array:
    """Convolve transposed."""
    return operators.conv_transpose(transposed_spec_of(request, x.shape, kernel.shape, x.dtype.name), x, kernel, bias)
