"""The reports: everything is there, worst first, with what is slower at the top, in every form."""

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up_runs import TEXT, case, comparison, example, measured
from rich.console import Console

from faltung.bench import known, sweep
from faltung.bench.document import document
from faltung.bench.known import known_reason
from faltung.bench.markdown import markdown
from faltung.bench.overview import notes, table
from faltung.bench.page import page
from faltung.bench.plots import plots


def test_everything_is_in_the_markdown() -> None:
    run = example()
    text = markdown(document(run))
    for name in run.cases:
        assert text.count(f"\n### {name}\n") == 1
        details = text.split(f"\n### {name}\n")[1].split("\n#")[0]
        assert all(f"| `{peer}` |" in details for peer in run.cases[name].results)
    assert "faltung bench --suite core --peers all" in text
    assert "commit abc" in text and "Test processor" in text and "numpy 2.0" in text
    assert "| `openvino` | all cases | not installed: No module named 'openvino' |" in text
    assert "| all peers | `istft` | a transposed convolution has no spec |" in text
    assert "| `jax` | `longk` | failed: ValueError: <no>\\|strides |" in text


def test_what_is_slower_stands_at_the_top_and_the_worst_comes_first() -> None:
    text = markdown(document(example()))
    slower = text.split("## Slower than a peer")[1].split("\n## ")[0]
    assert "In 1 of 4 comparisons the peer is quicker" in slower  # two peers, twice; each lacks one of ours or its own
    assert "| `longk` | `torch` | not known yet | ncw | 250.0 | 100.0 | 0.40 |" in slower
    order = [
        line.split("`")[1] for line in text.split("worst first\n")[1].split("\n## ")[0].splitlines() if "`" in line
    ]
    assert order == ["longk", "broken", "quick"]  # 0.4, 1.4 (to jax there is no ratio), 1.5


def test_a_case_without_times_of_ours_comes_first() -> None:
    run = comparison(a=case(TEXT, faltung=10, jax=1), b=case(TEXT, jax=1))
    assert run.worst_first() == ["b", "a"]


def test_reasons_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "reasons.txt").write_text("# why\nlongk scipy*: an FFT\n* torch-*: age\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(known.resources, "files", lambda package: tmp_path)
        known._reasons.cache_clear()
        assert known_reason("longk", "scipy-fft") == "an FFT"
        assert known_reason("longk", "jax") == "" and known_reason("any", "torch-of-another-age") == "age"
    known._reasons.cache_clear()
    assert known_reason("longk", "torch-of-another-age") == ""
    run = comparison(longk=case(TEXT, faltung=10, jax=1))
    assert "not known yet" in markdown(document(run))


def test_the_page_is_one_well_formed_file() -> None:
    run = example()
    text = page(document(run), plots(run))
    assert text.count("data:image/svg+xml;base64,") == 2
    assert "<no>|strides" not in text and "&lt;no&gt;|strides" in text
    body = text[text.index("<body>") :].replace("</html>", "")
    assert len(ElementTree.fromstring(body).findall("table")) >= 6
    assert "http" not in body


def test_the_page_draws_sweeps() -> None:
    texts = sweep.cases()
    run = comparison(**{name: case(texts[name], faltung=10, jax=30) for name in ("batch/1", "batch/2", "length/8")})
    assert plots(run).keys() == {"ratios", "roofline", "sweeps"}
    assert "time per output may grow by at most 1.5 times" in markdown(document(run))


def test_nothing_to_draw_is_no_error() -> None:
    run = comparison()
    assert plots(run) == {}
    assert "<h1>" in page(document(run), {})


def test_the_terminal_shows_ratios_and_names_the_rest() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    run = example()
    run.cases["quick"].results["jax"] = measured(30, error=3.0)
    console.print(table(run))
    shown = console.export_text()
    assert "0.40" in shown and "1.50" in shown and "2 threads" in shown
    lines = list(notes(run))
    assert "openvino: not installed: No module named 'openvino'" in lines
    assert "jax: failed: ValueError: <no>|strides: longk" in lines
    assert "not measured: istft: a transposed convolution has no spec" in lines
    assert "jax: quick: 3.0 times the error bound of direct summation" in lines


def test_a_busy_machine_is_named() -> None:
    run = example()
    run.cases["quick"].processor_share = 0.5
    assert "Others used the machine during 1 cases" in markdown(document(run))
    assert "The machine is busy: faltung got 50% of it." in " ".join(notes(run))


@pytest.mark.parametrize("mode", ["forward", "training"])
def test_the_mode_is_named(mode: str) -> None:
    run = example()
    run.mode = mode
    assert f"Mode: {mode}." in markdown(document(run))
