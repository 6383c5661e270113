"""faltung for Keras: layers with Keras's names, on its JAX, PyTorch and TensorFlow backends.

>>> import numpy as np
>>> import faltung.keras
>>> layer = faltung.keras.Conv1D(32, 5, padding="same")  # a keras.layers.Conv1D
>>> tuple(layer(np.ones((64, 50, 3, 2))).shape)
(64, 50, 3, 32)
"""

from faltung.frontends.keras.layers import FaltungConv1D as Conv1D
from faltung.frontends.keras.layers import FaltungConv1DTranspose as Conv1DTranspose
from faltung.frontends.keras.layers import FaltungConv2D as Conv2D
from faltung.frontends.keras.layers import FaltungConv2DTranspose as Conv2DTranspose
from faltung.frontends.keras.layers import FaltungConv3D as Conv3D
from faltung.frontends.keras.layers import FaltungConv3DTranspose as Conv3DTranspose
from faltung.frontends.keras.layers import FaltungDepthwiseConv1D as DepthwiseConv1D
from faltung.frontends.keras.layers import FaltungDepthwiseConv2D as DepthwiseConv2D
from faltung.frontends.keras.layers import FaltungSeparableConv1D as SeparableConv1D
from faltung.frontends.keras.layers import FaltungSeparableConv2D as SeparableConv2D

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
]
