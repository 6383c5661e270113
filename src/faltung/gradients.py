"""The gradients of a convolution on NumPy arrays: arguments → spec of the forward convolution → kernels → array."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.errors import ShapeError
from faltung.ops import MOST_CALLS
from faltung.runtime.convolution import as_array
from faltung.runtime.gradients import InputGradient, KernelGradient, input_gradient_of, kernel_gradient_of
from faltung.spec import ConvSpec, named, spec_from_call
from faltung.spec.layout import join_kernel_shape, resolve_kernel_layout, resolve_layout, split_shape
from faltung.spec.rules import plain

Array = NDArray[Any]


def input_gradient(
    dy: ArrayLike, kernel: ArrayLike, input_shape: tuple[int, ...], *, out: Array | None = None, **options: Any
) -> Array:
    """The gradient of ``sum(conv(x, kernel) * dy)`` with respect to x: the adjoint of the convolution.

    ``dx[n, i, c] = sum(dy[n, o, f] * kernel[k, c, f] for o, k, f if o*stride + k*dilation - low == i)``

    Arguments:
        dy: the output's shape and layout; the gradient of the output.
        kernel: as given to the convolution.
        input_shape: the shape of x.
        out: array that receives the result.
        options: stride, padding, dilation, groups, layout, kernel_layout, padding_mode, precision: as given to it.

    Returns:
        input_shape, the element type of dy.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> input_gradient(np.ones((8, 98, 32)), np.ones((3, 16, 32)), (8, 100, 16)).shape
    (8, 100, 16)
    """
    dy, kernel = as_array(dy), as_array(kernel)

    def prepare() -> InputGradient:
        shape = tuple(input_shape)
        spec = spec_from_call("input_gradient", shape, dy.dtype.name, kernel.shape, kernel.dtype.name, **options)
        _check_dy("input_gradient", spec, dy)
        return input_gradient_of(spec)

    gradient = _remembered(prepare, dy, kernel, input_shape, options)
    if out is not None:
        _check_out("input_gradient", out, gradient.spec.input_shape, gradient.spec, (dy, kernel))
    return _written(out, lambda y: gradient.run(_in_order(dy), _in_order(kernel), out=y))


def kernel_gradient(
    x: ArrayLike, dy: ArrayLike, kernel_size: int | tuple[int, ...], *, out: Array | None = None, **options: Any
) -> Array:
    """The gradient of ``sum(conv(x, kernel) * dy)`` with respect to the kernel.

    ``dw[k, c, f] = sum(x[n, o*stride + k*dilation - low, c] * dy[n, o, f] for n, o)``

    Arguments:
        x: as given to the convolution.
        dy: the output's shape and layout; the gradient of the output.
        kernel_size: taps, for all axes or for each.
        out: array that receives the result.
        options: stride, padding, dilation, groups, layout, kernel_layout, padding_mode, precision: as given to it.

    Returns:
        The kernel's shape, in kernel_layout; the element type of x.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> kernel_gradient(np.ones((8, 100, 16)), np.ones((8, 98, 32)), 3).shape
    (3, 16, 32)
    """
    x, dy = as_array(x), as_array(dy)

    def prepare() -> KernelGradient:
        kernel_shape = _kernel_shape(x, dy, kernel_size, options)
        spec = spec_from_call("kernel_gradient", x.shape, x.dtype.name, kernel_shape, dy.dtype.name, **options)
        _check_dy("kernel_gradient", spec, dy)
        return kernel_gradient_of(spec)

    gradient = _remembered(prepare, x, dy, kernel_size, options)
    if out is not None:
        _check_out("kernel_gradient", out, gradient.spec.kernel_shape, gradient.spec, (x, dy))
    return _written(out, lambda y: gradient.run(_in_order(x), _in_order(dy), out=y))


Gradient = TypeVar("Gradient", InputGradient, KernelGradient)
_gradients: dict[tuple[Any, ...], Any] = {}
"""Checked and compiled gradients by everything that a call is told, as ops.py keeps convolutions."""


def _remembered(prepare: Callable[[], Gradient], a: Array, b: Array, size: object, options: dict[str, Any]) -> Gradient:
    """What `prepare` returned for a call like this one."""
    key = (
        prepare.__qualname__,
        a.shape,
        a.dtype,
        b.shape,
        b.dtype,
        size,
        *options.items(),
        *map(type, options.values()),
    )
    try:
        found = _gradients.get(key)
    except TypeError:  # options given as lists are not remembered
        return prepare()
    if found is None:
        if len(_gradients) >= MOST_CALLS:
            _gradients.clear()
        found = _gradients[key] = prepare()
    return found


def _kernel_shape(x: Array, dy: Array, kernel_size: int | tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """The shape of the kernel, from the channels of x and dy."""
    with named("kernel_gradient"):
        sizes = (kernel_size,) * (dy.ndim - 2) if isinstance(kernel_size, int) else tuple(kernel_size)
        layout = resolve_layout(options.get("layout"), len(sizes))
        for name, array in (("x", x), ("dy", dy)):
            if array.ndim < len(layout):
                rule = f"{name} must have {len(layout)} axes, ({', '.join(layout)})"
                raise ShapeError(f"{rule}; got shape {plain(array.shape)}. Use arrays as the convolution has them.")
        inputs, outputs = (split_shape(layout, array.shape)[1] for array in (x, dy))
        kernel_layout = resolve_kernel_layout(options.get("kernel_layout"), len(sizes))
        groups = options.get("groups", 1)
        return join_kernel_shape(kernel_layout, sizes, inputs // groups if groups else inputs, outputs)


def _check_dy(function: str, spec: ConvSpec, dy: Array) -> None:
    if dy.shape != spec.output_shape:
        rule = f"{function}: dy must have the shape of the convolution's output, {spec.output_shape}"
        raise ShapeError(f"{rule}; got {dy.shape}. Give the options of the convolution: {spec.to_text()!r}.")


def _check_out(function: str, out: Array, shape: tuple[int, ...], spec: ConvSpec, inputs: tuple[Array, ...]) -> None:
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != spec.dtype or not out.flags.writeable:
        got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        remedy = f"Use np.empty({shape}, {spec.dtype!r})."
        raise ShapeError(
            f"{function}: out must be a writable array of the result's shape and type; got {got}. {remedy}"
        )
    if any(np.may_share_memory(out, array) for array in inputs):
        raise ShapeError(
            f"{function}: out must not share memory with the inputs; got arrays that overlap. Use another."
        )


def _written(out: Array | None, compute: Any) -> Array:
    """Compute into `out` where a kernel can write there, through a copy where not."""
    if out is None or out.flags.c_contiguous:
        return compute(out)  # type: ignore[no-any-return]
    out[...] = compute(None)
    return out


def _in_order(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
