"""The parts of a measurement, each a process of its own: emulated batteries, broker, bridge; and a subscriber here.

Everything runs on loopback, in a directory that is removed at the end; only processes started here are ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 20.0, step: float = 0.002) -> Any:
    """Poll until `condition` gives something true and return it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(step)
    return result


@contextlib.contextmanager
def emulated_battery(folder: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """Play one Daly on a pseudo-terminal; give its path and the file of what it served."""
    link, truth = folder / "battery", folder / "truth.jsonl"
    command = (*SMARTBMS, "emulate", "daly", "--link", str(link), "--ground-truth", str(truth), *options)
    with process(*command, log=folder / "emulator.log"):
        wait_until(link.exists, "the emulated battery's port")
        yield str(link), truth


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Run the broker on a free port of loopback and give the port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise Missing("mosquitto is not installed: sudo apt install mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
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
    """What arrived for `smartbms/+/+/state`: (Unix time of arrival, battery, object)."""

    port: int
    messages: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)

    def __enter__(self) -> Subscriber:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", self.port)
        self._client.subscribe("smartbms/+/+/state")
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now = time.time()
        self.messages.append((now, message.topic.split("/")[2], json.loads(message.payload)))


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    pid: int
    data: Path
    started: float
    """Unix time just before the process was made."""

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> float:
        """Resident memory, MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def web_port(self) -> int | None:
        """The port of the pages, once they are served."""
        try:
            port = json.loads((self.data / "run.json").read_text())["ports"].get("web")
        except (OSError, ValueError):
            return None
        return port if isinstance(port, int) else None


@contextlib.contextmanager
def bridge(folder: Path, configuration: str) -> Iterator[Bridge]:
    """Run the bridge on `configuration` with fresh data."""
    file, data = folder / "bridge.toml", folder / "data"
    file.write_text(configuration)
    started = time.time()
    with process(
        *SMARTBMS, "run", "--config", str(file), "--data", str(data), log=folder / "bridge.log"
    ) as running:
        yield Bridge(pid=running.pid, data=data, started=started)


def cpu_share(measured: Bridge, seconds: float) -> float:
    """Return the share of one core, %, that the bridge uses for the next `seconds`."""
    before, began = measured.cpu_seconds, time.monotonic()
    time.sleep(seconds)
    return 100 * (measured.cpu_seconds - before) / (time.monotonic() - began)
