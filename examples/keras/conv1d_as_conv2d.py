"""The same classifier by Conv1D and by a Conv2D of height 1: with the same weights, the same outputs."""

import keras
import numpy as np
from keras.layers import Dense, Flatten, Input, Reshape

from faltung.keras import Conv1D, Conv2D

x = np.random.default_rng(0).standard_normal((4, 50, 3)).astype("float32")
flat = keras.Sequential([Input((50, 3)), Conv1D(16, 5, activation="relu"), Flatten(), Dense(10, "softmax")])
tall = keras.Sequential(
    [Input((50, 3)), Reshape((1, 50, 3)), Conv2D(16, (1, 5), activation="relu"), Flatten(), Dense(10, "softmax")]
)
kernel, *rest = (keras.ops.convert_to_numpy(weight) for weight in flat.weights)
tall.set_weights([kernel[None], *rest])  # (5, 3, 16) becomes (1, 5, 3, 16)
outputs = [keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x))) for model in (flat, tall)]
print(outputs[0].shape, "equal:", np.allclose(*outputs, atol=1e-6))
