"""Streams of PyTorch's models, of the command and of the example; refusals carry the layer's name."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import faltung as ft
from faltung import cli

torch = pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_stream.py"
MODEL = """
from torch import nn
def small():
    first = nn.Conv1d(2, 8, 9, padding=4), nn.ReLU(), nn.MaxPool1d(2)
    return nn.Sequential(*first, nn.Conv1d(8, 1, 5, padding=2)).eval()
"""


def hourglass() -> "torch.nn.Module":
    nn = torch.nn
    return nn.Sequential(
        *(nn.Conv1d(3, 16, 5, padding=2, stride=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(3, 2, 1)),
        *(nn.Conv1d(16, 16, 3, dilation=2, padding=2, groups=4), nn.GELU(), nn.ConvTranspose1d(16, 8, 4, 2, 1)),
        *(nn.Upsample(scale_factor=2), nn.Conv1d(8, 5, 3, padding=1)),
    ).eval()


@pytest.mark.parametrize("batch", [1, 3])
def test_tensors_in_chunks_are_the_tensor_of_the_whole(batch: int) -> None:
    model, x = hourglass(), torch.randn(batch, 3, 173)
    stream = ft.stream(model, x, batch=batch)
    parts = [stream(chunk) for chunk in torch.split(x, 17, dim=2)] + [torch.as_tensor(stream.flush())]
    got = torch.cat(parts, dim=2)
    assert torch.equal(got, ft.compile(model, x, precision="exact")(x))
    with torch.inference_mode():
        torch.testing.assert_close(got, model(x), rtol=0, atol=1e-5)


def test_weights_are_those_of_the_beginning() -> None:
    model, x = hourglass(), torch.randn(1, 3, 60)
    stream = ft.stream(model, x)
    before = stream(x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    stream.reset()
    assert torch.equal(stream(x), before)


def test_the_mean_over_time_is_refused_by_name() -> None:
    model = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()).eval()
    with pytest.raises(ft.ModelError, match=r"stream: .*1.* cannot run chunk by chunk: it needs the whole signal"):
        ft.stream(model, (1, 3, 50))


def test_the_command_times_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    np.savetxt(tmp_path / "signal.csv", np.random.default_rng(1).normal(size=(500, 2)), delimiter=",")
    model = [f"{tmp_path}/model.py:small", "--example", "1x2x400", "--csv", f"{tmp_path}/signal.csv"]
    done = CliRunner().invoke(cli.main, ["stream", *model, "--chunk", "30", "--sample-rate", "250"])
    assert done.exit_code == 0, done.output
    assert "delay 8.5, latency 9, receptive field 18 inputs" in done.output
    assert "17 chunks of 30: median" in done.output
    assert "real-time factor" in done.output and "latency 36.0 ms" in done.output


def test_the_command_says_what_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    np.savetxt(tmp_path / "signal.csv", np.ones((50, 3)), delimiter=",")
    model = [f"{tmp_path}/model.py:small", "--example", "1x2x400", "--csv", f"{tmp_path}/signal.csv"]
    done = CliRunner().invoke(cli.main, ["stream", *model])
    assert done.exit_code == 2 and "has 3 channels" in done.output


def test_the_example_runs() -> None:
    pytest.importorskip("pywt")
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "beat near sample" in done.stdout
    assert done.stdout.endswith("same bits as the whole recording: True\n")
