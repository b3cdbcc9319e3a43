"""A reader's end of a link in memory, with the moment of each arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.ports import MemoryPort
from bridge.emulator.profile import make_recipe
from bridge.emulator.truth import Witness


class MemoryReader:
    """An emulated Daly and somebody who writes to it and listens."""

    def __init__(self, settings: Iterable[tuple[str, str]] = (), *, witness: Witness | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        recipe = make_recipe("daly", settings)
        self.battery = EmulatedBattery(recipe, clock=self.loop.time, wall_offset=1.8e9, witness=witness)
        self.port = MemoryPort(self.battery, url="emulated://daly?pty=0")
        self.arrivals: list[tuple[float, bytes]] = []
        self.lost: list[Exception | None] = []
        self._arrived = asyncio.Event()
        self.port.open()
        self.connect()

    def connect(self) -> None:
        """Open the link."""
        self.link = self.port.connect()
        self.link.start(self._received, self.lost.append)

    def write(self, data: bytes) -> None:
        """Put bytes on the wire."""
        self.link.write(data)

    async def ask(self, request: bytes, seconds: float = 0.5) -> bytes:
        """Return everything that comes within `seconds` after a request."""
        self.arrivals.clear()
        self.write(request)
        await asyncio.sleep(seconds)
        return b"".join(data for _, data in self.arrivals)

    async def ask_back_to_back(self, request: bytes, wanted: int) -> bytes:
        """Return a reply of `wanted` bytes at the very moment at which it is whole."""
        self.arrivals.clear()
        self.write(request)
        while sum(len(data) for _, data in self.arrivals) < wanted:
            self._arrived.clear()
            await self._arrived.wait()
        return b"".join(data for _, data in self.arrivals)

    def _received(self, data: bytes) -> None:
        self.arrivals.append((self.loop.time(), data))
        self._arrived.set()
