"""How many faults of the corpus are ranked first: the number that a changed cost in diagnosis/costs.py changes."""

import importlib
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from faltung.diagnosis import costs, diagnose

PARTS = ("torch_cases", "keras_cases", "other_cases")
FIRST = {"torch_cases": 51, "keras_cases": 36, "other_cases": 17}
"""All 104 faults; a cost that ranks another fix before a meant one lowers the number of its part."""


def places(part: str) -> Iterator[int]:
    """Yield, for each fault that a case names, the place of the meant fix: 1 is first, 0 that it is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases: list[Any] = importlib.import_module(f"cases.{part}").CASES
    for case in cases:
        found = diagnose(case.model(), case.data() if callable(case.data) else case.data)
        for at, (kind, code) in enumerate(zip(case.kinds, case.codes, strict=True)):
            fixes = found.faults[at].fixes if at < len(found.faults) else ()
            meant = [place for place, fix in enumerate(fixes, 1) if (fix.kind, fix.code) == (kind, code)]
            is_unmendable = not code and at < len(found.faults) and not fixes
            yield 1 if is_unmendable else next(iter(meant), 0)


@pytest.mark.usefixtures("keras")
@pytest.mark.filterwarnings("ignore")  # of the frameworks, at their import and first use
@pytest.mark.parametrize("part", PARTS)
def test_the_meant_fix_is_ranked_first(part: str) -> None:
    counts = Counter(places(part))
    print(f"{part}: {counts[1]} of {counts.total()} are first, {counts[2]} second, {counts[0]} not among the fixes")
    assert (counts[1], counts.total()) == (FIRST[part], FIRST[part])


@pytest.mark.usefixtures("keras")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, value", [("NEW_CHANNELS", 0.0), ("MOVED_CHANNELS", 0.0), ("PADDED", 2.0)])
def test_a_changed_cost_shows(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    monkeypatch.setattr(costs, name, value)
    assert sum(Counter(places(part))[1] for part in PARTS) < sum(FIRST.values())
