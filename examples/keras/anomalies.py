"""Find an anomaly in a real electrocardiogram: a network that learns to repeat it repeats the foreign part badly.

The recording is PyWavelets'. A quarter second of it is replaced by its mirror image, and stands out.
"""

import keras
import numpy as np
import pywt.data

from faltung.keras import Conv1D, Conv1DTranspose

keras.utils.set_random_seed(0)
ecg = pywt.data.ecg().astype("float32")
ecg = (ecg - ecg.mean()) / ecg.std()
spoiled = ecg.copy()
spoiled[400:464] = -2 * ecg[400:464]
windows = np.lib.stride_tricks.sliding_window_view(ecg, 64)[::4, :, None]

model = keras.Sequential(
    [
        keras.Input((None, 1)),
        Conv1D(16, 7, strides=2, padding="same", activation="relu"),
        Conv1D(4, 7, strides=2, padding="same", activation="relu"),
        Conv1DTranspose(16, 7, strides=2, padding="same", activation="relu"),
        Conv1DTranspose(1, 7, strides=2, padding="same"),
    ]
)
model.compile(keras.optimizers.Adam(0.005), "mse")
model.fit(windows, windows, batch_size=32, epochs=15, verbose=0)
error = np.abs(model.predict(spoiled[None, :, None], verbose=0)[0, :, 0] - spoiled)
worst = int(np.convolve(error, np.ones(32) / 32, "same").argmax())
print("found where it is:", 384 <= worst < 480)
