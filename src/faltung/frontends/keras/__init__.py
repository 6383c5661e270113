"""Keras: layers that are Keras's own in constructor, config and weights. The public face is `faltung.keras`.

Read it in this order: `request.py` (what a layer asks for), `backend.py` (which framework computes, and what goes to
Keras's own call), `on_torch.py`, `on_jax.py`, `on_tensorflow.py` (renaming only), `options.py` (what Keras's
constructors would refuse), `layers.py`, `replace.py` (ft.accelerate and back).
"""
