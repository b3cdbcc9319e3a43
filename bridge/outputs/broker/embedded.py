"""Runs amqtt inside the bridge, so that MQTT works out of the box; speaks MQTT 3.1.1 and forgets everything at its end.

Takes connections itself and hands them to amqtt: so the port may be the next free one, and who is not at home is
turned away before amqtt hears of it. Knows nothing of what is published.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bridge.config import MqttSection
from bridge.errors import ServiceError
from bridge.interfaces import Board

if TYPE_CHECKING:
    from amqtt.broker import Broker  # type: ignore[import-untyped]  # amqtt ships no types

_LOGGER = logging.getLogger(__name__)

_SERVICE = "broker"
_PORT = 1883
_PORTS_TRIED = 20
_LAST_WORDS = 0.02
"""s for amqtt to handle what clients have said: interrupted in it, it leaves tracebacks in the log."""
_STOP_DEADLINE = 2.0
_LISTENER = "default"
_LOGIN = "bridge.outputs.broker.login.Login"
_NOISY = ("amqtt", "transitions")
"""Loggers of amqtt: a line for each packet and a traceback for each client that vanishes."""


class EmbeddedBroker:
    """The broker behind `mqtt.url = "embedded"`."""

    def __init__(
        self, *, settings: MqttSection, board: Board, is_home: Callable[[str], bool], port: int = _PORT
    ) -> None:
        """Store what is needed.

        `is_home` tells whether an IP address belongs to the home (asked when `embedded_bind` is `lan`); `port` is the
        first one that is tried, 0 = any.
        """
        self._settings = settings
        self._board = board
        self._is_home = is_home
        self._first_port = port
        self._port: int | None = None

    @property
    def url(self) -> str | None:
        """Where clients on this machine reach it, or None while it does not listen."""
        return f"mqtt://127.0.0.1:{self._port}" if self._port is not None else None

    async def run(self) -> None:
        """Serve until cancelled; raise ServiceError where that cannot be."""
        is_open = self._settings.embedded_bind == "lan"
        if is_open and (self._settings.username is None or self._settings.password is None):
            raise ServiceError(
                "The embedded broker is not opened to the home network without a user name and a password.",
                advice='Set mqtt.username and mqtt.password, or mqtt.embedded_bind = "loopback".',
            )
        sockets = self._listen(is_open)
        try:
            for name in _NOISY:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            broker = await asyncio.to_thread(_import_broker)
            await self._serve(broker(self._configuration(is_open)), sockets, is_open)
        finally:
            self._port = None
            for each in sockets:
                each.close()

    def _configuration(self, is_open: bool) -> dict[str, object]:
        settings = self._settings
        login = {}
        if is_open and settings.password is not None:
            login = {"username": settings.username, "password": settings.password.reveal()}
        return {"listeners": {_LISTENER: {"type": "external"}}, "plugins": {_LOGIN: login}}

    def _listen(self, is_open: bool) -> list[socket.socket]:
        """Bind the first free port; a taken one is told."""
        last = self._first_port + _PORTS_TRIED if self._first_port else 1
        for port in range(self._first_port, last):
            try:
                sockets = _bind(port, is_open)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise ServiceError(f"The embedded broker cannot listen: {error.strerror}.") from error
                continue
            self._port = sockets[0].getsockname()[1]
            if port != self._first_port:
                _LOGGER.info("Port %d is taken: the embedded MQTT broker listens on %d", self._first_port, self._port)
            return sockets
        raise ServiceError(
            f"The ports {self._first_port} to {last - 1} are all taken: the embedded broker cannot listen.",
            advice='Set mqtt.url to the broker that runs here already, or to "off".',
        )

    async def _serve(self, broker: Broker, sockets: list[socket.socket], is_open: bool) -> None:
        await broker.start()
        clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        servers: list[asyncio.Server] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            clients[task] = writer
            try:
                await self._handle(broker, reader, writer, is_open)
            finally:
                del clients[task]
                writer.close()

        try:
            servers += [await asyncio.start_server(accept, sock=each) for each in sockets]
            self._tell(is_open)
            await asyncio.get_running_loop().create_future()
        finally:
            self._board.port(_SERVICE, None)
            for server in servers:
                server.close()
            await _end(broker, clients)

    async def _handle(
        self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: bool
    ) -> None:
        """Let amqtt talk to one client."""
        from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter  # type: ignore[import-untyped]  # as above

        peer = writer.get_extra_info("peername")
        if is_open and (peer is None or not self._is_home(peer[0])):
            _LOGGER.debug("The embedded broker turned %s away: it is not at home", peer)
            return
        try:
            await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), _LISTENER)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            # What amqtt makes of bytes that are not MQTT, and of clients that vanish.
            _LOGGER.debug("A client of the embedded broker at %s failed: %r", peer, error)

    def _tell(self, is_open: bool) -> None:
        self._board.port(_SERVICE, self._port)
        where = "the home network" if is_open else "this machine"
        detail = f"For trying out: listens on port {self._port} for {where}, MQTT 3.1.1, keeps nothing over a restart."
        self._board.tell(_SERVICE, "running", detail)
        _LOGGER.info("The embedded MQTT broker is for trying out. It listens on port %d for %s", self._port, where)


async def _end(broker: Broker, clients: Mapping[asyncio.Task[None], asyncio.StreamWriter]) -> None:
    """Hang up on every client, then stop amqtt, in this order: it waits for clients that go on talking."""
    tasks = list(clients)
    for writer in clients.values():
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
    await asyncio.sleep(_LAST_WORDS)
    for writer in list(clients.values()):
        writer.transport.abort()
    try:
        async with asyncio.timeout(_STOP_DEADLINE):
            await broker.shutdown()
    except TimeoutError:
        _LOGGER.debug("amqtt did not stop in time")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _import_broker() -> type[Broker]:
    from amqtt.broker import Broker

    return Broker  # type: ignore[no-any-return]  # as above


def _bind(port: int, is_open: bool) -> list[socket.socket]:
    """Return listening sockets of IPv4 and, where there is one, of IPv6, on the same port."""
    first = _bind_one(socket.AF_INET, "0.0.0.0" if is_open else "127.0.0.1", port)
    sockets = [first]
    if socket.has_ipv6:
        try:
            sockets.append(_bind_one(socket.AF_INET6, "::" if is_open else "::1", first.getsockname()[1]))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                first.close()
                raise
    return sockets


def _bind_one(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(64)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
