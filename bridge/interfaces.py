"""The seams: protocols and result types through which the rooms of the house meet.

Whatever one room needs of another is named here and handed in by `bridge.app`; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.battery.model import BatteryState, Block, LinkStatus


class Clock(Protocol):
    """Where time comes from; tests hand in their own."""

    def monotonic(self) -> float:
        """Seconds that never go back; the running event loop's own time."""
        ...

    def wall(self) -> float | None:
        """Unix seconds, or None until the clock is later than the build date."""
        ...


class Link(Protocol):
    """An open byte link to a battery. Errors are `LinkError`."""

    url: str
    needs_pause: bool
    """Whether a real line is behind it, so that a protocol's pause applies (False: pseudo-terminal, memory)."""

    def start(self, received: Callable[[bytes], None], lost: Callable[[Exception | None], None]) -> None:
        """Deliver what arrives to `received`; call `lost` once when the link has gone."""
        ...

    def write(self, data: bytes) -> None:
        """Hand `data` to the line; never blocks."""
        ...

    def close(self) -> None:
        """Close the link; a second call does nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How a line has to be opened."""

    baudrate: int
    parity: str = "N"
    """`N`, `E` or `O`."""
    stopbits: int = 1


class LinkOpener(Protocol):
    """Opens the links of one URL scheme."""

    async def __call__(self, url: str, options: LinkOptions) -> Link:
        """Open `url`; raise LinkLost, LinkBusy or LinkForbidden."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryDescription:
    """What is known of a configured battery before it says a word."""

    id: str
    name: str
    port: str
    protocol: str
    emulated: bool
    """Reached by `emulated://`."""
    poll_interval: float
    """s between the starts of two cycles; 0 = back to back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What a source hands to the tracker: the newest accepted blocks and the state of the link."""

    battery: str
    blocks: Mapping[str, Block]
    """By block name."""
    link: LinkStatus
    accepted_at: float | None
    """Monotonic seconds of the last accepted fast block."""
    time: float | None
    """Wall clock of the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFrame:
    """Bytes that were not believed, kept for diagnosis."""

    at: float | None
    """Wall clock, Unix seconds."""
    cause: str
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatistics:
    """What happened on one battery's line since the start."""

    questions: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    """Refusals by cause: `checksum`, `timeout`, `echo`, `range`, `jump` …"""
    asked_again: int = 0
    cycles: int = 0
    cycle_seconds: float | None = None
    """Median length of the last ten complete cycles."""
    reply_timeout: float | None = None
    """The learned reply time-out, s."""
    pause: float | None = None
    """The learned pause between questions, s."""
    captures: tuple[RefusedFrame, ...] = ()


class BatterySource(Protocol):
    """One battery's conversation, as others see it."""

    @property
    def description(self) -> BatteryDescription:
        """What is configured."""
        ...

    def statistics(self) -> LineStatistics:
        """What happened on the line so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this bridge is; made once, kept in `identity.json`."""

    uid: str
    """8 hex digits made at first start."""
    name: str
    """`bridge.name`: mDNS host name, MQTT topic segment, Home Assistant device."""
    version: str
    build: str
    """Id of the built pages; a page of another build reloads itself once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """How one service of the bridge is doing."""

    name: str
    state: str
    """`starting`, `running`, `waiting` (to be tried again), `stopped` or `off`."""
    detail: str | None = None
    """One sentence: what is wrong, or what it is connected to."""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Health of the machine that the bridge runs on. None = this machine does not tell."""

    loop_delay_p99: float | None = None
    """s by which the event loop ran late, 99th percentile of the last minute; > 0.05 warns, > 0.1 is bad."""
    process_cpu: float | None = None
    """% of one core used by the bridge."""
    total_cpu: float | None = None
    """% of all cores used by everything."""
    memory: int | None = None
    """Bytes resident."""
    under_voltage: bool | None = None
    """Whether a Raspberry Pi reports (or reported since boot) too low a supply."""
    temperature: float | None = None
    """°C of the processor."""
    disk_free: int | None = None
    """Bytes free where the data directory is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Health of the whole bridge."""

    status: str
    """`ok`, `warn` or `bad`."""
    uptime: float
    """s."""
    restart_reason: str
    """Why this process started: `first start`, `boot`, `stopped cleanly`, `crash or power cut`, `killed` …"""
    box: Box
    services: tuple[ServiceStatus, ...]
    advice: tuple[str, ...]
    """Sentences for the user, most important first."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The ports really used, by service name (`web`, `mqtt` …)."""
    addresses: tuple[str, ...] = ()
    """Where the page can be opened."""


class HealthReader(Protocol):
    """Gives the present health."""

    def read(self) -> Health:
        """Return the health now; never blocks."""
        ...


class Board(Protocol):
    """Where services write down how they are doing: `app` hands it to those that have something to say."""

    def tell(self, name: str, state: str, detail: str | None = None) -> None:
        """Set the state of the service `name`, with one sentence where there is something to say."""
        ...

    def port(self, name: str, port: int | None) -> None:
        """Set the port really used by the service `name` (None: no longer)."""
        ...


class StateReader(Protocol):
    """The part of the hub that outputs use."""

    descriptions: Mapping[str, BatteryDescription]

    def latest(self, battery: str) -> BatteryState:
        """Return the newest state (a `starting` one before the first reading). KeyError for an unknown battery."""
        ...

    def last_live(self, battery: str) -> BatteryState | None:
        """Return the newest state whose link was online, or None."""
        ...


__all__ = [
    "BatteryDescription", "BatterySource", "Board", "Box", "Clock", "Cycle", "Health", "HealthReader",
    "Identity", "LineStatistics", "Link", "LinkOpener", "LinkOptions", "LinkStatus", "RefusedFrame", "ServiceStatus",
    "StateReader",
]
