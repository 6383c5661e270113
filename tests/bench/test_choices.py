"""The count of right choices: what is timed, and when a choice counts as right."""

import pytest
from click.testing import CliRunner

from faltung.bench.choices import Choice, measure_choice, share_near_best
from faltung.cli import main


def test_a_choice_is_right_within_ten_percent() -> None:
    choices = [
        Choice(str(n), {"direct_nchw": taken, "direct_nhwc": 1.0})
        for n, taken in enumerate((0.5, 1.0, 1.099, 1.11, 3.0))
    ]
    assert [choice.best for choice in choices] == [
        "direct_nchw",
        "direct_nchw",
        "direct_nhwc",
        "direct_nhwc",
        "direct_nhwc",
    ]
    assert share_near_best(choices) == pytest.approx(0.6)


def test_every_algorithm_that_could_serve_is_timed_and_the_chosen_one_comes_first() -> None:
    choice = measure_choice("long", "conv1d n1 w100000 ic1 oc1 kw20001", seconds=0.02)
    assert set(choice.seconds) == {"direct_nhwc", "direct_nchw", "fft"}
    assert choice.chosen == "fft" and choice.best == "fft" and choice.factor == 1.0
    assert all(taken > 0 for taken in choice.seconds.values())


def test_the_command_counts_and_lists() -> None:
    texts = ["conv1d n1 w5000 ic4 oc4 kw301", "conv1d n2 w50 ic16 oc16 kw3"]
    shown = CliRunner().invoke(main, ["bench", "--choices", "--seconds", "0.02", *texts])
    assert shown.exit_code == 0, shown.output
    assert "of 2 choices take at most 1.1 times as long as the best algorithm." in shown.stdout


def test_files_and_peers_are_refused() -> None:
    shown = CliRunner().invoke(main, ["bench", "--choices", "--peers", "torch", "conv1d n1 w50 ic4 oc4 kw3"])
    assert shown.exit_code == 2 and "--choices compares faltung's algorithms" in shown.output
