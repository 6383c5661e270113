"""Where the catalogue is found, and Keras, imported once and only when a test asks for it."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = ["cases/*"]  # data: the tests import it, when Keras may be imported

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras on the backend that starts quickest here."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

    return keras
