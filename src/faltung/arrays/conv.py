"""Convolutions on NumPy arrays: arguments → spec → plan → kernel → array."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, in_order, is_in_order, key_of
from faltung.operators.convolution import Convolution, as_array
from faltung.plan.in_place import strides_in_place
from faltung.spec import spec_from_call
from faltung.spec.options import Padding, Sizes

Array = NDArray[Any]

_calls: "Calls[_Prepared]" = Calls()

DOCUMENTATION = """{summary}

    ``y = activation(bias[o] + sum(x[{window}, i] * kernel[{taps}, i, o] for {taps}, i))``: a cross-correlation, as in
    every framework.

    Arguments:
        x: {x_shape}, float32 or float64, in the order of ``layout``; channels-last input may have more leading axes.
        kernel: {kernel_shape}, in the order of ``kernel_layout``; same element type.
        bias: (C_out,), added before the activation; default none.
        stride: step of the window, for all axes or for each; default 1.
        padding: "valid" (none, default), "same" (output size is input size / stride, rounded up), "causal" (1-D),
            an int, or an int or a (low, high) pair for each axis.
        dilation: spacing of taps, 1 (default) is dense.
        groups: independent parts that channels are split into; default 1.
        layout: order of x's axes: {layouts}.
        kernel_layout: "WIO" (default, as Keras) or "OIW" (as PyTorch), for every rank.
        padding_mode: "zeros" (default), "reflect", "replicate" or "circular".
        activation: a name such as "relu" or "gelu", or (name, parameter); computed in the same pass. Default none.
        precision: "high" (default) or "exact", which admits direct summation only. Denormal numbers (below 1.2e-38 in
            float32) count as zeros, since some processors take a hundred times as long over them; "exact" keeps them.
        out: array that receives the result; it must not overlap the inputs.

    Returns:
        {y_shape}, out = floor((in + low + high - dilation*(k - 1) - 1) / stride) + 1 on each axis.

    Raises:
        ShapeError: if sizes or options do not fit together.
        DtypeError: if an array is not float32 or float64, or they differ.

    {example}
    """


def _convolution(rank: int | None, **words: str) -> Callable[..., Array]:
    """The public function of one rank; all ranks are the same code."""
    name = f"conv{rank}d" if rank else "conv"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
        precision: str = "high",
        out: Array | None = None,
    ) -> Array:
        options = (stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, precision)
        prepared = _calls.find(key_of(name, options, x, kernel, bias))
        if prepared is None:
            x, kernel = as_array(x), as_array(kernel)
            bias = None if bias is None else as_array(bias)
            prepared = _prepare(name, rank, x, kernel, bias, options)
        return prepared(x, kernel, bias, out)  # type: ignore[arg-type]  # they are arrays

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = DOCUMENTATION.format(**words)
    return convolve


conv1d = _convolution(
    1,
    summary="Convolve sequences: sums over a window that slides along w.",
    window="n, w*stride + k*dilation - low",
    taps="k",
    x_shape="(N, W, C_in)",
    kernel_shape="(K, C_in/groups, C_out)",
    y_shape="(N, W_out, C_out)",
    layouts='"NWC" (default) or "NCW"',
    example=""">>> conv1d(np.ones((8, 100, 16)), np.ones((7, 16, 32)), padding="same", activation="relu").shape
    (8, 100, 32)""",
)
conv2d = _convolution(
    2,
    summary="Convolve images: sums over a window that slides along h and w.",
    window="n, h*stride + kh*dilation - low, w*stride + kw*dilation - low",
    taps="kh, kw",
    x_shape="(N, H, W, C_in)",
    kernel_shape="(KH, KW, C_in/groups, C_out)",
    y_shape="(N, H_out, W_out, C_out)",
    layouts='"NHWC" (default) or "NCHW"',
    example=""">>> conv2d(np.ones((1, 32, 32, 3)), np.ones((3, 3, 3, 32)), stride=2, padding="same").shape
    (1, 16, 16, 32)""",
)
conv3d = _convolution(
    3,
    summary="Convolve volumes: sums over a window that slides along d, h and w.",
    window="n, d*stride + kd*dilation - low, …",
    taps="kd, kh, kw",
    x_shape="(N, D, H, W, C_in)",
    kernel_shape="(KD, KH, KW, C_in/groups, C_out)",
    y_shape="(N, D_out, H_out, W_out, C_out)",
    layouts='"NDHWC" (default) or "NCDHW"',
    example=""">>> conv3d(np.ones((1, 8, 8, 8, 2)), np.ones((3, 3, 3, 2, 4))).shape
    (1, 6, 6, 6, 4)""",
)
conv = _convolution(
    None,
    summary="Convolve over as many spatial axes as the kernel has: conv1d, conv2d or conv3d.",
    window="n, …",
    taps="…",
    x_shape="(N, [[D,] H,] W, C_in)",
    kernel_shape="([[KD,] KH,] KW, C_in/groups, C_out)",
    y_shape="(N, [[D_out,] H_out,] W_out, C_out)",
    layouts="see conv1d, conv2d, conv3d",
    example=""">>> conv(np.ones((1, 32, 32, 3)), np.ones((3, 3, 3, 8))).shape
    (1, 30, 30, 8)""",
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A convolution for arrays of known shapes, strides and types; some are copied first where no kernel reads them."""

    convolution: Convolution
    copies: tuple[bool, bool, bool] | None

    def __call__(self, x: Array, kernel: Array, bias: Array | None, out: Array | None) -> Array:
        if self.copies is not None:
            if out is not None:  # the copies will not overlap it, the arrays themselves may
                self.convolution.check_out(out, (x, kernel, bias))
            copies_x, copies_kernel, copies_bias = self.copies
            x = in_order(x) if copies_x else x
            kernel = in_order(kernel) if copies_kernel else kernel
            bias = in_order(bias) if copies_bias and bias is not None else bias
        return self.convolution.run(x, kernel, bias, out)


def _prepare(
    name: str, rank: int | None, x: Array, kernel: Array, bias: Array | None, options: tuple[Any, ...]
) -> _Prepared:
    """Check the call, plan and compile it, and remember it for calls like it."""
    spec = spec_from_call(
        name,
        *(x.shape, x.dtype.name, kernel.shape, kernel.dtype.name),
        *((None, None) if bias is None else (bias.shape, bias.dtype.name)),
        rank=rank,
        **dict(zip(OPTIONS, options, strict=True)),
    )
    strides = strides_in_place(spec, x)
    copies = (strides is None, not is_in_order(kernel), bias is not None and not is_in_order(bias))
    prepared = _Prepared(Convolution(spec, strides), copies if any(copies) else None)
    _calls.keep(key_of(name, options, x, kernel, bias), prepared)
    return prepared


OPTIONS = (
    *("stride", "padding", "dilation", "groups", "layout", "kernel_layout"),
    *("padding_mode", "activation", "precision"),
)
