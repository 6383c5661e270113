"""A batch of 64 sequences of 50 steps with five features each: (64, 50, 5) becomes (64, 50, 32)."""

import numpy as np

import faltung as ft
from faltung.keras import Conv1D

x = np.random.default_rng(0).standard_normal((64, 50, 5)).astype("float32")
layer = Conv1D(32, kernel_size=5, padding="same")
print(tuple(layer(x).shape))
print(ft.explain(layer, x.shape))
