"""Activations on vectors, from arithmetic alone: no call into libm, the same code for every lane count and precision.

exp: x = k ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial in r, and 2**k written into the exponent bits
(W. J. Cody, W. Waite, Software Manual for the Elementary Functions, 1980, ch. 6). log1p: the series of atanh. erfc:
a polynomial in (z - 2) / (z + 2), after M. M. Shepherd, J. G. Laframboise, Math. Comp. 36, 1981, 249-253, whose
coefficients are computed here from math.erfc.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Union

from faltung.codegen.emitter import Emitter, Value
from faltung.spec.activation import CHEAP, SELU_ALPHA, SELU_SCALE


def is_cheap(activation: str | None) -> bool:
    """Does it cost a few instructions only, so that it belongs into the registers of a tile?"""
    return activation is None or activation in CHEAP


def activate(e: Emitter, value: Value, activation: str | None, parameter: float | None) -> Value:
    """The activation of each lane; NaN stays NaN."""
    if activation is None:
        return value
    return ACTIVATIONS[activation](Number(e, value), parameter or 0.0).value


Operand = Union["Number", float]


@dataclass
class Number:
    """A vector that is written like a number."""

    e: Emitter
    value: Value

    def of(self, other: Operand) -> "Number":
        return other if isinstance(other, Number) else Number(self.e, self.e.splat(other))

    def _with(self, how: str, other: Operand) -> "Number":
        return Number(self.e, self.e.arithmetic(self.value, how, self.of(other).value))

    def __add__(self, other: Operand) -> "Number":
        return self._with("+", other)

    def __sub__(self, other: Operand) -> "Number":
        return self._with("-", other)

    def __rsub__(self, other: float) -> "Number":
        return self.of(other) - self

    def __mul__(self, other: Operand) -> "Number":
        return self._with("*", other)

    def __truediv__(self, other: Operand) -> "Number":
        return self._with("/", other)

    def __rtruediv__(self, other: float) -> "Number":
        return self.of(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def times_plus(self, factor: Operand, term: Operand) -> "Number":
        """self * factor + term, rounded once."""
        return Number(self.e, self.e.fma(self.value, self.of(factor).value, self.of(term).value))

    def where(self, how: str, limit: float, yes: Operand, no: Operand) -> "Number":
        """`yes` in the lanes where self < limit (or whatever `how` says), `no` in the others and in NaN lanes."""
        mask = self.e.is_ordered(self.value, how, self.of(limit).value)
        return Number(self.e, self.e.where(mask, self.of(yes).value, self.of(no).value))

    def clamp(self, low: float, high: float) -> "Number":
        """Between low and high; NaN stays NaN."""
        capped = self.where(">", high, high, self)
        return capped.where("<", low, low, capped)

    def absolute(self) -> "Number":
        return Number(self.e, self.e.absolute(self.value))


@dataclass(frozen=True)
class Format:
    """What the series below need to know of an element type."""

    exponent_width: int
    bias: int
    to_integer: float  # adding it rounds to an integer that stands in the low bits
    ln2_high: float  # ln 2 with low bits zero, so that k * ln2_high is exact
    exp_degree: int
    log_terms: int
    erfc_terms: int
    exp_limit: float

    @property
    def ln2_low(self) -> float:
        """What is missing from ln2_high; in doubles, ln 2 minus it would lose digits that k magnifies."""
        return float(LN2 - Fraction(self.ln2_high))


LN2 = Fraction("0.693147180559945309417232121458176568075500134360255")
FORMATS = {
    4: Format(8, 127, 1.5 * 2**23, 0.693359375, 7, 8, 10, 87.0),
    8: Format(11, 1023, 1.5 * 2**52, 0.6931471803691238, 13, 17, 24, 708.0),
}


def _reduced(x: Number) -> tuple[Number, Number]:
    """x = k ln 2 + r with |r| <= ln 2 / 2: returns 2**k and r; x within the limits of the format."""
    f = FORMATS[x.e.element_bytes]
    shifted = x.times_plus(1 / math.log(2), f.to_integer)
    k = shifted - f.to_integer
    r = k.times_plus(-f.ln2_high, x)
    r = k.times_plus(-f.ln2_low, r)
    # the low bits of `shifted` hold k; those of `shifted + bias` hold the biased exponent
    return Number(x.e, x.e.power_of_two((shifted + float(f.bias)).value, f.exponent_width)), r


def _expm1_of_small(r: Number) -> Number:
    """exp(r) - 1 for |r| <= ln 2 / 2, accurate near zero: r + r**2 (1/2 + r/6 + …)."""
    degree = FORMATS[r.e.element_bytes].exp_degree
    tail = r.of(1 / math.factorial(degree))
    for n in range(degree - 1, 1, -1):
        tail = tail.times_plus(r, 1 / math.factorial(n))
    return tail.times_plus(r * r, r)


def exp(x: Number) -> Number:
    """exp(x); 0 and infinity a little before the format would reach them, where it has no normal number left."""
    limit = FORMATS[x.e.element_bytes].exp_limit
    scale, r = _reduced(x.clamp(-limit, limit))
    result = _expm1_of_small(r).times_plus(scale, scale)
    return x.where("<", -limit, 0.0, x.where(">", limit, math.inf, result))


def exp_of_negative(x: Number) -> Number:
    """exp(x) for x <= 0."""
    limit = FORMATS[x.e.element_bytes].exp_limit
    scale, r = _reduced(x.where("<", -limit, -limit, x))
    return x.where("<", -limit, 0.0, _expm1_of_small(r).times_plus(scale, scale))


def expm1(x: Number) -> Number:
    """exp(x) - 1, accurate near zero; saturates where exp would reach infinity."""
    limit = FORMATS[x.e.element_bytes].exp_limit
    scale, r = _reduced(x.clamp(-limit, limit))
    return _expm1_of_small(r).times_plus(scale, scale - 1.0)


def log1p(u: Number) -> Number:
    """log(1 + u) for 0 <= u <= 1: 2 atanh(s) with s = u / (2 + u) <= 1/3."""
    s = u / (u + 2.0)
    square = s * s
    terms = FORMATS[u.e.element_bytes].log_terms
    series = u.of(1 / (2 * terms + 1))
    for n in range(terms - 1, 0, -1):
        series = series.times_plus(square, 1 / (2 * n + 1))
    doubled = s + s
    return (series * square).times_plus(doubled, doubled)


ERFC_END, ERFC_MIDDLE = 6.0, 2.0
"""Beyond its end, erfc is below 1e-16; the middle is where the polynomial's variable is 0."""


def _erfc_coefficients(terms: int) -> list[float]:
    """The polynomial that is (1 + 2 z) exp(z*z) erfc(z) at Chebyshev's points of 0 <= z <= ERFC_END.

    Its variable is t = (z - ERFC_MIDDLE) / (z + ERFC_MIDDLE), scaled to -1 … 1. Its coefficients are all smaller than
    its values, so that powers of t lose no more digits than Chebyshev's polynomials would, at half the work.
    """
    last = (ERFC_END - ERFC_MIDDLE) / (ERFC_END + ERFC_MIDDLE)

    def scaled(unit: float) -> float:
        t = (unit + 1) / 2 * (last + 1) - 1
        z = ERFC_MIDDLE * (1 + t) / (1 - t)
        square = z * z
        rounding = float(Fraction(z) ** 2 - Fraction(square))  # exp would magnify it 36 times
        return (1 + 2 * z) * math.exp(square) * (1 + rounding) * math.erfc(z)

    # the cosine transform of the values at the Chebyshev points, summed exactly: coefficients good to the last bit
    half_turn = 2 * terms
    cosine = [math.cos(math.pi * n / half_turn) for n in range(2 * half_turn)]
    values = [scaled(cosine[2 * k + 1]) for k in range(terms)]
    series = [
        math.fsum(v * cosine[j * (2 * k + 1) % (2 * half_turn)] for k, v in enumerate(values)) * (1 + (j > 0)) / terms
        for j in range(terms)
    ]
    return _powers(series)


def _powers(series: list[float]) -> list[float]:
    """A series of Chebyshev polynomials as a polynomial, the constant first: T[n + 1] = 2 t T[n] - T[n - 1]."""
    before, polynomial = [0.0, 1.0], [1.0]  # T[-1] = T[1], T[0]
    total = [0.0] * len(series)
    for c in series:
        for power, factor in enumerate(polynomial):
            total[power] += c * factor
        doubled = [0.0, *(2 * factor for factor in polynomial)]
        before, polynomial = polynomial, [a - b for a, b in zip_longest(doubled, before, fillvalue=0.0)]
    return total


def erfc_of_positive(z: Number) -> Number:
    """erfc(z) for z >= 0."""
    return scaled_erfc(z) * exp_of_negative(0.0 - z * z)


def scaled_erfc(z: Number) -> Number:
    """exp(z*z) erfc(z) for 0 <= z <= ERFC_END, and what it is there beyond."""
    near = z.where(">", ERFC_END, ERFC_END, z)
    shifted, doubled = near + ERFC_MIDDLE, near.times_plus(2.0, 1.0)
    inverse = 1.0 / (shifted * doubled)  # one division for both quotients
    last = (ERFC_END - ERFC_MIDDLE) / (ERFC_END + ERFC_MIDDLE)
    t = (near - ERFC_MIDDLE) * doubled * inverse
    unit = t.times_plus(2 / (last + 1), 2 / (last + 1) - 1)
    *coefficients, highest = _erfc_coefficients(FORMATS[z.e.element_bytes].erfc_terms)
    total = unit.of(highest)
    for c in reversed(coefficients):
        total = total.times_plus(unit, c)
    return total * (shifted * inverse)


def tanh(x: Number) -> Number:
    """The hyperbolic tangent; 1 to the last bit beyond 20."""
    twice = x.clamp(-20.0, 20.0) * 2.0
    e2 = expm1(twice)
    return e2 / (e2 + 2.0)


def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x))."""
    return 1.0 / (exp(0.0 - x) + 1.0)


def _relu(x: Number, _: float) -> Number:
    return x.where("<", 0.0, 0.0, x)


def _gelu(x: Number, _: float) -> Number:
    tail = erfc_of_positive((x * math.sqrt(0.5)).absolute()) * 0.5
    return x * x.where("<", 0.0, tail, 1.0 - tail)


def _gelu_tanh(x: Number, _: float) -> Number:
    # x (1 + tanh u) / 2 = x sigmoid(2 u), which keeps its digits for negative u
    u = (x * x * x).times_plus(0.044715, x) * (2 * math.sqrt(2 / math.pi))
    return x * sigmoid(u)


def _softplus(x: Number, _: float) -> Number:
    return _relu(x, 0.0) + log1p(exp_of_negative(0.0 - x.absolute()))


def _hard_sigmoid(x: Number, _: float) -> Number:
    return (x + 3.0).clamp(0.0, 6.0) * (1 / 6)


ACTIVATIONS: dict[str, Callable[[Number, float], Number]] = {
    "relu": _relu,
    "relu6": lambda x, _: x.clamp(0.0, 6.0),
    "leaky_relu": lambda x, slope: x.where("<", 0.0, x * slope, x),
    "elu": lambda x, alpha: x.where("<", 0.0, expm1(x) * alpha, x),
    "selu": lambda x, _: x.where("<", 0.0, expm1(x) * SELU_ALPHA, x) * SELU_SCALE,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x, _: x * sigmoid(x),
    "sigmoid": lambda x, _: sigmoid(x),
    "tanh": lambda x, _: tanh(x),
    "softplus": _softplus,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x, _: x * _hard_sigmoid(x, 0.0),
}
