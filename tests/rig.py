"""Real parts as processes of their own: emulated batteries, broker, bridge; and a subscriber here.

Everything runs on loopback, in a directory that is removed at the end; only processes started here are ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

SMARTBMS = (sys.executable, "-c", "from bridge.cli import main; main()")
TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """What a measurement needs is not on this machine."""


@contextlib.contextmanager
def process(*command: str, log: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; its output goes to `log` unless `stdout` says otherwise."""
    with log.open("w") as file:
        running = subprocess.Popen(command, **{"stdout": file, "stderr": file, "text": True, **options})
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            for pipe in (running.stdin, running.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 20.0, step: float = 0.002) -> Any:
    """Poll until `condition` gives something true and return it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(step)
    return result


@dataclass(frozen=True)
class Emulated:
    """A battery that is being played."""

    port: str
    truth: Path
    """What it served, one JSON object a line."""
    process: subprocess.Popen[str]

    def order(self, text: str) -> None:
        """Change what happens while it runs: `fault silence for 30`, `current -20` …"""
        if self.process.stdin is None:
            raise RuntimeError("the emulator has no standard input")
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def served(self) -> list[dict[str, Any]]:
        """Return what it served so far."""
        return [json.loads(line) for line in self.truth.read_text().splitlines() if line.endswith("}")]


@contextlib.contextmanager
def emulated_battery(folder: Path, *options: str) -> Iterator[Emulated]:
    """Play one Daly on a pseudo-terminal."""
    link, truth = folder / "battery", folder / "truth.jsonl"
    command = (*SMARTBMS, "emulate", "daly", "--link", str(link), "--ground-truth", str(truth), *options)
    with process(*command, log=folder / "emulator.log", stdin=subprocess.PIPE) as running:
        wait_until(link.exists, "the emulated battery's port")
        yield Emulated(port=str(link), truth=truth, process=running)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mosquitto(folder: Path, *, port: int | None = None) -> Iterator[int]:
    """Run the broker on `port` (default: a free one) of loopback and give the port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise Missing("mosquitto is not installed: sudo apt install mosquitto")
    port = port or free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    with process(program, "-c", str(configuration), log=folder / "mosquitto.log"):
        wait_until(lambda: _answers(port), "the broker's port")
        yield port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Subscriber:
    """What arrived for `topic`: (Unix time of arrival, its third level, object); for states that is the battery."""

    port: int
    topic: str = "smartbms/+/+/state"
    messages: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", self.port)
        self._client.subscribe(self.topic)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now = time.time()
        if message.payload:  # nothing: the broker shall keep it no longer
            self.messages.append((now, message.topic.split("/")[2], json.loads(message.payload)))


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    process: subprocess.Popen[str]
    data: Path
    started: float
    """Unix time just before the process was made."""

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> float:
        """Resident memory, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def web_port(self) -> int | None:
        """The port of the pages, once they are served."""
        try:
            port = json.loads((self.data / "run.json").read_text())["ports"].get("web")
        except (OSError, ValueError):
            return None
        return port if isinstance(port, int) else None


    @property
    def log(self) -> str:
        """What it has told so far."""
        return (self.data.parent / "bridge.log").read_text()

    def get(self, path: str) -> Any:
        """Return the JSON object that the page's port has at `path`; None while it does not answer."""
        if (port := self.web_port) is None:
            return None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def bridge(folder: Path, configuration: str) -> Iterator[Bridge]:
    """Run the bridge on `configuration`, its data in `folder / "data"`."""
    file, data = folder / "bridge.toml", folder / "data"
    file.write_text(configuration)
    started = time.time()
    with process(
        *SMARTBMS, "run", "--config", str(file), "--data", str(data), log=folder / "bridge.log"
    ) as running:
        yield Bridge(process=running, data=data, started=started)


def cpu_share(measured: Bridge, seconds: float) -> float:
    """Return the share of one core, %, that the bridge uses for the next `seconds`."""
    before, began = measured.cpu_seconds, time.monotonic()
    time.sleep(seconds)
    return 100 * (measured.cpu_seconds - before) / (time.monotonic() - began)
