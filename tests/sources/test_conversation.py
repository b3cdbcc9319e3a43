"""What a battery does on its line, and what the source makes of it; in virtual time over a link in memory."""

from __future__ import annotations

import asyncio

import pytest

from bridge.battery.model import LinkState
from tests.sources.conversation import conversation
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_first_reading_arrives_within_one_poll() -> None:
    async with conversation() as talk:
        at = await talk.until(LinkState.OK)
    assert at < 1.0
    assert talk.latest.voltage is not None
    assert len(talk.latest.cell_voltages) == 16


@in_virtual_time
async def test_every_block_is_known_after_five_seconds_and_device_after_ten() -> None:
    async with conversation() as talk:
        await asyncio.sleep(10)
        state = talk.latest
    assert set(state.block_times) >= {"pack", "status", "cell_voltages", "cell_extremes", "temperatures", "alarms"}
    assert [each.name for each in state.temperatures] == ["sensor_1", "sensor_2"]
    assert state.alarms_known
    assert state.device.firmware is not None
    assert state.full_capacity == 280.0


@in_virtual_time
async def test_silent_battery_goes_late_then_silent_and_no_value_is_published_meanwhile() -> None:
    async with conversation() as talk:
        await asyncio.sleep(30)
        talk.battery.faults.set("silence", "on", seconds=30)
        began = asyncio.get_running_loop().time()
        last = talk.latest.accepted_at or 0.0
        late = await talk.until(LinkState.LATE)
        silent = await talk.until(LinkState.SILENT)
        assert 2.0 <= late - last <= 2.1
        assert 4.0 <= silent - last <= 4.1
        state = talk.latest
        assert state.voltage is None
        assert state.cell_voltages == ()
        assert state.accepted_at == last
        assert state.link.error == "bms_data_error"
        assert state.link.advice
        count = len(talk.states)
        await asyncio.sleep(25 - (asyncio.get_running_loop().time() - began))
        assert len(talk.states) == count, "an offline state is told once"
        back = await talk.until(LinkState.OK)
    assert back - (began + 30) <= 2.0


@in_virtual_time
async def test_sleep_echo_is_sleep_and_never_a_reading() -> None:
    async with conversation() as talk:
        await asyncio.sleep(10)
        talk.battery.faults.set("echo", "on")
        await talk.until(LinkState.ASLEEP)
        await asyncio.sleep(60)
        assert talk.latest.link.state is LinkState.ASLEEP
        assert "wake" in (talk.latest.link.advice or "")
    assert all(state.voltage != 0.0 for _, state in talk.states)


@in_virtual_time
async def test_battery_that_never_answers_is_starting_for_ten_seconds_then_silent() -> None:
    async with conversation("fault=silence") as talk:
        await asyncio.sleep(9.5)
        assert talk.latest.link.state is LinkState.STARTING
        assert await talk.until(LinkState.SILENT) == pytest.approx(10.0, abs=1.1)


@in_virtual_time
async def test_unplugged_port_is_told_at_once_and_reopened() -> None:
    async with conversation() as talk:
        await asyncio.sleep(10)
        talk.battery.faults.set("unplug", "on", seconds=20)
        unplugged = await talk.until(LinkState.UNPLUGGED)
        assert unplugged < 11.1
        assert talk.latest.cell_voltages == ()
        back = await talk.until(LinkState.OK)
    assert 30.0 <= back <= 32.1


@in_virtual_time
async def test_wrong_answers_are_refused_and_counted() -> None:
    async with conversation() as talk:
        talk.battery.faults.set("wrong", 0.3)
        await asyncio.sleep(300)
        refused = talk.source.statistics().refused
        values = {state.voltage for _, state in talk.live()}
    assert refused["command"] + refused.get("address", 0) > 50
    assert talk.truth.unknown("voltage", None) or values <= talk.truth.values["voltage"]


@in_virtual_time
async def test_inverted_current_is_learned_and_until_then_unknown() -> None:
    async with conversation("current_sign=inverted") as talk:
        talk.battery.set_current(-20.0)
        await asyncio.sleep(20)
        currents = [state.current for _, state in talk.live()]
    known = [each for each in currents if each is not None]
    assert currents[0] is None
    assert all(each < 0 for each in known)
    assert len(known) > 10


@in_virtual_time
async def test_truncated_bursts_keep_their_intact_frames() -> None:
    async with conversation() as talk:
        talk.battery.faults.set("truncate", 0.3)
        await asyncio.sleep(200)
    complete = sum(at - state.block_times.get("cell_voltages", -99.0) < 1.0 for at, state in talk.live())
    assert complete > 190


@in_virtual_time
async def test_padded_replies_do_not_disturb_the_next_question() -> None:
    async with conversation("padded=1") as talk:
        await asyncio.sleep(60)
        refused = talk.source.statistics().refused
    assert sum(refused.values()) == 0
    assert len(talk.latest.cell_voltages) == 16


@in_virtual_time
async def test_reply_timeout_is_learned() -> None:
    async with conversation() as talk:
        assert talk.source.statistics().reply_timeout == 0.2
        await asyncio.sleep(60)
        learned = talk.source.statistics().reply_timeout
    assert learned == pytest.approx(0.035, abs=0.003)


@in_virtual_time
async def test_battery_without_temperature_sensors_is_read_completely() -> None:
    async with conversation("sensors=0") as talk:
        await asyncio.sleep(15)
        assert talk.source.is_complete
        assert talk.latest.temperatures == ()
        assert talk.source.statistics().cycles > 10


@in_virtual_time
async def test_lost_line_is_told_before_the_next_poll_is_due() -> None:
    async with conversation(poll_interval=60.0) as talk:
        await talk.until(LinkState.OK)
        await asyncio.sleep(5)
        talk.battery.faults.set("unplug", "on", seconds=5)
        began = asyncio.get_running_loop().time()
        assert await talk.until(LinkState.UNPLUGGED) - began < 0.1
        assert await talk.until(LinkState.OK) - began < 7.0


@in_virtual_time
async def test_configured_capacity_takes_the_place_of_what_the_bms_says() -> None:
    async with conversation(capacity=100.0) as talk:
        await asyncio.sleep(10)
        assert talk.latest.full_capacity == 100.0


@in_virtual_time
async def test_structure_is_asked_again_after_a_silence_because_another_bms_may_answer() -> None:
    async with conversation() as talk:
        await asyncio.sleep(20)
        before = talk.latest.block_times["structure"]
        talk.battery.faults.set("silence", "on", seconds=10)
        await talk.until(LinkState.SILENT)
        await talk.until(LinkState.OK)
        assert talk.latest.block_times["structure"] > before + 10
