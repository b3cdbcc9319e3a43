"""Takes the screenshot of the README anew: `python -m tests.docs.screenshot`.

Runs a bridge with an emulated battery in a folder of its own, and Chromium with the driver of the browser tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.browser import chromium
from tests.docs.pages import ROOT

TARGET = ROOT / "docs" / "images" / "overview.png"
_CONFIGURATION = """
[[battery]]
id = "main"
name = "House battery"
port = "emulated://daly"
[mqtt]
url = "off"
[web]
host = "127.0.0.1"
port = 0
[mdns]
enabled = false
"""
_SMARTBMS = (sys.executable, "-c", "from bridge.cli import main; main()")
_SECONDS = 20.0
_TOLD_LATE = ("280.0 Ah", "No alarms", "EMULATED-DALY", "20220810")
"""What the BMS tells in the last of its first answers."""


def main() -> None:
    """Write docs/images/overview.png."""
    node, browser = shutil.which("node"), shutil.which("chromium")
    if node is None or browser is None:
        sys.exit("This needs node and chromium, as `make test` installs them.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bridge.toml").write_text(_CONFIGURATION, encoding="utf-8")
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        command = [*_SMARTBMS, "run", "--config", "bridge.toml", "--data", "."]
        bridge = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address = f"http://127.0.0.1:{_port(folder / 'run.json')}/"
            with chromium(node, browser) as running, running.open(width=1180, height=860) as page:
                page.goto(address)
                for text in _TOLD_LATE:
                    page.until_text(text, within=_SECONDS)
                page.screenshot(TARGET)
        finally:
            bridge.terminate()
            bridge.wait(timeout=_SECONDS)


def _port(record: Path) -> int:
    """Return the port of the pages, once the bridge has it."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if record.exists() and (port := json.loads(record.read_bytes())["ports"].get("web")):
            return int(port)
        time.sleep(0.1)
    sys.exit("The bridge does not start.")


if __name__ == "__main__":
    main()
