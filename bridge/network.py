"""The addresses of this machine's network interfaces. Knows nothing of what they are wanted for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_CONTAINER_INTERFACE = re.compile(
    r"br-[0-9a-f]{12}|(cali|cni|docker|flannel|hassio|incusbr|lxcbr|lxdbr|nerdctl|podman|tap|veth|virbr|vnet).*"
)


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address of one of our own interfaces."""

    interface: str
    index: int
    """The interface's number."""
    address: IPv4Address | IPv6Address
    prefix_length: int


def interface_addresses() -> Iterator[InterfaceAddress]:
    """Give every address of every interface. Blocks for a moment; the first call starts a child process."""
    import ifaddr

    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = ip_address((each.ip if isinstance(each.ip, str) else each.ip[0]).partition("%")[0])
            yield InterfaceAddress(adapter.name, adapter.index or 0, address, each.network_prefix)


def is_container_interface(name: str) -> bool:
    """Whether only containers and virtual machines live behind the interface (docker0, virbr0 …)."""
    return _CONTAINER_INTERFACE.fullmatch(name) is not None
