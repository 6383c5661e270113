"""The TensorFlow backend: sizes may be open while a graph is traced."""

from typing import Any

import tensorflow as tf

from faltung.keras.request import Request, transposed_spec_of
from faltung.tensorflow import exporting, operators
from faltung.tensorflow.activation import SLOPES, activated
from faltung.tensorflow.open_conv import OpenConv

TOGETHER = SLOPES

SOME = 16
"""Stands for a size that is not known yet; those of a transposed result grow with it by the stride."""


def refusal(x: tf.Tensor) -> str | None:
    """Return why Keras's own call computes with this tensor."""
    others = [device.device_type for device in tf.config.list_logical_devices() if device.device_type != "CPU"]
    return f"TensorFlow may place tensors on {others[0]}, and faltung computes on processors" if others else None


def is_exporting(x: tf.Tensor) -> bool:
    """Is a graph traced that others will run?"""
    return exporting.is_exporting()


def convolve(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, request: Request) -> tf.Tensor:
    """Convolve."""
    x, kernel, bias = _tensors(x, kernel, bias)
    return operators.convolve(OpenConv(request.name, request.rank, request.options), x, kernel, bias)


def convolve_transposed(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, request: Request) -> tf.Tensor:
    """Convolve transposed."""
    x, kernel, bias = _tensors(x, kernel, bias)
    open_shape = x.shape.as_list()
    shape = tuple(SOME if size is None else size for size in open_shape)
    spec = transposed_spec_of(request, shape, tuple(kernel.shape), x.dtype.name)
    first = 1 if request.is_last else 2
    axes = range(first, first + request.rank)

    def size(axis: int, given: Any) -> Any:
        """The result's size where the input's is `given`."""
        return spec.input_shape[axis] + (given - shape[axis]) * request.stride[axis - first]

    def known(axis: int) -> int | None:
        if axis in axes:
            return None if open_shape[axis] is None else spec.input_shape[axis]
        return spec.input_shape[axis] if axis else open_shape[0]

    def sizes() -> tf.Tensor:
        given = tf.shape(x)
        return tf.stack(
            [given[0], *(size(a, given[a]) if a in axes else spec.input_shape[a] for a in range(1, len(shape)))]
        )

    static = tuple(map(known, range(len(shape))))
    y = operators.input_gradient(OpenConv.of(spec), x, kernel, operators.Shape(static, sizes))
    if bias is not None:
        y += bias if request.is_last else tf.reshape(bias, (-1, *(1,) * request.rank))
    return activated(y, spec.activation, spec.activation_parameter)


def _tensors(*operands: Any) -> list[Any]:
    """Return the values of what may be variables, which operators with gradients of their own do not take."""
    return [None if operand is None else tf.convert_to_tensor(operand) for operand in operands]
