"""The rules of Daly's protocol, one by one, with bytes written by hand from its documents and from captures."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bridge.battery.model import Temperature
from bridge.errors import ConfigError, FrameError, ProtocolError, ReplyTimeout, UnexpectedReply
from bridge.protocols.daly import DRIVER
from bridge.protocols.driver import Reader, Responder, Variant, decode_capture
from tests.protocols.daly_bytes import cells, frame, temperatures

SIXTEEN = tuple(range(3301, 3317))
JUNK = (3142, 3142)
"""What a fielded device sent for cells 17 and 18 of 16."""
VOLTS = tuple(mv / 1000 for mv in SIXTEEN)


def ask(message: str, *, host: int = 0x40, **known: Any) -> Reader:
    reader = Reader(DRIVER, host=host, known=known)
    reader.ask(DRIVER.question(message))
    return reader


def answer(message: str, *frames: bytes, host: int = 0x40, **known: Any) -> dict[str, Any]:
    reader = ask(message, host=host, **known)
    for each in frames:
        reader.receive(each)
    return reader.answer()


def refusal(message: str, *frames: bytes, host: int = 0x40, **known: Any) -> set[str]:
    """Return the causes for which an answer is refused."""
    reader = ask(message, host=host, **known)
    for each in frames:
        reader.receive(each)
    with pytest.raises(ProtocolError) as refused:
        reader.answer()
    return {refused.value.cause, *(each.cause for each in reader.take_refused())}


class TestRequests:
    @pytest.mark.parametrize(
        ("message", "address", "request_hex"),
        [
            ("pack", None, "a540900800000000000000007d"),
            ("pack", 1, "a540900800000000000000007d"),
            ("pack", 2, "a541900800000000000000007e"),
            ("cell_voltages", 16, "a54f9508000000000000000091"),
            ("alarms", None, "a5409808000000000000000085"),
            ("serial", None, "a5405708000000000000000044"),
        ],
    )
    def test_request_carries_host_address_command_and_checksum(
        self, message: str, address: int | None, request_hex: str
    ) -> None:
        assert DRIVER.request(DRIVER.question(message), DRIVER.hosts(address)[0]).hex() == request_hex

    def test_first_board_is_asked_as_pc_and_then_as_bluetooth(self) -> None:
        assert DRIVER.hosts(None) == (0x40, 0x80)
        assert DRIVER.request(DRIVER.probe, 0x80).hex() == "a58090080000000000000000bd"

    @pytest.mark.parametrize("address", [17, 65, 200, 255])
    def test_board_that_cannot_be_is_told(self, address: int) -> None:
        with pytest.raises(ConfigError, match=f"board {address}"):
            DRIVER.hosts(address)

    def test_emulator_answers_every_host_address_in_use(self) -> None:
        for host in (0x20, 0x40, 0x80):
            heard = Responder(DRIVER, Variant()).receive(frame(0x90, bytes(8), host))
            assert [(each.question.command, each.host) for each in heard] == [(0x90, host)], hex(host)

    def test_emulator_does_not_take_another_boards_reply_for_a_question(self) -> None:
        assert Responder(DRIVER, Variant()).receive(frame(0x90, "0213000075300301", address=2)) == []

    def test_emulated_board_answers_its_own_number_only(self) -> None:
        board_3 = Responder(DRIVER, Variant(address=3))
        heard = board_3.receive(frame(0x90, bytes(8), 0x40) + frame(0x91, bytes(8), 0x42))
        assert [each.question.command for each in heard] == [0x91]

    def test_emulator_accepts_any_fill_and_stray_bytes_between_requests(self) -> None:
        stream = b"\x0a" + frame(0x90, b"\xaa" * 8, 0x40) + b"\x0a\x00\xa5" + frame(0x98, b"\x55" * 8, 0x40) + b"\x0a"
        heard = Responder(DRIVER, Variant()).receive(stream)
        assert [each.question.command for each in heard] == [0x90, 0x98]

    def test_emulator_says_nothing_to_unknown_commands(self) -> None:
        assert Responder(DRIVER, Variant()).receive(frame(0x42, bytes(8), 0x40)) == []


class TestSingleFrames:
    def test_current_is_raw_minus_30000_tenths(self) -> None:
        for raw, current in ((30000, 0.0), (30123, 12.3), (29877, -12.3), (0, -3000.0)):
            assert answer("pack", frame(0x90, f"0213 0000 {raw:04x} 02fd"))["current"] == current

    def test_pack_voltage_and_soc_are_tenths(self) -> None:
        values = answer("pack", frame(0x90, "0213 0000 7530 02fd"))
        assert (values["voltage"], values["soc"]) == (53.1, 76.5)

    def test_switches_and_remaining_capacity(self) -> None:
        values = answer("status", frame(0x93, "02 01 00 ff 00 03 44 b8"))
        assert values == {
            "charging_state": "discharging", "charge_enabled": True, "discharge_enabled": False, "heartbeat": 255,
            "remaining_capacity": 214.2,
        }  # fmt: skip

    @pytest.mark.parametrize("data", ["00 02 01 00 00000000", "00 01 ff 00 00000000", "03 01 01 00 00000000"])
    def test_flag_or_state_with_a_value_that_means_nothing_is_refused(self, data: str) -> None:
        assert "value" in refusal("status", frame(0x93, data))

    @pytest.mark.parametrize("data", ["1002020000000c00", "1002000200000c00"])
    def test_connected_flags_are_0_or_1(self, data: str) -> None:
        assert "value" in refusal("structure", frame(0x94, data))

    def test_unused_bytes_are_never_decoded(self) -> None:
        for command, data, stale in (
            (0x91, "0d01 07 0cf0 03", b"\xff\xff"), (0x92, "3d 01 3c 02", b"\xde\xad\xbe\xef"),
            (0x94, "10 02 00 01 02 000c", b"\x88"), (0x97, "040000000000", b"\xff\xff"),
        ):  # fmt: skip
            payload = bytes.fromhex(data)
            message = decode_capture(DRIVER, frame(command, payload + bytes(len(stale))))[0]
            assert decode_capture(DRIVER, frame(command, payload + stale))[0] == message, hex(command)

    def test_each_bit_of_the_balance_state_is_one_cell(self) -> None:
        for cell in range(1, 49):
            data = bytearray(8)
            data[(cell - 1) // 8] = 1 << (cell - 1) % 8
            values = answer("balancing_cells", frame(0x97, bytes(data)), cell_count=48)
            assert values == {"balancing": True, "balancing_cells": (cell,)}

    def test_newer_boards_tell_the_number_of_the_balancing_cell(self) -> None:
        # antonkostryukov/daly-bms-protocol: an 8-cell R24TK sent 0x08 in byte 1 while cell 8 was balanced
        values = answer("balancing_cells", frame(0x97, "0008000000000000"), cell_count=8)
        assert values == {"balancing": True, "balancing_cells": (8,)}

    def test_rated_capacity_is_what_the_battery_holds(self) -> None:
        values = answer("rated", frame(0x50, "000445c0 00000c80"))
        assert (values["full_capacity"], values["nominal_cell_voltage"]) == (280.0, 3.2)

    def test_rated_capacity_that_was_never_set_is_unknown(self) -> None:
        assert answer("rated", frame(0x50, bytes(8)))["full_capacity"] is None

    @pytest.mark.parametrize(
        ("message", "command", "data", "values"),
        [
            ("cell_voltage_limits", 0x59, "0e42 0e74 0af0 09c4",
             {"cell_overvoltage_limits": (3.65, 3.7), "cell_undervoltage_limits": (2.8, 2.5)}),
            ("pack_voltage_limits", 0x5A, "0248 0250 01c0 0190",
             {"pack_overvoltage_limits": (58.4, 59.2), "pack_undervoltage_limits": (44.8, 40.0)}),
            ("clock", 0x61, "1a0b15 021e3b 02fd", {"clock": (26, 11, 21, 2, 30, 59), "soc": 76.5}),
        ],
    )  # fmt: skip
    def test_settings_read_as_others_read_them(
        self, message: str, command: int, data: str, values: dict[str, Any]
    ) -> None:
        assert answer(message, frame(command, data)) == values


class TestCells:
    @pytest.mark.parametrize("first", [0, 1], ids=["documents: from 0", "devices: from 1"])
    def test_frame_numbers_from_0_and_from_1_name_the_same_cells(self, first: int) -> None:
        assert answer("cell_voltages", *cells(SIXTEEN + JUNK, first=first), cell_count=16) == {"cell_voltages": VOLTS}

    def test_frames_in_any_order_name_the_same_cells(self) -> None:
        for order in itertools.permutations(cells(SIXTEEN[:9])):
            assert answer("cell_voltages", *order, cell_count=9) == {"cell_voltages": VOLTS[:9]}

    @pytest.mark.parametrize("count", range(1, 49))
    def test_values_beyond_the_last_cell_are_junk(self, count: int) -> None:
        junk = (-count) % 3
        row = answer("cell_voltages", *cells([*range(3001, 3001 + count), *JUNK[:junk]]), cell_count=count)
        assert row == {"cell_voltages": tuple(mv / 1000 for mv in range(3001, 3001 + count))}

    @pytest.mark.parametrize("first", [0, 1])
    def test_padded_answer_is_the_same_answer(self, first: int) -> None:
        padded = cells(SIXTEEN + (0,) * 32, first=first)
        assert len(padded) == 16
        assert answer("cell_voltages", *padded, cell_count=16) == {"cell_voltages": VOLTS}

    def test_surplus_frames_are_learned_and_waited_for(self) -> None:
        padded, status = cells(SIXTEEN + (0,) * 32), frame(0x93, "0001010000000000")
        reader = ask("cell_voltages", cell_count=16)
        enough = [reader.receive(each) for each in padded[:6]]
        assert enough == [False] * 5 + [True]
        reader.answer()
        reader.ask(DRIVER.question("status"))
        for each in padded[6:]:
            assert not reader.receive(each)
        assert reader.receive(status)
        assert reader.answer()["charge_enabled"]
        assert reader.take_refused() == []
        reader.ask(DRIVER.question("cell_voltages"))
        assert [reader.receive(each) for each in padded] == [False] * 15 + [True]
        assert reader.answer() == {"cell_voltages": VOLTS}

    def test_surplus_frames_that_no_longer_come_are_not_waited_for(self) -> None:
        padded = cells(SIXTEEN + (0,) * 32)
        reader = ask("cell_voltages", cell_count=16)
        reader.receive(b"".join(padded))
        reader.answer()
        reader.ask(DRIVER.question("cell_voltages"))
        assert not reader.receive(b"".join(padded[:6]))
        assert reader.answer() == {"cell_voltages": VOLTS}
        reader.ask(DRIVER.question("cell_voltages"))
        assert reader.receive(b"".join(padded[:6]))

    def test_lost_byte_costs_one_frame_and_asking_again_completes(self) -> None:
        burst = cells(SIXTEEN + JUNK)
        for lost in range(6):
            reader = ask("cell_voltages", cell_count=16)
            for number, each in enumerate(burst):
                reader.receive(each[:9] + each[10:] if number == lost else each)
            with pytest.raises(ReplyTimeout):
                reader.answer()
            reader.ask(DRIVER.question("cell_voltages"), again=True)
            reader.receive(burst[lost])
            assert reader.answer() == {"cell_voltages": VOLTS}, lost

    def test_asking_anew_forgets_the_frames_of_the_answer_before(self) -> None:
        reader = ask("cell_voltages", cell_count=16)
        reader.receive(b"".join(cells(SIXTEEN + JUNK)[:5]))
        reader.ask(DRIVER.question("cell_voltages"))
        reader.receive(cells(SIXTEEN + JUNK)[5])
        with pytest.raises(ReplyTimeout):
            reader.answer()

    def test_frame_number_that_cannot_be_is_refused(self) -> None:
        causes = refusal("cell_voltages", *cells(SIXTEEN + JUNK)[:5], *cells((3300,) * 3, first=0xFF), cell_count=16)
        assert {"number", "incomplete"} <= causes

    def test_cells_cannot_be_asked_for_before_their_number_is_known(self) -> None:
        assert DRIVER.parts(DRIVER.question("cell_voltages"), {}) is None
        assert DRIVER.parts(DRIVER.question("cell_voltages"), {"cell_count": 16}) == 6


class TestTemperatures:
    def test_temperature_is_raw_minus_40(self) -> None:
        rows = answer("temperatures", *temperatures([61, 24, 40, 1, 0, 0, 0]), temperature_count=4)
        assert rows["temperatures"] == (
            Temperature(name="sensor_1", value=21), Temperature(name="sensor_2", value=-16),
            Temperature(name="sensor_3", value=0), Temperature(name="sensor_4", value=-39),
        )  # fmt: skip

    @pytest.mark.parametrize("raw", [0x00, 0xFF])
    def test_sensor_that_is_not_fitted_is_unknown(self, raw: int) -> None:
        rows = answer("temperatures", *temperatures([61, raw, 0, 0, 0, 0, 0]), temperature_count=2)
        assert [each.value for each in rows["temperatures"]] == [21, None]
        extremes = answer("temperature_extremes", frame(0x92, bytes((raw, 1, raw, 1, 0, 0, 0, 0))))
        assert (extremes["temperature_max"], extremes["temperature_min"]) == (None, None)

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("count", [1, 7, 8, 21])
    def test_three_padded_frames_hold_up_to_21_sensors(self, first: int, count: int) -> None:
        raw = [*range(50, 50 + count), *(0 for _ in range(21 - count))]
        rows = answer("temperatures", *temperatures(raw, first=first), temperature_count=count)
        assert [(each.name, each.value) for each in rows["temperatures"]] == [
            (f"sensor_{number}", 9 + number) for number in range(1, count + 1)
        ]


class TestTexts:
    @staticmethod
    def pieces(text: bytes, first: int = 1) -> list[bytes]:
        rows = [text[at : at + 7].ljust(7, b"\x00") for at in range(0, 35, 7)]
        return [frame(0x57, bytes((number,)) + row) for number, row in enumerate(rows, first)]

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("text", ["R32-16S-280A", "ABCDEF GHIJKL", "A" * 35, "123456 89 1 3 5 7 9 1 3 5 7 9 1 3 5"])
    def test_battery_code_is_the_text_of_five_frames(self, text: str, first: int) -> None:
        assert answer("serial", *self.pieces(text.encode(), first)) == {"device_serial": text}

    @pytest.mark.parametrize("text", [b"", b" " * 35, b"ABCDEFG\xff\xfeHIJK", b"ABC\x00DEF"])
    def test_text_that_is_empty_or_not_printable_is_unknown(self, text: bytes) -> None:
        assert answer("serial", *self.pieces(text)) == {"device_serial": None}

    def test_four_of_five_frames_are_no_battery_code(self) -> None:
        assert "incomplete" in refusal("serial", *self.pieces(b"A" * 35)[:4])


class TestForeignFrames:
    def test_sleeping_bms_sends_the_request_back(self) -> None:
        for host in (0x40, 0x80):
            assert "echo" in refusal("pack", frame(0x90, bytes(8), host), host=host)

    def test_reply_after_the_adapters_own_echo_counts(self) -> None:
        values = answer("pack", frame(0x90, bytes(8), 0x40), frame(0x90, "0213 0000 7530 02fd"))
        assert values["voltage"] == 53.1

    @pytest.mark.parametrize(("host", "board"), [(0x40, 2), (0x41, 1), (0x41, 3), (0x80, 0x41), (0x40, 0)])
    def test_another_boards_answer_is_refused(self, host: int, board: int) -> None:
        assert refusal("pack", frame(0x90, "0213000075300301", board), host=host) == {"address"}

    @pytest.mark.parametrize(("host", "board"), [(0x40, 1), (0x41, 2), (0x4F, 16), (0x80, 1)])
    def test_board_n_answers_with_its_number_and_bluetooth_gets_the_first(self, host: int, board: int) -> None:
        assert answer("pack", frame(0x90, "0213000075300301", board), host=host)["voltage"] == 53.1

    def test_answer_to_another_question_is_refused(self) -> None:
        assert refusal("pack", frame(0x91, bytes(8))) == {"command"}

    def test_answer_to_the_question_before_is_passed_over(self) -> None:
        reader = ask("status")
        reader.ask(DRIVER.question("pack"))
        reader.receive(frame(0x93, "0001010000000000") + frame(0x90, "0213000075300301"))
        assert reader.answer()["voltage"] == 53.1
        assert reader.take_refused() == []

    @pytest.mark.parametrize("stray", [b"\x0a", b"\xa5", b"\xa5\x01\x90", b"\x00\xff\x55\xaa" * 3])
    def test_stray_bytes_before_and_after_do_no_harm(self, stray: bytes) -> None:
        reader = ask("pack")
        reader.receive(stray + frame(0x90, "0213000075300301") + stray)
        assert reader.answer()["voltage"] == 53.1

    def test_wrong_checksum_is_refused(self) -> None:
        good = frame(0x90, "0213000075300301")
        for at in range(4, 13):
            broken = bytearray(good)
            broken[at] ^= 0x04
            assert "checksum" in refusal("pack", bytes(broken)), at

    def test_length_byte_other_than_8_is_no_frame(self) -> None:
        body = bytes.fromhex("a50190090213000075300301")
        assert refusal("pack", body + bytes((sum(body) % 256,)))

    def test_silence_is_a_timeout(self) -> None:
        with pytest.raises(ReplyTimeout) as timeout:
            ask("pack").answer()
        assert (timeout.value.cause, timeout.value.heard) == ("timeout", 0)


class TestDecode:
    def test_earlier_frames_help_with_later_ones(self) -> None:
        stream = frame(0x94, "1001000002000c00") + b"".join(cells(SIXTEEN + JUNK))
        assert decode_capture(DRIVER, stream)[-1].values == {"cell_voltages": VOLTS}

    def test_charging_word_of_the_same_capture_decides_the_sign(self) -> None:
        pack = frame(0x90, "0213 0000 753a 02fd")
        for word, current in (("00", 1.0), ("01", 1.0), ("02", -1.0)):
            status = frame(0x93, word + "01010000000000")
            assert [decode_capture(DRIVER, stream)[at].values["current"] for stream, at in
                    ((pack + status, 0), (status + pack, 1))] == [current, current], word  # fmt: skip

    def test_unknown_command_is_an_error_and_no_end(self) -> None:
        unknown, known = decode_capture(DRIVER, frame(0x42, bytes(8)) + frame(0x98, bytes(8)))
        assert "0x42" in str(unknown.error)
        assert known.message == "alarms"

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"hello", "No Daly"),
            (frame(0x90, bytes(8))[:9], "cut off after 9 bytes"),
            (frame(0x90, bytes(8))[:-1] + b"\x00", "checksum is wrong"),
        ],
    )
    def test_what_is_no_frame_is_told_in_words(self, data: bytes, reason: str) -> None:
        (decoded,) = decode_capture(DRIVER, data)
        assert reason in str(decoded.error)
        assert decoded.message is None

    def test_place_without_host_takes_any_board(self) -> None:
        with pytest.raises(UnexpectedReply):
            DRIVER.place(DRIVER.question("pack"), 0x40, frame(0x90, bytes(8), 2))
        assert DRIVER.place(DRIVER.question("pack"), 0, frame(0x90, bytes(8), 2)) == 0
        with pytest.raises(FrameError):
            DRIVER.place(DRIVER.question("cell_voltages"), 0, cells((1, 2, 3), first=17)[0])
