"""Predict tomorrow's change of a real stock from the past 32 days, causally: no output sees the future.

The prices are Google's, which Matplotlib carries. Who always says "no change" is hard to beat, and said so here.
"""

import keras
import numpy as np
from matplotlib import cbook

from faltung.keras import Conv1D

keras.utils.set_random_seed(0)
prices = cbook.get_sample_data("goog.npz")["price_data"]
close = np.log(prices["adj_close"].astype("float64"))
change = np.diff(close)
change = ((change - change[:-200].mean()) / change[:-200].std()).astype("float32")
windows = np.lib.stride_tricks.sliding_window_view(change, 33)
x, y = windows[:, :32, None], windows[:, 1:, None]  # each day's target is the day after it

past = [Conv1D(8, 3, padding="causal", dilation_rate=step, activation="relu") for step in (1, 2, 4)]
model = keras.Sequential([keras.Input((32, 1)), *past, Conv1D(1, 1)])
model.compile("adam", "mse")
history = model.fit(x[:-200], y[:-200], batch_size=64, epochs=2, verbose=0).history["loss"]
error = model.evaluate(x[-200:], y[-200:], verbose=0)
print(f"{len(x)} windows; the loss falls: {history[-1] < history[0]}")
print(f"held out: within 10% of always saying no change: {error < 1.1 * float((y[-200:] ** 2).mean())}")
