"""The live stream: every change, once encoded, to every viewer as server-sent events.

A viewer holds only *what* has changed since it was last written to. A slow one therefore misses what was in between,
never the newest, and delays nobody; what it gets is encoded when it is sent, so that its ages are true.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from bridge.hub import Hub
from bridge.interfaces import Clock, Health, HealthReader
from web.documents import Documents
from web.responses import LIVE, json_response

_LOGGER = logging.getLogger(__name__)

_STATE: Final = "state/"
_HEALTH: Final = "health"
_PING: Final = "ping"
"""What may have changed: `state/<battery>`, `health`; `ping` is due when the time has come."""

_FRESH = 0.5
"""s for which an encoded state may be sent on: about the resolution of an age."""
_WRITTEN_AT_ONCE = 32
"""Frames between two looks at the rest of the program."""
_UNSENT_BYTES = 16 * 1024
"""What may wait in a viewer's socket: more would be old news by the time it arrives."""
_TCP_NOTSENT_LOWAT = 25
"""<linux/tcp.h>; the `socket` module names it from Python 3.12 on."""
_RETRY_MS = 2000
_HEADERS = LIVE | {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things are said, in s, and how many may listen."""

    health: float = 5.0
    health_check: float = 1.0
    """Between two looks at whether the health has changed."""
    ping: float = 15.0
    hold: float = 0.1
    """Between two writes to the same viewer."""
    stuck: float = 30.0
    """After which a viewer that reads nothing is let go."""
    viewers: int = 256
    viewers_per_source: int = 128


class Viewer:
    """What one viewer has not been told yet."""

    def __init__(self) -> None:
        self._pending: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._is_closed = False

    def offer(self, topics: Iterable[str]) -> None:
        """Keep in mind that `topics` have changed."""
        self._pending.update(dict.fromkeys(topics))
        self._changed.set()

    def close(self) -> None:
        """Let the stream end."""
        self._is_closed = True
        self._changed.set()

    async def next(self) -> tuple[str, ...]:
        """Wait for changes and return their topics, each once; nothing when the stream ends."""
        await self._changed.wait()
        if self._is_closed:
            return ()
        self._changed.clear()
        topics = tuple(self._pending)
        self._pending.clear()
        return topics


@dataclass(frozen=True, slots=True)
class _Frame:
    """An encoded event, and what it is good for."""

    of: object
    at: float
    data: bytes


class LiveStream:
    """Serves `/api/events`."""

    def __init__(
        self, *, hub: Hub, health: HealthReader, documents: Documents, clock: Clock, pace: Pace | None = None
    ) -> None:
        self._hub = hub
        self._health = health
        self._documents = documents
        self._clock = clock
        self._pace = pace or Pace()
        self._viewers: set[Viewer] = set()
        self._sources: Counter[str] = Counter()
        self._frames: dict[str, _Frame] = {}
        self._ids = itertools.count(1)
        self._is_closed = False

    async def run(self) -> None:
        """Tell viewers of changes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_states(), name="web stream: states")
            group.create_task(self._watch_health(), name="web stream: health and pings")

    def close(self) -> None:
        """End every stream, and refuse new ones."""
        self._is_closed = True
        for viewer in self._viewers:
            viewer.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one viewer until it leaves or the stream is closed."""
        response = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            return response
        source = request.remote or ""
        if self._is_closed or len(self._viewers) >= self._pace.viewers or (
            self._sources[source] >= self._pace.viewers_per_source
        ):
            return json_response(
                {"error": "Too many live streams are open; close some pages.", "reason": "busy"},
                status=503, headers=LIVE | {"Retry-After": "30"},
            )
        with self._joined(source) as viewer:
            await response.prepare(request)
            await self._write_to(viewer, request, response)
        return response

    @contextmanager
    def _joined(self, source: str) -> Iterator[Viewer]:
        viewer = Viewer()
        self._viewers.add(viewer)
        self._sources[source] += 1
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    async def _write_to(self, viewer: Viewer, request: web.Request, response: web.StreamResponse) -> None:
        transport = request.transport
        if transport is None:  # gone already
            return
        _keep_unsent_short(transport)
        hello = f"retry: {_RETRY_MS}\n".encode() + _event("hello", None, self._documents.hello())
        viewer.offer((*(_STATE + each for each in self._hub.descriptions), _HEALTH))
        try:
            await self._send(request, response, hello)
            while topics := await viewer.next():
                for start in range(0, len(topics), _WRITTEN_AT_ONCE):
                    await self._send(request, response, b"".join(map(self._encoded, topics[start:][:_WRITTEN_AT_ONCE])))
                    await asyncio.sleep(0)
                await asyncio.sleep(self._pace.hold)
        except TimeoutError:
            _LOGGER.debug("the live stream to %s is stuck and is ended", request.remote)
            transport.abort()

    async def _send(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        """Hand `data` to the system; raise TimeoutError where the viewer does not take it."""
        async with asyncio.timeout(self._pace.stuck):
            await response.write(data)
            await request.writer.drain()  # `write` alone looks at what waits only every 64 KiB

    def _encoded(self, topic: str) -> bytes:
        """Return the newest event of `topic`, encoded once for all viewers."""
        if topic == _PING:
            return b": ping\n\n"
        now = self._clock.monotonic()
        frame = self._frames.get(topic)
        if topic == _HEALTH:
            if frame is None or now - frame.at > self._pace.health:
                frame = self._encode(topic, None, now, "health", self._documents.health())
            return frame.data
        battery = topic.removeprefix(_STATE)
        state = self._hub.latest(battery)
        if frame is None or frame.of is not state or now - frame.at > _FRESH:
            frame = self._encode(topic, state, now, "state", self._documents.battery(battery))
        return frame.data

    def _encode(self, topic: str, of: object, now: float, event: str, document: Any) -> _Frame:
        frame = _Frame(of, now, _event(event, next(self._ids), document))
        self._frames[topic] = frame
        return frame

    def _tell(self, *topics: str) -> None:
        for viewer in self._viewers:
            viewer.offer(topics)

    async def _watch_states(self) -> None:
        with self._hub.subscribe(replay=False) as changes:
            while True:
                self._tell(*(_STATE + state.battery for state in await changes.next()))

    async def _watch_health(self) -> None:
        pinged = told = self._clock.monotonic()
        known: object = None
        while True:
            await asyncio.sleep(self._pace.health_check)
            if not self._viewers:
                continue
            now = self._clock.monotonic()
            if now - pinged >= self._pace.ping:
                pinged = now
                self._tell(_PING)
            present = _gist(self._health.read())
            if known is None:  # who came before now has been told at once
                known = present
            if present != known or now - told >= self._pace.health:
                known, told = present, now
                self._frames.pop(_HEALTH, None)
                self._tell(_HEALTH)


def _gist(health: Health) -> object:
    """Return what is told at once when it changes."""
    return health.status, health.advice, health.services


def _event(name: str, number: int | None, document: Any) -> bytes:
    head = f"event: {name}\n" if number is None else f"event: {name}\nid: {number}\n"
    return b"%sdata: %s\n\n" % (head.encode(), msgspec.json.encode(document))


def _keep_unsent_short(transport: asyncio.Transport) -> None:
    """Let as little as possible wait on the way to the viewer, so that what it reads is new."""
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
