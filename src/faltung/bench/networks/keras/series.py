"""Classifiers of series: what beginners write, FCN, InceptionTime, a ResNet of the ECG, and the TCN."""

from typing import Any

import keras
from keras import layers

from faltung.bench.networks.keras.pieces import settled


def conv_flatten_dense() -> keras.Model:
    """Return the smallest network of all: one convolution, flatten, dense."""
    return settled(
        keras.Sequential(
            [keras.Input((50, 4)), layers.Conv1D(16, 5, activation="relu"), layers.Flatten(), layers.Dense(3)]
        )
    )


def har_cnn() -> keras.Model:
    """Return the convolutional network of tutorials on recognising activities: two convolutions, pool, two dense."""
    return settled(
        keras.Sequential(
            [
                keras.Input((128, 9)),
                layers.Conv1D(64, 3, activation="relu"),
                layers.Conv1D(64, 3, activation="relu"),
                layers.Dropout(0.5),
                layers.MaxPooling1D(2),
                layers.Flatten(),
                layers.Dense(100, activation="relu"),
                layers.Dense(6, activation="softmax"),
            ]
        )
    )


def fcn() -> keras.Model:
    """Return the fully convolutional network of Wang 2017: three convolutions with batch norm, mean over time."""
    x = inputs = keras.Input((150, 1))
    for filters, kernel_size in ((128, 8), (256, 5), (128, 3)):
        x = layers.Conv1D(filters, kernel_size, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling1D()(x)
    return settled(keras.Model(inputs, layers.Dense(2, activation="softmax")(x)))


def inception_time() -> keras.Model:
    """Return InceptionTime (Fawaz 2020): six modules, a shortcut around each three."""

    def module(x: Any) -> Any:
        narrow = layers.Conv1D(32, 1, use_bias=False)(x) if x.shape[-1] > 1 else x
        branches = [layers.Conv1D(32, size, padding="same", use_bias=False)(narrow) for size in (40, 20, 10)]
        pooled = layers.MaxPooling1D(3, 1, padding="same")(x)
        joined = layers.Concatenate()([*branches, layers.Conv1D(32, 1, use_bias=False)(pooled)])
        return layers.ReLU()(layers.BatchNormalization()(joined))

    x = inputs = keras.Input((256, 1))
    for _ in range(2):
        shortcut = layers.BatchNormalization()(layers.Conv1D(128, 1, use_bias=False)(x))
        x = layers.ReLU()(layers.Add()([module(module(module(x))), shortcut]))
    x = layers.GlobalAveragePooling1D()(x)
    return settled(keras.Model(inputs, layers.Dense(5, activation="softmax")(x)))


def ecg_resnet() -> keras.Model:
    """Return an 18-layer ResNet along time for twelve leads, as in the benchmark of Strodthoff 2021."""

    def conv_bn(x: Any, filters: int, kernel_size: int, stride: int = 1) -> Any:
        x = layers.Conv1D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def block(x: Any, filters: int, stride: int) -> Any:
        y = layers.ReLU()(conv_bn(x, filters, 5, stride))
        is_same = stride == 1 and x.shape[-1] == filters
        shortcut = x if is_same else conv_bn(x, filters, 1, stride)
        return layers.ReLU()(layers.Add()([conv_bn(y, filters, 5), shortcut]))

    x = inputs = keras.Input((1000, 12))
    x = layers.MaxPooling1D(3, 2, padding="same")(layers.ReLU()(conv_bn(x, 64, 7, 2)))
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        x = block(block(x, filters, stride), filters, 1)
    x = layers.GlobalAveragePooling1D()(x)
    return settled(keras.Model(inputs, layers.Dense(5)(x)))


def tcn() -> keras.Model:
    """Return the temporal convolutional network of Bai 2018 on sequential digits, with causal padding."""
    x = inputs = keras.Input((784, 1))
    for level in range(8):
        y = x
        for _ in range(2):
            y = layers.Conv1D(25, 7, dilation_rate=2**level, padding="causal", activation="relu")(y)
            y = layers.SpatialDropout1D(0.05)(y)
        shortcut = x if level else layers.Conv1D(25, 1)(x)
        x = layers.ReLU()(layers.Add()([y, shortcut]))
    last = layers.Cropping1D((783, 0))(x)
    return settled(keras.Model(inputs, layers.Dense(10)(layers.Flatten()(last))))


def unet1d() -> keras.Model:
    """Return a U-Net along time (after Ronneberger 2015): max pools down, nearest neighbours up."""

    def twice(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv1D(filters, 9, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    def level(x: Any, filters: int, depth: int) -> Any:
        x = twice(x, filters)
        if not depth:
            return x
        below = level(layers.MaxPooling1D(2)(x), 2 * filters, depth - 1)
        return twice(layers.Concatenate()([x, layers.UpSampling1D(2)(below)]), filters)

    inputs = keras.Input((1024, 2))
    return settled(keras.Model(inputs, layers.Conv1D(4, 1, activation="softmax")(level(inputs, 16, 3))))
