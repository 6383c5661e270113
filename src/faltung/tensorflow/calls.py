"""A call of `tf.nn`: its options in faltung's words, or handed to `tf.nn` itself."""

from typing import Any

import tensorflow as tf

from faltung.errors import ShapeError
from faltung.spec import named
from faltung.spec.dtype import COMPUTED
from faltung.spec.layout import RANKS, layouts, resolve_layout
from faltung.spec.options import ConvOptions
from faltung.spec.precision import in_effect
from faltung.spec.rules import plain, sequence
from faltung.tensorflow import operators
from faltung.tensorflow.open_conv import OpenConv
from faltung.tensorflow.tensors import Sizes, Tensor, as_it_stands, known_shape


@as_it_stands
def convolve(
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
    *,
    precision: str | None,
) -> Tensor:
    """The convolution that `tf.nn` calls by the name `function`; rank None takes it from the kernel."""
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    if not is_computed(x, kernel):
        return getattr(tf.nn, function)(x, kernel, strides, padding, data_format, dilations, name)
    with tf.name_scope(name or function), named(function):
        rank = rank or _rank(kernel)
        data = known_shape("input", x)
        options = _options(rank, data, kernel, strides, padding, data_format, dilations, groups, precision)
        return operators.convolve(OpenConv(function, rank, options), x, kernel)


@as_it_stands
def convolve_transposed(
    function: str,
    rank: int,
    x: Any,
    kernel: Any,
    output_shape: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilations: Any,
    name: str | None,
    *,
    precision: str | None,
) -> Tensor:
    """The transposed convolution that `tf.nn` calls by the name `function`."""
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    if not is_computed(x, kernel):
        data_format = data_format or layouts(rank)[0]
        return getattr(tf.nn, function)(x, kernel, output_shape, strides, padding, data_format, dilations, name)
    with tf.name_scope(name or function), named(function):
        shape = _shape(output_shape, rank)
        options = _options(rank, shape.sizes, kernel, strides, padding, data_format, dilations, None, precision)
        open_conv = OpenConv(function, rank, options)
        _check_input(open_conv, x, kernel, shape)
        return operators.input_gradient(open_conv, x, kernel, shape)


def _check_input(open_conv: OpenConv, x: Tensor, kernel: Tensor, shape: operators.Shape) -> None:
    """Refuse an input of a transposed convolution that is not what the convolution of its result has for a shape."""
    sizes, dtypes = known_shape("filters", kernel), (x.dtype.name, kernel.dtype.name)
    wanted, have = open_conv.output_shape(shape.sizes, sizes, *dtypes), known_shape("input", x)
    pairs = zip(wanted, have, strict=False)
    if len(wanted) != len(have) or any(size != want for want, size in pairs if None not in (want, size)):
        rule = f"input must have the shape of the convolution of a result {_plain(shape.sizes)}"
        got = f"got {_plain(have)} where that is {_plain(wanted)}"
        raise ShapeError(f"{rule}; {got}. Change output_shape, strides or padding.")


def _plain(sizes: Sizes) -> str:
    """The sizes with a question mark for what is open."""
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"


def is_computed(x: Tensor, kernel: Tensor) -> bool:
    """Does faltung compute it? Half precision and graphics processors are TensorFlow's own."""
    is_elsewhere = any("GPU" in tensor.device for tensor in (x, kernel))
    return not is_elsewhere and (x.dtype.name in COMPUTED or kernel.dtype.name in COMPUTED or not x.dtype.is_floating)


def _rank(kernel: Tensor) -> int:
    rank = len(known_shape("filters", kernel)) - 2
    if rank not in RANKS:
        rule = "filters must have three, four or five axes"
        raise ShapeError(f"{rule}; got shape {known_shape('filters', kernel)}. Give ([[KD,] KH,] KW, C_in, C_out).")
    return rank


def _options(
    rank: int,
    data: Sizes,
    kernel: Tensor,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilations: Any,
    groups: int | None,
    precision: str | None,
) -> ConvOptions:
    """The options in faltung's words; `data` are the sizes of what the window slides over."""
    layout = resolve_layout(data_format, rank)
    taps = known_shape("filters", kernel)
    if groups is None and len(taps) == rank + 2 and len(data) >= rank + 2:
        channels, inputs = data[-1 if layout.endswith("C") else 1], taps[-2]
        groups = channels // inputs if channels and inputs and channels % inputs == 0 else 1
    stride, dilation = _spatial("strides", strides, layout), _spatial("dilations", dilations, layout)
    if not isinstance(padding, str):
        padding = tuple(map(tuple, padding))
    return ConvOptions(stride, padding, dilation, groups or 1, layout, precision=in_effect(precision))


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
