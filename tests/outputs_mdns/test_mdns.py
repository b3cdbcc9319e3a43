"""The bridge is found by name: looked for with avahi and python-zeroconf, from other machines of a real network."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tests.outputs_mdns.network import Avahi, Host, Network, eventually

pytestmark = [pytest.mark.needs("netns", "avahi"), pytest.mark.timeout(120)]

_BROWSER = """
import json, sys, time
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

class Listener(ServiceListener):
    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name)
        if info is not None:
            properties = {key.decode(): value.decode() for key, value in info.properties.items()}
            seen[name] = [info.server, info.port, info.parsed_addresses(), properties]
    update_service = add_service
    def remove_service(self, zeroconf, kind, name):
        seen.pop(name, None)

seen = {}
zeroconf = Zeroconf()
ServiceBrowser(zeroconf, sys.argv[1], Listener())
deadline = time.monotonic() + float(sys.argv[2])
while time.monotonic() < deadline and len(seen) < int(sys.argv[3]):
    time.sleep(0.05)
zeroconf.close()
print(json.dumps(seen))
"""


def zeroconf_browse(host: Host, kind: str, *, count: int = 1) -> dict[str, list[Any]]:
    """Return the services that python-zeroconf finds, waiting until there are `count`."""
    found: dict[str, list[Any]] = json.loads(host.python(_BROWSER, f"{kind}.local.", "10", str(count)))
    return found


def found_by_avahi(avahi: Avahi, kind: str) -> dict[str, str]:
    """Return address and port of each service, by host name, as avahi sees them over IPv4."""
    return {row[6]: f"{row[7]}:{row[8]}" for row in avahi.browse(kind) if row[2] == "IPv4"}


def wait_until_avahi_finds(avahi: Avahi, expected: dict[str, str], kind: str = "_smartbms._tcp") -> None:
    eventually(lambda: found_by_avahi(avahi, kind), lambda found: found == expected)


def test_name_and_services_are_found_by_avahi_and_zeroconf(network: Network) -> None:
    bridge, phone = network.host(), network.host()
    avahi = phone.avahi("phone")
    bridge.announcer(uid="12345678").wait_for(state="running", host_name="smartbms.local", detail="smartbms.local")

    assert eventually(lambda: avahi.resolve("smartbms.local"), bool) == bridge.address
    assert eventually(lambda: avahi.resolve("smartbms.local", version=6) or "", bool).startswith("fe80::")
    for kind in ("_smartbms._tcp", "_http._tcp"):
        wait_until_avahi_finds(avahi, {"smartbms.local": f"{bridge.address}:6789"}, kind)
    (row, *_) = avahi.browse("_smartbms._tcp")
    assert row[3] == "smartbms"
    assert sorted(row[9].split()) == ['"id=12345678"', '"path=/"', '"version=1.2.3"']
    server, port, addresses, properties = zeroconf_browse(phone, "_smartbms._tcp")["smartbms._smartbms._tcp.local."]
    assert (server, port, properties) == ("smartbms.local.", 6789, {"id": "12345678", "version": "1.2.3", "path": "/"})
    assert bridge.address in addresses


def test_second_bridge_becomes_number_two_and_tells_why(network: Network) -> None:
    first, second = network.host(), network.host()
    first_announcer = first.announcer()
    first_announcer.wait_for(state="running", host_name="smartbms.local")

    second.announcer().wait_for(
        state="running",
        host_name="smartbms-2.local",
        detail=f"smartbms-2.local, because smartbms.local belongs to {first.address}.",
    )

    avahi = network.host().avahi("phone")
    wait_until_avahi_finds(
        avahi, {"smartbms.local": f"{first.address}:6789", "smartbms-2.local": f"{second.address}:6789"}
    )
    assert first_announcer.latest()["host_name"] == "smartbms.local"


def test_bridges_switched_on_together_get_different_names(network: Network) -> None:
    announcers = [network.host().announcer(uid=f"0000000{number}") for number in range(3)]

    names = sorted(announcer.wait_for(seconds=30, state="running")["host_name"] for announcer in announcers)

    assert names == ["smartbms-2.local", "smartbms-3.local", "smartbms.local"]


def test_avahi_host_that_has_the_name_keeps_it(network: Network) -> None:
    foreign, bridge = network.host(), network.host()
    avahi = foreign.avahi("smartbms")
    eventually(lambda: avahi.resolve("smartbms.local"), lambda found: found == foreign.address)

    bridge.announcer().wait_for(
        state="running",
        host_name="smartbms-2.local",
        detail=f"smartbms-2.local, because smartbms.local belongs to {foreign.address}.",
    )

    assert eventually(lambda: avahi.resolve("smartbms-2.local"), bool) == bridge.address
    assert avahi.host_name() == "smartbms"


def test_host_that_answers_through_zeroconf_keeps_its_name(network: Network) -> None:
    foreign, bridge = network.host(), network.host()

    with foreign.zeroconf_host("smartbms"):
        bridge.announcer().wait_for(state="running", host_name="smartbms-2.local")


def test_name_is_defended_against_an_avahi_host_that_comes_later(network: Network) -> None:
    bridge, foreign = network.host(), network.host()
    announcer = bridge.announcer()
    announcer.wait_for(state="running")

    avahi = foreign.avahi("smartbms")

    eventually(avahi.host_name, lambda name: name == "smartbms-2")
    assert eventually(lambda: avahi.resolve("smartbms.local"), bool) == bridge.address
    assert announcer.latest()["host_name"] == "smartbms.local"


def test_avahi_with_another_name_on_the_same_machine_goes_on_answering(network: Network) -> None:
    machine, phone = network.host(), network.host()
    neighbour = machine.avahi("raspberrypi")

    machine.announcer().wait_for(state="running", host_name="smartbms.local")

    avahi = phone.avahi("phone")
    for name in ("smartbms.local", "raspberrypi.local"):
        assert eventually(partial(avahi.resolve, name), bool) == machine.address
    assert neighbour.host_name() == "raspberrypi"
    assert neighbour.resolve("smartbms.local") == machine.address


def test_name_of_the_machine_itself_is_left_to_it(network: Network) -> None:
    machine = network.host()
    neighbour = machine.avahi("smartbms")

    machine.announcer().wait_for(
        state="running", detail="smartbms-2.local, because smartbms.local belongs to another program on this machine."
    )

    assert neighbour.host_name() == "smartbms"


def test_address_that_comes_later_is_announced(network: Network) -> None:
    bridge, phone = network.host(), network.host()
    avahi = phone.avahi("phone")
    announcer = bridge.announcer()
    announcer.wait_for(state="running")

    bridge.add_address("10.77.0.99")

    def addresses() -> set[str]:
        found = zeroconf_browse(phone, "_smartbms._tcp").get("smartbms._smartbms._tcp.local.")
        return set(found[2]) if found else set()

    eventually(addresses, lambda found: {bridge.address, "10.77.0.99"} <= found)
    assert announcer.latest()["host_name"] == "smartbms.local"
    assert avahi.resolve("smartbms.local") in (bridge.address, "10.77.0.99")


def test_services_wait_for_the_port_of_the_pages_and_follow_it(network: Network) -> None:
    bridge, phone = network.host(), network.host()
    avahi = phone.avahi("phone")
    announcer = bridge.announcer(port=0)
    announcer.wait_for(state="starting", detail="Waits for the port of the pages.")
    assert found_by_avahi(avahi, "_smartbms._tcp") == {}

    for port in (6789, 6790):
        announcer.serve_pages_on(port)
        wait_until_avahi_finds(avahi, {"smartbms.local": f"{bridge.address}:{port}"})


def test_goodbye_is_said_at_the_end(network: Network) -> None:
    bridge, phone = network.host(), network.host()
    avahi = phone.avahi("phone")
    announcer = bridge.announcer()
    announcer.wait_for(state="running")
    wait_until_avahi_finds(avahi, {"smartbms.local": f"{bridge.address}:6789"})

    assert announcer.stop() == 0

    wait_until_avahi_finds(avahi, {})  # without a goodbye they would stay in its cache for 2 and 75 minutes
    assert avahi.resolve("smartbms.local") is None


def test_networks_that_are_joined_sort_out_a_name_used_in_both(network: Network) -> None:
    first, second, phone = network.host(), network.host(), network.host()
    network.part(second)
    announcers = [first.announcer(uid="00000001"), second.announcer(uid="00000002")]
    for announcer in announcers:
        announcer.wait_for(state="running", host_name="smartbms.local")

    network.join(second)
    phone.avahi("phone").resolve("smartbms.local")  # both answer, and hear each other

    eventually(
        lambda: {announcer.latest()["host_name"] for announcer in announcers},
        lambda names: names == {"smartbms.local", "smartbms-2.local"},
    )


def test_port_that_another_program_holds_alone_is_told_and_tried_again(network: Network) -> None:
    bridge = network.host()
    with bridge.alone_on_port_5353():
        announcer = bridge.announcer()
        told = announcer.wait_for(state="waiting")
    assert told["host_name"] is None
    assert told["detail"].startswith("mDNS is off, because its port 5353 cannot be used: ")

    announcer.wait_for(state="running", host_name="smartbms.local")


def test_missing_network_is_told_and_tried_again(network: Network) -> None:
    bridge = network.host(is_plugged=False)
    announcer = bridge.announcer()
    announcer.wait_for(state="waiting", detail="mDNS is off, because there is no network that it could use.")

    network.plug(bridge)

    announcer.wait_for(state="running", host_name="smartbms.local")
