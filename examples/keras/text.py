"""Text as a sequence of embeddings: each word becomes a vector, Conv1D looks at three words at a time."""

import keras
import numpy as np

from faltung.keras import Conv1D

keras.utils.set_random_seed(0)
good = ("what a good film", "a truly good story", "good acting and music")
bad = ("not a good film", "a bad story", "bad music")
words = {word: number for number, word in enumerate(sorted({w for line in good + bad for w in line.split()}), 1)}
x = np.array([[words[w] for w in line.split()] + [0] * (4 - len(line.split())) for line in good + bad])
y = np.array([1.0] * len(good) + [0.0] * len(bad))
model = keras.Sequential(
    [
        keras.Input((4,), dtype="int32"),
        keras.layers.Embedding(len(words) + 1, 16),
        Conv1D(16, 3, padding="same", activation="relu"),
        keras.layers.GlobalMaxPooling1D(),
        keras.layers.Dense(1, "sigmoid"),
    ]
)
model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
model.fit(x, y, epochs=30, verbose=0)
right = (model.predict(x, verbose=0)[:, 0] > 0.5) == (y > 0.5)
print(f"embeddings {x.shape} -> (6, 4, 16), learned: {int(right.sum())} of {len(y)}")
