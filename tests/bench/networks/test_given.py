"""`faltung compile MODEL --bench`: one model beside its host and the runtimes."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from faltung.bench.networks.given import given, peers_for
from faltung.cli import main
from faltung.errors import FaltungError

MODEL = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(3, 8, 5), nn.Dropout(), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()
"""


def test_a_model_is_compared_with_its_host_and_the_runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    saved = tmp_path / "net.faltung"
    told = ["compile", f"{file}:net", "--example", "4x3x50", "--bench", "--seconds", "0.02", "--save", str(saved)]
    result = CliRunner().invoke(main, told)
    assert result.exit_code == 0, result.output
    assert "conv" in result.output and saved.exists()
    heading = next(line for line in result.output.splitlines() if line.startswith("network  "))
    assert heading.split()[-3:] == ["torch", "onnxruntime", "openvino"]
    row = next(line.split() for line in result.output.splitlines() if line.startswith("model.py:net"))
    assert row[1] == "4" and float(row[3].replace(",", "")) > 0
    assert float(row[-3].replace(",", "")) > 0  # PyTorch was right, and timed; dropout is off in it


def test_inputs_have_the_shapes_and_types_of_the_compiled_network() -> None:
    network = given("speech.onnx", "onnx", {"x": ((2, 576), "float32"), "rate": ((), "int64")})
    inputs = network.inputs(2)
    assert {name: (x.shape, x.dtype.name) for name, x in inputs.items()} == {
        "x": ((2, 576), "float32"),
        "rate": ((), "int64"),
    }
    assert np.array_equal(inputs["x"], network.inputs(2)["x"])
    assert list(peers_for("onnx")) == ["faltung", "onnxruntime", "openvino"]


def test_several_inputs_are_compared_through_onnx_only() -> None:
    with pytest.raises(FaltungError, match="got 2 inputs"):
        given("model.py:net", "torch", {"x": ((1, 3), "float32"), "y": ((1, 3), "float32")})
