"""Convolutions on NumPy arrays."""

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike

from faltung.arrays.forward import Array, convolve
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect


def conv1d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve sequences: sums over a window that slides along w.

    ``y = activation(bias[o] + sum(x[n, w*stride + k*dilation - low, i] * kernel[k, i, o] for k, i))``: a
    cross-correlation, as in every framework.

    Arguments:
        x: (N, W, C_in), float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        kernel: (K, C_in/groups, C_out), in the order of ``kernel_layout``; same element type.
        bias: (C_out,), added before the activation; default none.
        stride: step of the window, for all axes or for each; default 1.
        padding: "valid" (none, default), "same" (output size is input size / stride, rounded up), "causal" (1-D),
            an int, or an int or a (low, high) pair for each axis.
        dilation: spacing of taps, 1 (default) is dense.
        groups: independent parts that channels are split into; default 1.
        layout: order of x's axes: "NWC" (default) or "NCW".
        kernel_layout: "WIO" (default, as Keras) or "OIW" (as PyTorch), for every rank.
        padding_mode: "zeros" (default), "reflect", "replicate" or "circular".
        activation: a name such as "relu" or "gelu", or (name, parameter); computed in the same pass. Default none.
        precision: "high" or "exact", which admits direct summation only; without it that of `faltung.precision`, which
            is "high" at first. Denormal numbers (below 1.2e-38 in float32) count as zeros, since some processors take a
            hundred times as long over them; "exact" keeps them.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, W_out, C_out), W_out = floor((W + low + high - dilation*(K - 1) - 1) / stride) + 1.

    Raises:
        ShapeError: if sizes or options do not fit together.
        DtypeError: if an array is not float32 or float64, or they differ.

    >>> conv1d(np.ones((8, 100, 16)), np.ones((7, 16, 32)), padding="same", activation="relu").shape
    (8, 100, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("conv1d", 1, x, kernel, bias, options, out)


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve images: sums over a window that slides along h and w.

    ``y = activation(bias[o] + sum(x[n, h*stride + kh*dilation - low, w*stride + kw*dilation - low, i] *
    kernel[kh, kw, i, o] for kh, kw, i))``

    Arguments:
        x: (N, H, W, C_in), float32 or float64, in the order of ``layout``; channels last also more leading axes.
        kernel: (KH, KW, C_in/groups, C_out), in the order of ``kernel_layout``; same element type.
        bias: (C_out,), added before the activation; default none.
        stride: step of the window, for all axes or for each; default 1.
        padding: as in conv1d, but no "causal".
        dilation: as in conv1d.
        groups: as in conv1d.
        layout: order of x's axes: "NHWC" (default) or "NCHW".
        kernel_layout: "WIO" (default, as Keras) or "OIW" (as PyTorch), also spelled "HWIO" or "OIHW".
        padding_mode: as in conv1d.
        activation: as in conv1d.
        precision: as in conv1d.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, H_out, W_out, C_out), each size as in conv1d.

    Raises:
        ShapeError: as in conv1d.
        DtypeError: as in conv1d.

    >>> conv2d(np.ones((1, 32, 32, 3)), np.ones((3, 3, 3, 32)), stride=2, padding="same").shape
    (1, 16, 16, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("conv2d", 2, x, kernel, bias, options, out)


def conv3d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve volumes: sums over a window that slides along d, h and w.

    ``y = activation(bias[o] + sum(x[n, d*stride + kd*dilation - low, …, i] * kernel[kd, kh, kw, i, o]
    for kd, kh, kw, i))``

    Arguments:
        x: (N, D, H, W, C_in), float32 or float64, in the order of ``layout``; channels last also more leading axes.
        kernel: (KD, KH, KW, C_in/groups, C_out), in the order of ``kernel_layout``; same element type.
        bias: (C_out,), added before the activation; default none.
        stride: step of the window, for all axes or for each; default 1.
        padding: as in conv1d, but no "causal".
        dilation: as in conv1d.
        groups: as in conv1d.
        layout: order of x's axes: "NDHWC" (default) or "NCDHW".
        kernel_layout: "WIO" (default, as Keras) or "OIW" (as PyTorch), also spelled "DHWIO" or "OIDHW".
        padding_mode: as in conv1d.
        activation: as in conv1d.
        precision: as in conv1d.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        (N, D_out, H_out, W_out, C_out), each size as in conv1d.

    Raises:
        ShapeError: as in conv1d.
        DtypeError: as in conv1d.

    >>> conv3d(np.ones((1, 8, 8, 8, 2)), np.ones((3, 3, 3, 2, 4))).shape
    (1, 6, 6, 6, 4)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("conv3d", 3, x, kernel, bias, options, out)


def conv(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve over as many spatial axes as the kernel has: conv1d, conv2d or conv3d.

    Arguments:
        x: (N, [[D,] H,] W, C_in), as there.
        kernel: ([[KD,] KH,] KW, C_in/groups, C_out), as there.
        bias: (C_out,), added before the activation; default none.
        stride: as there.
        padding: as there.
        dilation: as there.
        groups: as there.
        layout: as there.
        kernel_layout: as there.
        padding_mode: as there.
        activation: as there.
        precision: as there.
        out: as there.

    Returns:
        (N, [[D_out,] H_out,] W_out, C_out), each size as in conv1d.

    Raises:
        ShapeError: as in conv1d.
        DtypeError: as in conv1d.

    >>> conv(np.ones((1, 32, 32, 3)), np.ones((3, 3, 3, 8))).shape
    (1, 30, 30, 8)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return convolve("conv", None, x, kernel, bias, options, out)
