"""Whole networks side by side: who is right is timed, who is not is named, and the report says the worst first."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_up_runs import MACHINE

from faltung.bench.check import Wrong
from faltung.bench.markdown import markdown
from faltung.bench.networks import NETWORKS
from faltung.bench.networks.document import document, means
from faltung.bench.networks.peers import PEERS
from faltung.bench.networks.result import Case, Result, Run
from faltung.bench.networks.side_by_side import ROUNDS, choose_networks, choose_peers, compare
from faltung.bench.networks.station import TOLERANCE, check
from faltung.bench.result import MEASURED, Participant
from faltung.cli import main
from faltung.errors import FaltungError

STUBS = ("Right", "OnlyKeras", "Wrong", "CrashesOnBatches", "Missing")
NAME = "conv-flatten-dense"


@pytest.fixture(scope="module")
def run() -> Run:
    """One run of everything that can happen, and of a network whose package is missing."""
    missing = replace(NETWORKS[NAME], builder="faltung.bench.networks.wheels:no_such_network")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
        peers = {name: f"stub_network_peers:{name}" for name in STUBS}
        networks = {NAME: NETWORKS[NAME], "gone": missing}
        return compare(networks, peers, batches=(1, 3), threads=1, seconds=0.02, command="a test")


def test_who_is_right_is_timed(run: Run) -> None:
    assert [(case.network, case.batch, case.threads) for case in run.cases] == [(NAME, 1, 1), (NAME, 3, 1)]
    for case in run.cases:
        assert case.macs == case.batch * (46 * 16 * 4 * 5 + 46 * 16 * 3)
        right = case.results["Right"]
        assert right.is_measured and len(right.rounds) == len(right.processor_rounds) == ROUNDS
        assert 0 < right.error < 1e-5 and right.prepare_seconds > 0 and right.first_seconds > 0
        assert right.seconds == min(right.rounds)


def test_who_is_not_right_is_named_and_not_timed(run: Run) -> None:
    for case in run.cases:
        wrong = case.results["Wrong"]
        assert wrong.status == "wrong" and "output 0 is off by" in wrong.reason and not wrong.rounds


def test_who_crashes_takes_part_again(run: Run) -> None:
    first, second = (case.results["CrashesOnBatches"] for case in run.cases)
    assert first.is_measured
    assert (second.status, second.reason) == ("crashed", "ended with code 3")


def test_who_is_not_installed_or_of_another_host_is_in_no_case(run: Run) -> None:
    assert run.participants["Missing"].missing == "not installed: No module named 'no_such_library'"
    assert run.participants["OnlyKeras"].layout == "keras"
    assert all(set(case.results) == {"Right", "Wrong", "CrashesOnBatches"} for case in run.cases)


def test_a_network_that_cannot_be_made_is_refused(run: Run) -> None:
    assert run.refused.keys() == {"gone"} and "no_such_network" in run.refused["gone"]


def test_it_is_the_same_after_writing_and_reading(run: Run, tmp_path: Path) -> None:
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run
    assert run.versions["numpy"] == np.__version__ and run.command == "a test"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"format": 1}')
    with pytest.raises(FaltungError, match=r"must come from faltung bench --networks … --json; got other\.json"):
        Run.read(tmp_path / "other.json")


def measured(microseconds: float) -> Result:
    """Return a result of two rounds, the better of which took so long."""
    return Result(MEASURED, rounds=[2e-6 * microseconds, 1e-6 * microseconds], processor_rounds=[2e-6 * microseconds])


@pytest.fixture
def made_up() -> Run:
    """A run in which faltung wins once, loses once, and cannot run once."""
    participants = {name: Participant("does it", "torch") for name in ("faltung", "accelerate", "torch", "openvino")}
    both = {"faltung": measured(10), "torch": measured(80), "openvino": measured(20)}
    lost = {"faltung": measured(100), "accelerate": measured(10), "torch": measured(50)}
    missing = {"faltung": Result("failed", "no time"), "torch": measured(50)}
    cases = [
        Case("lenet", "torch", 1, 1, 400_000, both),
        Case("lenet", "torch", 32, 1, 12_800_000, lost),
        Case("fcn", "torch", 1, 1, 40_000_000, missing),
    ]
    return Run(
        "faltung bench", "2030-01-01", "abc", {"torch": "9"}, MACHINE, participants, cases, {"gone": "failed: x"}
    )


def test_a_ratio_is_that_of_the_best_rounds(made_up: Run) -> None:
    first, second, third = made_up.cases
    assert first.best_peer == "openvino" and first.ratio("openvino") == pytest.approx(2)
    assert first.ratio("torch") == first.ratio("torch", of_processor=True) == pytest.approx(8)
    first.results["torch"].processor_rounds.append(40e-6)
    assert first.ratio("torch", of_processor=True) == pytest.approx(2)
    assert second.best_peer == "torch"  # what is accelerated is ours
    assert third.best_peer == "torch" and third.ratio("torch") is None
    assert made_up.worst_first() == [third, second, first]
    assert first.is_small and second.is_small and not third.is_small


def test_the_report_has_the_means_first_and_the_worst_case_first(made_up: Run) -> None:
    text = markdown(document(made_up))
    assert "| all networks, batches and threads | the best of each case | geometric mean 1.00 of 2 cases" in text
    assert "| all networks, batches and threads | `torch` | geometric mean 2.00 of 2 cases, from 0.50 to 8.00 |" in text
    worst, lost = "| fcn | 1 | 1 | – | torch | 50.0 | – |", "| lenet | 32 | 1 | 100.0 | torch | 50.0 | 0.50 |"
    assert 0 < text.index(worst) < text.index(lost)
    assert "| faltung | fcn, batch 1, 1 thread | failed: no time |" in text
    assert "| all peers | gone | failed: x |" in text
    assert "| lenet | torch | images | LeCun 1998 | 1 x 28 x 28 | 0.40 |" in text
    assert "### lenet, batch 32, 1 thread" in text


def test_keras_has_means_of_its_own_for_small_networks(made_up: Run) -> None:
    made_up.participants["keras-predict"] = Participant("predicts", "keras")
    made_up.cases[0].results["keras-predict"] = measured(2000)
    label = "one record, under a million operations"
    assert (label, "`keras-predict`", "geometric mean 200.00 of 1 case, from 200.00 to 200.00") in means(made_up)


def test_a_result_is_compared_in_parts_of_its_largest_number() -> None:
    wanted = [np.array([100.0, 1e-3]), np.array([1.0])]
    found = [y.astype(np.float32) for y in wanted]
    assert check(found, wanted) < 1e-7
    found[0][1] += 50 * TOLERANCE
    assert check(found, wanted) == pytest.approx(0.5 * TOLERANCE, rel=1e-3)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([np.ones(2, np.float32)], "1 outputs instead of 2"),
        ([np.ones(2, np.float32), np.ones((1, 1), np.float32)], r"output 1 is float32 \(1, 1\) instead of"),
        ([np.ones(2, np.float64), np.ones(1, np.float32)], "output 0 is float64"),
        ([np.ones(2, np.float32), np.full(1, 1.001, np.float32)], "output 1 is off by 0.001 of its largest number"),
        ([np.full(2, np.nan, np.float32), np.ones(1, np.float32)], "output 0 is off by nan"),
    ],
)
def test_what_is_wrong_is_said(found: list[np.ndarray], reason: str) -> None:
    with pytest.raises(Wrong, match=reason):
        check(found, [np.ones(2), np.ones(1)])


def test_names_are_chosen_in_the_order_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(choose_networks("all")) == list(NETWORKS)
    assert list(choose_networks("lenet, fcn")) == ["fcn", "lenet"]
    assert list(choose_peers("torch")) == ["faltung", "accelerate", "torch"]
    assert list(choose_peers("all")) == list(PEERS)
    with pytest.raises(
        FaltungError, match=r"^bench: networks are all, or some of conv-flatten-dense, .*; got lennet\.$"
    ):
        choose_networks("lennet")
    monkeypatch.setattr("faltung.bench.networks.wheels.find_spec", lambda name: None)
    with pytest.raises(FaltungError, match=r"comes with the package basic-pitch, .*: pip install basic-pitch\.$"):
        choose_networks("lenet,basic-pitch")
    with pytest.raises(FaltungError, match=r"peers of networks are all, or some of faltung, .*; got scipy\.$"):
        choose_peers("scipy")


def test_the_command_compares_networks_and_writes_all_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    files = ("--json", str(tmp_path / "run.json"), "--out", str(tmp_path / "networks.md"))
    options = ("--networks", NAME, "--peers", "torch,onnxruntime", "--threads", "1", "--seconds", "0.02")
    done = CliRunner().invoke(main, ["bench", *options, *files])
    assert done.exit_code == 0, done.output
    run = Run.read(tmp_path / "run.json")
    for case in run.cases:
        assert case.results["torch"].is_measured, case.results["torch"].reason
        assert case.results["onnxruntime"].is_measured, case.results["onnxruntime"].reason
    assert [case.batch for case in run.cases] == [1, 32]
    assert NAME in done.output and "onnxruntime" in done.output
    assert (tmp_path / "networks.md").read_text(encoding="utf-8") == markdown(document(run))


def test_networks_and_texts_do_not_mix() -> None:
    done = CliRunner().invoke(main, ["bench", "conv1d n1 w8 ic1 oc1 kw3", "--networks", "lenet"])
    assert done.exit_code == 2 and "--networks goes with --peers" in done.output
