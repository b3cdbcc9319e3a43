"""The wire takes its time, to the microsecond, in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from tests.emulator import daly_sheet as sheet
from tests.emulator.memory import MemoryReader
from tests.virtual_time import in_virtual_time

BYTE = 10 / 9600
FULL_POLL = (0x94, 0x91, 0x92, 0x96, 0x97, 0x98, 0x95, 0x93, 0x90)


@in_virtual_time
async def test_answer_is_there_after_request_latency_and_reply() -> None:
    reader = MemoryReader([("latency", "5")])
    begin = reader.loop.time()

    reply = await reader.ask(sheet.request(0x90))

    assert len(reply) == 13
    # 13 bytes to the device, 5 ms, 13 bytes back
    assert reader.arrivals[-1][0] - begin == pytest.approx(13 * BYTE + 0.005 + 13 * BYTE, abs=1e-6)


@in_virtual_time
async def test_speed_and_latency_are_those_that_were_asked_for() -> None:
    reader = MemoryReader([("latency", "80"), ("baud", "115200")])
    begin = reader.loop.time()

    await reader.ask(sheet.request(0x90))

    assert reader.arrivals[-1][0] - begin == pytest.approx(26 * 10 / 115200 + 0.080, abs=1e-6)


@in_virtual_time
async def test_long_answer_comes_in_pieces_each_when_its_last_byte_is_there() -> None:
    reader = MemoryReader([("latency", "5")])
    begin = reader.loop.time()

    reply = await reader.ask(sheet.request(0x95))

    assert len(reply) == 6 * 13
    arrived = 0
    for at, piece in reader.arrivals:
        assert len(piece) <= 16
        arrived += len(piece)
        assert at - begin == pytest.approx(13 * BYTE + 0.005 + arrived * BYTE, abs=1e-6)


@in_virtual_time
async def test_full_poll_takes_exactly_what_the_wire_demands() -> None:
    reader = MemoryReader([("latency", "5")])
    begin, carried = reader.loop.time(), 0

    for command in FULL_POLL:
        reply = await reader.ask_back_to_back(sheet.request(command), sheet.length(command))
        carried += 13 + len(reply)

    assert carried == 299
    assert reader.loop.time() - begin == pytest.approx(299 * BYTE + 9 * 0.005, abs=1e-6)


@in_virtual_time
async def test_request_that_comes_in_parts_counts_from_its_first_byte() -> None:
    reader = MemoryReader([("latency", "5")])
    request = sheet.request(0x90)
    begin = reader.loop.time()

    reader.write(request[:1])
    await asyncio.sleep(0.0005)  # within the time that one byte takes
    reader.write(request[1:])
    await asyncio.sleep(0.1)

    assert reader.arrivals[-1][0] - begin == pytest.approx(26 * BYTE + 0.005, abs=1e-6)


@in_virtual_time
async def test_request_that_dawdles_counts_from_its_last_part() -> None:
    reader = MemoryReader([("latency", "5")])
    request = sheet.request(0x90)
    reader.write(request[:12])
    await asyncio.sleep(0.1)
    begin = reader.loop.time()

    reader.write(request[12:])
    await asyncio.sleep(0.1)

    assert reader.arrivals[-1][0] - begin == pytest.approx(1 * BYTE + 0.005 + 13 * BYTE, abs=1e-6)


@in_virtual_time
async def test_question_before_the_answer_began_takes_its_place() -> None:
    reader = MemoryReader([("latency", "100")])

    reader.write(sheet.request(0x90))
    await asyncio.sleep(0.050)
    reply = await reader.ask(sheet.request(0x93))

    assert sheet.frames(reply, 0x93)
    assert len(reply) == 13


@in_virtual_time
async def test_question_during_an_answer_is_answered_after_it() -> None:
    reader = MemoryReader([("latency", "5")])
    begin = reader.loop.time()
    reader.write(sheet.request(0x95))
    await asyncio.sleep(13 * BYTE + 0.005 + 2 * BYTE)  # two bytes of the answer are on the wire

    reply = await reader.ask(sheet.request(0x90))

    assert sheet.decode(0x95, reply[:78])
    assert sheet.decode(0x90, reply[78:])
    times = [at for at, _ in reader.arrivals]
    assert times[-1] - begin == pytest.approx(13 * BYTE + 0.005 + (78 + 13) * BYTE, abs=1e-6)


@in_virtual_time
async def test_of_questions_that_waited_together_only_the_last_is_answered() -> None:
    reader = MemoryReader()

    reply = await reader.ask(sheet.request(0x90) + sheet.request(0x91) + sheet.request(0x93))

    assert len(sheet.frames(reply, 0x93)) == 1


@in_virtual_time
async def test_flood_does_not_make_later_questions_wait() -> None:
    reader = MemoryReader([("latency", "5")])

    reader.write(bytes(100_000))  # 104 s on the wire
    await asyncio.sleep(1)
    begin = reader.loop.time()

    assert sheet.decode(0x90, await reader.ask(sheet.request(0x90)))
    assert reader.arrivals[-1][0] - begin == pytest.approx(26 * BYTE + 0.005, abs=1e-6)


@in_virtual_time
async def test_answers_that_are_long_overdue_are_not_sent_any_more() -> None:
    reader = MemoryReader()
    reader.write(sheet.request(0x90))

    reader.loop.jump(30)  # type: ignore[attr-defined]  # this process was halted for half a minute
    await asyncio.sleep(0.5)

    assert reader.arrivals == []
    assert len(await reader.ask(sheet.request(0x90))) == 13


@in_virtual_time
async def test_pieces_never_come_out_of_order_or_early_whatever_is_asked() -> None:
    reader = MemoryReader([("latency", "1")])

    for step in range(60):
        reader.write(sheet.request(FULL_POLL[step % 9]))
        await asyncio.sleep(0.003 * (step % 7))
    await asyncio.sleep(1)

    for (before, _), (after, piece) in pairwise(reader.arrivals):
        assert after - before >= len(piece) * BYTE - 1e-9
