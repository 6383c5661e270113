"""ft.explain: the numbers it tells are those of the layer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import faltung as ft
from faltung.cli import main

nn = torch.nn


def test_a_spec_in_full() -> None:
    text = str(ft.explain("conv1d n8 w100 ic16 oc32 kw7 sw2 same"))
    for line in (
        "conv1d: x (8, 100, 16) → y (8, 50, 32)",
        "axes           batch 8 → 8, steps 100 → 50, channels 16 → 32",
        "output size    steps: floor((100 + 2 + 3 - 1*(7 - 1) - 1) / 2) + 1 = 50",
        "parameters     3,584",
        "multiplications 1,433,600",
        "receptive field 7 (steps)",
        "padding        steps 2 before, 3 after",
        "first output   reads steps 0 … 4 and 2 of padding",
        "middle output  reads steps 48 … 54",
        "last output    reads steps 96 … 99 and 3 of padding",
        "as 2-D         conv2d on x (8, 1, 100, 16) with a kernel (1, 7), stride (1, 2)",
        "stride=2: an output for every second position, 100 → 50",
    ):
        assert line in text
    assert ft.ConvSpec.from_text("conv1d n8 w100 ic16 oc32 kw7 sw2 same").macs == 1_433_600


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 8, 3, dilation=2), nn.ConvTranspose1d(32, 16, 4, stride=2), nn.Conv1d(8, 8, 3, groups=8)]
)
def test_layers_of_pytorch(layer: Any) -> None:
    shape = {"Conv2d": (1, 3, 20, 20), "ConvTranspose1d": (2, 32, 10), "Conv1d": (2, 8, 20)}[type(layer).__name__]
    text = str(ft.explain(layer, shape))
    assert f"→ y {tuple(layer(torch.zeros(shape)).shape)}" in text
    assert f"parameters     {sum(p.numel() for p in layer.parameters()):,} with bias" in text


def test_a_model_as_a_table() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 8, 7),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(8, 16, 7, dilation=2),
        nn.Flatten(),
        nn.Linear(1600, 10),
    )
    lines = str(ft.explain(model, (32, 1, 454))).splitlines()
    row = next(line for line in lines if line.startswith("3 Conv1d"))
    assert row.split()[-4:] == ["58", "4", "912", "2,867,200"]  # 10 + 12*4 inputs seen, 4 apart
    assert f"{sum(p.numel() for p in model.parameters()):,}" in lines[-1]


@pytest.mark.filterwarnings("ignore")
def test_keras_models(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((64, 3)), keras.layers.Conv1D(8, 5), keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(2)]
    )
    assert f"{model.count_params():,}" in str(ft.explain(model)).splitlines()[-1]


def test_a_shape_that_does_not_fit_is_diagnosed() -> None:
    assert "x = x.transpose(1, 2)" in str(ft.explain(nn.Conv1d(64, 32, 3), (1, 128, 64)))


def test_the_commands(tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(main, ["doctor", "conv1d n8 w100 ic16 oc32 kw7", "8x100x16"])
    assert done.exit_code == 0 and "nothing wrong" in done.output
    np.save(tmp_path / "x.npy", np.zeros((100, 16), "f4"))
    done = run(
        main, ["doctor", "conv1d n1 w100 ic16 oc32 kw7", str(tmp_path / "x.npy"), "--fix", str(tmp_path / "y.npy")]
    )
    assert done.exit_code == 1 and "x = x[None]" in done.output
    assert np.load(tmp_path / "y.npy").shape == (1, 100, 16)
    (tmp_path / "net.py").write_text("from torch import nn\nnet = nn.Conv1d(3, 8, 5)\n")
    done = run(main, ["doctor", f"{tmp_path / 'net.py'}:net", "2x100x3"])
    assert done.exit_code == 1 and "x = x.transpose(1, 2)" in done.output
    done = run(main, ["explain", "conv1d n8 w100 ic16 oc32 kw7"])
    assert done.exit_code == 0 and "receptive field 7" in done.output
    for wrong in (
        ["doctor", "no such model", "1x2"],
        ["doctor", f"{tmp_path / 'net.py'}:other", "1x2"],
        ["doctor", "a.keras", "1x2"],
    ):
        done = run(main, wrong)
        assert done.exit_code == 2 and len(done.output.strip().splitlines()) == 1


@pytest.mark.filterwarnings("ignore")
def test_doctor_reads_keras_files(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((64, 3)), keras.layers.Conv1D(8, 5)]).save(tmp_path / "m.keras")
    done = CliRunner().invoke(main, ["doctor", str(tmp_path / "m.keras"), "8x3x64"])
    assert done.exit_code == 1 and "x = x.swapaxes(1, 2)" in done.output
