"""A cache of object code for this test session alone, so that no test touches the user's; the order; and Keras."""

import gc
import os
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

CACHE = "FALTUNG_TESTS_CACHE_DIR"
TESTS = Path(__file__).parent
DURATIONS = TESTS / "durations.txt"
"""Seconds and names of the tests that take SHORTEST_KEPT and more; `pytest --keep-durations` writes it anew."""
SHORTEST_KEPT, SLOW = 1.0, 5.0
"""Seconds: of what is kept, and of what has the mark `slow`."""
_taken: dict[str, float] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that measures again which tests are slow."""
    parser.addoption(
        "--keep-durations", action="store_true", help=f"write {DURATIONS.name}: who is slow, who comes first"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set FALTUNG_CACHE_DIR and Keras's backend before anything is collected: the doctests in src need both.

    Workers and processes of pytest that a test starts keep their object code where this one does.
    """
    if CACHE not in os.environ:
        directory = tempfile.TemporaryDirectory(prefix="faltung-tests-")
        os.environ[CACHE] = directory.name
        config.add_cleanup(directory.cleanup)
    os.environ["FALTUNG_CACHE_DIR"] = os.environ[CACHE]
    os.environ.setdefault("KERAS_BACKEND", "torch")  # the one that starts quickest


def durations() -> dict[str, float]:
    """The seconds that tests took when they were measured, by name."""
    lines = DURATIONS.read_text(encoding="utf-8").splitlines() if DURATIONS.exists() else []
    return {name: float(seconds) for seconds, _, name in (line.partition(" ") for line in lines)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with the longest files: no worker is left alone with one at the end."""
    measured = durations()
    totals: dict[str, float] = defaultdict(float)
    for name, seconds in measured.items():
        totals[name.partition("::")[0]] += seconds
    for item in items:
        if measured.get(item.nodeid, 0.0) >= SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -totals[item.nodeid.partition("::")[0]])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a test takes, its fixtures included."""
    _taken[report.nodeid] = _taken.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write down who is slow, where that was asked for; of several processes the one that has seen all tests does."""
    if session.config.getoption("keep_durations") and not hasattr(session.config, "workerinput"):
        kept = sorted(((seconds, name) for name, seconds in _taken.items() if seconds >= SHORTEST_KEPT), reverse=True)
        DURATIONS.write_text("".join(f"{seconds:.1f} {name}\n" for seconds, name in kept), encoding="utf-8")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what has been imported: kernels are large trees, and wake it a thousand times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, imported once and only when a test asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

    return keras
