"""A real Chromium for the tests of pages: found, started once, and every word on its console kept."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-device-scale-factor=1"]


def chromium() -> str:
    """Return where Chromium is; where there is none, skip, or fail if FALTUNG_TEST_BROWSER says it must be there."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = "no Chromium on the PATH; on Debian: apt-get install chromium"
        if os.environ.get("FALTUNG_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Tab:
    """A tab and what its console said."""

    page: Any
    said: list[str] = field(default_factory=list)

    def run(self, program: str, argument: Any = None) -> Any:
        """Return the value of a JavaScript expression."""
        return self.page.evaluate(program, argument)

    def settle(self) -> None:
        """Wait until everything asked for is drawn."""
        self.run("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector: str) -> str:
        """Return the text of one element."""
        return str(self.page.inner_text(selector))

    def number(self, name: str) -> float:
        """Return a number of the arithmetic by its row, in full."""
        return float(self.page.get_attribute(f'.sum[data-name="{name}"] output', "data-value"))


def new_tab(browser: Any, *, width: int = 1240, height: int = 900, theme: str = "light") -> Tab:
    """Return a tab of this size and theme that writes down what its console and the network hear."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    tab = Tab(context.new_page())
    tab.page.set_default_timeout(10_000)
    tab.page.on("console", lambda message: tab.said.append(message.text))
    tab.page.on("pageerror", lambda error: tab.said.append(f"{error}"))
    tab.page.on("request", lambda request: tab.said.append(request.url) if request.url.startswith("http") else None)
    return tab


@contextmanager
def visited(tab: Tab, html: Path) -> Iterator[Tab]:
    """Open a file in a tab; at the end its console must have stayed silent."""
    tab.said.clear()
    tab.page.goto(html.as_uri())
    tab.settle()
    yield tab
    assert tab.said == []


@contextmanager
def opened(browser: Any, html: Path, **look: Any) -> Iterator[Tab]:
    """Open a file in a tab of its own."""
    tab = new_tab(browser, **look)
    try:
        with visited(tab, html):
            yield tab
    finally:
        tab.page.context.close()
