"""Depthwise and separable convolutions on NumPy arrays: grouped and pointwise convolutions under their usual names."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.conv import conv1d, conv2d
from faltung.operators.convolution import as_array
from faltung.operators.separable import separable_of
from faltung.spec import ConvSpec, named, spec_from_call
from faltung.spec.options import Padding, Sizes
from faltung.spec.request import one_dtype
from faltung.spec.separable import check_pointwise, depthwise_shape

Array = NDArray[Any]
CONVOLVE = {1: conv1d, 2: conv2d}

OPTIONS = """stride, padding, dilation, layout, padding_mode, activation, precision: as in conv{rank}d.
        kernel_layout: "WIO" (default, as Keras) or "OIW" (as PyTorch)."""

DEPTHWISE = """Convolve each channel with kernels of its own, as Keras's DepthwiseConv{rank}D.

    ``y[n, w, c*multiplier + m] = activation(bias[c*multiplier + m] + sum(x[n, w*stride + k*dilation - low, c] *
    kernel[k, c, m] for k))``{axes}

    Arguments:
        x: {x_shape}, float32 or float64, in the order of ``layout``.
        kernel: {kernel_shape}, or with ``kernel_layout="OIW"`` {torch_shape}; same element type.
        bias: (C*multiplier,), added before the activation; default none.
        {options}
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        {y_shape}, sizes as in conv{rank}d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    {example}
    """

SEPARABLE = """A depthwise convolution, then a pointwise one that mixes its channels, as Keras's SeparableConv{rank}D.

    ``y[n, w, o] = activation(bias[o] + sum(d[n, w, i] * pointwise_kernel[0, i, o] for i))``{axes} with
    d = depthwise_conv{rank}d(x, depthwise_kernel). Stride, padding and dilation are those of the depthwise part.
    Channels last, and where d is larger than the cache, both parts work on blocks of d that stay in it.

    Arguments:
        x: {x_shape}, float32 or float64, in the order of ``layout``.
        depthwise_kernel: {kernel_shape}, or with ``kernel_layout="OIW"`` {torch_shape}.
        pointwise_kernel: {pointwise_shape}, or with ``kernel_layout="OIW"`` {torch_pointwise_shape}.
        bias: (C_out,), added before the activation; default none.
        {options}
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        {separable_shape}, sizes as in conv{rank}d.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    {example}
    """

SHAPES = {
    1: {
        "axes": "",
        "x_shape": "(N, W, C)",
        "kernel_shape": "(K, C, multiplier)",
        "torch_shape": "(C*multiplier, 1, K)",
        "y_shape": "(N, W_out, C*multiplier)",
        "pointwise_shape": "(1, C*multiplier, C_out)",
        "torch_pointwise_shape": "(C_out, C*multiplier, 1)",
        "separable_shape": "(N, W_out, C_out)",
    },
    2: {
        "axes": ", with h and kh as w and k",
        "x_shape": "(N, H, W, C)",
        "kernel_shape": "(KH, KW, C, multiplier)",
        "torch_shape": "(C*multiplier, 1, KH, KW)",
        "y_shape": "(N, H_out, W_out, C*multiplier)",
        "pointwise_shape": "(1, 1, C*multiplier, C_out)",
        "torch_pointwise_shape": "(C_out, C*multiplier, 1, 1)",
        "separable_shape": "(N, H_out, W_out, C_out)",
    },
}


def _documented(function: Callable[..., Array], text: str, name: str, rank: int, example: str) -> Callable[..., Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text.format(rank=rank, options=OPTIONS.format(rank=rank), example=example, **SHAPES[rank])
    return function


def _depthwise(rank: int, example: str) -> Callable[..., Array]:
    """The public function of one rank."""
    name = f"depthwise_conv{rank}d"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
        precision: str = "high",
        out: Array | None = None,
    ) -> Array:
        x, kernel = as_array(x), as_array(kernel)
        with named(name, x=(x.shape, x.dtype.name)):
            one_dtype({"x": x.dtype.name, "kernel": kernel.dtype.name})
            shape, groups = depthwise_shape(x.shape, kernel.shape, rank, layout, kernel_layout)
            return CONVOLVE[rank](
                *(x, kernel.reshape(shape), bias),
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
                layout=layout,
                kernel_layout=kernel_layout,
                padding_mode=padding_mode,
                activation=activation,
                precision=precision,
                out=out,
            )

    return _documented(convolve, DEPTHWISE, name, rank, example)


def _separable(rank: int, example: str) -> Callable[..., Array]:
    """The public function of one rank."""
    name = f"separable_conv{rank}d"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
        precision: str = "high",
        out: Array | None = None,
    ) -> Array:
        x, depthwise_kernel, pointwise_kernel = map(as_array, (x, depthwise_kernel, pointwise_kernel))
        bias = None if bias is None else as_array(bias)
        common = {"layout": layout, "kernel_layout": kernel_layout, "precision": precision}
        spatial = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": padding_mode}
        with named(name, x=(x.shape, x.dtype.name)):
            depthwise, pointwise = _specs(
                name, rank, (x, depthwise_kernel, pointwise_kernel, bias), common | spatial, common, activation
            )
            convolution = separable_of(depthwise, pointwise)
            if out is not None:
                convolution.pointwise.check_out(out, (x, pointwise_kernel, bias))
                convolution.pointwise.check_out(out, (x, depthwise_kernel, bias))
        x, pointwise_kernel, first = map(_in_order, (x, pointwise_kernel, depthwise_kernel))
        bias = None if bias is None else _in_order(bias)
        in_place = out if out is not None and out.flags.c_contiguous else None
        y = convolution.run(x, first.reshape(depthwise.kernel_shape), pointwise_kernel, bias, in_place)
        if out is None or in_place is not None:
            return y
        out[...] = y
        return out

    return _documented(convolve, SEPARABLE, name, rank, example)


def _specs(
    name: str,
    rank: int,
    arrays: tuple[Array, Array, Array, Array | None],
    options: dict[str, Any],
    common: dict[str, Any],
    activation: str | tuple[str, float] | None,
) -> tuple[ConvSpec, ConvSpec]:
    """The specs of both parts."""
    x, depthwise_kernel, pointwise_kernel, bias = arrays
    given = {"x": x, "depthwise_kernel": depthwise_kernel, "pointwise_kernel": pointwise_kernel, "bias": bias}
    dtype = one_dtype({role: array.dtype.name for role, array in given.items() if array is not None})
    shape, groups = depthwise_shape(x.shape, depthwise_kernel.shape, rank, options["layout"], options["kernel_layout"])
    depthwise = spec_from_call(name, x.shape, dtype, shape, dtype, rank=rank, groups=groups, **options)
    check_pointwise(pointwise_kernel.shape, rank, options["kernel_layout"], depthwise.out_channels)
    of_bias = (None, None) if bias is None else (bias.shape, dtype)
    both = depthwise.output_shape, dtype, pointwise_kernel.shape, dtype
    return depthwise, spec_from_call(name, *both, *of_bias, rank=rank, activation=activation, **common)


def _in_order(array: Array) -> Array:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


depthwise_conv1d = _depthwise(
    1,
    """>>> depthwise_conv1d(np.ones((8, 100, 16)), np.ones((5, 16, 2)), padding="same").shape
    (8, 100, 32)""",
)
depthwise_conv2d = _depthwise(
    2,
    """>>> depthwise_conv2d(np.ones((1, 32, 32, 16)), np.ones((3, 3, 16, 1)), stride=2, padding="same").shape
    (1, 16, 16, 16)""",
)
separable_conv1d = _separable(
    1,
    """>>> separable_conv1d(np.ones((8, 100, 16)), np.ones((5, 16, 2)), np.ones((1, 32, 64))).shape
    (8, 96, 64)""",
)
separable_conv2d = _separable(
    2,
    """>>> separable_conv2d(np.ones((1, 32, 32, 16)), np.ones((3, 3, 16, 1)), np.ones((1, 1, 16, 24))).shape
    (1, 30, 30, 24)""",
)
