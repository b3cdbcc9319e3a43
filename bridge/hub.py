"""The latest state of every battery, and who wants to know of changes.

Subscribers get the newest state of each battery that changed since they last asked: a slow one misses intermediate
states, never the newest, and delays nobody. Knows nothing of sources or outputs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager

from bridge.battery.model import BatteryState
from bridge.interfaces import BatteryDescription


class Subscription:
    """The changes that one output has not seen yet, one state per battery."""

    def __init__(self) -> None:
        self._pending: dict[str, BatteryState] = {}
        self._changed = asyncio.Event()

    def offer(self, state: BatteryState) -> None:
        """Keep `state` as the newest of its battery."""
        self._pending[state.battery] = state
        self._changed.set()

    async def next(self) -> tuple[BatteryState, ...]:
        """Wait until something changed and return the newest state of each battery that did."""
        await self._changed.wait()
        self._changed.clear()
        changed = tuple(self._pending.values())
        self._pending.clear()
        return changed

    async def __aiter__(self) -> AsyncIterator[BatteryState]:
        while True:
            for state in await self.next():
                yield state


class Hub:
    """Holds the latest state of each battery and hands changes to subscribers."""

    def __init__(self, descriptions: Iterable[BatteryDescription]) -> None:
        self.descriptions: Mapping[str, BatteryDescription] = {each.id: each for each in descriptions}
        self._latest = {
            each.id: BatteryState(battery=each.id, emulated=each.emulated) for each in self.descriptions.values()
        }
        self._last_live: dict[str, BatteryState] = {}
        self._subscriptions: set[Subscription] = set()

    def latest(self, battery: str) -> BatteryState:
        """Return the newest state (a `starting` one before the first reading). KeyError for an unknown battery."""
        return self._latest[battery]

    def last_live(self, battery: str) -> BatteryState | None:
        """Return the newest state whose link was online, or None."""
        return self._last_live.get(battery)

    def publish(self, state: BatteryState) -> None:
        """Make `state` the latest of its battery and tell every subscriber."""
        self._latest[state.battery] = state
        if state.link.state.is_online:
            self._last_live[state.battery] = state
        for subscription in self._subscriptions:
            subscription.offer(state)

    @contextmanager
    def subscribe(self, *, replay: bool = True) -> Iterator[Subscription]:
        """Give a subscription that begins with the present state of every battery (`replay`), until the block ends."""
        subscription = Subscription()
        if replay:
            for state in self._latest.values():
                subscription.offer(state)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
