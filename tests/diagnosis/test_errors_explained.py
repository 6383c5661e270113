"""ft.explain_errors adds the diagnosis to errors of the frameworks, and errors of our own carry theirs."""

import sys
from typing import Any

import numpy as np
import pytest
import torch

import faltung as ft
from faltung import errors

nn = torch.nn


def raised(run: Any) -> Any:
    with pytest.raises(Exception) as caught, ft.explain_errors():
        run()
    return caught.value


def test_an_error_of_a_pytorch_layer() -> None:
    error = raised(lambda: nn.Sequential(nn.Conv1d(3, 8, 3))(torch.zeros(2, 50, 3)))
    assert isinstance(error, RuntimeError) and isinstance(error, ft.ShapeError)
    assert isinstance(error.__cause__, RuntimeError) and "expected input" in str(error.__cause__)
    assert "x = x.transpose(1, 2)" in str(error)
    assert error.diagnosis.faults[0].kind == "axes swapped"


def test_an_error_of_a_function_and_of_a_constructor() -> None:
    error = raised(lambda: torch.nn.functional.conv1d(torch.zeros(2, 50, 3), torch.zeros(8, 3, 5)))
    assert error.diagnosis.faults[0].fixes[0].code == "x = x.transpose(1, 2)"
    error = raised(lambda: nn.Conv1d(3, 8, 3, stride=2, padding="same"))
    assert error.diagnosis.faults[0].kind == "same with stride" and isinstance(error, ValueError)


@pytest.mark.filterwarnings("ignore")
def test_errors_of_keras(keras: Any) -> None:
    L = keras.layers
    error = raised(lambda: keras.Sequential([keras.Input((30,)), L.Conv1D(8, 3)]))
    assert error.diagnosis.faults[0].fixes[0].code == "keras.Input(shape=(30, 1))"
    model = keras.Sequential([keras.Input((128, 3)), L.Conv1D(8, 3), L.Flatten(), L.Dense(2)])
    error = raised(lambda: model(np.zeros((4, 3, 128), "f4")))
    assert error.diagnosis.fixed_shape == (4, 128, 3) and isinstance(error.__cause__, ValueError)
    error = raised(lambda: L.Conv1D(8, 3, strides=2, dilation_rate=2))
    assert error.diagnosis.faults[0].kind == "stride with dilation"


def test_other_errors_pass_unchanged_and_nothing_happens_without_one() -> None:
    with pytest.raises(ZeroDivisionError) as caught, ft.explain_errors():
        1 / 0  # noqa: B018
    assert caught.value.__cause__ is None
    with ft.explain_errors():
        assert nn.Conv1d(3, 8, 3)(torch.zeros(2, 3, 50)).shape == (2, 8, 48)


def test_it_is_a_decorator_too() -> None:
    @ft.explain_errors()
    def run() -> Any:
        return nn.Conv1d(3, 8, 3)(torch.zeros(2, 50, 3))

    with pytest.raises(ft.ShapeError, match="transpose"):
        run()


def test_everywhere_speaks_after_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    ft.explain_errors(everywhere=True)
    try:
        nn.Conv1d(3, 8, 3)(torch.zeros(2, 50, 3))
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert "x = x.transpose(1, 2)" in capsys.readouterr().err


def f4(*shape: int) -> np.ndarray:
    return np.ones(shape, "f4")


@pytest.mark.parametrize(
    "call, code",
    [
        (lambda: ft.conv1d(f4(100, 3), f4(5, 3, 8)), "x = x[None]"),
        (lambda: ft.conv1d(f4(2, 3, 100), f4(5, 3, 8)), 'y = ft.conv1d(x, kernel, layout="NCW")'),
        (lambda: ft.conv2d(f4(2, 9, 9, 3), f4(16, 3, 5, 5)), "y = ft.conv2d(x, kernel.transpose(2, 3, 1, 0))"),
        (lambda: ft.conv1d(f4(2, 5, 3), f4(9, 3, 8)), 'y = ft.conv1d(x, kernel, padding="same")'),
    ],
)
def test_errors_of_our_own_carry_their_diagnosis(call: Any, code: str) -> None:
    with pytest.raises(ft.ShapeError) as caught:
        call()
    assert caught.value.diagnosis.faults[0].fixes[0].code == code
    assert caught.value.diagnosis is caught.value.diagnosis


def test_errors_do_not_know_who_explains_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "explain_error", None)
    assert ft.ShapeError("x must have 3 axes; got 2.").diagnosis is None
    monkeypatch.setattr(errors, "explain_error", lambda error: f"because {error}")
    assert ft.ShapeError("so").diagnosis == "because so"


def test_every_error_of_our_own_has_a_diagnosis() -> None:
    for call in (
        lambda: ft.ConvSpec.from_text("conv1d foo"),
        lambda: ft.ConvSpec(in_size=5, in_channels=0, out_channels=1, kernel_size=1),
        lambda: ft.conv1d_transpose(f4(2, 10, 3), f4(3, 3, 4)),
        lambda: ft.conv1d(np.zeros((1, 9, 3), "i4"), f4(3, 3, 4)),
    ):
        with pytest.raises(ft.FaltungError) as caught:
            call()
        assert caught.value.diagnosis.faults
