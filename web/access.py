"""Who may see what: judges one request from its peer, its headers and what the network around this machine looks like.

Pure. Knows nothing of HTTP servers; where the facts about the network come from stands in `web.surroundings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Sequence[tuple[str, str]]

_PRIVATE = tuple(IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"))
"""RFC 1918 and RFC 3927."""
_SHORTEST_IPV6_PREFIX = 48
"""A home never has more; overlay networks that span the world (Yggdrasil: 200::/7) put much more on an interface."""
_PROXY_SIGNS = frozenset(
    {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)
"""Headers that only a proxy adds."""
_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)


class Refusal(StrEnum):
    """Why a request gets an explanation only."""

    OUTSIDE = "outside"
    """It does not come from the home."""
    PROXY = "proxy"
    """It came through a proxy that is not trusted, or that does not say for whom it asks."""
    HOST = "host"
    """It asks for a host name that is not known to be ours: a stranger's page may be behind it (DNS rebinding)."""
    LOGIN = "login"
    """The configuration asks for a log-in at home too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the network around this machine looks like now."""

    networks: tuple[Network, ...] = ()
    """The subnets of our own interfaces."""
    doubtful: frozenset[Address] = frozenset()
    """Default gateways and our own addresses on container bridges: masqueraded strangers come from these."""
    host_names: frozenset[str] = frozenset()
    """Names of this machine."""
    domains: tuple[str, ...] = ()
    """Search domains that the home's DHCP server gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided on one request."""

    refusal: Refusal | None
    """None: it may read."""
    client: Address | None
    """Who asks, as far as that can be believed."""
    is_secure: bool
    """Whether the client's own connection is encrypted."""


class AccessRule:
    """The rule, as far as the configuration decides it."""

    def __init__(
        self,
        *,
        name: str,
        home_access: str = "read",
        home_networks: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        """`name` is the bridge's own; an mDNS clash adds a number to it, which counts too."""
        self._own_name = re.compile(re.escape(name.lower()) + r"(-\d+)?")
        self._needs_login = home_access != "read"
        self._home_networks = tuple(ip_network(each, strict=False) for each in home_networks)
        self._trusted_proxies = tuple(ip_network(each, strict=False) for each in trusted_proxies)
        self._allowed_hosts = frozenset(_plain_name(each) for each in allowed_hosts)

    def judge(self, peer: str, headers: Headers, around: Surroundings, *, is_tls: bool = False) -> Verdict:
        """Decide on a request that came over a connection from the address `peer`."""
        connected = parse_address(peer)
        client = None if connected is None else self._client(connected, headers)
        is_secure = is_tls or (
            connected is not None
            and _contains(self._trusted_proxies, connected)
            and [each.lower() for each in _list_header(headers, "x-forwarded-proto")][-1:] == ["https"]
        )
        refusal = None
        if client is None:
            refusal = Refusal.OUTSIDE if connected is None or not self.is_home(connected, around) else Refusal.PROXY
        elif not self.is_home(client, around):
            refusal = Refusal.OUTSIDE
        elif not self._knows_host(_list_header(headers, "host"), around):
            refusal = Refusal.HOST
        elif self._needs_login:
            refusal = Refusal.LOGIN
        return Verdict(refusal=refusal, client=client, is_secure=is_secure)

    def is_home(self, address: Address, around: Surroundings) -> bool:
        """Tell whether `address` belongs to the home; an IPv4-mapped one is judged as IPv4, a zone does not matter."""
        address = parse_address(str(address)) or address
        if address.is_loopback:
            return True
        if address in around.doubtful:
            return any(network.num_addresses == 1 and address in network for network in self._home_networks)
        return _contains(self._home_networks, address) or any(
            address in network for network in around.networks if _can_be_home(network)
        )

    def _client(self, peer: Address, headers: Headers) -> Address | None:
        """Return who asks, or None where a proxy leaves that in the dark."""
        if not any(name.lower() in _PROXY_SIGNS for name, _ in headers):
            return peer
        if not _contains(self._trusted_proxies, peer):
            return None
        chains = (
            [parse_address(_without_port(each)) for each in _list_header(headers, "x-forwarded-for")],
            [_forwarded_for(each) for each in _list_header(headers, "forwarded")],
        )
        claims = {self._first_untrusted(chain) for chain in chains if chain}
        return claims.pop() if len(claims) == 1 else None  # two headers that disagree: one is the stranger's own

    def _first_untrusted(self, chain: Sequence[Address | None]) -> Address | None:
        """Follow what each trusted proxy said of the one before it, from our side outwards."""
        for address in reversed(chain):
            if address is None or not _contains(self._trusted_proxies, address):
                return address
        return chain[0]

    def _knows_host(self, hosts: Sequence[str], around: Surroundings) -> bool:
        if len(hosts) != 1:
            return False
        host = _without_port(hosts[0])
        if parse_address(host) is not None:
            return True
        name = _plain_name(host)
        if name in self._allowed_hosts:
            return True
        stems = {name, *(name.removesuffix(f".{domain}") for domain in ("local", *around.domains))}
        return any(
            stem == "localhost" or stem in around.host_names or self._own_name.fullmatch(stem) for stem in stems
        )


def parse_address(text: str) -> Address | None:
    """Return the address in `text` without its zone, an IPv4-mapped one as IPv4; None where it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _contains(networks: Iterable[Network], address: Address) -> bool:
    return any(address in network for network in networks)


def _can_be_home(network: Network) -> bool:
    """Tell whether a subnet of one of our interfaces may be the home: a public IPv4 one is a provider's."""
    if isinstance(network, IPv4Network):
        return any(network.subnet_of(private) for private in _PRIVATE)
    return network.prefixlen >= _SHORTEST_IPV6_PREFIX


def _list_header(headers: Headers, wanted: str) -> list[str]:
    """Return the comma-separated parts of every header called `wanted`, in order."""
    return [part.strip() for name, value in headers if name.lower() == wanted for part in value.split(",")]


def _forwarded_for(element: str) -> Address | None:
    """Return the address in the `for=` of one element of a Forwarded header (RFC 7239)."""
    found = _FORWARDED_FOR.search(element)
    return parse_address(_without_port(found[1] or found[2] or "")) if found else None


def _without_port(text: str) -> str:
    """Return the host of `host`, `host:port`, `[address]` or `[address]:port`; a bare IPv6 address as it is."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _plain_name(host: str) -> str:
    return host.lower().removesuffix(".")
