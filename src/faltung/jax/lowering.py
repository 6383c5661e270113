"""What XLA runs: on the processor a handler of our own, called by address; elsewhere lax's convolution.

Elsewhere is every other device, and every program that `jax.export` writes: whoever reads it need not have faltung.
"""

import ctypes
import os
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from faltung.frontends.threads import follow, of_xla
from faltung.jax.activation import activated
from faltung.runtime.locks import lock_across_forks
from faltung.spec import ConvSpec

_lock = lock_across_forks()
_registered: set[str] = set()

by_lax = jax.make_user_context(False)
"""``with by_lax(True):`` traces functions with lax's convolutions, for tools that must look into them."""


def is_by_lax() -> bool:
    """Are functions traced with lax's convolutions now?"""
    return bool(by_lax.value)


def register(primitive: Primitive, address: Callable[[ConvSpec], int], by_lax: Callable[..., Array]) -> None:
    """Say how the primitive runs: by the handler at `address(spec)`, or as `by_lax(spec, *operands)`."""

    def call_natively(context: Any, *operands: Any, spec: ConvSpec) -> Any:
        if context.module_context.lowering_parameters.for_export:
            return portably(context, *operands, spec=spec)
        if not spec.output_bytes:  # a sum of nothing
            (result,) = context.avals_out
            return lowered(lambda *_, spec: jnp.zeros(result.shape, result.dtype))(context, *operands, spec=spec)
        return jax.ffi.ffi_lowering(_target(primitive.name, address, spec))(context, *operands)

    lowered = partial(mlir.lower_fun, multiple_results=False)
    portably = lowered(lambda *operands, spec: by_lax(spec, *operands))
    mlir.register_lowering(primitive, call_natively, platform="cpu")
    mlir.register_lowering(primitive, portably)


def _target(primitive: str, address: Callable[[ConvSpec], int], spec: ConvSpec) -> str:
    """Register the handler with XLA under a name that says what it computes, here and in any other process."""
    name = f"{primitive}: {spec.to_text()}"
    with _lock:
        if name not in _registered:
            follow(of_xla(os.environ.get("XLA_FLAGS", ""), os.environ.get("NPROC", "")))
            handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(address(spec))
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
            _registered.add(name)
    return name


def convolve_by_lax(spec: ConvSpec, x: Array, kernel: Array, word: str | None = None) -> Array:
    """The convolution in lax's words, without bias and activation; sizes of batch and space are those of x.

    ``word`` is lax's for a padding that depends on the sizes of x; None takes the spec's pairs.
    """
    padding = word or spec.padding
    if spec.padding_mode != "zeros":
        x, padding = padded(spec, x), ((0, 0),) * spec.rank
    y = lax.conv_general_dilated(
        x.reshape(prod(x.shape[: len(spec.batch)]), *x.shape[len(spec.batch) :]),
        kernel,
        spec.stride,
        padding,
        rhs_dilation=spec.dilation,
        dimension_numbers=(spec.layout, spec.kernel_layout, spec.layout),
        feature_group_count=spec.groups,
    )
    return y.reshape(*x.shape[: len(spec.batch)], *y.shape[1:])


def finished(spec: ConvSpec, y: Array, bias: Array | None) -> Array:
    """The sums with their bias, if there is one, and the spec's activation."""
    if bias is not None:
        y = y + (bias if spec.is_channels_last else bias.reshape(-1, *[1] * spec.rank))
    return activated(y, spec.activation, spec.activation_parameter)


def input_gradient_by_lax(spec: ConvSpec, dy: Array, kernel: Array) -> Array:
    """Its adjoint by x."""
    x = jax.ShapeDtypeStruct(spec.input_shape, spec.dtype)
    (dx,) = jax.linear_transpose(lambda x: convolve_by_lax(spec, x, kernel), x)(dy)
    return dx


def kernel_gradient_by_lax(spec: ConvSpec, x: Array, dy: Array) -> Array:
    """Its adjoint by the kernel."""
    kernel = jax.ShapeDtypeStruct(spec.kernel_shape, spec.dtype)
    (dkernel,) = jax.linear_transpose(partial(convolve_by_lax, spec, x), kernel)(dy)
    return dkernel


def padded(spec: ConvSpec, x: Array) -> Array:
    """The input with its padding written out."""
    first = len(spec.batch) if spec.is_channels_last else 2
    if spec.padding_mode == "replicate":
        widths = dict(enumerate(spec.padding, first))
        return jnp.pad(x, [widths.get(axis, (0, 0)) for axis in range(x.ndim)], "edge")
    for axis, (low, high) in enumerate(spec.padding, first):  # jnp.pad wants to know all sizes, of the batch too
        size, cut = x.shape[axis], partial(lax.slice_in_dim, x, axis=axis)
        if spec.padding_mode == "circular":
            ends = cut(size - low, size), cut(0, high)
        else:
            ends = lax.rev(cut(1, low + 1), [axis]), lax.rev(cut(size - 1 - high, size - 1), [axis])
        x = jnp.concatenate([ends[0], x, ends[1]], axis)
    return x
