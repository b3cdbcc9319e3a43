"""A real browser for tests: Chromium, driven through `driver.mjs`. Knows nothing of the pages under test."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Page:
    """One tab, in a profile of its own."""

    def __init__(self, browser: Browser, number: int) -> None:
        self._browser = browser
        self._number = number

    def goto(self, url: str) -> None:
        self._call("goto", url=url)

    def reload(self) -> None:
        self._call("reload")

    def evaluate(self, expression: str) -> Any:
        return self._call("evaluate", expression=expression)

    def text(self, selector: str = "body") -> str:
        """Return what a reader sees of the first element that `selector` finds, without empty lines."""
        return str(self.evaluate(_seen(selector)))

    def until(self, expression: str, *, within: float = 10.0) -> Any:
        """Wait until `expression` is truthy in the page and return it."""
        deadline = time.monotonic() + within
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within} s: {expression}\n{self.text()}")
            time.sleep(0.05)  # the interval of the poll above

    def until_text(self, wanted: str, selector: str = "body", *, within: float = 10.0) -> None:
        """Wait until `wanted` is to be read in the element that `selector` finds."""
        self.until(f"{_seen(selector)}.includes({json.dumps(wanted)})", within=within)

    def click(self, selector: str) -> None:
        self._call("click", selector=selector)

    def press(self, key: str) -> None:
        self._call("press", key=key)

    def emulate(self, *, width: int, height: int, dark: bool) -> None:
        """Make the window another size, and the device light or dark."""
        self._call("emulate", width=width, height=height, dark=dark)

    def screenshot(self, path: Path) -> None:
        self._call("screenshot", path=str(path))

    def axe(self) -> list[str]:
        """Return what axe-core finds wrong, worst word first in each line."""
        return list(self._call("axe"))

    def errors(self) -> list[str]:
        """Return errors and warnings of the console (violations of the security policy are among them)."""
        return list(self._call("seen")["errors"])

    def requests(self) -> list[str]:
        return list(self._call("seen")["requests"])

    def bytes_received(self) -> int:
        """Return the bytes that came over the wire, as compressed, with headers."""
        return int(self._call("seen")["bytes"])

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, page=self._number, **parameters)


def _seen(selector: str) -> str:
    """Return the expression for the text of an element, with plain spaces and without empty lines."""
    text = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '')"
    return text + r".replaceAll('\u00a0', ' ').replace(/\n\n+/g, '\n').trim()"


class Browser:
    """A running Chromium."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @contextmanager
    def open(
        self, *, width: int = 390, height: int = 844, dark: bool = False, scripts: bool = True, locale: str = "en-GB",
        calm: bool = True,
    ) -> Iterator[Page]:
        """Give a new tab: a phone in Berlin, in light colours, unless said otherwise."""
        number = self.call(
            "open", width=width, height=height, dark=dark, scripts=scripts, locale=locale, calm=calm,
            zone="Europe/Berlin",
        )
        try:
            yield Page(self, number)
        finally:
            self.call("close", page=number)

    def call(self, method: str, **parameters: Any) -> Any:
        """Have the driver do `method`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"method": method, **parameters}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the browser's driver has ended during {method}")
        reply = json.loads(line)
        if "error" in reply:
            raise AssertionError(f"{method}: {reply['error']}")
        return reply["value"]


@contextmanager
def chromium(node: str, executable: str) -> Iterator[Browser]:
    """Run Chromium while the block lasts."""
    with subprocess.Popen(
        [node, str(HERE / "driver.mjs"), executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Browser(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
