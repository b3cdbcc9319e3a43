"""One connection's worth of publishing: announce, then states, health and answers to Home Assistant until it breaks.

Knows nothing of how the connection came about, nor of what happens after it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiomqtt

from bridge.config import MqttSection
from bridge.documents.bridge import health_document
from bridge.documents.homeassistant import HEALTH_INTERVAL
from bridge.documents.topics import Topics
from bridge.hub import Hub, Subscription
from bridge.interfaces import HealthReader
from bridge.outputs.mqtt.connection import Connection
from bridge.outputs.mqtt.discovery import BRIDGE, Discovery
from bridge.outputs.mqtt.publisher import DOCUMENT, Publisher, encode
from bridge.outputs.mqtt.reasons import ConnectionFailed

_LOGGER = logging.getLogger(__name__)

_BIRTH = b"online"
_OFFLINE = b"offline"
_GOODBYE_DEADLINE = 1.0
_SECOND_HEALTH = 5.0
_BIRTH_DELAY = (1.0, 5.0)
"""s after which Home Assistant's start is answered: at random, so that not every device answers at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long this output waits for what, in s; tests hand in shorter times."""

    health_interval: float = HEALTH_INTERVAL
    """Between two health documents."""
    answer_deadline: float = 10.0
    """For any answer of the broker; for a health document it proves that the connection still carries something."""
    layout_delay: float = 0.5
    """In which what a battery turns out to have is collected into one new document."""
    migration_pause: float = 3.0
    """For Home Assistant to let go of entities that move to another discovery topic."""
    first_delay: float = 1.0
    """Before the first new try after a failure; it doubles with each further one."""


@dataclass(slots=True, kw_only=True)
class Session:
    """Publishes over one connection."""

    connection: Connection
    settings: MqttSection
    topics: Topics
    publisher: Publisher
    discovery: Discovery
    hub: Hub
    health: HealthReader
    random: random.Random
    info: Callable[[], bytes]
    """Gives the document that says who the bridge is."""
    timing: Timing
    in_use: frozenset[str]
    """The topics, other than discovery, on which the broker always keeps something of ours."""
    _is_born: bool = False
    """Whether Home Assistant has started since the last announcement."""
    _changed: dict[str, None] = field(default_factory=dict)
    """Owners of discovery documents that have to be sent again, in order."""
    _is_due: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Publish until the connection breaks; raises what broke it, alone or in a group."""
        with self.hub.subscribe(replay=False) as changes:
            await self._announce()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="mqtt incoming")
                group.create_task(self._report_health(), name="mqtt health")
                group.create_task(self._announce_again(), name="mqtt discovery")
                await self._publish(changes)

    async def leave(self) -> None:
        """Say that nothing is live any more: the will is not sent for a bridge that takes its leave."""
        availability = self.topics.bridge_availability
        try:
            self.publisher.leave(self.connection)
            async with asyncio.timeout(_GOODBYE_DEADLINE):
                await self.connection.send_and_confirm(availability, "offline", retain=True)
                # It comes back to us once it has been dealt with: amqtt drops what is left when a client goes.
                async for message in self.connection.messages:
                    if message.topic.value == availability and message.payload == _OFFLINE:
                        break
            await self.discovery.remember(self._kept())
        except (aiomqtt.MqttError, ConnectionFailed, TimeoutError):
            _LOGGER.debug("The broker did not hear our goodbye")

    async def _announce(self) -> None:
        """Send everything: discovery, then what is available, then states."""
        for battery in self.hub.descriptions:
            self.discovery.learn(self.hub.latest(battery))
        await self.discovery.announce(self.connection, self.topics, kept=self._kept())
        self.connection.send(self.topics.bridge_info, self.info(), qos=1, retain=True, properties=DOCUMENT)
        self.publisher.announce(self.connection)
        await self.connection.send_and_confirm(self.topics.bridge_availability, "online", retain=True)
        self.publisher.announce_states(self.connection)

    def _kept(self) -> frozenset[str]:
        return self.in_use | self.publisher.kept

    async def _publish(self, changes: Subscription) -> None:
        """Send every change; where the line is slow, the newest state of each battery."""
        connection, publisher, discovery = self.connection, self.publisher, self.discovery
        while True:
            for change in await changes.next():
                state = change
                if connection.is_congested:
                    await connection.room()
                    state = self.hub.latest(change.battery)
                publisher.publish(connection, state)
                if discovery.learn(state):
                    self._update_discovery([state.battery])

    async def _listen(self) -> None:
        """Hear that Home Assistant has started, and that the broker believes a will of ours which came too late."""
        birth, availability = self.settings.birth_topic, self.topics.bridge_availability
        if self.settings.discovery != "off":
            await self.connection.subscribe(birth)
        await self.connection.subscribe(availability)
        async for message in self.connection.messages:
            topic = message.topic.value
            if topic == birth and message.payload == _BIRTH and not message.retain:  # what is kept is old news
                self._is_born = True
                self._is_due.set()
            elif topic == availability and message.payload == _OFFLINE:
                self.connection.send(availability, "online", qos=1, retain=True)

    async def _report_health(self) -> None:
        """Send how the bridge is doing, again and again; soon a second time, when new entities are listening."""
        await self._send_health()
        await asyncio.sleep(min(_SECOND_HEALTH, self.timing.health_interval))
        while True:
            await self._send_health()
            await asyncio.sleep(self.timing.health_interval)

    async def _send_health(self) -> None:
        """Send how the bridge is doing, and insist that the broker confirms it."""
        health = self.health.read()
        document = encode(health_document(health))
        await self.connection.send_and_confirm(self.topics.bridge_health, document, properties=DOCUMENT)
        if self.discovery.is_url_new:
            self._update_discovery([BRIDGE, *self.hub.descriptions])
        elif self.discovery.learn_box(health.box):
            self._update_discovery([BRIDGE])
        self._is_due.set()

    def _update_discovery(self, owners: Iterable[str]) -> None:
        self._changed |= dict.fromkeys(owners)
        self._is_due.set()

    async def _announce_again(self) -> None:
        """Answer Home Assistant's start, send discovery documents that have changed, note what the broker keeps."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            if self._is_born:
                await asyncio.sleep(self.random.uniform(*_BIRTH_DELAY))
                self._is_born = False
                await self._announce()
                await self._send_health()
            elif self._changed:
                await asyncio.sleep(self.timing.layout_delay)
                owners = list(self._changed)
                self._changed.clear()
                await self.discovery.update(self.connection, self.topics, owners)
            else:
                await self.discovery.remember(self._kept())
