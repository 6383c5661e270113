"""A cache of object code for this test session alone, so that no test reads or writes the user's."""

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set FALTUNG_CACHE_DIR before anything is collected: the doctests in src compile kernels too."""
    directory = tempfile.TemporaryDirectory(prefix="faltung-tests-")
    os.environ["FALTUNG_CACHE_DIR"] = directory.name
    config.add_cleanup(directory.cleanup)
