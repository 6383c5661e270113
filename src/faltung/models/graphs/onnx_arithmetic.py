"""ONNX's ops on single numbers: arithmetic and activations."""

from collections.abc import Callable
from functools import reduce
from math import isclose
from typing import Any

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.onnx_nodes import Reader
from faltung.spec.activation import SELU_ALPHA, SELU_SCALE


def _named(name: str) -> Callable[..., str]:
    return lambda r, x: r.map(lambda x: (name, x), x)


def _binary(name: str) -> Callable[..., str]:
    return lambda r, a, b: r.map(lambda a, b: (name, a, b), a, b)


def _several(name: str, *, is_mean: bool = False) -> Callable[..., str]:
    """An op of any number of operands."""

    def write(r: Reader, *operands: str) -> str:
        def formula(*places: Any) -> Any:
            total = reduce(lambda a, b: (name, a, b), places)
            return ("div", total, float(len(places))) if is_mean else total

        if len(set(operands)) > 4:
            raise NotCovered(f"{len(operands)} operands")
        return r.map(formula, *operands)

    return write


def _power(r: Reader, x: str, exponent: str) -> str:
    if exponent in r.known and r.array(exponent).size == 1 and r.array(exponent).ndim <= r.rank(x):
        power = float(r.array(exponent).item())
        known = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal", -0.5: "rsqrt"}.get(power)
        return r.map(lambda x: (known, x) if known else ("pow", x, power), x)
    return r.map(lambda a, b: ("pow", a, b), x, exponent)


def _clip(r: Reader, x: str, low: str | None = None, high: str | None = None) -> str:
    """Bounds are attributes before opset 11."""
    bounds = [r.numbers(name, said) for name, said in ((low, "min"), (high, "max"))]
    least, most = (None if bound is None else float(bound[0]) for bound in bounds)
    if least is not None and most is not None:
        return r.map(lambda x: ("relu6", x) if (least, most) == (0, 6) else ("clip", x, least, most), x)
    if least is None and most is None:
        return r.value(x)
    return r.map(lambda x: ("maximum", x, least) if most is None else ("minimum", x, most), x)


def _leaky_relu(r: Reader, x: str) -> str:
    slope = float(r.said.get("alpha", 0.01))
    return r.map(lambda x: ("leaky_relu", x, slope), x)


def _elu(r: Reader, x: str) -> str:
    alpha = float(r.said.get("alpha", 1.0))
    return r.map(lambda x: ("elu", x, alpha), x)


def _celu(r: Reader, x: str) -> str:
    alpha = float(r.said.get("alpha", 1.0))
    return r.map(lambda x: ("mul", ("elu", ("div", x, alpha), 1.0), alpha), x)


def _selu(r: Reader, x: str) -> str:
    alpha, scale = r.said.get("alpha", SELU_ALPHA), r.said.get("gamma", SELU_SCALE)
    if isclose(alpha, SELU_ALPHA, rel_tol=1e-6) and isclose(scale, SELU_SCALE, rel_tol=1e-6):
        return r.map(lambda x: ("selu", x), x)
    return r.map(lambda x: ("mul", ("elu", x, float(alpha)), float(scale)), x)


def _hard_sigmoid(r: Reader, x: str) -> str:
    """alpha x + beta between 0 and 1; ONNX's slope is 0.2, that of PyTorch and Keras 3 is 1/6."""
    alpha, beta = float(r.said.get("alpha", 0.2)), float(r.said.get("beta", 0.5))
    if isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return r.map(lambda x: ("hard_sigmoid", x), x)
    return r.map(lambda x: ("linear_sigmoid", x, alpha, beta), x)


def _gelu(r: Reader, x: str) -> str:
    return r.map(lambda x: ("gelu_tanh" if r.said.get("approximate") == "tanh" else "gelu", x), x)


def _thresholded_relu(r: Reader, x: str) -> str:
    limit = float(r.said.get("alpha", 1.0))
    return r.map(lambda x: ("thresholded_relu", x, limit), x)


def _prelu(r: Reader, x: str, slope: str) -> str:
    numbers = r.array(slope)
    name = r.constant("slope", numbers.reshape(1)) if numbers.size == 1 else slope
    return r.map(lambda x, slope: ("prelu", x, slope), x, name)


TABLE: dict[str, Callable[..., Any]] = {
    **{name: _named(name.lower()) for name in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Mish")},
    **{name: _named(name.lower()) for name in ("Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sin", "Erf")},
    **{name: _binary(name.lower()) for name in ("Add", "Sub", "Mul", "Div")},
    "HardSwish": _named("hard_silu"),
    "Max": _several("maximum"),
    "Min": _several("minimum"),
    "Sum": _several("add"),
    "Mean": _several("add", is_mean=True),
    "Pow": _power,
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Celu": _celu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "ThresholdedRelu": _thresholded_relu,
    "PRelu": _prelu,
}
