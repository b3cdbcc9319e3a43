"""Fixtures of the browser tests: one Chromium for all, and a folder for what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.browser import Browser, chromium
from tests.browser.fake_bridge import ROOT, STATIC

OUTPUT = ROOT / "test-output" / "browser"


@pytest.fixture(scope="session")
def browser(program: Callable[[str], str]) -> Iterator[Browser]:
    """Run one Chromium; each test opens tabs of its own."""
    if not (STATIC / "manifest.json").is_file():
        pytest.fail("the pages are not built: npm ci && npm run build in web/ui", pytrace=False)
    with chromium(program("node"), program("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Return the folder in which screenshots are kept for people to look at."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    return OUTPUT
