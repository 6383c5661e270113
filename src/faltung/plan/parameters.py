"""Parameters: the numbers that a program is told at each call, by name and type, in the order in which it reads them.

Each algorithm declares its own as a dataclass of `T` fields, which may hold groups of such fields. A planner fills it
with ints (`LineSizes[int]`); a program sees the same class filled with 64-bit values (`LineSizes[Value]`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, get_origin

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class LineSizes(Generic[T]):
    """A problem as volumes of lines: sizes of output and input, padding, and strides in elements.

    Where the rank has no such axis, sizes are 1 and strides and padding 0; see `line_sizes` in lines.py.
    """

    out_d: T
    lines: T
    out_w: T
    in_d: T
    in_lines: T
    in_w: T
    low_d: T
    low_h: T
    low_w: T
    x_n: T
    x_c: T
    x_d: T
    x_line: T
    y_n: T
    y_c: T
    y_d: T
    y_line: T


def flattened(parameters: Any) -> Iterator[int]:
    """The numbers of a plan's parameters, groups taken apart, in the order of their fields."""
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if is_dataclass(value):
            yield from flattened(value)
        else:
            yield value


def filled(kind: type[P], value_at: Callable[[int, str], Any]) -> P:
    """An instance of the parameter class `kind` whose n-th number is value_at(n, its name).

    >>> @dataclass
    ... class Two(Generic[T]):
    ...     width: T
    ...     height: T
    >>> filled(Two, lambda n, name: f"{name} at {n}").height
    'height at 1'
    """
    instance, _ = _filled(kind, value_at, 0)
    return instance


def _filled(kind: type[P], value_at: Callable[[int, str], Any], first: int) -> tuple[P, int]:
    """The instance, and the number behind its last."""
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # parameter classes are dataclasses
        group = get_origin(field.type)
        if group is None:
            values[field.name] = value_at(first, field.name)
            first += 1
        else:
            values[field.name], first = _filled(group, value_at, first)
    return kind(**values), first
