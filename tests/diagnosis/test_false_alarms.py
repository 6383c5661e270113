"""No false alarm: on valid pairs of layer and input, and on every example of the project, nothing is wrong."""

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import faltung as ft
from faltung.diagnosis import diagnose
from faltung.spec import read_cases


def random_numbers(seed: int) -> dict[str, Any]:
    """Numbers of a convolution and of an input that it takes."""
    draw = random.Random(seed)
    rank, groups = draw.choice((1, 1, 2, 3)), draw.choice((1, 1, 1, 2, 4))
    kernel = [draw.randint(1, 7) for _ in range(rank)]
    stride, dilation = draw.choice(((1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 3)))
    sizes = [dilation * (k - 1) + 1 + draw.randint(0, 40) for k in kernel]
    return {
        "rank": rank,
        "groups": groups,
        "inputs": groups * draw.randint(1, 16),
        "outputs": groups * draw.randint(1, 16),
        "kernel": tuple(kernel),
        "stride": stride,
        "dilation": dilation,
        "sizes": tuple(sizes),
        "batch": draw.choice((1, 2, 8, 32)),
        "padding": draw.choice(("valid", "same")),
    }


def assert_nothing_wrong(model: Any, data: Any, wanted: Any = None) -> None:
    found = diagnose(model, data)
    assert found.ok and not found.warnings, f"{model} {getattr(data, 'shape', data)}\n{found}"
    if wanted is not None:
        assert found.output_shape == wanted


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_valid_pytorch_layers(seed: int) -> None:
    for one in range(seed, seed + 20):
        n = random_numbers(one)
        padding = n["padding"] if n["stride"] == 1 else 0
        kind = getattr(torch.nn, f"Conv{n['rank']}d")
        options = {"stride": n["stride"], "dilation": n["dilation"], "groups": n["groups"], "padding": padding}
        layer = kind(n["inputs"], n["outputs"], n["kernel"], **options)
        x = torch.randn(n["batch"], n["inputs"], *n["sizes"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch about even kernels
            assert_nothing_wrong(layer, x, tuple(layer(x).shape))
            assert_nothing_wrong(torch.nn.Sequential(layer, torch.nn.ReLU()), tuple(x.shape))


@pytest.mark.parametrize("seed", range(200, 350, 30))
def test_valid_keras_layers(seed: int, keras: Any) -> None:
    for one in range(seed, seed + 30):
        n = random_numbers(one)
        kind = getattr(keras.layers, f"Conv{n['rank']}D")
        options = {
            "strides": n["stride"],
            "dilation_rate": n["dilation"],
            "groups": n["groups"],
            "padding": n["padding"],
        }
        layer = kind(n["outputs"], n["kernel"], **options)
        shape = (n["batch"], *n["sizes"], n["inputs"])
        assert_nothing_wrong(layer, shape, tuple(layer.compute_output_shape(shape)))
        layer.build(shape)
        assert_nothing_wrong(layer, np.random.default_rng(one).standard_normal(shape, "f4"))


@pytest.mark.parametrize("seed", range(350, 550, 50))
def test_valid_specs(seed: int) -> None:
    for one in range(seed, seed + 50):
        n = random_numbers(one)
        spec = ft.ConvSpec(
            in_size=n["sizes"],
            in_channels=n["inputs"],
            out_channels=n["outputs"],
            kernel_size=n["kernel"],
            batch=n["batch"],
            stride=n["stride"],
            dilation=n["dilation"],
            groups=n["groups"],
            padding=n["padding"],
        )
        assert_nothing_wrong(spec, spec.input_shape, spec.output_shape)
        assert_nothing_wrong(spec.to_text(), None, spec.output_shape)


@pytest.mark.parametrize("suite", ["cases.txt", "networks.txt"])
def test_the_benchmarks_of_the_project(suite: str) -> None:
    texts = read_cases((Path(ft.__file__).parent / "bench" / "suites" / suite).read_text(encoding="utf-8"))
    specs = [text for text in texts.values() if "_transpose" not in text]  # those have no spec
    assert specs
    for text in specs:
        assert_nothing_wrong(text, None)


def test_an_image_without_its_batch_is_fine_in_pytorch() -> None:
    assert_nothing_wrong(torch.nn.Conv2d(3, 8, 3), (3, 224, 224))


def test_networks_that_people_build() -> None:
    nn = torch.nn
    stack = nn.Sequential(
        nn.Conv1d(12, 32, 7, stride=2, padding=3),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 5, dilation=2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, 5),
    )
    assert_nothing_wrong(stack, (8, 12, 5000), (8, 5))
    assert_nothing_wrong(nn.Sequential(nn.Embedding(1000, 64), nn.Linear(64, 8)), (8, 20), (8, 20, 8))
    assert_nothing_wrong(nn.LSTM(16, 32, batch_first=True), (8, 100, 16))
    assert_nothing_wrong(nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1), (1, 8, 9, 9), (1, 4, 20, 20))
