"""The pages: the status page that is complete without JavaScript, the built files, and the pages that explain.

Knows nothing of who may ask; that is decided before a request arrives here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from bridge.interfaces import Identity
from web.access import Refusal
from web.assets import BuiltPages
from web.documents import Documents, link_text, rows
from web.responses import html_response

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """Answers `/`, `/static/…` and whatever wants an explanation."""

    def __init__(self, *, identity: Identity, documents: Documents, built: BuiltPages) -> None:
        self._identity = identity
        self._documents = documents
        self._built = built
        self._environment: Environment | None = None
        self._loading = asyncio.Lock()

    def routes(self) -> Sequence[web.RouteDef]:
        """Return every address that is served here."""
        return (
            web.get("/", self._status),
            web.get("/static/{name:.+}", self._static),
            web.get("/favicon.ico", self._icon),
        )

    async def explain(self, refusal: Refusal, address: str) -> web.Response:
        """Return why a visitor may not read: `address` is theirs, or the host name that they asked for."""
        template = "explain" if refusal in (Refusal.OUTSIDE, Refusal.HOST) else "closed"
        text = await self._render(template, reason=refusal.value, address=address)
        return html_response(text, status=403)

    async def not_found(self) -> web.Response:
        """Return what to do instead of asking for an address that does not exist."""
        return html_response(await self._render("not_found"), status=404)

    async def _status(self, _request: web.Request) -> web.Response:
        return html_response(await self._render(
            "status",
            version=self._identity.version,
            build=self._built.build,
            js=self._built.js,
            css=self._built.css,
            missing=self._built.missing,
            batteries=self._documents.batteries(),
            health=self._documents.health(),
            rows=rows,
            link_text=link_text,
        ))

    async def _static(self, request: web.Request) -> web.Response:
        asset = self._built.files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return asset.respond(request)

    async def _icon(self, _request: web.Request) -> web.Response:
        """Keep browsers quiet that ask although the page brings its icon along."""
        return web.Response(status=204, headers={"Cache-Control": "private, max-age=86400"})

    async def _render(self, template: str, **context: object) -> str:
        async with self._loading:
            if self._environment is None:
                self._environment = await asyncio.to_thread(_load_templates)
        page = self._environment.get_template(f"{template}.html.jinja")
        return await asyncio.to_thread(page.render, bridge=self._identity.name, **context)


def _load_templates() -> Environment:
    """Load the template engine and compile every template: takes a while, and is done for the first who asks."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, auto_reload=False)
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
