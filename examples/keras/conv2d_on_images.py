"""Conv2D slides over height and width and mixes all colours: (1, 32, 32, 3) becomes (1, 32, 32, 32)."""

import numpy as np

from faltung.keras import Conv2D

x = np.random.default_rng(0).random((1, 32, 32, 3)).astype("float32")  # one image, 32 × 32 pixels, 3 colours
layer = Conv2D(32, 3, padding="same", activation="relu")
print(tuple(layer(x).shape))
print("kernel", tuple(layer.kernel.shape))  # 3 × 3 pixels, all 3 colours, 32 filters
