"""Conv1D slides over time and mixes all features: (1, 20, 3) becomes (1, 20, 16)."""

import numpy as np

from faltung.keras import Conv1D

x = np.random.default_rng(0).standard_normal((1, 20, 3)).astype("float32")  # one sequence, 20 steps, 3 features
layer = Conv1D(16, 5, padding="same", activation="relu")
print(tuple(layer(x).shape))
print("kernel", tuple(layer.kernel.shape))  # 5 steps, all 3 features, 16 filters
