"""A cache of object code for this test session alone, so that no test touches the user's; the order; and Keras."""

import gc
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

CACHE = "FALTUNG_TESTS_CACHE_DIR"
TESTS = Path(__file__).parent
LONGEST = (
    "operators/test_safety.py",
    "keras/test_own_suite.py",
    "keras/test_backends.py",
    "arrays/test_conv.py",
    "bench/test_peers.py",
    "test_demo.py",
    "arrays/test_gradients.py",
)
"""The files that take a minute and more, first: no worker of pytest-xdist is left alone with one at the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Set FALTUNG_CACHE_DIR and Keras's backend before anything is collected: the doctests in src need both.

    Workers and processes of pytest that a test starts keep their object code where this one does.
    """
    if CACHE not in os.environ:
        directory = tempfile.TemporaryDirectory(prefix="faltung-tests-")
        os.environ[CACHE] = directory.name
        config.add_cleanup(directory.cleanup)
    os.environ["FALTUNG_CACHE_DIR"] = os.environ[CACHE]
    os.environ.setdefault("KERAS_BACKEND", "torch")  # the one that starts quickest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    ranks = {TESTS / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported: kernels are large trees, and wake it a thousand times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, imported once and only when a test asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

    return keras
