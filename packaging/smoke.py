"""Prove that a built wheel works for somebody who has nothing else: `python packaging/smoke.py DIST`.

Installs it into a clean environment and starts it with no configuration file: the health document answers, the first
MQTT message comes, the page and what it names are there; after `kill -9` the next start is clean and the bridge is the
same one; SIGTERM ends it. Free ports and a throwaway data directory, so it disturbs no bridge that runs.

Knows the public interfaces only, and nothing of the code.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

_START_DEADLINE = 30.0
"""Seconds for what takes one second on an idle machine."""

_SETTINGS = {"SMARTBMS__WEB__PORT": "0", "SMARTBMS__WEB__HOST": "127.0.0.1", "SMARTBMS__MDNS__ENABLED": "false"}

_FIRST_MESSAGE = """
import sys
import paho.mqtt.subscribe

def heard(client, _, message):
    if message.topic.endswith("/state"):
        sys.stdout.write(message.payload.decode())
        client.disconnect()

paho.mqtt.subscribe.callback(heard, sys.argv[1], hostname="127.0.0.1", port=int(sys.argv[2]))
"""
"""Prints the first state on a topic; a broker may send a new client what it kept for others as well."""

_Found = TypeVar("_Found")


class SmokeTestFailed(Exception):
    """The wheel does not do what it should; the message says what."""


def main() -> None:
    """Test the only wheel in the folder that the command line names."""
    wheels = sorted(Path(sys.argv[1]).glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"Expected one wheel in {sys.argv[1]}, found {len(wheels)}.")
    try:
        with tempfile.TemporaryDirectory(prefix="smartbms-smoke-") as folder:
            _test(wheels[0], Path(folder))
    except SmokeTestFailed as error:
        sys.exit(f"The smoke test failed: {error}")


def _test(wheel: Path, folder: Path) -> None:
    _check_contents(wheel)
    python = _install(wheel, folder / "venv")
    version = wheel.name.split("-")[1]
    told = _output([python.parent / "smartbms", "--version"])
    _require(version in told, f"`smartbms --version` says {told!r}, the wheel is {version}")

    with _Bridge(python, folder).running() as bridge:
        first = bridge.health()
        _require(first["version"] == version, f"the health document says version {first['version']}, not {version}")
        bridge.check_page()
        bridge.check_battery()
        bridge.kill()
    with _Bridge(python, folder).running() as bridge:
        second = bridge.health()
        _require(second["uid"] == first["uid"], "after kill -9 the bridge took itself for another one")
        bridge.check_battery()
        bridge.stop()
    _say("stopped within its time")


def _check_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        _require("web/static/manifest.json" in names, "the wheel has no built page (web/static/manifest.json)")
        for name in json.loads(archive.read("web/static/manifest.json")).values():
            is_file = re.search(r"\.\w+$", name) is not None
            _require(not is_file or f"web/static/{name}" in names, f"the wheel lacks web/static/{name}")
    for foreign in ("web/ui/", "tests/", "benchmarks/", "packaging/"):
        _require(not any(name.startswith(foreign) for name in names), f"the wheel contains {foreign}")
    _require(any(name.endswith("/LICENSE") for name in names), "the wheel has no licence")
    _say(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size // 1024} KiB")


def _install(wheel: Path, venv: Path) -> Path:
    started = time.monotonic()
    python = venv / "bin" / "python"
    _output([sys.executable, "-m", "venv", venv])
    constraints = Path(__file__).resolve().parent.parent / "constraints.txt"
    _output([python, "-m", "pip", "install", "--quiet", "--quiet", "--constraint", constraints, wheel])
    _say(f"installed into a clean environment in {time.monotonic() - started:.0f} s")
    return python


class _Bridge:
    """One start of `smartbms run`."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._python = python
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "bridge.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    @contextmanager
    def running(self) -> Iterator[_Bridge]:
        """Start, wait until the health document answers, and leave no process behind."""
        (self._data / "run.json").unlink(missing_ok=True)
        empty = self._folder / "elsewhere"
        empty.mkdir(exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTBMS", "PYTHON"))}
        environment |= _SETTINGS
        started = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._python.parent / "smartbms", "run", "--data", self._data],
                cwd=empty,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait("the page's port in run.json", self._read_ports)
            self._wait("GET /api/health", self.health)
            _say(f"GET /api/health answers {time.monotonic() - started:.1f} s after the start")
            yield self
        except SmokeTestFailed:
            print("--- what the bridge said ---", self._log.read_text(encoding="utf-8", errors="replace"), sep="\n")
            raise
        finally:
            self._process.kill()
            self._process.wait()

    def health(self) -> dict[str, Any]:
        """Return the health document."""
        answer: dict[str, Any] = json.loads(self._get("/api/health"))
        return answer

    def check_page(self) -> None:
        """The page and the files that it names answer."""
        page = self._get("/").decode()
        files = re.findall(r'(?:src|href)="([^"#:]+\.(?:js|css))"', page)
        _require(any(name.endswith(".js") for name in files), "the page names no script: the live page was not built")
        for name in files:
            _require(len(self._get("/" + name.lstrip("./"))) > 0, f"{name} is empty")
        _say(f"the page answers, and so do {', '.join(files)}")

    def check_battery(self) -> None:
        """The first MQTT message and the JSON API tell the emulated battery's values."""
        started = time.monotonic()
        served = self._wait("a voltage in GET /api/batteries", self._served)
        port = self._wait("the broker's port in run.json", lambda: self._ports_now().get("broker"))
        topic = f"smartbms/+/{served['battery']}/state"
        state = json.loads(_output([self._python, "-c", _FIRST_MESSAGE, topic, str(port)], timeout=_START_DEADLINE))
        _require(state["emulated"] is True, "the MQTT message does not say that the battery is emulated")
        _require(40 < state["voltage"] < 60, f"the voltage of 16 cells by MQTT is {state['voltage']}")
        _require(len(state["cell_voltages"]) == 16, f"{len(state['cell_voltages'])} cell voltages by MQTT")
        apart = abs(state["voltage"] - served["voltage"])
        _require(apart < 1, f"MQTT says {state['voltage']} V, the JSON API {served['voltage']} V")
        _say(f"MQTT message after {time.monotonic() - started:.1f} s: {state['voltage']} V, {state['soc']} %")

    def _served(self) -> dict[str, Any] | None:
        batteries: list[dict[str, Any]] = json.loads(self._get("/api/batteries"))["batteries"]
        return batteries[0] if batteries and batteries[0]["voltage"] is not None else None

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        _say("killed with SIGKILL")

    def stop(self) -> None:
        """Ask it to end, and expect exit code 0."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            raise SmokeTestFailed("10 s after SIGTERM the bridge still runs") from None
        _require(code == 0, f"after SIGTERM the exit code is {code}")

    def _ports_now(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads((self._data / "run.json").read_text(encoding="utf-8"))["ports"]
        except (FileNotFoundError, KeyError, ValueError):
            return {}
        return ports

    def _read_ports(self) -> int | None:
        self._ports = self._ports_now()
        return self._ports.get("web")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['web']}{path}", timeout=5) as answer:
            content: bytes = answer.read()
        return content

    def _wait(self, what: str, look: Callable[[], _Found | None]) -> _Found:
        """Return what `look` finds, asking until the deadline."""
        assert self._process is not None
        deadline = time.monotonic() + _START_DEADLINE
        reason = "nothing came"
        while time.monotonic() < deadline:
            try:
                if (found := look()) is not None:
                    return found
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                reason = str(error)
            if (code := self._process.poll()) is not None:
                raise SmokeTestFailed(f"waiting for {what}: the bridge ended with exit code {code}")
            time.sleep(0.05)
        raise SmokeTestFailed(f"waited {_START_DEADLINE:.0f} s for {what}: {reason}")


def _output(command: list[str | Path], timeout: float = 600) -> str:
    """Run a command and return what it printed."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise SmokeTestFailed(f"{command[0]} took longer than {timeout:.0f} s") from None
    _require(done.returncode == 0, f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SmokeTestFailed(otherwise)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
