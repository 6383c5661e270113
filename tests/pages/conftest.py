"""One browser for all tests of pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from pages.browsing import ARGUMENTS, Tab, chromium, new_tab


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def tab(browser: Any) -> Tab:
    """One tab for tests that open many pages one after the other."""
    return new_tab(browser)
