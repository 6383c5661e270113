"""`tf.nn`'s convolutions, with its signatures, computed by faltung.

More than TensorFlow's on a processor: channels first, strides together with dilations, groups, dilated transposed
convolutions, float64 everywhere. Half precision goes to `tf.nn` itself.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from faltung.errors import ShapeError
from faltung.frontends.tensorflow import operators
from faltung.frontends.tensorflow.asked import Asked
from faltung.frontends.tensorflow.tensors import Sizes, Tensor, as_it_stands, known_shape
from faltung.spec import named
from faltung.spec.layout import RANKS, layouts, resolve_layout
from faltung.spec.rules import plain, sequence

COMPUTED = ("float32", "float64")


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str | None = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve sequences, as `tf.nn.conv1d` does.

    >>> conv1d(tf.ones((8, 100, 16)), tf.ones((7, 16, 32)), stride=2, padding="SAME").shape
    TensorShape([8, 50, 32])
    """
    return _convolve("conv1d", 1, input, filters, stride, padding, data_format, dilations, name)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve images, as `tf.nn.conv2d` does.

    >>> pairs = [[0, 0], [1, 2], [0, 1], [0, 0]]
    >>> conv2d(tf.ones((1, 32, 32, 3)), tf.ones((3, 3, 3, 16)), [1, 2, 2, 1], pairs, dilations=2).shape
    TensorShape([1, 16, 15, 16])
    """
    return _convolve("conv2d", 2, input, filters, strides, padding, data_format, dilations, name)


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve volumes, as `tf.nn.conv3d` does.

    >>> conv3d(tf.ones((1, 8, 8, 8, 2)), tf.ones((3, 3, 3, 2, 4)), strides=[1] * 5, padding="VALID").shape
    TensorShape([1, 6, 6, 6, 4])
    """
    return _convolve("conv3d", 3, input, filters, strides, padding, data_format, dilations, name)


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve over as many axes as the filters have, as `tf.nn.convolution` does.

    >>> convolution(tf.ones((8, 16, 100)), tf.ones((7, 16, 32)), data_format="NCW").shape
    TensorShape([8, 32, 94])
    """
    return _convolve("convolution", None, input, filters, strides, padding, data_format, dilations, name)


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve each channel by itself, as `tf.nn.depthwise_conv2d` does; filter (KH, KW, C_in, M), out (…, C_in*M).

    >>> depthwise_conv2d(tf.ones((1, 32, 32, 8)), tf.ones((3, 3, 8, 2)), [1, 1, 1, 1], "SAME").shape
    TensorShape([1, 32, 32, 16])
    """
    input, filter = tf.convert_to_tensor(input), tf.convert_to_tensor(filter)
    if not _is_computed(input, filter):
        return tf.nn.depthwise_conv2d(input, filter, strides, padding, data_format, dilations, name)
    sizes = known_shape("filter", filter)
    if len(sizes) != 4 or None in sizes:
        rule = "depthwise_conv2d: filter must have four known axes, (KH, KW, C_in, M)"
        raise ShapeError(f"{rule}; got shape {sizes}. Reshape it.")
    height, width, channels, multiplier = sizes
    taps = tf.reshape(filter, (height, width, 1, channels * multiplier))  # type: ignore[operator]
    return _convolve("depthwise_conv2d", 2, input, taps, strides, padding, data_format, dilations, name, channels)


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolve each channel by itself, then mix them, as `tf.nn.separable_conv2d` does.

    >>> separable_conv2d(tf.ones((1, 9, 9, 8)), tf.ones((3, 3, 8, 2)), tf.ones((1, 1, 16, 5)), [1] * 4, "SAME").shape
    TensorShape([1, 9, 9, 5])
    """
    filters = tf.convert_to_tensor(depthwise_filter), tf.convert_to_tensor(pointwise_filter)
    if not all(_is_computed(tensor, tensor) for tensor in filters):
        return tf.nn.separable_conv2d(input, *filters, strides, padding, data_format, dilations, name)
    with tf.name_scope(name or "separable_conv2d"):
        each = depthwise_conv2d(input, filters[0], strides, padding, data_format, dilations)
        return _convolve("separable_conv2d", 2, each, filters[1], 1, "VALID", data_format, None, None)


def _transposed(rank: int, example: str) -> Callable[..., Tensor]:
    function = f"conv{rank}d_transpose"

    @as_it_stands
    def convolve(
        input: Any,
        filters: Any,
        output_shape: Any,
        strides: Any,
        padding: Any = "SAME",
        data_format: str | None = None,
        dilations: Any = None,
        name: str | None = None,
    ) -> Tensor:
        input, filters = tf.convert_to_tensor(input), tf.convert_to_tensor(filters)
        if not _is_computed(input, filters):
            data_format = data_format or layouts(rank)[0]
            own = getattr(tf.nn, function)
            return own(input, filters, output_shape, strides, padding, data_format, dilations, name)
        with tf.name_scope(name or function), named(function):
            shape = _shape(output_shape, rank)
            asked = _asked(function, rank, shape.sizes, filters, strides, padding, data_format, dilations)
            _check_input(asked, input, filters, shape)
            return operators.input_gradient(asked, input, filters, shape)

    convolve.__name__ = convolve.__qualname__ = function
    convolve.__doc__ = f"""The adjoint of conv{rank}d, as `tf.nn.{function}` computes it, which names the arguments.

    {example}
    """
    return convolve


conv1d_transpose = _transposed(
    1,
    """>>> conv1d_transpose(tf.ones((8, 50, 32)), tf.ones((4, 16, 32)), [8, 100, 16], strides=2).shape
    TensorShape([8, 100, 16])""",
)
conv2d_transpose = _transposed(
    2,
    """>>> conv2d_transpose(tf.ones((1, 8, 8, 32)), tf.ones((3, 3, 16, 32)), [1, 16, 16, 16], strides=2).shape
    TensorShape([1, 16, 16, 16])""",
)
conv3d_transpose = _transposed(
    3,
    """>>> conv3d_transpose(tf.ones((1, 4, 4, 4, 8)), tf.ones((3, 3, 3, 2, 8)), [1, 6, 6, 6, 2], 1, "VALID").shape
    TensorShape([1, 6, 6, 6, 2])""",
)


@as_it_stands
def _convolve(
    function: str,
    rank: int | None,
    x: Any,
    kernel: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilations: Any,
    name: str | None,
    groups: int | None = None,
) -> Tensor:
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    if not _is_computed(x, kernel):
        return getattr(tf.nn, function)(x, kernel, strides, padding, data_format, dilations, name)
    with tf.name_scope(name or function), named(function):
        rank = rank or _rank(kernel)
        data = known_shape("input", x)
        asked = _asked(function, rank, data, kernel, strides, padding, data_format, dilations, groups)
        return operators.convolve(asked, x, kernel)


def _check_input(asked: Asked, x: Tensor, kernel: Tensor, shape: operators.Shape) -> None:
    """Refuse an input of a transposed convolution that is not what the convolution of its result has for a shape."""
    sizes, dtypes = known_shape("filters", kernel), (x.dtype.name, kernel.dtype.name)
    wanted, have = asked.output_shape(shape.sizes, sizes, *dtypes), known_shape("input", x)
    pairs = zip(wanted, have, strict=False)
    if len(wanted) != len(have) or any(size != want for want, size in pairs if None not in (want, size)):
        rule = f"input must have the shape of the convolution of a result {_plain(shape.sizes)}"
        got = f"got {_plain(have)} where that is {_plain(wanted)}"
        raise ShapeError(f"{rule}; {got}. Change output_shape, strides or padding.")


def _plain(sizes: Sizes) -> str:
    """The sizes with a question mark for what is open."""
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"


def _is_computed(x: Tensor, kernel: Tensor) -> bool:
    """Does faltung compute it? Half precision and graphics processors are TensorFlow's own."""
    is_elsewhere = any("GPU" in tensor.device for tensor in (x, kernel))
    return not is_elsewhere and (x.dtype.name in COMPUTED or kernel.dtype.name in COMPUTED or not x.dtype.is_floating)


def _rank(kernel: Tensor) -> int:
    rank = len(known_shape("filters", kernel)) - 2
    if rank not in RANKS:
        rule = "filters must have three, four or five axes"
        raise ShapeError(f"{rule}; got shape {known_shape('filters', kernel)}. Give ([[KD,] KH,] KW, C_in, C_out).")
    return rank


def _asked(
    function: str,
    rank: int,
    data: Sizes,
    kernel: Tensor,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilations: Any,
    groups: int | None = None,
) -> Asked:
    """The options in faltung's words; `data` are the sizes of what the window slides over."""
    layout = resolve_layout(data_format, rank)
    taps = known_shape("filters", kernel)
    if groups is None and len(taps) == rank + 2 and len(data) >= rank + 2:
        channels, inputs = data[-1 if layout.endswith("C") else 1], taps[-2]
        groups = channels // inputs if channels and inputs and channels % inputs == 0 else 1
    stride, dilation = _spatial("strides", strides, layout), _spatial("dilations", dilations, layout)
    if not isinstance(padding, str):
        padding = tuple(map(tuple, padding))
    return Asked(function, rank, stride, padding, dilation, groups or 1, layout)


def _spatial(what: str, value: Any, layout: str) -> Any:
    """The entries of the spatial axes, of an int or of a list for one, the spatial or all axes."""
    if value is None:
        return 1
    entries = sequence(value)
    if entries is None:
        return value
    if len(entries) == 1:
        return entries[0]
    if len(entries) != len(layout):
        return entries
    if any(entry != 1 for entry, axis in zip(entries, layout, strict=True) if axis in "NC"):
        rule = f"{what} of batch and channels must be 1 in layout {layout}"
        raise ShapeError(f"{rule}; got {plain(entries)}. Order them as {' '.join(layout)}.")
    return tuple(entry for entry, axis in zip(entries, layout, strict=True) if axis not in "NC")


def _shape(output_shape: Any, rank: int) -> operators.Shape:
    """The shape of a result, of which a graph may know a part only."""
    tensor = tf.convert_to_tensor(output_shape, tf.int32)
    known = tf.get_static_value(tensor, partial=True)
    if known is None:
        known = [None] * (tensor.shape[0] or rank + 2)
    return operators.Shape(tuple(None if size is None else int(size) for size in known), lambda: tensor)
