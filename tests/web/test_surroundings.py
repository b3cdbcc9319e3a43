"""Reading what the network looks like."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import pytest

from tests.virtual_time import VirtualClock, in_virtual_time
from web.access import Surroundings
from web.surroundings import (
    SurroundingsWatch,
    default_gateways_ipv4,
    default_gateways_ipv6,
    read_surroundings,
    search_domains,
)

ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101A8C0	0003	0	0	100	00000000	0	0	0
wlan0	00000000	FE01A8C0	0003	0	0	600	00000000	0	0	0
tun0	00000000	0100080A	0003	0	0	0	00000080	0	0	0
eth0	0000000A	0901A8C0	0003	0	0	0	000000FF	0	0	0
eth0	0001A8C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
wg0	00000000	00000000	0001	0	0	0	00000000	0	0	0
"""
"""Two default routes, half of one (10.8.0.1), a route to 10/8 by 192.168.1.9, a subnet, a tunnel without gateway."""
ROUTES_IPV6 = """\
20010db8000100020000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80000000000000000000000000abcd 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""  # noqa: E501  # as the kernel prints it


def test_default_gateways_are_found_in_the_table_of_routes() -> None:
    assert list(default_gateways_ipv4(ROUTES)) == [
        ip_address("192.168.1.1"), ip_address("192.168.1.254"), ip_address("10.8.0.1")
    ]
    assert list(default_gateways_ipv4("")) == []


def test_default_gateways_are_found_in_the_table_of_ipv6_routes() -> None:
    assert list(default_gateways_ipv6(ROUTES_IPV6)) == [ip_address("fe80::abcd")]
    assert list(default_gateways_ipv6("")) == []


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("nameserver 192.168.1.1\nsearch Fritz.Box lan.\n", ("fritz.box", "lan")),
        ("domain home.arpa\n", ("home.arpa",)),
        ("search a.example\nsearch b.example\n", ("b.example",)),
        ("search .\n", ()),
        ("# search x\n", ()),
    ],
)
def test_search_domains_are_those_of_the_last_line(text: str, domains: tuple[str, ...]) -> None:
    assert search_domains(text) == domains


def test_this_machine_knows_its_own_loopback() -> None:
    found = read_surroundings()
    assert ip_network("127.0.0.0/8") in found.networks
    assert found.host_names


class Network:
    """Gives a new network at every reading, and fails while told so."""

    def __init__(self) -> None:
        self.readings = 0
        self.fails = False

    def read(self) -> Surroundings:
        self.readings += 1
        if self.fails:
            raise OSError(12, "Cannot allocate memory")
        return Surroundings(host_names=frozenset({f"reading {self.readings}"}))


@in_virtual_time
async def test_refresh_reads_again_only_what_is_old() -> None:
    network = Network()
    watch = SurroundingsWatch(clock=VirtualClock(), read=network.read)
    await watch.refresh(older_than=2.0)
    await watch.refresh(older_than=2.0)
    assert watch.latest.host_names == {"reading 1"}
    await asyncio.sleep(2.5)
    await watch.refresh(older_than=2.0)
    assert watch.latest.host_names == {"reading 2"}


@in_virtual_time
async def test_unreadable_network_leaves_the_last_known_one() -> None:
    network = Network()
    watch = SurroundingsWatch(clock=VirtualClock(), read=network.read)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(1)
    network.fails = True
    await asyncio.sleep(60)
    assert network.readings == 3
    assert watch.latest.host_names == {"reading 1"}
    network.fails = False
    await asyncio.sleep(30)
    assert watch.latest.host_names == {"reading 4"}
    task.cancel()
