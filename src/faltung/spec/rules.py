"""The argument rules that all of faltung shares, so that every message reads alike.

A message has the form ``function: rule; got values. Remedy.`` Inner code raises the bare cause;
the public function puts its name in front, once, with :func:`named`.
"""

import difflib
import math
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from faltung.errors import FaltungError, ShapeError


@contextmanager
def named(function: str, **request: object) -> Iterator[None]:
    """Put ``function: `` before the message of an error raised inside; of nested names the outermost stays.

    ``request`` is what the error's diagnosis starts from: the arguments of the call; the innermost one stays.

    >>> with named("conv1d"):
    ...     integer("groups", 0, minimum=1)
    Traceback (most recent call last):
    faltung.errors.ShapeError: conv1d: groups must be at least 1; got 0. Use 1 or more.
    """
    try:
        yield
    except FaltungError as error:
        cause = re.sub(r"^[\w.]+: ", "", str(error))
        error.args = (f"{function}: {cause}",)
        if request and error.request is None:
            error.request = {"function": function, **request}
        raise


def integer(what: str, value: object, *, minimum: int | None = None) -> int:
    """Return ``value`` as a plain int; any integer type will do, but no bool, float or str."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None:
        remedy = f"Use {value:.0f}." if isinstance(value, float) and value.is_integer() else "Use a whole number."
        raise ShapeError(f"{what} must be an integer; got {brief(value)} of type {type(value).__name__}. {remedy}")
    if minimum is not None and number < minimum:
        raise ShapeError(f"{what} must be at least {minimum}; got {brief(number)}. Use {minimum} or more.")
    return number


def sequence(value: object) -> tuple[object, ...] | None:
    """Return the entries of a list, tuple or array; None when ``value`` is a single thing (a str is one too)."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        return None
    try:
        return tuple(value)
    except TypeError:  # an array with no axes
        return None


def per_axis(what: str, value: object, axes: str, *, minimum: int) -> tuple[int, ...]:
    """Return one integer for each of ``axes``; a single one is repeated.

    >>> per_axis("stride", 2, "hw", minimum=1)
    (2, 2)
    """
    entries = sequence(value)
    if entries is None:
        return (integer(what, value, minimum=minimum),) * len(axes)
    if len(entries) != len(axes):
        is_tensorflows = len(entries) == len(axes) + 2 and entries[0] == 1
        remedy = "Leave out the batch and channel entries." if is_tensorflows else f"Give {len(axes)}."
        rule = f"one integer for all axes or one for each of {spoken(axes, 'and')}"
        raise ShapeError(f"{what} must be {rule}; got {plain(entries)}, {len(entries)} entries. {remedy}")
    return tuple(
        integer(f"{what} of axis {axis}", entry, minimum=minimum) for axis, entry in zip(axes, entries, strict=True)
    )


def one_of(what: str, value: object, allowed: Sequence[str]) -> str:
    """Return the member of ``allowed`` that ``value`` spells, in upper or lower case.

    >>> one_of("padding", "SAME", ["valid", "same"])
    'same'
    """
    folded = {name.lower(): name for name in allowed}
    if not isinstance(value, str):
        raise ShapeError(f"{what} must be {spoken(allowed)}; got {brief(value)}. Give its name.")
    if value.lower() not in folded:
        raise ShapeError(f"{what} must be {spoken(allowed)}; got {brief(value)}. {did_you_mean(value, allowed)}")
    return folded[value.lower()]


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return a remedy for a misspelled word."""
    folded = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word[:LONGEST_SHOWN].lower(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}?" if close else "Use one of these."


def check_groups(groups: int, in_channels: int, out_channels: int) -> None:
    """Refuse a number of groups that does not split both channel counts evenly."""
    if in_channels % groups == 0 and out_channels % groups == 0:
        return
    common = math.gcd(in_channels, out_channels)
    allowed = [str(number) for number in range(1, common + 1) if common % number == 0]
    got = f"groups={groups}, in_channels={in_channels}, out_channels={out_channels}"
    raise ShapeError(f"groups must divide in_channels and out_channels; got {got}. Use {spoken(allowed)}.")


def spoken(words: Iterable[str], last: str = "or") -> str:
    """Return the words as prose.

    >>> spoken(["1", "2", "4"])
    '1, 2 or 4'
    """
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


def plain(value: object) -> str:
    """Return sizes as plain Python prints them, whatever integer type they came in.

    >>> plain([1, (2, 3)])
    '(1, (2, 3))'
    """
    entries = sequence(value)
    if entries is not None and len(entries) > 12:
        return f"({', '.join(map(plain, entries[:3]))}, … {len(entries)} entries)"
    if entries is not None:
        return f"({', '.join(map(plain, entries))}{',' if len(entries) == 1 else ''})"
    return brief(operator.index(value)) if hasattr(value, "__index__") and not isinstance(value, bool) else brief(value)


LONGEST_SHOWN = 80


def brief(value: object) -> str:
    """Return what a message shows of a value that somebody gave: one line, and of a long one its two ends.

    >>> brief("9" * 5000)
    "'999999999999999999999999999999… …99999999'"
    """
    try:
        shown = " ".join(repr(value).split())
    except Exception:  # whatever an odd object does; an int of thousands of digits refuses to be printed, too
        shown = f"a {type(value).__name__} that cannot be printed"
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:31]}… …{shown[-9:]}"
