"""A scenario: what happens to an emulated battery when, read from TOML.

    [[step]]
    at = 30              # s after the start
    current = -40.0      # A; also soc (%), temperature (°C), fault ("corrupt=0.02", or a list of such)
    for = 60             # s; then the current follows the day again, the temperature is as before, the fault ends

Knows nothing of who acts upon it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.emulator.faults import Fault, parse_fault
from bridge.errors import ConfigError

_RANGES = {
    "at": (0.0, 3.2e7, "s"), "for": (0.0, 3.2e7, "s"),
    "current": (-5000.0, 5000.0, "A"), "soc": (0.0, 100.0, "%"), "temperature": (-60.0, 150.0, "°C"),
}  # fmt: skip
_KEYS = (*_RANGES, "fault")
NO_FAULTS = "none"
"""As a fault: end all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change at one moment; what is not named stays as it is."""

    at: float
    """s after the start."""
    current: float | None = None
    """A."""
    ends_current: bool = False
    """The current follows the load profile again."""
    soc: float | None = None
    """%."""
    temperature: float | None = None
    """°C."""
    ends_temperature: bool = False
    """The temperature goes back to what it was at the start."""
    faults: tuple[Fault, ...] = ()
    ends_faults: bool = False
    """Every fault that is on ends before `faults` begin."""


def read_scenario(path: Path) -> tuple[Event, ...]:
    """Return the events of a scenario file in their order; raise ConfigError with one sentence."""
    if path.exists() and not path.is_file():
        raise ConfigError(f"The scenario {path} is not a file.", where=str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The scenario {path} cannot be read: {error.strerror}.", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The scenario {path} is not UTF-8 text.", where=str(path)) from error
    return parse_scenario(text, where=str(path))


def parse_scenario(text: str, *, where: str = "scenario") -> tuple[Event, ...]:
    """Return the events of a scenario in their order; raise ConfigError with one sentence."""
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The scenario {where} is not valid TOML: {error}.", where=where) from error
    for key in document:
        if key != "step":
            raise ConfigError(f'There is no key "{key}" in a scenario.', where=where, advice="It consists of [[step]].")
    steps = document.get("step", [])
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise ConfigError("The steps of a scenario are written as [[step]].", where=where)
    read = [_read_step(step, f"{where}, step {number}") for number, step in enumerate(steps, 1)]
    return _timeline(read)


@dataclass(frozen=True, slots=True)
class _Step:
    begin: Event
    lasts: float | None


def _read_step(step: Mapping[str, Any], where: str) -> _Step:
    for key in step:
        if key not in _KEYS:
            near = next(iter(difflib.get_close_matches(key, _KEYS, n=1)), None)
            advice = f'Did you mean "{near}"?' if near else f"A step has {', '.join(_KEYS)}."
            raise ConfigError(f'There is no key "{key}" in {where}.', where=where, suggestion=near, advice=advice)
    numbers = {key: _read_number(key, step[key], where) for key in _RANGES if key in step}
    if "at" not in numbers:
        raise ConfigError(f'"at" is missing in {where}.', where=where, advice="It says when: seconds after the start.")
    lasts = numbers.get("for")
    texts = step.get("fault", [])
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f'"fault" in {where} must be text such as "corrupt=0.02", or a list of such.', where=where)
    faults = tuple(parse_fault(text, seconds=lasts, where=where) for text in texts if text != NO_FAULTS)
    begin = Event(
        at=numbers["at"], current=numbers.get("current"), soc=numbers.get("soc"),
        temperature=numbers.get("temperature"), faults=faults, ends_faults=NO_FAULTS in texts,
    )
    if lasts is not None and begin.current is None and begin.temperature is None and not faults:
        raise ConfigError(f'"for" in {where} has nothing that could last.', where=where)
    return _Step(begin, lasts)


def _read_number(key: str, value: Any, where: str) -> float:
    low, high, unit = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f'"{key}" in {where} must be a number from {low:g} to {high:g} {unit}.', where=where)
    return float(value)


def _timeline(steps: list[_Step]) -> tuple[Event, ...]:
    """Return all beginnings and ends in order; an end that a later step of the same kind overtook is left out."""
    events = [step.begin for step in steps]
    for step in steps:
        if step.lasts is None:
            continue
        begin, end = step.begin.at, step.begin.at + step.lasts
        others = [each.begin for each in steps if each is not step and begin <= each.begin.at <= end]
        ends_current = step.begin.current is not None and all(each.current is None for each in others)
        ends_temperature = step.begin.temperature is not None and all(each.temperature is None for each in others)
        if ends_current or ends_temperature:
            events.append(Event(at=end, ends_current=ends_current, ends_temperature=ends_temperature))
    return tuple(sorted(events, key=lambda event: event.at))
