"""The hub keeps the newest state of each battery, and nobody who is slow delays anybody."""

from __future__ import annotations

import asyncio

import pytest

from bridge.battery.model import BatteryState, LinkState, LinkStatus
from bridge.hub import Hub, Subscription
from bridge.interfaces import BatteryDescription

OK, SILENT = LinkStatus(state=LinkState.OK), LinkStatus(state=LinkState.SILENT, error="bms_data_error")


def describe(battery: str, *, emulated: bool = False) -> BatteryDescription:
    return BatteryDescription(
        id=battery, name=battery.title(), port="/dev/ttyUSB0", protocol="daly", emulated=emulated, poll_interval=1.0
    )


def state(battery: str = "a", soc: float | None = None, link: LinkStatus = OK) -> BatteryState:
    return BatteryState(battery=battery, soc=soc, link=link)


@pytest.fixture
def hub() -> Hub:
    return Hub([describe("a"), describe("b", emulated=True)])


async def take(subscription: Subscription) -> list[tuple[str, float | None]]:
    async with asyncio.timeout(5):
        return [(each.battery, each.soc) for each in await subscription.next()]


def is_waiting(subscription: Subscription) -> bool:
    """Whether there is nothing to take now."""
    coroutine = subscription.next()
    try:
        coroutine.send(None)
    except StopIteration:
        return False
    coroutine.close()
    return True


def test_before_the_first_reading_each_battery_is_starting_and_all_is_unknown(hub: Hub) -> None:
    assert hub.latest("a") == BatteryState(battery="a", link=LinkStatus(state=LinkState.STARTING))
    assert hub.latest("b").emulated
    assert hub.last_live("a") is None


def test_unknown_battery_is_a_key_error(hub: Hub) -> None:
    with pytest.raises(KeyError):
        hub.latest("c")
    assert hub.last_live("c") is None


def test_last_live_state_survives_going_offline(hub: Hub) -> None:
    live, gone = state(soc=50.0), state(link=SILENT)
    hub.publish(live)
    hub.publish(gone)
    assert (hub.latest("a"), hub.last_live("a")) == (gone, live)


def test_late_counts_as_live_and_a_starting_battery_does_not(hub: Hub) -> None:
    late = state(soc=50.0, link=LinkStatus(state=LinkState.LATE))
    hub.publish(late)
    hub.publish(state(link=LinkStatus(state=LinkState.STARTING)))
    assert hub.last_live("a") == late


async def test_subscriber_begins_with_the_present_state_of_every_battery(hub: Hub) -> None:
    hub.publish(state("b", 40.0))
    with hub.subscribe() as changes:
        assert sorted(await take(changes), key=str) == [("a", None), ("b", 40.0)]
        assert is_waiting(changes)


async def test_subscriber_without_replay_begins_with_the_next_change(hub: Hub) -> None:
    hub.publish(state("a", 40.0))
    with hub.subscribe(replay=False) as changes:
        assert is_waiting(changes)
        hub.publish(state("a", 41.0))
        assert await take(changes) == [("a", 41.0)]


async def test_slow_subscriber_gets_the_newest_state_of_each_battery_once(hub: Hub) -> None:
    with hub.subscribe(replay=False) as changes:
        for soc in range(100):
            hub.publish(state("a", float(soc)))
            hub.publish(state("b", float(-soc)))
        assert await take(changes) == [("a", 99.0), ("b", -99.0)]
        assert is_waiting(changes)


async def test_state_in_which_all_is_unknown_is_delivered(hub: Hub) -> None:
    with hub.subscribe(replay=False) as changes:
        hub.publish(state("a", 50.0))
        await take(changes)
        hub.publish(state("a", None, SILENT))
        async with asyncio.timeout(5):
            (delivered,) = await changes.next()
        assert (delivered.soc, delivered.link) == (None, SILENT)


async def test_subscribers_do_not_take_from_each_other(hub: Hub) -> None:
    with hub.subscribe(replay=False) as first, hub.subscribe(replay=False) as second:
        hub.publish(state("a", 50.0))
        assert await take(first) == [("a", 50.0)]
        hub.publish(state("a", 51.0))
        assert await take(second) == [("a", 51.0)]
        assert await take(first) == [("a", 51.0)]


async def test_waiting_subscriber_wakes_at_the_next_change(hub: Hub) -> None:
    with hub.subscribe(replay=False) as changes:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(take(changes), name="subscriber")
            await asyncio.sleep(0)
            assert not waiting.done()
            hub.publish(state("a", 50.0))
        assert waiting.result() == [("a", 50.0)]


async def test_changes_come_one_state_at_a_time_to_an_async_loop(hub: Hub) -> None:
    seen: list[float | None] = []
    with hub.subscribe(replay=False) as changes:
        hub.publish(state("a", 1.0))
        hub.publish(state("b", 2.0))
        async with asyncio.timeout(5):
            async for each in changes:
                seen.append(each.soc)
                if len(seen) == 2:
                    hub.publish(state("a", 3.0))
                if len(seen) == 3:
                    break
    assert seen == [1.0, 2.0, 3.0]


async def test_ended_subscription_gets_nothing_more(hub: Hub) -> None:
    with hub.subscribe(replay=False) as changes:
        pass
    hub.publish(state("a", 50.0))
    assert is_waiting(changes)


async def test_failing_subscriber_ends_its_subscription(hub: Hub) -> None:
    class BrokenOutputError(Exception):
        pass

    with pytest.raises(BrokenOutputError), hub.subscribe(replay=False) as changes:
        raise BrokenOutputError
    hub.publish(state("a", 50.0))
    assert is_waiting(changes)
