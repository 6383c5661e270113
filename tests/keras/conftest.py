"""Keras as it comes, and its own warnings. The files check_*.py are run by test_backends.py, and need no other."""

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what Keras itself does in the old way of NumPy 1: `Variable.numpy`."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )
