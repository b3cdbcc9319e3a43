"""The JSON API and the metrics: one small handler per address.

Knows nothing of who may ask; that is decided before a request arrives here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web

from bridge.hub import Hub
from bridge.interfaces import BatterySource, Clock, HealthReader, Identity
from web.documents import Documents
from web.openapi import openapi_document
from web.responses import LIVE, json_response
from web.stream import LiveStream


class Api:
    """Answers below `/api`, and `/metrics`."""

    def __init__(
        self,
        *,
        identity: Identity,
        hub: Hub,
        sources: Mapping[str, BatterySource],
        health: HealthReader,
        clock: Clock,
        documents: Documents,
        stream: LiveStream,
    ) -> None:
        self._identity = identity
        self._hub = hub
        self._sources = sources
        self._health = health
        self._clock = clock
        self._documents = documents
        self._stream = stream

    def routes(self) -> Sequence[web.RouteDef]:
        """Return every address that is served here."""
        return (
            web.get("/api/batteries", self._batteries),
            web.get("/api/batteries/{id}", self._battery),
            web.get("/api/events", self._stream.serve),
            web.get("/api/health", self._read_health),
            web.get("/api/openapi.json", self._openapi),
            web.get("/metrics", self._metrics),
        )

    async def _batteries(self, _request: web.Request) -> web.Response:
        return json_response({"batteries": self._documents.batteries()})

    async def _battery(self, request: web.Request) -> web.Response:
        battery = request.match_info["id"]
        if battery not in self._hub.descriptions:
            known = list(self._hub.descriptions)
            return json_response({"error": f"There is no battery {battery!r}.", "batteries": known}, status=404)
        return json_response(self._documents.battery(battery))

    async def _read_health(self, _request: web.Request) -> web.Response:
        return json_response(self._documents.health())

    async def _openapi(self, _request: web.Request) -> web.Response:
        return json_response(openapi_document(self._identity.version), headers={"Cache-Control": "private, no-cache"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        from_line = {battery: source.statistics() for battery, source in self._sources.items()}
        health, now = self._health.read(), self._clock.monotonic()

        def write() -> tuple[bytes, str]:
            from bridge.documents import metrics  # the library behind it is loaded by the first who asks

            measured = [
                metrics.Measured(description=each, state=self._hub.latest(each.id), line=from_line.get(each.id))
                for each in self._hub.descriptions.values()
            ]
            return metrics.metrics_text(measured, health=health, identity=self._identity, now=now), metrics.CONTENT_TYPE

        body, content_type = await asyncio.to_thread(write)
        return web.Response(body=body, headers=LIVE | {"Content-Type": content_type})
