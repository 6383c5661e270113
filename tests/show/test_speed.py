"""A signal of 100,000 samples: drawn within a second, scrubbed at 30 frames a second or better."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from show.browsing import opened

import faltung as ft

FIRST_PAINT = """() => new Promise((done) => {
  const seen = performance.getEntriesByName("first-contentful-paint");
  if (seen.length) done(seen[0].startTime);
  else new PerformanceObserver((list, observer) => { observer.disconnect(); done(list.getEntries()[0].startTime); })
    .observe({ type: "paint", buffered: true });
})"""
SCRUB = """() => new Promise((done) => {
  const scrub = document.getElementById("scrub"), frames = 90, start = performance.now();
  let at = 0;
  const next = () => {
    scrub.value = 500 + at * 1000;
    scrub.dispatchEvent(new Event("input"));
    if (++at < frames) requestAnimationFrame(next);
    else requestAnimationFrame(() => done((frames * 1000) / (performance.now() - start)));
  };
  requestAnimationFrame(next);
})"""


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "long.html"
    x = np.cumsum(np.random.default_rng(0).standard_normal((1, 100_000, 1)), axis=1).astype("f4")
    ft.show("conv1d n1 w100000 ic1 oc4 kw31 same", x, path)
    return path


def test_100_000_samples(browser: Any, signal: Path) -> None:
    paints, rates = [], []
    for _ in range(3):  # others may be at work on this machine: the best of three counts
        with opened(browser, signal) as tab:
            paints.append(tab.run(FIRST_PAINT))
            rates.append(tab.run(SCRUB))
        if min(paints) < 1000 and max(rates) >= 30:
            break
    print(f"first paint {min(paints):.0f} ms, {max(rates):.0f} frames a second")
    assert min(paints) < 1000, paints
    assert max(rates) >= 30, rates
