"""The sweeps: which sizes they visit, and what counts as a cliff."""

import pytest
from made_up_runs import case, comparison

from faltung.bench import sweep
from faltung.bench.result import Comparison
from faltung.spec import ConvSpec


def test_the_sweeps_cover_their_ranges() -> None:
    values = {axis: values for axis, (_, values) in sweep.SWEEPS.items()}
    assert values["channels"] == tuple(range(1, 65))
    assert {1, 2, 15, 16, 17, 4095, 4096} <= set(values["length"]) and max(values["length"]) == 4096
    assert min(values["kernel"]) == 1 and max(values["kernel"]) == 1024
    assert {"length", "channels", "dilation", "kernel", "batch"} == values.keys()
    assert all(ConvSpec.from_text(text).macs for text in sweep.cases().values())


def run(axis: str, times: dict[int, float]) -> Comparison:
    texts = sweep.cases()
    return comparison(**{f"{axis}/{value}": case(texts[f"{axis}/{value}"], jax=us) for value, us in times.items()})


@pytest.mark.parametrize(
    ("axis", "times"),
    [
        ("batch", {1: 3, 2: 3, 3: 3.5, 4: 5}),  # overhead first, then work
        ("batch", {8: 10, 9: 11, 15: 20}),
        ("kernel", {512: 100, 1023: 200}),  # twice the taps, twice the time
        ("channels", {8: 10, 9: 15}),  # per output it may grow as the channels do, and by half
    ],
)
def test_time_that_grows_with_the_work_is_no_cliff(axis: str, times: dict[int, float]) -> None:
    assert sweep.cliffs(run(axis, times)) == []


@pytest.mark.parametrize(
    ("axis", "times", "factor"),
    [
        ("batch", {16: 10, 17: 20}, 20 / 10 * 16 / 17),
        ("batch", {31: 32, 32: 16}, 2.0),  # the smaller one takes longer
        ("channels", {16: 10, 17: 30}, 3 * (16 / 17) ** 2),
        ("dilation", {15: 10, 16: 17}, 1.7),
    ],
)
def test_a_jump_is_found(axis: str, times: dict[int, float], factor: float) -> None:
    (cliff,) = sweep.cliffs(run(axis, times))
    assert (cliff.axis, cliff.peer, cliff.before, cliff.after) == (axis, "jax", *times)
    assert cliff.factor == pytest.approx(factor)


def test_the_worst_cliff_comes_first() -> None:
    found = sweep.cliffs(run("batch", {1: 10, 2: 40, 3: 200}))
    assert [cliff.before for cliff in found] == [2, 1]
