"""Keras on TensorFlow: its layers, called as they stand."""

import os
from typing import Any, ClassVar

from faltung.bench.peers.peer import Array, Call, Work, is_same_padding, refuse_other_options
from faltung.bench.peers.tensorflow import TensorFlow, is_depthwise_by_tensorflow, timed
from faltung.spec import ConvSpec


class Keras(TensorFlow):
    """`keras.layers.Conv1D(…)(x)` on TensorFlow, channels last; `DepthwiseConv1D` where it applies."""

    packages: ClassVar[tuple[str, ...]] = ("keras", "tensorflow-cpu", "tensorflow")

    def __init__(self, threads: int) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        super().__init__(threads)
        import keras

        self.keras = keras

    def prepare(self, work: Work) -> Call:
        """Return a call of the layer, or of it and a GradientTape."""
        refuse_other_options(work.spec)
        layer, convolution = self.layer(work.spec)
        padded = tuple(
            size + low + high for size, (low, high) in zip(work.spec.in_size, work.spec.padding, strict=True)
        )
        convolution.build(work.spec.replace(in_size=padded, padding=0).input_shape)
        weights = [work.kernel.reshape(convolution.weights[0].shape)]
        convolution.set_weights(weights if work.bias is None else [*weights, work.bias])
        return timed(self.tf, (layer, convolution.weights[0].value), work, is_traced=False)

    def arrays(self, results: tuple[Any, ...], spec: ConvSpec) -> list[Array]:
        """Return the numbers of the tensors."""
        return [result.numpy() for result in results]

    def layer(self, spec: ConvSpec) -> tuple[Any, Any]:
        """Return what is called, and the layer that has the weights: the same, or one after a layer that pads."""
        layers = self.keras.layers
        data_format = "channels_last" if spec.is_channels_last else "channels_first"
        options: dict[str, Any] = {
            "strides": spec.stride,
            "dilation_rate": spec.dilation,
            "data_format": data_format,
            "use_bias": spec.bias,
            "activation": spec.activation,
            "dtype": spec.dtype,
            "padding": self.padding(spec),
        }
        if is_depthwise_by_tensorflow(spec):
            kind = getattr(layers, f"DepthwiseConv{spec.rank}D")
            multiplier = spec.out_channels // spec.groups
            convolution = kind(spec.kernel_size, depth_multiplier=multiplier, **options)
        else:
            kind = getattr(layers, f"Conv{spec.rank}D")
            convolution = kind(spec.out_channels, spec.kernel_size, groups=spec.groups, **options)
        if options["padding"] != "valid" or not any(map(any, spec.padding)):
            return convolution, convolution
        padding = spec.padding[0] if spec.rank == 1 else spec.padding
        pad = getattr(layers, f"ZeroPadding{spec.rank}D")(padding, data_format=data_format, dtype=spec.dtype)
        return (lambda x: convolution(pad(x))), convolution

    def padding(self, spec: ConvSpec) -> str:
        """Return the word of Keras for the padding; "valid" where there is none or no word for it."""
        if not any(map(any, spec.padding)):
            return "valid"
        knows_causal = spec.rank == 1 and not is_depthwise_by_tensorflow(spec)
        if knows_causal and spec.padding == spec.replace(padding="causal").padding:
            return "causal"
        return "same" if is_same_padding(spec) else "valid"
