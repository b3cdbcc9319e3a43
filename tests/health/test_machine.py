"""What the machine tells is read rightly; what it does not tell is None. The trees are small copies of real ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bridge.health.machine import Machine
from bridge.interfaces import Box


def machine(tmp_path: Path, files: Mapping[str, str] | None = None) -> Machine:
    """Make a machine whose `/proc` and `/sys` hold `files`."""
    root = tmp_path / "root"
    write(root, files or {})
    return Machine(data=tmp_path, root=root)


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")


def test_machine_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    silent = Machine(data=tmp_path / "missing", root=tmp_path / "root")
    silent.sample()

    box = silent.sample()

    assert box == Box(process_cpu=box.process_cpu)  # its own use it knows from the process clock


def test_own_use_is_the_process_time_since_the_last_sample(tmp_path: Path) -> None:
    now, used = iter([100.0, 110.0, 120.0]), iter([5.0, 5.5, 15.5])
    sampled = Machine(data=tmp_path, root=tmp_path, now=lambda: next(now), process_time=lambda: next(used))

    assert [sampled.sample().process_cpu for _ in range(3)] == [None, pytest.approx(5.0), pytest.approx(100.0)]


def test_total_use_counts_everything_but_idle_and_waiting_for_disks(tmp_path: Path) -> None:
    sampled = machine(tmp_path, {"proc/stat": "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"})
    first = sampled.sample().total_cpu
    # 100 ticks later: 20 user, 5 system, 60 idle, 10 waiting for disks, 5 interrupts (guest time is part of user).
    write(tmp_path / "root", {"proc/stat": "cpu  120 0 105 760 110 3 2 0 70 0\n"})

    assert first is None
    assert sampled.sample().total_cpu == pytest.approx(30.0)


def test_memory_is_the_resident_part_in_bytes(tmp_path: Path) -> None:
    sampled = machine(tmp_path, {"proc/self/statm": "20000 12345 2000 1 0 9000 0\n"})

    assert sampled.sample().memory == 12345 * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("kind", ["cpu-thermal", "x86_pkg_temp", "soc_thermal", "bcm2835_thermal"])
def test_temperature_is_that_of_the_processor(tmp_path: Path, kind: str) -> None:
    zones = "sys/class/thermal"
    sampled = machine(tmp_path, {
        f"{zones}/thermal_zone0/type": "iwlwifi_1\n", f"{zones}/thermal_zone0/temp": "71000\n",
        f"{zones}/thermal_zone1/type": f"{kind}\n", f"{zones}/thermal_zone1/temp": "54321\n",
    })  # fmt: skip

    assert sampled.sample().temperature == pytest.approx(54.321)


def test_hottest_part_of_the_processor_counts(tmp_path: Path) -> None:
    zones = "sys/class/thermal"
    sampled = machine(tmp_path, {
        f"{zones}/thermal_zone0/type": "cpu0-thermal\n", f"{zones}/thermal_zone0/temp": "50000\n",
        f"{zones}/thermal_zone1/type": "cpu1-thermal\n", f"{zones}/thermal_zone1/temp": "60000\n",
        f"{zones}/thermal_zone2/type": "cpu2-thermal\n", f"{zones}/thermal_zone2/temp": "\n",
    })  # fmt: skip

    assert sampled.sample().temperature == pytest.approx(60.0)


def test_temperature_comes_from_the_processors_sensor_where_there_is_no_zone(tmp_path: Path) -> None:
    sensors = "sys/class/hwmon"
    sampled = machine(tmp_path, {
        f"{sensors}/hwmon0/name": "nvme\n", f"{sensors}/hwmon0/temp1_input": "66000\n",
        f"{sensors}/hwmon1/name": "k10temp\n", f"{sensors}/hwmon1/temp1_input": "45250\n",
    })  # fmt: skip

    assert sampled.sample().temperature == pytest.approx(45.25)


def alarms() -> Iterator[tuple[str, dict[str, str], bool | None]]:
    sensor = "sys/class/hwmon/hwmon1"
    firmware = "sys/devices/platform/soc/soc:firmware/get_throttled"
    yield "driver: fine", {f"{sensor}/name": "rpi_volt\n", f"{sensor}/in0_lcrit_alarm": "0\n"}, False
    yield "driver: alarm", {f"{sensor}/name": "rpi_volt\n", f"{sensor}/in0_lcrit_alarm": "1\n"}, True
    yield "another sensor's alarm", {f"{sensor}/name": "nct6775\n", f"{sensor}/in0_lcrit_alarm": "1\n"}, None
    yield "firmware: fine", {firmware: "0\n"}, False
    yield "firmware: now", {firmware: "50005\n"}, True
    yield "firmware: since boot", {firmware: "50000\n"}, True
    yield "firmware: hot and throttled only", {firmware: "e0008\n"}, False


@pytest.mark.parametrize(("files", "expected"), [each[1:] for each in alarms()], ids=[each[0] for each in alarms()])
def test_under_voltage_is_what_a_raspberry_pi_tells(
    tmp_path: Path, files: dict[str, str], expected: bool | None
) -> None:
    assert machine(tmp_path, files).sample().under_voltage is expected


def test_under_voltage_is_remembered_after_the_driver_forgot_it(tmp_path: Path) -> None:
    sensor = "sys/class/hwmon/hwmon1"
    sampled = machine(tmp_path, {f"{sensor}/name": "rpi_volt\n", f"{sensor}/in0_lcrit_alarm": "1\n"})
    sampled.sample()
    write(tmp_path / "root", {f"{sensor}/in0_lcrit_alarm": "0\n"})

    assert sampled.sample().under_voltage is True


def test_free_disk_is_that_of_the_data_directory(tmp_path: Path) -> None:
    free = machine(tmp_path).sample().disk_free

    system = os.statvfs(tmp_path)
    assert free == pytest.approx(system.f_bavail * system.f_frsize, rel=0.05)


def test_this_machine_can_be_sampled(tmp_path: Path) -> None:
    real = Machine(data=tmp_path)
    real.sample()

    box = real.sample()

    assert box.memory is not None
    assert 1_000_000 < box.memory < 2_000_000_000
    assert box.total_cpu is None or 0 <= box.total_cpu <= 100
