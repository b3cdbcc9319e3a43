"""Announced are the addresses at which others in the home network reach this machine, and only those."""

from __future__ import annotations

import pytest

from tests.outputs_mdns.network import Host, Network

pytestmark = pytest.mark.needs("netns")

_LIST = """
from bridge.outputs.mdns.addresses import own_addresses
for each in own_addresses():
    print(each.interface, each.address)
"""


def own_addresses(host: Host) -> list[str]:
    return host.python(_LIST).splitlines()


def test_loopback_is_left_out_and_a_lone_link_local_address_counts(network: Network) -> None:
    host = network.host()

    ipv4, ipv6 = own_addresses(host)

    assert ipv4 == f"eth0 {host.address}"
    assert ipv6.startswith("eth0 fe80::")


def test_link_local_address_is_left_out_beside_another(network: Network) -> None:
    host = network.host()
    host.ip("addr", "add", "2001:db8::7/64", "dev", "eth0", "nodad")

    assert own_addresses(host) == [f"eth0 {host.address}", "eth0 2001:db8::7"]


def test_deprecated_ipv6_address_is_left_out(network: Network) -> None:
    host = network.host()
    host.ip("addr", "add", "2001:db8::7/64", "dev", "eth0", "nodad", "preferred_lft", "0")

    assert "eth0 2001:db8::7" not in own_addresses(host)


@pytest.mark.parametrize("interface", ["docker0", "br-0123456789ab", "veth1a2b3c", "virbr0"])
def test_containers_inside_the_machine_are_left_out(network: Network, interface: str) -> None:
    host = network.host()
    host.ip("link", "add", interface, "type", "veth", "peer", "name", "inside")
    host.ip("addr", "add", "172.17.0.1/16", "dev", interface)
    for each in (interface, "inside"):
        host.ip("link", "set", each, "up", "addrgenmode", "none")  # no link-local address of its own

    assert {line.split()[0] for line in own_addresses(host)} == {"eth0"}


def test_bridge_that_is_the_home_network_counts(network: Network) -> None:
    host = network.host()
    host.ip("link", "add", "br-lan", "type", "bridge")
    host.ip("addr", "add", "192.168.7.1/24", "dev", "br-lan")
    host.ip("link", "add", "lan1", "type", "veth", "peer", "name", "inside")
    host.ip("link", "set", "lan1", "master", "br-lan")
    for each in ("br-lan", "lan1", "inside"):
        host.ip("link", "set", each, "up")

    assert "br-lan 192.168.7.1" in own_addresses(host)


def test_unplugged_interface_is_left_out(network: Network) -> None:
    host = network.host()
    host.ip("link", "set", "eth0", "down")

    assert own_addresses(host) == []
