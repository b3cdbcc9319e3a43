"""An emulated battery in time: scenario, orders, variants of the device, and what it served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.emulator.orders import carry_out
from bridge.emulator.truth import Memory
from bridge.errors import ConfigError
from tests.emulator import daly_sheet as sheet
from tests.emulator.memory import MemoryReader
from tests.virtual_time import in_virtual_time


async def read(reader: MemoryReader, command: int = 0x90) -> dict[str, object]:
    return sheet.decode(command, await reader.ask(sheet.request(command)))


@in_virtual_time
async def test_any_fill_any_host_and_stray_bytes_are_accepted() -> None:
    reader = MemoryReader()

    for request in (
        sheet.request(0x90, fill=0xAA),
        sheet.request(0x90, host=0x80),
        sheet.request(0x90, host=0x20),
        b"\x0a\x00\xa5" + sheet.request(0x90) + b"\x0a",
    ):
        assert sheet.decode(0x90, await reader.ask(request))


@in_virtual_time
async def test_other_boards_and_unknown_commands_get_no_answer() -> None:
    reader = MemoryReader()

    assert await reader.ask(sheet.request(0x90, host=0x41)) == b""
    assert await reader.ask(sheet.request(0x77)) == b""
    broken = bytearray(sheet.request(0x90))
    broken[12] ^= 1
    assert await reader.ask(bytes(broken)) == b""


@in_virtual_time
async def test_board_two_answers_as_board_two() -> None:
    reader = MemoryReader([("address", "2")])

    assert await reader.ask(sheet.request(0x90)) == b""
    assert sheet.frames(await reader.ask(sheet.request(0x90, host=0x41)), 0x90, board=2)


@in_virtual_time
async def test_padded_replies_and_frames_from_zero_are_served_on_demand() -> None:
    reader = MemoryReader([("padded", "1"), ("frame_origin", "0")])

    cells = sheet.frames(await reader.ask(sheet.request(0x95), 1), 0x95)
    sensors = sheet.frames(await reader.ask(sheet.request(0x96), 1), 0x96)

    assert [row[0] for row in cells] == list(range(16))
    assert cells[6][1:7] == bytes(6)
    assert len(sensors) == 3


@in_virtual_time
async def test_inverted_sign_changes_the_wire_and_not_the_truth() -> None:
    memory = Memory()
    reader = MemoryReader([("current_sign", "inverted")], witness=memory)
    reader.battery.set_current(-50.0)

    assert (await read(reader))["current"] == pytest.approx(50, abs=0.2)
    assert list(memory.values["current"]) == pytest.approx([-50], abs=0.2)


@in_virtual_time
async def test_questions_shortly_after_each_other_are_answered_from_one_measurement() -> None:
    reader = MemoryReader()
    reader.battery.set_current(-80.0)

    for _ in range(10):
        await asyncio.sleep(1)
        extremes = sheet.decode(0x91, await reader.ask(sheet.request(0x91), 0.05))
        cells = sheet.decode(0x95, await reader.ask(sheet.request(0x95), 0.12))["cell_voltages"]
        assert extremes["cell_voltage_max"] == max(cells)
        assert extremes["cell_voltage_min"] == min(cells)
        assert cells[extremes["cell_max_number"] - 1] == max(cells)


@in_virtual_time
async def test_battery_lives_on_while_nobody_asks() -> None:
    reader = MemoryReader([("soc", "50"), ("capacity", "100")])
    reader.battery.set_current(-10.0)
    await asyncio.sleep(3600)

    assert (await read(reader))["soc"] == pytest.approx(40.0, abs=0.11)


@in_virtual_time
async def test_day_of_the_household_goes_on_without_a_scenario() -> None:
    reader = MemoryReader()
    currents = []
    for _ in range(48):
        await asyncio.sleep(1800)
        currents.append(reader.battery.values()["current"])

    assert min(currents) < -3
    assert max(currents) > 3


@in_virtual_time
async def test_scenario_happens_at_its_moments(tmp_path: Path) -> None:
    scenario = tmp_path / "story.toml"
    scenario.write_text("""
        [[step]]
        at = 0
        current = 0
        [[step]]
        at = 10
        current = -40
        soc = 30
        for = 20
        [[step]]
        at = 40
        temperature = 5
        fault = "silence"
        for = 10
        [[step]]
        at = 60
        fault = "unplug=5"
    """)
    reader = MemoryReader([("scenario", str(scenario))])

    await asyncio.sleep(9 - reader.loop.time())
    assert (await read(reader))["current"] == 0.0

    await asyncio.sleep(12 - reader.loop.time())
    assert await read(reader) == {
        "voltage": pytest.approx(52.2, abs=0.5),
        "current": pytest.approx(-40, abs=0.2),
        "soc": pytest.approx(30, abs=0.1),
    }

    await asyncio.sleep(41 - reader.loop.time())
    assert await reader.ask(sheet.request(0x96)) == b""
    await asyncio.sleep(50.5 - reader.loop.time())
    assert all(19 <= each <= 23 for each in (await read(reader, 0x96))["temperatures"])  # type: ignore[attr-defined]

    await asyncio.sleep(60.1 - reader.loop.time())
    assert len(reader.lost) == 1
    await asyncio.sleep(65.1 - reader.loop.time())
    reader.connect()
    assert await read(reader)


@in_virtual_time
async def test_tripped_protection_is_seen_on_the_wire() -> None:
    reader = MemoryReader()
    carry_out(reader.battery, "temperature -5")
    carry_out(reader.battery, "current 30")
    await asyncio.sleep(5)

    alarms = sheet.frames(await reader.ask(sheet.request(0x98)), 0x98)[0]
    status = await read(reader, 0x93)

    assert alarms[1] & 0b1000  # charge temperature too low, level 2
    assert status["charge_enabled"] is False
    assert status["discharge_enabled"] is True
    assert (await read(reader))["current"] == 0.0


@in_virtual_time
async def test_orders_are_carried_out_at_once() -> None:
    reader = MemoryReader()

    carry_out(reader.battery, "current -20\n")
    carry_out(reader.battery, "soc 50")
    values = await read(reader)
    assert values["current"] == pytest.approx(-20, abs=0.2)
    assert values["soc"] == pytest.approx(50, abs=0.1)

    carry_out(reader.battery, "temperature -12.0")
    assert all(-14 <= each <= -10 for each in (await read(reader, 0x96))["temperatures"])  # type: ignore[attr-defined]

    carry_out(reader.battery, "fault silence for 5")
    assert await reader.ask(sheet.request(0x90)) == b""
    carry_out(reader.battery, "fault none")
    assert await read(reader)

    carry_out(reader.battery, "")
    carry_out(reader.battery, "current day")
    await asyncio.sleep(2)
    assert (await read(reader))["current"] != pytest.approx(-20, abs=0.2)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("current x", '"x" is no number from -5000 to 5000.'),
        ("soc 101", '"101" is no number from 0 to 100.'),
        ("fault silense", 'There is no fault "silense". Did you mean "silence"?'),
    ],
)
def test_order_that_makes_no_sense_is_told(line: str, sentence: str) -> None:
    @in_virtual_time
    async def order() -> None:
        carry_out(MemoryReader().battery, line)

    with pytest.raises(ConfigError) as caught:
        order()
    assert str(caught.value) == sentence


def test_unknown_order_names_the_known_ones() -> None:
    @in_virtual_time
    async def order() -> None:
        carry_out(MemoryReader().battery, "dance")

    with pytest.raises(ConfigError, match=r'^"dance" is no order. There are: fault NAME'):
        order()


@in_virtual_time
async def test_same_seed_serves_the_same_bytes() -> None:
    async def story(seed: str) -> list[bytes]:
        reader = MemoryReader([("seed", seed), ("fault", "corrupt=0.05")])
        return [await reader.ask(sheet.request(command)) for command in (0x94, 0x95, 0x90) * 5]

    # each story begins at another moment of the loop's time: only what passed since its own start counts
    first, again, other = await story("4"), await story("4"), await story("5")
    assert first == again
    assert first != other
