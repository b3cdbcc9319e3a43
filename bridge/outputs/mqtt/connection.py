"""One connection to a broker: aiomqtt, made quick for live values and honest about failures.

aiomqtt turns every publish into a coroutine with a timer, lets a refused connection run into its time-out, and loses
the reasons that a broker gives; this subclass sends at once, notices at once and keeps the reasons. Knows nothing of
what is published.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.outputs.mqtt.address import Access, Address
from bridge.outputs.mqtt.reasons import (
    ClosedEarly,
    ConnectionFailed,
    Gone,
    NoAnswer,
    explain_loss,
    explain_refusal,
    reason,
)

_LOGGER = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

V5 = aiomqtt.ProtocolVersion.V5
V311 = aiomqtt.ProtocolVersion.V311

_CLOSE_DEADLINE = 1.0
_KEEPALIVE = 30
_MOST_INFLIGHT = 10
"""Messages on their way without an answer. Brokers of version 5 hang up beyond their limit: HiveMQ's is 10 (mosquitto's
20), and paho does not ask for it.
"""
_MOST_QUEUED = 20_000
"""Messages with QoS 1 that may wait for earlier ones to be answered: discovery of many batteries."""
_MOST_RECEIVED = 20_000
_FENCE = "smartbms/fence"
"""A topic on which nothing is ever published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes, and keeps, when this connection breaks."""

    topic: str
    payload: str


class LiveProperties(Properties):
    """Properties of MQTT 5 for many messages: packed once, where paho would do it for each."""

    def __init__(self, *, expiry: int | None, content_type: str | None = "application/json") -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        object.__setattr__(self, "_packed", None)
        self.UserProperty = [("src", "smartbms"), ("schema", "1")]
        if expiry is not None:
            self.MessageExpiryInterval = expiry
        if content_type is not None:
            self.ContentType = content_type
        packed = super().pack()  # type: ignore[no-untyped-call]  # as above
        object.__setattr__(self, "_packed", packed)

    def pack(self) -> bytes:
        """Return the properties as they go over the wire."""
        packed: bytes = object.__getattribute__(self, "_packed")
        return packed


class Connection(aiomqtt.Client):
    """A connection to a broker; made by `connected`."""

    def __init__(
        self, access: Access, *, client_id: str, version: aiomqtt.ProtocolVersion, will: Will | None,
        refused: Callable[[str], None], answer_deadline: float,
    ) -> None:
        address = access.address
        super().__init__(
            address.host,
            address.port,
            username=access.username,
            password=access.password,
            logger=_LOGGER,
            identifier=client_id,
            protocol=version,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will is not None else None,
            transport="websockets" if address.is_websocket else "tcp",
            websocket_path=address.path if address.is_websocket else None,
            timeout=answer_deadline,
            keepalive=_KEEPALIVE,
            max_queued_incoming_messages=_MOST_RECEIVED,
            max_queued_outgoing_messages=_MOST_QUEUED,
            max_inflight_messages=_MOST_INFLIGHT,
            tls_context=access.tls,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )
        self.version = version
        self._refused = refused
        self._loop_thread = threading.get_ident()
        self._has_room = asyncio.Event()
        self._is_sending = False
        self._is_watching = False
        """Whether the loop tells when the line has room again."""
        self._is_open = False
        self._client.disable_logger()  # its errors come as exceptions, too

    def send(
        self, topic: str, payload: bytes | str | None, *, qos: int = 0, retain: bool = False,
        properties: LiveProperties | None = None,
    ) -> None:
        """Send now, without waiting for an answer; raise ConnectionFailed where the connection is gone."""
        paho = self._client
        if self.version is not V5:
            properties = None
        self._is_sending = True
        if qos == 0:
            paho.on_publish = None  # nobody waits, and paho makes two objects for each call of it
        try:
            info = paho.publish(topic, payload, qos, retain, properties)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self.failure()
            paho.loop_write()
        finally:
            paho.on_publish = self._on_publish
            self._is_sending = False
        if paho.want_write():
            self._watch()

    async def send_and_confirm(
        self, topic: str, payload: bytes | str | None, *, retain: bool = False,
        properties: LiveProperties | None = None,
    ) -> None:
        """Send with QoS 1 and wait until the broker confirms it, and with it everything sent before."""
        await self.publish(topic, payload, 1, retain, properties if self.version is V5 else None)

    async def kept(self, filters: Iterable[str]) -> list[tuple[str, bytes]]:
        """Return what the broker keeps under `filters`; to be called before anything else is subscribed."""
        filters = list(filters)
        for each in (*filters, _FENCE):
            await self.subscribe(each)
        # A broker answers in order: with the answer for the fence, all that is kept has come.
        messages = [await anext(self.messages) for _ in range(len(self.messages))]
        for each in (*filters, _FENCE):
            await self.unsubscribe(each)
        return [
            (str(message.topic), bytes(message.payload))
            for message in messages
            if message.retain and isinstance(message.payload, bytes | bytearray)
        ]

    @property
    def is_congested(self) -> bool:
        """Whether the line does not take what was sent: whatever is not urgent should wait."""
        return self._client.want_write()

    async def room(self) -> None:
        """Return when the line has taken everything that was sent."""
        while self.is_congested:
            self._has_room.clear()
            await self._has_room.wait()

    def failure(self) -> ConnectionFailed:
        """Return why the connection is gone."""
        return explain_loss(self._disconnected.exception() if self._disconnected.done() else None)

    async def open(self, address: Address) -> None:
        """Connect; raise ConnectionFailed."""
        try:
            await self.__aenter__()
        except aiomqtt.MqttError as error:
            raise explain_refusal(error, address) from error
        except UnicodeError as error:
            raise ConnectionFailed(f"{address.host} is not a possible name of a host.") from error
        self._is_open = True

    async def close(self) -> None:
        """Take leave of the broker, if it is still there, and let go of everything."""
        try:
            if self._is_open:
                self.timeout = _CLOSE_DEADLINE
                await self.__aexit__(None, None, None)
        except (aiomqtt.MqttError, OSError):
            _LOGGER.debug("The broker did not see us leave")
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Close the socket, even one that a thread is about to open."""
        paho = self._client
        paho.on_socket_open = lambda _client, _userdata, sock: sock.close()
        paho.on_socket_register_write = None
        paho.on_disconnect = None
        if paho.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            paho.loop_write()
        sock = paho.socket()
        if sock is not None:  # the line takes nothing any more
            self._on_socket_unregister_write(paho, None, sock)
            self._on_socket_close(paho, None, sock)
            sock.close()
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # nobody else will ask for it

    async def _wait_for(self, fut: Awaitable[_Answer], timeout: float | None) -> _Answer:  # noqa: ASYNC109  # aiomqtt's
        """Wait for an answer of the broker, or for the end of the connection.

        aiomqtt's own way does not see that end, and loses a cancellation that comes together with the answer.
        """
        answer: asyncio.Future[Any] = asyncio.ensure_future(fut)
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                await asyncio.wait({answer, self._disconnected}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise NoAnswer("The broker does not answer") from None
        else:
            if not answer.done():
                raise Gone("The connection is gone")
            result: _Answer = answer.result()
            return result
        finally:
            answer.cancel()

    # Callbacks of paho, on the loop's thread unless said otherwise

    def _on_disconnect(
        self, client: PahoClient, userdata: Any, flags: Any, reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(ClosedEarly(str(reason_code)))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_subscribe(
        self, client: PahoClient, userdata: Any, mid: int, reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if mid in self._pending_subscribes:  # else who asked has been cancelled meanwhile
            super()._on_subscribe(client, userdata, mid, reason_codes, properties)

    def _on_unsubscribe(
        self, client: PahoClient, userdata: Any, mid: int, reason_codes: list[ReasonCode],
        properties: Properties | None = None,
    ) -> None:
        if mid in self._pending_unsubscribes:
            super()._on_unsubscribe(client, userdata, mid, reason_codes, properties)

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            self._refused(reason(reason_code))
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_socket_register_write(self, client: PahoClient, userdata: Any, sock: Any) -> None:
        """Watch for room on the line; called by the connecting thread, too."""
        if threading.get_ident() != self._loop_thread:
            self._is_watching = True
            super()._on_socket_register_write(client, userdata, sock)
        elif not self._is_sending:
            self._watch()

    def _on_socket_unregister_write(self, client: PahoClient, userdata: Any, sock: Any) -> None:
        if self._is_watching:
            self._is_watching = False
            super()._on_socket_unregister_write(client, userdata, sock)

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            self._is_watching = True
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except OSError as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)
        if not self.is_congested:
            self._has_room.set()


@asynccontextmanager
async def connected(
    access: Access, *, client_id: str, version: aiomqtt.ProtocolVersion, will: Will | None,
    refused: Callable[[str], None], answer_deadline: float,
) -> AsyncIterator[Connection]:
    """Connect, and close on the way out; whatever goes wrong with the connection becomes ConnectionFailed.

    `refused` hears the reason when the broker does not take a message; `answer_deadline` is the time in s that it has
    for any answer.
    """
    connection = Connection(
        access, client_id=client_id, version=version, will=will, refused=refused, answer_deadline=answer_deadline
    )
    try:
        await connection.open(access.address)
        yield connection
    except NoAnswer as error:
        raise ConnectionFailed("The broker no longer answers.") from error
    except aiomqtt.MqttError as error:
        raise connection.failure() from error
    finally:
        await connection.close()
