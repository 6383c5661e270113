"""Side by side: who is right is timed, who is not is named with the reason, and nobody stops the others."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import faltung as ft
from faltung.bench import side_by_side
from faltung.bench.peers import PEERS
from faltung.bench.process import Trouble, Worker
from faltung.bench.result import Comparison
from faltung.bench.side_by_side import choose_peers, compare
from faltung.errors import FaltungError

OURS = {name: PEERS[name] for name in ("faltung", "faltung-ncw")}
STUBS = (
    "Right",
    "ChannelsFirst",
    "Talks",
    "Wrong",
    "WrongShape",
    "Fails",
    "Refuses",
    "Crashes",
    "CrashesLater",
    "Hangs",
    "Missing",
)
CASES = {
    "strided": "conv1d n2 w40 ic3 oc4 kw3 sw2",
    "dense": "conv1d n1 w30 ic4 oc4 kw5 same bias relu",
    "transposed": "conv1d_transpose n2 w9 ic3 oc4 kw3 sw2 pw1",
    "words": "conv1d_transpose n1 w9 ic1 oc1 kw3 same",
    "empty": "conv1d n0 w9 ic1 oc1 kw3",
}


@pytest.fixture(scope="module")
def run() -> Comparison:
    """One run of everything that can happen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        peers = OURS | {name: f"stub_peers:{name}" for name in STUBS}
        return compare(CASES, peers, seconds=0.02, threads=1, command="a test", answer_seconds=2)


def test_everyone_has_an_answer_for_each_case(run: Comparison) -> None:
    assert list(run.participants) == [*OURS, *STUBS]
    for name in ("strided", "dense"):
        assert list(run.cases[name].results) == [*OURS, *STUBS[:-1]]


@pytest.mark.parametrize("peer", [*OURS, "Right", "ChannelsFirst", "Talks"])
@pytest.mark.parametrize("case", ["strided", "dense"])
def test_who_is_right_is_timed(run: Comparison, case: str, peer: str) -> None:
    result = run.cases[case].results[peer]
    assert result.is_measured, result.reason
    assert len(result.rounds) == side_by_side.ROUNDS
    assert min(*result.rounds, result.prepare_seconds, result.first_seconds, result.cold_seconds) > 0
    assert result.spread >= 0 and result.page_faults >= 0
    assert 0 < result.error <= 1
    assert result.compared == np.prod(ft.ConvSpec.from_text(CASES[case]).output_shape)
    assert 0 < run.cases[case].share_of_bound(peer) <= 1.5
    assert result.peak_bytes > result.memory_bytes >= 0


def test_a_ratio_is_to_the_faltung_of_the_same_layout(run: Comparison) -> None:
    assert run.counterpart("Right") == "faltung"
    assert run.counterpart("ChannelsFirst") == "faltung-ncw"
    case = run.cases["dense"]
    assert run.ratio("dense", "ChannelsFirst") == case.ratio("ChannelsFirst", "faltung-ncw") > 1
    assert run.ratio("dense", "faltung") is None


@pytest.mark.parametrize(
    ("peer", "case", "status", "reason"),
    [
        ("Wrong", "dense", "wrong", "y: 1 of 120 compared outputs beyond 8 times the bound, for one "),
        ("WrongShape", "dense", "wrong", "y is float32 (1, 30, 3) instead of float32 (1, 30, 4)"),
        ("Fails", "strided", "failed", "RuntimeError: no strides today"),
        ("Refuses", "dense", "unsupported", "not on a Sunday"),
        ("Crashes", "strided", "crashed", "killed by SIGSEGV: about to fall"),
        ("CrashesLater", "dense", "crashed", "ended with code 7"),
        ("Hangs", "strided", "hung", "no answer within 2 s"),
    ],
)
def test_who_cannot_is_named_with_the_reason_and_not_timed(
    run: Comparison, peer: str, case: str, status: str, reason: str
) -> None:
    result = run.cases[case].results[peer]
    assert result.status == status
    assert result.reason.startswith(reason)
    assert result.rounds == []


@pytest.mark.parametrize("peer", ["Fails", "Crashes", "Hangs"])
def test_after_its_failure_a_peer_takes_part_again(run: Comparison, peer: str) -> None:
    assert run.cases["dense"].results[peer].is_measured


def test_a_peer_that_is_not_installed_is_named(run: Comparison) -> None:
    assert run.participants["Missing"].missing == "not installed: No module named 'no_such_library'"


def test_a_case_that_has_no_times_is_named(run: Comparison) -> None:
    assert run.refused["words"].startswith("conv1d_transpose: a transposed case has sizes, stride, dilation, groups")
    assert run.refused["empty"].startswith("conv1d: a comparison needs outputs")


@pytest.mark.parametrize("peer", OURS)
def test_a_transposed_case_is_checked_and_timed(run: Comparison, peer: str) -> None:
    case, result = run.cases["transposed"], run.cases["transposed"].results[peer]
    assert result.is_measured, result.reason
    assert 0 < result.error <= 1
    assert case.num_outputs == 2 * 17 * 4
    assert result.compared >= 16 * 4 and result.compared % 4 == 0  # the corners and random positions
    assert case.flops == 2 * 2 * 9 * 3 * 3 * 4
    assert case.num_bytes == 4 * (2 * 9 * 3 + 3 * 3 * 4 + 2 * 17 * 4)


def test_a_transposed_case_is_for_those_who_take_part_in_it(run: Comparison) -> None:
    result = run.cases["transposed"].results["Right"]
    assert (result.status, result.reason) == ("unsupported", "compared on convolutions that are not transposed")
    refused = compare({"t": CASES["transposed"]}, OURS, mode="training", seconds=0.02, threads=1).refused
    assert refused["t"].startswith("a transposed case is compared forward only")


def test_the_run_says_where_it_comes_from(run: Comparison) -> None:
    assert run.threads == run.machine.threads == 1
    assert run.versions["numpy"] == np.__version__
    assert run.command == "a test" and run.date.startswith("20") and run.mode == "forward"


def test_it_is_the_same_after_writing_and_reading(run: Comparison, tmp_path: Path) -> None:
    run.write(tmp_path / "run.json")
    assert Comparison.read(tmp_path / "run.json") == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}'])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(FaltungError, match=r"must come from faltung bench --peers … --json; got old\.json"):
        Comparison.read(tmp_path / "old.json")


def test_a_crowded_case_is_prepared_for_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_available_bytes", lambda: 0)
    case = compare({"small": CASES["strided"]}, OURS, seconds=0.02, threads=1).cases["small"]
    assert all(len(case.results[peer].rounds) == side_by_side.LEAST_ROUNDS for peer in OURS)
    assert all(case.results[peer].cold_seconds > 0 for peer in OURS)


def test_all_data_can_be_in_one_layout() -> None:
    run = compare({"small": CASES["strided"]}, OURS, layout="ncw", seconds=0.02, threads=1)
    assert {name: who.layout for name, who in run.participants.items()} == {"faltung": "ncw"}
    assert run.cases["small"].results["faltung"].is_measured


def test_ours_says_that_it_has_no_gradients_yet_or_has_the_right_ones() -> None:
    run = compare({"small": CASES["strided"]}, OURS, mode="training", seconds=0.02, threads=1)
    for peer in OURS:
        result = run.cases["small"].results[peer]
        if hasattr(ft, "input_gradient") and hasattr(ft, "kernel_gradient"):
            assert result.is_measured, result.reason
        else:
            assert (result.status, result.reason) == ("unsupported", "gradients are not yet supported")
    assert run.cases["small"].flops == 3 * ft.ConvSpec.from_text(CASES["strided"]).flops


def test_a_run_says_which_peers_there_are() -> None:
    assert choose_peers("all") == list(PEERS)
    assert choose_peers("scipy, faltung") == ["faltung", "faltung-ncw", "scipy"]
    with pytest.raises(FaltungError, match=r"peers are all, or some of faltung, .*; got caffe"):
        choose_peers("torch,caffe")


def test_more_threads_than_processors_are_refused() -> None:
    with pytest.raises(FaltungError, match="threads must be at most the processors we may run on; got 4096"):
        compare({}, OURS, threads=4096)


def test_a_worker_runs_only_while_it_is_asked() -> None:
    worker = Worker("faltung.bench.referee:Referee", (1,), sorted(os.sched_getaffinity(0))[:1])
    try:
        assert worker.ask("finish") is None
        assert worker._process is not None
        state = Path(f"/proc/{worker._process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        assert state in "RT"  # it stops a moment after the answer
        with pytest.raises(Trouble, match=r"failed: AttributeError: .* no attribute 'dance'"):
            worker.ask("dance")
    finally:
        worker.close()


def test_workers_end_with_the_one_who_asks(tmp_path: Path) -> None:
    import subprocess
    import time

    program = (
        "import os; from faltung.bench.process import Worker\n"
        "w = Worker('faltung.bench.referee:Referee', (1,), sorted(os.sched_getaffinity(0)))\n"
        "w.ask('finish'); print(w._process.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    end = time.monotonic() + 10
    while stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        assert time.monotonic() < end
        time.sleep(0.01)
