"""The access rule on a real network: who is home is judged from the addresses and routes of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("netns", "ipv6")

_ROOT = Path(__file__).resolve().parents[2]
_ASK = """
import http.client, sys
source, host, port = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=10, source_address=(source, 0))
connection.request("GET", "/api/batteries/main")
print(connection.getresponse().status)
"""

_CROWD = """
import socket, sys
source, host, port, count = sys.argv[1:]
crowd = [socket.create_connection((host, int(port)), 10, (source, 0)) for _ in range(int(count))]
crowd[-1].sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(crowd[-1].recv(100).split()[1].decode())
"""


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@dataclass(frozen=True)
class Home:
    """A bridge's machine at 192.168.77.2, and everybody else in a namespace of their own."""

    bridge: str
    others: str

    def ask(self, source: str, host: str, port: int) -> int:
        """Ask for a battery from the address `source` and return the status."""
        return int(run("ip", "netns", "exec", self.others, sys.executable, "-c", _ASK, source, host, str(port)))

    def crowd(self, source: str, host: str, port: int, count: int) -> int:
        """Open `count` connections from the address `source`, ask on the last and return the status."""
        command = ("ip", "netns", "exec", self.others, sys.executable, "-c", _CROWD)
        return int(run(*command, source, host, str(port), str(count)))

    @contextmanager
    def serving(self, *home_networks: str) -> Iterator[int]:
        """Run a web server on the bridge's machine; gives the port."""
        with subprocess.Popen(
            ["ip", "netns", "exec", self.bridge, sys.executable, "-m", "tests.web.serve_here", *home_networks],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.stdin.close()
                process.wait(10)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    it = Home(bridge=f"web{os.getpid()}b", others=f"web{os.getpid()}o")
    with ExitStack() as stack:
        for namespace in (it.bridge, it.others):
            run("ip", "netns", "add", namespace)
            stack.callback(run, "ip", "netns", "delete", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", it.bridge, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", it.others)
        for namespace, addresses in (
            (it.bridge, ("192.168.77.2/24", "2001:db8:77::2/64")),
            (it.others, ("192.168.77.1/24", "192.168.77.9/24", "203.0.113.9/32", "2001:db8:77::9/64",
                         "2001:db8:99::9/128")),
        ):
            run("ip", "-n", namespace, "link", "set", "eth0", "up")
            for address in addresses:
                dad = ("nodad",) if ":" in address else ()
                run("ip", "-n", namespace, "address", "add", address, "dev", "eth0", *dad)
        run("ip", "-n", it.bridge, "route", "add", "default", "via", "192.168.77.1")
        run("ip", "-n", it.bridge, "route", "add", "default", "via", "2001:db8:77::9", "metric", "2000")
        run("ip", "-n", it.bridge, "route", "add", "2001:db8:99::9", "dev", "eth0")
        run("ip", "-n", it.others, "address", "add", "2001:db8:77::a/64", "dev", "eth0", "nodad")
        run("ip", "-n", it.bridge, "link", "add", "docker0", "type", "bridge")
        run("ip", "-n", it.bridge, "address", "add", "172.17.0.1/16", "dev", "docker0")
        run("ip", "-n", it.bridge, "link", "set", "docker0", "up")
        yield it


def test_neighbours_read_and_strangers_and_gateways_do_not(home: Home) -> None:
    with home.serving() as port:
        assert home.ask("192.168.77.9", "192.168.77.2", port) == 200
        assert home.ask("2001:db8:77::a", "2001:db8:77::2", port) == 200
        assert home.ask("203.0.113.9", "192.168.77.2", port) == 401
        assert home.ask("2001:db8:99::9", "2001:db8:77::2", port) == 401
        assert home.ask("192.168.77.1", "192.168.77.2", port) == 401
        assert home.ask("2001:db8:77::9", "2001:db8:77::2", port) == 401


def test_gateway_reads_where_its_very_address_is_named(home: Home) -> None:
    with home.serving("192.168.77.1/32") as port:
        assert home.ask("192.168.77.1", "192.168.77.2", port) == 200
    with home.serving("192.168.77.0/24", "2001:db8:77::/64") as port:
        assert home.ask("192.168.77.1", "192.168.77.2", port) == 401
        assert home.ask("2001:db8:77::9", "2001:db8:77::2", port) == 401


def test_own_address_on_a_container_bridge_is_not_home(home: Home) -> None:
    """Connections that a container engine passes on for strangers come from there."""
    inside = Home(bridge=home.bridge, others=home.bridge)
    with inside.serving() as port:
        assert inside.ask("172.17.0.1", "192.168.77.2", port) == 401
        assert inside.ask("192.168.77.2", "192.168.77.2", port) == 200


def test_network_that_is_joined_later_is_home_within_moments(home: Home) -> None:
    with home.serving() as port:
        assert home.ask("192.168.77.9", "192.168.77.2", port) == 200
        run("ip", "-n", home.bridge, "address", "add", "10.77.0.2/24", "dev", "eth0")
        run("ip", "-n", home.others, "address", "add", "10.77.0.9/24", "dev", "eth0")
        try:
            statuses = [home.ask("10.77.0.9", "10.77.0.2", port)]
            while statuses[-1] != 200 and len(statuses) < 60:
                statuses.append(home.ask("10.77.0.9", "10.77.0.2", port))
        finally:
            run("ip", "-n", home.bridge, "address", "del", "10.77.0.2/24", "dev", "eth0")
            run("ip", "-n", home.others, "address", "del", "10.77.0.9/24", "dev", "eth0")
    assert statuses[-1] == 200


def test_strangers_have_few_places_and_never_those_of_the_home(home: Home) -> None:
    with home.serving() as port:
        assert home.crowd("203.0.113.9", "192.168.77.2", port, 8) == 403
        assert home.crowd("203.0.113.9", "192.168.77.2", port, 9) == 503
        assert home.crowd("192.168.77.9", "192.168.77.2", port, 40) == 403  # no Host header: read, and explained
