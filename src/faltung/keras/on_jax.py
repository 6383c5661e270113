"""The JAX backend."""

import jax

from faltung.frontends.exporting import is_traced_to_be_written
from faltung.jax import open_sizes, operators
from faltung.jax.activation import FUNCTIONS
from faltung.keras.request import Request, Shape, spec_of, transposed_spec_of
from faltung.spec import ConvSpec

TOGETHER = FUNCTIONS


def refusal(x: jax.Array) -> str | None:
    """Return why Keras's own call computes with this array."""
    platform = jax.default_backend()
    return None if platform == "cpu" else f"JAX computes on {platform}, and faltung on processors"


def is_exporting(x: jax.Array) -> bool:
    """Is a function traced that others will run?"""
    return isinstance(x, jax.core.Tracer) and is_traced_to_be_written()


def convolve(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, request: Request) -> jax.Array:
    """Convolve."""
    if open_sizes.is_open(x):
        return open_sizes.conv(request.name, request.rank, x, kernel, bias, request.options)
    spec = spec_of(request, x.shape, kernel.shape, x.dtype.name, bias is not None)
    return operators.conv(spec, x, kernel, bias)


def convolve_transposed(x: jax.Array, kernel: jax.Array, bias: jax.Array | None, request: Request) -> jax.Array:
    """Convolve transposed."""

    def spec(shape: Shape) -> ConvSpec:
        return transposed_spec_of(request, shape, kernel.shape, x.dtype.name)

    if open_sizes.is_open(x):
        return open_sizes.conv_transpose(spec, x, kernel, bias)
    return operators.conv_transpose(spec(x.shape), x, kernel, bias)
