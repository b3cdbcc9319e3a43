"""What the network around this machine looks like: own subnets, gateways, container bridges, names.

Reads it from the system, off the event loop. Decides nothing; the rule stands in `web.access`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

from bridge.interfaces import Clock
from bridge.network import interface_addresses, is_container_interface
from web.access import Address, Surroundings

_LOGGER = logging.getLogger(__name__)

_INTERVAL = 30.0
_ROUTE_IS_UP, _ROUTE_HAS_GATEWAY = 0x1, 0x2
"""RTF_UP and RTF_GATEWAY of <linux/route.h>."""
_LONGEST_DEFAULT = 1
"""Prefix length up to which a route counts as default: tunnels take the place of /0 with two halves (OpenVPN def1)."""


def read_surroundings(*, root: Path = Path("/")) -> Surroundings:
    """Read everything from the system below `root`. Blocks; raises OSError where it is unreadable."""
    own = list(interface_addresses())
    gateways: set[Address] = {
        *default_gateways_ipv4(_text(root / "proc/net/route")),
        *default_gateways_ipv6(_text(root / "proc/net/ipv6_route")),
    }
    container_bridges = {each.address for each in own if is_container_interface(each.interface)}
    host_name = socket.gethostname().lower()
    return Surroundings(
        networks=tuple({ip_network((each.address, each.prefix_length), strict=False): None for each in own}),
        doubtful=frozenset(gateways | container_bridges),
        host_names=frozenset({host_name, host_name.partition(".")[0]} - {""}),
        domains=search_domains(_text(root / "etc/resolv.conf")),
    )


def default_gateways_ipv4(table: str) -> Iterator[IPv4Address]:
    """Yield the default gateways in the text of `/proc/net/route`, whose addresses are hex words in host order."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        gateway, flags = int(columns[2], 16), int(columns[3], 16)
        prefix_length = int(columns[7], 16).bit_count()
        if flags & _ROUTE_IS_UP and flags & _ROUTE_HAS_GATEWAY and prefix_length <= _LONGEST_DEFAULT:
            yield IPv4Address(struct.pack("=I", gateway))


def default_gateways_ipv6(table: str) -> Iterator[IPv6Address]:
    """Yield the default gateways in the text of `/proc/net/ipv6_route`."""
    for line in table.splitlines():
        columns = line.split()
        prefix_length, flags = int(columns[1], 16), int(columns[8], 16)
        if flags & _ROUTE_IS_UP and flags & _ROUTE_HAS_GATEWAY and prefix_length <= _LONGEST_DEFAULT:
            yield IPv6Address(bytes.fromhex(columns[4]))


def search_domains(resolv_conf: str) -> tuple[str, ...]:
    """Return the domains of the last `search` or `domain` line in the text of `/etc/resolv.conf`."""
    domains: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if words and words[0] in ("search", "domain"):
            domains = [word.lower().strip(".") for word in words[1:]]
    return tuple(domain for domain in domains if domain)


def _text(path: Path) -> str:
    """Return what stands in the file; nothing where the system has no such file (IPv6 switched off)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


class SurroundingsWatch:
    """Keeps the surroundings up to date."""

    def __init__(self, *, clock: Clock, read: Callable[[], Surroundings] = read_surroundings) -> None:
        self._clock = clock
        self._read = read
        self._reading = asyncio.Lock()
        self._read_at: float | None = None
        self._has_failed = False
        self.latest = Surroundings()
        """The newest; before the first reading only this machine itself is home."""

    async def refresh(self, *, older_than: float = 0.0) -> None:
        """Read again unless the newest reading is less than `older_than` seconds old."""
        async with self._reading:
            if self._read_at is not None and self._clock.monotonic() - self._read_at < older_than:
                return
            try:
                self.latest = await asyncio.to_thread(self._read)
            except OSError as error:
                if not self._has_failed:
                    _LOGGER.warning("Cannot read this machine's networks (%s); the last known ones count", error)
                self._has_failed = True
            else:
                self._has_failed = False
            self._read_at = self._clock.monotonic()

    async def run(self) -> None:
        """Read every half minute until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_INTERVAL)
