"""The public JSON object of a battery: the example of the interface, and what becomes of the unknown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bridge.battery.model import (
    Alarm,
    AlarmLevel,
    BatteryState,
    DeviceInfo,
    LinkState,
    LinkStatus,
    Temperature,
)
from bridge.documents.reading import link_document, reading_document, timestamp

EXAMPLE = json.loads("""
{"battery": "main", "time": "2026-11-21T02:00:00.123Z", "age": 0.2, "ages": {"cell_voltages": 0.4}, "link": "ok", "emulated": true,
 "voltage": 53.12, "current": -12.3, "power": -653.4, "charge_power": 0.0, "discharge_power": 653.4, "soc": 76.5, "soh": null,
 "remaining_capacity": 214.2, "full_capacity": 280.0, "cycles": 12,
 "cell_count": 16, "cell_voltages": [3.321, 3.319], "cell_voltage_min": 3.312, "cell_voltage_max": 3.329,
 "cell_min_number": 3, "cell_max_number": 7, "cell_voltage_delta": 0.017,
 "temperatures": [{"name": "cell_1", "value": 21.0}, {"name": "mosfet", "value": 24.0}],
 "charge_enabled": true, "discharge_enabled": true, "balancing": false, "balancing_cells": [],
 "alarms": [{"code": "cell_overvoltage", "level": "warning", "cell": null}],
 "device": {"manufacturer": "Daly", "model": null, "serial": null, "hardware": null, "firmware": null}}
""")  # noqa: E501 (the example as the interface prints it)
"""As the public interface shows it."""

STATE = BatteryState(
    battery="main", emulated=True, link=LinkStatus(state=LinkState.OK), time=1795226400.123, accepted_at=1000.0,
    block_times={"cell_voltages": 999.8},
    voltage=53.12, current=-12.3, power=-653.376, charge_power=0.0, discharge_power=653.376, soc=76.5,
    remaining_capacity=214.2, full_capacity=280.0, cycles=12, cell_count=16, cell_voltages=(3.321, 3.319),
    cell_voltage_min=3.312, cell_voltage_max=3.329, cell_min_number=3, cell_max_number=7,
    cell_voltage_delta=3.329 - 3.312,
    temperatures=(Temperature(name="cell_1", value=21.0), Temperature(name="mosfet", value=24.0)),
    charge_enabled=True, discharge_enabled=True, balancing=False,
    alarms=(Alarm(code="cell_overvoltage", level=AlarmLevel.WARNING, raw=0),), alarms_known=True,
    device=DeviceInfo(manufacturer="Daly"),
)  # fmt: skip
UNKNOWN = BatteryState(battery="main")


def test_reading_is_the_example_of_the_interface() -> None:
    document = reading_document(STATE, 1000.2)
    assert {key: document[key] for key in EXAMPLE} == EXAMPLE


def test_reading_survives_json_and_back() -> None:
    document = reading_document(STATE, 1000.2)
    assert json.loads(json.dumps(document)) == document


def test_unknown_is_null_and_unknown_lists_are_empty() -> None:
    document = reading_document(UNKNOWN, 1000.0)
    told: dict[str, object] = {"battery": "main", "link": "starting", "emulated": False}
    lists: dict[str, object] = {"cell_voltages": [], "temperatures": [], "balancing_cells": [], "alarms": []}
    device = dict.fromkeys(("manufacturer", "model", "serial", "hardware", "firmware"))
    nothing = {key: None for key in document if key not in told | lists and key not in ("ages", "device")}
    assert document == {**told, **lists, **nothing, "ages": {}, "device": device}
    assert set(EXAMPLE) <= set(document), "unknown keys are there, as null"


def test_unknown_cell_or_sensor_is_null_among_known_ones() -> None:
    state = replace(STATE, cell_voltages=(3.3, None), temperatures=(Temperature(name="sensor_1", value=None),))
    document = reading_document(state, 1000.0)
    assert document["cell_voltages"] == [3.3, None]
    assert document["temperatures"] == [{"name": "sensor_1", "value": None}]


@pytest.mark.parametrize(
    ("key", "value", "rounded"),
    [
        ("voltage", 53.1249, 53.12), ("current", -12.345678, -12.35), ("power", 653.376, 653.4), ("soc", 76.54, 76.5),
        ("remaining_capacity", 214.2004, 214.2), ("cell_voltage_min", 3.3124999, 3.312),
        ("cell_voltage_delta", 0.01699999999999946, 0.017), ("cycles", 12, 12), ("cell_count", 16, 16),
    ],
)  # fmt: skip
def test_numbers_are_rounded_to_the_resolution_of_the_wire(key: str, value: float, rounded: float) -> None:
    assert reading_document(replace(STATE, **{key: value}), 1000.0)[key] == rounded  # type: ignore[arg-type]


def test_cells_are_rounded_too() -> None:
    assert reading_document(replace(STATE, cell_voltages=(3.32149, 3.3)), 1000.0)["cell_voltages"] == [3.321, 3.3]


def test_ages_run_with_the_clock_and_the_time_does_not() -> None:
    before, after = reading_document(STATE, 1000.0), reading_document(STATE, 1060.04)
    assert (before["age"], after["age"], after["ages"]) == (0.0, 60.0, {"cell_voltages": 60.2})
    assert before["time"] == after["time"]


def test_time_is_null_until_the_clock_is_set_while_the_age_is_known() -> None:
    document = reading_document(replace(STATE, time=None), 1000.5)
    assert (document["time"], document["age"]) == (None, 0.5)


def test_offline_reading_says_why_and_what_to_do() -> None:
    link = LinkStatus(state=LinkState.SILENT, since=1795226400.0, error="bms_data_error", advice="Wake it.")
    document = reading_document(replace(UNKNOWN, link=link), 1000.0)
    assert (document["link"], document["error"], document["advice"]) == ("silent", "bms_data_error", "Wake it.")
    assert link_document(link) == {
        "link": "silent", "since": "2026-11-21T02:00:00.000Z", "error": "bms_data_error", "advice": "Wake it.",
    }  # fmt: skip


def test_online_reading_has_no_error_and_no_advice() -> None:
    assert not {"error", "advice"} & set(reading_document(STATE, 1000.0))


def test_no_alarm_is_told_apart_from_unknown_alarms() -> None:
    known = reading_document(replace(STATE, alarms=()), 1000.0)
    unknown = reading_document(replace(STATE, alarms=(), alarms_known=False), 1000.0)
    assert (known["alarms"], known["problem"]) == ([], False)
    assert (unknown["alarms"], unknown["problem"]) == ([], None)


def test_full_battery_is_no_problem() -> None:
    full = Alarm(code="soc_high", level=AlarmLevel.WARNING)
    assert reading_document(replace(STATE, alarms=(full,)), 1000.0)["problem"] is False
    assert reading_document(STATE, 1000.0)["problem"] is True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795226400.123, "2026-11-21T02:00:00.123Z"),
        (1795226399.9996, "2026-11-21T01:59:59.999Z"),
    ],
)
def test_time_is_utc_with_milliseconds(seconds: float | None, text: str | None) -> None:
    assert timestamp(seconds) == text
