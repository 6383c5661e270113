"""Depthwise convolutions on NumPy arrays: grouped convolutions under their usual name."""

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike

from faltung.arrays import forward
from faltung.arrays.forward import Array, convolve
from faltung.spec import named
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.spec.request import one_dtype
from faltung.spec.separable import depthwise_shape


def depthwise_conv1d(
    x: ArrayLike,
    kernel: ArrayLike,
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
    """Convolve each channel with kernels of its own, as Keras's DepthwiseConv1D.

    ``y[n, w, c*multiplier + m] = activation(bias[c*multiplier + m] + sum(x[n, w*stride + k*dilation - low, c] *
    kernel[k, c, m] for k))``

    Arguments:
        x: (N, W, C), float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        kernel: (K, C, multiplier), or with ``kernel_layout="OIW"`` (C*multiplier, 1, K); same element type.
        bias: (C*multiplier,), added before the activation; default none.
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
        (N, W_out, C*multiplier), the size as in conv1d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> depthwise_conv1d(np.ones((8, 100, 16)), np.ones((5, 16, 2)), padding="same").shape
    (8, 100, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, 1, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("depthwise_conv1d", 1, x, kernel, bias, options, out, _prepare)


def depthwise_conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
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
    """Convolve each channel with kernels of its own, as Keras's DepthwiseConv2D; see depthwise_conv1d.

    Arguments:
        x: (N, H, W, C), float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        kernel: (KH, KW, C, multiplier), or with ``kernel_layout="OIW"`` (C*multiplier, 1, KH, KW); same element type.
        bias: (C*multiplier,), added before the activation; default none.
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
        (N, H_out, W_out, C*multiplier), the sizes as in conv2d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    >>> depthwise_conv2d(np.ones((1, 32, 32, 16)), np.ones((3, 3, 16, 1)), stride=2, padding="same").shape
    (1, 16, 16, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, 1, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("depthwise_conv2d", 2, x, kernel, bias, options, out, _prepare)


def _prepare(
    function: str, rank: int | None, x: Array, kernel: Array, bias: Array | None, options: ConvOptions
) -> forward.Prepared:
    """Prepare the grouped convolution that a depthwise one is."""
    assert rank is not None
    with named(function, x=(x.shape, x.dtype.name)):
        one_dtype({"x": x.dtype.name, "kernel": kernel.dtype.name})
        shape, groups = depthwise_shape(x.shape, kernel.shape, rank, options.layout, options.kernel_layout)
    return forward.prepare(function, rank, x, kernel, bias, options._replace(groups=groups), shape)
