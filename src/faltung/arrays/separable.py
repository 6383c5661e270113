"""Separable convolutions on NumPy arrays: a depthwise convolution, then a pointwise one."""

from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, also, arrays_of, copied, copies_of, key_of
from faltung.arrays.memory import check_memory
from faltung.operators.out import check_out
from faltung.operators.separable import Separable, separable_of
from faltung.spec import named, spec_from_call
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.spec.request import one_dtype
from faltung.spec.separable import check_pointwise, depthwise_shape

Array = NDArray[Any]

_calls: "Calls[_PreparedSeparable]" = Calls()


def separable_conv1d(
    x: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """A depthwise convolution, then a pointwise one that mixes its channels, as Keras's SeparableConv1D.

    ``y[n, w, o] = activation(bias[o] + sum(d[n, w, i] * pointwise_kernel[0, i, o] for i))`` with
    d = depthwise_conv1d(x, depthwise_kernel). Stride, padding and dilation are those of the depthwise part.
    Channels last, and where d is larger than the cache, both parts work on blocks of d that stay in it.

    Arguments:
        x: (N, W, C), float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        depthwise_kernel: (K, C, multiplier), or with ``kernel_layout="OIW"`` (C*multiplier, 1, K).
        pointwise_kernel: (1, C*multiplier, C_out), or with ``kernel_layout="OIW"`` (C_out, C*multiplier, 1).
        bias: (C_out,), added before the activation; default none.
        stride: as in conv1d.
        padding: as in conv1d.
        dilation: as in conv1d.
        layout: as in conv1d.
        kernel_layout: as in conv1d.
        padding_mode: as in conv1d.
        activation: as in conv1d.
        precision: as in conv1d.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, W_out, C_out), the size as in conv1d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> separable_conv1d(np.ones((8, 100, 16)), np.ones((5, 16, 2)), np.ones((1, 32, 64))).shape
    (8, 96, 64)
    """
    options = ConvOptions(
        stride, padding, dilation, 1, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    x, depthwise, pointwise, bias = arrays_of(
        "separable_conv1d", x, depthwise_kernel, pointwise_kernel, bias, optional=1
    )
    return _convolve("separable_conv1d", 1, x, depthwise, pointwise, bias, options, out)


def separable_conv2d(
    x: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """A depthwise convolution, then a pointwise one, as Keras's SeparableConv2D; see separable_conv1d.

    Arguments:
        x: (N, H, W, C), float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        depthwise_kernel: (KH, KW, C, multiplier), or with ``kernel_layout="OIW"`` (C*multiplier, 1, KH, KW).
        pointwise_kernel: (1, 1, C*multiplier, C_out), or with ``kernel_layout="OIW"`` (C_out, C*multiplier, 1, 1).
        bias: (C_out,), added before the activation; default none.
        stride: as in conv2d.
        padding: as in conv2d.
        dilation: as in conv2d.
        layout: as in conv2d.
        kernel_layout: as in conv2d.
        padding_mode: as in conv2d.
        activation: as in conv2d.
        precision: as in conv2d.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, H_out, W_out, C_out), the sizes as in conv2d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> separable_conv2d(np.ones((1, 32, 32, 16)), np.ones((3, 3, 16, 1)), np.ones((1, 1, 16, 24))).shape
    (1, 30, 30, 24)
    """
    options = ConvOptions(
        stride, padding, dilation, 1, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    x, depthwise, pointwise, bias = arrays_of(
        "separable_conv2d", x, depthwise_kernel, pointwise_kernel, bias, optional=1
    )
    return _convolve("separable_conv2d", 2, x, depthwise, pointwise, bias, options, out)


@dataclass(frozen=True, slots=True)
class _PreparedSeparable:
    """A separable convolution for arrays of known shapes, strides and types; some are copied first."""

    function: str
    convolution: Separable
    copies: tuple[bool, ...] | None

    def __call__(
        self, x: Array, depthwise_kernel: Array, pointwise_kernel: Array, bias: Array | None, out: Array | None
    ) -> Array:
        grouped, spec = self.convolution.depthwise.spec.kernel_shape, self.convolution.pointwise.spec
        if out is not None:
            kernels = {"depthwise_kernel": depthwise_kernel, "pointwise_kernel": pointwise_kernel}
            check_out(self.function, out, spec.output_shape, spec.dtype, x=x, **kernels, bias=bias)
        arrays = x, depthwise_kernel, pointwise_kernel, bias
        x, first, last, bias = arrays if self.copies is None else copied(self.copies, *arrays)
        if out is None or out.flags.c_contiguous:
            return self.convolution.run(x, first.reshape(grouped), last, bias, out)
        out[...] = self.convolution.run(x, first.reshape(grouped), last, bias)
        return out


def _convolve(
    function: str,
    rank: int,
    x: Array,
    depthwise_kernel: Array,
    pointwise_kernel: Array,
    bias: Array | None,
    options: ConvOptions,
    out: Array | None,
) -> Array:
    """Convolve with both kernels."""
    arrays = x, depthwise_kernel, pointwise_kernel, bias
    key = key_of(function, options, x, depthwise_kernel, bias, also(array=pointwise_kernel))
    prepared = _calls.find(key)
    if prepared is None:
        separable = _prepare(function, rank, *arrays, options)
        prepared = _calls.keep(key, _PreparedSeparable(function, separable, copies_of(*arrays)))
    return prepared(*arrays, out)


def _prepare(
    function: str,
    rank: int,
    x: Array,
    depthwise_kernel: Array,
    pointwise_kernel: Array,
    bias: Array | None,
    options: ConvOptions,
) -> Separable:
    """Check the call, plan and compile both parts."""
    given = {"x": x, "depthwise_kernel": depthwise_kernel, "pointwise_kernel": pointwise_kernel, "bias": bias}
    layout, kernel_layout = options.layout, options.kernel_layout
    with named(function, x=(x.shape, x.dtype.name)):
        dtype = one_dtype({role: array.dtype.name for role, array in given.items() if array is not None})
        shape, groups = depthwise_shape(x.shape, depthwise_kernel.shape, rank, layout, kernel_layout)
        of_depthwise = options._replace(groups=groups, activation=None)
        depthwise = spec_from_call(function, x.shape, dtype, shape, dtype, rank=rank, options=of_depthwise)
        check_pointwise(pointwise_kernel.shape, rank, kernel_layout, depthwise.out_channels)
        between, of_bias = depthwise.output_shape, (None, None) if bias is None else (bias.shape, dtype)
        of_pointwise = ConvOptions(
            layout=layout, kernel_layout=kernel_layout, activation=options.activation, precision=options.precision
        )
        facts = (between, dtype, pointwise_kernel.shape, dtype, *of_bias)
        pointwise = spec_from_call(function, *facts, rank=rank, options=of_pointwise)
    return separable_of(check_memory(function, depthwise), check_memory(function, pointwise))
