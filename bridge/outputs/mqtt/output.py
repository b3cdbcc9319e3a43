"""The MQTT service: finds the broker, stays connected, and decides what is due when.

Live values go out the moment the hub has them; a broker that is away, slow or silent delays nobody and gets the newest
when it is back. The documents themselves are made elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt

from bridge.config import MqttSection
from bridge.documents.bridge import info_document
from bridge.documents.topics import Topics, own_segment, segment
from bridge.hub import Hub
from bridge.interfaces import Board, Clock, HealthReader, Identity
from bridge.outputs.mqtt.address import Access
from bridge.outputs.mqtt.connection import V5, V311, Connection, Will, connected
from bridge.outputs.mqtt.discovery import Discovery
from bridge.outputs.mqtt.manifest import ManifestFile
from bridge.outputs.mqtt.publisher import Publisher, encode
from bridge.outputs.mqtt.reasons import ConnectionFailed
from bridge.outputs.mqtt.session import Session, Timing

_LOGGER = logging.getLogger(__name__)

_EMBEDDED = "embedded"
_OFF = "off"
_SERVICE = "mqtt"
_LONGEST_BASE_DELAY = 40.0
_JITTER = 0.5
"""Part of a delay by which it is lengthened at random: 1 to 60 s in all."""
_STEADY_AFTER = 30.0
"""s that a connection has to stand before its failures are forgotten."""
_SUSPICIOUS_HANG_UPS = 3
_BROKER_POLL = 0.05


class MqttOutput:
    """Publishes every battery, the bridge itself and their discovery documents to a broker."""

    def __init__(
        self,
        *,
        settings: MqttSection,
        identity: Identity,
        hub: Hub,
        health: HealthReader,
        board: Board,
        clock: Clock,
        data: Path,
        broker_url: Callable[[], str | None],
        random: random.Random,
        configuration_url: Callable[[], str | None],
        known_topic: str | None = None,
        remember_topic: Callable[[str], None] = lambda _: None,
        timing: Timing = Timing(),  # noqa: B008  # frozen
    ) -> None:
        """Store what is needed.

        `broker_url` gives the address of the embedded broker, once it listens; `configuration_url` that of the page.
        `known_topic` is the topic segment that an earlier run settled on; `remember_topic` keeps a new one (called in a
        thread of its own, it may write to the disk).
        """
        self._settings = settings
        self._identity = identity
        self._hub = hub
        self._health = health
        self._board = board
        self._clock = clock
        self._data = data
        self._broker_url = broker_url
        self._random = random
        self._configuration_url = configuration_url
        self._remember_topic = remember_topic
        self._timing = timing
        self._known_topic = known_topic
        self._version: aiomqtt.ProtocolVersion | None = V311 if settings.url == _EMBEDDED else None
        self._streak = _Streak(clock)
        self._started: float | None = None
        self._discovery = Discovery(
            settings=settings, identity=identity, hub=hub, manifest=ManifestFile(data), url=configuration_url,
            migration_pause=timing.migration_pause,
        )
        self._publisher: Publisher | None = None
        self._left_behind: list[str] = []
        """Topics of an earlier run that may have to be cleared."""
        self._address = ""
        self._note = ""
        self._client_id = f"smartbms-{identity.uid}"
        self._hang_ups = 0
        """Connections in a row that did not last."""
        self._is_refusal_told = False

    async def run(self) -> None:
        """Work until cancelled; raise ServiceError where the configuration cannot work."""
        if self._settings.url == _OFF:
            self._board.tell(_SERVICE, _OFF)
            return
        await self._discovery.load()
        while True:
            try:
                await self._session()
            except ConnectionFailed as failure:
                _end_if_cancelled()
                sentence = self._sentence(failure)
                delay = self._delay()
                self._streak.failed(sentence, delay)
                self._board.tell(_SERVICE, "waiting", sentence)
                await asyncio.sleep(delay)

    def _sentence(self, failure: ConnectionFailed) -> str:
        """Say why there is no connection; older brokers do not tell that another client took our id."""
        if failure.is_unexplained and self._hang_ups >= _SUSPICIOUS_HANG_UPS:
            return (
                f"The broker closes the connection again and again. Another client may use our client id "
                f"{self._client_id}: is a second bridge running with a copy of this data directory?"
            )
        return failure.sentence

    def _delay(self) -> float:
        base = min(self._timing.first_delay * 2.0 ** min(self._streak.failures, 10), _LONGEST_BASE_DELAY)
        return base * (1 + _JITTER * self._random.random())

    def _possible_segments(self) -> tuple[str, str]:
        """Return the topic segment of this bridge, and the one it takes where another bridge has that."""
        return segment(self._identity.name), own_segment(self._identity.name, self._identity.uid)

    # Getting a connection

    async def _session(self) -> None:
        """Connect and publish until the connection breaks."""
        access = await asyncio.to_thread(Access.read, await self._url(), self._settings)
        self._address = str(access.address)
        publisher = self._publisher or await self._look_around(access)
        will = Will(topic=publisher.topics.bridge_availability, payload="offline")
        async with self._connected(access, will) as connection:
            self._tell_connected(connection)
            connected_at = self._clock.monotonic()
            try:
                await self._serve(connection, publisher)
            finally:
                self._hang_ups += 1
                if self._clock.monotonic() - connected_at >= _STEADY_AFTER:
                    self._streak.forget()
                    self._hang_ups = 0

    async def _url(self) -> str:
        if self._settings.url != _EMBEDDED:
            return self._settings.url
        url = self._broker_url()
        if url is None:
            self._board.tell(_SERVICE, "waiting", "The embedded broker does not listen yet.")
        while url is None:
            await asyncio.sleep(_BROKER_POLL)
            url = self._broker_url()
        return url

    @asynccontextmanager
    async def _connected(self, access: Access, will: Will | None) -> AsyncIterator[Connection]:
        """Connect with version 5, or 3.1.1 where the broker does not speak that."""
        version = self._version or V5
        while True:
            try:
                async with connected(
                    access, client_id=self._client_id, version=version, will=will, refused=self._publish_refused,
                    answer_deadline=self._timing.answer_deadline,
                ) as connection:
                    self._version = version
                    yield connection
                    return
            except ConnectionFailed as failure:
                if self._version is not None or not failure.is_version or version is V311:
                    raise
                _LOGGER.debug("No MQTT 5: %s", failure.sentence)
                version = V311

    async def _look_around(self, access: Access) -> Publisher:
        """See what the broker keeps, and settle on our topics; publishes nothing and leaves no will.

        Also finds out which version of MQTT the broker speaks: a will makes some old ones choke on version 5.
        """
        async with self._connected(access, None) as connection:
            bridges = await self._discovery.look_around(connection)
        uid = self._identity.uid
        usual, own = self._possible_segments()
        chosen = self._known_topic
        if chosen not in (usual, own) or bridges.get(chosen, uid) != uid:
            chosen = usual if bridges.get(usual, uid) == uid else own
            await asyncio.to_thread(self._remember_topic, chosen)
        if chosen == own:
            self._note = f" Another bridge there is called {usual}: the topics of this one begin with smartbms/{own}."
        self._left_behind = [
            topic for topic in sorted(self._discovery.left_behind) if bridges.get(topic.split("/")[1], uid) == uid
        ]
        self._publisher = Publisher(settings=self._settings, topics=Topics(chosen), hub=self._hub, clock=self._clock)
        return self._publisher

    def _topics_in_use(self, topics: Topics) -> frozenset[str]:
        """Return the topics, other than discovery, on which the broker always keeps something of ours."""
        own = {topics.bridge_availability, topics.bridge_info}
        for battery in self._hub.descriptions:
            own |= {topics.availability(battery), topics.link(battery), topics.alarms(battery)}
        return frozenset(own)

    def _tell_connected(self, connection: Connection) -> None:
        version = "5" if connection.version is V5 else "3.1.1"
        detail = f"Connected to {self._address} (MQTT {version}).{self._note}"
        self._board.tell(_SERVICE, "running", detail)
        self._streak.recovered(detail)
        self._is_refusal_told = False

    def _publish_refused(self, reason: str) -> None:
        """Tell once for each connection that the broker does not take what is published."""
        if self._is_refusal_told:
            return
        self._is_refusal_told = True
        detail = f"Connected to {self._address}, but the broker does not take what is published: {reason}."
        _LOGGER.warning("%s", detail)
        self._board.tell(_SERVICE, "running", detail)

    # Publishing

    async def _serve(self, connection: Connection, publisher: Publisher) -> None:
        """Publish over `connection` until it breaks; when cancelled, say that nothing is live any more."""
        in_use = self._topics_in_use(publisher.topics)
        session = Session(
            connection=connection, settings=self._settings, topics=publisher.topics, publisher=publisher,
            discovery=self._discovery, hub=self._hub, health=self._health, random=self._random,
            info=self._info, timing=self._timing, in_use=in_use,
        )
        for topic in self._left_behind:
            if topic not in in_use:
                connection.send(topic, b"", qos=1, retain=True)
        self._left_behind.clear()
        try:
            await session.run()
        except ExceptionGroup as group:
            broken, unexpected = group.split((ConnectionFailed, aiomqtt.MqttError))
            if unexpected is not None or broken is None:
                raise
            first = broken.exceptions[0]
            raise first from None
        except asyncio.CancelledError:
            await session.leave()
            raise

    def _info(self) -> bytes:
        if self._started is None:
            wall = self._clock.wall()
            self._started = None if wall is None else wall - self._health.read().uptime
        return encode(info_document(
            self._identity, batteries=self._hub.descriptions, started=self._started, url=self._configuration_url()
        ))


def _end_if_cancelled() -> None:
    """Raise the cancellation that a task group kept to itself because a part of it failed at the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _Streak:
    """Failures in a row: the first of a kind is told loudly, its repeats are not, the end of all of them is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.failures = 0
        self._since = 0.0
        self._told: set[str] = set()
        self._is_over = True

    def failed(self, sentence: str, delay: float) -> None:
        if self._is_over:
            self._since = self._clock.monotonic()
            self._is_over = False
        level = logging.DEBUG if sentence in self._told else logging.WARNING
        _LOGGER.log(level, "%s Next try in %.0f s.", sentence, delay)
        self.failures += 1
        self._told.add(sentence)

    def recovered(self, detail: str) -> None:
        if self._is_over:
            _LOGGER.info("%s", detail)
            return
        seconds = self._clock.monotonic() - self._since
        _LOGGER.info("%s It took %.0f s and %d tries.", detail, seconds, self.failures + 1)
        self._is_over = True

    def forget(self) -> None:
        """Start anew after a connection that stood for long enough."""
        self.failures = 0
        self._told.clear()
