"""The addresses under which others in the home network reach this machine. Knows nothing of names and packets."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

from bridge.network import InterfaceAddress, interface_addresses, is_container_interface

_SIOCGIFFLAGS = 0x8913
"""<linux/sockios.h>"""
_IFF_LOOPBACK, _IFF_POINTOPOINT = 0x8, 0x10
_IFF_UP, _IFF_RUNNING, _IFF_MULTICAST = 0x1, 0x40, 0x1000
"""<linux/if.h>"""
_REACHES_A_NETWORK = _IFF_UP | _IFF_RUNNING | _IFF_MULTICAST

_IFA_TEMPORARY, _IFA_DADFAILED, _IFA_DEPRECATED, _IFA_TENTATIVE = 0x1, 0x8, 0x20, 0x40
"""<linux/if_addr.h>"""
_IS_UNSTABLE = _IFA_TEMPORARY | _IFA_DADFAILED | _IFA_DEPRECATED | _IFA_TENTATIVE


def own_addresses(*, if_inet6: Path = Path("/proc/net/if_inet6")) -> tuple[InterfaceAddress, ...]:
    """Return the addresses worth announcing, in a stable order. Blocks for a moment.

    Temporary IPv6 addresses are left out, because they are made not to be found by, and link-local ones where the
    interface has another of that family, as avahi does.
    """
    unstable = _unstable_addresses(if_inet6)
    stable = (each for each in interface_addresses() if each.address not in unstable)
    usable = [each for each in stable if _reaches_a_network(each.interface)]
    return tuple(sorted(_without_needless_link_local(usable), key=_order))


def _reaches_a_network(interface: str) -> bool:
    if is_container_interface(interface):
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


def _without_needless_link_local(addresses: Iterable[InterfaceAddress]) -> Iterator[InterfaceAddress]:
    addresses = tuple(addresses)
    elsewhere_reachable = {
        (each.index, each.address.version) for each in addresses if not each.address.is_link_local
    }
    for each in addresses:
        if not each.address.is_link_local or (each.index, each.address.version) not in elsewhere_reachable:
            yield each


def _order(each: InterfaceAddress) -> tuple[int, int, bytes]:
    return each.index, each.address.version, each.address.packed
