"""Runs every check_*.py of this folder in a process for each backend of Keras, which is chosen once in a process."""

import subprocess
import sys
from pathlib import Path

import pytest
from keras_backends import on_backend

FOLDER = Path(__file__).parent
CHECKS = sorted(FOLDER.glob("check_*.py"))


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_everything_on(backend):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, CHECKS)]
    done = subprocess.run(command, capture_output=True, text=True, env=on_backend(backend), cwd=FOLDER.parents[1])
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout.splitlines()[-1] and "skipped" not in done.stdout.splitlines()[-1]
