"""Normalise inputs before the first layer: the network then sees every feature at the same scale, in any unit."""

import keras
import numpy as np

from faltung.keras import Conv1D

keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
x = (random.standard_normal((64, 50, 2)) * (0.01, 1000) + (5, -300)).astype("float32")  # two sensors, two units
normalise = keras.layers.Normalization(axis=-1)
normalise.adapt(x)
model = keras.Sequential([keras.Input((50, 2)), normalise, Conv1D(32, 5, padding="same")])
scaled = keras.ops.convert_to_numpy(normalise(x))
print("mean", np.abs(scaled.mean((0, 1))).round(3) + 0.0, "deviation", scaled.std((0, 1)).round(3))
print(tuple(model(x).shape))
