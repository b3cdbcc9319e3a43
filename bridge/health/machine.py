"""What the machine tells of itself: processor, memory, temperature, supply voltage, disk.

Reads `/proc` and `/sys` below a root that tests replace. What a machine does not tell is None. Judges nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bridge.interfaces import Box

_PROCESSOR_ZONES = ("cpu", "soc", "bcm2835", "x86_pkg", "package")
"""Parts of the type of a thermal zone that belongs to the processor; others are Wi-Fi cards, disks, chargers …"""
_PROCESSOR_SENSORS = ("k10temp", "coretemp", "zenpower")
"""Names of the processor's own sensor where it has no thermal zone."""
_PI_VOLTAGE_SENSOR = "rpi_volt"
"""Linux driver `raspberrypi-hwmon`."""
_UNDER_VOLTAGE = 1 << 0 | 1 << 16
"""Raspberry Pi firmware, `get_throttled`: bit 0 under-voltage now, bit 16 since boot."""


class Machine:
    """Takes samples of the machine's health."""

    def __init__(
        self,
        *,
        data: Path,
        root: Path = Path("/"),
        now: Callable[[], float] = time.monotonic,
        process_time: Callable[[], float] = time.process_time,
    ) -> None:
        """`data` is the data directory, `root` where `proc` and `sys` are; the clocks give seconds."""
        self._data = data
        self._root = root
        self._now = now
        self._process_time = process_time
        self._process_before: tuple[float, float] | None = None
        self._total_before: tuple[int, int] | None = None
        self._had_under_voltage = False

    def sample(self) -> Box:
        """Measure all but the loop delay; the use of the processor is that since the last call. Blocks for a moment."""
        return Box(
            process_cpu=self._process_cpu(),
            total_cpu=self._total_cpu(),
            memory=self._memory(),
            under_voltage=self._under_voltage(),
            temperature=self._temperature(),
            disk_free=self._disk_free(),
        )

    def _process_cpu(self) -> float | None:
        used, now = self._process_time(), self._now()
        before, self._process_before = self._process_before, (used, now)
        if before is None or now <= before[1]:
            return None
        return 100 * (used - before[0]) / (now - before[1])

    def _total_cpu(self) -> float | None:
        text = _text(self._root / "proc/stat")
        try:
            # The line `cpu`: user nice system idle iowait irq softirq steal; the rest is counted in user already.
            ticks = [int(each) for each in text.splitlines()[0].split()[1:9]]
            idle, total = ticks[3] + ticks[4], sum(ticks)
        except (IndexError, ValueError):
            return None
        before, self._total_before = self._total_before, (idle, total)
        if before is None or total <= before[1]:
            return None
        return 100 * (1 - (idle - before[0]) / (total - before[1]))

    def _memory(self) -> int | None:
        try:
            return int(_text(self._root / "proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (IndexError, ValueError):
            return None

    def _temperature(self) -> float | None:
        milli_degrees = [value for value in self._temperatures() if value is not None]
        return max(milli_degrees) / 1000 if milli_degrees else None

    def _temperatures(self) -> Iterator[int | None]:
        for zone in (self._root / "sys/class/thermal").glob("thermal_zone*"):
            kind = _text(zone / "type").strip().lower()
            if any(part in kind for part in _PROCESSOR_ZONES):
                yield _number(zone / "temp")
        for sensor in (self._root / "sys/class/hwmon").glob("hwmon*"):
            if _text(sensor / "name").strip() in _PROCESSOR_SENSORS:
                yield _number(sensor / "temp1_input")

    def _under_voltage(self) -> bool | None:
        """Tell whether the supply is or was too low: reading the driver's flag clears it, so it is remembered here."""
        flags = [flag for flag in self._under_voltage_flags() if flag is not None]
        self._had_under_voltage = self._had_under_voltage or any(flags)
        return self._had_under_voltage if flags or self._had_under_voltage else None

    def _under_voltage_flags(self) -> Iterator[bool | None]:
        for sensor in (self._root / "sys/class/hwmon").glob("hwmon*"):
            if _text(sensor / "name").strip() == _PI_VOLTAGE_SENSOR:
                alarm = _number(sensor / "in0_lcrit_alarm")
                yield None if alarm is None else alarm != 0
        for throttled in (self._root / "sys/devices/platform").glob("soc*/*firmware/get_throttled"):
            bits = _number(throttled, base=16)
            yield None if bits is None else bits & _UNDER_VOLTAGE != 0

    def _disk_free(self) -> int | None:
        try:
            system = os.statvfs(self._data)
        except OSError:
            return None
        return system.f_bavail * system.f_frsize


def _text(path: Path) -> str:
    """Return what stands in a file of the kernel; nothing where there is none, or it cannot be read just now."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(path: Path, *, base: int = 10) -> int | None:
    try:
        return int(_text(path).strip(), base)
    except ValueError:
        return None
