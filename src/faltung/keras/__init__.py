"""faltung for Keras: layers with Keras's names, on its JAX, PyTorch and TensorFlow backends.

>>> import numpy as np
>>> import faltung.keras
>>> layer = faltung.keras.Conv1D(32, 5, padding="same")  # a keras.layers.Conv1D
>>> tuple(layer(np.ones((64, 50, 3, 2))).shape)
(64, 50, 3, 32)

Read it in this order: `request.py` (what a layer asks for), `backend.py` (which framework computes, and what goes to
Keras's own call), `on_torch.py`, `on_jax.py`, `on_tensorflow.py` (renaming only), `options.py` (what Keras's
constructors would refuse), `base.py` (what all layers share), `layers.py`, `replace.py` (ft.accelerate and back).
"""

from faltung.frontends.report import Report
from faltung.keras.layers import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from faltung.keras.replace import report, restore

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Report",
    "SeparableConv1D",
    "SeparableConv2D",
    "report",
    "restore",
]
