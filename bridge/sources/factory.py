"""From a configured battery to its conversation: which protocol, which line, with what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from bridge.battery.sign import Sign
from bridge.bus import Bus
from bridge.config import BatterySection
from bridge.interfaces import BatteryDescription, Clock, Cycle, LinkOpener, LinkOptions
from bridge.protocols.driver import Driver
from bridge.protocols.registry import driver, drivers
from bridge.sources.serial import SerialSource


def choose_driver(protocol: str, port: str) -> Driver:
    """Return the driver that `port` (`emulated://daly`) or `protocol` names; `auto` is the first that there is."""
    parts = urlsplit(port)
    if parts.scheme == "emulated":
        return driver(parts.netloc)
    return next(iter(drivers().values())) if protocol == "auto" else driver(protocol)


def describe(battery: BatterySection) -> BatteryDescription:
    """Return what the other rooms may know of a configured battery."""
    return BatteryDescription(
        id=battery.id,
        name=battery.name,
        port=battery.port,
        protocol=choose_driver(battery.protocol, battery.port).name,
        emulated=battery.is_emulated,
        poll_interval=battery.poll_interval,
    )


class SourceFactory:
    """Makes sources; batteries on the same port share one bus and take turns."""

    def __init__(self, *, openers: Mapping[str, LinkOpener], deliver: Callable[[Cycle], None], clock: Clock) -> None:
        """`openers` open ports by URL scheme; `deliver` takes the cycles of every source."""
        self._openers = openers
        self._deliver = deliver
        self._clock = clock
        self._buses: dict[str, Bus] = {}

    def make(
        self,
        battery: BatterySection,
        *,
        learned_sign: Sign | None = None,
        learned: Callable[[Sign], None] = lambda _: None,
    ) -> SerialSource:
        """Return the conversation with `battery`; `learned` is told the sign of its current once that is known."""
        chosen = choose_driver(battery.protocol, battery.port)
        options = chosen.line if battery.baudrate is None else replace(chosen.line, baudrate=battery.baudrate)
        return SerialSource(
            description=describe(battery),
            driver=chosen,
            bus=self._bus(battery.port, options),
            deliver=self._deliver,
            clock=self._clock,
            address=battery.address,
            cells=battery.cells,
            capacity=battery.capacity,
            chemistry=battery.chemistry,
            current_sign=battery.current_sign,
            learned_sign=learned_sign,
            learned=learned,
        )

    def close(self) -> None:
        """Close every line."""
        for bus in self._buses.values():
            bus.close()

    def _bus(self, port: str, options: LinkOptions) -> Bus:
        if port not in self._buses:
            self._buses[port] = Bus(port, options, self._openers)
        return self._buses[port]
