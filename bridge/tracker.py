"""Joins what a battery's source accepted into one state and hands it to the hub: the only writer of derived values.

Energy, limits and the bank of several batteries will be computed here too. Knows no protocol and no output.
"""

from __future__ import annotations

from bridge.battery.derive import derive, join
from bridge.battery.model import BatteryState
from bridge.hub import Hub
from bridge.interfaces import Clock, Cycle


class Tracker:
    """Turns cycles into states; call it with each."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock

    def __call__(self, cycle: Cycle) -> None:
        """Publish the state that follows from `cycle`; offline, every measured value in it is unknown."""
        emulated = self._hub.descriptions[cycle.battery].emulated
        before = self._hub.latest(cycle.battery)
        if not cycle.link.state.is_online:
            self._hub.publish(
                BatteryState(
                    battery=cycle.battery,
                    emulated=emulated,
                    link=cycle.link,
                    time=cycle.time,
                    accepted_at=cycle.accepted_at,
                    device=before.device,
                )
            )
            return
        values, device, times = join(cycle.blocks.values(), self._clock.monotonic())
        self._hub.publish(
            BatteryState(
                battery=cycle.battery,
                emulated=emulated,
                link=cycle.link,
                time=cycle.time,
                accepted_at=cycle.accepted_at,
                block_times=times,
                device=device,
                **{**values, **derive(values)},
            )
        )
