"""Whole batteries through the emulated device and the reader, in every way that devices are known to differ.

Loop-back proves that both directions agree, not that they are right: that is what the captures are for.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.battery.model import Alarm, AlarmLevel, Temperature
from bridge.protocols.daly import ALARMS, DRIVER, FAULT_CODE
from bridge.protocols.driver import Reader, Responder, Variant

u8, u16, u32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)
tenths = u16.map(lambda raw: raw / 10)
thousandths = u16.map(lambda raw: raw / 1000)
warmth = st.integers(1, 254).map(lambda raw: raw - 40)
printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
text = st.text(printable, max_size=35).map(lambda each: each.strip() or None)
short_text = text.map(lambda each: each and (each[:14].strip() or None))


def pair(value: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(value, value)


bits = st.sets(st.sampled_from(sorted(ALARMS))).map(
    lambda numbers: tuple(Alarm(code=ALARMS[bit][0], level=ALARMS[bit][1], raw=bit) for bit in sorted(numbers))
)
fault = st.integers(0, 255).map(
    lambda code: (Alarm(code="hardware_failure", level=AlarmLevel.FAULT, raw=FAULT_CODE + code),) if code else ()
)


@st.composite
def batteries(draw: st.DrawFn) -> dict[str, Any]:
    """Draw everything that a Daly can say, at the wire's resolution."""
    cells, sensors = draw(st.integers(1, 48)), draw(st.integers(1, 21))
    values = {
        "voltage": tenths, "gathered_voltage": tenths, "soc": tenths,
        "current": u16.map(lambda raw: (raw - 30000) / 10),
        "cell_voltage_max": thousandths, "cell_max_number": u8, "cell_voltage_min": thousandths, "cell_min_number": u8,
        "temperature_max": warmth | st.none(), "temperature_max_sensor": u8,
        "temperature_min": warmth | st.none(), "temperature_min_sensor": u8,
        "charging_state": st.sampled_from(["idle", "charging", "discharging"]), "charge_enabled": st.booleans(),
        "discharge_enabled": st.booleans(), "heartbeat": u8, "remaining_capacity": u32.map(lambda raw: raw / 1000),
        "cell_count": st.just(cells), "temperature_count": st.just(sensors), "charger_connected": st.booleans(),
        "load_connected": st.booleans(), "digital_io": u8, "cycles": u16,
        "cell_voltages": st.tuples(*[thousandths] * cells),
        "temperatures": st.tuples(*[warmth | st.none()] * sensors).map(
            lambda row: tuple(Temperature(name=f"sensor_{n}", value=value) for n, value in enumerate(row, 1))
        ),
        "balancing_cells": st.sets(st.integers(1, cells)).map(lambda numbers: tuple(sorted(numbers))),
        "alarms": st.tuples(bits, fault).map(lambda parts: parts[0] + parts[1]),
        "rated_capacity": u32.map(lambda raw: raw / 1000), "nominal_cell_voltage": u32.map(lambda raw: raw / 1000),
        "boards": u8, "board_cells": st.tuples(u8, u8, u8), "board_sensors": st.tuples(u8, u8, u8),
        "charged_total": u32, "discharged_total": u32, "operation_mode": u8, "battery_type": u8,
        "production_date": st.tuples(u8, u8, u8), "sleep_after": st.integers(0, 65534) | st.none(),
        "device_firmware": text.map(lambda each: each and (each[:8].strip() or None)), "device_serial": text,
        "software_version": short_text, "device_hardware": short_text,
        "cell_overvoltage_limits": pair(thousandths), "cell_undervoltage_limits": pair(thousandths),
        "pack_overvoltage_limits": pair(tenths), "pack_undervoltage_limits": pair(tenths),
        "balance_start": thousandths, "balance_difference": thousandths, "short_circuit_current": u16, "shunt": u16,
        "clock": st.tuples(*[u8] * 6),
    }  # fmt: skip
    return {key: draw(each) for key, each in values.items()}


variants = st.fixed_dictionaries({
    "frame_origin": st.sampled_from([0, 1]), "padded": st.booleans(), "stale_filler": st.booleans(),
    "current_sign": st.sampled_from(["normal", "inverted"]),
})  # fmt: skip


@given(
    battery=batteries(), options=variants, board=st.integers(1, 16), order=st.permutations(DRIVER.questions),
    bluetooth=st.booleans(),
)  # fmt: skip
def test_whole_battery_arrives_at_the_wires_resolution(
    battery: dict[str, Any], options: dict[str, Any], board: int, order: list[Any], *, bluetooth: bool
) -> None:
    device = Responder(DRIVER, Variant(address=board, options=options))
    known = {key: battery[key] for key in DRIVER.structure_keys}
    reader = Reader(DRIVER, host=DRIVER.hosts(board)[-1 if bluetooth else 0], known=known)
    for question in order:
        (heard,) = device.receive(reader.ask(question))
        for each in device.answer(heard, battery):
            reader.receive(each)
        answer = reader.answer()
        assert reader.take_refused() == []
        for key, value in answer.items():
            if key == "current" and options["current_sign"] == "inverted":
                assert value == pytest.approx(max(-battery[key], -3000.0)), "no raw value is below 0"
            elif key in battery:
                assert value == battery[key], (question.name, key)


@given(st.sets(st.sampled_from([each.command for each in DRIVER.questions])))
def test_device_is_silent_to_what_it_does_not_support(unsupported: set[int]) -> None:
    device = Responder(DRIVER, Variant(options={"unsupported": tuple(unsupported)}))
    values = {"voltage": 53.1, "current": 0.0, "soc": 50.0}
    (heard,) = device.receive(DRIVER.request(DRIVER.probe, 0x40))
    assert bool(device.answer(heard, values)) == (0x90 not in unsupported)


def test_unused_bytes_repeat_the_reply_before_unless_the_device_clears_them() -> None:
    for stale, last in ((True, 0xFD), (False, 0)):
        device = Responder(DRIVER, Variant(options={"stale_filler": stale}))
        pack, extremes = (
            device.receive(DRIVER.request(DRIVER.question(each), 0x40))[0] for each in ("pack", "cell_extremes")
        )
        device.answer(pack, {"voltage": 53.1, "current": 0.0, "soc": 76.5})  # 0x02FD at the end
        (frame,) = device.answer(extremes, {
            "cell_voltage_max": 3.3, "cell_max_number": 1, "cell_voltage_min": 3.2, "cell_min_number": 2,
        })  # fmt: skip
        assert frame[11] == last
