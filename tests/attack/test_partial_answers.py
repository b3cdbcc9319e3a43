"""Batteries that answer only some questions, and a machine that stands still for a while."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from bridge.battery.model import LinkState
from tests.attack.line import Pack, reading
from tests.virtual_time import VirtualTimeLoop, in_virtual_time


@pytest.mark.parametrize("poll_interval", [1.0, 2.0, 30.0])
@pytest.mark.parametrize("command", [0x94, 0x95])
def test_voltage_is_read_from_battery_that_tells_no_cells(command: int, poll_interval: float) -> None:
    @in_virtual_time
    async def check() -> None:
        async with reading(Pack(unsupported=(command,)), poll_interval=poll_interval) as line:
            await asyncio.sleep(10 * poll_interval + 10)
            assert line.states[-1][1].voltage == 52.8

    check()


@pytest.mark.parametrize("poll_interval", [1.0, 2.0, 10.0])
def test_battery_without_the_undocumented_answers_stays_online(poll_interval: float) -> None:
    @in_virtual_time
    async def check() -> None:
        pack = Pack(unsupported=(0x50, 0x54, 0x57))
        async with reading(pack, poll_interval=poll_interval) as line:
            await asyncio.sleep(20 * poll_interval + 100)
            states = [state.link.state for _, state in line.states]
            online = states[states.index(LinkState.OK):]
            assert [each for each in online if not each.is_online] == []

    check()


@in_virtual_time
async def test_answer_from_before_a_standstill_is_not_shown_as_fresh() -> None:
    async with reading(Pack(soc=80.0)) as line:
        await asyncio.sleep(5.5)
        loop = cast(VirtualTimeLoop, asyncio.get_running_loop())
        resumed: list[float] = []

        def stand_still(request: bytes) -> bool:
            if request[2] != 0x90 or resumed:
                return False
            answer, link = line.pack.answer(request)[0], line.links[-1]
            line.pack = Pack(soc=20.0)

            def wake() -> None:
                loop.jump(600.0)  # the process was stopped; the answer waits in the system's buffer
                resumed.append(loop.time())
                link.give(answer)

            loop.call_later(0.03, wake)
            return True

        line.meddle = stand_still
        await asyncio.sleep(620)
        assert 80.0 not in {state.soc for state in line.since(resumed[0])}
