"""A battery's conversation with an emulated one over a link in memory, in virtual time: what the tests here share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bridge.battery.model import BatteryState, LinkState
from bridge.config import BatterySection
from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.service import EmulatorService
from bridge.emulator.truth import Memory
from bridge.errors import LinkLost
from bridge.hub import Hub
from bridge.interfaces import Cycle, Link, LinkOptions
from bridge.sources.factory import SourceFactory, describe
from bridge.sources.serial import SerialSource
from bridge.tracker import Tracker
from tests.virtual_time import VirtualClock


async def _no_port(url: str, options: LinkOptions) -> Link:
    raise LinkLost(f"{url} is not for these tests.", url=f"{url} {options}")


@dataclass
class Conversation:
    """One battery that is being read, what it really said, and every state that came of it."""

    source: SerialSource
    battery: EmulatedBattery
    truth: Memory
    hub: Hub
    states: list[tuple[float, BatteryState]] = field(default_factory=list)
    """Every published state with the moment of its publication."""

    @property
    def latest(self) -> BatteryState:
        """The newest published state."""
        return self.hub.latest("main")

    def live(self) -> list[tuple[float, BatteryState]]:
        """Return the published states whose values count as live."""
        return [(at, state) for at, state in self.states if state.link.state.is_online]

    async def until(self, state: LinkState, *, seconds: float = 60.0) -> float:
        """Wait for a link state and return the moment at which it was published."""
        async with asyncio.timeout(seconds):
            while not self.states or self.states[-1][1].link.state is not state:
                await asyncio.sleep(0.01)
        return self.states[-1][0]


@asynccontextmanager
async def conversation(query: str = "", **settings: object) -> AsyncIterator[Conversation]:
    """Read an emulated battery (`query` as in `emulated://daly?…`, `settings` of its section) while the block runs."""
    clock = VirtualClock()
    url = f"emulated://daly?pty=0&latency=5&{query}".rstrip("&")
    section = BatterySection(id="main", port=url, **settings)  # type: ignore[arg-type]  # settings of the section
    truth = Memory()
    emulator = EmulatorService(clock=clock, open_port=_no_port, witness=truth)
    hub = Hub([describe(section)])
    tracker = Tracker(hub, clock)

    def deliver(cycle: Cycle) -> None:
        tracker(cycle)
        talk.states.append((clock.monotonic(), hub.latest("main")))

    source = SourceFactory(openers={"emulated": emulator}, deliver=deliver, clock=clock).make(section)
    talk = Conversation(source=source, battery=emulator.battery(url), truth=truth, hub=hub)
    tasks = [asyncio.create_task(source.run(), name="source"), asyncio.create_task(emulator.run(), name="emulator")]
    try:
        yield talk
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
