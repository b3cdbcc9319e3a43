"""An intact frame is believed only where it can be true: possible, consistent, and on a noisy line seen twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.battery.model import Block, Temperature
from bridge.battery.plausibility import Judge

CELLS = (3.320, 3.315, 3.318, 3.322)
"""Four cells that sum up to 13.275 V."""
WARM = Temperature(name="sensor_1", value=20.0)


def block(name: str, at: float = 100.0, **values: Any) -> Block:
    return Block(name=name, at=at, values=values, max_age=10.0)


def pack(at: float = 100.0, **values: Any) -> Block:
    return block("pack", at, **{"voltage": 13.3, "current": 5.0, "soc": 50.0, **values})


def cause(judge: Judge, new: Block, *accepted: Block) -> str | None:
    doubt = judge.doubt(new, {each.name: each for each in accepted})
    return None if doubt is None else doubt.cause


STRUCTURE = block("structure", 0.0, cell_count=4, temperature_count=2)


class TestRanges:
    @pytest.mark.parametrize(
        ("chemistry", "possible", "impossible"),
        [
            ("auto", (0.5, 5.0), (0.499, 5.001)),
            ("lfp", (1.5, 4.2), (1.49, 4.21)),
            ("nmc", (2.0, 4.6), (1.99, 4.61)),
            ("lto", (1.0, 3.2), (0.99, 3.21)),
        ],
    )
    def test_chemistry_limits_each_cell(
        self, chemistry: str, possible: tuple[float, ...], impossible: tuple[float, ...]
    ) -> None:
        judge = Judge(chemistry=chemistry)
        for value in possible:
            assert cause(judge, block("cell_voltages", cell_voltages=(value,) * 4)) is None
            assert cause(judge, block("cell_extremes", cell_voltage_min=value, cell_voltage_max=value)) is None
        for value in impossible:
            assert cause(judge, block("cell_voltages", cell_voltages=(*CELLS[:3], value))) == "range"
            assert cause(judge, block("cell_extremes", cell_voltage_min=value, cell_voltage_max=value)) == "range"

    @pytest.mark.parametrize("value", [-23.295, 0.0, 12.0])
    def test_cell_that_no_chemistry_has_is_refused(self, value: float) -> None:
        assert cause(Judge(), block("cell_voltages", cell_voltages=(*CELLS, value))) == "range"

    def test_chemistry_and_cell_count_limit_the_pack(self) -> None:
        judge = Judge(chemistry="lfp")
        assert cause(judge, pack(voltage=17.0), STRUCTURE) == "range"  # 4 × 4.2 V is 16.8 V
        assert cause(judge, pack(voltage=5.9), STRUCTURE) == "range"  # 4 × 1.5 V is 6 V
        assert cause(judge, pack(voltage=16.8), STRUCTURE) is None
        assert cause(judge, pack(voltage=202.0)) == "range"  # 48 × 4.2 V is 201.6 V
        assert cause(judge, pack(voltage=53.1)) is None

    @pytest.mark.parametrize(
        "values",
        [
            {"current": -3000.0}, {"current": 3553.5}, {"soc": 100.1}, {"soc": 6553.5},
            {"remaining_capacity": 4294967.295}, {"cell_count": 0}, {"cell_count": 49}, {"temperature_count": 33},
            {"cycles": 65535}, {"temperature_max": 215}, {"temperatures": (Temperature(name="sensor_1", value=215.0),)},
            {"full_capacity": 0.0}, {"nominal_cell_voltage": 13.3}, {"soh": -0.1},
            {"cell_voltage_min": 3.4, "cell_voltage_max": 3.3}, {"temperature_min": 22, "temperature_max": 21},
        ],
        ids=lambda values: " ".join(f"{key}={value}" for key, value in values.items())[:60],
    )  # fmt: skip
    def test_impossible_value_is_refused(self, values: Mapping[str, Any]) -> None:
        assert cause(Judge(), block("any", **values)) == "range"

    @pytest.mark.parametrize(
        "values",
        [
            {"current": 0.0}, {"soc": 0.0}, {"soc": 100.0}, {"remaining_capacity": 0.0}, {"cycles": 0},
            {"temperature_max": None, "temperature_min": None}, {"temperatures": (Temperature(name="x", value=None),)},
            {"full_capacity": None}, {"temperature_max": -39, "temperature_min": -40}, {"heartbeat": 255},
        ],
        ids=str,
    )  # fmt: skip
    def test_possible_or_unknown_value_is_believed(self, values: Mapping[str, Any]) -> None:
        assert cause(Judge(), block("any", **values)) is None

    @pytest.mark.parametrize("values", [{"cell_max_number": 5}, {"cell_min_number": 0}, {"balancing_cells": (4, 5)}])
    def test_cell_that_the_pack_does_not_have_is_refused(self, values: Mapping[str, Any]) -> None:
        assert cause(Judge(), block("any", **values), STRUCTURE) == "range"
        assert cause(Judge(), block("any", **{key: value for key, value in values.items() if value != 0})) is None

    def test_echoed_zeros_of_a_sleeping_battery_are_refused(self) -> None:
        assert cause(Judge(), pack(voltage=0.0, current=-3000.0, soc=0.0), STRUCTURE) == "range"


class TestSumOfCells:
    # 0.2 V + 0.5 % of 13.3 V is 0.2665 V
    @pytest.mark.parametrize(
        ("voltage", "doubted"), [(13.3, None), (13.5, None), (13.1, None), (13.6, "sum"), (12.9, "sum")]
    )
    def test_cells_have_to_sum_up_to_the_pack_voltage(self, voltage: float, doubted: str | None) -> None:
        cells = block("cell_voltages", cell_voltages=CELLS)
        assert cause(Judge(), pack(voltage=voltage), cells) == doubted
        assert cause(Judge(), cells, pack(voltage=voltage)) == doubted

    def test_doubt_names_the_other_block_as_the_possible_culprit(self) -> None:
        doubt = Judge().doubt(pack(voltage=15.0), {"cell_voltages": block("cell_voltages", cell_voltages=CELLS)})
        assert doubt is not None
        assert doubt.suspects == ("cell_voltages",)
        assert "13.275 V" in doubt.reason
        assert "15.0 V" in doubt.reason

    def test_row_with_an_unknown_cell_is_not_summed(self) -> None:
        assert cause(Judge(), pack(), block("cell_voltages", cell_voltages=(3.3, None, 3.3))) is None

    def test_blocks_more_than_a_second_apart_are_not_compared(self) -> None:
        cells = block("cell_voltages", 98.9, cell_voltages=CELLS)
        assert cause(Judge(), pack(100.0, voltage=15.0), cells) is None
        assert cause(Judge(), pack(99.9, voltage=15.0), cells) == "sum"


class TestExtremes:
    # the cells reach from 3.315 to 3.322 V
    @pytest.mark.parametrize(
        ("low", "high", "doubted"),
        [
            (3.315, 3.322, None), (3.310, 3.327, None), (3.320, 3.322, None), (3.309, 3.322, "extremes"),
            (3.315, 3.328, "extremes"), (3.321, 3.322, "extremes"),
        ],
    )  # fmt: skip
    def test_extremes_of_the_bms_have_to_agree_with_the_cells(
        self, low: float, high: float, doubted: str | None
    ) -> None:
        cells = block("cell_voltages", cell_voltages=CELLS)
        extremes = block("cell_extremes", cell_voltage_min=low, cell_voltage_max=high)
        assert cause(Judge(), extremes, cells) == doubted
        assert cause(Judge(), cells, extremes) == doubted


class TestJumps:
    """A line is noisy for 10 s after a refused frame."""

    JUMPS = (
        {"current": 10.1}, {"current": -5.0}, {"soc": 51.1}, {"soc": 48.9}, {"voltage": 13.4}, {"voltage": 13.2},
    )  # fmt: skip

    @pytest.mark.parametrize("values", JUMPS, ids=str)
    def test_quiet_line_needs_no_second_frame(self, values: Mapping[str, Any]) -> None:
        assert cause(Judge(), pack(100.5, **values), pack(100.0)) is None

    @pytest.mark.parametrize("values", JUMPS, ids=str)
    def test_jump_on_a_noisy_line_counts_when_a_second_frame_shows_it_too(self, values: Mapping[str, Any]) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, pack(100.5, **values), pack(100.0)) == "jump"
        assert cause(judge, pack(100.6, **values), pack(100.0)) is None

    def test_second_frame_that_shows_something_else_does_not_confirm(self) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, pack(100.5, current=80.0), pack(100.0)) == "jump"
        assert cause(judge, pack(100.6, current=-40.0), pack(100.0)) == "jump"
        assert cause(judge, pack(100.7, current=5.1), pack(100.0)) is None

    def test_confirmation_is_not_kept_once_the_value_was_believed(self) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, pack(100.5, current=80.0), pack(100.0)) == "jump"
        assert cause(judge, pack(100.6), pack(100.0)) is None
        assert cause(judge, pack(100.7, current=80.0), pack(100.6)) == "jump"

    @pytest.mark.parametrize("values", [{"current": 5.9}, {"soc": 50.4}, {"voltage": 13.32}, {"current": 4.1}], ids=str)
    def test_small_change_is_no_jump(self, values: Mapping[str, Any]) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, pack(100.5, **values), pack(100.0)) is None

    def test_first_frame_on_a_noisy_line_needs_a_second_one(self) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, pack(100.0)) == "jump"
        assert cause(judge, pack(100.2)) is None

    def test_believed_frame_of_long_ago_confirms_nothing(self) -> None:
        judge = Judge()
        judge.refused(109.0)
        assert cause(judge, pack(110.1), pack(100.0)) == "jump"

    def test_line_is_quiet_again_after_ten_seconds(self) -> None:
        judge = Judge()
        judge.refused(100.0)
        assert (judge.is_noisy(109.9), judge.is_noisy(110.0)) == (True, False)
        assert cause(judge, pack(110.0, current=80.0), pack(109.5)) is None

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"cell_voltages": CELLS}, {"cell_voltages": (*CELLS[:3], 3.353)}),
            ({"cell_voltages": CELLS}, {"cell_voltages": CELLS[:3]}),
            ({"cell_voltages": CELLS}, {"cell_voltages": (*CELLS[:3], None)}),
            ({"temperatures": (WARM,)}, {"temperatures": (replace(WARM, value=25.0),)}),
            ({"temperatures": (WARM,)}, {"temperatures": (replace(WARM, value=None),)}),
            ({"temperatures": (WARM,)}, {"temperatures": (WARM, WARM)}),
            ({"alarms": ()}, {"alarms": ("any",)}),
            ({"balancing_cells": ()}, {"balancing_cells": (1,)}),
            ({"charge_enabled": True}, {"charge_enabled": False}),
            ({"charging_state": "idle"}, {"charging_state": "charging"}),
            ({"cycles": 12}, {"cycles": 13}),
            ({"device_serial": "A"}, {"device_serial": "B"}),
            ({"temperature_max": 20}, {"temperature_max": None}),
        ],
        ids=str,
    )
    def test_every_kind_of_value_is_confirmed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        judge = Judge()
        judge.refused(99.0)
        assert cause(judge, block("any", 100.5, **before), block("any", 100.0, **before)) is None
        assert cause(judge, block("any", 100.5, **after), block("any", 100.0, **before)) == "jump"
        assert cause(judge, block("any", 100.6, **after), block("any", 100.0, **before)) is None

    def test_values_that_nobody_publishes_may_change_freely(self) -> None:
        judge = Judge()
        judge.refused(99.0)
        before = block("status", 100.0, charge_enabled=True, heartbeat=255)
        assert cause(judge, block("status", 100.5, charge_enabled=True, heartbeat=0), before) is None

    def test_impossible_value_confirms_nothing(self) -> None:
        judge = Judge()
        judge.refused(99.0)
        for at in (100.1, 100.2, 100.3):
            assert cause(judge, pack(at, soc=120.0), pack(100.0)) == "range"


@given(
    current=st.floats(-400, 400), soc=st.floats(0, 100), voltage=st.floats(2.0, 240.0), noise=st.booleans(),
)  # fmt: skip
def test_value_seen_twice_is_always_believed(current: float, soc: float, voltage: float, *, noise: bool) -> None:
    judge = Judge()
    if noise:
        judge.refused(99.9)
    new = pack(100.0, current=current, soc=soc, voltage=voltage)
    judge.doubt(new, {"pack": pack(99.5)})
    assert judge.doubt(replace(new, at=100.1), {"pack": pack(99.5)}) is None


@pytest.mark.parametrize(("currents", "excused"), [((0.0, 5.1), True), ((-3.0, 3.0), True), ((0.0, 5.0), False)])
def test_extremes_are_never_rejected_while_the_load_swings_by_more_than_5_a(
    currents: tuple[float, float], excused: bool
) -> None:
    judge = Judge()
    for second, current in enumerate(currents):
        assert cause(judge, pack(at=98.0 + second, current=current)) is None
    cells = block("cell_voltages", cell_voltages=CELLS)
    doubt = judge.doubt(
        block("cell_extremes", cell_voltage_min=3.300, cell_voltage_max=3.310), {"cell_voltages": cells}
    )
    assert doubt is not None, "it is asked for again in any case"
    assert judge.may_excuse(doubt) is excused
