"""A cache of object code for this test session alone, so that no test touches the user's; and Keras."""

import os
import tempfile
import warnings
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set FALTUNG_CACHE_DIR and Keras's backend before anything is collected: the doctests in src need both."""
    directory = tempfile.TemporaryDirectory(prefix="faltung-tests-")
    os.environ["FALTUNG_CACHE_DIR"] = directory.name
    config.add_cleanup(directory.cleanup)
    os.environ.setdefault("KERAS_BACKEND", "torch")  # the one that starts quickest


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, imported once and only when a test asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

    return keras
