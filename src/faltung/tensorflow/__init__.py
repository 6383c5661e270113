"""faltung for TensorFlow: `faltung.tensorflow.nn` in the place of `tf.nn`.

>>> import tensorflow as tf
>>> import faltung.tensorflow as ftf
>>> ftf.nn.conv1d(tf.ones((8, 100, 3)), tf.ones((5, 3, 16)), stride=2, padding="SAME", dilations=3).shape
TensorShape([8, 50, 16])
"""

from faltung.tensorflow import nn

__all__ = ["nn"]
