"""Transposed convolutions on NumPy arrays: the adjoint of the forward convolution, with bias and activation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, check_out, in_order, is_in_order, key_of
from faltung.errors import ShapeError
from faltung.operators.convolution import as_array
from faltung.operators.gradients import InputGradient, input_gradient_of
from faltung.spec import ConvSpec, named, spec_from_call
from faltung.spec.conv_spec import Padding, Sizes
from faltung.spec.geometry import window_size
from faltung.spec.layout import (
    join_shape,
    resolve_kernel_layout,
    resolve_layout,
    spatial_axes,
    split_kernel_shape,
    split_shape,
)
from faltung.spec.rules import integer, per_axis, plain

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


def adjoint_spec(
    function: str,
    x_shape: tuple[int, ...],
    x_dtype: str,
    kernel_shape: tuple[int, ...],
    kernel_dtype: str,
    bias_shape: tuple[int, ...] | None = None,
    bias_dtype: str | None = None,
    *,
    rank: int,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: str | tuple[str, float] | None = None,
) -> ConvSpec:
    """Return the convolution whose adjoint a transposed one is, or raise one error that names ``function``.

    Its input has the shape of the result, its output that of x; with an output padding of a stride and more its output
    is longer than x, which zeros then fill up.
    """
    told = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "layout": layout}
    arrays_told = {"x": (x_shape, x_dtype), "kernel": (kernel_shape, kernel_dtype), "rank": rank}
    with named(function, **arrays_told, **told, kernel_layout=kernel_layout):
        axes = spatial_axes(rank)
        layout, kernel_layout = resolve_layout(layout, rank), resolve_kernel_layout(kernel_layout, rank)
        if len(kernel_shape) != rank + 2 or len(x_shape) < rank + 2:
            rule = f"x and the kernel must have {rank + 2} axes"
            raise ShapeError(f"{rule}; got {plain(x_shape)} and {plain(kernel_shape)}. Add the missing axis.")
        batch, channels, in_size = split_shape(layout, x_shape)
        kernel_size, group_out, kernel_in = split_kernel_shape(kernel_layout, kernel_shape)
        if channels != kernel_in:
            got = f"{channels} in x {plain(x_shape)}, {layout}, "
            got += f"but {kernel_in} in the kernel {plain(kernel_shape)}, {kernel_layout}"
            raise ShapeError(
                f"x and kernel must agree on in_channels; got {got}. The kernel's O axis meets the channels of x."
            )
        groups = integer("groups", groups, minimum=1)
        steps = per_axis("stride", stride, axes, minimum=1)
        spacing = per_axis("dilation", dilation, axes, minimum=1)
        more = None if output_padding is None else per_axis("output_padding", output_padding, axes, minimum=0)
        for axis, extra, step, space in zip(axes, more or (), steps, spacing, strict=False):
            if extra >= max(step, space):
                rule = "output_padding must be smaller than stride or dilation"
                raise ShapeError(f"{rule}; got {extra} on {axis}, with stride {step} and dilation {space}. Use less.")
        windows = tuple(window_size(k, d) for k, d in zip(kernel_size, spacing, strict=True))
        sizes, pairs = output_sizes(in_size, windows, steps, padding, more, axes)
        outputs = group_out * groups
        spec = spec_from_call(
            f"conv{rank}d_transpose",
            join_shape(layout, batch, outputs, sizes),
            x_dtype,
            kernel_shape,
            kernel_dtype,
            rank=rank,
            stride=steps,
            padding=pairs,
            dilation=spacing,
            groups=groups,
            layout=layout,
            kernel_layout=kernel_layout,
            activation=activation,
        )
        if bias_shape is not None:
            if bias_shape != (outputs,) or bias_dtype != x_dtype:
                rule = f"the bias must have shape ({outputs},) and the type of x"
                raise ShapeError(f"{rule}; got {bias_dtype} {plain(bias_shape)}. Give {outputs} numbers.")
            spec = spec.replace(bias=True, activation=spec.activation, activation_parameter=spec.activation_parameter)
        return spec


def output_sizes(
    in_size: tuple[int, ...],
    windows: tuple[int, ...],
    steps: tuple[int, ...],
    padding: Padding,
    more: tuple[int, ...] | None,
    axes: str,
) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
    """The sizes of the result, and the pairs that the forward convolution pads them with."""
    full = [(size - 1) * step + window for size, window, step in zip(in_size, windows, steps, strict=True)]
    if isinstance(padding, str) and padding.lower() in ("valid", "same"):
        if padding.lower() == "valid":
            rest = [max(step - window, 0) for window, step in zip(windows, steps, strict=True)]
            return tuple(f + r for f, r in zip(full, more or rest, strict=True)), [(0, 0)] * len(axes)
        # the forward convolution of the result, padded "same", has the size of x again
        if more is not None:
            halves = [window // 2 for window in windows]
            sizes = tuple(f - 2 * half + r for f, half, r in zip(full, halves, more, strict=True))
            lows = [_low_of_same(*numbers) for numbers in zip(windows, more, strict=True)]
            return sizes, [(low, max(f - size - low, 0)) for f, size, low in zip(full, sizes, lows, strict=True)]
        missing = [max(f - size * step, 0) for f, size, step in zip(full, in_size, steps, strict=True)]
        pairs = [(m // 2, m - m // 2) for m in missing]
        default = [max(size * step - f, 0) for f, size, step in zip(full, in_size, steps, strict=True)]
        return tuple(f - m + r for f, m, r in zip(full, missing, default, strict=True)), pairs
    entries = [padding] * len(axes) if isinstance(padding, int) else list(padding)
    pairs = [(entry, entry) if isinstance(entry, int) else tuple(entry) for entry in entries]  # type: ignore[misc]
    if len(pairs) != len(axes) or any(len(pair) != 2 for pair in pairs):
        rule = 'padding must be "valid", "same", an int, or an int or a pair for each axis'
        raise ShapeError(f"{rule}; got {plain(padding)}. Give {len(axes)} entries.")
    sizes = tuple(f - low - high + r for f, (low, high), r in zip(full, pairs, more or (0,) * len(axes), strict=True))
    for axis, size in zip(axes, sizes, strict=True):
        if size < 1:
            raise ShapeError(f"padding cuts away the whole result on {axis}; got {plain(padding)}. Use less padding.")
    return sizes, pairs


def _low_of_same(window: int, more: int) -> int:
    """What Keras cuts off the low end with padding="same" and an output padding."""
    kept = -(-(window + window % 2 - 2 + more) // 2)
    return max(window - 1 - kept, 0)
