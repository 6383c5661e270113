"""One-hot DNA: a letter becomes one of four channels, and a kernel is a motif. Which sequences hold TATAAA?"""

import keras
import numpy as np

from faltung.keras import Conv1D

LETTERS = "ACGT"


def one_hot(sequence: str) -> np.ndarray:
    """(letters, 4), a one in the channel of each letter."""
    return np.eye(4, dtype="float32")[[LETTERS.index(letter) for letter in sequence]]


sequences = ["GGCTATAAAGGCACGTTTAC", "GGCTACGAAGGCACGTTTAC", "ACGTACGTACTTTATAAACG"]
layer = Conv1D(1, 6, use_bias=False)
layer.build((None, 20, 4))
layer.set_weights([one_hot("TATAAA")[:, :, None]])  # counts the letters that agree
agreeing = keras.ops.convert_to_numpy(layer(np.stack([one_hot(sequence) for sequence in sequences])))[..., 0]
for sequence, counts in zip(sequences, agreeing, strict=True):
    print(
        sequence, "holds it at" if counts.max() == 6 else "agrees best at", counts.argmax(), "with", int(counts.max())
    )
