"""The gradients of a convolution on NumPy arrays: arguments → spec of the forward convolution → kernels → array."""

from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, also, arrays_of, copied, copies_of, key_of
from faltung.arrays.memory import check_memory
from faltung.errors import DtypeError, ShapeError
from faltung.operators.gradients import InputGradient, KernelGradient, input_gradient_of, kernel_gradient_of
from faltung.operators.out import check_out
from faltung.spec import ConvSpec, named, spec_from_call
from faltung.spec.layout import (
    RANKS,
    join_kernel_shape,
    resolve_kernel_layout,
    resolve_layout,
    spatial_axes,
    split_shape,
)
from faltung.spec.options import ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.spec.rules import brief, integer, per_axis, plain, sequence

Array = NDArray[Any]

_input_gradients: "Calls[_PreparedGradient]" = Calls()
_kernel_gradients: "Calls[_PreparedGradient]" = Calls()


def input_gradient(
    dy: ArrayLike,
    kernel: ArrayLike,
    input_shape: tuple[int, ...],
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """The gradient of ``sum(conv(x, kernel) * dy)`` with respect to x: the adjoint of the convolution.

    ``dx[n, i, c] = sum(dy[n, o, f] * kernel[k, c, f] for o, k, f if o*stride + k*dilation - low == i)``

    Arguments:
        dy: the output's shape and layout; the gradient of the output.
        kernel: as given to the convolution.
        input_shape: the shape of x.
        stride: as given to the convolution; see conv1d.
        padding: as given to the convolution; see conv1d.
        dilation: as given to the convolution; see conv1d.
        groups: as given to the convolution; see conv1d.
        layout: as given to the convolution; see conv1d.
        kernel_layout: as given to the convolution; see conv1d.
        padding_mode: as given to the convolution; see conv1d.
        precision: as given to the convolution; see conv1d.
        out: array that receives the result.

    Returns:
        input_shape, the element type of dy.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> input_gradient(np.ones((8, 98, 32)), np.ones((3, 16, 32)), (8, 100, 16)).shape
    (8, 100, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, None, in_effect(precision)
    )
    dy, kernel = arrays_of("input_gradient", dy, kernel)
    key = key_of("input_gradient", options, dy, kernel, None, also(input_shape))
    prepared = _input_gradients.find(key)
    if prepared is None:
        facts = (_shape(input_shape), dy.dtype.name, kernel.shape, kernel.dtype.name)
        spec = check_memory("input_gradient", spec_from_call("input_gradient", *facts, options=options))
        check_dy("input_gradient", spec, dy)
        shape, copies = spec.input_shape, copies_of(dy, kernel)
        prepared = _PreparedGradient("input_gradient", input_gradient_of(spec), shape, ("dy", "kernel"), copies)
        _input_gradients.keep(key, prepared)
    return prepared(dy, kernel, out)


def kernel_gradient(
    x: ArrayLike,
    dy: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """The gradient of ``sum(conv(x, kernel) * dy)`` with respect to the kernel.

    ``dw[k, c, f] = sum(x[n, o*stride + k*dilation - low, c] * dy[n, o, f] for n, o)``

    Arguments:
        x: as given to the convolution.
        dy: the output's shape and layout; the gradient of the output.
        kernel_size: taps, for all axes or for each.
        stride: as given to the convolution; see conv1d.
        padding: as given to the convolution; see conv1d.
        dilation: as given to the convolution; see conv1d.
        groups: as given to the convolution; see conv1d.
        layout: as given to the convolution; see conv1d.
        kernel_layout: as given to the convolution; see conv1d.
        padding_mode: as given to the convolution; see conv1d.
        precision: as given to the convolution; see conv1d.
        out: array that receives the result.

    Returns:
        The kernel's shape, in kernel_layout; the element type of x.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> kernel_gradient(np.ones((8, 100, 16)), np.ones((8, 98, 32)), 3).shape
    (3, 16, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, None, in_effect(precision)
    )
    x, dy = arrays_of("kernel_gradient", x, dy)
    key = key_of("kernel_gradient", options, x, dy, None, also(kernel_size))
    prepared = _kernel_gradients.find(key)
    if prepared is None:
        facts = (x.shape, x.dtype.name, _kernel_shape(x, dy, kernel_size, options), dy.dtype.name)
        spec = check_memory("kernel_gradient", spec_from_call("kernel_gradient", *facts, options=options))
        check_dy("kernel_gradient", spec, dy)
        shape, copies = spec.kernel_shape, copies_of(x, dy)
        prepared = _PreparedGradient("kernel_gradient", kernel_gradient_of(spec), shape, ("x", "dy"), copies)
        _kernel_gradients.keep(key, prepared)
    return prepared(x, dy, out)


@dataclass(frozen=True, slots=True)
class _PreparedGradient:
    """One gradient for arrays of known shapes, strides and types; some are copied first."""

    function: str
    gradient: InputGradient | KernelGradient
    shape: tuple[int, ...]
    roles: tuple[str, str]
    copies: tuple[bool, ...] | None

    def __call__(self, a: Array, b: Array, out: Array | None) -> Array:
        if out is not None:
            inputs = dict(zip(self.roles, (a, b), strict=True))
            check_out(self.function, out, self.shape, self.gradient.spec.dtype, **inputs)
        if self.copies is not None:
            a, b = copied(self.copies, a, b)
        if out is None or out.flags.c_contiguous:
            return self.gradient.run(a, b, out=out)
        out[...] = self.gradient.run(a, b)
        return out


def _kernel_shape(x: Array, dy: Array, kernel_size: int | tuple[int, ...], options: ConvOptions) -> tuple[int, ...]:
    """The shape of the kernel, from the channels of x and dy."""
    with named("kernel_gradient"):
        given = sequence(kernel_size)
        rank = dy.ndim - 2 if given is None else len(given)
        if rank not in RANKS:
            rule = "kernel_size must be an integer, or one for each of one to three axes"
            raise ShapeError(
                f"{rule}; got {plain(kernel_size)} and dy of shape {plain(dy.shape)}. Give an entry for each axis."
            )
        sizes = per_axis("kernel_size", kernel_size, spatial_axes(rank), minimum=1)
        layout = resolve_layout(options.layout, len(sizes))
        for name, array in (("x", x), ("dy", dy)):
            if array.ndim < len(layout):
                rule = f"{name} must have {len(layout)} axes, ({', '.join(layout)})"
                raise ShapeError(f"{rule}; got shape {plain(array.shape)}. Use arrays as the convolution has them.")
        inputs, outputs = (split_shape(layout, array.shape)[1] for array in (x, dy))
        kernel_layout = resolve_kernel_layout(options.kernel_layout, len(sizes))
        groups = integer("groups", options.groups, minimum=1)
        return join_kernel_shape(kernel_layout, sizes, inputs // groups, outputs)


def _shape(input_shape: object) -> tuple[int, ...]:
    """The sizes of an input that the caller named."""
    with named("input_gradient"):
        sizes = sequence(input_shape)
        if sizes is None:
            raise ShapeError(f"input_shape must be the shape of x; got {brief(input_shape)}. Give x.shape.")
        return tuple(integer("input_shape", size, minimum=0) for size in sizes)


def check_dy(function: str, spec: ConvSpec, dy: Array, name: str = "dy") -> None:
    """Refuse a gradient of the output, or an output, of another shape or type than the spec's."""
    if dy.shape != spec.output_shape:
        rule = f"{function}: {name} must have the shape of the convolution's output, {spec.output_shape}"
        raise ShapeError(f"{rule}; got {dy.shape}. Give the options of the convolution: {spec.to_text()!r}.")
    if dy.dtype.name != spec.dtype:
        rule = f"{function}: {name} must have the element type of x, {spec.dtype}; got {dy.dtype.name}"
        raise DtypeError(f"{rule}. Use {name}.astype({spec.dtype!r}).")
