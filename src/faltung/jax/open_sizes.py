"""Convolutions of shapes that are open (`jax.export.symbolic_shape`), by lax.

A spec has all its sizes, and a kernel of ours is made for a spec. What has none is lax's from the start: its options
are checked on sizes that stand for those left open.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from faltung.errors import UnsupportedConvError
from faltung.jax import lowering
from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.options import ConvOptions

Shape = tuple[int, ...]

SOME = 1 << 20
"""Stands for an open size; any kernel fits into it."""

WORDS = {"same": "SAME", "same_lower": "SAME_LOWER"}
"""The paddings that depend on the size of x, in lax's words."""


def is_open(x: Array) -> bool:
    """Are some sizes of x not known while it is traced?"""
    return not all(isinstance(size, int) for size in x.shape)


def conv(function: str, rank: int | None, x: Array, kernel: Array, bias: Array | None, options: ConvOptions) -> Array:
    """The convolution of x, whose batch and spatial sizes may be open, bias and activation included."""
    facts = [None, None] if bias is None else [bias.shape, bias.dtype.name]
    types = _closed(x), x.dtype.name, kernel.shape, kernel.dtype.name
    spec = spec_from_call(function, *types, *facts, rank=rank, options=options)
    spatial = x.shape[-spec.rank - 1 : -1] if spec.is_channels_last else x.shape[-spec.rank :]
    depends = isinstance(options.padding, str) and max(spec.stride) > 1 and not all(isinstance(n, int) for n in spatial)
    word = WORDS.get(str(options.padding).lower()) if depends else None
    if word and spec.padding_mode != "zeros":
        rule = f"{function}: padding {options.padding!r} with a stride and {spec.padding_mode!r} needs known sizes"
        raise UnsupportedConvError(f"{rule}; got shape {x.shape}. Give the padding in numbers.")
    return lowering.finished(spec, lowering.convolve_by_lax(spec, x, kernel, word), bias)


def conv_transpose(spec_of: Callable[[Shape], ConvSpec], x: Array, kernel: Array, bias: Array | None) -> Array:
    """The adjoint of `spec_of(shape of x)`, bias and activation included; its result grows with x by the stride."""
    some = _closed(x)
    spec = spec_of(some)
    longer = [(0, want - have) for want, have in zip(spec.output_shape, some, strict=True)]
    if any(map(any, longer)):
        x = jnp.pad(x, longer)
    first = len(spec.batch) if spec.is_channels_last else 2
    sizes: list[Any] = list(spec.input_shape)
    sizes[: len(spec.batch)] = x.shape[: len(spec.batch)]
    for axis, stride in enumerate(spec.stride, first):
        sizes[axis] += (x.shape[axis] - spec.output_shape[axis]) * stride
    whole = jax.ShapeDtypeStruct(tuple(sizes), x.dtype)
    (y,) = jax.linear_transpose(lambda y: lowering.convolve_by_lax(spec, y, kernel), whole)(x)
    return lowering.finished(spec, y, bias)


def _closed(x: Array) -> Shape:
    return tuple(size if isinstance(size, int) else SOME for size in x.shape)
