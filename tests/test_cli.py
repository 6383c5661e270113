"""The command line: what it prints, what it writes, and how it fails."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import faltung as ft
from faltung import cli
from faltung.bench import machine, measurements, run, tune
from faltung.bench.peers import PEERS
from faltung.bench.result import Comparison
from faltung.bench.suite import in_layout
from faltung.errors import CodegenError
from faltung.machine import tables
from faltung.machine.cost import CostModel, prices_of
from faltung.runtime import cache, processor

TEXT = "conv1d n2 w100 ic3 oc8 kw5 same relu"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give tables room, so that their cells stay in one line."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the two measurements by constants, for tests of what is printed."""
    host = machine.Machine(
        processor="Test processor",
        target="test-target",
        vector_bits=512,
        threads=2,
        peak_gflops_f32=500.0,
        peak_gflops_f64=250.0,
        read_gbps=30.0,
        write_gbps=20.0,
        copy_gbps=25.0,
        processor_share=1.0,
    )
    monkeypatch.setattr(machine, "measure", lambda: host)
    monkeypatch.setattr(run, "measure", measurement)


def measurement(text: str, *, layout: str | None, seconds: float) -> run.Measurement:
    return run.Measurement(
        spec=in_layout(ft.ConvSpec.from_text(text), layout),
        algorithm="direct_nhwc",
        microseconds=12.5,
        fastest=12.0,
        gflops=400.0,
        share_of_peak=0.8,
        share_of_bandwidth=0.1,
        share_of_roofline=0.8,
        bound="arithmetic",
        compile_ms=20.0,
        cached_load_ms=0.3,
        call_overhead_us=3.0,
        checked=1600,
        processor_share=1.0,
    )


def faltung(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def test_help_names_the_commands_that_exist() -> None:
    shown = faltung("--help").stdout
    assert all(f"  {name} " in shown for name in cli.main.commands)
    names = "bench cache compile demo doctor explain info show stream tune"
    assert sorted(cli.main.commands) == names.split()
    assert all(faltung(name, "--help").exit_code == 0 for name in cli.main.commands)


def test_help_loads_nothing_that_only_a_command_needs() -> None:
    program = "import sys, faltung.cli; print({'rich', 'matplotlib', 'pywt', 'torch'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"


def test_info_tells_machine_cache_and_frameworks(quick: None) -> None:
    shown = faltung("info")
    assert shown.exit_code == 0
    for part in (
        "Test processor",
        "512 bits",
        "500 GFLOP/s float32",
        "30.0 GB/s read",
        str(cache.directory()),
        "llvmlite 0.",
    ):
        assert part in shown.stdout


def test_info_says_when_the_cache_is_off(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "directory", lambda: None)
    monkeypatch.setattr(cache, "size", lambda: (0, 0))
    assert "off" in faltung("info").stdout


def test_info_says_when_the_machine_is_busy(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = replace(machine.measure(), processor_share=0.5)
    monkeypatch.setattr(machine, "measure", lambda: busy)
    assert "The machine is busy: faltung got 50% of it." in faltung("info").stdout


def test_info_clears_the_cache_when_asked(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "clear", lambda: 7)
    assert faltung("info", "--clear-cache").stdout.startswith("Deleted 7 files.")


def test_cache_is_shown_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path))
    cache.keep("one", b"x" * 1_000_000)
    cache.keep("other", b"x" * 500_000)
    assert faltung("cache", "info").stdout == f"{tmp_path}: 2 files, 1.5 MB of at most 268 MB\n"
    assert faltung("cache", "clear").stdout == "Deleted 2 files.\n"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("FALTUNG_CACHE_DIR", "")
    assert faltung("cache", "info").stdout == "off\n"
    assert faltung("cache", "clear").stdout == "Deleted 0 files.\n"


def test_bench_measures_a_text_for_real(tmp_path: Path) -> None:
    shown = faltung("bench", TEXT, "--seconds", "0.01", "--json", tmp_path / "bench.json")
    assert shown.exit_code == 0, shown.output
    assert ft.ConvSpec.from_text(TEXT).to_text().removesuffix(" f32") in shown.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["machine"]["threads"] >= 1
    assert report["refused"] == report["wrong"] == {}
    assert report["measured"][TEXT]["checked"] == 2 * 100 * 8
    assert report["measured"][TEXT]["microseconds"] > 0


def test_bench_changes_the_layout(quick: None, tmp_path: Path) -> None:
    faltung("bench", TEXT, "--layout", "ncw", "--json", tmp_path / "bench.json")
    (measured,) = json.loads((tmp_path / "bench.json").read_text())["measured"].values()
    assert ft.ConvSpec.from_text(measured["spec"]).layout == "NCW"


def test_bench_sets_the_threads(quick: None) -> None:
    before = ft.get_num_threads()
    try:
        assert faltung("bench", TEXT, "--threads", "1").exit_code == 0
        assert ft.get_num_threads() == 1
    finally:
        ft.set_num_threads(before)


def test_bench_names_what_a_suite_asks_and_faltung_refuses(quick: None) -> None:
    shown = faltung("bench", "--suite", "complaints")
    assert shown.exit_code == 0
    assert "not measured: istft: " in shown.stdout
    assert "wavenet_d256" in shown.stdout


def test_bench_without_a_case_says_what_to_give() -> None:
    shown = faltung("bench")
    assert shown.exit_code == 2
    assert "Nothing to measure: give a text such as" in shown.stderr


@pytest.mark.parametrize("text", ["conv1d n1 w4 ic1 oc1 kw7", "conv9d n1", "conv1d_transpose n1 w9 ic1 oc1 kw3"])
def test_an_error_is_one_line_on_stderr(quick: None, text: str) -> None:
    shown = faltung("bench", text)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    (line,) = shown.stderr.splitlines()
    assert line.startswith("Error: ")


def test_wrong_numbers_fail_the_run_but_not_the_other_cases(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(text: str, **options: Any) -> run.Measurement:
        if text == TEXT:
            raise CodegenError("conv1d: the kernel's numbers must be those of the reference")
        return measurement(text, **options)

    monkeypatch.setattr(run, "measure", measure)
    shown = faltung("bench", TEXT, "conv1d n1 w20 ic1 oc1 kw3")
    assert shown.exit_code == 2
    assert f"WRONG: {TEXT}: conv1d: the kernel's numbers must be those" in shown.stdout
    assert "conv1d n1 w20 ic1 oc1 kw3" in shown.stdout
    assert f"wrong numbers: {TEXT}" in shown.stderr


def test_a_pipe_gets_120_columns(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    shown = faltung("bench", "--suite", "complaints").stdout
    assert max(map(len, shown.split("not measured")[0].splitlines())) <= 120
    assert "…" not in shown


def test_a_busy_machine_is_named(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(text: str, **options: Any) -> run.Measurement:
        return replace(measurement(text, **options), processor_share=0.5)

    monkeypatch.setattr(run, "measure", measure)
    assert "The machine is busy: faltung got 50% of it." in faltung("bench", TEXT).stdout


# --- tune


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Tuning that measures two convolutions only, and a folder of its own; where the table will be."""
    few = measurements.questions()[40:42]
    monkeypatch.setattr(measurements, "questions", lambda: few)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path))
    return tune.own_table(processor.current())


def test_tune_keeps_a_table_beside_the_cache_until_it_is_reset(tuned: Path, tmp_path: Path) -> None:
    done = faltung("tune", "--seconds", "0.002", "--measurements", tmp_path / "measured.json")
    assert done.exit_code == 0, done.output
    share = r"[\d.]+%"
    assert re.search(rf"{share} of 2 choices are within 10 % of the quickest algorithm, {share} before", done.stdout)
    assert str(tuned) in done.stdout.replace("\n", "")
    costs = tables.costs_for(processor.family(), processor.current().vector_bytes, tmp_path)
    assert costs == tables.read(tuned) and "faltung tune" in costs.origin
    assert len(measurements.read(tmp_path / "measured.json")) == 2
    assert "Removed" in faltung("tune", "--reset").stdout and not tuned.exists()
    assert "There was no table" in faltung("tune", "--reset").stdout


def test_tune_writes_elsewhere_when_asked(tuned: Path, tmp_path: Path) -> None:
    assert faltung("tune", "--seconds", "0.002", "--out", tmp_path / "other.json").exit_code == 0
    assert tables.read(tmp_path / "other.json").family == processor.family() and not tuned.exists()


def test_tune_shows_the_prices_in_force() -> None:
    shown = faltung("tune", "--show").stdout
    assert all(name in shown for name in prices_of(CostModel()))


def test_tune_needs_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", "")
    done = faltung("tune")
    assert done.exit_code == 2
    assert (
        done.stderr
        == "Error: tune: prices are kept in the cache's folder, which is off. Set FALTUNG_CACHE_DIR to one.\n"
    )


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add two peers: the reference, and one that is off in one place."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setitem(PEERS, "right", "stub_peers:Right")
    monkeypatch.setitem(PEERS, "wrong", "stub_peers:Wrong")


def test_bench_compares_with_peers_and_writes_all_it_is_asked_for(stubs: None, tmp_path: Path) -> None:
    json_file, markdown_file = tmp_path / "run.json", tmp_path / "run.md"
    compare = ("bench", TEXT, "--peers", "right,wrong", "--seconds", "0.02", "--threads", "1")
    shown = faltung(*compare, "--json", json_file, "--markdown", markdown_file, "--report", tmp_path / "page")
    assert shown.exit_code == 0, shown.output
    assert "wrong: wrong: y: 1 of 1,600 compared outputs beyond 8 times the bound" in shown.stdout
    run = Comparison.read(json_file)
    assert run.cases[TEXT].measured == ["faltung", "faltung-ncw", "right"]
    assert "## Slower than a peer" in markdown_file.read_text()
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [
        "benchmarks.md",
        "index.html",
        "results.json",
    ]


def test_bench_runs_again_what_an_old_run_did(stubs: None, tmp_path: Path) -> None:
    (tmp_path / "cases.txt").write_text(f"mine: {TEXT}  # a comment\n")
    old = tmp_path / "old.json"
    first = ("bench", "--cases", tmp_path / "cases.txt", "--peers", "right", "--seconds", "0.02", "--threads", "1")
    assert faltung(*first, "--json", old).exit_code == 0
    data = json.loads(old.read_text())
    results = data["cases"]["mine"]["results"]
    results["faltung"]["rounds"] = [seconds * 1e3 for seconds in results["faltung"]["rounds"]]  # we were slower then
    results["faltung-ncw"]["rounds"] = [seconds / 1e3 for seconds in results["faltung-ncw"]["rounds"]]
    old.write_text(json.dumps(data))
    shown = faltung("bench", "--against", old, "--seconds", "0.02")
    assert shown.exit_code == 1
    assert "1 of 2 became slower by more than 1.2" in " ".join(shown.stdout.split())
    assert shown.stderr.startswith("slower: faltung-ncw on mine: ")


def test_wrong_numbers_of_ours_fail_a_comparison(stubs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "faltung", "stub_peers:Wrong")
    shown = faltung("bench", TEXT, "--peers", "right", "--seconds", "0.02", "--threads", "1")
    assert shown.exit_code == 2
    assert shown.stderr.startswith(f"wrong numbers: faltung on {TEXT}: y: 1 of 1,600")


def test_training_of_peers(stubs: None) -> None:
    shown = faltung("bench", TEXT.replace(" relu", ""), "--mode", "training", "--peers", "faltung", "--seconds", "0.02")
    assert shown.exit_code == 0, shown.output
    assert "training" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TEXT, "--peers", "caffe"), "bench: peers are all, or some of faltung, "),
        (("conv9d n1", "--peers", "faltung"), "a spec begins with conv1d"),
        ((TEXT, "--against", "pyproject.toml"), "must come from faltung bench"),
    ],
)
def test_a_wrong_comparison_is_one_line_on_stderr(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]")
    given = [tmp_path / part if part == "pyproject.toml" else part for part in arguments]
    shown = faltung("bench", *given)
    assert shown.exit_code == 2
    (line,) = shown.stderr.splitlines()
    assert line.startswith("Error: ") and message in line


def test_a_report_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shown = faltung("bench", TEXT, "--report", tmp_path / "page")
    assert shown.exit_code == 2
    assert 'a report page needs matplotlib. Install it: pip install "faltung[bench]"' in shown.stderr


def test_the_programs_draw_three_pictures_and_say_how_fast(tmp_path: Path) -> None:
    shown = faltung("demo", "--programs", "--out", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("GFLOP/s") == 3
    assert f"The pictures are in {tmp_path}" in shown.stdout
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("missing", "options", "extra"),
    [("matplotlib", ["--programs"], "demo"), ("pywt", ["--programs"], "demo"), ("matplotlib", [], "keras")],
)
def test_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str, options: list[str], extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("faltung.demo") or name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    shown = faltung("demo", *options)
    assert shown.exit_code == 2
    assert f'The demo needs {missing}: pip install "faltung[{extra}]"' in shown.stderr
