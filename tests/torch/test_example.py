"""The example that trains a network: the same losses, its picture, and what it says without its data."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.demo import datasets, torch_residual

EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_residual.py"


def test_the_example_learns_the_same_with_and_without_accelerate(tmp_path):
    done = subprocess.run([sys.executable, str(EXAMPLE), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    windows, found, losses, step, picture = done.stdout.splitlines()
    assert windows == "1152 windows of 7 exercises; 541 of other people for the test"
    plain, fast = (float(share) for share in re.findall(r"([\d.]+)%", found))
    assert abs(plain - fast) <= 1 and min(plain, fast) > 70
    early, all_steps = (float(number) for number in re.findall(r"(\de[-+]\d+)", losses))
    assert early < 1e-3 and all_steps < 0.02, losses
    assert re.fullmatch(r"a step: .* ms by PyTorch, .* ms by faltung, .* times as fast", step)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_without_the_recordings_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install seglearn"):
        torch_residual.load()
