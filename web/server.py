"""The web server: gets the port, wires the parts of this room, and serves.

What is served stands in `web.pages`, `web.api` and `web.stream`; who may read it in `web.access`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bridge.config import WebSection
from bridge.hub import Hub
from bridge.interfaces import BatterySource, Board, Clock, HealthReader, Identity
from web.access import AccessRule
from web.api import Api
from web.assets import BuiltPages, load_built_pages
from web.connections import Connections, Limits
from web.documents import Documents
from web.door import Door
from web.listener import listen, why_not
from web.pages import Pages
from web.responses import add_safe_headers
from web.stream import LiveStream, Pace
from web.surroundings import SurroundingsWatch

_LOGGER = logging.getLogger(__name__)

_NAME = "web"
_STATIC = Path(__file__).parent / "static"
_LARGEST_BODY = 64 * 1024
"""Bytes of a request's body."""
_STOP_DEADLINE = 0.3
"""s that answers under way have when the server stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Times, bounds and places that a test may want otherwise."""

    retry: float = 10.0
    """s between two attempts to get the port."""
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    static: Path = _STATIC
    """Where the build leaves the pages."""


class WebServer:
    """Serves the pages, the JSON API, the live stream and the metrics."""

    def __init__(
        self,
        *,
        settings: WebSection,
        identity: Identity,
        hub: Hub,
        sources: Mapping[str, BatterySource],
        health: HealthReader,
        board: Board,
        clock: Clock,
        tuning: Tuning | None = None,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._hub = hub
        self._sources = sources
        self._health = health
        self._board = board
        self._clock = clock
        self._tuning = tuning or Tuning()

    async def run(self) -> None:
        """Serve until cancelled; where the port cannot be had, say so and try again."""
        built = await asyncio.to_thread(load_built_pages, self._tuning.static)
        if built.missing is not None:
            _LOGGER.warning("%s The plain page serves instead", built.missing)
        surroundings = SurroundingsWatch(clock=self._clock)
        await surroundings.refresh()
        with closing(await self._listener()) as listener:
            await self._serve(listener, built, surroundings)

    async def _listener(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        level = logging.WARNING
        while True:
            try:
                return await asyncio.to_thread(listen, host, port)
            except OSError as error:
                reason = await asyncio.to_thread(why_not, error, host, port)
            detail = f"{reason} It is tried again every {self._tuning.retry:g} s."
            _LOGGER.log(level, "The pages wait: %s", detail)
            level = logging.DEBUG
            self._board.tell(_NAME, "waiting", detail)
            await asyncio.sleep(self._tuning.retry)

    async def _serve(self, listener: socket.socket, built: BuiltPages, surroundings: SurroundingsWatch) -> None:
        documents = Documents(
            identity=self._identity, build=built.build or self._identity.build, hub=self._hub, sources=self._sources,
            health=self._health, clock=self._clock,
        )
        stream = LiveStream(
            hub=self._hub, health=self._health, documents=documents, clock=self._clock, pace=self._tuning.pace
        )
        api = Api(
            identity=self._identity, hub=self._hub, sources=self._sources, health=self._health, clock=self._clock,
            documents=documents, stream=stream,
        )
        pages = Pages(identity=self._identity, documents=documents, built=built)
        rule = AccessRule(
            name=self._identity.name, home_access=self._settings.home_access,
            home_networks=self._settings.home_networks, trusted_proxies=self._settings.trusted_proxies,
            allowed_hosts=self._settings.allowed_hosts,
        )
        door = Door(rule=rule, surroundings=surroundings, pages=pages)
        application = web.Application(middlewares=[door.admit], client_max_size=_LARGEST_BODY)
        application.add_routes((*pages.routes(), *api.routes()))
        application.on_response_prepare.append(add_safe_headers)
        async with _running(application) as server:
            connections = Connections(
                server=server,
                is_home=lambda address: rule.is_home(address, surroundings.latest),
                limits=self._tuning.limits,
            )
            self._tell_port(listener.getsockname()[1])
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(surroundings.run(), name="web: surroundings")
                    group.create_task(stream.run(), name="web: live stream")
                    group.create_task(connections.accept(listener), name="web: connections")
            finally:
                stream.close()
                self._board.port(_NAME, None)

    def _tell_port(self, port: int) -> None:
        self._board.port(_NAME, port)
        self._board.tell(_NAME, "running", f"Port {port}.")
        _LOGGER.info("The pages are served on port %d", port)


@asynccontextmanager
async def _running(application: web.Application) -> AsyncIterator[web.Server]:
    """Give the HTTP side of `application`; its connections end with the block."""
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=_STOP_DEADLINE)
    await runner.setup()
    assert runner.server is not None
    try:
        yield runner.server
    finally:
        await runner.cleanup()
