"""The connections: takes them from the listening socket, bounds how many there are, and speaks HTTP on each.

A visitor from outside may take few places, so that a flood from there never locks the home out. Knows nothing of what
is served.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from aiohttp import web

from web.access import Address, parse_address
from web.responses import LIVE, SAFE_HEADERS, json_response

_LOGGER = logging.getLogger(__name__)

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE = 1.0
"""s to wait for resources."""
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: SmartBMS\r\nRetry-After: 30\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)
_STRANGERS_PREFIX = 64
"""IPv6 addresses with the same prefix of this length are one stranger."""
_LINGER = 1.0
"""s for which the unread body of a request is taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections there may be, and how long they may idle."""

    home_per_source: int = 160
    strangers: int = 64
    """All visitors from outside together."""
    strangers_per_source: int = 8
    total: int = 512
    patience: float = 20.0
    """s for the whole head of a request to arrive, and between two requests."""


class _Connection(web.RequestHandler):
    """One connection, as aiohttp serves it, which remembers where it comes from."""

    __slots__ = ("is_home", "source")

    def __init__(self, server: web.Server, *, source: str, is_home: bool, patience: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # no line for each request; aiohttp's own annotation forgot None
            keepalive_timeout=patience,
            lingering_time=_LINGER,
            auto_decompress=False,  # a small body that unpacks to a huge one stays small
        )
        self.source = source
        self.is_home = is_home

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what went wrong in a handler, without a word on the inside."""
        if status >= web.HTTPInternalServerError.status_code:
            _LOGGER.error("%s %s failed; the visitor got an error", request.method, request.path, exc_info=exc)
        else:
            _LOGGER.debug("%s sent what is no HTTP: %s", self.source, message)
        if request.writer.output_size:
            raise ConnectionError("the answer has begun already")
        text = "This request cannot be understood." if status < 500 else "Something went wrong; the log says what."
        response = json_response({"error": text}, status=status, headers=LIVE | SAFE_HEADERS)
        response.force_close()
        return response


class Connections:
    """Accepts connections for one server."""

    def __init__(self, *, server: web.Server, is_home: Callable[[Address], bool], limits: Limits) -> None:
        self._server = server
        self._is_home = is_home
        self._limits = limits

    async def accept(self, listener: socket.socket) -> None:
        """Take in connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    _LOGGER.warning("No further visitor fits in now: %s", error.strerror)
                    await asyncio.sleep(_PAUSE)
                continue
            await self._take(connection, peer[0])

    async def _take(self, connection: socket.socket, peer: str) -> None:
        address = parse_address(peer)
        is_home = address is not None and self._is_home(address)
        source = peer if is_home else _stranger(address)
        if not self._has_room(source, is_home=is_home):
            _LOGGER.debug("%s has too many connections; one more is refused", source)
            _refuse(connection)
            return
        try:
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._limits.patience * 1000)
            )  # ends those that take no byte any more
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Connection(self._server, source=source, is_home=is_home, patience=self._limits.patience),
                connection,
            )
        except OSError as error:
            _LOGGER.debug("%s has gone at once: %s", source, error)
            connection.close()

    def _has_room(self, source: str, *, is_home: bool) -> bool:
        present = [each for each in self._server.connections if isinstance(each, _Connection)]
        same_source = sum(each.source == source for each in present)
        if len(present) >= self._limits.total:
            return False
        if is_home:
            return same_source < self._limits.home_per_source
        strangers = sum(not each.is_home for each in present)
        return same_source < self._limits.strangers_per_source and strangers < self._limits.strangers


def _stranger(address: Address | None) -> str:
    """Return what counts as one source outside the home."""
    if isinstance(address, IPv6Address):
        return str(int(address) >> (address.max_prefixlen - _STRANGERS_PREFIX))
    return str(address)


def _refuse(connection: socket.socket) -> None:
    """Answer in one go and close."""
    with connection, suppress(OSError):
        connection.send(_BUSY)
