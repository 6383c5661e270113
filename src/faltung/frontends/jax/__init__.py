"""JAX: a convolution as primitives of its own. The public face is `faltung.jax`.

Read it in this order: `operators.py` (three primitives and their derivatives), `batching.py` (vmap), `lowering.py`
(native calls from XLA, and lax elsewhere), `functional.py` (conv1d …), `general.py` (lax.conv_general_dilated).
"""
