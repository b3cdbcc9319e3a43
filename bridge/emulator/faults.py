"""What can go wrong between a battery and its reader, on demand: each fault has a name, a value and perhaps an end.

Pure but for the clock and the chance that it is given. Knows nothing of protocols, and does not say how a line does it.
"""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from bridge.errors import ConfigError


class Unit(Enum):
    """What the value of a fault means."""

    SWITCH = "on, off, or the seconds for which it lasts"
    RATE = "a share from 0 to 1"
    COUNT = "a number of bytes from 0 to 256"
    MILLISECONDS = "milliseconds"


FAULTS: Mapping[str, tuple[Unit, str]] = {
    "silence": (Unit.SWITCH, "answers nothing"),
    "echo": (Unit.SWITCH, "sends each request back, as some sleeping devices do"),
    "asleep": (Unit.SWITCH, "sleeps, in the manner of this device"),
    "unplug": (Unit.SWITCH, "the port vanishes"),
    "drop": (Unit.RATE, "share of bytes that get lost, both ways"),
    "corrupt": (Unit.RATE, "share of bytes that are replaced by another, both ways"),
    "wrong": (Unit.RATE, "share of answers to something else, or of another device"),
    "truncate": (Unit.RATE, "share of answers that end early"),
    "junk": (Unit.COUNT, "random bytes before each answer"),
    "delay": (Unit.MILLISECONDS, "time by which answers come later"),
}
"""Name → what its value means, what it does."""

_HIGHEST = {Unit.RATE: 1.0, Unit.COUNT: 256.0, Unit.MILLISECONDS: 3.6e6, Unit.SWITCH: math.inf}
_WORDS = {"on": math.inf, "true": math.inf, "yes": math.inf, "off": 0.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as it was asked for."""

    name: str
    value: float
    """In the unit of the fault; a switch that is on has 1, any that is off 0."""
    seconds: float | None = None
    """How long it lasts; None: until it is changed."""


def parse_fault(text: str, *, seconds: float | None = None, where: str | None = None) -> Fault:
    """Read `NAME=VALUE` (or the name alone: on); raise ConfigError with a sentence that says what would do."""
    name, _, value = (part.strip() for part in text.partition("="))
    if name not in FAULTS:
        near = next(iter(difflib.get_close_matches(name, FAULTS, n=1)), None)
        raise ConfigError(
            f'There is no fault "{name}".', where=where, suggestion=near,
            advice=f'Did you mean "{near}"?' if near else f"There are {', '.join(FAULTS)}.",
        )
    unit, _ = FAULTS[name]
    try:
        number = _WORDS[value.lower()] if unit is Unit.SWITCH and value.lower() in _WORDS else float(value or "inf")
    except ValueError:
        number = -1.0
    if not 0 <= number <= _HIGHEST[unit]:
        raise ConfigError(f'"{value}" does not fit the fault {name}: it takes {unit.value}.', where=where)
    if unit is not Unit.SWITCH:
        return Fault(name, number, seconds)
    if number == 0:
        return Fault(name, 0.0)
    return Fault(name, 1.0, seconds if math.isinf(number) else number)


class Faults:
    """The faults of one emulated battery; they may change at any time."""

    def __init__(self, *, clock: Callable[[], float], chance: random.Random) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Called after each change; whoever must act at once puts itself here."""
        self._clock = clock
        self._chance = chance
        self._active: dict[str, tuple[float, float]] = {}

    def set(self, name: str, value: float | str = "on", *, seconds: float | None = None) -> None:
        """Begin the fault `name` (value 0 or "off" ends it); it lasts `seconds`, or until it is changed."""
        self.apply(parse_fault(f"{name}={value}", seconds=seconds))

    def apply(self, fault: Fault) -> None:
        """Begin or end a fault."""
        if fault.value:
            end = math.inf if fault.seconds is None else self._clock() + fault.seconds
            self._active[fault.name] = (fault.value, end)
        else:
            self._active.pop(fault.name, None)
        self.changed()

    def clear(self) -> None:
        """End every fault."""
        self._active.clear()
        self.changed()

    def value(self, name: str) -> float:
        """Return the value of a fault, 0 while it is off."""
        return self._active[name][0] if self.remaining(name) > 0 else 0.0

    def remaining(self, name: str) -> float:
        """Return the seconds for which a fault still lasts: 0 while it is off, infinite while it has no end."""
        if name not in self._active:
            return 0.0
        left = self._active[name][1] - self._clock()
        if left <= 0:
            del self._active[name]
        return max(left, 0.0)

    def names(self) -> tuple[str, ...]:
        """Return the names of the faults that are on."""
        return tuple(name for name in list(self._active) if self.remaining(name) > 0)

    def strikes(self, name: str) -> bool:
        """Draw whether a fault that has a rate happens this time."""
        rate = self.value(name)
        return rate > 0 and self._chance.random() < rate

    def noise(self, data: bytes) -> bytes:
        """Return what is left of `data` on a line that drops and corrupts bytes."""
        if not self._active:
            return data
        drop, corrupt = self.value("drop"), self.value("corrupt")
        if not drop and not corrupt:
            return data
        draw = self._chance.random
        kept = bytearray()
        for byte in data:
            if drop and draw() < drop:
                continue
            if corrupt and draw() < corrupt:
                kept.append((byte + 1 + int(draw() * 255)) % 256)
            else:
                kept.append(byte)
        return bytes(kept)
