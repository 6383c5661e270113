"""A layer is diagnosed in under 50 ms, a model of 100 layers in under a second."""

import time
from typing import Any

import pytest
import torch

from faltung.diagnosis import diagnose

nn = torch.nn


def seconds(model: Any, data: Any) -> float:
    """Processor time of one diagnosis, the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        diagnose(model, data)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("shape", [(1, 128, 64), (8, 3, 224, 224), (1000,), (2, 3, 4, 5, 6)])
def test_a_layer(shape: tuple[int, ...], keras: Any) -> None:
    assert seconds(nn.Conv1d(64, 32, 3), shape) < 0.05
    assert seconds(nn.Conv2d(3, 32, 3), shape) < 0.05
    assert seconds(keras.layers.Conv2D(3, 3), shape) < 0.05
    assert seconds(keras.layers.Conv3D(3, 3), shape) < 0.05


def test_a_model_of_100_layers(keras: Any) -> None:
    stack = nn.Sequential(*(nn.Conv1d(16, 16, 3) for _ in range(100)))
    assert seconds(stack, (8, 250, 16)) < 1
    assert seconds(stack, (8, 16, 150)) < 1
    layers = [keras.layers.Conv1D(16, 3, name=f"c{at}") for at in range(100)]
    assert seconds(layers, (8, 150)) < 1
