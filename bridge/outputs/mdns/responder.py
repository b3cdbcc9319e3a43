"""Answers for one host name and its services in multicast DNS (RFC 6762), through python-zeroconf.

zeroconf answers for host names, but neither probes them before use nor answers the probes of others (questions of type
ANY), so that two machines would go by the same name. That is done here: listening to the questions that zeroconf keeps
to itself, probing, giving way, and defending. Knows nothing of the bridge; what to announce is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from zeroconf import (  # type: ignore[attr-defined]  # offered for use, but missing in its __all__
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSQuestion,
    DNSRecord,
    Error,
    ServiceInfo,
)
from zeroconf.asyncio import AsyncZeroconf

from bridge.errors import ServiceError
from bridge.network import InterfaceAddress

_LOGGER = logging.getLogger(__name__)

_PORT = 5353
_GROUP_IPV4 = socket.inet_pton(socket.AF_INET, "224.0.0.251")
_GROUP_IPV6 = socket.inet_pton(socket.AF_INET6, "ff02::fb")
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
"""<linux/in.h>, <linux/in6.h>. On by default: a socket then hears the groups that other programs joined."""

_QUERY, _AUTHORITATIVE_ANSWER = 0x0000, 0x8400
_A, _AAAA, _ANY = 1, 28, 255
_CLASS_IN, _CACHE_FLUSH = 0x0001, 0x8000
_HOST_TTL = 120
"""s, as RFC 6762, 10 advises for records that hold a host name."""

_PROBES = 3
_PROBE_INTERVAL = 0.25
"""s (RFC 6762, 8.1)."""
_GIVE_WAY = 1.0
"""s before probing again after another machine that probes at the same time won (RFC 6762, 8.2)."""
_DEFEND_INTERVAL = 0.2
"""s between two defences at least."""
_RETRY_AFTER = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service to announce on the host."""

    type: str
    """Such as `_http._tcp`."""
    port: int
    properties: tuple[tuple[str, str], ...]


class Responder:
    """Answers for one host name on the given addresses; made by `open_responder`."""

    def __init__(
        self, zeroconf: AsyncZeroconf, addresses: Iterable[InterfaceAddress], jitter: Callable[[], float]
    ) -> None:
        self.disputed = asyncio.Event()
        """Set when somebody else answers for our name."""
        self._zeroconf = zeroconf
        self._addresses = tuple(dict.fromkeys(each.address for each in addresses))
        self._packed = frozenset(each.packed for each in self._addresses)
        self._jitter = jitter
        self._label = b""
        self._host = ""
        self._is_ours = False
        self._taken_by: str | None = None
        self._gives_way = False
        self._next_defence = 0.0

    async def claim(self, label: str) -> str | None:
        """Make `<label>.local` ours and return None, or return the address of the machine that has it."""
        self._begin(label)
        await asyncio.sleep(_PROBE_INTERVAL * self._jitter())  # machines switched on together do not ask together
        probes = 0
        while self._taken_by is None and probes < _PROBES:
            self._gives_way = False
            self._zeroconf.zeroconf.async_send(self._probe())
            probes += 1
            await asyncio.sleep(_PROBE_INTERVAL)
            if self._gives_way:
                probes = 0
                await asyncio.sleep(_GIVE_WAY)
        self._is_ours = self._taken_by is None
        return self._taken_by

    def _begin(self, label: str) -> None:
        self._label, self._host = label.encode(), f"{label}.local."
        self._is_ours, self._taken_by = False, None

    async def announce(self, services: Iterable[Service]) -> None:
        """Announce the claimed host with `services`, which are called like it, or that with a number where taken."""
        instance = self._host.partition(".")[0]
        infos = [
            ServiceInfo(
                f"{each.type}.local.",
                f"{instance}.{each.type}.local.",
                port=each.port,
                properties=dict(each.properties),
                server=self._host,
                addresses=[address.packed for address in self._addresses],
            )
            for each in services
        ]
        registrations = (self._zeroconf.async_register_service(info, allow_name_change=True) for info in infos)
        await asyncio.gather(*await asyncio.gather(*registrations))

    def hear(self, data: bytes, source: str) -> None:
        """Take in one packet of the network."""
        if self._label not in data.lower():  # the first label of a name is spelt out somewhere; most packets end here
            return
        message = DNSIncoming(data)
        if message.valid and message.is_query():
            self._hear_query(message)
        elif message.valid:
            self._hear_answer(message, source)

    def _hear_query(self, message: DNSIncoming) -> None:
        asked = {question.type for question in message.questions if question.name.lower() == self._host}
        if not asked:
            return
        proposal = _proposal(message.answers(), self._host) if message.is_probe() else []
        if self._is_ours and (proposal or _ANY in asked):
            self._defend()
        elif not self._is_ours and proposal > _proposal(self._records(), self._host):
            self._gives_way = True

    def _hear_answer(self, message: DNSIncoming, source: str) -> None:
        for record in message.answers():
            if record.name.lower() != self._host or record.ttl == 0:
                continue
            if not self._is_ours and (self._taken_by is None or "." in source):  # an IPv4 address says more
                self._taken_by = source
            elif self._is_ours and isinstance(record, DNSAddress) and record.address not in self._packed:
                _LOGGER.debug("%s answers for %s too", source, self._host)
                self.disputed.set()

    def _probe(self) -> DNSOutgoing:
        # Not as QU questions: the answers would come to one address and port, which this process may share with another
        # that would get them instead (RFC 6762, 15.1). A and AAAA are asked for too, because other machines may run
        # zeroconf, which leaves ANY for a host name unanswered.
        out = DNSOutgoing(_QUERY)
        for record_type in (_ANY, _A, _AAAA):
            out.add_question(DNSQuestion(self._host, record_type, _CLASS_IN))
        for record in self._records():
            out.authorities.append(record)  # type: ignore[arg-type]  # declared for pointers; any record is written
        return out

    def _defend(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next_defence:
            return
        self._next_defence = now + _DEFEND_INTERVAL
        out = DNSOutgoing(_AUTHORITATIVE_ANSWER)
        for record in self._records(_CACHE_FLUSH):
            out.add_answer_at_time(record, 0)
        self._zeroconf.zeroconf.async_send(out)

    def _records(self, flag: int = 0) -> Iterator[DNSAddress]:
        for address in self._addresses:
            record_type = _A if address.version == 4 else _AAAA
            yield DNSAddress(self._host, record_type, _CLASS_IN | flag, _HOST_TTL, address.packed)


class _Ear(asyncio.DatagramProtocol):
    """Hands packets of the network to the responder."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        source, port = addr[:2]
        if port == _PORT:  # an answer from elsewhere is forged (RFC 6762, 6)
            self._responder.hear(data, source.partition("%")[0])


@asynccontextmanager
async def open_responder(
    addresses: tuple[InterfaceAddress, ...], *, jitter: Callable[[], float] = random.random
) -> AsyncIterator[Responder]:
    """Give a responder on the interfaces of `addresses`, which says goodbye at the end. Raise ServiceError."""
    async with AsyncExitStack() as stack:
        try:
            ears = [stack.enter_context(each) for each in _listening_sockets(addresses)]
            zeroconf = AsyncZeroconf(interfaces=_one_address_per_interface(addresses))
            stack.push_async_callback(zeroconf.async_close)
            await zeroconf.zeroconf.async_wait_for_start()
            responder = Responder(zeroconf, addresses, jitter)
            for ear in ears:
                await _attach(stack, ear, responder)
        except (OSError, RuntimeError, Error) as error:  # RuntimeError: an address vanished meanwhile
            raise ServiceError(
                f"mDNS is off, because its port {_PORT} cannot be used: {error}.",
                retry_after=_RETRY_AFTER,
                advice="If another mDNS program runs here, let it share the port (avahi: disallow-other-stacks=no).",
            ) from error
        yield responder


async def _attach(stack: AsyncExitStack, ear: socket.socket, responder: Responder) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(responder), sock=ear)
    stack.callback(transport.close)


def _listening_sockets(addresses: Iterable[InterfaceAddress]) -> Iterator[socket.socket]:
    """Open a socket for each address family that hears the mDNS packets of the interfaces."""
    indexes_ipv4 = sorted({each.index for each in addresses if each.address.version == 4})
    indexes_ipv6 = sorted({each.index for each in addresses if each.address.version == 6})
    if indexes_ipv4:
        listening = _bound_socket(socket.AF_INET, "0.0.0.0")
        yield listening
        listening.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        for index in indexes_ipv4:
            membership = struct.pack("4s4si", _GROUP_IPV4, bytes(4), index)  # struct ip_mreqn
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    if indexes_ipv6:
        listening = _bound_socket(socket.AF_INET6, "::")
        yield listening
        listening.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        for index in indexes_ipv6:
            membership = struct.pack("16si", _GROUP_IPV6, index)  # struct ipv6_mreq
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)


def _bound_socket(family: socket.AddressFamily, host: str) -> socket.socket:
    """Return a socket on the mDNS port that leaves room for other programs there."""
    listening = socket.socket(family, socket.SOCK_DGRAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, _PORT))
    except OSError:
        listening.close()
        raise
    return listening


def _one_address_per_interface(addresses: Iterable[InterfaceAddress]) -> list[str]:
    """Return an address of each family for each interface: what zeroconf sends from."""
    chosen: dict[tuple[int, int], str] = {}
    for each in addresses:
        chosen.setdefault((each.index, each.address.version), str(each.address))
    return list(chosen.values())


def _proposal(records: Iterable[DNSRecord], host: str) -> list[tuple[int, int, bytes]]:
    """Return what `records` propose for `host`, in the order in which two proposals are compared (RFC 6762, 8.2.1)."""
    return sorted(
        (record.class_, record.type, record.address if isinstance(record, DNSAddress) else b"")
        for record in records
        if record.name.lower() == host
    )
