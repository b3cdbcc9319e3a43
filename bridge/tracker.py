"""Joins what a battery's source accepted into one state and hands it to the hub: the only writer of derived values.

Energy, limits and the bank of several batteries will be computed here too. Knows no protocol and no output.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.battery.derive import UNKNOWN, derive, join
from bridge.hub import Hub
from bridge.interfaces import Clock, Cycle


class Tracker:
    """Turns cycles into states; call it with each."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock

    def __call__(self, cycle: Cycle) -> None:
        """Publish the state that follows from `cycle`; offline, every measured value in it is unknown."""
        state = replace(
            self._hub.latest(cycle.battery), link=cycle.link, time=cycle.time, accepted_at=cycle.accepted_at, **UNKNOWN
        )
        if cycle.link.state.is_online:
            values, device, times = join(cycle.blocks.values(), self._clock.monotonic())
            state = replace(state, block_times=times, device=device, **{**values, **derive(values)})
        self._hub.publish(state)
