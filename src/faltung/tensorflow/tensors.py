"""Tensors as arrays and back, on the same memory, and functions of arrays as TensorFlow operations."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import tensorflow as tf
from numpy.typing import NDArray

from faltung.errors import ShapeError
from faltung.frontends.threads import follow
from faltung.runtime.buffers import VECTOR_ALIGNMENT

Array = NDArray[Any]
Tensor = Any  # TensorFlow's tensors, eager or of a graph, and variables
Sizes = tuple[int | None, ...]
"""A shape as it is known while a graph is traced."""

Function = TypeVar("Function", bound=Callable[..., Any])


def as_it_stands(function: Function) -> Function:
    """The function, of which tf.function shall not rewrite the source."""
    return tf.autograph.experimental.do_not_convert(function)


def as_tensor(array: Array) -> Tensor:
    """The array's memory as a tensor, which keeps it alive; a copy where TensorFlow could not read it in place."""
    if array.size and array.flags.c_contiguous and array.ctypes.data % VECTOR_ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


def computed(function: Callable[..., Array], tensors: Sequence[Tensor], shape: Callable[[], Sizes]) -> Tensor:
    """The tensor `function(*arrays)`: computed at once, or inside a graph, of this shape, whenever it runs."""
    _follow_threads()
    if tf.executing_eagerly():
        return as_tensor(function(*map(_as_array, tensors)))
    result = tf.numpy_function(function, tensors, tensors[0].dtype, stateful=False)
    result.set_shape(shape())
    return result


@cache
def _follow_threads() -> None:
    """Take TensorFlow's number of threads, which stays what it is once TensorFlow has computed anything."""
    follow(tf.config.threading.get_intra_op_parallelism_threads())


def _as_array(tensor: Tensor) -> Array:
    return tensor.__array__()  # its own memory, where numpy() would copy


def known_shape(name: str, tensor: Tensor) -> Sizes:
    """The sizes that are known; their number must be."""
    if tensor.shape.rank is None:
        rule = f"{name} must have a known number of axes"
        raise ShapeError(f"{rule}; got a tensor of unknown shape. Say how many with {name}.set_shape((None, …)).")
    return tuple(tensor.shape.as_list())
