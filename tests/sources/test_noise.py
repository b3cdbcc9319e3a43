"""A line on which bytes are replaced by others, both ways: nothing wrong and nothing old comes out, and most arrives.

A value is wrong when the battery never served it for that field; the emulator notes what it serves before any noise.
All of it runs in virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bridge.battery.model import BatteryState
from tests.sources.conversation import Conversation, conversation
from tests.virtual_time import in_virtual_time

POLLS = 2000
SERVED_AS = {"full_capacity": "rated_capacity"}
COMPARED = (
    "voltage", "current", "soc", "remaining_capacity", "full_capacity", "cycles", "cell_count", "charge_enabled",
    "discharge_enabled", "balancing_cells", "cell_voltages", "temperatures", "alarms",
)  # fmt: skip
OLDEST = {"pack": 4.0, "cell_voltages": 4.0, "status": 4.0}
"""s: the oldest that a fast block may be in a live state polled every second (3 T + 1)."""


def wrong_values(talk: Conversation) -> Iterator[str]:
    for at, state in talk.live():
        for key in COMPARED:
            value = getattr(state, key)
            if value is None or value == ():
                continue
            for field in talk.truth.unknown(SERVED_AS.get(key, key), value):
                yield f"{at:.1f} s: {field} of {value}"


def stale_values(talk: Conversation) -> Iterator[str]:
    for at, state in talk.live():
        for block, oldest in OLDEST.items():
            if at - state.block_times.get(block, at) > oldest + 0.01:
                yield f"{at:.1f} s: {block} is {at - state.block_times[block]:.1f} s old"


def fresh(states: list[tuple[float, BatteryState]], block: str) -> int:
    """Count the states in which a block is newer than one poll."""
    return sum(at - state.block_times.get(block, -99.0) < 1.0 for at, state in states)


async def check_two_percent(seed: int, polls: int) -> None:
    async with conversation(f"seed={seed}") as talk:
        talk.battery.faults.set("corrupt", 0.02)
        await asyncio.sleep(polls)
    assert list(wrong_values(talk)) == []
    assert list(stale_values(talk)) == []
    assert fresh(talk.live(), "pack") >= 0.8 * polls
    assert fresh(talk.live(), "cell_voltages") >= 0.5 * polls
    assert sum(talk.source.statistics().refused.values()) > polls, "there was no noise to speak of"


@pytest.mark.parametrize("seed", range(1, 21))
@in_virtual_time
async def test_two_percent_of_corrupted_bytes_give_no_wrong_and_no_stale_value(seed: int) -> None:
    await check_two_percent(seed, POLLS)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(21, 41))
@in_virtual_time
async def test_a_long_night_of_noise_gives_no_wrong_and_no_stale_value(seed: int) -> None:
    await check_two_percent(seed, 10 * POLLS)


@pytest.mark.parametrize("seed", range(1, 6))
@in_virtual_time
async def test_two_in_a_thousand_corrupted_bytes_cost_next_to_nothing(seed: int) -> None:
    async with conversation(f"seed={seed}") as talk:
        talk.battery.faults.set("corrupt", 0.002)
        await asyncio.sleep(POLLS)
    assert list(wrong_values(talk)) == []
    assert list(stale_values(talk)) == []
    assert fresh(talk.live(), "pack") >= 0.99 * POLLS
    assert fresh(talk.live(), "cell_voltages") >= 0.97 * POLLS
