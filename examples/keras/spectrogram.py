"""A spectrogram whose 20 bands of 10 bins lie in one axis: reshaped, it is an image of each band.

(100, 20*10) becomes (100, 20, 10, 1), and Conv2D makes (100, 18, 8, 32) of it.
"""

import numpy as np

from faltung.keras import Conv2D

frames = np.random.default_rng(0).random((100, 20 * 10)).astype("float32")
images = frames.reshape(100, 20, 10, 1)  # the last axis is the channel, of which there is one
print(images.shape, "becomes", tuple(Conv2D(32, 3, activation="relu")(images).shape))
