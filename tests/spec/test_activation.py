"""The one table of activations, and that whoever needs a formula for each has one."""

from pathlib import Path

import pytest

import faltung
from faltung import reference
from faltung.codegen import activation, activation_gradient
from faltung.operators.activation import NUMPY
from faltung.spec.activation import (
    ACTIVATIONS,
    SELU_ALPHA,
    SELU_SCALE,
)

NAMES = set(ACTIVATIONS)
SOURCES = Path(faltung.__file__).parent


@pytest.mark.parametrize(
    "table",
    [
        reference.ACTIVATE,
        reference.SLOPE,
        activation.ACTIVATIONS,
        activation_gradient.GRADIENTS,
        NUMPY,
    ],
    ids=["reference", "reference slopes", "codegen", "codegen gradients", "NumPy"],
)
def test_every_formula_is_there(table: dict[str, object]) -> None:
    assert set(table) == NAMES


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_every_framework_has_every_formula(framework: str) -> None:
    functions = pytest.importorskip(f"faltung.{framework}.activation").FUNCTIONS
    assert set(functions) == NAMES


def test_keras_functions_are_known_by_our_names() -> None:
    """Keras has no gelu_tanh, and its leaky_relu takes a parameter of its own."""
    pytest.importorskip("keras")
    from faltung.keras.backend import ACTIVATIONS as ours_in_keras

    assert set(ours_in_keras.values()) >= NAMES - {"gelu_tanh", "leaky_relu"}
    assert set(ours_in_keras.values()) <= NAMES


def test_the_page_has_every_formula() -> None:
    page = (SOURCES / "pages" / "web" / "numbers.js").read_text(encoding="utf-8")
    assert f"const SELU = {{ alpha: {SELU_ALPHA!r}, scale: {SELU_SCALE!r} }};" in page
