"""`tf.nn`'s convolutions, with its signatures, computed by faltung.

More than TensorFlow's on a processor: channels first, strides together with dilations, groups, dilated transposed
convolutions, float64 everywhere. Half precision goes to `tf.nn` itself. With `precision="exact"` faltung sums directly,
in the gradients too; the default, "high", admits fast algorithms.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from faltung.errors import ShapeError
from faltung.tensorflow.calls import convolve, convolve_transposed, is_computed
from faltung.tensorflow.tensors import Tensor, known_shape


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str | None = "NWC",
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve sequences, as `tf.nn.conv1d` does.

    >>> conv1d(tf.ones((8, 100, 16)), tf.ones((7, 16, 32)), stride=2, padding="SAME").shape
    TensorShape([8, 50, 32])
    """
    return convolve("conv1d", 1, input, filters, stride, padding, data_format, dilations, name, precision=precision)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = "NHWC",
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve images, as `tf.nn.conv2d` does.

    >>> pairs = [[0, 0], [1, 2], [0, 1], [0, 0]]
    >>> conv2d(tf.ones((1, 32, 32, 3)), tf.ones((3, 3, 3, 16)), [1, 2, 2, 1], pairs, dilations=2).shape
    TensorShape([1, 16, 15, 16])
    """
    return convolve("conv2d", 2, input, filters, strides, padding, data_format, dilations, name, precision=precision)


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve volumes, as `tf.nn.conv3d` does.

    >>> conv3d(tf.ones((1, 8, 8, 8, 2)), tf.ones((3, 3, 3, 2, 4)), strides=[1] * 5, padding="VALID").shape
    TensorShape([1, 6, 6, 6, 4])
    """
    return convolve("conv3d", 3, input, filters, strides, padding, data_format, dilations, name, precision=precision)


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve over as many axes as the filters have, as `tf.nn.convolution` does.

    >>> convolution(tf.ones((8, 16, 100)), tf.ones((7, 16, 32)), data_format="NCW").shape
    TensorShape([8, 32, 94])
    """
    options = (strides, padding, data_format, dilations, name)
    return convolve("convolution", None, input, filters, *options, precision=precision)


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve each channel by itself, as `tf.nn.depthwise_conv2d` does; filter (KH, KW, C_in, M), out (…, C_in*M).

    >>> depthwise_conv2d(tf.ones((1, 32, 32, 8)), tf.ones((3, 3, 8, 2)), [1, 1, 1, 1], "SAME").shape
    TensorShape([1, 32, 32, 16])
    """
    input, filter = tf.convert_to_tensor(input), tf.convert_to_tensor(filter)
    if not is_computed(input, filter):
        return tf.nn.depthwise_conv2d(input, filter, strides, padding, data_format, dilations, name)
    sizes = known_shape("filter", filter)
    if len(sizes) != 4 or None in sizes:
        rule = "depthwise_conv2d: filter must have four known axes, (KH, KW, C_in, M)"
        raise ShapeError(f"{rule}; got shape {sizes}. Reshape it.")
    height, width, channels, multiplier = sizes
    taps = tf.reshape(filter, (height, width, 1, channels * multiplier))  # type: ignore[operator]
    options = (strides, padding, data_format, dilations, name)
    return convolve("depthwise_conv2d", 2, input, taps, *options, channels, precision=precision)


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
    *,
    precision: str | None = None,
) -> Tensor:
    """Convolve each channel by itself, then mix them, as `tf.nn.separable_conv2d` does.

    >>> separable_conv2d(tf.ones((1, 9, 9, 8)), tf.ones((3, 3, 8, 2)), tf.ones((1, 1, 16, 5)), [1] * 4, "SAME").shape
    TensorShape([1, 9, 9, 5])
    """
    filters = tf.convert_to_tensor(depthwise_filter), tf.convert_to_tensor(pointwise_filter)
    if not all(is_computed(tensor, tensor) for tensor in filters):
        return tf.nn.separable_conv2d(input, *filters, strides, padding, data_format, dilations, name)
    with tf.name_scope(name or "separable_conv2d"):
        each = depthwise_conv2d(input, filters[0], strides, padding, data_format, dilations, precision=precision)
        ones = (1, "VALID", data_format, None, None)
        return convolve("separable_conv2d", 2, each, filters[1], *ones, precision=precision)


def _transposed(rank: int, example: str) -> Callable[..., Tensor]:
    function = f"conv{rank}d_transpose"

    def transposed(
        input: Any,
        filters: Any,
        output_shape: Any,
        strides: Any,
        padding: Any = "SAME",
        data_format: str | None = None,
        dilations: Any = None,
        name: str | None = None,
        *,
        precision: str | None = None,
    ) -> Tensor:
        options = (strides, padding, data_format, dilations, name)
        return convolve_transposed(function, rank, input, filters, output_shape, *options, precision=precision)

    transposed.__name__ = transposed.__qualname__ = function
    transposed.__doc__ = f"""The adjoint of conv{rank}d, as `tf.nn.{function}` computes it, which names the arguments.

    {example}
    """
    return transposed


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
