"""Transposed convolutions on NumPy arrays: the adjoint of the forward convolution, with bias and activation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, check_out, in_order, is_in_order, key_of
from faltung.operators.convolution import as_array
from faltung.operators.gradients import InputGradient, input_gradient_of
from faltung.spec.options import Padding, Sizes
from faltung.spec.transposed import adjoint_spec

Array = NDArray[Any]

_calls: "Calls[_Prepared]" = Calls()

OPTIONS = ("stride", "padding", "output_padding", "dilation", "groups", "layout", "kernel_layout", "activation")
"""Of a call, in order."""

DOCUMENTATION = """The adjoint of conv{rank}d: each input puts a copy of the kernel into the output, `stride` apart.

    The kernel is that of the convolution it is the adjoint of: its last axis (of "WIO") meets the channels of x, the
    one before makes the channels of the result, as in Keras; with ``kernel_layout="OIW"`` it is PyTorch's weight.

    Arguments:
        x: {x_shape}, in the order of ``layout``.
        kernel: {kernel_shape}, same element type.
        bias: (C_out,), added before the activation; default none.
        stride: distance of the copies, for all axes or for each; default 1.
        padding: "valid" (default): out = (in - 1)*stride + max(window, stride), as Keras; "same": out = in*stride; an
            int, or an int or a (low, high) pair for each axis, cut off: out = (in - 1)*stride + window - low - high.
        output_padding: added at the high end, below stride (or dilation); default none.
        dilation, groups, layout, kernel_layout, activation: as in conv{rank}d.
        out: array that receives the result.

    Returns:
        {y_shape}, window = dilation*(k - 1) + 1.

    Raises:
        ShapeError, DtypeError: if sizes or options do not fit together.

    {example}
    """


def _transposed(rank: int, x_shape: str, kernel_shape: str, y_shape: str, example: str) -> Callable[..., Array]:
    name = f"conv{rank}d_transpose"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
        out: Array | None = None,
    ) -> Array:
        x, kernel = as_array(x), as_array(kernel)
        bias = None if bias is None else as_array(bias)
        options = (stride, padding, output_padding, dilation, groups, layout, kernel_layout, activation)
        key = key_of(name, options, x, kernel, bias)
        prepared = _calls.find(key)
        if prepared is None:
            prepared = _prepare(name, rank, x, kernel, bias, options)
            _calls.keep(key, prepared)
        return prepared(x, kernel, bias, out)

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = DOCUMENTATION.format(
        rank=rank, x_shape=x_shape, kernel_shape=kernel_shape, y_shape=y_shape, example=example
    )
    return convolve


conv1d_transpose = _transposed(
    1,
    "(N, W, C_in)",
    "(K, C_out/groups, C_in)",
    "(N, W_out, C_out)",
    """>>> conv1d_transpose(np.ones((8, 50, 32)), np.ones((4, 16, 32)), stride=2, padding="same").shape
    (8, 100, 16)""",
)
conv2d_transpose = _transposed(
    2,
    "(N, H, W, C_in)",
    "(KH, KW, C_out/groups, C_in)",
    "(N, H_out, W_out, C_out)",
    """>>> conv2d_transpose(np.ones((1, 8, 8, 32)), np.ones((3, 3, 16, 32)), stride=2).shape
    (1, 17, 17, 16)""",
)
conv3d_transpose = _transposed(
    3,
    "(N, D, H, W, C_in)",
    "(KD, KH, KW, C_out/groups, C_in)",
    "(N, D_out, H_out, W_out, C_out)",
    """>>> conv3d_transpose(np.ones((1, 4, 4, 4, 8)), np.ones((3, 3, 3, 2, 8))).shape
    (1, 6, 6, 6, 2)""",
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A transposed convolution for arrays of known shapes, strides and types; some are copied first."""

    function: str
    gradient: InputGradient
    copies: tuple[bool, ...] | None
    is_longer: bool

    def __call__(self, x: Array, kernel: Array, bias: Array | None, out: Array | None) -> Array:
        spec = self.gradient.spec
        if out is not None:
            check_out(self.function, out, spec.input_shape, spec.dtype, (x, kernel, bias))
        if self.copies is not None:
            arrays = zip(self.copies, (x, kernel, bias), strict=True)
            x, kernel, bias = (in_order(array) if copies else array for copies, array in arrays)  # type: ignore[arg-type, assignment]
        if self.is_longer:  # output padding of a stride and more: inputs that are zero
            longer = np.zeros(spec.output_shape, spec.dtype)
            longer[tuple(map(slice, x.shape))] = x
            x = longer
        if out is None or out.flags.c_contiguous:
            return self.gradient.run(x, kernel, bias, out=out)
        out[...] = self.gradient.run(x, kernel, bias)
        return out


def _prepare(name: str, rank: int, x: Array, kernel: Array, bias: Array | None, options: tuple[Any, ...]) -> _Prepared:
    """Check the call, plan and compile it."""
    spec = adjoint_spec(
        name,
        *(x.shape, x.dtype.name, kernel.shape, kernel.dtype.name),
        *((None, None) if bias is None else (bias.shape, bias.dtype.name)),
        rank=rank,
        **dict(zip(OPTIONS, options, strict=True)),
    )
    copies = tuple(array is not None and not is_in_order(array) for array in (x, kernel, bias))
    return _Prepared(name, input_gradient_of(spec), copies if any(copies) else None, spec.output_shape != x.shape)
