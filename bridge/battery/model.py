"""What a battery is: frozen data types that every room shares.

SI units; **unknown is None (lists: empty), never 0**; current is positive when charging, everywhere. This module
knows nothing of protocols, clocks or outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

NO_TIMES: Mapping[str, float] = MappingProxyType({})


class AlarmLevel(StrEnum):
    """How bad an alarm is: a warning, a protection that switched something off, or a fault of the hardware."""

    WARNING = "warning"
    PROTECTION = "protection"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One active alarm."""

    code: str
    """One of the codes in the public interface, such as `cell_overvoltage`."""
    level: AlarmLevel
    cell: int | None = None
    """Number of the cell (from 1) where the BMS says which one."""
    raw: int | None = None
    """The number under which the BMS itself reports it, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """One temperature sensor."""

    name: str
    """`cell_<n>`, `mosfet`, `balancer`, `ambient`, or `sensor_<n>` where the BMS does not say."""
    value: float | None
    """°C; None where the sensor is not fitted or broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """What the BMS says about itself."""

    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    hardware: str | None = None
    firmware: str | None = None


class LinkState(StrEnum):
    """How well a battery can be heard; the table of states stands in the public interface."""

    STARTING = "starting"
    OK = "ok"
    LATE = "late"
    ASLEEP = "asleep"
    SILENT = "silent"
    NOISY = "noisy"
    STALE = "stale"
    UNPLUGGED = "unplugged"
    UPDATING = "updating"

    @property
    def is_online(self) -> bool:
        """Whether values may be shown as live."""
        return self in (LinkState.OK, LinkState.LATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """The link state of one battery with what a person needs to know about it."""

    state: LinkState
    since: float | None = None
    """Wall clock, Unix seconds; None while the clock is not set."""
    error: str | None = None
    """`bms_data_error` for asleep, silent, noisy and unplugged: the word that owners know."""
    advice: str | None = None
    """One sentence on what to do; set in every offline state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one question to the BMS answered: accepted whole or not at all, with its own time."""

    name: str
    """The main quantity in it, such as `cell_voltages`."""
    at: float
    """Monotonic seconds at which its last byte arrived."""
    values: Mapping[str, Any]
    """Attributes of `BatteryState` by name."""
    max_age: float
    """Seconds after which its values count as unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryState:
    """The newest accepted blocks of one battery, joined, with what was derived from them.

    Which attributes are published, under which name and with which resolution, stands in `battery.quantities`.
    """

    battery: str
    """The battery's id in the configuration."""
    emulated: bool = False
    link: LinkStatus = field(default_factory=lambda: LinkStatus(state=LinkState.STARTING))
    time: float | None = None
    """Wall clock of the last accepted fast block, Unix seconds; None until the clock is set."""
    accepted_at: float | None = None
    """Monotonic seconds of the last accepted fast block; None before the first."""
    block_times: Mapping[str, float] = field(default_factory=lambda: NO_TIMES)
    """Monotonic seconds at which each block that is part of this state arrived."""

    voltage: float | None = None
    """V."""
    current: float | None = None
    """A, positive charging."""
    power: float | None = None
    """W, positive charging."""
    charge_power: float | None = None
    """W, never negative."""
    discharge_power: float | None = None
    """W, never negative."""
    soc: float | None = None
    """%, 0–100."""
    soh: float | None = None
    """%, 0–100."""
    remaining_capacity: float | None = None
    """Ah."""
    full_capacity: float | None = None
    """Ah that the battery holds now; where a BMS reports only a rated value it is that."""
    cycles: int | None = None
    cell_count: int | None = None
    cell_voltages: tuple[float | None, ...] = ()
    """V, cell 1 first."""
    cell_voltage_min: float | None = None
    """V."""
    cell_voltage_max: float | None = None
    """V."""
    cell_min_number: int | None = None
    """From 1."""
    cell_max_number: int | None = None
    """From 1."""
    cell_voltage_delta: float | None = None
    """V, highest minus lowest cell."""
    temperatures: tuple[Temperature, ...] = ()
    """°C."""
    charge_enabled: bool | None = None
    discharge_enabled: bool | None = None
    balancing: bool | None = None
    balancing_cells: tuple[int, ...] = ()
    """Numbers (from 1) of the cells that are being balanced."""
    alarms: tuple[Alarm, ...] = ()
    alarms_known: bool = False
    """Whether `alarms` is what the BMS said: an empty list alone cannot tell "none" from "unknown"."""
    device: DeviceInfo = field(default_factory=DeviceInfo)
