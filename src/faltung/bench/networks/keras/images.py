"""Networks of images, and of an EEG that is looked at as one: LeNet, a plain one for CIFAR, EEGNet."""

import keras
from keras import layers

from faltung.bench.networks.keras.pieces import settled


def lenet() -> keras.Model:
    """Return LeNet-5 (LeCun 1998) as it is written today."""
    return settled(
        keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(6, 5, padding="same", activation="relu"),
                layers.AveragePooling2D(2),
                layers.Conv2D(16, 5, activation="relu"),
                layers.AveragePooling2D(2),
                layers.Flatten(),
                layers.Dense(120, activation="relu"),
                layers.Dense(84, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
    )


def cifar_cnn() -> keras.Model:
    """Return the plain network of Keras's own example on CIFAR-10: two by two convolutions with a pool, two dense."""
    x = inputs = keras.Input((32, 32, 3))
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.Dropout(0.25)(layers.MaxPooling2D(2)(x))
    x = layers.Dropout(0.5)(layers.Dense(512, activation="relu")(layers.Flatten()(x)))
    return settled(keras.Model(inputs, layers.Dense(10, activation="softmax")(x)))


def eegnet() -> keras.Model:
    """Return EEGNet-8,2 (Lawhern 2018) for 64 electrodes and 128 samples: a filter bank, depthwise, separable."""
    x = inputs = keras.Input((64, 128, 1))
    x = layers.BatchNormalization()(layers.Conv2D(8, (1, 64), padding="same", use_bias=False)(x))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D((64, 1), depth_multiplier=2, use_bias=False)(x))
    x = layers.Dropout(0.5)(layers.AveragePooling2D((1, 4))(layers.Activation("elu")(x)))
    x = layers.BatchNormalization()(layers.SeparableConv2D(16, (1, 16), padding="same", use_bias=False)(x))
    x = layers.Dropout(0.5)(layers.AveragePooling2D((1, 8))(layers.Activation("elu")(x)))
    return settled(keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x))))
