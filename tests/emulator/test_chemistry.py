"""Open-circuit voltage: within what each chemistry can be, rising with charge, and shaped as published."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bridge.emulator.chemistry import CHEMISTRIES


@pytest.mark.parametrize(
    ("name", "empty", "middle", "full"),
    [
        # V at 0 %, 50 % and 100 %, worked out by hand from the published formulas
        ("lfp", (2.65, 2.70), (3.29, 3.31), (3.50, 3.53)),
        ("nmc", (2.64, 2.67), (3.79, 3.82), (4.09, 4.11)),
        ("lto", (1.19, 1.22), (2.34, 2.37), (2.64, 2.66)),
    ],
)
def test_curve_goes_through_the_published_points(
    name: str, empty: tuple[float, float], middle: tuple[float, float], full: tuple[float, float]
) -> None:
    voltages = CHEMISTRIES[name].open_circuit_voltages((0.0, 0.5, 1.0))

    for voltage, (low, high) in zip(voltages, (empty, middle, full), strict=True):
        assert low <= voltage <= high


@pytest.mark.parametrize("name", list(CHEMISTRIES))
def test_voltage_rises_with_charge_without_a_jump(name: str) -> None:
    voltages = CHEMISTRIES[name].open_circuit_voltages(step / 2000 for step in range(-100, 2101))

    steps = [after - before for before, after in pairwise(voltages)]
    assert min(steps) > 0
    assert max(steps) < 0.05


def test_lfp_is_flat_where_nmc_slopes() -> None:
    def rise(name: str) -> float:
        low, high = CHEMISTRIES[name].open_circuit_voltages((0.3, 0.8))
        return high - low

    assert rise("lfp") < 0.08
    assert rise("nmc") > 0.15


@pytest.mark.parametrize("name", list(CHEMISTRIES))
def test_levels_lie_in_their_order(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    levels = chemistry.levels
    (middle,) = chemistry.open_circuit_voltages((0.5,))

    assert levels.low_protection < levels.low_warning < levels.low_warning + levels.low_release
    assert levels.low_warning + levels.low_release < middle
    assert middle < levels.balance_start < chemistry.charge_voltage
    assert chemistry.charge_voltage < levels.high_warning < levels.high_protection
