"""The only place that wires: from a configuration to services that know each other through interfaces alone.

Nothing is decided here that a room could decide for itself; what is built is run by the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from typing import Literal

import msgspec

from bridge import __version__
from bridge.battery.sign import Sign
from bridge.bus import open_serial
from bridge.clock import SystemClock
from bridge.config import MqttSection, Secret, Settings
from bridge.config.files import keep_secrets
from bridge.emulator.service import EmulatorService
from bridge.errors import ConfigError, StorageError
from bridge.health import HealthMonitor
from bridge.hub import Hub
from bridge.interfaces import Identity
from bridge.outputs.broker import EmbeddedBroker
from bridge.outputs.mdns import MdnsOutput
from bridge.outputs.mdns.addresses import own_addresses
from bridge.outputs.mqtt import MqttOutput
from bridge.sources.factory import SourceFactory, describe
from bridge.storage import DataDirectory, RunRecord, boot_id, read_kept, restart_reason
from bridge.supervisor import Supervisor
from bridge.tracker import Tracker
from web.access import AccessRule
from web.server import WebServer
from web.surroundings import read_surroundings

_LOGGER = logging.getLogger(__name__)

_LEARNED = "learned.json"
_LOOK_EVERY, _FIRST_LOOKS = 10.0, 0.5
"""s between two looks at the machine's addresses, and before they were told for the first time."""
IPV4 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the console shows once the pages can be opened."""

    addresses: tuple[str, ...]
    """Of the pages, best first."""
    broker: str | None
    """URL of the embedded broker; None where it is off."""
    login: tuple[str, Secret] | None
    """User name and password for the embedded broker; None where it is not open to the home network."""


class Learned:
    """What was learned of each battery and survives a restart: `learned.json`."""

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self._signs: dict[str, Sign] = {}

    def load(self) -> None:
        """Read the file; what cannot be read is learned again. Blocks on the disk."""
        kept = read_kept(self._data.path / _LEARNED, _parse_signs)
        if kept.damage is not None:
            _LOGGER.warning("%s", kept.damage)
        self._signs = kept.value or {}

    def sign(self, battery: str) -> Sign | None:
        """Return the learned sign of the battery's current."""
        return self._signs.get(battery)

    def keep_sign(self, battery: str, sign: Sign) -> None:
        """Remember the sign; the file is written off the loop."""
        self._signs[battery] = sign
        content = msgspec.json.encode({"current_sign": self._signs})
        asyncio.get_running_loop().run_in_executor(None, _keep, self._data.write, _LEARNED, content)


def _keep(write: Callable[..., None], *arguments: object) -> None:
    """Write something down; a disk that cannot is told and stops nothing."""
    try:
        write(*arguments)
    except StorageError as error:
        _LOGGER.warning("%s", error)


def _parse_signs(data: bytes) -> dict[str, Sign]:
    try:
        content = msgspec.json.decode(data, type=dict[str, dict[str, Literal["normal", "inverted"]]])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{_LEARNED} is damaged: {error}.") from error
    return dict(content.get("current_sign", {}))


class _Whereabouts:
    """Where the pages can be opened, and who is at home."""

    def __init__(self, settings: Settings, board: Supervisor, mdns: MdnsOutput) -> None:
        self._settings = settings
        self._board = board
        self._mdns = mdns
        self._own: tuple[str, ...] = ()
        web = settings.web
        self._rule = AccessRule(
            name=settings.bridge.name, home_networks=web.home_networks, trusted_proxies=web.trusted_proxies
        )

    def refresh(self) -> None:
        """Look under which addresses of this machine the home may open the pages now. Blocks for a moment."""
        around = read_surroundings()
        own = (each.address for each in own_addresses() if each.address.version == IPV4)
        self._own = tuple(str(each) for each in own if self._rule.is_home(each, around))

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of the pages, the name first; none while they are not served."""
        port = self._board.ports.get("web")
        if port is None:
            return ()
        host = self._settings.web.host
        if host not in ("::", "0.0.0.0"):
            hosts = [host]
        else:
            hosts = [self._mdns.host_name] if self._mdns.host_name else []
            hosts += self._own or ("localhost",)
        return tuple(f"http://{f'[{each}]' if ':' in each else each}:{port}" for each in hosts)

    def is_settled(self) -> bool:
        """Whether it is known if there is a name."""
        return all(each.state != "starting" for each in self._board.statuses() if each.name == "mdns")

    def best_address(self) -> str | None:
        """Return the address that a machine at home can use: numbers rather than a name that it may not resolve."""
        return next(reversed(self.addresses()), None)

    def is_home(self, address: str) -> bool:
        """Tell whether an IP address belongs to the home."""
        return self._rule.is_home(ip_address(address), read_surroundings())


class _Board(Supervisor):
    """The supervisor, telling when a port changes so that `run.json` can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.ports_changed = asyncio.Event()

    def port(self, name: str, port: int | None) -> None:
        """Set the port really used by `name`."""
        super().port(name, port)
        self.ports_changed.set()


class _RunRecorder:
    """Keeps `run.json` (who runs, since when, on which ports) and tells the user where the bridge can be found."""

    def __init__(
        self,
        *,
        data: DataDirectory,
        board: _Board,
        record: RunRecord,
        where: _Whereabouts,
        tell: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._data = data
        self._board = board
        self._record = record
        self._where = where
        self._tell = tell

    async def run(self) -> None:
        """Write the record now and whenever a port changes; at the end say that the end was orderly."""
        told: tuple[str, ...] = ()
        await asyncio.to_thread(_keep, self._data.record_run, self._record)
        try:
            while True:  # ends by being cancelled, which is an orderly end
                self._board.ports_changed.clear()
                ports = dict(self._board.ports)
                if ports != self._record.ports:
                    self._record = replace(self._record, ports=ports)
                    await asyncio.to_thread(_keep, self._data.record_run, self._record)
                await asyncio.to_thread(self._where.refresh)
                addresses = self._where.addresses()
                if addresses and addresses != told and self._where.is_settled():
                    told = addresses
                    self._tell(told)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY if told else _FIRST_LOOKS):
                        await self._board.ports_changed.wait()
        except asyncio.CancelledError:
            _keep(self._data.record_run, replace(self._record, ports={}, stopped=True))
            raise


def _with_login(settings: MqttSection, data: DataDirectory) -> MqttSection:
    """Make the login of an embedded broker that is open to the home, where none is set. Blocks on the disk."""
    if settings.url != "embedded" or settings.embedded_bind != "lan" or settings.password is not None:
        return settings
    made = {"username": settings.username or "smartbms", "password": secrets.token_urlsafe(12)}
    _keep(keep_secrets, data, "mqtt", made)
    return msgspec.structs.replace(settings, username=made["username"], password=Secret(made["password"]))


def _login(settings: MqttSection) -> tuple[str, Secret] | None:
    if settings.url != "embedded" or settings.embedded_bind != "lan":
        return None
    return (settings.username, settings.password) if settings.username and settings.password else None


class App:
    """One bridge: builds every service from the settings and runs them until cancelled."""

    def __init__(
        self, *, settings: Settings, data: DataDirectory, ready: Callable[[Notice], None] = lambda _: None
    ) -> None:
        """`ready` hears what a user has to know as soon as the pages can be opened, and again when that changes."""
        self._settings = settings
        self._data = data
        self._ready = ready

    async def run(self) -> None:
        """Run the bridge until cancelled."""
        settings, data, clock, board = self._settings, self._data, SystemClock(), _Board()
        kept, previous, boot = await asyncio.to_thread(lambda: (data.identity(), data.previous_run(), boot_id()))
        identity = Identity(uid=kept.uid, name=settings.bridge.name, version=__version__, build=__version__)
        learned = Learned(data)
        await asyncio.to_thread(learned.load)
        mqtt_settings = await asyncio.to_thread(_with_login, settings.mqtt, data)

        batteries = [each for each in settings.battery if each.enabled]
        hub = Hub(describe(each) for each in batteries)
        emulator = EmulatorService(clock=clock, open_port=open_serial)
        factory = SourceFactory(openers={"emulated": emulator}, deliver=Tracker(hub, clock), clock=clock)
        sources = {
            each.id: factory.make(
                each, learned_sign=learned.sign(each.id), learned=partial(learned.keep_sign, each.id)
            )
            for each in batteries
        }

        mdns = MdnsOutput(
            settings=settings.mdns, identity=identity, board=board, web_port=lambda: board.ports.get("web")
        )
        where = _Whereabouts(settings, board, mdns)
        health = HealthMonitor(
            board=board, data=data.path, restart_reason=restart_reason(previous, boot), addresses=where.addresses
        )
        broker = EmbeddedBroker(settings=mqtt_settings, board=board, is_home=where.is_home)
        mqtt = MqttOutput(
            settings=mqtt_settings, identity=identity, hub=hub, health=health, board=board, clock=clock, data=data.path,
            broker_url=lambda: broker.url, random=random.Random(), configuration_url=where.best_address,
            known_topic=kept.mqtt_name, remember_topic=partial(_keep, data.remember_mqtt_name),
        )  # fmt: skip
        web = WebServer(
            settings=settings.web, identity=identity, hub=hub, sources=sources, health=health, board=board, clock=clock
        )
        record = RunRecord(pid=os.getpid(), version=__version__, started=clock.wall(), boot=boot)

        if any(each.is_emulated for each in batteries):
            board.add("emulator", emulator)
        board.add("health", health)
        if settings.mqtt.url == "embedded":
            board.add("broker", broker)
        board.add("mqtt", mqtt)
        board.add("web", web)
        board.add("mdns", mdns)
        for battery, source in sources.items():
            board.add(f"battery {battery}", source)
        board.add("record", _RunRecorder(
            data=data, board=board, record=record, where=where,
            tell=lambda addresses: self._ready(
                Notice(addresses=addresses, broker=broker.url, login=_login(mqtt_settings))
            ),
        ))  # fmt: skip
        try:
            await board.run()
        finally:
            factory.close()
