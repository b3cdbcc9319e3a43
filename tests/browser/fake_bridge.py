"""A bridge that says what a test wants: the built page and the rendered templates over HTTP, with scripted batteries.

It stands in for the web server where a state of the page has to be brought about; what the real one says is tested
against the real one.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from tests.browser.browser import Page

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "web" / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class FakeBridge:
    """Serves what its attributes say; every method may be called from the test's own thread."""

    def __init__(self) -> None:
        self.batteries: dict[str, dict[str, Any]] = {}
        self.health: dict[str, Any] = {}
        self.manifest: dict[str, str] = json.loads((STATIC / "manifest.json").read_text())
        self.told_build = self.manifest["build"]
        self.has_stream = True
        self.status = 200
        self.page_loads = 0
        self.pages: dict[str, str] = {}
        """Further pages by path."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake bridge")
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Queue[bytes | None]] = set()
        self._answering = asyncio.Event()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(ROOT / "web" / "templates"), autoescape=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def say(self, *batteries: dict[str, Any]) -> None:
        """Make `batteries` the newest of theirs and send them to every open page."""
        for battery in batteries:
            self.batteries[battery["battery"]] = battery
            self._run(self._send("state", battery))

    def say_health(self, health: dict[str, Any]) -> None:
        self.health = health
        self._run(self._send("health", self._told_health()))

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        """Go down as a bridge without power does: open streams break, the port answers nobody."""
        self._run(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hang_up(self) -> None:
        """End every open stream; pages may come back at once."""
        self._run(self._hang_up())

    def until_streaming(self, *, within: float) -> None:
        """Wait until a page listens to the stream."""
        deadline = time.monotonic() + within
        while not self._streams:
            if time.monotonic() > deadline:
                raise AssertionError(f"no page listens to the stream within {within} s")
            time.sleep(0.05)  # the interval of this poll

    def freeze(self) -> None:
        """Stop answering while connections stay open, as a bridge out of Wi-Fi reach does."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def thaw(self) -> None:
        self._loop.call_soon_threadsafe(self._answering.set)

    def render(self, name: str, **context: Any) -> str:
        return self._templates.get_template(name).render(context)

    def _told_health(self) -> dict[str, Any]:
        return self.health | {"build": self.told_build}

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _start(self) -> None:
        self._answering.set()
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/api/batteries", self._api_batteries)
        app.router.add_get("/api/health", self._api_health)
        app.router.add_get("/api/events", self._api_events)
        app.router.add_get("/{page}", self._other_page)
        app.on_response_prepare.append(self._secure)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _hang_up(self) -> None:
        for queue in self._streams:
            queue.put_nowait(None)

    async def _stop(self) -> None:
        await self._hang_up()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _send(self, event: str, document: dict[str, Any]) -> None:
        await self._answering.wait()
        for queue in self._streams:
            queue.put_nowait(_event(event, document))

    @staticmethod
    async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = POLICY

    async def _page(self, _request: web.Request) -> web.Response:
        self.page_loads += 1
        text = self.render(
            "status.html.jinja", bridge="smartbms", version="1.2.3", batteries=list(self.batteries.values()),
            health=self.health, missing="It was made without Node.js.", rows=_rows, link_text=_link_text,
            **self.manifest,
        )
        return _compressed(text.encode(), "text/html")

    async def _other_page(self, request: web.Request) -> web.Response:
        if request.path not in self.pages:
            raise web.HTTPNotFound
        return _compressed(self.pages[request.path].encode(), "text/html")

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not (STATIC / name).is_file():
            raise web.HTTPNotFound
        return _compressed((STATIC / name).read_bytes(), "text/css" if name.endswith(".css") else "text/javascript")

    async def _api_batteries(self, _request: web.Request) -> web.Response:
        await self._answering.wait()
        return web.json_response({"batteries": list(self.batteries.values())}, status=self.status)

    async def _api_health(self, _request: web.Request) -> web.Response:
        await self._answering.wait()
        return web.json_response(self._told_health(), status=self.status)

    async def _api_events(self, request: web.Request) -> web.StreamResponse:
        await self._answering.wait()
        if not self.has_stream or self.status != 200:
            return web.Response(status=503 if self.status == 200 else self.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        hello = {"build": self.told_build, "version": "1.2.3", "bridge": "smartbms", "uid": "00c0ffee"}
        queue.put_nowait(_event("hello", hello | {"emulated": False}))
        for battery in self.batteries.values():
            queue.put_nowait(_event("state", battery))
        queue.put_nowait(_event("health", self._told_health()))
        self._streams.add(queue)
        try:
            while (line := await queue.get()) is not None:
                await response.write(line)
        finally:
            self._streams.discard(queue)
        return response


@contextmanager
def fake_bridge(*batteries: dict[str, Any], health: dict[str, Any]) -> Iterator[FakeBridge]:
    """Run a bridge with these batteries while the block lasts."""
    bridge = FakeBridge()
    bridge.health = health
    bridge.batteries = {battery["battery"]: battery for battery in batteries}
    bridge.start()
    try:
        yield bridge
    finally:
        bridge.close()


def show(page: Page, bridge: FakeBridge) -> None:
    """Open the status page and wait until scripts have taken over from the rendered table."""
    page.goto(bridge.url)
    page.until("document.querySelector('footer') && !document.querySelector('.plain')")


def _event(event: str, document: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(document)}\n\n".encode()


def _compressed(body: bytes, content_type: str) -> web.Response:
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(body), content_type=content_type, charset="utf-8", headers=headers)


def _rows(reading: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": key, "text": "–" if value is None else str(value)} for key, value in reading.items()]


def _link_text(battery: dict[str, Any]) -> str:
    return f"State: {battery['link']}"
