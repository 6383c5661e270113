"""TensorFlow: tf.nn.conv1d, conv2d, conv3d and depthwise_conv2d in a tf.function."""

import os
from collections.abc import Callable
from typing import Any, ClassVar

from faltung.bench.peers.peer import Array, Call, Peer, Work, is_same_padding, refuse_other_options
from faltung.spec import ConvSpec


class TensorFlow(Peer):
    """`tf.nn.conv1d` in a `tf.function`, channels last; `tf.nn.depthwise_conv2d` for depthwise sequences and images."""

    packages: ClassVar[tuple[str, ...]] = ("tensorflow-cpu", "tensorflow")

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.tf = tf

    def prepare(self, work: Work) -> Call:
        """Return a call of the traced function, or of it and a GradientTape."""
        refuse_other_options(work.spec)
        return timed(self.tf, self.convolution(work.spec, work.kernel, work.bias), work, is_traced=True)

    def convolution(self, spec: ConvSpec, kernel: Array, bias: Array | None) -> tuple[Callable[..., Any], Any]:
        """Return a function of x that computes the spec, and its kernel."""
        tf = self.tf
        is_depthwise = is_depthwise_by_tensorflow(spec)
        rank = 2 if is_depthwise else spec.rank
        layout = ("NWC", "NHWC", "NDHWC") if spec.is_channels_last else ("NCW", "NCHW", "NCDHW")
        pads = [[0, 0], *map(list, spec.padding)]
        pads.insert(len(pads) if spec.is_channels_last else 1, [0, 0])
        is_padded = any(map(any, spec.padding))
        padding = "SAME" if is_padded and is_same_padding(spec) else "VALID"
        height = -3 if spec.is_channels_last else -2  # the axis that makes a sequence an image

        def on_all_axes(values: tuple[int, ...]) -> list[int]:
            spatial = (*[values[0]] * (rank - spec.rank), *values)  # depthwise_conv2d wants equal strides
            return [1, *spatial, 1] if spec.is_channels_last else [1, 1, *spatial]

        def convolve(x: Any) -> Any:
            if is_padded and padding == "VALID":
                x = tf.pad(x, pads)
            if is_depthwise:
                x = tf.expand_dims(x, height) if spec.rank == 1 else x
                image = layout[1]
                y = tf.nn.depthwise_conv2d(x, weight, on_all_axes(spec.stride), padding, image, dilations(x))
                y = tf.squeeze(y, height) if spec.rank == 1 else y
            else:
                function = getattr(tf.nn, spec.name)
                strides, spacing = on_all_axes(spec.stride), on_all_axes(spec.dilation)
                y = function(x, weight, strides, padding, data_format=layout[spec.rank - 1], dilations=spacing)
            y = y if bias is None else tf.nn.bias_add(y, bias, data_format=layout[spec.rank - 1])
            return tf.nn.relu(y) if spec.activation else y

        def dilations(_: Any) -> tuple[int, ...]:
            return (1, *spec.dilation) if spec.rank == 1 else spec.dilation

        weight = tf.Variable(kernel.reshape(depthwise_kernel_shape(spec)) if is_depthwise else kernel)
        return convolve, weight

    def release(self) -> None:
        """Drop traced functions."""
        self.tf.keras.backend.clear_session()


def is_depthwise_by_tensorflow(spec: ConvSpec) -> bool:
    """Whether TensorFlow has an operation of its own for it."""
    return spec.groups == spec.in_channels > 1 and spec.rank < 3


def depthwise_kernel_shape(spec: ConvSpec) -> tuple[int, ...]:
    """Return the kernel's shape for depthwise_conv2d: (KH, KW, C_in, outputs of each channel)."""
    size = (1, *spec.kernel_size) if spec.rank == 1 else spec.kernel_size
    return (*size, spec.in_channels, spec.out_channels // spec.groups)


def timed(tf: Any, function_and_kernel: tuple[Callable[..., Any], Any], work: Work, *, is_traced: bool) -> Call:
    """Return a call of a function of x, in a tf.function or as it is, with both gradients if there is a dy."""
    function, kernel = function_and_kernel
    x = tf.constant(work.x)
    dy = tf.constant(work.dy) if work.is_training else None

    def train(x: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return (y, *tape.gradient(y, (x, kernel), dy))

    run = train if work.is_training else function
    if is_traced:
        run = tf.function(run, autograph=False)
    return lambda: run(x)
