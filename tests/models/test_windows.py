"""Sizes of layers whose window slides: those of spec.geometry, and what the frameworks make of the same options."""

import random
from typing import Any

import pytest
import torch

import faltung as ft
from faltung.models.geometry import forward
from faltung.models.readers.torch_layers import describe
from faltung.models.reading import as_program
from faltung.spec.transposed import transposed_size

nn = torch.nn


def out_of(model: Any, shape: tuple[int, ...]) -> Any:
    return as_program(model).run(shape, {}).output_shape


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_pools_of_pytorch(seed: int, ceil: bool) -> None:
    draw = random.Random(seed)
    window, step, size = draw.randint(2, 7), draw.randint(1, 5), draw.randint(8, 40)
    layer = nn.MaxPool1d(window, step, padding=draw.randint(0, (window - 1) // 2), ceil_mode=ceil)
    x = torch.zeros(2, 3, size)
    assert forward(describe(layer, ""), tuple(x.shape)) == tuple(layer(x).shape)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("size, window, step", [(7, 3, 1), (8, 4, 3), (9, 2, 2), (31, 7, 5), (1, 3, 2)])
def test_specs(padding: str, size: int, window: int, step: int) -> None:
    if padding == "valid" and size < window:
        size = window
    spec = ft.ConvSpec(in_size=size, in_channels=2, out_channels=3, kernel_size=window, stride=step, padding=padding)
    layer = as_program(spec).layers[0].change(padding=padding)  # in a word, where the spec says numbers
    assert layer.pairs((size,)) == spec.padding and layer.window == spec.effective_kernel
    assert out_of(spec, spec.input_shape) == spec.output_shape


@pytest.mark.parametrize("seed", range(10))
def test_transposed_layers(seed: int, keras: Any) -> None:
    draw = random.Random(seed)
    window, step, size = draw.randint(1, 6), draw.randint(1, 4), draw.randint(1, 20)
    low = draw.randint(0, (window - 1) // 2)
    layer = nn.ConvTranspose1d(2, 3, window, step, padding=low)
    assert transposed_size(size, window, step, (low, low)) == layer(torch.zeros(1, 2, size)).shape[-1]
    assert out_of(layer, (1, 2, size)) == tuple(layer(torch.zeros(1, 2, size)).shape)
    for padding in ("valid", "same"):
        ours = keras.layers.Conv1DTranspose(3, window, strides=step, padding=padding)
        assert out_of(ours, (1, size, 2)) == tuple(ours.compute_output_shape((1, size, 2)))
