"""The metrics document: pure, parsed with Prometheus' own reader."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.battery.model import Alarm, AlarmLevel, BatteryState, DeviceInfo, LinkState, LinkStatus, Temperature
from bridge.battery.quantities import QUANTITIES, Shape
from bridge.documents.metrics import Measured, metrics_text
from bridge.interfaces import Box, Health, LineStatistics, ServiceStatus
from tests.web.serving import IDENTITY, LINE, describe, live

HEALTH = Health(
    status="warn", uptime=60.0, restart_reason="boot", advice=(),
    box=Box(loop_delay_p99=0.06, process_cpu=1.5, memory=50_000_000, under_voltage=False),
    services=(ServiceStatus(name="mqtt", state="waiting", restarts=3),),
)

def write(*states: BatteryState, line: LineStatistics | None = LINE, now: float = 100.0) -> str:
    batteries = [Measured(description=describe(each.battery), state=each, line=line) for each in states]
    return metrics_text(batteries, health=HEALTH, identity=IDENTITY, now=now).decode()


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the values by sample name and by labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name} {labels} stands there twice"
            found[sample.name][labels] = sample.value
    return found


def labels(**named: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(named.items()))


MAIN = labels(battery="main")


def test_known_values_have_a_sample_and_unknown_ones_have_none() -> None:
    found = samples(write(live(soh=None, charge_enabled=True, discharge_enabled=None)))
    assert found["smartbms_battery_voltage_volts"] == {MAIN: 53.12}
    assert found["smartbms_battery_current_amperes"] == {MAIN: -12.3}
    assert found["smartbms_battery_charge_enabled"] == {MAIN: 1.0}
    assert found["smartbms_battery_balancing"] == {MAIN: 0.0}
    assert "smartbms_battery_state_of_health_percent" not in found
    assert "smartbms_battery_discharge_enabled" not in found


def test_offline_battery_has_no_measured_sample() -> None:
    state = BatteryState(battery="main", link=LinkStatus(state=LinkState.SILENT), accepted_at=90.0)
    found = samples(write(state))
    measured = {f"smartbms_battery_{each.metric}" for each in QUANTITIES}
    assert measured.isdisjoint(found)
    assert found["smartbms_battery_online"] == {MAIN: 0.0}
    assert found["smartbms_battery_age_seconds"] == {MAIN: 10.0}


def test_every_exported_quantity_appears() -> None:
    """A row of the table with a metric is exported without a further line of code."""
    values: dict[str, Any] = {
        each.key: True if each.shape is Shape.FLAG else 1 for each in QUANTITIES if each.shape is not Shape.LIST
    }
    found = samples(write(live(**values)))
    assert {f"smartbms_battery_{each.metric}" for each in QUANTITIES if each.metric} <= set(found)


def test_members_of_lists_are_told_apart() -> None:
    found = samples(write(live(
        cell_voltages=(3.321, None, 3.319),
        temperatures=(Temperature(name="cell_1", value=21.0), Temperature(name="mosfet", value=None)),
    )))
    assert found["smartbms_battery_cell_voltage_volts"] == {
        labels(battery="main", cell="1"): 3.321, labels(battery="main", cell="3"): 3.319,
    }
    assert found["smartbms_battery_temperature_celsius"] == {labels(battery="main", sensor="cell_1"): 21.0}


def test_alarms_of_the_same_meaning_are_one_sample() -> None:
    twice = Alarm(code="cell_overvoltage", level=AlarmLevel.WARNING)
    found = samples(write(live(alarms=(twice, twice, Alarm(code="soc_low", level=AlarmLevel.FAULT, cell=4)))))
    assert found["smartbms_battery_alarm_active"] == {
        labels(battery="main", code="cell_overvoltage", level="warning", cell=""): 1.0,
        labels(battery="main", code="soc_low", level="fault", cell="4"): 1.0,
    }


def test_values_have_the_resolution_of_the_wire() -> None:
    found = samples(write(live(voltage=53.1 + 0.2, cell_voltages=(3.3009999999999997,))))
    assert found["smartbms_battery_voltage_volts"] == {MAIN: 53.3}
    assert found["smartbms_battery_cell_voltage_volts"] == {labels(battery="main", cell="1"): 3.301}


def test_link_state_and_ages_are_told() -> None:
    found = samples(write(live(at=97.5)))
    states = found["smartbms_battery_link_state"]
    assert {dict(each)["state"] for each, value in states.items() if value == 1.0} == {"ok"}
    assert len(states) == 9
    assert found["smartbms_battery_age_seconds"] == {MAIN: 2.5}
    assert found["smartbms_battery_block_age_seconds"] == {labels(battery="main", block="voltage"): 2.5}


def test_line_is_counted_by_cause() -> None:
    found = samples(write(live()))
    assert found["smartbms_battery_questions_total"] == {MAIN: 12.0}
    assert found["smartbms_battery_refused_replies_total"] == {
        labels(battery="main", cause="checksum"): 2.0, labels(battery="main", cause="timeout"): 1.0,
    }
    assert found["smartbms_battery_cycle_seconds"] == {MAIN: 0.25}
    assert "smartbms_battery_questions_total" not in samples(write(live(), line=None))


def test_bridge_tells_of_itself() -> None:
    found = samples(write())
    assert found["smartbms_info"] == {labels(bridge="smartbms", uid="0a1b2c3d", version="9.8.7"): 1.0}
    assert found["smartbms_health"] == {
        labels(status="ok"): 0.0, labels(status="warn"): 1.0, labels(status="bad"): 0.0,
    }
    assert found["smartbms_loop_delay_p99_seconds"] == {(): 0.06}
    assert found["smartbms_box_under_voltage"] == {(): 0.0}
    assert found["smartbms_service_running"] == {labels(service="mqtt"): 0.0}
    assert found["smartbms_service_restarts_total"] == {labels(service="mqtt"): 3.0}
    assert "smartbms_box_temperature_celsius" not in found


def test_hostile_texts_of_a_bms_are_escaped() -> None:
    device = DeviceInfo(manufacturer='Ev"il\\\n# HELP forged x', model="<b>")
    found = samples(write(live(device=device)))
    ((known, value),) = found["smartbms_battery_info"].items()
    assert dict(known)["manufacturer"] == 'Ev"il\\\n# HELP forged x'
    assert value == 1.0


@pytest.mark.parametrize("name", sorted(samples(write(live()))))
def test_names_follow_the_conventions(name: str) -> None:
    assert re.fullmatch(r"smartbms_[a-z0-9]+(_[a-z0-9]+)*", name)
    assert not re.search(r"_(ms|milliseconds|minutes|mv|kwh|mah|count|sum|bucket)$", name)


@pytest.mark.needs("promtool")
def test_linter_of_prometheus_has_nothing_to_say() -> None:
    text = write(live(soh=99.0, remaining_capacity=214.2, full_capacity=280.0, charge_power=0.0, discharge_power=653.4))
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, text=True)
    assert run.stderr == ""
