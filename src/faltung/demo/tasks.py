"""The two tasks of `faltung demo`: a series and images, each with a small network of Keras's layers."""

from typing import Any

import keras
from keras import layers

from faltung.demo.contest import Contest, contest
from faltung.demo.datasets import digits, exercises


def series() -> Contest:
    """Tell exercises apart by what a watch on the wrist measures."""
    data = exercises()

    def network() -> Any:
        return keras.Sequential(
            [
                keras.Input(data.learn.x.shape[1:]),
                layers.Conv1D(32, 15, strides=2, padding="same", activation="relu"),
                layers.Conv1D(64, 7, strides=2, padding="same", activation="relu"),
                layers.Conv1D(64, 7, dilation_rate=2, padding="same", activation="relu"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(len(data.names), activation="softmax"),
            ],
            name="series",
        )

    return contest("exercises", data, network, num_epochs=6, batch_size=32)


def images() -> Contest:
    """Read handwritten digits."""
    data = digits()

    def network() -> Any:
        return keras.Sequential(
            [
                keras.Input(data.learn.x.shape[1:]),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(64, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(64, 3, padding="same", activation="relu"),
                layers.Flatten(),
                layers.Dense(len(data.names), activation="softmax"),
            ],
            name="images",
        )

    return contest("digits", data, network, num_epochs=6, batch_size=32)
