"""precision="exact": direct summation only, in every function, forward and in the gradients."""

import pytest
import tensorflow as tf
from spiked import spiked

from faltung.tensorflow import nn


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_outputs_and_gradients(layout, wrapped):
    case = spiked(layout=layout)
    operands = tf.constant(case.x), tf.constant(case.kernel)

    def exact(x, kernel):
        return nn.conv1d(x, kernel, 1, "VALID", data_format=layout, precision="exact")

    with tf.GradientTape() as tape:
        tape.watch(operands)
        y = (tf.function(exact) if wrapped else exact)(*operands)
    case.check(y.numpy(), *(gradient.numpy() for gradient in tape.gradient(y, operands, tf.constant(case.dy))))


def test_transposed():
    case = spiked()
    operands = tf.constant(case.dy), tf.constant(case.kernel)
    with tf.GradientTape() as tape:
        tape.watch(operands)
        dx = nn.conv1d_transpose(*operands, case.x.shape, 1, "VALID", precision="exact")
    by_dy, by_kernel = tape.gradient(dx, operands, tf.constant(case.x))
    case.check(by_dy.numpy(), dx.numpy(), by_kernel.numpy())
