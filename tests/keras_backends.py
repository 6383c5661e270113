"""What the tests that run Keras in processes of their own share."""

import os


def on_backend(backend: str) -> dict[str, str]:
    """The environment of a process on a backend of Keras.

    XLA spends two thirds of the time on optimising programs that run once; tests/jax lets it.
    """
    return os.environ | {"KERAS_BACKEND": backend, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
