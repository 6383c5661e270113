"""The catalogue of real mistakes: each is understood, each fix that is proposed runs in the user's framework."""

import importlib
import re
import warnings
from typing import Any

import pytest
from fixing import try_fixes

from faltung.diagnosis import diagnose

PARTS = {"torch": "torch_cases", "keras": "keras_cases", "other": "other_cases"}


def cases(part: str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: list[Any] = importlib.import_module(f"cases.{PARTS[part]}").CASES
    return found


def given(case: Any) -> Any:
    return case.data() if callable(case.data) else case.data


@pytest.mark.usefixtures("keras")
@pytest.mark.filterwarnings("ignore")  # of the frameworks, at their import and first use
@pytest.mark.parametrize("part", PARTS)
def test_every_mistake_is_understood_and_every_fix_runs(part: str) -> None:
    wrong, tried = [], 0
    for case in cases(part):
        model = case.model()
        found = diagnose(model, given(case))
        got = (
            tuple(fault.kind for fault in found.faults),
            tuple(fault.fixes[0].code if fault.fixes else "" for fault in found.faults),
            found.fixed_shape,
            any(fault.is_ambiguous for fault in found.faults),
        )
        if got != (case.kinds, case.codes, case.fixed, case.two):
            wrong.append(f"{case.name}: {got}")
        if case.output is not None and found.output_shape != case.output:
            wrong.append(f"{case.name}: gives {found.output_shape}")
        tried += try_fixes(case.model(), case.data, found, part)
    assert not wrong, "\n".join(wrong)
    assert tried >= len(cases(part))


@pytest.mark.usefixtures("keras")
@pytest.mark.filterwarnings("ignore")
def test_the_catalogue_is_long_and_says_which_mistakes_are_real() -> None:
    every = [case for part in PARTS for case in cases(part)]
    looked_up = [case.source for case in every if not case.source.startswith("composed")]
    thread, page = r"[\w.-]+/[\w.-]+#\d+", r"[\w-]+(\.[\w-]+)+: \S.*"
    assert [source for source in looked_up if not re.fullmatch(f"{thread}|{page}", source)] == []
    assert len(looked_up) >= 60 and len(set(looked_up)) >= 60
    assert len({(case.name, case.source) for case in every}) == len(every)
    assert sum(len(case.kinds) >= 3 for case in every) >= 3
