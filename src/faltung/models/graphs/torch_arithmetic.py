"""PyTorch's ops on single numbers: arithmetic and activations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import fx

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.torch_nodes import Reader
from faltung.spec.activation import SELU_ALPHA, SELU_SCALE


def _named(name: str) -> Callable[..., str]:
    """A function of one number that expressions know by name."""
    return lambda r, input: r.map(lambda x: (name, x), input)


def _add(r: Reader, input: Any, other: Any, alpha: float = 1, *, name: str = "add", is_reversed: bool = False) -> str:
    def formula(a: Any, b: Any) -> Any:
        scaled = b if alpha == 1 else ("mul", b, float(alpha))
        return (name, scaled, a) if is_reversed else (name, a, scaled)

    return r.map(formula, input, other)


def _binary(name: str) -> Callable[..., str]:
    return lambda r, input, other: r.map(lambda a, b: (name, a, b), input, other)


def _power(r: Reader, input: Any, exponent: Any) -> str:
    if isinstance(input, fx.Node) and not isinstance(exponent, fx.Node):
        known = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal", -0.5: "rsqrt"}.get(float(exponent))
        if known:
            return r.map(lambda x: (known, x), input)
    return r.map(lambda a, b: ("pow", a, b), input, exponent)


def _clip(r: Reader, input: Any, min: Any = None, max: Any = None) -> str:
    if min is not None and max is not None:
        if (min, max) == (0, 6):
            return r.map(lambda x: ("relu6", x), input)
        return r.map(lambda x, low, high: ("clip", x, low, high), input, min, max)
    name, bound = ("maximum", min) if max is None else ("minimum", max)
    return r.map(lambda x, bound: (name, x, bound), input, bound)


def _hardtanh(r: Reader, input: Any, min_val: float, max_val: float) -> str:
    return _clip(r, input, min_val, max_val)


def _threshold(r: Reader, input: Any, threshold: float, value: float) -> str:
    if threshold != value:
        raise NotCovered("a threshold that jumps")
    return r.map(lambda x: ("relu", x) if value == 0 else ("maximum", x, float(value)), input)


def _leaky_relu(r: Reader, input: Any, negative_slope: float) -> str:
    return r.map(lambda x: ("leaky_relu", x, float(negative_slope)), input)


def _rrelu(r: Reader, input: Any, lower: float, upper: float, training: bool = False, **_: Any) -> str:
    if training:
        raise NotCovered("slopes are drawn at random")
    return _leaky_relu(r, input, (lower + upper) / 2)


def _elu(r: Reader, input: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> str:
    if input_scale != 1:
        raise NotCovered("an ELU of scaled inputs")
    if (alpha, scale) == (SELU_ALPHA, SELU_SCALE):
        return r.map(lambda x: ("selu", x), input)
    return r.map(
        lambda x: ("elu", x, float(alpha)) if scale == 1 else ("mul", ("elu", x, float(alpha)), float(scale)), input
    )


def _celu(r: Reader, input: Any, alpha: float = 1.0) -> str:
    if alpha <= 0:
        raise NotCovered("a CELU that is bent up")
    return r.map(lambda x: ("mul", ("elu", ("div", x, float(alpha)), 1.0), float(alpha)), input)


def _gelu(r: Reader, input: Any, approximate: str) -> str:
    return r.map(lambda x: ("gelu_tanh" if approximate == "tanh" else "gelu", x), input)


def _softplus(r: Reader, input: Any, beta: float = 1.0, threshold: float = 20.0) -> str:
    """Above the threshold PyTorch returns the input: beyond 17, float32 does not tell the difference."""
    if beta <= 0 or threshold < 17:
        raise NotCovered("a softplus that jumps")
    factor = float(beta)
    return r.map(lambda x: ("softplus", x) if beta == 1 else ("div", ("softplus", ("mul", x, factor)), factor), input)


def _prelu(r: Reader, input: fx.Node, weight: fx.Node) -> str:
    """One slope, or one for each channel: axis 1."""
    rank = len(r.shape(input))
    if not r.is_constant(weight):
        raise NotCovered("slopes that are computed from the input")
    along = (-1, *(1,) * (rank - 2))
    slopes = r.rearranged(weight, f"rank{rank}", lambda array: array.reshape(along if array.size > 1 else (1,)))
    if rank < 2:
        slopes = r.name(weight)
    return r.map(lambda x, slope: ("prelu", x, slope), input, slopes)


def _log(r: Reader, input: Any, *, base: float) -> str:
    return r.map(lambda x: ("mul", ("log", x), float(1 / np.log(base))), input)


def _add_product(r: Reader, input: Any, tensor1: Any, tensor2: Any, value: float = 1, *, name: str) -> str:
    def formula(x: Any, a: Any, b: Any) -> Any:
        return ("add", x, (name, a if value == 1 else ("mul", a, float(value)), b))

    return r.map(formula, input, tensor1, tensor2)


def _lerp(r: Reader, input: Any, end: Any, weight: Any) -> str:
    return r.map(lambda a, b, w: ("add", a, ("mul", w, ("sub", b, a))), input, end, weight)


NAMED = (
    *("neg", "abs", "exp", "log", "sqrt", "rsqrt", "square", "reciprocal", "sin", "erf"),
    *("mish", "relu", "relu6", "sigmoid", "tanh", "silu", "selu"),
)
"""Those that are called alike."""

TABLE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("add.Tensor", "add.Scalar"), _add),
    **dict.fromkeys(("sub.Tensor", "sub.Scalar"), partial(_add, name="sub")),
    **dict.fromkeys(("rsub.Tensor", "rsub.Scalar"), partial(_add, name="sub", is_reversed=True)),
    **dict.fromkeys(("mul.Tensor", "mul.Scalar"), _binary("mul")),
    **dict.fromkeys(("div.Tensor", "div.Scalar"), _binary("div")),
    **dict.fromkeys(("maximum.default", "max.other"), _binary("maximum")),
    **dict.fromkeys(("minimum.default", "min.other"), _binary("minimum")),
    **dict.fromkeys(("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar"), _power),
    **{f"{name}.default": _named(name) for name in NAMED},
    "addcmul.default": partial(_add_product, name="mul"),
    "addcdiv.default": partial(_add_product, name="div"),
    **dict.fromkeys(("lerp.Scalar", "lerp.Tensor"), _lerp),
    "log_sigmoid.default": _named("log_sigmoid"),
    "hardsigmoid.default": _named("hard_sigmoid"),
    "hardswish.default": _named("hard_silu"),
    "log2.default": partial(_log, base=2.0),
    "log10.default": partial(_log, base=10.0),
    **dict.fromkeys(("clamp.default", "clamp.Tensor", "clip.default"), _clip),
    **dict.fromkeys(("clamp_min.default", "clamp_min.Tensor"), lambda r, input, min: _clip(r, input, min)),
    **dict.fromkeys(("clamp_max.default", "clamp_max.Tensor"), lambda r, input, max: _clip(r, input, None, max)),
    "hardtanh.default": _hardtanh,
    "threshold.default": _threshold,
    "leaky_relu.default": _leaky_relu,
    "rrelu.default": _rrelu,
    "elu.default": _elu,
    "celu.default": _celu,
    "gelu.default": _gelu,
    "softplus.default": _softplus,
    "prelu.default": _prelu,
    "_prelu_kernel.default": _binary("prelu"),
}
