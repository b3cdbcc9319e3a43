"""What follows from what the BMS said: power, extremes, balancing. Pure; unknown stays unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from bridge.battery.model import NO_TIMES, BatteryState, Block, DeviceInfo

_UNMEASURED = frozenset({"battery", "emulated", "link", "time", "accepted_at", "block_times", "device"})
UNKNOWN: Mapping[str, Any] = {
    each.name: each.default for each in fields(BatteryState) if each.name not in _UNMEASURED
} | {"block_times": NO_TIMES}
"""Every measured attribute of `BatteryState` with its value for "unknown"."""
_DEVICE = {f"device_{each.name}": each.name for each in fields(DeviceInfo)}


def join(blocks: Iterable[Block], now: float) -> tuple[dict[str, Any], DeviceInfo, dict[str, float]]:
    """Return attributes of `BatteryState`, the device and the blocks' times, from all blocks that are not too old.

    Where two blocks tell the same quantity the newer one counts.
    """
    values: dict[str, Any] = {}
    device: dict[str, Any] = {}
    times: dict[str, float] = {}
    for block in sorted(blocks, key=lambda each: each.at):
        if now - block.at > block.max_age:
            continue
        times[block.name] = block.at
        for key, value in block.values.items():
            if key in UNKNOWN:
                values[key] = value
            elif key in _DEVICE:
                device[_DEVICE[key]] = value
    return values, DeviceInfo(**device), times


def derive(values: dict[str, Any]) -> dict[str, Any]:
    """Return the quantities that follow from `values` (power in W, cell extremes in V and numbers from 1)."""
    derived: dict[str, Any] = {}
    voltage, current = values.get("voltage"), values.get("current")
    if voltage is not None and current is not None:
        power = voltage * current + 0.0  # no minus zero
        derived = {"power": power, "charge_power": max(0.0, power), "discharge_power": max(0.0, -power)}
    cells = values.get("cell_voltages", ())
    if cells and None not in cells:
        low, high = min(cells), max(cells)
        derived |= {
            "cell_voltage_min": low,
            "cell_voltage_max": high,
            "cell_min_number": cells.index(low) + 1,
            "cell_max_number": cells.index(high) + 1,
        }
    low = derived.get("cell_voltage_min", values.get("cell_voltage_min"))
    high = derived.get("cell_voltage_max", values.get("cell_voltage_max"))
    if low is not None and high is not None:
        derived["cell_voltage_delta"] = high - low
    return derived
