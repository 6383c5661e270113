"""The primitives and their derivatives.

As in frontends/torch/operators.py: y = convolve(x, w), dx = input_gradient(dy, w) and dw = kernel_gradient(x, dy) are
linear in each operand, and every derivative of the three, forward or backward, is one of the three again, to any order.
A fourth primitive, `layer`, is a convolution with bias and activation; its derivatives are made of the other three.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from faltung.jax import lowering
from faltung.jax.activation import pushed
from faltung.jax.batching import as_samples, channels_of_data, outputs_of_kernel
from faltung.jax.batching import register as register_batching
from faltung.operators import handlers
from faltung.spec import ConvSpec
from faltung.spec.geometry import of_padded_input

convolve_p = Primitive("faltung.convolve")
input_gradient_p = Primitive("faltung.input_gradient")
kernel_gradient_p = Primitive("faltung.kernel_gradient")
layer_p = Primitive("faltung.layer")


# ---- what they are called with


def conv(spec: ConvSpec, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """The convolution that the spec describes, activation included; with a bias if one is given."""
    if lowering.is_by_lax():
        return lowering.finished(spec, lowering.convolve_by_lax(spec, x, kernel), bias)
    if bias is None and spec.activation is None:
        return convolve(spec, x, kernel)
    bias = jnp.zeros(spec.out_channels, spec.dtype) if bias is None else bias
    spec = spec.replace(bias=True)
    return layer_p.bind(x, kernel, bias, spec=spec)


def conv_transpose(spec: ConvSpec, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """The adjoint of the spec's convolution, with bias and activation.

    x has the spec's output shape, or is shorter and followed by zeros; the result has its input shape.
    """
    if x.shape != spec.output_shape:
        x = jnp.pad(x, [(0, want - have) for want, have in zip(spec.output_shape, x.shape, strict=True)])
    compute = lowering.input_gradient_by_lax if lowering.is_by_lax() else input_gradient
    return lowering.finished(spec, compute(spec, x, kernel), bias)


def convolve(spec: ConvSpec, x: Array, kernel: Array) -> Array:
    """y, without bias and activation."""
    return convolve_p.bind(x, kernel, spec=_linear(spec))


def input_gradient(spec: ConvSpec, dy: Array, kernel: Array) -> Array:
    """dx, the adjoint of convolve by x; where padding repeats the input, what arrives there is added to it."""
    spec = _linear(spec)
    if spec.padding_mode == "zeros":
        return input_gradient_p.bind(dy, kernel, spec=spec)
    arrived = input_gradient_p.bind(dy, kernel, spec=of_padded_input(spec))
    x = jax.ShapeDtypeStruct(spec.input_shape, spec.dtype)
    (dx,) = jax.linear_transpose(partial(lowering.padded, spec), x)(arrived)
    return dx


def kernel_gradient(spec: ConvSpec, x: Array, dy: Array) -> Array:
    """dw, the adjoint of convolve by the kernel."""
    return kernel_gradient_p.bind(x, dy, spec=_linear(spec))


def _linear(spec: ConvSpec) -> ConvSpec:
    """The spec without what is not linear in x."""
    return spec.replace(bias=False, activation=None) if spec.bias or spec.activation else spec


def _along_channels(spec: ConvSpec, bias: Array) -> Array:
    return bias if spec.is_channels_last else bias.reshape(-1, *[1] * spec.rank)


# ---- their shapes and derivatives


def _define(primitive: Primitive, shape: Any) -> None:
    def result(*_: ShapedArray, spec: ConvSpec) -> ShapedArray:
        return ShapedArray(shape(spec), np.dtype(spec.dtype))

    compiled = jax.jit(primitive.bind, static_argnames="spec")

    def compute(*arrays: Array, spec: ConvSpec) -> Array:
        with jax.disable_jit(False):  # where that is on, the compiled call would come back here
            return compiled(*arrays, spec=spec)

    primitive.def_abstract_eval(result)
    primitive.def_impl(compute)


_define(convolve_p, lambda spec: spec.output_shape)
_define(input_gradient_p, lambda spec: spec.input_shape)
_define(kernel_gradient_p, lambda spec: spec.kernel_shape)
_define(layer_p, lambda spec: spec.output_shape)

ad.defbilinear(
    convolve_p,
    lambda dy, x, kernel, spec: input_gradient(spec, dy, kernel),
    lambda dy, x, kernel, spec: kernel_gradient(spec, x, dy),
)
ad.defbilinear(
    input_gradient_p,
    lambda ddx, dy, kernel, spec: convolve(spec, ddx, kernel),
    lambda ddx, dy, kernel, spec: kernel_gradient(spec, ddx, dy),
)
ad.defbilinear(
    kernel_gradient_p,
    lambda ddkernel, x, dy, spec: input_gradient(spec, dy, ddkernel),
    lambda ddkernel, x, dy, spec: convolve(spec, x, ddkernel),
)


def _differentiate_layer(primals: Sequence[Array], tangents: Sequence[Any], *, spec: ConvSpec) -> tuple[Array, Any]:
    x, kernel, _ = primals
    dx, dkernel, dbias = tangents
    parts = [] if isinstance(dx, ad.Zero) else [convolve(spec, dx, kernel)]
    parts += [] if isinstance(dkernel, ad.Zero) else [convolve(spec, x, dkernel)]
    parts += [] if isinstance(dbias, ad.Zero) else [_along_channels(spec, dbias)]
    tangent = jnp.broadcast_to(sum(parts[1:], start=parts[0]), spec.output_shape)
    return pushed(lambda wanted: layer_p.bind(*primals, spec=wanted), spec, tangent)


ad.primitive_jvps[layer_p] = _differentiate_layer


# ---- how they are batched and what they run


def _batch_layer(arrays: tuple[Array, ...], dims: tuple[int | None, ...], *, spec: ConvSpec) -> tuple[Array, int]:
    if dims[1:] == (None, None):
        return as_samples(layer_p, arrays, dims, spec)
    return jax.vmap(partial(_layer_in_parts, spec), dims)(*arrays), 0


def _layer_in_parts(spec: ConvSpec, x: Array, kernel: Array, bias: Array) -> Array:
    return lowering.finished(spec, convolve(spec, x, kernel), bias)


def _layer_by_lax(spec: ConvSpec, x: Array, kernel: Array, bias: Array) -> Array:
    return lowering.finished(spec, lowering.convolve_by_lax(spec, x, kernel), bias)


register_batching(convolve_p, (channels_of_data, outputs_of_kernel), channels_of_data)
register_batching(input_gradient_p, (channels_of_data, outputs_of_kernel), channels_of_data)
register_batching(kernel_gradient_p, (channels_of_data, channels_of_data), outputs_of_kernel)
batching.primitive_batchers[layer_p] = _batch_layer

lowering.register(convolve_p, handlers.xla_handler_of_convolution, lowering.convolve_by_lax)
lowering.register(input_gradient_p, handlers.xla_handler_of_input_gradient, lowering.input_gradient_by_lax)
lowering.register(kernel_gradient_p, handlers.xla_handler_of_kernel_gradient, lowering.kernel_gradient_by_lax)
lowering.register(layer_p, handlers.xla_handler_of_convolution, _layer_by_lax)
