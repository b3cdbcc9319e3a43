"""The one table of published quantities.

MQTT discovery, JSON, Prometheus, CSV headers, history columns and the page's table are generated from it: adding a
sensor is one row here. Knows nothing of those who read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """How a quantity's value looks."""

    NUMBER = "number"
    FLAG = "flag"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One published quantity; `key` is the attribute of `BatteryState`, the JSON key and the MQTT value topic."""

    key: str
    name: str
    """Name for people, English."""
    shape: Shape = Shape.NUMBER
    unit: str | None = None
    """As Home Assistant writes it; None for counts and flags."""
    digits: int | None = None
    """Decimals at the wire's resolution; None where a value is not rounded."""
    device_class: str | None = None
    """Home Assistant device class."""
    state_class: str | None = None
    """Home Assistant state class."""
    diagnostic: bool = False
    """Whether Home Assistant lists it under diagnostics."""
    metric: str | None = None
    """Prometheus name (base units, without prefix); None where it is not exported."""


_MEASUREMENT = "measurement"

QUANTITIES: tuple[Quantity, ...] = (
    Quantity(key="soc", name="State of charge", unit="%", digits=1, device_class="battery",
             state_class=_MEASUREMENT, metric="state_of_charge_percent"),
    Quantity(key="voltage", name="Voltage", unit="V", digits=2, device_class="voltage",
             state_class=_MEASUREMENT, metric="voltage_volts"),
    Quantity(key="current", name="Current", unit="A", digits=2, device_class="current",
             state_class=_MEASUREMENT, metric="current_amperes"),
    Quantity(key="power", name="Power", unit="W", digits=1, device_class="power",
             state_class=_MEASUREMENT, metric="power_watts"),
    Quantity(key="charge_power", name="Charge power", unit="W", digits=1, device_class="power",
             state_class=_MEASUREMENT, metric="charge_power_watts"),
    Quantity(key="discharge_power", name="Discharge power", unit="W", digits=1, device_class="power",
             state_class=_MEASUREMENT, metric="discharge_power_watts"),
    Quantity(key="soh", name="State of health", unit="%", digits=1, state_class=_MEASUREMENT, diagnostic=True,
             metric="state_of_health_percent"),
    Quantity(key="remaining_capacity", name="Remaining capacity", unit="Ah", digits=3, state_class=_MEASUREMENT,
             metric="remaining_capacity_amperehours"),
    Quantity(key="full_capacity", name="Full capacity", unit="Ah", digits=3, state_class=_MEASUREMENT,
             diagnostic=True, metric="full_capacity_amperehours"),
    Quantity(key="cycles", name="Charge cycles", unit="cycles", digits=0, state_class="total_increasing",
             diagnostic=True, metric="charge_cycles"),
    Quantity(key="cell_count", name="Cells in series", digits=0, diagnostic=True, metric="cells"),
    Quantity(key="cell_voltages", name="Cell voltages", shape=Shape.LIST, unit="V", digits=3,
             device_class="voltage", state_class=_MEASUREMENT, metric="cell_voltage_volts"),
    Quantity(key="cell_voltage_min", name="Lowest cell voltage", unit="V", digits=3, device_class="voltage",
             state_class=_MEASUREMENT, metric="cell_voltage_min_volts"),
    Quantity(key="cell_voltage_max", name="Highest cell voltage", unit="V", digits=3, device_class="voltage",
             state_class=_MEASUREMENT, metric="cell_voltage_max_volts"),
    Quantity(key="cell_min_number", name="Lowest cell", digits=0, diagnostic=True, metric="cell_min_number"),
    Quantity(key="cell_max_number", name="Highest cell", digits=0, diagnostic=True, metric="cell_max_number"),
    Quantity(key="cell_voltage_delta", name="Cell voltage difference", unit="V", digits=3, device_class="voltage",
             state_class=_MEASUREMENT, metric="cell_voltage_delta_volts"),
    Quantity(key="temperatures", name="Temperatures", shape=Shape.LIST, unit="°C", digits=1,
             device_class="temperature", state_class=_MEASUREMENT, metric="temperature_celsius"),
    Quantity(key="charge_enabled", name="Charging allowed", shape=Shape.FLAG, metric="charge_enabled"),
    Quantity(key="discharge_enabled", name="Discharging allowed", shape=Shape.FLAG, metric="discharge_enabled"),
    Quantity(key="balancing", name="Balancing", shape=Shape.FLAG, device_class="running", diagnostic=True,
             metric="balancing"),
    Quantity(key="balancing_cells", name="Balancing cells", shape=Shape.LIST, diagnostic=True),
    Quantity(key="alarms", name="Alarms", shape=Shape.LIST, metric="alarm_active"),
)

BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}
