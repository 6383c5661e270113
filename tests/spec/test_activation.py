"""The one table of activations, and that whoever needs a formula for each has one."""

import re
from pathlib import Path

import pytest

import faltung
from faltung import reference
from faltung.codegen import activation, activation_gradient
from faltung.operators.activation import NUMPY
from faltung.spec.activation import (
    ACTIVATIONS,
    ALIASES,
    CHEAP,
    HEAVY_SLOPE,
    NOT_IN_NUMPY,
    SELU_ALPHA,
    SELU_SCALE,
    SHOWS_SLOPE,
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


def test_keras_and_the_page_use_our_names() -> None:
    """Keras has no gelu_tanh, and its leaky_relu has another default."""
    text = (SOURCES / "keras" / "backend.py").read_text(encoding="utf-8")
    (names,) = re.findall(r'_NAMES = "(.*)"', text)
    assert set(names.split()) == NAMES - {"gelu_tanh", "leaky_relu"}
    table = (
        (SOURCES / "show" / "web" / "numbers.js").read_text(encoding="utf-8").partition("const ACTIVATIONS = {\n")[2]
    )
    assert set(re.findall(r"^  (\w+)[:,]", table.partition("};")[0], re.MULTILINE)) == NAMES


def test_what_is_derived_names_activations() -> None:
    for derived in (SHOWS_SLOPE, CHEAP, HEAVY_SLOPE, NOT_IN_NUMPY):
        assert derived and derived < NAMES
    assert {name for name in ALIASES.values() if name is not None} <= NAMES
    assert not NAMES & set(ALIASES)


def test_the_constants_of_selu_are_the_oracles() -> None:
    assert (SELU_SCALE, SELU_ALPHA) == (reference._SELU_SCALE, reference._SELU_ALPHA)
    page = (SOURCES / "show" / "web" / "numbers.js").read_text(encoding="utf-8")
    assert f"const SELU = {{ alpha: {SELU_ALPHA!r}, scale: {SELU_SCALE!r} }};" in page
