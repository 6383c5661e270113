"""A plugin of pytest for test_own_suite.py: whoever imports a convolutional layer of Keras gets ours."""

import keras
import keras.src.layers
import pytest

import faltung.keras


def pytest_configure(config: pytest.Config) -> None:
    """Put our layers where Keras's are, and know the mark that Keras's own conftest.py would tell of."""
    config.addinivalue_line("markers", "requires_trainable_backend: for backends that can train, as all of ours can")
    for name in faltung.keras.__all__:
        if "Conv" in name:
            for module in (keras.layers, keras.src.layers):
                assert hasattr(module, name), name
                setattr(module, name, getattr(faltung.keras, name))
