"""faltung for JAX: functions on JAX arrays, for jit, grad and vmap, which XLA calls natively.

>>> import jax
>>> import jax.numpy as jnp
>>> import faltung.jax
>>> x, kernel = jnp.ones((8, 100, 3)), jnp.ones((5, 3, 16))
>>> jax.jit(lambda x, kernel: faltung.jax.conv1d(x, kernel, stride=2, padding="causal"))(x, kernel).shape
(8, 50, 16)
>>> jax.grad(lambda kernel: faltung.jax.conv1d(x, kernel, padding="same").sum())(kernel).shape
(5, 3, 16)

Read it in this order: `operators.py` (three primitives and their derivatives), `batching.py` (vmap), `lowering.py`
(native calls from XLA, and lax elsewhere), `functional.py` (conv1d …), `transposed.py`, `general.py`
(lax.conv_general_dilated).
"""

from faltung.jax.functional import conv, conv1d, conv2d, conv3d
from faltung.jax.general import conv_general_dilated, why
from faltung.jax.lowering import by_lax
from faltung.jax.transposed import conv1d_transpose, conv2d_transpose, conv3d_transpose

__all__ = [
    "by_lax",
    "conv",
    "conv1d",
    "conv1d_transpose",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "conv3d_transpose",
    "conv_general_dilated",
    "why",
]
