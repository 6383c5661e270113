"""Expressions: what a map computes for each number, as nested tuples; ("relu", ("add", 0, 1)) is relu of a sum.

An int is the number of an operand, a float a constant. Every activation of `spec/activation.py` is a function too, its
parameter a constant behind its term.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from faltung.spec.activation import ACTIVATIONS, CHEAP

Expression: TypeAlias = int | float | tuple[Any, ...]

NUM_TERMS = {
    **dict.fromkeys(("sqrt", "rsqrt", "exp", "log", "abs", "neg", "reciprocal", "square", "sin", "erf"), 1),
    **dict.fromkeys(("softsign", "log_sigmoid", "mish"), 1),
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum", "pow", "prelu", "snake", "thresholded_relu"), 2),
    **dict.fromkeys(("clip", "linear_sigmoid", "linear_silu"), 3),
}
"""clip(x, low, high). linear_sigmoid(x, alpha, beta) is alpha x + beta between 0 and 1, linear_silu x times that.
prelu(x, slope). snake(x, a) is x + sin(a x)**2 / a. thresholded_relu(x, limit)."""
QUICK = CHEAP.union(
    ("add", "sub", "mul", "maximum", "minimum", "abs", "neg", "square"),
    ("prelu", "thresholded_relu", "clip", "linear_sigmoid", "linear_silu"),
)
"""A few instructions each; all others take dozens."""


def functions_of(expression: Expression) -> Iterator[str]:
    """The names of all functions of an expression, one for each use; ValueError where it is none.

    >>> list(functions_of(("relu", ("add", ("mul", 0, 1), 2.0))))
    ['relu', 'add', 'mul']
    """
    if isinstance(expression, tuple):
        name, *terms = expression
        most = 2 if ACTIVATIONS.get(name) is not None else 1
        allowed = range(1, most + 1) if name in ACTIVATIONS else (NUM_TERMS.get(name),)
        is_known = len(terms) in allowed
        if not is_known or (name in ACTIVATIONS and any(not isinstance(term, float) for term in terms[1:])):
            raise ValueError(f"{expression!r} is no expression")
        yield name
        for term in terms:
            yield from functions_of(term)
    elif isinstance(expression, bool) or not isinstance(expression, int | float):
        raise ValueError(f"{expression!r} is no expression")


def operands_of(expression: Expression) -> set[int]:
    """The numbers of all operands of an expression.

    >>> sorted(operands_of(("add", ("mul", 0, 0), 2)))
    [0, 2]
    """
    if isinstance(expression, tuple):
        return set().union(*(operands_of(term) for term in expression[1:]))
    return {expression} if isinstance(expression, int) else set()


def num_slow(expression: Expression) -> int:
    """How many functions take dozens of instructions.

    >>> num_slow(("mul", ("tanh", 0), ("sigmoid", 1)))
    2
    """
    return sum(name not in QUICK for name in functions_of(expression))
