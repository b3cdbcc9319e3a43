"""The loop of the tests: its time jumps when nothing else can happen, and only then."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from tests import virtual_time
from tests.virtual_time import NothingLeft, VirtualClock, in_virtual_time, run_in_virtual_time


def test_a_day_of_sleep_takes_no_time() -> None:
    async def sleep() -> float:
        for _ in range(24):
            await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    begin = time.monotonic()

    assert run_in_virtual_time(sleep()) == pytest.approx(86_400)
    assert time.monotonic() - begin < 1


@in_virtual_time
async def test_timers_fire_in_their_order() -> None:
    order: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(number / 10)
        order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in (3, 1, 2):
            group.create_task(note(number))

    assert order == [1, 2, 3]


@in_virtual_time
async def test_timeout_ends_a_wait() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(6)

    assert asyncio.get_running_loop().time() == 5


@in_virtual_time
async def test_time_stands_still_while_a_thread_works() -> None:
    release = threading.Event()
    threading.Timer(0.05, release.set).start()

    async with asyncio.timeout(1):
        await asyncio.to_thread(release.wait, 10)

    assert asyncio.get_running_loop().time() == 0


@in_virtual_time
async def test_bytes_within_the_process_come_before_the_clock_moves() -> None:
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=near)
    far.send(b"answer")

    async with asyncio.timeout(0.001):
        assert await reader.read(10) == b"answer"

    writer.close()
    far.close()


def test_wait_without_any_hope_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(virtual_time, "_DEADLOCK_AFTER", 0.01)
    with pytest.raises(NothingLeft):
        run_in_virtual_time(wait())


@in_virtual_time
async def test_clock_follows_the_loop() -> None:
    clock = VirtualClock(wall=1_000.0)
    await asyncio.sleep(60)

    assert clock.monotonic() == 60
    assert clock.wall() == 1_060.0
    assert VirtualClock(wall=None).wall() is None
