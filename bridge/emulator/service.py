"""Emulated batteries inside the running bridge: what opens the links of `emulated://`.

A battery lives from the first time its URL is opened until the service ends, whoever comes and goes meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.ports import MemoryPort, PseudoTerminal
from bridge.emulator.profile import Recipe, recipe_from_url
from bridge.emulator.truth import Witness
from bridge.errors import LinkLost
from bridge.interfaces import Clock, Link, LinkOpener, LinkOptions

_LOGGER = logging.getLogger(__name__)


class EmulatorService:
    """Plays every battery whose port is an `emulated://` URL; it is the `LinkOpener` of that scheme."""

    def __init__(self, *, clock: Clock, open_port: LinkOpener, witness: Witness | None = None) -> None:
        """`open_port` opens the device path of a pseudo-terminal; `witness` hears what all batteries serve."""
        self._clock = clock
        self._open_port = open_port
        self._witness = witness
        self._ports: dict[str, PseudoTerminal | MemoryPort] = {}

    async def __call__(self, url: str, options: LinkOptions) -> Link:
        """Open the emulated battery `url`, at its own speed; raise LinkLost while it is unplugged, LinkBusy in use."""
        if url not in self._ports:
            self._play(url, await asyncio.to_thread(recipe_from_url, url))
        port = self._ports[url]
        if isinstance(port, MemoryPort):
            return port.connect()
        if port.path is None:
            raise LinkLost(f"{url} is unplugged.", url=url)
        return await self._open_port(port.path, replace(options, baudrate=port.battery.recipe.baudrate))

    async def run(self) -> None:
        """Keep the batteries until cancelled, then take their ports away."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for port in self._ports.values():
                port.close()
            self._ports.clear()

    def battery(self, url: str) -> EmulatedBattery:
        """Return the battery behind `url`, to be played with: its faults, current, charge and temperature."""
        if url not in self._ports:
            self._play(url, recipe_from_url(url))
        return self._ports[url].battery

    def _play(self, url: str, recipe: Recipe) -> None:
        """Begin to play a battery, unless somebody else just did."""
        if url in self._ports:
            return
        monotonic, wall = self._clock.monotonic(), self._clock.wall()
        battery = EmulatedBattery(
            recipe, clock=self._clock.monotonic, wall_offset=(wall or 0.0) - monotonic, witness=self._witness
        )
        port = PseudoTerminal(battery) if recipe.on_pty else MemoryPort(battery, url=url)
        port.open()
        self._ports[url] = port
        _LOGGER.info("Playing %s on %s", url, port.path if isinstance(port, PseudoTerminal) else "a link in memory")
