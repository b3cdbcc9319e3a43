"""`emulated://` inside a running bridge: opened through the bus like any other port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bridge.bus import Bus, open_serial
from bridge.emulator.service import EmulatorService
from bridge.emulator.truth import Memory
from bridge.errors import ConfigError, LinkBusy, LinkLost
from bridge.interfaces import LinkOptions
from tests.emulator import daly_sheet as sheet
from tests.virtual_time import VirtualClock, in_virtual_time

OPTIONS = LinkOptions(baudrate=9600)


@contextlib.asynccontextmanager
async def running(witness: Memory | None = None) -> AsyncIterator[EmulatorService]:
    """Run the service in a task of its own for as long as the block lasts."""
    service = EmulatorService(clock=VirtualClock(), open_port=open_serial, witness=witness)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run(), name="emulator")
        await asyncio.sleep(0)
        try:
            yield service
        finally:
            task.cancel()


async def ask(bus: Bus, command: int) -> bytes:
    """Return the reply to a command."""
    heard = bytearray()

    def receive(data: bytes) -> bool:
        heard.extend(data)
        return len(heard) >= sheet.length(command)

    transaction = await bus.transaction(sheet.request(command), receive, patience=3.0)
    assert transaction.is_complete
    return bytes(heard)


async def test_battery_on_a_pseudo_terminal_is_read_like_a_real_port() -> None:
    memory = Memory()
    async with running(memory) as service:
        bus = Bus("emulated://daly?latency=1&baud=19200", OPTIONS, {"emulated": service})

        voltage = sheet.decode(0x90, await ask(bus, 0x90))["voltage"]

        assert memory.values["voltage"] == {voltage}
        assert bus.needs_pause is False
        bus.close()


@in_virtual_time
async def test_battery_in_memory_is_read_in_virtual_time() -> None:
    async with running() as service:
        loop = asyncio.get_running_loop()
        bus = Bus("emulated://daly?pty=0&latency=5", OPTIONS, {"emulated": service})
        begin = loop.time()

        assert sheet.decode(0x95, await ask(bus, 0x95))

        assert bus.needs_pause is False
        assert loop.time() - begin == pytest.approx((13 + 78) * 10 / 9600 + 0.005, abs=1e-6)
        bus.close()


@in_virtual_time
async def test_battery_lives_on_between_links() -> None:
    async with running() as service:
        url = "emulated://daly?pty=0&soc=50&capacity=100"
        bus = Bus(url, OPTIONS, {"emulated": service})
        service.battery(url).set_current(-10.0)
        await ask(bus, 0x90)
        bus.close()
        await asyncio.sleep(3600)

        assert sheet.decode(0x90, await ask(bus, 0x90))["soc"] == pytest.approx(40, abs=0.1)
        bus.close()


@in_virtual_time
async def test_two_users_of_one_url_are_told() -> None:
    async with running() as service:
        first = await service("emulated://daly?pty=0", OPTIONS)

        with pytest.raises(LinkBusy, match=r"in use already\. Give each battery a seed of its own"):
            await service("emulated://daly?pty=0", OPTIONS)

        other = await service("emulated://daly?pty=0&seed=2", OPTIONS)
        first.close()
        other.close()


@in_virtual_time
async def test_unplugged_battery_cannot_be_opened_until_it_returns() -> None:
    async with running() as service:
        url = "emulated://daly?pty=0"
        bus = Bus(url, OPTIONS, {"emulated": service})
        await ask(bus, 0x90)

        service.battery(url).faults.set("unplug", 5)
        with pytest.raises(LinkLost):
            await ask(bus, 0x90)
        with pytest.raises(LinkLost):
            await ask(bus, 0x90)

        await asyncio.sleep(5)
        assert await ask(bus, 0x90)
        bus.close()


async def test_unplugged_pseudo_terminal_is_lost_and_returns() -> None:
    async with running() as service:
        url = "emulated://daly?latency=1"
        bus = Bus(url, OPTIONS, {"emulated": service})
        await ask(bus, 0x90)

        service.battery(url).faults.set("unplug")
        with pytest.raises(LinkLost):
            await ask(bus, 0x90)
        with pytest.raises(LinkLost):
            await ask(bus, 0x90)

        service.battery(url).faults.clear()
        assert await ask(bus, 0x90)
        bus.close()


@in_virtual_time
async def test_mistake_in_the_url_is_told_when_it_is_opened() -> None:
    async with running() as service:
        with pytest.raises(ConfigError, match='Did you mean "cells"'):
            await service("emulated://daly?cels=4", OPTIONS)


@in_virtual_time
async def test_batteries_end_with_the_service() -> None:
    async with running() as service:
        link = await service("emulated://daly?pty=0", OPTIONS)
        lost: list[Exception | None] = []
        link.start(bytearray().extend, lost.append)

    assert len(lost) == 1


@in_virtual_time
async def test_many_batteries_are_answered_side_by_side() -> None:
    async with running() as service:
        buses = [
            Bus(f"emulated://daly?pty=0&latency=5&seed={seed}", OPTIONS, {"emulated": service}) for seed in range(64)
        ]
        begin = asyncio.get_running_loop().time()

        replies = await asyncio.gather(*(ask(bus, 0x95) for bus in buses))

        assert asyncio.get_running_loop().time() - begin == pytest.approx((13 + 78) * 10 / 9600 + 0.005, abs=1e-6)
        assert len({tuple(sheet.decode(0x95, reply)["cell_voltages"]) for reply in replies}) == 64
        for bus in buses:
            bus.close()
