"""A real web server on a free port of this machine, with a hub that the test feeds by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector

from bridge.battery.model import Alarm, AlarmLevel, BatteryState, LinkState, LinkStatus, Temperature
from bridge.config import WebSection
from bridge.hub import Hub
from bridge.interfaces import (
    BatteryDescription,
    Box,
    Health,
    Identity,
    LineStatistics,
    RefusedFrame,
    ServiceStatus,
)
from web.server import Tuning, WebServer

IDENTITY = Identity(uid="0a1b2c3d", name="smartbms", version="9.8.7", build="packaged")
NO_PAGES = Path("no-such-folder")
LINE = LineStatistics(
    questions=12, accepted=9, refused={"checksum": 2, "timeout": 1}, asked_again=3, cycles=4, cycle_seconds=0.25,
    captures=tuple(RefusedFrame(at=1_795_000_000.0 + each, cause="checksum", frame=bytes([each])) for each in range(7)),
)
HEALTHY = Health(
    status="ok", uptime=12.34, restart_reason="first start", box=Box(memory=50_000_000), advice=(),
    services=(ServiceStatus(name="mqtt", state="running", detail="connected"),),
    ports={"web": 6789}, addresses=("http://smartbms.local:6789",),
)


class LoopClock:
    """The running loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float | None:
        return 1_795_000_000.0


@dataclass
class Board:
    """Remembers what it was told."""

    told: list[tuple[str, str | None]] = field(default_factory=list)
    ports: list[int | None] = field(default_factory=list)

    def tell(self, name: str, state: str, detail: str | None = None) -> None:
        assert name == "web"
        self.told.append((state, detail))

    def port(self, name: str, port: int | None) -> None:
        assert name == "web"
        self.ports.append(port)


@dataclass
class HealthDial:
    """Reads the health that the test sets."""

    health: Health = HEALTHY
    reads: int = 0

    def read(self) -> Health:
        self.reads += 1
        return self.health

    def set(self, **changes: Any) -> None:
        self.health = replace(self.health, **changes)


@dataclass
class Source:
    """A battery's conversation that has the same to tell at any time."""

    description: BatteryDescription
    line: LineStatistics = LINE

    def statistics(self) -> LineStatistics:
        return self.line


def describe(battery: str, *, name: str = "Battery", emulated: bool = False) -> BatteryDescription:
    return BatteryDescription(
        id=battery, name=name, port="/dev/ttyUSB0", protocol="daly", emulated=emulated, poll_interval=1.0
    )


def live(battery: str = "main", *, at: float = 0.0, **values: Any) -> BatteryState:
    """Return a live state whose fast block was accepted at the monotonic moment `at`."""
    measured: dict[str, Any] = {
        "voltage": 53.12, "current": -12.3, "power": -653.4, "soc": 76.5, "cell_count": 2,
        "cell_voltages": (3.321, 3.319), "temperatures": (Temperature(name="mosfet", value=24.0),),
        "charge_enabled": True, "balancing": False, "alarms_known": True,
        "alarms": (Alarm(code="cell_overvoltage", level=AlarmLevel.WARNING, cell=3),),
    }
    return BatteryState(
        battery=battery, link=LinkStatus(state=LinkState.OK, since=1_795_000_000.0), time=1_795_000_000.0,
        accepted_at=at, block_times={"voltage": at}, **measured | values,
    )


def silent(battery: str = "main", *, at: float = 0.0) -> BatteryState:
    """Return what is left of a battery that stopped answering: no values."""
    link = LinkStatus(state=LinkState.SILENT, since=1_795_000_010.0, error="bms_data_error", advice="Wake the BMS.")
    return BatteryState(battery=battery, link=link, time=1_795_000_000.0, accepted_at=at)


@dataclass
class Serving:
    """A running web server and what it hangs on."""

    hub: Hub
    board: Board
    health: HealthDial
    server: WebServer
    client: ClientSession
    task: asyncio.Task[None]

    @property
    def port(self) -> int:
        port = self.board.ports[-1]
        assert port is not None
        return port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        async with self.client.request(
            method, self.url(path), headers={"Accept-Encoding": "identity"} | dict(headers or {}),
            allow_redirects=False, auto_decompress=False,
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@dataclass(frozen=True)
class Answer:
    """A complete answer; the body as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@asynccontextmanager
async def serving(
    *,
    batteries: Iterable[BatteryDescription] = (describe("main"),),
    settings: WebSection | None = None,
    tuning: Tuning | None = None,
    wait: bool = True,
) -> AsyncIterator[Serving]:
    """Run a web server with these batteries; without `wait` it may not have its port yet."""
    hub, board, health = Hub(batteries), Board(), HealthDial()
    server = WebServer(
        settings=settings or WebSection(host="127.0.0.1", port=0),
        identity=IDENTITY, hub=hub, sources={each.id: Source(each) for each in hub.descriptions.values()},
        health=health, board=board, clock=LoopClock(), tuning=tuning or Tuning(static=NO_PAGES),
    )
    task = asyncio.create_task(server.run(), name="web server under test")
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=20)) as client:
        it = Serving(hub=hub, board=board, health=health, server=server, client=client, task=task)
        try:
            if wait:
                await until(lambda: bool(board.ports) or task.done())
                assert not task.done(), task
            yield it
        finally:
            await it.stop()


async def until(condition: Any, *, seconds: float = 10.0) -> None:
    """Look again and again until `condition()` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    id: int | None
    data: Any


class Events:
    """Reads a live stream."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.lines: list[str] = []

    async def line(self) -> str:
        line = (await asyncio.wait_for(self.response.content.readline(), 10)).decode()
        if not line:
            raise EOFError
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]

    async def next(self, name: str | None = None) -> Event:
        """Return the next event, or the next one called `name`."""
        fields: dict[str, str] = {}
        while True:
            line = await self.line()
            if line:
                key, _, value = line.partition(": ")
                fields[key] = value
            elif "event" in fields:
                if name in (None, fields["event"]):
                    number = fields.get("id")
                    return Event(fields["event"], None if number is None else int(number), json.loads(fields["data"]))
                fields = {}


@asynccontextmanager
async def watching(it: Serving) -> AsyncIterator[Events]:
    """Open the live stream."""
    async with it.client.get(it.url("/api/events")) as response:
        assert response.status == 200
        yield Events(response)

