"""The gradients of a convolution on NumPy arrays: arguments → spec of the forward convolution → kernels → array."""

from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, check_out, in_order, is_in_order, key_of
from faltung.errors import DtypeError, ShapeError
from faltung.operators.convolution import Convolution, as_array, compile
from faltung.operators.epilogue_gradient import EpilogueGradient, epilogue_gradient_of
from faltung.operators.gradients import InputGradient, KernelGradient, input_gradient_of, kernel_gradient_of
from faltung.spec import ConvSpec, named, spec_from_call
from faltung.spec.activation import shows_slope
from faltung.spec.layout import join_kernel_shape, resolve_kernel_layout, resolve_layout, split_shape
from faltung.spec.rules import plain

Array = NDArray[Any]

_one_gradient: "Calls[_Prepared]" = Calls()
_all_gradients: "Calls[_AllPrepared]" = Calls()


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
    key = key_of("input_gradient", (input_shape, *options.items(), *options.values()), dy, kernel)
    prepared = _one_gradient.find(key)
    if prepared is None:
        shape = tuple(input_shape)
        spec = spec_from_call("input_gradient", shape, dy.dtype.name, kernel.shape, kernel.dtype.name, **options)
        _check_dy("input_gradient", spec, dy)
        prepared = _Prepared("input_gradient", input_gradient_of(spec), spec.input_shape, *_copies(dy, kernel))
        _one_gradient.keep(key, prepared)
    return prepared(dy, kernel, out)


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
    key = key_of("kernel_gradient", (kernel_size, *options.items(), *options.values()), x, dy)
    prepared = _one_gradient.find(key)
    if prepared is None:
        kernel_shape = _kernel_shape(x, dy, kernel_size, options)
        spec = spec_from_call("kernel_gradient", x.shape, x.dtype.name, kernel_shape, dy.dtype.name, **options)
        _check_dy("kernel_gradient", spec, dy)
        prepared = _Prepared("kernel_gradient", kernel_gradient_of(spec), spec.kernel_shape, *_copies(x, dy))
        _one_gradient.keep(key, prepared)
    return prepared(x, dy, out)


def conv_gradients(
    x: ArrayLike,
    kernel: ArrayLike,
    dy: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    y: ArrayLike | None = None,
    activation: str | tuple[str, float] | None = None,
    **options: Any,
) -> tuple[Array, Array, Array | None]:
    """All gradients of ``sum(conv(x, kernel, bias, activation=activation) * dy)``.

    ``dz = dy * activation'(z)`` and ``dbias[o] = sum(dz[n, w, o] for n, w)`` are one pass over dy; then
    ``dx = input_gradient(dz, kernel)`` and ``dkernel = kernel_gradient(x, dz)``. At a kink the derivative is PyTorch's.

    Arguments:
        x: as given to the convolution.
        kernel: as given to it.
        dy: the output's shape and layout; the gradient of the output.
        bias: as given to it; default none.
        y: the convolution's result. For relu, relu6, leaky_relu, elu, selu, sigmoid, tanh, softplus and hard_sigmoid
            the derivative comes from it; with any other activation, or without y, the convolution is computed again.
        activation: as given to it.
        options: stride, padding, dilation, groups, layout, kernel_layout, padding_mode, precision: as given to it.

    Returns:
        dx, dkernel and dbias in the shapes and element type of x, kernel and bias; dbias is None without a bias.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> x, kernel, bias = np.ones((8, 100, 16)), np.ones((3, 16, 32)), np.ones(32)
    >>> gradients = conv_gradients(x, kernel, np.ones((8, 98, 32)), bias, activation="relu")
    >>> [gradient.shape for gradient in gradients]
    [(8, 100, 16), (3, 16, 32), (32,)]
    """
    x, kernel, dy = as_array(x), as_array(kernel), as_array(dy)
    bias, y = (None if array is None else as_array(array) for array in (bias, y))
    key = key_of("conv_gradients", (activation, *options.items(), *options.values()), x, kernel, dy, bias, y)
    prepared = _all_gradients.find(key)
    if prepared is None:
        prepared = _prepare_all(x, kernel, dy, bias, y, {"activation": activation, **options})
        _all_gradients.keep(key, prepared)
    return prepared(x, kernel, dy, bias, y)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One gradient for arrays of known shapes, strides and types; some are copied first."""

    function: str
    gradient: InputGradient | KernelGradient
    shape: tuple[int, ...]
    copies_a: bool
    copies_b: bool

    def __call__(self, a: Array, b: Array, out: Array | None) -> Array:
        if out is not None:
            check_out(self.function, out, self.shape, self.gradient.spec.dtype, (a, b))
        a = in_order(a) if self.copies_a else a
        b = in_order(b) if self.copies_b else b
        if out is None or out.flags.c_contiguous:
            return self.gradient.run(a, b, out=out)
        out[...] = self.gradient.run(a, b)
        return out


@dataclass(frozen=True, slots=True)
class _AllPrepared:
    """All gradients of one convolution for arrays of known shapes, strides and types."""

    forward: Convolution | None  # what the derivative of the activation is taken from, where it is not y
    epilogue: EpilogueGradient | None
    input: InputGradient
    kernel: KernelGradient
    copies: tuple[bool, ...] | None

    def __call__(
        self, x: Array, kernel: Array, dy: Array, bias: Array | None, y: Array | None
    ) -> tuple[Array, Array, Array | None]:
        if self.copies is not None:
            arrays = zip(self.copies, (x, kernel, dy, bias, y), strict=True)
            x, kernel, dy, bias, y = (in_order(array) if copies else array for copies, array in arrays)  # type: ignore[arg-type, assignment]
        dz, dbias = dy, None
        if self.forward is not None:
            z = self.forward.run(x, kernel, bias)
            dz, dbias = self.epilogue.run(dy, z, dz=z)  # type: ignore[union-attr]  # or there would be no forward
        elif self.epilogue is not None:
            dz, dbias = self.epilogue.run(dy, y)
        return self.input.run(dz, kernel), self.kernel.run(x, dz), dbias


def _prepare_all(
    x: Array, kernel: Array, dy: Array, bias: Array | None, y: Array | None, options: dict[str, Any]
) -> _AllPrepared:
    spec = spec_from_call(
        "conv_gradients",
        *(x.shape, x.dtype.name, kernel.shape, kernel.dtype.name),
        *((None, None) if bias is None else (bias.shape, bias.dtype.name)),
        **options,
    )
    _check_dy("conv_gradients", spec, dy)
    if y is not None:
        _check_dy("conv_gradients", spec, y, "y")
    plain = spec.replace(bias=False, activation=None)
    forward = None
    if spec.activation is not None:
        has_slope = shows_slope(spec.activation, spec.activation_parameter)
        if y is None or not has_slope:
            forward = compile(spec if has_slope else spec.replace(activation=None))
    copies = tuple(array is not None and not is_in_order(array) for array in (x, kernel, dy, bias, y))
    return _AllPrepared(
        forward,
        epilogue_gradient_of(spec) if spec.bias or spec.activation else None,
        input_gradient_of(plain),
        kernel_gradient_of(plain),
        copies if any(copies) else None,
    )


def _copies(*arrays: Array) -> tuple[bool, ...]:
    return tuple(not is_in_order(array) for array in arrays)


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


def _check_dy(function: str, spec: ConvSpec, dy: Array, name: str = "dy") -> None:
    if dy.shape != spec.output_shape:
        rule = f"{function}: {name} must have the shape of the convolution's output, {spec.output_shape}"
        raise ShapeError(f"{rule}; got {dy.shape}. Give the options of the convolution: {spec.to_text()!r}.")
    if dy.dtype.name != spec.dtype:
        rule = f"{function}: {name} must have the element type of x, {spec.dtype}; got {dy.dtype.name}"
        raise DtypeError(f"{rule}. Use {name}.astype({spec.dtype!r}).")
