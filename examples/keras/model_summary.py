"""What a summary says of a model: its shapes, and with a star the layers that faltung computes."""

import keras
import numpy as np

import faltung as ft

model = keras.Sequential([keras.Input(shape=(100, 1)), keras.layers.Conv1D(64, 3, activation="relu")])
ft.accelerate(model).summary(line_length=80)
print(tuple(model(np.ones((32, 100, 1), "float32")).shape))
