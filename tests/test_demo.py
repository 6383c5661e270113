"""The main job, in the process of the tests, on the backend that they run on; and which backend it chooses."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from faltung.cli import main
from faltung.demo import backend

# Keras's own: Variable.numpy on its PyTorch backend
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without choices; what the demo sets is taken back."""
    for name in ("TF_CPP_MIN_LOG_LEVEL", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, "cpu")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def test_both_networks_learn_the_same_and_a_page_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from faltung.demo import contest, datasets, tasks

    def few(whole: datasets.Dataset) -> datasets.Dataset:
        learn = datasets.Examples(whole.learn.x[::2], whole.learn.label[::2])
        return datasets.Dataset(whole.sentence, learn, whole.test, whole.names)

    monkeypatch.setattr(tasks, "exercises", lambda: few(datasets.exercises()))
    monkeypatch.setattr(tasks, "digits", lambda: few(datasets.digits()))
    monkeypatch.setattr(contest, "PREDICTIONS", 2)
    shown = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    shares = [line.split()[-2:] for line in lines if line.startswith("right answers")]
    for (theirs, ours), least in zip(shares, (50, 80), strict=True):
        assert abs(float(theirs[:-1]) - float(ours[:-1])) <= 5 and float(ours[:-1]) > least
    assert sum("receptive field" in line for line in lines) == 2 and "Conv1D*" in shown.stdout
    assert sum("predict and ft.compile" in line for line in lines) == 4
    assert all(float(line.split()[-1]) > 1 for line in lines if line.startswith("one example, predict"))
    assert sum(line.startswith("a step of training") for line in lines) == 2
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["digits.png", "exercises.png", "learning.png"]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 and "<title>faltung demo</title>" in page


def test_outputs_that_differ_end_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    from faltung.demo import contest, tasks

    job = tasks.images()
    monkeypatch.setattr(contest, "TOLERANCE", -1.0)
    with pytest.raises(contest.ft.CodegenError, match="demo: outputs must be those of Keras"):
        job.run(lambda text: None)


@pytest.mark.parametrize(
    ("variable", "written", "chosen"),
    [("tensorflow", "torch", "tensorflow"), (None, "torch", "torch"), (None, "tensorflow", "jax"), (None, None, "jax")],
)
def test_the_backend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str | None, written: str | None, chosen: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", variable or "")
    if written:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": written}))
    assert backend.choose() == chosen


def test_without_its_data_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from faltung.demo import datasets

    monkeypatch.setattr(datasets.importlib.util, "find_spec", lambda name: None)
    shown = CliRunner().invoke(main, ["demo"])
    assert shown.exit_code == 2, shown.output
    assert 'The demo needs seglearn: pip install "faltung[keras]"' in shown.stderr
    assert "keras" in sys.modules
