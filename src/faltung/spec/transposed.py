"""Transposed convolutions: the adjoints of forward ones, and the sizes of their results.

A transposed convolution puts a copy of the kernel into its result for each input, ``stride`` apart. The forward
convolution whose adjoint it is reads that result with the same kernel, stride, dilation and padding.
"""

from faltung.errors import ShapeError
from faltung.spec.conv_spec import ConvSpec
from faltung.spec.geometry import Pair, padding_pair, window_size
from faltung.spec.layout import (
    Shape,
    join_shape,
    resolve_kernel_layout,
    resolve_layout,
    spatial_axes,
    split_kernel_shape,
    split_shape,
)
from faltung.spec.options import PLAIN, ConvOptions, Sizes
from faltung.spec.request import spec_from_call
from faltung.spec.rules import integer, named, per_axis, plain, sequence


def transposed_size(in_size: int, window: int, stride: int, pair: Pair = (0, 0)) -> int:
    """Return how many positions the copies of a window cover, what padding cuts off left out.

    ``(in - 1)*stride + window - low - high``: the shortest input of a forward convolution that has ``in`` outputs.

    >>> transposed_size(10, 3, 2), transposed_size(10, 3, 2, (1, 1))
    (21, 19)
    """
    return (in_size - 1) * stride + window - sum(pair)


def transposed_sizes(
    in_size: Shape, windows: Shape, stride: Shape, padding: object, output_padding: Shape | None = None
) -> tuple[Shape, tuple[Pair, ...]]:
    """Return the sizes of the result, and the (low, high) pairs that the forward convolution pads it with.

    Arguments:
        in_size: spatial sizes of x, ``(W,)``, ``(H, W)`` or ``(D, H, W)``.
        windows: ``dilation*(k - 1) + 1`` on each axis.
        stride: distance of the copies on each axis.
        padding: "valid", "same"; an int; an int or a (low, high) pair for each axis.
        output_padding: what is added at the high end of each axis; None leaves it to the rule of ``padding``.

    >>> transposed_sizes((10,), (3,), (2,), "valid"), transposed_sizes((10,), (3,), (2,), 1)
    (((21,), ((0, 0),)), ((19,), ((1, 1),)))
    """
    axes, more = spatial_axes(len(in_size)), output_padding or (None,) * len(in_size)
    words = {"valid": _valid, "same": _same}
    if isinstance(padding, str) and padding.lower() in words:
        rule = words[padding.lower()]
        found = [rule(*numbers) for numbers in zip(in_size, windows, stride, more, strict=True)]
        return tuple(size for size, _ in found), tuple(pair for _, pair in found)
    pairs = _pairs(padding, axes)
    ends = zip(in_size, windows, stride, pairs, more, strict=True)
    sizes = tuple(transposed_size(size, window, step, pair) + (extra or 0) for size, window, step, pair, extra in ends)
    for axis, size in zip(axes, sizes, strict=True):
        if size < 1:
            raise ShapeError(f"padding cuts away the whole result on {axis}; got {plain(padding)}. Use less padding.")
    return sizes, pairs


def _valid(in_size: int, window: int, stride: int, more: int | None) -> tuple[int, Pair]:
    """Every input has all of its copy, and ``stride`` positions of its own, as in Keras."""
    return transposed_size(in_size, window, stride) + (max(stride - window, 0) if more is None else more), (0, 0)


def _same(in_size: int, window: int, stride: int, more: int | None) -> tuple[int, Pair]:
    """in*stride positions; with an output padding as many as Keras gives.

    The forward convolution of the result, padded "same", has the size of x again.
    """
    full = transposed_size(in_size, window, stride)
    if more is None:
        missing = max(full - in_size * stride, 0)
        return in_size * stride, (missing // 2, missing - missing // 2)
    size = full - 2 * (window // 2) + more
    kept = -(-(window + window % 2 - 2 + more) // 2)  # Keras cuts the rest of the window off the low end
    low = max(window - 1 - kept, 0)
    return size, (low, max(full - size - low, 0))


def _pairs(padding: object, axes: str) -> tuple[Pair, ...]:
    """Return a pair for each axis from padding in numbers."""
    entries = None if isinstance(padding, str) else sequence(padding)
    if entries is None and not isinstance(padding, str):
        entries = (padding,) * len(axes)
    if entries is None or len(entries) != len(axes) or any(len(sequence(entry) or (0, 0)) != 2 for entry in entries):
        rule = 'padding must be "valid", "same", an int, or an int or a pair for each axis'
        raise ShapeError(f"{rule}; got {plain(padding)}. Give {len(axes)} entries.")
    return tuple(padding_pair(f"padding of axis {axis}", entry) for axis, entry in zip(axes, entries, strict=True))


def adjoint_spec(
    function: str,
    x_shape: Shape,
    x_dtype: str,
    kernel_shape: Shape,
    kernel_dtype: str,
    bias_shape: Shape | None = None,
    bias_dtype: str | None = None,
    *,
    rank: int,
    options: ConvOptions = PLAIN,
    output_padding: Sizes | None = None,
) -> ConvSpec:
    """Return the convolution whose adjoint a transposed one is, or raise one error that names ``function``.

    Its input has the shape of the result, its output that of x; with an output padding of a stride and more its output
    is longer than x, which zeros then fill up. Bias and activation of the spec are those of the transposed one.

    >>> adjoint_spec("f", (8, 50, 32), "float32", (4, 16, 32), "float32", rank=1, options=ConvOptions(stride=2))
    ConvSpec.from_text('conv1d n8 w102 ic16 oc32 kw4 sw2 f32')

    Arguments:
        function: the name that the message begins with.
        x_shape: sizes of x, in ``options.layout``.
        x_dtype: name of its element type.
        kernel_shape: sizes of the kernel, in ``options.kernel_layout``; its O axis meets the channels of x.
        kernel_dtype: name of its element type.
        bias_shape: sizes of the bias, ``(C_out,)``; None for no bias.
        bias_dtype: name of its element type.
        rank: number of spatial axes.
        options: as of the forward convolution; ``padding_mode`` is "zeros".
        output_padding: added at the high end, below stride (or dilation); None leaves it to the rule of the padding.

    Raises:
        ShapeError, DtypeError: naming the cause.
    """
    told = options.geometry()
    del told["padding_mode"]
    with named(function, x=(x_shape, x_dtype), kernel=(kernel_shape, kernel_dtype), rank=rank, **told):
        layout, kernel_layout = resolve_layout(options.layout, rank), resolve_kernel_layout(options.kernel_layout, rank)
        _check_arrays(x_shape, kernel_shape, layout, kernel_layout)
        batch, _, in_size = split_shape(layout, x_shape)
        kernel_size, group_out, _ = split_kernel_shape(kernel_layout, kernel_shape)
        axes, groups = spatial_axes(rank), integer("groups", options.groups, minimum=1)
        stride = per_axis("stride", options.stride, axes, minimum=1)
        dilation = per_axis("dilation", options.dilation, axes, minimum=1)
        more = _output_padding(output_padding, stride, dilation, axes)
        windows = tuple(map(window_size, kernel_size, dilation))
        sizes, pairs = transposed_sizes(in_size, windows, stride, options.padding, more)
        outputs = group_out * groups
        spec = spec_from_call(
            f"conv{rank}d_transpose",
            *(join_shape(layout, batch, outputs, sizes), x_dtype, kernel_shape, kernel_dtype),
            rank=rank,
            options=options._replace(stride=stride, padding=pairs, dilation=dilation),
        )
        if bias_shape is not None:
            if bias_shape != (outputs,) or bias_dtype != x_dtype:
                rule = f"the bias must have shape ({outputs},) and the type of x"
                raise ShapeError(f"{rule}; got {bias_dtype} {plain(bias_shape)}. Give {outputs} numbers.")
            spec = spec.replace(bias=True)
        return spec


def _check_arrays(x_shape: Shape, kernel_shape: Shape, layout: str, kernel_layout: str) -> None:
    """Refuse x or a kernel with too few axes, and channels that do not meet."""
    want = len(kernel_layout)
    if len(kernel_shape) != want or len(x_shape) < want:
        rule = f"x and the kernel must have {want} axes"
        raise ShapeError(f"{rule}; got {plain(x_shape)} and {plain(kernel_shape)}. Add the missing axis.")
    channels, kernel_in = split_shape(layout, x_shape)[1], split_kernel_shape(kernel_layout, kernel_shape)[2]
    if channels != kernel_in:
        got = f"{channels} in x {plain(x_shape)}, {layout}, "
        got += f"but {kernel_in} in the kernel {plain(kernel_shape)}, {kernel_layout}"
        remedy = "The kernel's O axis meets the channels of x."
        raise ShapeError(f"x and kernel must agree on in_channels; got {got}. {remedy}")


def _output_padding(output_padding: object, stride: Shape, dilation: Shape, axes: str) -> Shape | None:
    """Return one entry for each axis, none of which reaches the next copy of the kernel or of a tap."""
    if output_padding is None:
        return None
    more = per_axis("output_padding", output_padding, axes, minimum=0)
    for axis, extra, step, space in zip(axes, more, stride, dilation, strict=True):
        if extra >= max(step, space):
            rule = "output_padding must be smaller than stride or dilation"
            raise ShapeError(f"{rule}; got {extra} on {axis}, with stride {step} and dilation {space}. Use less.")
    return more
