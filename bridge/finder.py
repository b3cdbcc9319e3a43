"""Finds out which battery is on a port, and says in words what was heard where there is none.

Sends nothing but read requests. Knows the drivers' declarations and the bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.bus import Bus
from bridge.errors import LinkError, ProtocolError
from bridge.interfaces import LinkOpener
from bridge.protocols.driver import SLEEP_ECHO, Driver, Reader

TRIES = 2
"""Probes to each address; the first may only have woken the line."""
PATIENCE = 0.3
"""s to wait for an answer beyond the wire's own time; the slowest known device takes 80 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A battery that answered."""

    port: str
    protocol: str
    title: str
    baudrate: int
    host: int
    """The address in requests that it answered to."""
    voltage: float | None
    """V, as a first sign that it is the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingFound:
    """A port without a battery that we understand."""

    port: str
    heard: str
    """`nothing`, `echo`, `noise`, `other`, or `closed` for a port that could not be opened."""
    reason: str
    """One sentence."""
    advice: str | None = None
    sample: bytes = b""
    """The first bytes that were heard."""


_REASONS = {
    "nothing": "Not a byte was heard.",
    "echo": "Our own question came back and nothing else.",
    "noise": "Bytes were heard, but no valid frame.",
    "other": "A valid frame was heard that answers something else.",
}
_ADVICE = {
    "nothing": (
        "The BMS sleeps (wake it with a load, a charger or its key), RX and TX (or A and B) are swapped, the level is"
        " another one (TTL, RS485, RS232), or the BMS has another board number (set `address` in bridge.toml)."
    ),
    "echo": (
        "The BMS sleeps (a Daly then repeats the question): wake it with a load, a charger or its key; or the adapter"
        " hears itself: RX and TX are joined."
    ),
    "noise": "The speed or the protocol is another one, A and B are swapped, or the line is disturbed.",
    "other": "The battery has another board number, or another program talks on this line.",
}


async def examine(
    port: str, drivers: Iterable[Driver], *, openers: Mapping[str, LinkOpener], baudrate: int | None = None
) -> Found | NothingFound:
    """Ask on `port` in the languages of `drivers`, the likeliest first, until something answers."""
    heard = bytearray()
    kinds: set[str] = set()
    for driver in drivers:
        options = driver.line if baudrate is None else replace(driver.line, baudrate=baudrate)
        bus = Bus(port, options, openers)
        try:
            for host in driver.hosts(None):
                found = await _probe(bus, driver, host, heard, kinds)
                if found is not None:
                    return found
        except LinkError as error:
            return NothingFound(port=port, heard="closed", reason=error.message, advice=error.advice)
        finally:
            bus.close()
    kind = next((each for each in ("other", "echo", "noise") if each in kinds), "nothing")
    return NothingFound(
        port=port, heard=kind, reason=_REASONS[kind], advice=_ADVICE[kind], sample=bytes(heard[:64])
    )


async def _probe(bus: Bus, driver: Driver, host: int, heard: bytearray, kinds: set[str]) -> Found | None:
    reader = Reader(driver, host=host)

    def receive(data: bytes) -> bool:
        heard.extend(data)
        return reader.receive(data)

    for _ in range(TRIES):
        request = reader.ask(driver.probe)
        patience = bus.seconds(len(request) + reader.expected) + PATIENCE
        before = len(heard)
        await bus.transaction(request, receive, patience=patience, pause=driver.pause if bus.needs_pause else 0.0)
        try:
            values = reader.answer()
        except ProtocolError:
            causes = {each.cause for each in reader.take_refused()}
            if SLEEP_ECHO in causes:
                kinds.add("echo")
            elif reader.saw_frame:
                kinds.add("other")
            elif len(heard) > before:
                kinds.add("noise")
            continue
        return Found(
            port=bus.url, protocol=driver.name, title=driver.title, baudrate=bus.options.baudrate, host=host,
            voltage=values.get("voltage"),
        )  # fmt: skip
    return None
