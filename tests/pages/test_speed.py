"""A signal of 100,000 samples: drawn within a second, scrubbed at 30 frames a second or better."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages.browsing import opened

import faltung as ft

FRAMES = 60
FIRST_PAINT = """() => new Promise((done) => {
  const seen = performance.getEntriesByName("first-contentful-paint");
  if (seen.length) done(seen[0].startTime);
  else new PerformanceObserver((list, observer) => { observer.disconnect(); done(list.getEntries()[0].startTime); })
    .observe({ type: "paint", buffered: true });
})"""
SCRUB = """() => new Promise((done) => {
  const scrub = document.getElementById("scrub"), frames = FRAMES, start = performance.now();
  let at = 0;
  const next = () => {
    scrub.value = 500 + at * 1000;
    scrub.dispatchEvent(new Event("input"));
    if (++at < frames) requestAnimationFrame(next);
    else requestAnimationFrame(() => done((frames * 1000) / (performance.now() - start)));
  };
  requestAnimationFrame(next);
})""".replace("FRAMES", str(FRAMES))


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "long.html"
    x = np.cumsum(np.random.default_rng(0).standard_normal((1, 100_000, 1)), axis=1).astype("f4")
    ft.show("conv1d n1 w100000 ic1 oc4 kw31 same", x, path)
    return path


def test_100_000_samples(browser: Any, signal: Path) -> None:
    """The page's own work counts, in processor time: tests share the machine with others, and frames wait for them."""
    paints, works, rates = [], [], []
    for _ in range(6):
        with opened(browser, signal) as tab:
            paints.append(tab.run(FIRST_PAINT))
            metrics = tab.page.context.new_cdp_session(tab.page)
            metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = busy(metrics)
            rates.append(tab.run(SCRUB))
            works.append((busy(metrics) - before) / FRAMES)
        if min(paints) < 1000 and min(works) < 1 / 30:
            break
    print(
        f"first paint {min(paints):.0f} ms; {max(rates):.0f} frames a second, {1000 * min(works):.1f} ms of work each"
    )
    assert min(paints) < 1000, paints
    assert min(works) < 1 / 30, works


def busy(metrics: Any) -> float:
    """The seconds that the page's thread has worked: scripts, styles, layout and painting."""
    told = {each["name"]: each["value"] for each in metrics.send("Performance.getMetrics")["metrics"]}
    return float(told["TaskDuration"])
