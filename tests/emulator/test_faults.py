"""Every fault, as a reader meets it, in virtual time."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from bridge.emulator.faults import FAULTS, Fault, Faults, Unit, parse_fault
from bridge.emulator.truth import Memory
from bridge.errors import ConfigError, LinkBusy, LinkLost
from tests.emulator import daly_sheet as sheet
from tests.emulator.memory import MemoryReader
from tests.virtual_time import in_virtual_time

BYTE = 10 / 9600
ASK = sheet.request(0x90)


# --- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("corrupt=0.02", Fault("corrupt", 0.02)),
        ("silence", Fault("silence", 1.0)),
        ("silence=on", Fault("silence", 1.0)),
        ("silence=off", Fault("silence", 0.0)),
        ("silence=0", Fault("silence", 0.0)),
        ("unplug=5", Fault("unplug", 1.0, 5.0)),
        ("junk = 7", Fault("junk", 7.0)),
        ("delay=120", Fault("delay", 120.0)),
    ],
)
def test_fault_is_read_from_its_name_and_value(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("corrupt=2", '"2" does not fit the fault corrupt: it takes a share from 0 to 1.'),
        ("corrupt", '"" does not fit the fault corrupt: it takes a share from 0 to 1.'),
        ("junk=-1", '"-1" does not fit the fault junk: it takes a number of bytes from 0 to 256.'),
        ("silence=perhaps",
         '"perhaps" does not fit the fault silence: it takes on, off, or the seconds for which it lasts.'),
        ("delay=nan", '"nan" does not fit the fault delay: it takes milliseconds.'),
        ("gremlins=1", f'There is no fault "gremlins". There are {", ".join(FAULTS)}.'),
    ],
)  # fmt: skip
def test_mistake_is_told_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_fault(text)

    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", [name for name, (unit, _) in FAULTS.items() if unit is Unit.SWITCH])
def test_switch_that_lasts_some_seconds_ends_by_itself(name: str) -> None:
    now = 100.0
    faults = Faults(clock=lambda: now, chance=random.Random(1))

    faults.set(name, 5)

    now = 104.9
    assert faults.value(name) == 1.0
    assert faults.remaining(name) == pytest.approx(0.1)
    now = 105.0
    assert faults.value(name) == 0.0
    assert faults.names() == ()


def test_set_and_clear_tell_whoever_must_act_at_once() -> None:
    faults = Faults(clock=lambda: 0.0, chance=random.Random(1))
    told: list[tuple[str, ...]] = []
    faults.changed = lambda: told.append(faults.names())

    faults.set("drop", 0.5)
    faults.set("junk", 3, seconds=60)
    faults.set("drop", 0)
    faults.clear()

    assert told == [("drop",), ("drop", "junk"), ("junk",), ()]


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.5])
def test_corrupted_bytes_are_always_other_bytes_at_the_given_rate(rate: float) -> None:
    faults = Faults(clock=lambda: 0.0, chance=random.Random(3))
    faults.set("corrupt", rate)
    clean = bytes(range(256)) * 400

    noisy = faults.noise(clean)

    changed = sum(before != after for before, after in zip(clean, noisy, strict=True))
    assert changed / len(clean) == pytest.approx(rate, rel=0.15)


def test_every_other_byte_can_take_the_place_of_one() -> None:
    faults = Faults(clock=lambda: 0.0, chance=random.Random(3))
    faults.set("corrupt", 1)

    assert set(faults.noise(bytes([0xA5]) * 10_000)) == set(range(256)) - {0xA5}


def test_dropped_bytes_are_missing_and_the_rest_stays_in_order() -> None:
    faults = Faults(clock=lambda: 0.0, chance=random.Random(3))
    faults.set("drop", 0.1)
    clean = bytes(range(250)) * 40

    left = faults.noise(clean)

    assert len(left) == pytest.approx(0.9 * len(clean), rel=0.05)
    source = iter(clean)
    assert all(byte in source for byte in left)  # a subsequence


# --- on the line ------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_silent_battery_answers_nothing_and_comes_back() -> None:
    reader = MemoryReader()
    reader.battery.faults.set("silence", 30)

    assert await reader.ask(ASK, 29) == b""
    await asyncio.sleep(1.1)
    assert sheet.decode(0x90, await reader.ask(ASK))


@in_virtual_time
async def test_echo_sends_the_request_back_within_one_to_five_milliseconds() -> None:
    reader = MemoryReader()
    reader.battery.faults.set("echo")

    for command in (0x90, 0x95):
        begin = reader.loop.time()
        assert await reader.ask(sheet.request(command)) == sheet.request(command)
        assert 0.001 <= reader.arrivals[-1][0] - begin - 26 * BYTE <= 0.005


@in_virtual_time
async def test_sleeping_daly_echoes_until_it_is_woken() -> None:
    reader = MemoryReader()
    reader.battery.faults.set("asleep")
    assert await reader.ask(ASK) == ASK

    reader.battery.faults.set("asleep", "off")

    assert sheet.decode(0x90, await reader.ask(ASK))


@in_virtual_time
async def test_battery_falls_asleep_after_idling_and_current_wakes_it() -> None:
    reader = MemoryReader([("sleep_after", "600")])
    reader.battery.set_current(0.0)
    assert sheet.decode(0x90, await reader.ask(ASK))
    await asyncio.sleep(700)

    assert await reader.ask(ASK) == ASK
    await asyncio.sleep(5)
    assert await reader.ask(ASK) == ASK  # being asked does not wake it

    reader.battery.set_current(-10.0)
    await asyncio.sleep(2)
    assert sheet.decode(0x90, await reader.ask(ASK))["current"] == pytest.approx(-10, abs=0.2)


@in_virtual_time
async def test_idle_battery_that_is_asked_now_and_then_stays_awake() -> None:
    reader = MemoryReader([("sleep_after", "600")])
    reader.battery.set_current(0.0)

    for _ in range(5):
        assert sheet.decode(0x90, await reader.ask(ASK, 400))


@in_virtual_time
async def test_corruption_hits_requests_as_well_as_replies() -> None:
    reader = MemoryReader([("seed", "5")])
    reader.battery.faults.set("corrupt", 0.02)
    silent = broken = intact = 0

    for _ in range(300):
        reply = await reader.ask(ASK)
        try:
            sheet.frames(reply, 0x90)
        except AssertionError:
            broken += 1
            continue
        silent += reply == b""
        intact += reply != b""

    # a frame of 13 bytes survives with 0.98 ** 13 = 77 %; data bytes of a request do not matter, its checksum does
    assert silent == pytest.approx(300 * 0.23, rel=0.35)
    assert broken == pytest.approx(300 * 0.77 * 0.23, rel=0.35)
    assert intact == pytest.approx(300 * 0.77 * 0.77, rel=0.2)


@in_virtual_time
async def test_wrong_answers_are_intact_but_of_another_question_or_board() -> None:
    reader = MemoryReader()
    truth = sheet.decode(0x90, await reader.ask(ASK))
    reader.battery.faults.set("wrong", 1)
    commands, boards = set(), set()

    for _ in range(60):
        reply = await reader.ask(ASK)
        for at in range(0, len(reply), 13):
            frame = reply[at : at + 13]
            assert frame[12] == sum(frame[:12]) % 256
            commands.add(frame[2])
            boards.add(frame[1])
            assert (frame[1], frame[2]) != (1, 0x90)
            if frame[1] == 2:
                assert abs(int.from_bytes(frame[10:12], "big") / 10 - truth["soc"]) > 20  # another battery's charge

    assert boards == {1, 2}
    assert len(commands) > 5


@in_virtual_time
async def test_truncated_bursts_end_early_and_what_came_is_right() -> None:
    reader = MemoryReader()
    reader.battery.set_current(0.0)
    reader.battery.faults.set("truncate", 1)
    lengths = set()

    for _ in range(40):
        reply = await reader.ask(sheet.request(0x95))
        lengths.add(len(reply))
        whole = len(reply) // 13 * 13
        assert 0 < len(reply) < 78
        assert len(sheet.frames(reply[:whole], 0x95)) == whole // 13

    assert len(lengths) > 10


@in_virtual_time
async def test_junk_comes_before_each_answer_and_takes_its_time() -> None:
    reader = MemoryReader([("latency", "5")])
    reader.battery.faults.set("junk", 7)
    begin = reader.loop.time()

    reply = await reader.ask(ASK)

    assert len(reply) == 20
    assert sheet.decode(0x90, reply[7:])
    assert reader.arrivals[-1][0] - begin == pytest.approx((13 + 7 + 13) * BYTE + 0.005, abs=1e-6)


@in_virtual_time
async def test_delay_makes_the_answer_later() -> None:
    reader = MemoryReader([("latency", "5"), ("fault", "delay=300")])
    begin = reader.loop.time()

    await reader.ask(ASK)

    assert reader.arrivals[-1][0] - begin == pytest.approx(26 * BYTE + 0.305, abs=1e-6)


@in_virtual_time
async def test_dropped_bytes_shorten_the_answer_but_not_its_time() -> None:
    reader = MemoryReader([("latency", "5")])
    short = 0

    for _ in range(40):
        reader.battery.faults.set("drop", 0)
        reader.write(sheet.request(0x95))
        reader.arrivals.clear()
        reader.battery.faults.set("drop", 0.05)  # the request came through, the reply suffers
        await asyncio.sleep(0.5)
        short += sum(len(data) for _, data in reader.arrivals) < 78

    assert short > 30


@in_virtual_time
async def test_unplugged_link_is_lost_once_cannot_be_opened_and_returns() -> None:
    reader = MemoryReader()
    reader.battery.faults.set("unplug", 10)

    assert len(reader.lost) == 1
    assert await reader.ask(ASK) == b""
    with pytest.raises(LinkLost):
        reader.connect()

    await asyncio.sleep(10)
    reader.connect()
    assert sheet.decode(0x90, await reader.ask(ASK))
    assert len(reader.lost) == 1


@in_virtual_time
async def test_answer_under_way_is_lost_with_the_plug() -> None:
    reader = MemoryReader()
    reader.write(sheet.request(0x95))
    await asyncio.sleep(0.050)
    heard = len(reader.arrivals)

    reader.battery.faults.set("unplug", 1)
    await asyncio.sleep(5)

    assert 0 < heard == len(reader.arrivals)


@in_virtual_time
async def test_plug_pulled_while_a_request_comes_in_takes_its_answer_along(tmp_path: Path) -> None:
    scenario = tmp_path / "story.toml"
    scenario.write_text('[[step]]\nat = 10\nfault = "unplug=5"\n')
    served = Memory()
    reader = MemoryReader([("scenario", str(scenario))], witness=served)
    await asyncio.sleep(9.995)

    assert await reader.ask(ASK) == b""  # its last byte would have come 8 ms too late

    assert served.values == {}
    assert len(reader.lost) == 1
    await asyncio.sleep(5)
    reader.connect()
    assert sheet.decode(0x90, await reader.ask(ASK))


@in_virtual_time
async def test_second_link_to_the_same_battery_is_refused_until_the_first_closes() -> None:
    reader = MemoryReader()

    with pytest.raises(LinkBusy):
        reader.port.connect()

    reader.link.close()
    reader.connect()
    assert sheet.decode(0x90, await reader.ask(ASK))


@in_virtual_time
async def test_faults_may_change_while_it_runs_and_several_act_together() -> None:
    reader = MemoryReader([("latency", "5")])
    reader.battery.faults.set("junk", 4)
    reader.battery.faults.set("delay", 50)
    begin = reader.loop.time()
    assert len(await reader.ask(ASK)) == 17
    assert reader.arrivals[-1][0] - begin == pytest.approx(30 * BYTE + 0.055, abs=1e-6)

    reader.battery.faults.clear()

    assert sheet.decode(0x90, await reader.ask(ASK))
