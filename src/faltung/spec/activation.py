"""The activations a convolution can end with: their names and parameters. Their formulas are in reference.py."""

import math

from faltung.errors import ShapeError
from faltung.spec.rules import one_of, sequence

# Name -> default of its parameter. leaky_relu's slope is Keras's 0.2; PyTorch's default is 0.01, say it there.
ACTIVATIONS: dict[str, float | None] = {
    "relu": None,
    "relu6": None,
    "leaky_relu": 0.2,
    "elu": 1.0,
    "selu": None,
    "gelu": None,
    "gelu_tanh": None,
    "silu": None,
    "sigmoid": None,
    "tanh": None,
    "softplus": None,
    "hard_sigmoid": None,
    "hard_silu": None,
}
ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "linear": None}

SHOWS_SLOPE = {"relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "tanh", "softplus", "hard_sigmoid"}
"""Activations whose result determines their derivative, with a parameter that is not negative."""


def shows_slope(activation: str, parameter: float | None) -> bool:
    """Does the activation's result determine its derivative, so that nothing else need be kept or computed again?

    >>> shows_slope("tanh", None), shows_slope("gelu", None), shows_slope("elu", -0.5)
    (True, False, False)
    """
    return activation in SHOWS_SLOPE and (parameter is None or parameter >= 0)


def resolve_activation(activation: object, parameter: object) -> tuple[str | None, float | None]:
    """Return name and parameter, the default filled in; ("leaky_relu", 0.01) will do as ``activation``.

    >>> resolve_activation("swish", None), resolve_activation(("leaky_relu", 0.01), None)
    (('silu', None), ('leaky_relu', 0.01))
    """
    pair = sequence(activation)
    if pair is not None:
        if len(pair) != 2 or parameter is not None:
            raise ShapeError(f"activation must be a name or (name, parameter); got {activation!r}, {parameter!r}.")
        activation, parameter = pair
    name = None
    if activation is not None:
        name = one_of("activation", activation, [*ACTIVATIONS, *ALIASES])
        name = ALIASES.get(name, name)
    default = ACTIVATIONS[name] if name else None
    if parameter is None:
        return name, default
    if default is None:
        takers = " and ".join(taker for taker, value in ACTIVATIONS.items() if value is not None)
        raise ShapeError(f"only {takers} take a parameter; got {parameter!r} for {name or 'no activation'}.")
    if isinstance(parameter, bool | str) or not hasattr(parameter, "__float__") or not math.isfinite(float(parameter)):
        raise ShapeError(f"the parameter of {name} must be a finite number; got {parameter!r}.")
    return name, float(parameter) + 0.0  # not -0.0, so that equal specs have equal texts
