"""Same message, different causes; readings, apply, and that the reasoning follows the numbers."""

from typing import Any

import numpy as np
import pytest
import torch

import faltung as ft
from faltung.diagnosis import diagnose

nn = torch.nn


@pytest.mark.parametrize(
    "channels, shape, code",
    [
        (12, (5000, 12), "x = x.T"),  # the channels stand last
        (1, (32, 100), "x = x[:, None]"),  # there are none
        (5, (1, 4, 100), "layer = nn.Conv1d(4, 8, 3)"),  # the layer is for other data
        (100, (8, 50, 100), "x = x.transpose(1, 2)"),
    ],
)
def test_the_numbers_decide_what_one_message_means(channels: int, shape: tuple[int, ...], code: str) -> None:
    assert diagnose(nn.Conv1d(channels, 8, 3), shape).faults[0].fixes[0].code == code


@pytest.mark.parametrize("size", [7, 8, 9, 31, 64, 100, 128, 513])
def test_exactly_matching_channels_decide_for_any_size(size: int) -> None:
    found = diagnose(nn.Conv1d(size, 8, 3), (4, size + 50, size))
    assert found.fixed_shape == (4, size, size + 50)
    assert found.faults[0].fixes[0].confidence > 0.8


def test_two_readings_fit_where_shapes_cannot_decide(keras: Any) -> None:
    found = diagnose(keras.layers.Conv1D(8, 3), (7000, 30))
    assert found.faults[0].is_ambiguous
    assert [fix.data_shape for fix in found.faults[0].fixes[:2]] == [(7000, 30, 1), (1, 7000, 30)]
    assert "Two readings fit" in str(found)


def test_axes_are_named_and_the_differing_one_is_marked() -> None:
    fault = diagnose(nn.Conv1d(64, 32, 3), (1, 128, 64)).faults[0]
    assert [(axis.name, axis.wanted, axis.differs) for axis in fault.axes] == [
        ("batch", "any", False),
        ("channels", "64", True),
        ("steps", "3 or more", True),
    ]
    assert fault.where == "Conv1d" and "each other's place" in fault.cause


def test_apply_mends_data_of_every_host() -> None:
    found = diagnose(nn.Conv1d(3, 8, 5), (2, 100, 3))
    x = np.arange(600, dtype="f4").reshape(2, 100, 3)
    np.testing.assert_array_equal(found.apply(x), x.swapaxes(1, 2))
    assert torch.equal(found.apply(torch.from_numpy(x)), torch.from_numpy(x).transpose(1, 2))


def test_apply_refuses_what_only_the_model_can_mend() -> None:
    found = diagnose(nn.Conv1d(3, 8, 5), (2, 4, 100))
    with pytest.raises(ft.ShapeError, match="needs a change of the model, not of the data"):
        found.apply(np.zeros((2, 4, 100), "f4"))


def test_the_minimum_length_of_a_stack_is_told_with_who_took_it() -> None:
    stack = nn.Sequential(nn.Conv1d(1, 4, 5), nn.MaxPool1d(4), nn.Conv1d(4, 4, 7), nn.MaxPool1d(4), nn.Conv1d(4, 4, 3))
    fault = diagnose(stack, (1, 1, 40)).faults[0]
    wanted = next(fix for fix in fault.fixes if fix.target == "data")
    least = wanted.data_shape[-1]
    assert stack(torch.zeros(1, 1, least)).shape[-1] == 1 and least == 76
    with pytest.raises(RuntimeError):
        stack(torch.zeros(1, 1, least - 1))
    assert "40 → 36 → 9" in fault.cause and "most of it taken by MaxPool1d (model[1])" in fault.cause


def test_features_are_told_with_how_they_follow() -> None:
    stack = nn.Sequential(nn.Conv1d(1, 32, 3), nn.Flatten(), nn.Linear(99, 2))
    cause = diagnose(stack, (4, 1, 50)).faults[0].cause
    assert "1536 features come = 32×48 (channels × steps)" in cause and "made for 99" in cause


def test_an_unreadable_model_is_refused_in_one_line() -> None:
    with pytest.raises(ft.ShapeError, match="diagnose: the model must be a Keras layer or model"):
        diagnose(object(), (1, 2, 3))
    with pytest.raises(ft.ShapeError, match="declares no input"):
        diagnose(nn.Conv1d(1, 2, 3))


def test_html_has_the_same_story() -> None:
    page = diagnose(nn.Conv1d(64, 32, 3), (1, 128, 64))._repr_html_()
    assert "x = x.transpose(1, 2)" in page and "background" in page and "<script" not in page
