"""Functions of vectors beside the activations, and expressions made of both: nested tuples such as ("add", 0, 1).

log: x = m 2**k with m around 1, and the series of atanh. sin: x = k pi + r, pi in three parts whose products with k
are exact, and a Taylor polynomial in r (Cody and Waite, as in activation.py).
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from faltung.codegen.activation import ACTIVATIONS, FORMATS, Number, activate, erfc_of_positive, exp, tanh
from faltung.codegen.emitter import Emitter, Value
from faltung.plan.expression import Expression

PI = Fraction("3.14159265358979323846264338327950288419716939937510582097")


def evaluate(e: Emitter, expression: Expression, operands: Sequence[Value]) -> Value:
    """The value of an expression, lane by lane; operand number n is operands[n]."""
    return _evaluate(e, expression, operands).value


def _evaluate(e: Emitter, expression: Expression, operands: Sequence[Value]) -> Number:
    if isinstance(expression, int):
        return Number(e, operands[expression])
    if isinstance(expression, float):
        return Number(e, e.splat(expression))
    name, *terms = expression
    if name in ACTIVATIONS:
        parameter = terms[1] if len(terms) > 1 else None
        return Number(e, activate(e, evaluate(e, terms[0], operands), name, parameter))
    if name == "pow" and isinstance(terms[1], float):
        return power(_evaluate(e, terms[0], operands), terms[1])
    return FUNCTIONS[name](*(_evaluate(e, term, operands) for term in terms))


def square_root(x: Number) -> Number:
    """The square root, correctly rounded."""
    return Number(x.e, x.e.square_root(x.value))


def full_exp(x: Number) -> Number:
    """exp(x) up to the largest number of the format, before which `exp` gives infinity."""
    limit = FORMATS[x.e.element_bytes].exp_limit
    return exp(x - x.where(">", limit, 2.0, 0.0)) * x.where(">", limit, math.exp(2), 1.0)


def log(x: Number) -> Number:
    """The natural logarithm: -inf of 0, NaN below; denormal numbers count as 0 where the caller drops them."""
    f, e = FORMATS[x.e.element_bytes], x.e
    mantissa, exponent = e.mantissa_and_exponent(x.value, f.exponent_width, math.sqrt(0.5))
    m, k = Number(e, mantissa), Number(e, exponent)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    terms = 4 if e.element_bytes == 4 else 10
    series = s.of(1 / (2 * terms + 1))
    for n in range(terms - 1, 0, -1):
        series = series.times_plus(square, 1 / (2 * n + 1))
    doubled = s + s
    small = (series * square).times_plus(doubled, k * f.ln2_low) + doubled
    result = k.times_plus(f.ln2_high, small)
    beyond = x.where("<", 0.0, math.nan, x.where("==", 0.0, -math.inf, x))  # infinity and NaN stay
    is_normal = e.all_of(e.is_ordered(x.value, ">", e.splat(0.0)), e.is_ordered(x.value, "<", e.splat(math.inf)))
    return Number(e, e.where(is_normal, result.value, beyond.value))


def sin(x: Number) -> Number:
    """The sine; its argument is reduced without error up to about 2.5e4 (float32) and 2e8 (float64)."""
    f, is_single = FORMATS[x.e.element_bytes], x.e.element_bytes == 4
    k = x.times_plus(1 / math.pi, f.to_integer) - f.to_integer
    half = k.times_plus(0.5, f.to_integer) - f.to_integer
    odd = k - (half + half)  # 0, 1 or -1
    step = 2 ** (9 if is_single else 25)
    high = Fraction(int(PI * step), step)
    middle = Fraction(int((PI - high) * step * step), step * step)
    r = x
    for part in (high, middle, PI - high - middle):
        r = k.times_plus(-float(part), r)
    r = r.clamp(-math.pi / 2, math.pi / 2)
    square = r * r
    degree = 13 if is_single else 21
    series = r.of((-1) ** (degree // 2) / math.factorial(degree))
    for n in range(degree - 2, 1, -2):
        series = series.times_plus(square, (-1) ** (n // 2) / math.factorial(n))
    sine = (series * square).times_plus(r, r)
    return sine * (1.0 - (odd * odd) * 2.0)


def erf(x: Number) -> Number:
    """The error function: its Taylor series up to 1/2, then 1 - erfc."""
    z = x.absolute()
    tail = 1.0 - erfc_of_positive(z)
    square = x * x
    terms = 6 if x.e.element_bytes == 4 else 13
    coefficients = [(-1) ** n * 2 / math.sqrt(math.pi) / (math.factorial(n) * (2 * n + 1)) for n in range(terms + 1)]
    series = x.of(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        series = series.times_plus(square, c)
    return z.where("<=", 0.5, series * x, x.where("<", 0.0, tail * -1.0, tail))


def power(x: Number, exponent: float) -> Number:
    """x to a known power: products where it is a small whole number, a root where it is 1/2."""
    if exponent == int(exponent) and abs(exponent) <= 64:
        result, square, n = x.of(1.0), x, int(abs(exponent))
        while n:
            result = result * square if n & 1 else result
            square, n = square * square, n >> 1
        return 1.0 / result if exponent < 0 else result
    if abs(exponent) == 0.5:
        return square_root(x) if exponent > 0 else 1.0 / square_root(x)
    return _general_power(x, x.of(exponent))


def _general_power(x: Number, exponent: Number) -> Number:
    """Of x >= 0, NaN below; its relative error grows with |exponent * log(x)|."""
    return full_exp(log(x) * exponent)


def _extreme(how: str) -> Callable[[Number, Number], Number]:
    return lambda a, b: Number(a.e, a.e.extreme(a.value, how, b.value))


def _within(x: Number, low: Number, high: Number) -> Number:
    """Between low and high; NaN stays NaN."""
    return _extreme(">")(_extreme("<")(x, high), low)


def _softplus(x: Number) -> Number:
    return ACTIVATIONS["softplus"](x, 0.0)


def _prelu(x: Number, slope: Number) -> Number:
    return x.where("<", 0.0, x * slope, x)


def _thresholded(x: Number, limit: Number) -> Number:
    is_below = x.e.is_ordered(x.value, "<=", limit.value)
    return Number(x.e, x.e.where(is_below, x.e.splat(0.0), x.value))


def _snake(x: Number, a: Number) -> Number:
    wave = sin(a * x)
    return x + wave * wave / a


FUNCTIONS: dict[str, Callable[..., Number]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "maximum": _extreme(">"),
    "minimum": _extreme("<"),
    "pow": _general_power,
    "sqrt": square_root,
    "rsqrt": lambda x: 1.0 / square_root(x),
    "exp": full_exp,
    "log": log,
    "abs": lambda x: x.absolute(),
    "neg": lambda x: x * -1.0,
    "reciprocal": lambda x: 1.0 / x,
    "square": lambda x: x * x,
    "sin": sin,
    "erf": erf,
    "prelu": _prelu,
    "clip": _within,
    "linear_sigmoid": lambda x, alpha, beta: _within(x.times_plus(alpha, beta), x.of(0.0), x.of(1.0)),
    "linear_silu": lambda x, alpha, beta: x * _within(x.times_plus(alpha, beta), x.of(0.0), x.of(1.0)),
    "softsign": lambda x: x / (x.absolute() + 1.0),
    "log_sigmoid": lambda x: _softplus(x * -1.0) * -1.0,
    "mish": lambda x: x * tanh(_softplus(x)),
    "snake": _snake,
    "thresholded_relu": _thresholded,
}
"""Beside those of the table of activations; `plan/expression.py` says how many terms each takes."""
