"""What every response has in common: safe headers, JSON, compression.

Knows nothing of what is served.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

_COMPRESSED_FROM = 1024
"""Bytes below which compression gains nothing."""
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)

SAFE_HEADERS: Final[dict[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "SmartBMS",
}
"""On every response; there are no CORS headers, so that no foreign page reads anything."""

LIVE: Final[dict[str, str]] = {"Cache-Control": "no-store"}
"""For data that is old in a moment."""


async def add_safe_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the safe headers on a response that is about to be sent."""
    response.headers.update(SAFE_HEADERS)


def json_response(document: Any, *, status: int = 200, headers: Mapping[str, str] = LIVE) -> web.Response:
    """Return `document` as JSON."""
    return web.Response(
        body=msgspec.json.encode(document), status=status, headers=headers, content_type="application/json"
    )


def html_response(text: str, *, status: int = 200, headers: Mapping[str, str] = LIVE) -> web.Response:
    """Return a page. What a visitor sent and a page repeats may hold bytes that are no text; they become `?`."""
    body = text.encode("utf-8", "replace")
    return web.Response(body=body, status=status, headers=headers, content_type="text/html", charset="utf-8")


def accepts_gzip(request: web.BaseRequest) -> bool:
    """Tell whether the client reads gzip."""
    return _ACCEPTS_GZIP.search(request.headers.get("Accept-Encoding", "")) is not None


def compress(request: web.Request, response: web.StreamResponse) -> None:
    """Let a long response that is not compressed yet be sent as gzip, where the client reads it."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if len(response.body) < _COMPRESSED_FROM or "Content-Encoding" in response.headers:
        return
    response.headers["Vary"] = "Accept-Encoding"
    if accepts_gzip(request):
        response.enable_compression(web.ContentCoding.gzip)
