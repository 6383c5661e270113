"""The smallest call that still fails in the same way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from faltung.fuzz.case import Case, Numbers
from faltung.fuzz.judge import judge
from faltung.spec.options import ConvOptions


def shrink(case: Case, complaint: str, most_calls: int = 300) -> Case:
    """Return a call from which nothing can be taken without another outcome, or that so many calls led to."""
    kind, calls = _kind(complaint), 0
    candidates = _smaller(case)
    while calls < most_calls and (smaller := next(candidates, None)) is not None:
        calls += 1
        found = judge(smaller)
        if found is not None and _kind(found) == kind:
            case, candidates = smaller, _smaller(smaller)
    return case


def _kind(complaint: str) -> str:
    """What a complaint is about, without its values."""
    return re.sub(r"\d+", "#", complaint.split(":")[0])[:40]


def _smaller(case: Case) -> Iterator[Case]:
    """Calls with one thing less, the boldest first."""
    for name in case.arguments:
        if name == "bias" or name in ConvOptions._fields or name == "output_padding":
            yield case.without(name)
    arrays = {name: value for name, value in case.arguments.items() if isinstance(value, Numbers)}
    for size in {size for array in arrays.values() for size in array.shape if size > 1}:  # channels of several arrays
        for less in (1, size // 2):
            shapes = {name: tuple(less if each == size else each for each in a.shape) for name, a in arrays.items()}
            smaller = {name: replace(array, shape=shapes[name]) for name, array in arrays.items()}
            yield replace(case, arguments=case.arguments | smaller)
    for name, value in case.arguments.items():
        for simpler in _simpler(value):
            yield case.with_argument(name, simpler)


def _simpler(value: Any) -> Iterator[Any]:
    if isinstance(value, Numbers):
        if value.dtype != "float32":
            yield replace(value, dtype="float32")
        if value.order != "C":
            yield replace(value, order="C")
        for axis, size in enumerate(value.shape):
            for less in {1, size // 2, size - 1}:
                if 0 < less < size:
                    yield replace(value, shape=(*value.shape[:axis], less, *value.shape[axis + 1 :]))
    elif isinstance(value, str | tuple | list) and len(value) > 1:
        yield value[: len(value) // 2]
        yield value[:1]
    elif isinstance(value, int) and not isinstance(value, bool) and value > 2:
        yield value // 2
