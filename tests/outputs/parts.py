"""Real brokers, a listener and the rest of a bridge, for tests of the MQTT output."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import aiomqtt
import msgspec

from bridge.battery.model import Alarm, BatteryState, LinkState, LinkStatus
from bridge.config import MqttSection
from bridge.hub import Hub
from bridge.interfaces import BatteryDescription, Box, Health, Identity
from bridge.outputs.broker import EmbeddedBroker
from bridge.outputs.mqtt import MqttOutput, Timing

DEADLINE = 30.0
UID = "12ab34cd"
QUICK = Timing(health_interval=0.2, answer_deadline=1.0, layout_delay=0.02, migration_pause=0.02, first_delay=0.1)
CALM = Timing(health_interval=3600.0, answer_deadline=5.0, layout_delay=0.02, migration_pause=0.02, first_delay=0.1)


async def until(condition: Callable[[], Any], what: str = "it", deadline: float = DEADLINE) -> Any:
    """Return what `condition` gives once that is true; fail after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not (result := condition()):
        assert time.monotonic() < end, f"waited {deadline:.0f} s for {what}"
        await asyncio.sleep(0.005)
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_process(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


class Board:
    """Keeps what services tell."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str | None]] = []
        self.ports: dict[str, int | None] = {}

    def tell(self, name: str, state: str, detail: str | None = None) -> None:
        self.told.append((name, state, detail))

    def port(self, name: str, port: int | None) -> None:
        self.ports[name] = port

    def details(self, state: str) -> list[str]:
        return [detail or "" for _, each, detail in self.told if each == state]

    @property
    def is_connected(self) -> bool:
        return bool(self.told) and self.told[-1][:2] == ("mqtt", "running")


class Clock:
    """The real clock, or one that is set by hand."""

    def __init__(self) -> None:
        self.fixed: float | None = None

    def monotonic(self) -> float:
        return time.monotonic() if self.fixed is None else self.fixed

    def wall(self) -> float | None:
        return 1_795_226_400.0


class HealthOf:
    """Gives a health that is set by hand."""

    def __init__(self) -> None:
        self.box = Box(memory=50 * 1024 * 1024)

    def read(self) -> Health:
        return Health(status="ok", uptime=5.0, restart_reason="boot", box=self.box, services=(), advice=())


class AtOnce(random.Random):
    """Chance without waiting, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.ranges: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.ranges.append((a, b))
        return 0.05


class Mosquitto:
    """The broker of Debian on a port of its own."""

    keeps_order = True

    def __init__(self, program: str, directory: Path, *lines: str, allow_anonymous: bool = True) -> None:
        self.port = free_port()
        self._program = program
        self._config = directory / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            "\n".join([
                "persistence false", "user root", "log_dest none", "set_tcp_nodelay true",
                f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(allow_anonymous).lower()}", *lines,
            ]) + "\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = start_process([self._program, "-c", str(self._config)])
        await until(self._listens, "mosquitto")

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await until(lambda: self._process is None or self._process.poll() is not None, "the end of mosquitto")
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto does not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Embedded:
    """The broker of the bridge on a port of its own."""

    keeps_order = False
    """amqtt hands on what need not be confirmed while it still confirms what came before."""

    def __init__(self) -> None:
        self.port = free_port()
        self.board = Board()
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        broker = EmbeddedBroker(settings=MqttSection(), board=self.board, is_home=lambda _: True, port=self.port)
        self._task = asyncio.create_task(broker.run())
        await until(lambda: self.board.ports.get("broker") == self.port, "the embedded broker")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None


Broker = Mosquitto | Embedded


@dataclass(frozen=True)
class Heard:
    """A message that arrived at a listener."""

    topic: str
    payload: bytes
    retain: bool
    properties: Any = None

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.payload)


@dataclass
class Listener:
    """Another client of the broker: hears everything, and may speak."""

    client: aiomqtt.Client
    heard: list[Heard] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def at(cls, broker: Broker, *, version: int = 4, **options: Any) -> AsyncIterator[Self]:
        client = aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion(version), **options)
        async with client:
            listener = cls(client)
            task = asyncio.create_task(listener._listen())
            await client.subscribe("#", qos=0)
            # What is kept comes first, then the answer to a second question; our own word comes after both.
            fence = "fence/of/the/listener"
            await client.subscribe(fence)
            await client.publish(fence, "here")
            await listener.next_on(fence)
            listener.heard = [each for each in listener.heard if each.topic != fence]
            try:
                yield listener
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await task

    async def _listen(self) -> None:
        async for message in self.client.messages:
            self.heard.append(Heard(message.topic.value, bytes(message.payload), message.retain, message.properties))

    def on(self, topic: str) -> list[Heard]:
        return [each for each in self.heard if each.topic == topic]

    def topics(self) -> list[str]:
        return [each.topic for each in self.heard]

    def ending(self, end: str) -> set[str]:
        return {each.topic for each in self.heard if each.topic.endswith(end)}

    async def next_on(self, topic: str, count: int = 1) -> Heard:
        await until(lambda: len(self.on(topic)) >= count, f"{count} on {topic}, heard {self.topics()[-20:]}")
        return self.on(topic)[count - 1]

    def kept(self) -> dict[str, bytes]:
        """Return what the broker gave as kept."""
        return {each.topic: each.payload for each in self.heard if each.retain}


async def kept_by(broker: Broker) -> dict[str, bytes]:
    """Return everything that the broker keeps."""
    async with Listener.at(broker) as listener:
        return listener.kept()


def description(battery: str = "main", **changes: Any) -> BatteryDescription:
    values = {
        "id": battery, "name": "Battery", "port": "/dev/ttyUSB0", "protocol": "daly", "emulated": False,
        "poll_interval": 1.0,
    }
    return BatteryDescription(**{**values, **changes})


def live(
    battery: str = "main", *, voltage: float = 53.12, alarms: tuple[Alarm, ...] = (), **changes: Any
) -> BatteryState:
    """Return an accepted reading; each is another one than the one before."""
    now = time.monotonic()
    state = BatteryState(
        battery=battery, link=LinkStatus(state=LinkState.OK, since=1.0), time=1_795_226_400.0, accepted_at=now,
        block_times={"voltage": now}, voltage=voltage, current=-12.3, power=-653.4, charge_power=0.0,
        discharge_power=653.4, soc=76.5, cell_count=4, cell_voltages=(3.3, 3.301, 3.302, 3.303), alarms=alarms,
        alarms_known=True,
    )
    return replace(state, **changes)


def silent(battery: str = "main") -> BatteryState:
    """Return what the tracker writes when a battery falls silent."""
    return BatteryState(
        battery=battery, time=1_795_226_400.0, accepted_at=time.monotonic(),
        link=LinkStatus(
            state=LinkState.SILENT, since=2.0, error="bms_data_error", advice="Wake it by a load or a charger."
        ),
    )


@dataclass
class Bridge:
    """Everything around the output under test."""

    data: Path
    url: str
    batteries: tuple[BatteryDescription, ...] = (description(),)
    settings: dict[str, Any] = field(default_factory=dict)
    uid: str = UID
    name: str = "smartbms"
    timing: Timing = CALM
    known_topic: str | None = None
    page: str | None = None
    board: Board = field(default_factory=Board)
    clock: Clock = field(default_factory=Clock)
    health: HealthOf = field(default_factory=HealthOf)
    random: AtOnce = field(default_factory=AtOnce)
    remembered: list[str] = field(default_factory=list)
    broker_url: Callable[[], str | None] = lambda: None
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.hub = Hub(self.batteries)

    async def __aenter__(self) -> Self:
        output = MqttOutput(
            settings=MqttSection(url=self.url, **self.settings),
            identity=Identity(uid=self.uid, name=self.name, version="1.2.3", build="f00"),
            hub=self.hub, health=self.health, board=self.board, clock=self.clock, data=self.data,
            broker_url=self.broker_url, random=self.random, configuration_url=lambda: self.page,
            known_topic=self.known_topic, remember_topic=self.remembered.append, timing=self.timing,
        )
        self.task = asyncio.create_task(output.run(), name="mqtt")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def connected(self) -> None:
        await until(lambda: self.board.is_connected, f"a connection, told {self.board.told}")

    async def failed(self, count: int) -> None:
        await until(lambda: len(self.board.details("waiting")) >= count, f"{count} failures, told {self.board.told}")


@contextlib.contextmanager
def program_of(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Kill `process` at the end if it still runs."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
