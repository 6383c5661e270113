"""Models for Keras's reader that are tried on every backend: structure, users' layers, masks, islands."""

from typing import Any

import keras
from keras import layers, ops
from models.graphs.keras_checking import functional, randomized


class Block(keras.layers.Layer):
    """A user's residual block."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conv, self.drop = layers.Conv1D(4, 3, padding="same"), layers.Dropout(0.5)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return ops.relu(self.drop(self.conv(x), training=training)) + x


class Own(keras.Model):
    """A model with a `call` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.flatten, self.dense = Block(), layers.Flatten(), layers.Dense(3)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return {"y": self.dense(self.flatten(self.block(x))), "x": self.block(x)}


class Scaled(keras.layers.Layer):
    """A learned scale, through an operation of Keras's."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x: Any) -> Any:
        return ops.multiply(x, self.scale)


class ScaledAside(Scaled):
    """A learned scale that is computed before an operation sees it."""

    def call(self, x: Any) -> Any:
        return ops.multiply(x, ops.exp(self.scale))


class Standardized(layers.Conv1D):
    """Keras's layer, and not: the kernel is another."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, kernel - ops.mean(kernel, axis=0, keepdims=True))


class Named(layers.Conv1D):
    """Keras's layer by another name."""

    def get_config(self) -> Any:
        return super().get_config()


def nested() -> Any:
    """Models within models, one of them called twice."""
    inner = functional(layers.Conv1D(4, 3, padding="same", activation="relu"), (8, 4))
    more = keras.Sequential([layers.Conv1D(4, 1), layers.BatchNormalization()])
    return functional(lambda x: layers.add([x, more(inner(inner(x)))]), (8, 4))


def named_inputs() -> Any:
    """Dictionaries in and out, in an order that is not the alphabet's."""
    a, b = keras.Input((8, 4), name="b"), keras.Input((8, 4), name="a")
    return randomized(keras.Model({"b": a, "a": b}, {"z": layers.Dense(3)(a), "y": layers.Dense(2)(b)}))


def separable_tower() -> Any:
    def call(x: Any) -> Any:
        y = layers.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2, activation="relu")(x)
        y = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(scale=False)(y)
        y = layers.Activation("hard_silu")(y)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
        y = layers.multiply([y, layers.Conv2D(12, 1, activation="sigmoid")(gate)])
        return layers.Dense(3, activation="softmax")(layers.Flatten()(layers.MaxPooling2D(2, padding="same")(y)))

    return functional(call, (9, 10, 3))


def u_net() -> Any:
    def call(x: Any) -> Any:
        down = layers.Conv1D(4, 4, strides=2, padding="same", activation="elu")(x)
        deep = layers.AveragePooling1D(3, 2, padding="same")(down)
        up = layers.Conv1DTranspose(4, 4, strides=2, padding="same")(layers.Conv1D(3, 3, padding="causal")(deep))
        joined = layers.Concatenate()([layers.UpSampling1D(2)(up), layers.ZeroPadding1D((1, 2))(x)[:, 1:-2]])
        return layers.LayerNormalization()(layers.GroupNormalization(2)(layers.Dense(4)(joined)))

    return functional(call, (16, 3))


def operators() -> Any:
    """Arithmetic and operations on symbolic tensors."""

    def call(x: Any) -> Any:
        y = ops.concatenate([x * 2.0 + 1.0, -x], -1)[:, 1:-1, ::2]
        y = ops.reshape(y - ops.mean(y, axis=1, keepdims=True), (-1, 24))
        y = ops.transpose(ops.expand_dims(y, 1), (0, 2, 1))
        a, b = ops.split(y, 2, axis=1)
        y = ops.squeeze(ops.stack([a, b], axis=2), -1)
        return ops.pad(y, ((0, 0), (1, 2), (0, 0))) / (1.0 + ops.abs(ops.max(y, axis=(1, 2), keepdims=True)))

    return functional(call, (8, 4))


def recurrent() -> Any:
    def call(x: Any) -> Any:
        y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Conv1D(4, 3)(x))
        return layers.Dense(2)(layers.GRU(3)(y))

    return functional(call, (8, 4))


def masked_text() -> Any:
    def call(x: Any) -> Any:
        y = layers.Embedding(5, 4, mask_zero=True)(x)
        return [layers.Dense(2)(layers.LSTM(3)(y)), layers.TimeDistributed(layers.Dense(3))(y)]

    return functional(call, (8,), dtype="int32")


def masked_sum() -> Any:
    def call(x: Any) -> Any:
        y = layers.BatchNormalization()(layers.Masking()(x))
        y = layers.add([layers.Dense(4)(y), y])
        return layers.Dense(2)(layers.GlobalAveragePooling1D()(y))

    return functional(call, (8, 4))


MODELS: dict[str, tuple[Any, int, Any]] = {
    "nested": (nested, 0, None),
    "named_inputs": (named_inputs, 0, None),
    "separable_tower": (separable_tower, 0, None),
    "u_net": (u_net, 0, None),
    "operators": (operators, 0, None),
    "block": (lambda: functional(lambda x: layers.Dense(2)(Block()(Block()(x))), (8, 4)), 0, None),
    "own_call": (lambda: Own(), 0, (2, 8, 4)),
    "own_weight": (lambda: functional(lambda x: layers.Dense(2)(Scaled()(x)), (8, 4)), 0, None),
    "weight_aside": (lambda: functional(lambda x: layers.Dense(2)(ScaledAside()(x)), (8, 4)), 1, None),
    "own_convolution": (lambda: functional(lambda x: layers.Dense(2)(Standardized(4, 3)(x)), (8, 4)), 1, None),
    "renamed": (lambda: functional(Named(4, 3), (8, 4)), 0, None),
    "recurrent": (recurrent, 1, None),
    "attention": (lambda: functional(lambda x: x + layers.MultiHeadAttention(2, 2)(x, x), (8, 4)), 1, None),
    "masked_text": (masked_text, 1, None),
}
if keras.backend.backend() != "torch":  # where Keras normalises last axes only
    MODELS["norm_of_other_axes"] = (
        lambda: functional(layers.LayerNormalization(axis=1, center=False), (8, 3)),
        0,
        None,
    )
"""Each model with the number of its islands, and the example that it needs."""
