"""The 56 bits of Daly's 0x98, each with what the vendor's document says of it (V1.2, Chinese text of V1.0)."""

from __future__ import annotations

import pytest

from bridge.battery.model import Alarm, AlarmLevel
from bridge.protocols.daly import DRIVER
from bridge.protocols.driver import Reader, Responder, Variant
from tests.protocols.daly_bytes import frame

# byte, bit: code, level; None where no document names the bit
TABLE = {
    (0, 0): ("cell_overvoltage", "warning"),
    (0, 1): ("cell_overvoltage", "protection"),
    (0, 2): ("cell_undervoltage", "warning"),
    (0, 3): ("cell_undervoltage", "protection"),
    (0, 4): ("pack_overvoltage", "warning"),
    (0, 5): ("pack_overvoltage", "protection"),
    (0, 6): ("pack_undervoltage", "warning"),
    (0, 7): ("pack_undervoltage", "protection"),
    (1, 0): ("charge_overtemperature", "warning"),
    (1, 1): ("charge_overtemperature", "protection"),
    (1, 2): ("charge_undertemperature", "warning"),
    (1, 3): ("charge_undertemperature", "protection"),
    (1, 4): ("discharge_overtemperature", "warning"),
    (1, 5): ("discharge_overtemperature", "protection"),
    (1, 6): ("discharge_undertemperature", "warning"),
    (1, 7): ("discharge_undertemperature", "protection"),
    (2, 0): ("charge_overcurrent", "warning"),
    (2, 1): ("charge_overcurrent", "protection"),
    (2, 2): ("discharge_overcurrent", "warning"),
    (2, 3): ("discharge_overcurrent", "protection"),
    (2, 4): ("soc_high", "warning"),
    (2, 5): ("soc_high", "protection"),
    (2, 6): ("soc_low", "warning"),
    (2, 7): ("soc_low", "protection"),
    (3, 0): ("cell_imbalance", "warning"),
    (3, 1): ("cell_imbalance", "protection"),
    (3, 2): ("temperature_imbalance", "warning"),
    (3, 3): ("temperature_imbalance", "protection"),
    (3, 4): None,
    (3, 5): None,
    (3, 6): None,
    (3, 7): None,
    (4, 0): ("mosfet_overtemperature", "protection"),
    (4, 1): ("mosfet_overtemperature", "protection"),
    (4, 2): ("mosfet_temperature_sensor_failure", "fault"),
    (4, 3): ("mosfet_temperature_sensor_failure", "fault"),
    (4, 4): ("charge_mosfet_failure", "fault"),
    (4, 5): ("discharge_mosfet_failure", "fault"),
    (4, 6): ("charge_mosfet_failure", "fault"),
    (4, 7): ("discharge_mosfet_failure", "fault"),
    (5, 0): ("hardware_failure", "fault"),
    (5, 1): ("cell_wire_failure", "fault"),
    (5, 2): ("cell_temperature_sensor_failure", "fault"),
    (5, 3): ("memory_failure", "fault"),
    (5, 4): ("clock_failure", "fault"),
    (5, 5): ("precharge_failure", "fault"),
    (5, 6): ("communication_failure", "fault"),
    (5, 7): ("internal_communication_failure", "fault"),
    (6, 0): ("current_sensor_failure", "fault"),
    (6, 1): ("pack_voltage_sensor_failure", "fault"),
    (6, 2): ("short_circuit", "protection"),
    (6, 3): ("low_voltage_charge_forbidden", "protection"),
    (6, 4): None,  # a switch opened by command on newer boards: a state, no alarm
    (6, 5): None,
    (6, 6): None,
    (6, 7): None,
}


def read(data: bytes) -> dict[str, object]:
    reader = Reader(DRIVER, host=0x40)
    reader.ask(DRIVER.question("alarms"))
    reader.receive(frame(0x98, data))
    return reader.answer()


def test_table_has_all_56_bits() -> None:
    assert set(TABLE) == {(byte, bit) for byte in range(7) for bit in range(8)}


@pytest.mark.parametrize(("byte", "bit"), TABLE)
def test_each_bit_is_the_alarm_that_the_document_names(byte: int, bit: int) -> None:
    meaning = TABLE[byte, bit]
    data = bytearray(8)
    data[byte] = 1 << bit
    expected = () if meaning is None else (Alarm(code=meaning[0], level=AlarmLevel(meaning[1]), raw=8 * byte + bit),)
    assert read(bytes(data)) == {"alarms": expected, "alarms_known": True}


def test_cell_low_is_not_cell_high() -> None:
    """A well-known reader takes bits 2 and 3 for high voltage too."""
    alarms = read(b"\x0c" + bytes(7))["alarms"]
    assert [each.code for each in alarms] == ["cell_undervoltage", "cell_undervoltage"]  # type: ignore[attr-defined]


def test_all_bits_at_once_come_in_order() -> None:
    alarms = read(b"\xff" * 7 + b"\x00")["alarms"]
    expected = [(*meaning, 8 * byte + bit) for (byte, bit), meaning in TABLE.items() if meaning is not None]
    assert [(each.code, each.level.value, each.raw) for each in alarms] == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [1, 5, 255])
def test_fault_code_is_a_hardware_failure_with_its_number(code: int) -> None:
    expected = (Alarm(code="hardware_failure", level=AlarmLevel.FAULT, raw=256 + code),)
    assert read(bytes(7) + bytes((code,)))["alarms"] == expected


def test_emulated_alarms_without_raw_numbers_set_their_documented_bits() -> None:
    emulated = Responder(DRIVER, Variant())
    for (byte, bit), meaning in TABLE.items():
        first = next((where for where, each in TABLE.items() if each == meaning), None)
        if meaning is None or (byte, bit) != first:
            continue
        (heard,) = emulated.receive(frame(0x98, bytes(8), 0x40))
        alarm = Alarm(code=meaning[0], level=AlarmLevel(meaning[1]))
        expected = bytearray(8)
        expected[byte] = 1 << bit
        assert emulated.answer(heard, {"alarms": (alarm,)}) == [frame(0x98, bytes(expected))]


def test_healthy_emulated_pack_reports_no_alarm_whatever_it_sent_before() -> None:
    emulated = Responder(DRIVER, Variant())
    (heard,) = emulated.receive(frame(0x90, bytes(8), 0x40))
    emulated.answer(heard, {"voltage": 53.1, "current": -12.3, "soc": 76.5})
    (heard,) = emulated.receive(frame(0x98, bytes(8), 0x40))
    assert emulated.answer(heard, {"alarms": ()}) == [frame(0x98, bytes(8))]
