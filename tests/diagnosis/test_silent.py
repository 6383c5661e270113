"""What runs but is probably not meant is warned of, with its evidence; white noise is not."""

from typing import Any

import numpy as np
import torch

from faltung.diagnosis import diagnose

nn = torch.nn


def series(samples: int, steps: int, channels: int) -> np.ndarray:
    """Smooth series, as recordings are: (samples, steps, channels)."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 20, steps)[None, :, None]
    phase, speed = rng.uniform(0, 6, (samples, 1, channels)), rng.uniform(0.5, 2, (samples, 1, channels))
    return np.sin(time * speed + phase).astype("f4")


def kinds(model: Any, data: Any) -> list[str]:
    found = diagnose(model, data)
    assert found.ok
    return [warning.kind for warning in found.warnings]


def test_reshape_where_a_transpose_is_needed() -> None:
    x = series(8, 500, 12)
    layer = nn.Conv1d(12, 8, 7)
    assert kinds(layer, x.reshape(8, 12, 500)) == ["reshape for transpose"]  # seen from the view's base
    assert kinds(layer, x.reshape(8, 12, 500).copy()) == ["reshape for transpose"]  # seen from the numbers
    assert kinds(layer, np.ascontiguousarray(x.swapaxes(1, 2))) == []


def test_steps_and_channels_exchanged_but_legal(keras: Any) -> None:
    layer = keras.layers.Conv1D(8, 7, padding="same")
    assert kinds(layer, (64, 12, 5000)) == ["axes swapped"]
    assert kinds(layer, np.ascontiguousarray(series(8, 200, 20).swapaxes(1, 2))) == ["axes swapped"]
    assert kinds(layer, (64, 5000, 12)) == kinds(layer, (32, 10, 768)) == []


def test_one_step_with_many_channels(keras: Any) -> None:
    assert kinds(keras.layers.Conv1D(8, 3, padding="same"), (100, 1, 187)) == ["one step"]


def test_features_on_very_different_scales(keras: Any) -> None:
    x = series(8, 100, 3) * np.array([1, 1e4, 1], "f4")
    assert kinds(keras.layers.Conv1D(8, 3), x) == ["scales"]
    assert kinds(keras.layers.Conv1D(8, 3), series(8, 100, 3)) == []


def test_one_recording_read_as_a_batch(keras: Any) -> None:
    x = series(1, 400, 12)[0][..., None]  # (steps, leads, 1): each step has become a sample
    assert kinds(keras.layers.Conv1D(8, 3), x) == ["unbatched"]


def test_a_reshape_layer_that_mixes_axes(keras: Any) -> None:
    model = keras.Sequential([keras.Input((100, 3)), keras.layers.Reshape((3, 100)), keras.layers.Conv1D(4, 3)])
    assert kinds(model, (8, 100, 3)) == ["reshape for transpose"]


def test_a_view_that_merges_the_batch() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv1d(1, 4, 3), nn.Linear(32, 2)

        def forward(self, x: Any) -> Any:
            return self.fc(self.conv(x).view(-1, 32))

    assert kinds(Net(), (8, 1, 18)) == ["batch merged"]
    assert kinds(Net(), (8, 1, 10)) == []


def test_noise_has_no_warning() -> None:
    assert kinds(nn.Conv1d(12, 8, 7), np.random.default_rng(1).standard_normal((8, 12, 500), "f4")) == []
