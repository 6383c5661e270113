"""What XLA runs: on the processor a handler of our own, called by address; on every other device lax's convolution."""

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from faltung.runtime.locks import lock_across_forks
from faltung.spec import ConvSpec

_lock = lock_across_forks()
_registered: set[str] = set()

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""The padding modes in jnp.pad's words."""


def register(primitive: Primitive, address: Callable[[ConvSpec], int], by_lax: Callable[..., Array]) -> None:
    """Say how the primitive runs: by the handler at `address(spec)`, or as `by_lax(spec, *operands)`."""

    def call_natively(context: Any, *operands: Any, spec: ConvSpec) -> Any:
        if not spec.output_bytes:  # a sum of nothing
            (result,) = context.avals_out
            return lowered(lambda *_, spec: jnp.zeros(result.shape, result.dtype))(context, *operands, spec=spec)
        return jax.ffi.ffi_lowering(_target(primitive.name, address, spec))(context, *operands)

    lowered = partial(mlir.lower_fun, multiple_results=False)
    mlir.register_lowering(primitive, call_natively, platform="cpu")
    mlir.register_lowering(primitive, lowered(lambda *operands, spec: by_lax(spec, *operands)))


def _target(primitive: str, address: Callable[[ConvSpec], int], spec: ConvSpec) -> str:
    """Register the handler with XLA under a name that says what it computes, here and in any other process."""
    name = f"{primitive}: {spec.to_text()}"
    with _lock:
        if name not in _registered:
            handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(address(spec))
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
            _registered.add(name)
    return name


def convolve_by_lax(spec: ConvSpec, x: Array, kernel: Array) -> Array:
    """The convolution in lax's words, without bias and activation."""
    padding = spec.padding
    if spec.padding_mode != "zeros":
        x, padding = padded(spec, x), ((0, 0),) * spec.rank
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[len(spec.batch) :]),
        kernel,
        spec.stride,
        padding,
        rhs_dilation=spec.dilation,
        dimension_numbers=(spec.layout, spec.kernel_layout, spec.layout),
        feature_group_count=spec.groups,
    )
    return y.reshape(spec.output_shape)


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
    pairs, none = list(spec.padding), [(0, 0)]
    widths = none * len(spec.batch) + (pairs + none if spec.is_channels_last else none + pairs)
    return jnp.pad(x, widths, MODES[spec.padding_mode])
