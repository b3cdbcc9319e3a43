"""What follows from what the BMS said: nothing is invented, and nothing old is used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.battery.derive import derive, join
from bridge.battery.model import Block, DeviceInfo


def block(name: str, at: float, max_age: float = 10.0, **values: Any) -> Block:
    return Block(name=name, at=at, values=values, max_age=max_age)


@pytest.mark.parametrize(
    ("voltage", "current", "power", "charge", "discharge"),
    [(53.1, -12.3, -653.13, 0.0, 653.13), (50.0, 2.0, 100.0, 100.0, 0.0), (53.1, 0.0, 0.0, 0.0, 0.0)],
)
def test_power_is_voltage_times_current_and_splits_by_direction(
    voltage: float, current: float, power: float, charge: float, discharge: float
) -> None:
    derived = derive({"voltage": voltage, "current": current})
    assert [derived[key] for key in ("power", "charge_power", "discharge_power")] == pytest.approx(
        [power, charge, discharge]
    )


@pytest.mark.parametrize("known", [{"voltage": 53.1}, {"current": 1.0}, {"voltage": 53.1, "current": None}, {}])
def test_power_is_unknown_without_voltage_or_current(known: dict[str, Any]) -> None:
    assert not {"power", "charge_power", "discharge_power"} & set(derive(known))


@given(st.floats(0, 1000), st.floats(-3000, 3000) | st.sampled_from([0.0, -0.0]))
def test_power_is_never_minus_zero_and_its_parts_never_negative(voltage: float, current: float) -> None:
    derived = derive({"voltage": voltage, "current": current})
    assert "-0.0" not in {str(value) for value in derived.values()}
    assert derived["charge_power"] >= 0
    assert derived["discharge_power"] >= 0
    assert derived["charge_power"] - derived["discharge_power"] == derived["power"]


def test_extremes_come_from_the_cells_with_numbers_from_1() -> None:
    assert derive({"cell_voltages": (3.321, 3.312, 3.329, 3.312)}) == {
        "cell_voltage_min": 3.312, "cell_min_number": 2, "cell_voltage_max": 3.329, "cell_max_number": 3,
        "cell_voltage_delta": pytest.approx(0.017),
    }  # fmt: skip


def test_extremes_of_the_bms_serve_where_the_cells_are_not_all_known() -> None:
    told = {"cell_voltage_min": 3.3, "cell_voltage_max": 3.35}
    for cells in ((), (3.3, None, 3.35)):
        assert derive({**told, "cell_voltages": cells}) == {"cell_voltage_delta": pytest.approx(0.05)}


def test_nothing_follows_from_nothing() -> None:
    assert derive({}) == {}
    assert derive({"cell_voltages": (), "cell_voltage_min": None, "cell_voltage_max": 3.3}) == {}


def test_join_takes_the_newer_of_two_blocks() -> None:
    values, _, times = join([block("b", 5.0, soc=50.0), block("a", 3.0, soc=49.0, cycles=12)], 6.0)
    assert values == {"soc": 50.0, "cycles": 12}
    assert times == {"a": 3.0, "b": 5.0}


def test_block_older_than_its_limit_is_unknown() -> None:
    young, old = block("young", 95.0, 5.0, soc=50.0), block("old", 94.9, 5.0, cycles=12)
    assert join([young, old], 100.0)[0] == {"soc": 50.0}


def test_device_is_gathered_and_auxiliary_values_are_left_out() -> None:
    values, device, _ = join(
        [block("firmware", 1.0, device_firmware="20220810"), block("pack", 2.0, soc=50.0, gathered_voltage=0.0)], 2.0
    )
    assert values == {"soc": 50.0}
    assert device == DeviceInfo(firmware="20220810")


def test_blocks_cannot_overwrite_what_is_not_measured() -> None:
    assert join([block("pack", 1.0, battery="other", time=0.0, link=None)], 1.0)[0] == {}
