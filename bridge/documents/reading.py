"""A battery's state as the one JSON object that the command line, MQTT and the JSON API share.

Pure: the same state and the same moment give the same document. The keys stand in the public interface.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bridge.battery.model import BatteryState, LinkStatus
from bridge.battery.quantities import BY_KEY, QUANTITIES, Shape

_NUMBERS = tuple((each.key, each.digits) for each in QUANTITIES if each.shape is Shape.NUMBER)
_NOTICES = frozenset({"soc_high"})
"""Alarms that are no problem: a full battery is a good thing."""
_CELL_DIGITS, _TEMPERATURE_DIGITS = BY_KEY["cell_voltages"].digits, BY_KEY["temperatures"].digits
_FLAGS = tuple(each.key for each in QUANTITIES if each.shape is Shape.FLAG)


def _rounded(value: float | None, digits: int | None) -> float | None:
    return value if value is None or not digits else round(value, digits) + 0.0  # no minus zero


def timestamp(seconds: float | None) -> str | None:
    """Return Unix `seconds` as ISO 8601 in UTC with milliseconds, as in `2026-11-21T02:00:00.123Z`."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def link_document(link: LinkStatus) -> dict[str, Any]:
    """Return the link state as `{link, since, error, advice}`."""
    return {"link": link.state.value, "since": timestamp(link.since), "error": link.error, "advice": link.advice}


def reading_document(state: BatteryState, now: float) -> dict[str, Any]:
    """Return `state` as the public JSON object; `now` is the monotonic moment at which ages are taken.

    Unknown is None (lists: []), numbers are rounded to the resolution that `quantities` gives.
    """
    accepted = state.accepted_at
    document: dict[str, Any] = {
        "battery": state.battery,
        "time": timestamp(state.time),
        "age": None if accepted is None else round(now - accepted, 1),
        "ages": {name: round(now - at, 1) for name, at in state.block_times.items()},
        "link": state.link.state.value,
        "emulated": state.emulated,
    }
    if state.link.error is not None:
        document["error"] = state.link.error
    if state.link.advice is not None:
        document["advice"] = state.link.advice
    for key, digits in _NUMBERS:
        document[key] = _rounded(getattr(state, key), digits)
    for key in _FLAGS:
        document[key] = getattr(state, key)
    document["cell_voltages"] = [_rounded(each, _CELL_DIGITS) for each in state.cell_voltages]
    document["temperatures"] = [
        {"name": each.name, "value": _rounded(each.value, _TEMPERATURE_DIGITS)} for each in state.temperatures
    ]
    document["balancing_cells"] = list(state.balancing_cells)
    document["alarms"] = [
        {"code": each.code, "level": each.level.value, "cell": each.cell} for each in state.alarms
    ]
    document["problem"] = any(each.code not in _NOTICES for each in state.alarms) if state.alarms_known else None
    device = state.device
    document["device"] = {
        "manufacturer": device.manufacturer,
        "model": device.model,
        "serial": device.serial,
        "hardware": device.hardware,
        "firmware": device.firmware,
    }
    return document
