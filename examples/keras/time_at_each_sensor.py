"""Conv1D over time at each of 20 places of a sensor array, then Conv2D over time and place.

Keras's Conv1D takes one batch axis only; faltung's takes the batch and the places as two.
"""

import keras
import numpy as np

from faltung.keras import Conv1D, Conv2D

x = np.random.default_rng(0).standard_normal((1, 10, 20, 3)).astype("float32")  # (batch, time, place, feature)
inputs = keras.Input((10, 20, 3))
by_place = keras.layers.Permute((2, 1, 3))(inputs)  # (batch, place, time, feature)
over_time = Conv1D(16, 3, padding="same", activation="relu")(by_place)
together = keras.layers.Permute((2, 1, 3))(over_time)
model = keras.Model(inputs, Conv2D(32, 3, padding="same", activation="relu")(together))
print("Conv1D", tuple(over_time.shape))
print("Conv2D", tuple(model(x).shape))
