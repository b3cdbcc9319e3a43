"""The addresses under which others in the home network reach this machine. Knows nothing of names and packets."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_SIOCGIFFLAGS = 0x8913
"""<linux/sockios.h>"""
_IFF_LOOPBACK, _IFF_POINTOPOINT = 0x8, 0x10
_IFF_UP, _IFF_RUNNING, _IFF_MULTICAST = 0x1, 0x40, 0x1000
"""<linux/if.h>"""
_REACHES_A_NETWORK = _IFF_UP | _IFF_RUNNING | _IFF_MULTICAST

_IFA_TEMPORARY, _IFA_DADFAILED, _IFA_DEPRECATED, _IFA_TENTATIVE = 0x1, 0x8, 0x20, 0x40
"""<linux/if_addr.h>"""
_IS_UNSTABLE = _IFA_TEMPORARY | _IFA_DADFAILED | _IFA_DEPRECATED | _IFA_TENTATIVE

_INSIDE_THE_MACHINE = re.compile(
    r"br-[0-9a-f]{12}|(cali|cni|docker|flannel|hassio|incusbr|lxcbr|lxdbr|nerdctl|podman|veth|virbr|vnet).*"
)
"""Names of interfaces behind which only containers and virtual machines live: nobody at home reaches them."""


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """One address of this machine."""

    interface: str
    index: int
    """The interface's number."""
    address: IPv4Address | IPv6Address


def own_addresses(*, if_inet6: Path = Path("/proc/net/if_inet6")) -> tuple[OwnAddress, ...]:
    """Return the addresses worth announcing, in a stable order. Blocks for a moment.

    Temporary IPv6 addresses are left out, because they are made not to be found by, and link-local ones where the
    interface has another of that family, as avahi does.
    """
    unstable = _unstable_addresses(if_inet6)
    usable = [each for each in _all_addresses() if each.address not in unstable and _reaches_a_network(each.interface)]
    return tuple(sorted(_without_needless_link_local(usable), key=_order))


def _all_addresses() -> Iterator[OwnAddress]:
    import ifaddr  # looks for the C library with a child process when it is imported: not on the event loop

    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = ip_address((each.ip if isinstance(each.ip, str) else each.ip[0]).partition("%")[0])
            yield OwnAddress(adapter.name, adapter.index or 0, address)


def _reaches_a_network(interface: str) -> bool:
    if _INSIDE_THE_MACHINE.fullmatch(interface):
        return False
    request = struct.pack("16sH14x", interface.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            reply = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        except OSError:  # gone since it was listed
            return False
    (flags,) = struct.unpack("16xH14x", reply)
    return flags & _REACHES_A_NETWORK == _REACHES_A_NETWORK and not flags & (_IFF_LOOPBACK | _IFF_POINTOPOINT)


def _unstable_addresses(if_inet6: Path) -> set[IPv6Address]:
    """Return the IPv6 addresses that come and go, or are not usable yet."""
    try:
        lines = if_inet6.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return set()
    columns = (line.split() for line in lines)
    return {IPv6Address(bytes.fromhex(each[0])) for each in columns if int(each[4], 16) & _IS_UNSTABLE}


def _without_needless_link_local(addresses: Iterable[OwnAddress]) -> Iterator[OwnAddress]:
    addresses = tuple(addresses)
    elsewhere_reachable = {
        (each.index, each.address.version) for each in addresses if not each.address.is_link_local
    }
    for each in addresses:
        if not each.address.is_link_local or (each.index, each.address.version) not in elsewhere_reachable:
            yield each


def _order(each: OwnAddress) -> tuple[int, int, bytes]:
    return each.index, each.address.version, each.address.packed
