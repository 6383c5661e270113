"""The activations a convolution can end with: one row for each, and whoever treats some apart derives them from it.

Formulas are written where they are computed: in reference.py, in codegen/ and in each front-end's own words.
"""

import math
from dataclasses import dataclass

from faltung.errors import ShapeError
from faltung.spec.rules import brief, one_of, sequence


@dataclass(frozen=True, slots=True)
class Row:
    """What there is to know of an activation besides its formula."""

    name: str
    default: float | None = None
    """Of its parameter; None where it takes none."""
    aliases: tuple[str, ...] = ()
    shows_slope: bool = False
    """Does its result determine its derivative, with a parameter that is not negative?"""
    is_cheap: bool = False
    """Is it a few instructions without an exponential, so that it belongs into the registers of a tile?"""
    is_slope_heavy: bool = False
    """Does its derivative need an exponential, whatever it is computed from?"""
    is_in_numpy: bool = True
    """Is it made of functions that NumPy has? It has no error function."""


# leaky_relu's slope is Keras's 0.2; PyTorch's default is 0.01, say it there.
TABLE = (
    Row("relu", shows_slope=True, is_cheap=True),
    Row("relu6", shows_slope=True, is_cheap=True),
    Row("leaky_relu", 0.2, shows_slope=True, is_cheap=True),
    Row("elu", 1.0, shows_slope=True),
    Row("selu", shows_slope=True),
    Row("gelu", is_slope_heavy=True, is_in_numpy=False),
    Row("gelu_tanh", is_slope_heavy=True),
    Row("silu", aliases=("swish",), is_slope_heavy=True),
    Row("sigmoid", shows_slope=True),
    Row("tanh", shows_slope=True),
    Row("softplus", shows_slope=True, is_slope_heavy=True),
    Row("hard_sigmoid", shows_slope=True, is_cheap=True),
    Row("hard_silu", aliases=("hard_swish",), is_cheap=True),
)
ACTIVATIONS: dict[str, float | None] = {row.name: row.default for row in TABLE}
"""The default of each one's parameter."""
ALIASES: dict[str, str | None] = {**{alias: row.name for row in TABLE for alias in row.aliases}, "linear": None}

SHOWS_SLOPE = frozenset(row.name for row in TABLE if row.shows_slope)
CHEAP = frozenset(row.name for row in TABLE if row.is_cheap)
HEAVY_SLOPE = frozenset(row.name for row in TABLE if row.is_slope_heavy)
NOT_IN_NUMPY = frozenset(row.name for row in TABLE if not row.is_in_numpy)

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
"""lambda_01 and alpha_01 of Klambauer, Unterthiner, Mayr, Hochreiter 2017, arXiv:1706.02515."""


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
            raise ShapeError(
                f"activation must be a name or (name, parameter); got {brief(activation)}, {brief(parameter)}."
            )
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
        raise ShapeError(f"only {takers} take a parameter; got {brief(parameter)} for {name or 'no activation'}.")
    if isinstance(parameter, bool | str) or not hasattr(parameter, "__float__") or not math.isfinite(float(parameter)):
        raise ShapeError(f"the parameter of {name} must be a finite number; got {brief(parameter)}.")
    return name, float(parameter) + 0.0  # not -0.0, so that equal specs have equal texts
