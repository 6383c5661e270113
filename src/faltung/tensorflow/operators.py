"""The three operators and their derivatives, eager and inside `tf.function`.

As in torch/operators.py: y = convolve(x, w), dx = input_gradient(dy, w) and dw = kernel_gradient(x, dy) are
linear in each operand, and every derivative of the three is one of the three again, to any order.
"""

from typing import Any

import tensorflow as tf

from faltung.arrays import forward, gradients
from faltung.spec import ConvSpec
from faltung.tensorflow import stock
from faltung.tensorflow.activation import SLOPES, activated
from faltung.tensorflow.exporting import is_exporting, refuse_if_saved
from faltung.tensorflow.open_conv import OpenConv
from faltung.tensorflow.tensors import Array, Sizes, Tensor, as_it_stands, computed, known_shape


@as_it_stands
def conv(spec: ConvSpec, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """The convolution that the spec describes, activation included; batch and lengths may differ from the spec's."""
    name, parameter = spec.activation, spec.activation_parameter
    x, kernel, bias = (None if operand is None else tf.convert_to_tensor(operand) for operand in (x, kernel, bias))
    open_conv = OpenConv.of(spec)
    if name in SLOPES:
        return convolve(open_conv.activated_by(name), x, kernel, bias)
    return activated(convolve(open_conv, x, kernel, bias), name, parameter)


@as_it_stands
def conv_transpose(spec: ConvSpec, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """The adjoint of the spec's convolution, with bias and activation; the batch may differ from the spec's.

    x has the spec's output shape, or is shorter and followed by zeros; the result has its input shape.
    """
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    longer = [
        want - (have or want) for want, have in zip(spec.out_size, _spatial(spec, known_shape("x", x)), strict=True)
    ]
    if any(longer):
        none, more = [(0, 0)], [(0, extra) for extra in longer]
        last = spec.is_channels_last
        x = tf.pad(x, [*none * len(spec.batch), *more, *none] if last else [*none * 2, *more])
    sizes = _with_batch_of(x, spec)
    y = input_gradient(OpenConv.of(spec), x, kernel, sizes)
    if bias is not None:
        y += bias if spec.is_channels_last else tf.reshape(bias, (-1, *[1] * spec.rank))
    return activated(y, spec.activation, spec.activation_parameter)


def _spatial(spec: ConvSpec, shape: Sizes) -> Sizes:
    return shape[-1 - spec.rank : -1] if spec.is_channels_last else shape[-spec.rank :]


def _with_batch_of(x: Tensor, spec: ConvSpec) -> "Shape":
    leading = len(spec.batch)
    known = known_shape("x", x)[:leading]
    static = (*known, *spec.input_shape[leading:])
    return Shape(static, lambda: tf.concat([tf.shape(x)[:leading], spec.input_shape[leading:]], 0))


class Shape:
    """The shape of a result that operands do not tell: the sizes known, and a tensor for those that are not."""

    def __init__(self, sizes: Sizes, tensor: Any) -> None:
        self.sizes = sizes
        self.tensors = [tensor()] if None in sizes else []

    @classmethod
    def of(cls, name: str, x: Tensor) -> "Shape":
        """The shape of a tensor."""
        return cls(known_shape(name, x), lambda: tf.shape(x))

    def of_arrays(self, arrays: tuple[Array, ...]) -> tuple[int, ...]:
        """All sizes; `arrays` are the values of `tensors`."""
        return tuple(map(int, arrays[0])) if arrays else self.sizes  # type: ignore[return-value]

    def known_or_tensors(self) -> list[Any]:
        """All sizes, those that are not known as tensors."""
        return [self.tensors[0][axis] if size is None else size for axis, size in enumerate(self.sizes)]


def _words(open_conv: OpenConv) -> dict[str, Any]:
    """The options as keywords of faltung's gradients on arrays, which have no activation."""
    words = open_conv.options._asdict()
    del words["activation"]
    return words


@as_it_stands
def convolve(open_conv: OpenConv, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = activation(convolve(x, kernel) + bias); the activation, if the options have one, is one of SLOPES."""
    rank, options = open_conv.rank, open_conv.options
    name, linear = options.activation, open_conv.activated_by(None)

    def compute(x: Array, kernel: Array, bias: Array | None = None) -> Array:
        return forward.convolve(f"conv{rank}d", rank, x, kernel, bias, options, None)

    def shape() -> Sizes:
        sizes = known_shape("x", x), known_shape("kernel", kernel)
        return open_conv.output_shape(*sizes, x.dtype.name, kernel.dtype.name)

    if is_exporting():
        shape()  # refuses what is wrong
        y = stock.convolve(linear, x, kernel)
        if bias is not None:
            y += bias if open_conv.is_channels_last else tf.reshape(bias, (-1, *[1] * rank))
        return activated(y, name, None)  # type: ignore[arg-type]  # of SLOPES, by its name alone

    @tf.custom_gradient
    def operator(x: Tensor, kernel: Tensor, *bias: Tensor) -> Any:
        y = computed(compute, (x, kernel, *bias), shape)

        def derivative(dy: Tensor) -> Any:
            refuse_if_saved(open_conv.function)
            if name is not None:
                dy = dy * SLOPES[str(name)](y)
            return (
                input_gradient(linear, dy, kernel, Shape.of("x", x)),
                kernel_gradient(linear, x, dy, Shape.of("kernel", kernel)),
                *(tf.reduce_sum(dy, _all_but_channels(linear, dy)) for _ in bias),
            )

        return y, derivative

    return operator(x, kernel, *(() if bias is None else (bias,)))


def _all_but_channels(open_conv: OpenConv, dy: Tensor) -> list[int]:
    axes = list(range(dy.shape.rank))
    del axes[-1 if open_conv.is_channels_last else 1]
    return axes


@as_it_stands
def input_gradient(open_conv: OpenConv, dy: Tensor, kernel: Tensor, shape: Shape) -> Tensor:
    """dx, of this shape; the adjoint of convolve."""

    def compute(dy: Array, kernel: Array, *sizes: Array) -> Array:
        return gradients.input_gradient(dy, kernel, shape.of_arrays(sizes), **_words(open_conv))

    if is_exporting():
        return stock.input_gradient(open_conv, dy, kernel, shape.known_or_tensors())

    @tf.custom_gradient
    def operator(dy: Tensor, kernel: Tensor) -> Any:
        def derivative(ddx: Tensor) -> Any:
            refuse_if_saved(open_conv.function)
            by_kernel = kernel_gradient(open_conv, ddx, dy, Shape.of("kernel", kernel))
            return convolve(open_conv, ddx, kernel), by_kernel

        return computed(compute, (dy, kernel, *shape.tensors), lambda: shape.sizes), derivative

    return operator(dy, kernel)


@as_it_stands
def kernel_gradient(open_conv: OpenConv, x: Tensor, dy: Tensor, shape: Shape) -> Tensor:
    """dw, of this shape."""

    def compute(x: Array, dy: Array, *sizes: Array) -> Array:
        kernel_size = open_conv.kernel_size(shape.of_arrays(sizes))
        return gradients.kernel_gradient(x, dy, kernel_size, **_words(open_conv))

    @tf.custom_gradient
    def operator(x: Tensor, dy: Tensor) -> Any:
        def derivative(ddw: Tensor) -> Any:
            return input_gradient(open_conv, dy, ddw, Shape.of("x", x)), convolve(open_conv, x, ddw)

        return computed(compute, (x, dy, *shape.tensors), lambda: shape.sizes), derivative

    return operator(x, dy)
