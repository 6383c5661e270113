"""The short programs of examples/keras: each runs, and prints what it should, on each backend."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "keras"
PRINTED = {
    "anomalies": ["found where it is: True"],
    "conv1d_as_conv2d": ["(4, 10) equal: True"],
    "conv1d_on_sequences": ["(1, 20, 16)", "kernel (5, 3, 16)"],
    "conv2d_on_images": ["(1, 32, 32, 32)", "kernel (3, 3, 3, 32)"],
    "dna": [
        "GGCTATAAAGGCACGTTTAC holds it at 3 with 6",
        "GGCTACGAAGGCACGTTTAC agrees best at 3 with 4",
        "ACGTACGTACTTTATAAACG holds it at 12 with 6",
    ],
    "five_features": ["(64, 50, 32)", "x (64, 50, 5) → y (64, 50, 32)"],
    "model_summary": ["(Conv1D*)", "(None, 98, 64)", "(32, 98, 64)"],
    "normalisation": ["mean [0. 0.] deviation [1. 1.]", "(64, 50, 32)"],
    "spectrogram": ["(100, 20, 10, 1) becomes (100, 18, 8, 32)"],
    "stock_prices": ["the loss falls: True", "no change: True"],
    "text": ["learned: 6 of 6"],
    "time_at_each_sensor": ["Conv1D (None, 20, 10, 16)", "Conv2D (1, 10, 20, 32)"],
}


def test_every_example_is_checked():
    assert sorted(PRINTED) == sorted(example.stem for example in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert all(line in printed for line in PRINTED[name]), printed
