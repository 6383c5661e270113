"""Each activation against the same formula in 60 decimal digits: on a dense grid, and where numbers end."""

import decimal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from checking import python
from numpy.typing import NDArray

import faltung as ft
from faltung.spec import ACTIVATIONS

CONTEXT = decimal.Context(prec=60, Emin=-999_999, Emax=999_999)
SELU_SCALE, SELU_ALPHA = Decimal("1.0507009873554805"), Decimal("1.6732632423543772")
ONE, HALF = Decimal(1), Decimal("0.5")
PI = Decimal("3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679")

# Errors in units of eps, the spacing of 1: (of |f(x)|, where |x| <= 8; of max(|x|, |f(x)|), everywhere).
# Measured on Zen 5, with and without fused multiply-add, in both precisions, then rounded up; reference.bound grants 4
# of the second. The tails of gelu lose digits relative to themselves, by the rounding of the exponent, x*x/2.
MOST_EPS: dict[str, tuple[float, float]] = {
    "relu": (0, 0),
    "relu6": (0, 0),
    "leaky_relu": (0.7, 0.5),
    "elu": (1, 1),
    "selu": (2, 2),
    "gelu": (60, 2),
    "gelu_tanh": (60, 2),
    "silu": (3, 2),
    "sigmoid": (3, 1),
    "tanh": (2, 2),
    "softplus": (3, 2),
    "hard_sigmoid": (1, 1),
    "hard_silu": (2, 1),
}


def exp(x: Decimal) -> Decimal:
    return max(min(x, Decimal(3000)), Decimal(-3000)).exp(CONTEXT)


def expm1(x: Decimal) -> Decimal:
    return x + x * x / 2 if abs(x) < Decimal("1e-25") else exp(x) - 1


def tanh(x: Decimal) -> Decimal:
    twice = expm1(2 * x)
    return twice / (twice + 2)


def erfc(z: Decimal) -> Decimal:
    """1 - erf(z), erf by the series of positive terms in Abramowitz and Stegun, 7.1.6; below 1e-28 it counts as 0."""
    if abs(z) > 8:
        return Decimal(0) if z > 0 else Decimal(2)
    with decimal.localcontext(prec=100):
        term, total, n = abs(z), abs(z), 0
        while term > total * Decimal("1e-98"):
            n += 1
            term *= 2 * z * z / (2 * n + 1)
            total += term
        erf = 2 * total * (-z * z).exp() / PI.sqrt()
        return 1 - erf if z > 0 else 1 + erf


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + exp(-x))


def elu(x: Decimal, alpha: Decimal) -> Decimal:
    return x if x > 0 else alpha * expm1(x)


def relu6(x: Decimal) -> Decimal:
    return max(Decimal(0), min(x, Decimal(6)))


EXACT: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "relu": lambda x, _: max(x, Decimal(0)),
    "relu6": lambda x, _: relu6(x),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": elu,
    "selu": lambda x, _: SELU_SCALE * elu(x, SELU_ALPHA),
    "gelu": lambda x, _: x / 2 * erfc(-x / Decimal(2).sqrt()),
    "gelu_tanh": lambda x, _: x * sigmoid(2 * (2 / PI).sqrt() * (x + Decimal("0.044715") * x**3)),
    "silu": lambda x, _: x * sigmoid(x),
    "sigmoid": lambda x, _: sigmoid(x),
    "tanh": lambda x, _: tanh(x),
    "softplus": lambda x, _: max(x, Decimal(0)) + (1 + exp(-abs(x))).ln(),
    "hard_sigmoid": lambda x, _: relu6(x + 3) / 6,
    "hard_silu": lambda x, _: x * relu6(x + 3) / 6,
}


def exact(name: str, x: float, parameter: float | None) -> Decimal:
    """The activation of the number x, as if there were no rounding."""
    with decimal.localcontext(CONTEXT):
        return EXACT[name](Decimal(x), Decimal(parameter or 0.0))


def activate(x: NDArray[Any], name: str, parameter: float | None = None) -> NDArray[Any]:
    """The activation of each number of x alone: one tap of 1, one channel."""
    activation = name if parameter is None else (name, parameter)
    kernel = np.ones((1, 1, 1), x.dtype)
    return ft.conv1d(x.reshape(1, -1, 1), kernel, activation=activation, precision="exact").ravel()  # denormals too


def grid(dtype: str) -> NDArray[Any]:
    """Zeros, a dense middle, all powers of two from the least to the largest number, and the largest itself."""
    limits = np.finfo(dtype)
    powers = np.ldexp(np.ones(1, dtype), np.arange(limits.minexp - limits.nmant, limits.maxexp, 3).astype(np.int32))
    positive = np.concatenate([[0.0, limits.tiny, limits.max], powers, 1.3 * powers[:-1], np.linspace(1e-3, 24, 1201)])
    positive = np.concatenate([positive, np.linspace(80, 120, 21), np.linspace(690, 750, 21)]).astype(dtype)
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_error(name: str, dtype: str) -> None:
    limits = np.finfo(dtype)
    eps, tiny = Decimal(float(limits.eps)), Decimal(float(limits.tiny))
    x = grid(dtype)
    y = activate(x, name)
    assert np.isfinite(y[abs(x) < limits.max]).all()
    worst_relative, worst_scaled = (Decimal(0), 0.0), (Decimal(0), 0.0)
    for value, got in zip(map(float, x), map(float, y), strict=True):
        if abs(value) == float(limits.max) and not np.isfinite(got):
            assert name == "selu" and value > 0  # 1.05 times the largest number
            continue
        expected = exact(name, value, ACTIVATIONS[name])
        error = abs(Decimal(got) - expected) / eps
        scaled = error / max(abs(expected), abs(Decimal(value)), tiny)
        worst_scaled = max(worst_scaled, (scaled, value))
        if abs(value) <= 8:
            worst_relative = max(worst_relative, (error / max(abs(expected), tiny), value))
    most_relative, most_scaled = MOST_EPS[name]
    assert worst_relative[0] <= most_relative, f"{worst_relative[0]:.2f} eps of f(x) at x = {worst_relative[1]!r}"
    assert worst_scaled[0] <= most_scaled, f"{worst_scaled[0]:.2f} eps of max(|x|, |f(x)|) at x = {worst_scaled[1]!r}"


@pytest.mark.parametrize("parameter", [0.0, 0.01, 0.3, 1.7, -0.5])
@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_parameters(name: str, parameter: float) -> None:
    x = np.linspace(-9, 9, 181)
    expected = [float(exact(name, value, parameter)) for value in map(float, x)]
    np.testing.assert_allclose(activate(x, name, parameter), expected, rtol=4 * np.finfo("f8").eps, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "sigmoid", "softplus"])
def test_nothing_is_left_far_below_zero(name: str, dtype: str) -> None:
    """Once wrong: an exponential that never reaches 0, times a huge number."""
    limits = np.finfo(dtype)
    x = -np.array([1e3, 1e10, 1e20, 1e30, limits.max / 2, limits.max], dtype)
    np.testing.assert_allclose(activate(x, name), np.zeros(x.size), atol=float(limits.eps) ** 2)


LIMITS = {  # name -> f(-infinity), f(infinity); NaN where it is infinity times zero, as in PyTorch
    "relu": (0, np.inf),
    "relu6": (0, 6),
    "leaky_relu": (-np.inf, np.inf),
    "elu": (-1, np.inf),
    "selu": (-float(SELU_SCALE * SELU_ALPHA), np.inf),
    "gelu": (np.nan, np.inf),
    "gelu_tanh": (np.nan, np.inf),
    "silu": (np.nan, np.inf),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "softplus": (0, np.inf),
    "hard_sigmoid": (0, 1),
    "hard_silu": (np.nan, np.inf),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_and_infinity(name: str, dtype: str) -> None:
    """NaN in every lane stays NaN, and disturbs no other lane."""
    low, high = LIMITS[name]
    x = np.tile(np.array([np.nan, -np.inf, np.inf], dtype), 33)
    y = activate(x, name)
    limits = np.finfo(dtype)
    np.testing.assert_allclose(
        y, np.tile([np.nan, low, high], 33), rtol=2 * float(limits.eps), atol=4 * float(limits.tiny)
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_number_is_activated_alone(name: str) -> None:
    """Whatever lane a number falls into, in a whole vector or a rest, its activation has the same bits."""
    x = np.linspace(-6, 6, 67).astype("f4")
    alone = np.concatenate([activate(x[[index]], name) for index in range(x.size)])
    assert activate(x, name).tobytes() == alone.tobytes()


def test_without_fused_multiply_add_the_errors_are_the_same() -> None:
    """The same table on the baseline of x86-64, whose products and sums are rounded apart."""
    done = python(
        "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-k', 'test_error', sys.argv[1]]))",
        __file__,
        FALTUNG_TARGET="x86-64",
    )
    assert done.returncode == 0, done.stdout
