"""Another battery at the same line: nothing of the one before may be shown as its own."""

from __future__ import annotations

import asyncio

import pytest

from bridge.battery.model import LinkState
from tests.attack.line import Pack, reading
from tests.virtual_time import in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_capacity_of_battery_before_the_silence_is_not_shown_for_the_next_one() -> None:
    async with reading(Pack(capacity=280.0)) as line:
        await asyncio.sleep(20)
        line.pack = Pack(is_silent=True)
        await asyncio.sleep(60)
        line.pack, back = Pack(cells=8, capacity=100.0), now()
        await asyncio.sleep(30)
        assert {state.full_capacity for state in line.since(back)} <= {None, 100.0}


@in_virtual_time
async def test_battery_that_listens_to_the_other_address_is_found_after_a_swap() -> None:
    async with reading(Pack(host=0x40)) as line:
        await asyncio.sleep(10)
        line.unplug()
        await asyncio.sleep(5)
        line.pack, line.is_plugged = Pack(host=0x80), True
        await asyncio.sleep(60)
        assert line.states[-1][1].link.state is LinkState.OK


@pytest.mark.parametrize("poll_interval", [1.0, 30.0])
def test_port_that_came_back_without_a_battery_is_not_online(poll_interval: float) -> None:
    @in_virtual_time
    async def check() -> None:
        async with reading(Pack(), poll_interval=poll_interval) as line:
            await asyncio.sleep(3 * poll_interval + 1)
            line.unplug()
            gone = now()
            await asyncio.sleep(1.5)
            line.pack, line.is_plugged = Pack(is_silent=True), True
            await asyncio.sleep(4 * poll_interval + 5)
            assert not [state.link.state for state in line.since(gone) if state.link.state.is_online]

    check()


@in_virtual_time
async def test_sign_learned_from_another_battery_does_not_turn_the_current_around_for_ever() -> None:
    async with reading(Pack(current=20.0, word=1), learned_sign="inverted") as line:  # it charges, and says so
        await asyncio.sleep(60)
        assert line.states[-1][1].current in (None, 20.0)
