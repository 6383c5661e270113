"""The three primitives and their derivatives.

As in frontends/torch/operators.py: y = convolve(x, w), dx = input_gradient(dy, w) and dw = kernel_gradient(x, dy) are
linear in each operand, and every derivative of the three, forward or backward, is one of the three again, to any order.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, mlir

from faltung import gradients, ops
from faltung.frontends.jax.activation import activated
from faltung.spec import ConvSpec

convolve_p = Primitive("faltung_convolve")
input_gradient_p = Primitive("faltung_input_gradient")
kernel_gradient_p = Primitive("faltung_kernel_gradient")


def conv(spec: ConvSpec, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """The convolution that the spec describes, bias and activation included."""
    y = convolve_p.bind(x, kernel, spec=linear(spec))
    if bias is not None:
        y += bias if spec.is_channels_last else bias.reshape(-1, *[1] * spec.rank)
    return activated(y, spec.activation, spec.activation_parameter)


def conv_transpose(spec: ConvSpec, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """The adjoint of the spec's convolution, with bias and activation.

    x has the spec's output shape, or is shorter and followed by zeros; the result has its input shape.
    """
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    x = jnp.pad(x, [(0, want - have) for want, have in zip(spec.output_shape, x.shape, strict=True)])
    y = input_gradient(spec, x, kernel)
    if bias is not None:
        y += bias if spec.is_channels_last else bias.reshape(-1, *[1] * spec.rank)
    return activated(y, spec.activation, spec.activation_parameter)


def linear(spec: ConvSpec) -> ConvSpec:
    """The spec without what is not linear in x: bias and activation."""
    return spec.replace(bias=False, activation=None)


def input_gradient(spec: ConvSpec, dy: Array, kernel: Array) -> Array:
    """dx = the adjoint of the convolution, applied to dy."""
    return input_gradient_p.bind(dy, kernel, spec=linear(spec))


def _words(spec: ConvSpec) -> dict[str, Any]:
    names = ("stride", "padding", "dilation", "groups", "layout", "kernel_layout", "padding_mode", "precision")
    return {name: getattr(spec, name) for name in names}


def _host(function: Any, shape: Any) -> Any:
    def impl(a: Array, b: Array, *, spec: ConvSpec) -> Array:
        out = jax.ShapeDtypeStruct(shape(spec), spec.dtype)
        return jax.pure_callback(lambda a, b: function(spec, np.asarray(a), np.asarray(b)), out, a, b)
    return impl


for primitive, shape, function in [
    (convolve_p, lambda s: s.output_shape, lambda s, x, k: getattr(ops, s.name)(x, k, **_words(s))),
    (input_gradient_p, lambda s: s.input_shape, lambda s, dy, k: gradients.input_gradient(dy, k, s.input_shape, **_words(s))),
    (kernel_gradient_p, lambda s: s.kernel_shape, lambda s, x, dy: gradients.kernel_gradient(x, dy, s.kernel_size, **_words(s))),
]:
    primitive.def_abstract_eval(lambda a, b, *, spec, shape=shape: ShapedArray(shape(spec), np.dtype(spec.dtype)))
    mlir.register_lowering(primitive, mlir.lower_fun(_host(function, shape), multiple_results=False))
    primitive.def_impl(jax.jit(partial(primitive.bind), static_argnames=("spec",)))

ad.defbilinear(
    convolve_p,
    lambda dy, x, kernel, spec: input_gradient_p.bind(dy, kernel, spec=spec),
    lambda dy, x, kernel, spec: kernel_gradient_p.bind(x, dy, spec=spec),
)
ad.defbilinear(
    input_gradient_p,
    lambda ddx, dy, kernel, spec: convolve_p.bind(ddx, kernel, spec=spec),
    lambda ddx, dy, kernel, spec: kernel_gradient_p.bind(ddx, dy, spec=spec),
)
ad.defbilinear(
    kernel_gradient_p,
    lambda ddw, x, dy, spec: input_gradient_p.bind(dy, ddw, spec=spec),
    lambda ddw, x, dy, spec: convolve_p.bind(x, ddw, spec=spec),
)
