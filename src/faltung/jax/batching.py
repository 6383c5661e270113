"""jax.vmap over the primitives: many convolutions as one, as frontends/torch/batching.py does it.

Where the first operand differs between them and the kernel does not, they are more samples of one convolution. Where
kernels differ, or are computed (a kernel gradient for each), they are groups of one convolution: the channels of all
of them side by side.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import batching

from faltung.spec import ConvSpec

Axes = Callable[[ConvSpec], int]
Dims = tuple[int | None, ...]


def channels_of_data(spec: ConvSpec) -> int:
    """The axis of channels in x, y and their gradients."""
    return len(spec.output_shape) - 1 if spec.is_channels_last else 1


def outputs_of_kernel(spec: ConvSpec) -> int:
    """The axis of the output channels in the kernel, along which groups lie."""
    return 0 if spec.kernel_layout.startswith("O") else spec.rank + 1


def register(primitive: Primitive, operands: tuple[Axes, Axes], result: Axes) -> None:
    """Let vmap batch the primitive; the axes are those of channels in the operands and in the result."""
    has_kernel = operands[1] is outputs_of_kernel

    def rule(arrays: tuple[Array, ...], dims: Dims, *, spec: ConvSpec) -> tuple[Array, int]:
        if has_kernel and dims[1] is None:
            return as_samples(primitive, arrays, dims, spec)
        count = next(array.shape[dim] for array, dim in zip(arrays, dims, strict=True) if dim is not None)
        joined = [
            _side_by_side(array, dim, count, axis(spec))
            for array, dim, axis in zip(arrays, dims, operands, strict=True)
        ]
        many = spec.replace(
            groups=count * spec.groups, in_channels=count * spec.in_channels, out_channels=count * spec.out_channels
        )
        y, axis = primitive.bind(*joined, spec=many), result(spec)
        return y.reshape(*y.shape[:axis], count, y.shape[axis] // count, *y.shape[axis + 1 :]), axis

    batching.primitive_batchers[primitive] = rule


def as_samples(primitive: Primitive, arrays: tuple[Any, ...], dims: Dims, spec: ConvSpec) -> tuple[Array, int]:
    """The primitive with the first operand's batch as more samples, all else being the same for all of them."""
    assert dims[0] is not None
    samples = jnp.moveaxis(arrays[0], dims[0], 0)
    count = samples.shape[0]
    if spec.is_channels_last:
        return primitive.bind(samples, *arrays[1:], spec=spec.replace(batch=(count, *spec.batch))), 0
    folded = samples.reshape(-1, *samples.shape[2:])
    y = primitive.bind(folded, *arrays[1:], spec=spec.replace(batch=count * spec.num_samples))
    return y.reshape(count, spec.num_samples, *y.shape[1:]), 0


def _side_by_side(array: Array, dim: int | None, count: int, axis: int) -> Array:
    """The operands of all `count` members with their channels, on `axis`, one after the other."""
    if dim is None:
        many = jnp.broadcast_to(jnp.expand_dims(array, axis), (*array.shape[:axis], count, *array.shape[axis:]))
    else:
        many = jnp.moveaxis(array, dim, axis)
    return many.reshape(*many.shape[:axis], -1, *many.shape[axis + 2 :])
