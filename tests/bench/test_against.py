"""Against an old run: what became slower is found whatever the machine did, and noise is not."""

from dataclasses import replace

import pytest
from made_up_runs import TEXT, case, comparison, example

from faltung.bench.against import changes, check_alike, repeats
from faltung.bench.result import Comparison, Result
from faltung.errors import FaltungError


def run(**microseconds: float | Result) -> Comparison:
    return comparison(one=case(TEXT, **microseconds))


def test_a_slower_machine_is_no_slower_kernel() -> None:
    new = run(faltung=40, faltung_ncw=40, torch=100, jax=60)
    new.cases["one"].peak_rounds = [2 * seconds for seconds in new.cases["one"].peak_rounds]
    found = changes(new, run(faltung=20, faltung_ncw=20, torch=50, jax=30))
    assert [change.factor for change in found] == pytest.approx([1, 1])


def test_a_slower_kernel_is_found_and_the_worst_comes_first() -> None:
    old = run(faltung=20, faltung_ncw=20, torch=50, jax=30)
    found = changes(run(faltung=30, faltung_ncw=40, torch=50, jax=30), old)
    assert [(change.case, change.peer) for change in found] == [("one", "faltung-ncw"), ("one", "faltung")]
    assert [change.factor for change in found] == pytest.approx([2, 1.5])


def test_one_peer_that_changed_does_not_matter() -> None:
    old = run(faltung=20, torch=50, jax=30)
    (change,) = changes(run(faltung=20, torch=50, jax=15), old)
    assert change.factor == pytest.approx(1)


def test_what_has_no_times_any_more_is_found() -> None:
    (change,) = changes(run(faltung=Result("crashed", "killed by SIGSEGV")), run(faltung=20))
    assert change.factor == float("inf") and change.reason == "crashed: killed by SIGSEGV"


def test_new_cases_and_peers_are_no_change() -> None:
    assert changes(example(), comparison()) == []
    assert [change.peer for change in changes(run(faltung=20, torch=50), run(faltung=20))] == ["faltung"]


def test_ratios_of_long_calls_should_repeat() -> None:
    old = run(faltung=200, faltung_ncw=50, torch=300, jax=300)
    found = repeats(run(faltung=200, faltung_ncw=50, torch=400, jax=270), old)
    assert [(name, peer) for name, peer, _ in found] == [("one", "jax")]  # of torch, our side is short
    assert found[0][2] == pytest.approx(300 / 270)


@pytest.mark.parametrize("change", [{"mode": "training"}, {"layout": "ncw"}, {"threads": 1}])
def test_only_like_is_compared_with_like(change: dict[str, object]) -> None:
    with pytest.raises(FaltungError, match="bench: runs are compared with the same"):
        check_alike(replace(example(), **change), example())  # type: ignore[arg-type]
