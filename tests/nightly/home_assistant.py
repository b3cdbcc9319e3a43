"""Home Assistant itself: installed once from its Python package, run headless on loopback, and asked over its own API.

Knows nothing of the bridge: it connects Home Assistant to a broker, as its owner would in the browser, and tells what
Home Assistant made of what it found there.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.rig import free_port, process, wait_until

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "home-assistant"
_LIST_REQUIREMENTS = Path(__file__).with_name("requirements_of_home_assistant.py")
_START = Path(__file__).with_name("start_home_assistant.py")
_INTEGRATIONS = ("mqtt", "config", "onboarding", "recorder", "energy", "sensor", "binary_sensor", "event")
_CONFIGURATION = "http:\n  server_host: 127.0.0.1\n  server_port: {port}\nconfig:\nrecorder:\nenergy:\n"
_RECORD = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ (?P<level>[A-Z]+) ", re.MULTILINE)
_STARTS_WITHIN = 120.0

UNRELATED = {
    r"\[homeassistant\.bootstrap\] Skipping pip installation": "the test installs what is needed itself",
    r"\[homeassistant\.components\.network\] .* does not have any enabled IPv4": "the test shows it loopback alone",
    r"\[aiohttp_fast_zlib\] zlib_ng and isal are not available": "an optional, faster zlib",
    r"\[homeassistant\.components\.camera\.img_util\] Error loading libturbojpeg": "an optional library of cameras",
    r"\[homeassistant\.setup\] Setup of (?!mqtt)\w+ is taking over 10 seconds": "a slow machine, another integration",
}
"""Warnings that come without any bridge and any MQTT too, each with its reason."""


class InstallationFailed(Exception):
    """Home Assistant cannot be installed on this machine."""


class Refused(Exception):
    """Home Assistant does not do what it was asked for."""


def install(python: str) -> Path:
    """Return an interpreter like `python` that has Home Assistant; it stays in .cache/ until that is removed."""
    version = _run(python, "-c", "import platform; print(platform.python_version())").strip()
    folder = _CACHE / version
    own, finished = folder / "bin" / "python", folder / "finished"
    folder.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder)
            _run(python, "-m", "venv", str(folder))
            _install_for(str(own))
            finished.touch()
    return own


def _install_for(own: str) -> None:
    pip = (own, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    _run(*pip, "homeassistant")
    needs = json.loads(_run(own, str(_LIST_REQUIREMENTS), *_INTEGRATIONS))
    _run(*pip, "--constraint", needs["constraints"], *needs["requirements"])


def _run(*command: str) -> str:
    """Run at low priority, because an installation keeps the machine busy, and return what was printed."""
    try:
        done = subprocess.run(["nice", *command], capture_output=True, text=True, check=False, timeout=1500)
    except subprocess.TimeoutExpired as error:
        raise InstallationFailed(f"{' '.join(command)} takes longer than {error.timeout:g} s") from error
    if done.returncode:
        raise InstallationFailed(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True)
class HomeAssistant:
    """A running Home Assistant whose owner has logged in."""

    port: int
    token: str
    output: Path

    @property
    def log(self) -> list[str]:
        """Every warning and error so far, with its traceback."""
        return _records(self.output.read_text())

    @property
    def complaints(self) -> list[str]:
        """What it logged, without what has nothing to do with the bridge."""
        return [record for record in self.log if not any(re.search(each, record) for each in UNRELATED)]

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of every entity at one moment, by entity id."""
        states: list[dict[str, Any]] = _fetch(self.port, "/api/states", token=self.token)
        return {each["entity_id"]: each for each in states}

    def entities(self) -> dict[str, dict[str, Any]]:
        """Return every entity of the MQTT integration in the registry, by unique id."""
        listed: list[dict[str, Any]] = self.ask("config/entity_registry/list")
        chosen = [each["entity_id"] for each in listed if each["platform"] == "mqtt"]
        full = self.ask("config/entity_registry/get_entries", entity_ids=chosen)
        return {each["unique_id"]: each for each in full.values() if each}  # none: removed since

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return every device of the MQTT integration in the registry, by its identifier."""
        listed: list[dict[str, Any]] = self.ask("config/device_registry/list")
        return {name: each for each in listed for domain, name in each["identifiers"] if domain == "mqtt"}

    def ask(self, command: str, **fields: Any) -> Any:
        """Send one command of the WebSocket API and return its result."""
        return asyncio.run(_ask(self.port, self.token, {"id": 1, "type": command, **fields}))


@contextlib.contextmanager
def home_assistant(python: Path, folder: Path, broker: int) -> Iterator[HomeAssistant]:
    """Run Home Assistant in `folder`, connected to the broker; a second time there it goes on as it was."""
    home, port = folder / "home", free_port()
    home.mkdir(exist_ok=True)
    (home / "configuration.yaml").write_text(_CONFIGURATION.format(port=port))
    token, output = home / "token", home / f"output-{port}.log"
    command = (str(python), str(_START), "--config", str(home), "--skip-pip", "--log-no-color")
    with process(*command, log=output) as running:
        wait_until(lambda: _is_up(port, running, output), "Home Assistant's API", seconds=_STARTS_WITHIN, step=0.1)
        if not token.exists():
            token.write_text(_become_owner(port))
            _connect(port, token.read_text(), broker)
        started = HomeAssistant(port=port, token=token.read_text(), output=output)
        wait_until(
            lambda: started.ask("get_config")["state"] == "RUNNING", "its start", seconds=_STARTS_WITHIN, step=0.2
        )
        yield started


def _records(text: str) -> list[str]:
    starts = [match.start() for match in _RECORD.finditer(text)]
    records = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [each.strip() for each in records if _level(each) in {"WARNING", "ERROR", "CRITICAL"}]


def _level(record: str) -> str:
    match = _RECORD.match(record)
    return match["level"] if match else ""


def _is_up(port: int, running: subprocess.Popen[str], output: Path) -> bool:
    if running.poll() is not None:
        raise RuntimeError(f"Home Assistant ended at once:\n{output.read_text()[-2000:]}")
    try:
        _fetch(port, "/api/onboarding")
    except (OSError, Refused):
        return False
    return True


def _become_owner(port: int) -> str:
    """Make the first user, as the browser does, and return a token that outlives a restart."""
    client = f"http://127.0.0.1:{port}/"
    owner = {"name": "Owner", "username": "owner", "password": "only-here", "client_id": client, "language": "en"}
    code = _fetch(port, "/api/onboarding/users", owner)["auth_code"]
    form = urllib.parse.urlencode({"client_id": client, "grant_type": "authorization_code", "code": code})
    token: str = _fetch(port, "/auth/token", form)["access_token"]
    command = {"id": 1, "type": "auth/long_lived_access_token", "client_name": "test", "lifespan": 1}
    long_lived: str = asyncio.run(_ask(port, token, command))
    return long_lived


def _connect(port: int, token: str, broker: int) -> None:
    """Add the MQTT integration through its own dialogue, which tries the connection."""
    flows = "/api/config/config_entries/flow"
    flow = _fetch(port, flows, {"handler": "mqtt"}, token=token)
    done = _fetch(port, f"{flows}/{flow['flow_id']}", {"broker": "127.0.0.1", "port": broker}, token=token)
    if done["type"] != "create_entry":
        raise Refused(f"the broker: {done}")


def _fetch(port: int, path: str, body: dict[str, Any] | str | None = None, *, token: str | None = None) -> Any:
    """Get `path`, or post a form (text) or a JSON object to it, and return the JSON that comes back."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    if isinstance(body, dict):
        headers["Content-Type"], body = "application/json", json.dumps(body)
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    if answer.status >= 300:
        raise Refused(f"{path}: {answer.status} {text}")
    return json.loads(text)


async def _ask(port: int, token: str, command: dict[str, Any]) -> Any:
    url = f"http://127.0.0.1:{port}/api/websocket"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json(timeout=30)
        await socket.send_json({"type": "auth", "access_token": token})
        greeting = await socket.receive_json(timeout=30)
        if greeting["type"] != "auth_ok":
            raise Refused(f"the token: {greeting}")
        await socket.send_json(command)
        answer = await socket.receive_json(timeout=30)
    if not answer["success"]:
        raise Refused(f"{command}: {answer['error']}")
    return answer["result"]
