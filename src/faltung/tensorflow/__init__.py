"""faltung for TensorFlow: `faltung.tensorflow.nn` in the place of `tf.nn`.

>>> import tensorflow as tf
>>> import faltung.tensorflow as ftf
>>> ftf.nn.conv1d(tf.ones((8, 100, 3)), tf.ones((5, 3, 16)), stride=2, padding="SAME", dilations=3).shape
TensorShape([8, 50, 16])

Read it in this order: `tensors.py` (memory), `open_conv.py` (a convolution whose sizes may still be open),
`activation.py`, `operators.py` (the three operators and their derivatives), `calls.py` (tf.nn's options), `nn.py` (its
signatures).
"""

from faltung.errors import FaltungError
from faltung.tensorflow import nn

# TensorFlow wraps what is raised while a graph is traced in an error of its own, unless it says that it may pass
setattr(FaltungError, "ag_pass_through", True)  # noqa: B010  # the class itself knows no framework

__all__ = ["nn"]
