"""A believable battery pack with its management system: cells, heat, balancing, coulomb counting, protections, sleep.

Pure: time and the wanted current come in through `advance`, randomness through the seed; snapshots are frozen. The
same design and the same calls give the same snapshots. Knows nothing of protocols, loads over the day, or faults on the
line.

Each cell is an open-circuit voltage behind a resistance and one R-C pair (the Thevenin model of the textbooks); the
pack is one thermal mass that loses heat to its surroundings.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bridge.battery.model import Alarm, DeviceInfo, Temperature
from bridge.emulator.chemistry import CHEMISTRIES, Chemistry
from bridge.emulator.protection import Forbids, Protections, Rule

_LONGEST_STEP = 10.0
"""s; longer times are taken in pieces so that protections act in time."""
_POLARISATION_TIME = 40.0
"""s, time constant of the R-C pair."""
_POLARISATION_SHARE = 0.6
"""Resistance of the R-C pair per ohmic resistance."""
_COOLING_TIME = 4 * 3600.0
"""s, time constant with which the pack takes on the temperature around it."""
_MOSFET_TIME = 120.0
_MOSFET_RISE = 30.0
"""K above the surroundings that the switches reach at the greatest current."""
_SHUNT = 100
"""Of the current measurement, in thousandths of a milliohm, as management systems tell it."""
_DEAD_BAND = 0.2
"""A below which the management system measures no current."""
_BLEED_RATE = 3e-4
"""Balancing current per capacity, 1/h: 84 mA at 280 Ah."""
_FULL_CURRENT = 0.03
"""Charging current per capacity below which a pack at its charge voltage counts as full, 1/h."""
_RESYNC_RATE = 0.001
"""Share of the capacity per second by which the coulomb counter moves towards full or empty once that is certain."""
_OVERCURRENT_HOLD = 30.0
"""s for which too great a current switches off: it is within its limit at once then."""
_CHARGE, _DISCHARGE = Forbids.CHARGE, Forbids.DISCHARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDesign:
    """What pack is built, and in which state."""

    cells: int = 16
    capacity: float = 280.0
    """Ah."""
    chemistry: str = "lfp"
    soc: float = 72.0
    """% at the start."""
    ambient: float = 21.0
    """°C around the pack, and of the pack at the start."""
    sensors: tuple[str, ...] = ("sensor_1", "sensor_2")
    """Names of the temperature sensors in the order of the wire; `mosfet` and `ambient` measure those,
    all others cells."""
    cycles: int = 12
    discharged_before: float = 3360.0
    """Ah drawn since the pack was made."""
    charge_rate: float = 0.5
    """Greatest charging current per capacity before a protection trips, 1/h."""
    discharge_rate: float = 1.0
    """Greatest discharging current per capacity before a protection trips, 1/h."""
    sleep_after: float = 3600.0
    """s without current and without a question after which the management system sleeps."""
    production_date: dt.date = dt.date(2024, 3, 18)
    device: DeviceInfo = field(default_factory=DeviceInfo)
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the management system measured at one moment; consistent within itself."""

    voltage: float
    """V, exactly the sum of the cells."""
    current: float
    """A, positive charging."""
    soc: float
    """%."""
    remaining_capacity: float
    """Ah."""
    full_capacity: float
    """Ah."""
    cycles: int
    cell_voltages: tuple[float, ...]
    """V in whole millivolts, cell 1 first."""
    temperatures: tuple[Temperature, ...]
    charge_enabled: bool
    discharge_enabled: bool
    balancing_cells: tuple[int, ...]
    alarms: tuple[Alarm, ...]
    constants: Mapping[str, Any]
    """What never changes: device, rated values, thresholds."""
    charging_state: str
    """`idle`, `charging` or `discharging`."""
    charger_connected: bool
    load_connected: bool
    heartbeat: int
    """Counts measurements, 0 to 255."""
    charged_total: float
    """Ah since the pack was made."""
    discharged_total: float
    """Ah since the pack was made."""

    def values(self) -> dict[str, Any]:
        """Return everything by name: attributes of `BatteryState`, and what else management systems tell."""
        cells = self.cell_voltages
        low, high = min(cells), max(cells)
        warmth = [each.value for each in self.temperatures if each.value is not None]
        cold, hot = min(warmth, default=None), max(warmth, default=None)
        return {
            **self.constants,
            "voltage": self.voltage, "current": self.current, "soc": self.soc,
            "remaining_capacity": self.remaining_capacity, "full_capacity": self.full_capacity, "cycles": self.cycles,
            "cell_voltages": cells, "cell_voltage_min": low, "cell_voltage_max": high,
            "cell_min_number": cells.index(low) + 1, "cell_max_number": cells.index(high) + 1,
            "cell_voltage_delta": round(high - low, 3),
            "temperatures": self.temperatures, "temperature_min": cold, "temperature_max": hot,
            "temperature_min_sensor": 0 if cold is None else warmth.index(cold) + 1,
            "temperature_max_sensor": 0 if hot is None else warmth.index(hot) + 1,
            "charge_enabled": self.charge_enabled, "discharge_enabled": self.discharge_enabled,
            "balancing": bool(self.balancing_cells), "balancing_cells": self.balancing_cells,
            "alarms": self.alarms, "alarms_known": True,
            "charging_state": self.charging_state,
            "charger_connected": self.charger_connected, "load_connected": self.load_connected,
            "heartbeat": self.heartbeat,
            "charged_total": self.charged_total, "discharged_total": self.discharged_total,
        }


def protection_rules(design: PackDesign, chemistry: Chemistry) -> tuple[Rule, ...]:
    """Return what the management system of such a pack watches."""
    levels, cells = chemistry.levels, design.cells
    charge, discharge = design.charge_rate * design.capacity, design.discharge_rate * design.capacity

    pack_margin = 0.02 * cells
    rows: tuple[tuple[str, str, float, float, float, Forbids], ...] = (
        # code, measure, warning, protection, release, what a trip switches off
        ("cell_overvoltage", "cell_max", levels.high_warning, levels.high_protection, levels.high_release, _CHARGE),
        ("cell_undervoltage", "cell_min", levels.low_warning, levels.low_protection, levels.low_release, _DISCHARGE),
        ("pack_overvoltage", "pack", levels.high_warning * cells - pack_margin,
         levels.high_protection * cells - pack_margin, levels.high_release * cells, _CHARGE),
        ("pack_undervoltage", "pack", levels.low_warning * cells + pack_margin,
         levels.low_protection * cells + pack_margin, levels.low_release * cells, _DISCHARGE),
        ("charge_overcurrent", "charge_current", 0.9 * charge, charge, 0.05 * charge, _CHARGE),
        ("discharge_overcurrent", "discharge_current", 0.9 * discharge, discharge, 0.05 * discharge, _DISCHARGE),
        ("charge_overtemperature", "hottest", 50.0, 55.0, 3.0, _CHARGE),
        ("charge_undertemperature", "coldest", 3.0, 0.0, 2.0, _CHARGE),
        ("discharge_overtemperature", "hottest", 60.0, 65.0, 3.0, _DISCHARGE),
        ("discharge_undertemperature", "coldest", -10.0, -20.0, 3.0, _DISCHARGE),
        ("mosfet_overtemperature", "mosfet", 80.0, 95.0, 10.0, Forbids.BOTH),
        ("soc_low", "soc", 10.0, 5.0, 2.0, Forbids.NOTHING),
        ("cell_imbalance", "cell_delta", 0.3, 0.5, 0.05, Forbids.NOTHING),
        ("temperature_imbalance", "temperature_delta", 12.0, 18.0, 2.0, Forbids.NOTHING),
    )  # fmt: skip
    return tuple(
        Rule(code=code, measure=measure, warning=warning, protection=protection, release=release, forbids=forbids,
             hold=_OVERCURRENT_HOLD if code.endswith("overcurrent") else 0.0)
        for code, measure, warning, protection, release, forbids in rows
    )  # fmt: skip


class Pack:
    """One pack. `advance` lets time pass, `measure` gives what the management system would say now."""

    def __init__(self, design: PackDesign) -> None:
        self.design = design
        self.chemistry = CHEMISTRIES[design.chemistry]
        self._random = random.Random(f"pack {design.seed}")
        self._build_cells()
        self._ambient = self._temperature = design.ambient
        self._mosfet_rise = 0.0
        self._sensor_offsets = tuple(self._random.uniform(-0.7, 0.7) for _ in design.sensors)
        self._counted = design.capacity * design.soc / 100
        self._charged = 0.0
        self._discharged = 0.0
        self._heartbeat = 0
        self._quiet = 0.0
        self._balancing: frozenset[int] = frozenset()
        self._rules = protection_rules(design, self.chemistry)
        self._protections = Protections(self._rules)
        self._wanted = self._current = 0.0
        self._settle()
        self._constants = MappingProxyType(self._describe())

    def _build_cells(self) -> None:
        """Give each cell its own capacity, resistance and charge; one is a little weaker than its neighbours."""
        design, chance = self.design, self._random
        weak = chance.randrange(design.cells)
        self._capacity = [design.capacity * chance.uniform(1.000, 1.015) for _ in range(design.cells)]
        self._capacity[weak] = design.capacity * 0.995
        plain = self.chemistry.resistance / design.capacity
        self._resistance = [plain * chance.uniform(0.93, 1.07) for _ in range(design.cells)]
        self._resistance[weak] *= 1.15
        self._charge_spread = [chance.uniform(-0.004, 0.004) for _ in range(design.cells)]
        self._charge = self._charges(design.soc)
        self._polarisation = [0.0] * design.cells

    def _charges(self, soc: float) -> list[float]:
        return [(soc / 100 + spread) * capacity
                for spread, capacity in zip(self._charge_spread, self._capacity, strict=True)]

    def _describe(self) -> dict[str, Any]:
        design = self.design
        made = design.production_date
        return {
            "cell_count": design.cells, "temperature_count": len(design.sensors),
            "boards": 1, "board_cells": (design.cells, 0, 0), "board_sensors": (len(design.sensors), 0, 0),
            "device": design.device, "device_serial": design.device.serial, "device_firmware": design.device.firmware,
            "rated_capacity": design.capacity, "nominal_cell_voltage": self.chemistry.nominal_voltage,
            "production_date": (made.year % 100, made.month, made.day), "sleep_after": design.sleep_after,
            **{f"{rule.code}_limits": (rule.warning, rule.protection) for rule in self._rules},
            "balance_start": self.chemistry.levels.balance_start,
            "balance_difference": self.chemistry.levels.balance_difference,
            "short_circuit_current": 3 * design.discharge_rate * design.capacity, "shunt": _SHUNT,
        }

    # --- what may be set from outside ---

    def set_soc(self, soc: float) -> None:
        """Put the cells and the counter at `soc` %, rested."""
        self._charge = self._charges(soc)
        self._polarisation = [0.0] * self.design.cells
        self._counted = self.design.capacity * soc / 100
        self._settle()

    def set_temperature(self, temperature: float) -> None:
        """Put the pack and its surroundings at `temperature` °C."""
        self._ambient = self._temperature = temperature

    def note_question(self) -> None:
        """Say that somebody asked the management system, which keeps it awake."""
        self._quiet = 0.0

    @property
    def is_asleep(self) -> bool:
        """Whether the management system sleeps; current wakes it."""
        return self._quiet >= self.design.sleep_after

    @property
    def soc(self) -> float:
        """% by the management system's own counting."""
        return 100 * self._counted / self.design.capacity

    @property
    def charge(self) -> float:
        """Ah really in the cells, their mean."""
        return sum(self._charge) / self.design.cells

    def current_for(self, cell_voltage: float) -> float:
        """Return the current at which the first cell would be at `cell_voltage` now, A: how chargers taper off."""
        return min(
            (cell_voltage - rested - polarisation) / resistance
            for rested, polarisation, resistance in zip(
                self._rested(), self._polarisation, self._resistance, strict=True)
        )  # fmt: skip

    # --- time ---

    def advance(self, seconds: float, wanted_current: float) -> None:
        """Let `seconds` pass while charger and loads want `wanted_current` A (positive charging)."""
        self._wanted = wanted_current
        self._settle()
        while seconds > 0:
            step = min(seconds, _LONGEST_STEP)
            self._flow(step)
            self._settle()
            if self._protections.update(step, self._measures()):
                self._settle()
            seconds -= step

    def _settle(self) -> None:
        """Set current and cell voltages as they are at once with the present switches and charges."""
        wanted, protections = self._wanted, self._protections
        is_blocked = protections.forbids_charge if wanted > 0 else protections.forbids_discharge
        current = self._current = 0.0 if is_blocked else wanted
        self._voltage = [
            rested + polarisation + current * resistance
            for rested, polarisation, resistance in zip(
                self._rested(), self._polarisation, self._resistance, strict=True)
        ]  # fmt: skip

    def _rested(self) -> list[float]:
        """Return what each cell's voltage would be after a long rest."""
        return self.chemistry.open_circuit_voltages(
            charge / capacity for charge, capacity in zip(self._charge, self._capacity, strict=True)
        )

    def _flow(self, seconds: float) -> None:
        """Let the present current flow for `seconds`."""
        current, design = self._current, self.design
        moved = current * seconds / 3600
        if self._balancing:
            bled = _BLEED_RATE * design.capacity * seconds / 3600
            for index in self._balancing:
                self._charge[index] -= bled
        self._charge = [charge + moved for charge in self._charge]
        keep = math.exp(-seconds / _POLARISATION_TIME)
        driving = current * _POLARISATION_SHARE * (1 - keep)
        self._polarisation = [
            polarisation * keep + driving * resistance
            for polarisation, resistance in zip(self._polarisation, self._resistance, strict=True)
        ]
        self._charged += max(moved, 0.0)
        self._discharged += max(-moved, 0.0)
        self._count(moved, seconds)
        self._warm(seconds)
        self._quiet = self._quiet + seconds if abs(current) < _DEAD_BAND else 0.0
        self._balance()

    def _count(self, moved: float, seconds: float) -> None:
        """Count coulombs as the management system does; move towards full or empty where the cells leave no doubt."""
        full = self.design.capacity
        drift = _RESYNC_RATE * full * seconds
        counted = self._counted + moved
        is_tapering = 0 < self._current < _FULL_CURRENT * full
        if is_tapering and max(self._voltage) >= self.chemistry.charge_voltage - 0.02:
            counted += drift
        elif min(self._voltage) <= self.chemistry.levels.low_protection:
            counted -= drift
        self._counted = min(max(counted, 0.0), full)

    def _warm(self, seconds: float) -> None:
        design, current = self.design, self._current
        lost = current * current * sum(self._resistance) * (1 + _POLARISATION_SHARE)
        heat_capacity = self.chemistry.heat_capacity * design.capacity * design.cells
        final = self._ambient + lost * _COOLING_TIME / heat_capacity
        self._temperature = final + (self._temperature - final) * math.exp(-seconds / _COOLING_TIME)
        share = current / (design.discharge_rate * design.capacity)
        rise = _MOSFET_RISE * share * share
        self._mosfet_rise = rise + (self._mosfet_rise - rise) * math.exp(-seconds / _MOSFET_TIME)

    def _balance(self) -> None:
        levels, voltages = self.chemistry.levels, self._voltage
        if max(voltages) < levels.balance_start:
            self._balancing = frozenset()
            return
        floor = max(min(voltages) + levels.balance_difference, levels.balance_start)
        self._balancing = frozenset(index for index, voltage in enumerate(voltages) if voltage > floor)

    # --- what the management system says ---

    def measure(self) -> Snapshot:
        """Measure: the noise of a real converter included."""
        design, noise = self.design, self._random.random
        cells = tuple(round(voltage + (noise() - 0.5) * 0.0012, 3) for voltage in self._voltage)
        current = 0.0
        if abs(self._current) >= _DEAD_BAND:
            current = round(self._current * (1 + (noise() - 0.5) * 0.004), 2)
        self._heartbeat = (self._heartbeat + 1) % 256
        protections = self._protections
        extremes = {"cell_max": cells.index(max(cells)) + 1, "cell_min": cells.index(min(cells)) + 1}
        return Snapshot(
            voltage=round(sum(cells), 3), current=current, soc=self.soc,
            remaining_capacity=self._counted, full_capacity=design.capacity,
            cycles=design.cycles + int(self._discharged // design.capacity),
            cell_voltages=cells, temperatures=self._temperatures(),
            charge_enabled=not protections.forbids_charge, discharge_enabled=not protections.forbids_discharge,
            balancing_cells=tuple(sorted(index + 1 for index in self._balancing)),
            alarms=protections.alarms(extremes),
            constants=self._constants,
            charging_state="charging" if current > 0 else "discharging" if current < 0 else "idle",
            charger_connected=self._wanted > 0, load_connected=self._wanted < 0,
            heartbeat=self._heartbeat,
            charged_total=design.discharged_before + self._charged,
            discharged_total=design.discharged_before + self._discharged,
        )

    def _temperatures(self) -> tuple[Temperature, ...]:
        special = {"mosfet": self._ambient + self._mosfet_rise, "ambient": self._ambient}
        return tuple(
            Temperature(name=name, value=round(special.get(name, self._temperature + offset), 1))
            for name, offset in zip(self.design.sensors, self._sensor_offsets, strict=True)
        )

    def _measures(self) -> dict[str, float]:
        """Return what the protections watch."""
        high, low, current = max(self._voltage), min(self._voltage), self._current
        offsets = self._sensor_offsets or (0.0,)
        return {
            "cell_max": high, "cell_min": low, "cell_delta": high - low, "pack": sum(self._voltage),
            "charge_current": max(current, 0.0), "discharge_current": max(-current, 0.0),
            "hottest": self._temperature + max(offsets), "coldest": self._temperature + min(offsets),
            "temperature_delta": max(offsets) - min(offsets),
            "mosfet": self._ambient + self._mosfet_rise, "soc": self.soc,
        }
