"""What Home Assistant should show of a bridge and a 16-cell Daly battery, written by hand from the public interface.

Device classes, state classes and their units: https://developers.home-assistant.io/docs/core/entity/sensor
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]

LINKS = ["starting", "ok", "late", "asleep", "silent", "noisy", "stale", "unplugged", "updating"]


@dataclass(frozen=True, kw_only=True)
class Entity:
    """One entity as Home Assistant declares it."""

    platform: str = "sensor"
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    category: str | None = None
    precision: int | None = None
    options: list[str] | None = None
    value: Callable[[Document], Any] = field(default=lambda _: None, compare=False, repr=False)
    """What it should show, taken from the JSON object that the bridge published; None for unknown."""


def _of(key: str) -> Callable[[Document], Any]:
    return lambda document: document[key]


def _measured(
    value: str | Callable[[Document], Any],
    unit: str | None,
    device_class: str | None,
    precision: int | None,
    **rest: Any,
) -> Entity:
    return Entity(
        value=_of(value) if isinstance(value, str) else value,
        unit=unit, device_class=device_class, precision=precision, **{"state_class": "measurement", **rest},
    )


def _number(key: str) -> Entity:
    return Entity(value=_of(key), category="diagnostic")


def _flag(value: str | Callable[[Document], Any], device_class: str | None = None, **rest: Any) -> Entity:
    value = _of(value) if isinstance(value, str) else value
    return Entity(platform="binary_sensor", value=value, device_class=device_class, **rest)


def _cell(index: int) -> Callable[[Document], Any]:
    return lambda reading: dict(enumerate(reading["cell_voltages"])).get(index)


def _temperature(name: str) -> Callable[[Document], Any]:
    return lambda reading: {each["name"]: each["value"] for each in reading["temperatures"]}.get(name)


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(codes)) or "none"


def _box(key: str, factor: float = 1.0) -> Callable[[Document], Any]:
    """Shown with one decimal; None stays unknown."""
    return lambda health: None if health["box"][key] is None else round(health["box"][key] * factor, 1)


READING = {
    "soc": _measured("soc", "%", "battery", 1),
    "voltage": _measured("voltage", "V", "voltage", 2),
    "current": _measured("current", "A", "current", 2),
    # what the battery gives counts as positive here, and only here
    "battery_power": _measured(lambda reading: _negative(reading["power"]), "W", "power", 0),
    "charge_power": _measured("charge_power", "W", "power", 0),
    "discharge_power": _measured("discharge_power", "W", "power", 0),
    "remaining_capacity": _measured("remaining_capacity", "Ah", None, 1),
    "full_capacity": _measured("full_capacity", "Ah", None, 1, category="diagnostic"),
    "cycles": _measured("cycles", "cycles", None, 0, category="diagnostic", state_class="total_increasing"),
    "cell_count": _number("cell_count"),
    **{f"cell_voltage_{number}": _measured(_cell(number - 1), "V", "voltage", 3) for number in range(1, 17)},
    "cell_voltage_min": _measured("cell_voltage_min", "V", "voltage", 3),
    "cell_voltage_max": _measured("cell_voltage_max", "V", "voltage", 3),
    "cell_voltage_delta": _measured("cell_voltage_delta", "V", "voltage", 3),
    "cell_min_number": _number("cell_min_number"),
    "cell_max_number": _number("cell_max_number"),
    "temperature_sensor_1": _measured(_temperature("sensor_1"), "°C", "temperature", 1),
    "temperature_sensor_2": _measured(_temperature("sensor_2"), "°C", "temperature", 1),
    "charge_enabled": _flag("charge_enabled"),
    "discharge_enabled": _flag("discharge_enabled"),
    "balancing": _flag("balancing", "running", category="diagnostic"),
    "problem": _flag("problem", "problem"),
    "alarms": Entity(value=lambda reading: _listed(each["code"] for each in reading["alarms"])),
}
"""Filled from the battery's state."""

LINK = {
    "link_state": Entity(value=_of("link"), device_class="enum", options=LINKS, category="diagnostic"),
    "bms_link": _flag(lambda link: link["link"] in {"ok", "late"}, "connectivity", category="diagnostic"),
    "last_error": Entity(value=lambda link: link["error"] or "none", category="diagnostic"),
    "advice": Entity(value=lambda link: link["advice"] or "none", category="diagnostic"),
}
"""Filled from the battery's link state, so that they tell why a battery is not available."""

EVENTS = {"alarm_event": Entity(platform="event")}
"""They have no value until something happens."""

HEALTH = {
    "status": Entity(value=_of("status"), device_class="enum", options=["ok", "warn", "bad"], category="diagnostic"),
    "problems": _measured(lambda health: len(health["advice"]), None, None, 0, category="diagnostic"),
    "restart_reason": Entity(value=_of("restart_reason"), category="diagnostic"),
    "loop_delay": _measured(_box("loop_delay_p99", 1000), "ms", "duration", 1, category="diagnostic"),
    "process_cpu": _measured(_box("process_cpu"), "%", None, 1, category="diagnostic"),
    "total_cpu": _measured(_box("total_cpu"), "%", None, 1, category="diagnostic"),
    "memory": _measured(_box("memory", 1 / 2**20), "MiB", "data_size", 1, category="diagnostic"),
    "disk_free": _measured(_box("disk_free", 1 / 2**30), "GiB", "data_size", 1, category="diagnostic"),
}
"""Filled from the bridge's health."""

BOX = {
    "temperature": _measured(_box("temperature"), "°C", "temperature", 1, category="diagnostic"),
    "under_voltage": _flag(lambda health: health["box"]["under_voltage"], "problem", category="diagnostic"),
}
"""Likewise, on machines that tell it."""

INFO = {
    "version": Entity(value=_of("version"), category="diagnostic"),
    "started": Entity(value=_of("started"), device_class="timestamp", category="diagnostic"),
}
"""Filled from what the bridge says about itself, which the broker keeps."""
