"""What the checks of the Keras layers share: numbers in, numbers and gradients out, on whichever backend."""

import keras
import numpy as np
from keras import ops

from faltung import reference
from faltung.spec import ConvOptions, spec_from_call


def numbers(shape, seed=0):
    """Float32 numbers that depend on the seed alone."""
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def values(tensor):
    """The numbers of a tensor; those of half precision as float32."""
    if keras.backend.backend() == "torch":
        tensor = ops.convert_to_tensor(tensor).detach()
    is_half = keras.backend.standardize_dtype(tensor.dtype) in ("bfloat16", "float16")
    return ops.convert_to_numpy(ops.cast(tensor, "float32") if is_half else tensor)


def convolved(x, kernel, bias=None, **words):
    """What the words mean, by the reference."""
    arrays = [(array.shape, array.dtype.name) for array in (x, kernel)]
    spec = spec_from_call("conv", *arrays[0], *arrays[1], rank=kernel.ndim - 2, options=ConvOptions(**words))
    return reference.conv(x, kernel, bias, spec=spec)


def compare(got, wanted, tolerance=2e-5):
    """Equal to the tolerance, in relation to the largest number."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max(initial=0)))


def gradients(layer, x, dy=1.0):
    """The gradients of the sum of the outputs, each times dy, by the input and by each weight."""
    return GRADIENTS[keras.backend.backend()](layer, x, dy)


def _by_torch(layer, x, dy):
    x, dy = ops.convert_to_tensor(x).requires_grad_(), ops.convert_to_tensor(dy)
    (layer(x) * dy).sum().backward()
    return [x.grad.numpy(), *(weight.value.grad.numpy() for weight in layer.trainable_weights)]


def _by_jax(layer, x, dy):
    import jax

    def total(weights, x):
        y, _ = layer.stateless_call(weights, [], x)
        return (y * dy).sum()

    weights = [weight.value for weight in layer.trainable_weights]
    by_weights, by_x = jax.jit(jax.grad(total, (0, 1)))(weights, x)
    return [np.asarray(by_x), *map(np.asarray, by_weights)]


def _by_tensorflow(layer, x, dy):
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x) * dy)
    return [g.numpy() for g in tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)])]


GRADIENTS = {"torch": _by_torch, "jax": _by_jax, "tensorflow": _by_tensorflow}
