"""A Daly on a line in memory that does what the emulator cannot: be swapped, answer only some questions, come late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from bridge.battery.model import BatteryState
from bridge.battery.sign import Sign
from bridge.config import BatterySection
from bridge.errors import LinkLost
from bridge.hub import Hub
from bridge.interfaces import Cycle, Link, LinkOptions
from bridge.sources.factory import SourceFactory, describe
from bridge.tracker import Tracker
from tests.virtual_time import VirtualClock

SECONDS_A_FRAME = 13 * 10 / 9600


def frame(command: int, payload: bytes) -> bytes:
    """Return a reply of board 1."""
    content = bytes((0xA5, 1, command, 8)) + payload.ljust(8, b"\0")
    return content + bytes((sum(content) & 0xFF,))


def number(value: float, size: int) -> bytes:
    """Return a big-endian number as Daly writes it."""
    return round(value).to_bytes(size, "big")


@dataclass
class Pack:
    """A battery whose cells are all alike; the layouts are those of Daly's document V1.2."""

    cells: int = 16
    cell: float = 3.3
    current: float = -12.3
    word: int = 2
    """1 charging, 2 discharging."""
    soc: float = 76.5
    capacity: float = 280.0
    unsupported: tuple[int, ...] = ()
    host: int | None = None
    """The only address that it listens to."""
    is_silent: bool = False

    def answer(self, request: bytes) -> list[bytes]:
        """Return the frames of the answer."""
        command = request[2]
        if self.is_silent or command in self.unsupported or self.host not in (None, request[1]):
            return []
        if command == 0x95:
            cells = 3 * number(self.cell * 1000, 2)
            return [frame(command, bytes((n + 1,)) + cells) for n in range(-(-self.cells // 3))]
        if command == 0x57:
            return [frame(command, bytes((n + 1,)) + b"ABCDEFG") for n in range(5)]
        cell = number(self.cell * 1000, 2)
        said = {
            0x90: number(self.cells * self.cell * 10, 2) + bytes(2) + number(30000 + self.current * 10, 2)
            + number(self.soc * 10, 2),
            0x91: cell + b"\1" + cell + b"\1",
            0x92: bytes((60, 1, 60, 1)),
            0x93: bytes((self.word, 1, 1, 7)) + number(self.soc * self.capacity * 10, 4),
            0x94: bytes((self.cells, 1, 0, 0, 0)) + number(12, 2),
            0x96: bytes((1, 60, 60, 60, 60, 60, 60, 60)),
            0x97: b"",
            0x98: b"",
            0x50: number(self.capacity * 1000, 4) + number(3200, 4),
            0x54: b"FIRMWARE",
        }
        return [frame(command, said[command])] if command in said else []


@dataclass
class Line:
    """The line, what is at its end, and every state that was published with its moment."""

    pack: Pack
    is_plugged: bool = True
    links: list[_Link] = field(default_factory=list)
    states: list[tuple[float, BatteryState]] = field(default_factory=list)
    meddle: Callable[[bytes], bool] = lambda request: False
    """Takes a question over from the battery: True where it did."""

    async def open(self, url: str, options: LinkOptions) -> Link:
        """Open the line."""
        if not self.is_plugged:
            raise LinkLost(f"There is no {url} for {options}.", url=url)
        self.links.append(_Link(url, self))
        return self.links[-1]

    def unplug(self) -> None:
        """Take the port away."""
        self.is_plugged = False
        self.links[-1].lose()

    def since(self, moment: float) -> list[BatteryState]:
        """Return the states published from `moment` on."""
        return [state for at, state in self.states if at >= moment]


class _Link:
    needs_pause = False

    def __init__(self, url: str, line: Line) -> None:
        self.url = url
        self._line = line
        self._is_open = True
        self._received: Callable[[bytes], None] = lambda data: None
        self._lost: Callable[[Exception | None], None] = lambda error: None

    def start(self, received: Callable[[bytes], None], lost: Callable[[Exception | None], None]) -> None:
        self._received, self._lost = received, lost

    def write(self, data: bytes) -> None:
        if self._line.meddle(data):
            return
        at = asyncio.get_running_loop().time() + SECONDS_A_FRAME + 0.005
        for count, each in enumerate(self._line.pack.answer(data), 1):
            asyncio.get_running_loop().call_at(at + count * SECONDS_A_FRAME, self.give, each)

    def give(self, data: bytes) -> None:
        """Let `data` arrive."""
        if self._is_open:
            self._received(data)

    def close(self) -> None:
        self._is_open = False

    def lose(self) -> None:
        self.close()
        self._lost(OSError("gone"))


@asynccontextmanager
async def reading(pack: Pack, *, learned_sign: Sign | None = None, **settings: object) -> AsyncIterator[Line]:
    """Read `pack` in virtual time while the block runs."""
    clock = VirtualClock()
    section = BatterySection(id="main", port="line://here", protocol="daly", **cast(Any, settings))
    hub = Hub([describe(section)])
    tracker = Tracker(hub, clock)
    line = Line(pack)

    def deliver(cycle: Cycle) -> None:
        tracker(cycle)
        line.states.append((clock.monotonic(), hub.latest("main")))

    factory = SourceFactory(openers={"line": line.open}, deliver=deliver, clock=clock)
    task = asyncio.create_task(factory.make(section, learned_sign=learned_sign).run(), name="source")
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
