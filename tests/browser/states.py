"""Documents of the JSON API for tests of the page, written by hand: batteries and a bridge in every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

CELLS = [
    3.321, 3.319, 3.312, 3.320, 3.322, 3.318, 3.329, 3.320, 3.321, 3.317, 3.319, 3.324, 3.320, 3.318, 3.322, 3.319,
]
UNKNOWN: dict[str, Any] = dict.fromkeys((
    "voltage", "current", "power", "charge_power", "discharge_power", "soc", "soh", "remaining_capacity",
    "full_capacity", "cycles", "cell_count", "cell_voltage_min", "cell_voltage_max", "cell_min_number",
    "cell_max_number", "cell_voltage_delta", "problem", "charge_enabled", "discharge_enabled", "balancing",
)) | {"cell_voltages": [], "temperatures": [], "device": {}}
"""A reading of a battery that has told nothing but that it is there."""


def iso(seconds_ago: float) -> str:
    """Return a moment before now as the API writes it."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def live(battery: str = "main", **changes: Any) -> dict[str, Any]:
    """Return a healthy battery that is being discharged."""
    cells: list[float | None] = changes.get("cell_voltages", CELLS)
    known = [each for each in cells if each is not None]
    document: dict[str, Any] = {
        "battery": battery, "name": "Battery", "time": iso(0.4), "age": 0.4,
        "ages": {"soc": 0.4, "cell_voltages": 0.5, "alarms": 2.0}, "link": "ok", "emulated": False,
        "voltage": 53.12, "current": -12.3, "power": -653.4, "charge_power": 0.0, "discharge_power": 653.4,
        "soc": 76.5, "soh": None, "remaining_capacity": 214.2, "full_capacity": 280.0, "cycles": 12,
        "cell_count": len(cells), "cell_voltages": cells,
        "cell_voltage_min": min(known, default=None), "cell_voltage_max": max(known, default=None),
        "cell_min_number": cells.index(min(known)) + 1 if known else None,
        "cell_max_number": cells.index(max(known)) + 1 if known else None,
        "cell_voltage_delta": round(max(known) - min(known), 3) if known else None,
        "temperatures": [
            {"name": "cell_1", "value": 21.0}, {"name": "cell_2", "value": 22.0}, {"name": "mosfet", "value": 24.0},
        ],
        "problem": False, "charge_enabled": True, "discharge_enabled": True, "balancing": False, "balancing_cells": [],
        "alarms": [],
        "device": {
            "manufacturer": "Daly", "model": None, "serial": None, "hardware": "D2-V1", "firmware": "20_240101",
        },
    }
    return document | changes


def offline(
    link: str, *, age: float | None = 300.0, battery: str = "main", advice: str = "", **changes: Any
) -> dict[str, Any]:
    """Return a battery that cannot be heard: everything unknown, its last reading `age` seconds ago (None: never)."""
    reading = live(battery, **changes)
    unknown: dict[str, Any] = {key: [] if isinstance(value, list) else None for key, value in reading.items()}
    kept = {key: reading[key] for key in ("battery", "name", "emulated")}
    time = None if age is None else iso(age)
    document = unknown | kept | {"link": link, "age": age, "ages": {}, "time": time, "device": {}}
    document["last"] = None if age is None else reading | {"age": age, "time": time}
    if advice:
        document["advice"] = advice
    if link in ("asleep", "silent", "noisy", "unplugged"):
        document["error"] = "bms_data_error"
    return document


def health(status: str = "ok", *advice: str, **box: Any) -> dict[str, Any]:
    """Return the health of a bridge on a small box."""
    return {
        "status": status, "version": "1.2.3", "bridge": "smartbms", "uid": "00c0ffee",
        "uptime": 93_600.0, "restart_reason": "stopped cleanly",
        "ports": {"web": 6789}, "addresses": ["http://smartbms.local:6789/"],
        "services": [
            {"name": "mqtt", "state": "running", "detail": "connected to mqtt://192.168.1.20", "restarts": 0},
            {"name": "web", "state": "running", "detail": None, "restarts": 0},
            {"name": "mdns", "state": "running", "detail": "smartbms.local", "restarts": 0},
        ],
        "box": {
            "loop_delay_p99": 0.0031, "process_cpu": 1.2, "total_cpu": 9.0, "memory": 51_000_000,
            "under_voltage": False, "temperature": 48.2, "disk_free": 21_400_000_000,
        } | box,
        "advice": list(advice), "batteries": {},
    }
