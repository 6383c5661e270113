"""Which backend of Keras the demo runs on: the one the user chose, or JAX's on the processor."""

import importlib.util
import json
import os
from pathlib import Path

PACKAGES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}


def choose() -> str:
    """Set the backend before Keras is imported, and return its name.

    Chosen is what KERAS_BACKEND says, or what keras.json says; but not "tensorflow" there, which Keras itself writes
    on its first run.
    """
    backend = os.environ.get("KERAS_BACKEND") or _written() or _first_installed()
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return backend


def _written() -> str | None:
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        backend = json.loads(file.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError):
        return None
    is_chosen = backend in PACKAGES and backend != "tensorflow" and importlib.util.find_spec(PACKAGES[backend])
    return str(backend) if is_chosen else None


def _first_installed() -> str:
    return next((name for name, package in PACKAGES.items() if importlib.util.find_spec(package)), "jax")
