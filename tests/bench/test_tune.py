"""Tuning: measurements, the fit of prices to them, and the tables that it has made."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import faltung as ft
from faltung.bench import fit, measurements, tune
from faltung.bench.measurements import Question, Timing
from faltung.machine import tables
from faltung.machine.cost import CostModel, prices_of, with_prices
from faltung.machine.known import TARGETS
from faltung.machine.target import Target
from faltung.runtime import processor

KEPT = sorted(Path(__file__).with_name("measured").glob("*.json"))
TEXTS = (
    *(
        "conv1d n8 w129 ic16 oc16 kw3 same",
        "conv1d n4 w512 ic33 oc33 kw3 same",
        "conv1d n4 w2048 ic16 oc16 kw3 dw4 same",
    ),
    *(
        "conv1d n1 w4096 ic4 oc8 kw65 same",
        "conv1d n1 w4096 ic4 oc8 kw513 same",
        "conv2d n1 h40 w40 ic32 oc32 kh3 kw3 same",
        "conv1d n2 w300 ic32 oc32 kw5 g32 same",
    ),
)


def asking(*texts: str) -> list[Question]:
    return [Question(text, layout, f) for text in texts for layout in ("nwc", "ncw") for f in measurements.FUNCTIONS]


QUESTIONS = asking(*TEXTS)


def as_by_the_model(target: Target, noise: float = 0.0) -> list[Timing]:
    """What a processor with the target's prices would measure, at 3 GHz, with some disturbance."""
    return [
        Timing(
            question,
            {
                plan.algorithm: plan.cycles / 3e3 * (1 + noise * math.sin(7 * n + len(plan.algorithm)))
                for plan in question.plans(target)
            },
        )
        for n, question in enumerate(QUESTIONS)
    ]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_prices_are_found_again(noise: float) -> None:
    base = TARGETS["avx2"]
    hidden = {"winograd.term_cycles": 1.2, "fft.butterfly_cycles": 0.3, "direct_nchw.total_scale": 1.3}
    other = replace(base, costs=with_prices(base.costs, hidden))
    measured = as_by_the_model(other, noise)
    fitted = replace(base, costs=fit.fit(measured, base))
    assert fit.share_near_best(measured, fitted) >= max(fit.share_near_best(measured, base), 0.95)
    for name, price in hidden.items():
        before, found = prices_of(base.costs)[name], prices_of(fitted.costs)[name]
        assert abs(math.log(found / price)) < abs(math.log(before / price)), f"{name} went away from what it is"


def test_a_fit_keeps_prices_that_suit() -> None:
    base = TARGETS["avx512"]
    assert fit.fit(as_by_the_model(base), base) == base.costs


def test_measurements_come_back_as_they_were(tmp_path: Path) -> None:
    measured = [Timing(QUESTIONS[0], {"direct_nhwc": 12.25, "winograd": 3.5})]
    measurements.write(tmp_path / "measured.json", measured)
    assert measurements.read(tmp_path / "measured.json") == measured


def test_sweep_and_core_are_asked_in_both_layouts_forward_and_backward() -> None:
    asked = measurements.questions()
    assert (
        len(asked)
        == len(set(asked))
        == 4 * len({*measurements.load("sweep").values(), *measurements.load("core").values()})
    )
    assert {question.function for question in asked} == {"forward", "kernel_gradient"}


def test_a_round_of_tuning() -> None:
    before = ft.get_num_threads()
    titles: list[str] = []

    def steps(asked: list[Question], title: str) -> list[Question]:
        titles.append(title)
        return asked

    asked = [
        Question("conv1d n1 w90 ic8 oc16 kw3 same", layout, f)
        for layout in ("nwc", "ncw")
        for f in measurements.FUNCTIONS
    ]
    tuned = tune.tune(processor.current(), steps, seconds=0.002, asked=asked)
    assert ft.get_num_threads() == before and titles == ["Measuring algorithms"]
    assert tuned.costs.family == processor.family() and "faltung tune" in tuned.costs.origin
    assert [measurement.question for measurement in tuned.measured] == asked
    for measurement in tuned.measured:
        algorithms = {plan.algorithm for plan in measurement.question.plans(processor.current())}
        assert measurement.microseconds.keys() == algorithms and min(measurement.microseconds.values()) > 0
    assert 0.0 <= tuned.before <= 1.0 and 0.0 <= tuned.now <= 1.0


def kept_target(path: Path) -> Target:
    """A processor of the family that the measurements were made on, with the prices of any processor."""
    bits = int(path.stem.rsplit("-", 1)[1])
    known = {512: TARGETS["avx512"], 256: TARGETS["avx2"]}[bits]
    return replace(known, l2_bytes=1024 * 1024, l3_bytes=32 * 1024 * 1024)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_shipped_table_is_what_its_measurements_say(path: Path) -> None:
    measured, target = measurements.read(path), kept_target(path)
    costs: Any = fit.fit(measured, target)
    assert prices_of(costs) == pytest.approx(prices_of(tables.read(tables.SHIPPED / path.name)), rel=0.02)
    assert fit.share_near_best(measured, replace(target, costs=costs)) >= 0.95


def test_every_shipped_table_has_its_measurements() -> None:
    assert [path.name for path in KEPT] == sorted(path.name for path in tables.SHIPPED.glob("*.json"))


def test_the_prices_in_force_are_shown() -> None:
    shown = tune.table(CostModel(family="znver9", origin="a test"))
    assert shown.title == "znver9: a test" and shown.row_count == len(prices_of(CostModel()))
