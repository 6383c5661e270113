"""Transposed convolutions on NumPy arrays: the adjoint of the forward convolution, with bias and activation."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, also, arrays_of, copied, copies_of, facts_of, key_of
from faltung.arrays.memory import check_result
from faltung.arrays.no_channels import copied_to, without_channels
from faltung.operators.gradients import InputGradient, input_gradient_of
from faltung.operators.out import check_out
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.spec.transposed import adjoint_spec

Array = NDArray[Any]

_calls: "Calls[_PreparedTransposed]" = Calls()


def conv1d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """The adjoint of conv1d: each input puts a copy of the kernel into the output, ``stride`` apart.

    The kernel is that of the convolution it is the adjoint of: its last axis (of "WIO") meets the channels of x, the
    one before makes the channels of the result, as in Keras; with ``kernel_layout="OIW"`` it is PyTorch's weight.

    Arguments:
        x: (N, W, C_in), float32 or float64, in the order of ``layout``.
        kernel: (K, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: distance of the copies, for all axes or for each; default 1.
        padding: "valid" (default): out = (in - 1)*stride + max(window, stride), as Keras; "same": out = in*stride; an
            int, or an int or a (low, high) pair for each axis, cut off: out = (in - 1)*stride + window - low - high.
        output_padding: added at the high end, below stride (or dilation); default none.
        dilation: as in conv1d.
        groups: as in conv1d.
        layout: as in conv1d.
        kernel_layout: as in conv1d.
        activation: as in conv1d.
        precision: as in conv1d.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, W_out, C_out), window = dilation*(K - 1) + 1.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> conv1d_transpose(np.ones((8, 50, 32)), np.ones((4, 16, 32)), stride=2, padding="same").shape
    (8, 100, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve("conv1d_transpose", 1, x, kernel, bias, options, output_padding, out)


def conv2d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """The adjoint of conv2d: as conv1d_transpose, along h and w.

    Arguments:
        x: (N, H, W, C_in), float32 or float64, in the order of ``layout``.
        kernel: (KH, KW, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in conv1d_transpose.
        padding: as in conv1d_transpose.
        output_padding: as in conv1d_transpose.
        dilation: as in conv1d_transpose.
        groups: as in conv2d.
        layout: as in conv2d.
        kernel_layout: as in conv2d.
        activation: as in conv2d.
        precision: as in conv2d.
        out: as in conv2d.

    Returns:
        (N, H_out, W_out, C_out), each size as in conv1d_transpose.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> conv2d_transpose(np.ones((1, 8, 8, 32)), np.ones((3, 3, 16, 32)), stride=2).shape
    (1, 17, 17, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve("conv2d_transpose", 2, x, kernel, bias, options, output_padding, out)


def conv3d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """The adjoint of conv3d: as conv1d_transpose, along d, h and w.

    Arguments:
        x: (N, D, H, W, C_in), float32 or float64, in the order of ``layout``.
        kernel: (KD, KH, KW, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in conv1d_transpose.
        padding: as in conv1d_transpose.
        output_padding: as in conv1d_transpose.
        dilation: as in conv1d_transpose.
        groups: as in conv3d.
        layout: as in conv3d.
        kernel_layout: as in conv3d.
        activation: as in conv3d.
        precision: as in conv3d.
        out: as in conv3d.

    Returns:
        (N, D_out, H_out, W_out, C_out), each size as in conv1d_transpose.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> conv3d_transpose(np.ones((1, 4, 4, 4, 8)), np.ones((3, 3, 3, 2, 8))).shape
    (1, 6, 6, 6, 2)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve("conv3d_transpose", 3, x, kernel, bias, options, output_padding, out)


@dataclass(frozen=True, slots=True)
class _PreparedTransposed:
    """A transposed convolution for arrays of known shapes, strides and types; some are copied first."""

    function: str
    gradient: InputGradient
    copies: tuple[bool, ...] | None
    is_longer: bool

    def __call__(self, x: Array, kernel: Array, bias: Array | None, out: Array | None) -> Array:
        spec = self.gradient.spec
        if out is not None:
            check_out(self.function, out, spec.input_shape, spec.dtype, x=x, kernel=kernel, bias=bias)
        if self.copies is not None:
            x, kernel, bias = copied(self.copies, x, kernel, bias)
        if self.is_longer:  # output padding of a stride and more: inputs that are zero
            longer = np.zeros(spec.output_shape, spec.dtype)
            longer[tuple(map(slice, x.shape))] = x
            x = longer
        if out is None or out.flags.c_contiguous:
            return self.gradient.run(x, kernel, bias, out=out)
        out[...] = self.gradient.run(x, kernel, bias)
        return out


def _convolve(
    function: str,
    rank: int,
    x: Any,
    kernel: Any,
    bias: Any,
    options: ConvOptions,
    output_padding: Sizes | None,
    out: Array | None,
) -> Array:
    """Convolve arrays, or what becomes some, transposed."""
    x, kernel, bias = arrays_of(function, x, kernel, bias, optional=1)
    key = key_of(function, options, x, kernel, bias, also(output_padding))
    prepared = _calls.find(key)
    if prepared is None:
        if 0 in kernel.shape:
            of_stand_ins: Any = partial(
                _convolve, function, rank, options=options, output_padding=output_padding, out=None
            )
            y = without_channels(of_stand_ins, x, kernel, bias, options, is_transposed=True)
            if y is not None:
                return y if out is None else copied_to(function, out, y)
        facts = facts_of(x, kernel, bias)
        spec = adjoint_spec(function, *facts, rank=rank, options=options, output_padding=output_padding)
        check_result(function, spec)
        copies, is_longer = copies_of(x, kernel, bias), spec.output_shape != x.shape
        prepared = _calls.keep(key, _PreparedTransposed(function, input_gradient_of(spec), copies, is_longer))
    return prepared(x, kernel, bias, out)
