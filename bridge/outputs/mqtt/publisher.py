"""What goes out for each battery: its state, what the broker keeps of it, plain values and alarm events.

Live values are never kept by the broker (unless `retain_values` asks for it), and what is unknown is sent as unknown.
Knows the connection only as something that sends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from bridge.battery.model import NO_TIMES, Alarm, BatteryState, LinkStatus
from bridge.battery.quantities import BY_KEY, QUANTITIES, Shape
from bridge.config import MqttSection
from bridge.documents.homeassistant import ALARM_EVENTS
from bridge.documents.reading import link_document, reading_document, timestamp
from bridge.documents.topics import Topics
from bridge.hub import Hub
from bridge.interfaces import BatteryDescription, Clock
from bridge.outputs.mqtt.connection import LiveProperties

DOCUMENT: Final = LiveProperties(expiry=None)
"""Properties of JSON that does not grow old."""
_SHORTEST_EXPIRY = 3
_EARLY = 0.1
"""Part of the publish interval by which a state may come early: readings are never exactly on time."""
_PLAIN = tuple(each for each in QUANTITIES if each.shape in (Shape.NUMBER, Shape.FLAG))
_CELL_DIGITS = BY_KEY["cell_voltages"].digits

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class Sender(Protocol):
    """The part of a connection that this module uses."""

    def send(
        self, topic: str, payload: bytes | str | None, *, qos: int = 0, retain: bool = False,
        properties: LiveProperties | None = None,
    ) -> None:
        """Send now, without waiting for an answer."""
        ...


@dataclass(slots=True)
class _Sent:
    """What the present connection has carried for one battery."""

    link: LinkStatus | None = None
    availability: bool | None = None
    alarms: tuple[Alarm, ...] | None = None
    accepted_at: float | None = None
    block_times: Mapping[str, float] = field(default_factory=lambda: NO_TIMES)
    has_values: bool = False
    """Whether a state with values went out that a state without has to follow."""
    due: float = 0.0
    """Monotonic seconds from which the next state may go out."""
    values: dict[str, str] = field(default_factory=dict)
    """Plain values by topic, "" where unknown."""


class Publisher:
    """Sends what changed of each battery, and everything to a broker that may have forgotten it."""

    def __init__(self, *, settings: MqttSection, topics: Topics, hub: Hub, clock: Clock) -> None:
        self._settings = settings
        self.topics = topics
        self._hub = hub
        self._clock = clock
        self._sent: dict[str, _Sent] = {}
        self._known_alarms: dict[str, frozenset[Alarm]] = {}
        expiries = {each.id: expiry(each, settings.publish_interval) for each in hub.descriptions.values()}
        self._for_states = {battery: LiveProperties(expiry=each) for battery, each in expiries.items()}
        self._for_values = {
            battery: LiveProperties(expiry=each, content_type=None) for battery, each in expiries.items()
        }
        self.kept: set[str] = set()
        """Topics on which the broker keeps something of ours."""

    def announce(self, sender: Sender) -> None:
        """Send what the broker keeps of every battery; `announce_states` has to follow."""
        states = [self._hub.latest(battery) for battery in self._hub.descriptions]
        self._sent = {state.battery: _Sent(values=self._values_of(state.battery)) for state in states}
        for state in states:
            sent = self._sent[state.battery]
            self._send_link(sender, state, sent)
            self._send_availability(sender, state, sent)
            self._send_alarms(sender, state, sent)

    def announce_states(self, sender: Sender) -> None:
        """Send the newest state of every battery, also of one that is lost: subscribers shall forget its values."""
        for battery, sent in self._sent.items():
            state = self._hub.latest(battery)
            if state.link.state.is_online or self._hub.last_live(battery) is not None:
                self._send_state(sender, state, sent)

    def publish(self, sender: Sender, state: BatteryState) -> None:
        """Send what is new in `state`; nothing if it was sent already."""
        sent = self._sent.setdefault(state.battery, _Sent())
        if not state.link.state.is_online:
            if sent.has_values:
                self._send_state(sender, state, sent)
            self._send_alarms(sender, state, sent)
            self._send_availability(sender, state, sent)
            self._send_link(sender, state, sent)
            return
        self._send_link(sender, state, sent)
        self._send_availability(sender, state, sent)
        is_alarm_new = self._send_alarms(sender, state, sent)
        is_new = state.accepted_at != sent.accepted_at or state.block_times != sent.block_times
        if is_new and (is_alarm_new or self._is_due(sent)):
            self._send_state(sender, state, sent)

    def leave(self, sender: Sender) -> None:
        """Say that nothing of what was sent is live any more."""
        for battery, sent in self._sent.items():
            for topic in [topic for topic, text in sent.values.items() if text]:
                self._send_value(sender, topic, "", sent)
            self._keep(sender, self.topics.availability(battery), "offline")

    def _is_due(self, sent: _Sent) -> bool:
        return self._clock.monotonic() >= sent.due - _EARLY * self._settings.publish_interval

    def _keep(
        self, sender: Sender, topic: str, payload: bytes | str, properties: LiveProperties | None = None
    ) -> None:
        self.kept.add(topic)
        sender.send(topic, payload, qos=1, retain=True, properties=properties)

    def _send_link(self, sender: Sender, state: BatteryState, sent: _Sent) -> None:
        if state.link != sent.link:
            sent.link = state.link
            self._keep(sender, self.topics.link(state.battery), encode(link_document(state.link)), DOCUMENT)

    def _send_availability(self, sender: Sender, state: BatteryState, sent: _Sent) -> None:
        is_online = state.link.state.is_online
        if is_online is not sent.availability:
            sent.availability = is_online
            self._keep(sender, self.topics.availability(state.battery), "online" if is_online else "offline")

    def _send_alarms(self, sender: Sender, state: BatteryState, sent: _Sent) -> bool:
        """Send the set of alarms if it changed, with an event for each that came or went."""
        alarms = state.alarms if state.link.state.is_online else ()
        is_new = alarms != sent.alarms
        if is_new:
            sent.alarms = alarms
            document = [{"code": each.code, "level": each.level.value, "cell": each.cell} for each in alarms]
            self._keep(sender, self.topics.alarms(state.battery), encode(document), DOCUMENT)
        if state.alarms_known and state.link.state.is_online:
            now = frozenset(alarms)
            before = self._known_alarms.get(state.battery, now)
            self._known_alarms[state.battery] = now
            if now != before:
                self._send_events(sender, state.battery, raised=now - before, cleared=before - now)
        return is_new

    def _send_events(
        self, sender: Sender, battery: str, *, raised: frozenset[Alarm], cleared: frozenset[Alarm]
    ) -> None:
        time = timestamp(self._clock.wall())
        for event_type, alarms in zip(ALARM_EVENTS, (raised, cleared), strict=True):
            for each in sorted(alarms, key=lambda alarm: (alarm.code, alarm.cell or 0)):
                document = {
                    "event_type": event_type, "time": time,
                    "code": each.code, "level": each.level.value, "cell": each.cell,
                }
                sender.send(self.topics.event(battery), encode(document), qos=1, properties=DOCUMENT)

    def _send_state(self, sender: Sender, state: BatteryState, sent: _Sent) -> None:
        now = self._clock.monotonic()
        document = reading_document(state, now)
        sender.send(self.topics.state(state.battery), encode(document), properties=self._for_states[state.battery])
        sent.accepted_at = state.accepted_at
        sent.block_times = state.block_times
        sent.has_values = state.link.state.is_online
        interval = self._settings.publish_interval
        is_on_time = abs(now - sent.due) <= _EARLY * interval
        sent.due = (sent.due if is_on_time else now) + interval
        if self._settings.values:
            self._send_values(sender, state, document, sent)

    # Plain values, one topic each

    def _send_values(self, sender: Sender, state: BatteryState, document: Mapping[str, Any], sent: _Sent) -> None:
        values = dict(_plain_values(self.topics, state, document)) if state.link.state.is_online else {}
        values |= {topic: "" for topic in sent.values if topic not in values}
        for topic, text in values.items():
            if text or sent.values.get(topic):  # unknown is said once
                self._send_value(sender, topic, text, sent)

    def _send_value(self, sender: Sender, topic: str, text: str, sent: _Sent) -> None:
        sent.values[topic] = text
        retain = self._settings.retain_values
        if retain and text:
            self.kept.add(topic)
        elif retain:
            self.kept.discard(topic)
        battery = topic.split("/")[2]
        sender.send(topic, text, retain=retain, properties=self._for_values[battery])

    def _values_of(self, battery: str) -> dict[str, str]:
        """Return what subscribers may believe: what went out before, over whichever connection."""
        return self._sent[battery].values if battery in self._sent else {}


def expiry(battery: BatteryDescription, publish_interval: float) -> int:
    """Return after how many seconds a broker of version 5 drops a state that it could not deliver."""
    return max(_SHORTEST_EXPIRY, math.ceil(3 * max(battery.poll_interval, publish_interval)))


def _plain_values(topics: Topics, state: BatteryState, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give every value of a reading as text: dot for the decimals, no unit, "" where unknown."""
    battery = state.battery
    yield topics.value(battery, "age"), _text(document["age"])
    for quantity in _PLAIN:
        yield topics.value(battery, quantity.key), _text(document[quantity.key])
    for each in state.temperatures:
        yield topics.value(battery, f"temperature_{each.name}"), _text(each.value)
    for number, voltage in enumerate(state.cell_voltages, 1):
        yield topics.cell(battery, number), "" if voltage is None else f"{voltage:.{_CELL_DIGITS}f}"


def _text(value: float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    return str(value)
