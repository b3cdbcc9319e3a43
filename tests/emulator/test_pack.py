"""The laws of the emulated pack."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.battery.model import Alarm, AlarmLevel, DeviceInfo
from bridge.emulator.pack import Pack, PackDesign, Snapshot

CHEMISTRIES = ("lfp", "nmc", "lto")


def run(pack: Pack, seconds: float, current: float, step: float = 1.0) -> Snapshot:
    """Let time pass in steps and return what is measured at the end."""
    for _ in range(round(seconds / step)):
        pack.advance(step, current)
    return pack.measure()


def level_of(snapshot: Snapshot, code: str) -> AlarmLevel | None:
    return next((alarm.level for alarm in snapshot.alarms if alarm.code == code), None)


# --- charge -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_coulombs_are_conserved(chemistry: str) -> None:
    pack = Pack(PackDesign(chemistry=chemistry, capacity=100.0, soc=50.0))
    before = pack.charge

    run(pack, 3600, -20.0)
    snapshot = run(pack, 1800, 10.0)

    # 1 h of 20 A out and half an hour of 10 A in: 15 Ah less, by the cells and by the counter
    assert pack.charge - before == pytest.approx(-15.0, abs=1e-6)
    assert snapshot.remaining_capacity == pytest.approx(35.0, abs=1e-6)
    assert snapshot.soc == pytest.approx(35.0, abs=1e-6)
    assert snapshot.discharged_total - PackDesign().discharged_before == pytest.approx(20.0, abs=1e-6)
    assert snapshot.charged_total - PackDesign().discharged_before == pytest.approx(5.0, abs=1e-6)


def test_length_of_the_steps_does_not_matter() -> None:
    fine, coarse = Pack(PackDesign()), Pack(PackDesign())

    few = run(coarse, 1800, -60.0, step=600.0)
    many = run(fine, 1800, -60.0, step=0.5)

    assert few.soc == pytest.approx(many.soc, abs=1e-6)
    assert few.voltage == pytest.approx(many.voltage, abs=0.02)
    assert few.temperatures[0].value == pytest.approx(many.temperatures[0].value, abs=0.15)


@settings(max_examples=40, deadline=None)
@given(
    soc=st.floats(0, 100),
    chemistry=st.sampled_from(CHEMISTRIES),
    currents=st.lists(st.floats(-400, 400), min_size=1, max_size=6),
)
def test_state_of_charge_stays_between_empty_and_full(soc: float, chemistry: str, currents: list[float]) -> None:
    pack = Pack(PackDesign(soc=soc, chemistry=chemistry, cells=4))

    for current in currents:
        snapshot = run(pack, 7200, current, step=600.0)
        assert 0 <= snapshot.soc <= 100
        assert 0 <= snapshot.remaining_capacity <= snapshot.full_capacity


@pytest.mark.parametrize(("chemistry", "low", "high"), [("lfp", 2.5, 3.65), ("nmc", 2.8, 4.2), ("lto", 1.5, 2.75)])
def test_protections_keep_the_cells_within_the_chemistry(chemistry: str, low: float, high: float) -> None:
    for current in (-120.0, 120.0):
        pack = Pack(PackDesign(chemistry=chemistry, soc=50.0))
        seen = [voltage for _ in range(300) for voltage in run(pack, 20, current).cell_voltages]
        assert low - 0.1 < min(seen)
        assert max(seen) < high + 0.1


def test_counter_moves_to_full_when_the_charger_tapers_off() -> None:
    pack = Pack(PackDesign(soc=97.0, capacity=100.0))
    begin = pack.measure().charged_total

    for _ in range(3600):
        pack.advance(1.0, min(20.0, pack.current_for(pack.chemistry.charge_voltage)))
    snapshot = pack.measure()

    assert snapshot.soc == 100.0
    # the highest cell was full before 3 Ah had gone in: the counter was put right, not just filled up
    assert 2.0 < snapshot.charged_total - begin < 2.95


# --- voltage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_voltage_falls_under_load_and_recovers(chemistry: str) -> None:
    pack = Pack(PackDesign(chemistry=chemistry, soc=60.0))
    rest = run(pack, 10, 0.0).voltage

    at_once = run(pack, 1, -100.0).voltage
    later = run(pack, 120, -100.0).voltage
    freed = run(pack, 1, 0.0).voltage
    rested = run(pack, 600, 0.0).voltage

    assert at_once < rest - 0.05
    assert later < at_once
    assert later < freed < rested < rest


def test_charging_raises_the_voltage() -> None:
    pack = Pack(PackDesign(soc=50.0))
    rest = run(pack, 10, 0.0).voltage

    assert run(pack, 1, 100.0).voltage > rest + 0.3


def test_pack_voltage_is_the_sum_of_the_cells_in_every_snapshot() -> None:
    pack = Pack(PackDesign())

    for current in (0.0, -80.0, 33.3, -5.0):
        snapshot = run(pack, 7, current)
        assert snapshot.voltage == pytest.approx(sum(snapshot.cell_voltages), abs=1e-9)


def test_values_of_a_snapshot_agree_with_each_other() -> None:
    pack = Pack(PackDesign(device=DeviceInfo(manufacturer="Daly", serial="S")))

    values = run(pack, 30, -50.0).values()

    cells = values["cell_voltages"]
    assert values["cell_count"] == len(cells) == 16
    assert values["cell_voltage_max"] == max(cells) == cells[values["cell_max_number"] - 1]
    assert values["cell_voltage_min"] == min(cells) == cells[values["cell_min_number"] - 1]
    assert values["soc"] == pytest.approx(100 * values["remaining_capacity"] / values["full_capacity"])
    assert values["charging_state"] == "discharging"
    assert values["load_connected"] is True
    assert values["charger_connected"] is False
    warm = [each.value for each in values["temperatures"]]
    assert (values["temperature_min"], values["temperature_max"]) == (min(warm), max(warm))
    assert values["device_serial"] == "S"


def test_cells_differ_a_little_and_more_under_load() -> None:
    pack = Pack(PackDesign(soc=50.0))

    def spread(snapshot: Snapshot) -> float:
        return max(snapshot.cell_voltages) - min(snapshot.cell_voltages)

    at_rest = spread(run(pack, 60, 0.0))
    under_load = spread(run(pack, 60, -200.0))
    assert 0 < at_rest < 0.02
    assert at_rest < under_load < 0.1


def test_current_for_a_cell_voltage_brings_the_first_cell_there() -> None:
    pack = Pack(PackDesign(soc=95.0))
    run(pack, 60, 20.0)

    pack.advance(0.0, pack.current_for(3.5))

    assert max(pack.measure().cell_voltages) == pytest.approx(3.5, abs=0.002)


# --- heat -------------------------------------------------------------------------------------------------------------


def test_load_warms_the_pack_and_rest_cools_it() -> None:
    pack = Pack(PackDesign(ambient=20.0, sensors=("cell_1", "mosfet", "ambient")))
    cold = run(pack, 10, 0.0)

    warm = run(pack, 3600, -150.0, step=10.0)
    rested = run(pack, 36_000, 0.0, step=10.0)

    def value(snapshot: Snapshot, name: str) -> float:
        return next(each.value for each in snapshot.temperatures if each.name == name and each.value is not None)

    assert value(warm, "cell_1") > value(cold, "cell_1") + 1
    assert value(warm, "mosfet") > value(cold, "mosfet") + 5
    assert value(rested, "cell_1") < value(warm, "cell_1") - 1
    assert value(warm, "ambient") == value(rested, "ambient") == 20.0


# --- balancing --------------------------------------------------------------------------------------------------------


def test_balancing_takes_from_the_highest_cells_only_when_nearly_full() -> None:
    pack = Pack(PackDesign(soc=50.0))
    assert run(pack, 10, 5.0).balancing_cells == ()

    pack.set_soc(100.0)
    snapshot = run(pack, 10, 1.0)

    assert snapshot.balancing_cells
    assert snapshot.values()["balancing"] is True
    floor = min(snapshot.cell_voltages)
    for number in snapshot.balancing_cells:
        assert snapshot.cell_voltages[number - 1] > floor + 0.005
    assert snapshot.cell_voltages.index(floor) + 1 not in snapshot.balancing_cells


def test_balancing_brings_the_cells_together() -> None:
    pack = Pack(PackDesign(soc=99.9, capacity=20.0))

    def spread(snapshot: Snapshot) -> float:
        return max(snapshot.cell_voltages) - min(snapshot.cell_voltages)

    begin = spread(run(pack, 10, 0.0))
    end = spread(run(pack, 24 * 3600, 0.0, step=10.0))

    assert begin > 0.03
    assert end < begin / 2


# --- protections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_overcharged_cell_warns_then_trips_then_lets_go_with_hysteresis(chemistry: str) -> None:
    pack = Pack(PackDesign(chemistry=chemistry, soc=98.0, charge_rate=0.5))
    levels = pack.chemistry.levels
    snapshot = pack.measure()
    seen = [level_of(snapshot, "cell_overvoltage")]
    while seen[-1] is not AlarmLevel.PROTECTION:
        snapshot = run(pack, 1, 40.0)
        seen.append(level_of(snapshot, "cell_overvoltage"))
        assert len(seen) < 7200
    assert list(dict.fromkeys(seen)) == [None, AlarmLevel.WARNING, AlarmLevel.PROTECTION]
    assert snapshot.charge_enabled is False
    assert snapshot.discharge_enabled is True
    assert snapshot.current == 0.0

    highest = levels.high_protection
    while level_of(snapshot, "cell_overvoltage") is AlarmLevel.PROTECTION:
        highest = max(snapshot.cell_voltages)
        assert snapshot.charge_enabled is False
        snapshot = run(pack, 1, -20.0)

    assert highest < levels.high_protection
    assert max(snapshot.cell_voltages) <= levels.high_protection - levels.high_release + 0.002
    assert snapshot.charge_enabled is True


def test_tripped_pack_still_takes_the_other_direction() -> None:
    pack = Pack(PackDesign(soc=100.0))
    while pack.measure().charge_enabled:
        pack.advance(1.0, 60.0)

    assert run(pack, 1, 60.0).current == 0.0
    assert run(pack, 1, -60.0).current == pytest.approx(-60.0, rel=0.01)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_empty_cell_switches_discharging_off_until_it_is_charged(chemistry: str) -> None:
    pack = Pack(PackDesign(chemistry=chemistry, soc=3.0))
    for _ in range(4 * 3600):
        pack.advance(1.0, -50.0)
        if not pack.measure().discharge_enabled:
            break
    snapshot = pack.measure()
    assert level_of(snapshot, "cell_undervoltage") is AlarmLevel.PROTECTION
    assert snapshot.discharge_enabled is False
    assert snapshot.charge_enabled is True

    charged = run(pack, 3600, 60.0)

    assert charged.discharge_enabled is True
    assert charged.current == pytest.approx(60.0, rel=0.01)


def test_blip_of_overcurrent_does_not_trip_and_a_lasting_one_does() -> None:
    pack = Pack(PackDesign(capacity=100.0, discharge_rate=1.0))

    blip = run(pack, 1, -130.0)
    assert blip.discharge_enabled is True
    run(pack, 5, 0.0)

    lasting = run(pack, 4, -130.0)
    assert lasting.discharge_enabled is False
    assert lasting.current == 0.0
    assert Alarm(code="discharge_overcurrent", level=AlarmLevel.PROTECTION) in lasting.alarms


def test_overcurrent_lets_go_after_half_a_minute() -> None:
    pack = Pack(PackDesign(capacity=100.0, discharge_rate=1.0))
    run(pack, 4, -130.0)

    assert run(pack, 25, 0.0).discharge_enabled is False
    assert run(pack, 10, 0.0).discharge_enabled is True
    assert run(pack, 1, 0.0).alarms == ()


def test_overcurrent_warns_below_the_limit() -> None:
    pack = Pack(PackDesign(capacity=100.0, charge_rate=0.5, soc=30.0))

    snapshot = run(pack, 5, 47.0)

    assert level_of(snapshot, "charge_overcurrent") is AlarmLevel.WARNING
    assert snapshot.charge_enabled is True


def test_frozen_pack_may_not_be_charged_but_discharged() -> None:
    pack = Pack(PackDesign())
    pack.set_temperature(-5.0)

    snapshot = run(pack, 10, 30.0)
    assert snapshot.charge_enabled is False
    assert snapshot.discharge_enabled is True
    assert snapshot.current == 0.0
    assert level_of(snapshot, "charge_undertemperature") is AlarmLevel.PROTECTION

    pack.set_temperature(20.0)
    assert run(pack, 10, 30.0).charge_enabled is True


def test_hot_pack_is_switched_off_both_ways() -> None:
    pack = Pack(PackDesign())
    pack.set_temperature(70.0)

    snapshot = run(pack, 10, 0.0)

    assert (snapshot.charge_enabled, snapshot.discharge_enabled) == (False, False)


def test_healthy_pack_has_no_alarms() -> None:
    assert run(Pack(PackDesign()), 600, -30.0).alarms == ()


def test_low_state_of_charge_is_told() -> None:
    pack = Pack(PackDesign(soc=9.0))

    assert level_of(run(pack, 5, -1.0), "soc_low") is AlarmLevel.WARNING


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_pack_and_another_seed_another() -> None:
    def story(seed: int) -> list[Snapshot]:
        pack = Pack(PackDesign(seed=seed))
        return [run(pack, 10, current) for current in (-30.0, 0.0, 50.0)]

    assert story(7) == story(7)
    assert story(7)[0].cell_voltages != story(8)[0].cell_voltages


def test_snapshot_cannot_be_changed() -> None:
    snapshot = Pack(PackDesign()).measure()

    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.voltage = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.constants["cell_count"] = 1  # type: ignore[index]


def test_small_currents_read_as_none_at_all() -> None:
    snapshot = run(Pack(PackDesign()), 5, 0.1)

    assert snapshot.current == 0.0
    assert snapshot.charging_state == "idle"


def test_heartbeat_counts_measurements_and_wraps() -> None:
    pack = Pack(PackDesign())
    beats = [pack.measure().heartbeat for _ in range(300)]

    assert beats[:3] == [1, 2, 3]
    assert beats[254:257] == [255, 0, 1]


def test_cycles_grow_by_one_with_each_capacity_drawn() -> None:
    pack = Pack(PackDesign(capacity=10.0, cycles=12, soc=90.0))

    run(pack, 3600, -6.0, step=10.0)
    run(pack, 3600, 4.0, step=10.0)
    assert run(pack, 1800, -6.0, step=10.0).cycles == 12  # 9 Ah drawn

    assert run(pack, 900, -6.0, step=10.0).cycles == 13  # 10.5 Ah


def test_idle_pack_sleeps_unless_asked_and_current_wakes_it() -> None:
    pack = Pack(PackDesign(sleep_after=600.0))

    def sleeps_after(seconds: float, current: float = 0.0) -> bool:
        run(pack, seconds, current)
        return pack.is_asleep

    assert not sleeps_after(599)
    pack.note_question()
    assert not sleeps_after(599)
    assert sleeps_after(2)
    assert not sleeps_after(1, -5.0)
