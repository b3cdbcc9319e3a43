"""A home network of namespaces on one switch, with bridges, avahi daemons and the programs that look for them."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
Report = dict[str, Any]
"""What the announcer told: `host_name`, `state` and `detail`."""
_ROOT = Path(__file__).resolve().parent.parent.parent


def eventually(look: Callable[[], _T], is_right: Callable[[_T], bool], *, seconds: float = 15.0) -> _T:
    """Look again and again until the result is right, and return it; fail after `seconds` with the last result."""
    deadline = time.monotonic() + seconds
    while not is_right(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {seconds} s")
        time.sleep(0.05)
    return seen


class Announcer:
    """A running `tests.outputs_mdns.announcer`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.reports: list[Report] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def wait_for(self, seconds: float = 15.0, **expected: str) -> Report:
        """Wait for a report that has the expected values."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.reports.append(json.loads(self._lines.get(timeout=max(0.0, deadline - time.monotonic()))))
            except queue.Empty:
                raise AssertionError(f"no report of {expected} in {self.reports}") from None
            if expected.items() <= self.reports[-1].items():
                return self.reports[-1]

    def latest(self) -> Report:
        """Return the newest report."""
        with suppress(queue.Empty):
            while True:
                self.reports.append(json.loads(self._lines.get_nowait()))
        return self.reports[-1]

    def serve_pages_on(self, port: int) -> None:
        """Give its pages another port."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{port}\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        """Stop it as a service manager would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self._reader.join(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return code


class Avahi:
    """A running avahi-daemon with a D-Bus of its own."""

    def __init__(self, host: Host, environment: dict[str, str]) -> None:
        self._host = host
        self._environment = environment

    def host_name(self) -> str:
        """Return the name that avahi goes by now, without `.local`."""
        method = "org.freedesktop.Avahi.Server.GetHostName"
        call = ["dbus-send", "--system", "--print-reply=literal", "--dest=org.freedesktop.Avahi", "/", method]
        return self._host.output(*call, environment=self._environment).strip()

    def resolve(self, name: str, *, version: int = 4) -> str | None:
        """Return the address of `name` as `avahi-resolve` finds it."""
        output = self._host.output("avahi-resolve", f"-{version}", "-n", name, environment=self._environment)
        return output.split()[1] if output else None

    def browse(self, service: str) -> list[list[str]]:
        """Return the services that `avahi-browse` can resolve, as its columns."""
        output = self._host.output("avahi-browse", "-rpt", service, environment=self._environment)
        return [line.split(";") for line in output.splitlines() if line.startswith("=")]


class Host:
    """A machine in the network: a namespace with the interface eth0."""

    def __init__(self, namespace: str, address: str, stack: ExitStack) -> None:
        self.namespace = namespace
        self.address = address
        self._stack = stack

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs `arguments` here."""
        return ["ip", "netns", "exec", self.namespace, *arguments]

    def output(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """Run a program here to its end, and return what it printed."""
        result = subprocess.run(
            self.command(*arguments), env=os.environ | (environment or {}), capture_output=True, text=True, timeout=20,
            check=False,
        )
        return result.stdout

    def ip(self, *arguments: str) -> None:
        """Run `ip` on the machine."""
        _ip("-n", self.namespace, *arguments)

    def add_address(self, address: str) -> None:
        """Give the machine one more address."""
        self.ip("addr", "add", f"{address}/24", "dev", "eth0")

    def python(self, code: str, *arguments: str) -> str:
        """Run Python here, and return what it printed."""
        return self.output(sys.executable, "-c", code, *arguments, environment={"PYTHONPATH": str(_ROOT)})

    @contextmanager
    def alone_on_port_5353(self) -> Iterator[None]:
        """Hold the mDNS port here without sharing it."""
        with self._meanwhile(_HOLD_PORT):
            yield

    @contextmanager
    def zeroconf_host(self, name: str) -> Iterator[None]:
        """Let python-zeroconf answer for the host `name` here."""
        with self._meanwhile(_ZEROCONF_HOST, name, self.address):
            yield

    @contextmanager
    def _meanwhile(self, code: str, *arguments: str) -> Iterator[None]:
        """Run Python here, from its first line of output to the end of the block."""
        command = self.command(sys.executable, "-c", code, *arguments)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            _end(process)

    def announcer(self, name: str = "smartbms", *, port: int = 6789, uid: str = "0badcafe") -> Announcer:
        """Start a bridge here."""
        process = subprocess.Popen(
            self.command(sys.executable, "-m", "tests.outputs_mdns.announcer", name, str(port), uid),
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        announcer = Announcer(process)
        self._stack.callback(_end, process)
        return announcer

    def avahi(self, name: str) -> Avahi:
        """Start an avahi-daemon that calls this machine `name`, with a D-Bus of its own."""
        folder = Path(tempfile.mkdtemp(prefix="avahi"))
        self._stack.callback(shutil.rmtree, folder)
        bus = f"unix:path={folder}/bus"
        (folder / "bus.conf").write_text(_BUS_CONFIGURATION.format(address=bus), encoding="utf-8")
        (folder / "avahi.conf").write_text(_AVAHI_CONFIGURATION.format(name=name), encoding="utf-8")
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": bus}
        self._start(["dbus-daemon", "--nofork", f"--config-file={folder}/bus.conf"], environment)
        eventually((folder / "bus").exists, bool)
        # Its pid file and socket have fixed paths below /run, so it gets a /run of its own.
        daemon = f"mount -t tmpfs none /run && exec avahi-daemon --no-drop-root --no-chroot -f {folder}/avahi.conf"
        self._start(["unshare", "--mount", "sh", "-c", daemon], environment)
        avahi = Avahi(self, environment)
        eventually(avahi.host_name, bool)
        return avahi

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        process = subprocess.Popen(
            self.command(*command), env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._stack.callback(_end, process)


class Network:
    """The switch, and the machines on it; made by `home_network`."""

    def __init__(self, prefix: str, stack: ExitStack) -> None:
        self._prefix = prefix
        self._stack = stack
        self._hosts = 0
        self._switch = self._namespace("switch")
        _ip("-n", self._switch, "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        _ip("-n", self._switch, "link", "set", "switch", "up")

    def host(self, *, is_plugged: bool = True) -> Host:
        """Add a machine to the network: 10.77.0.1, 10.77.0.2 …"""
        self._hosts += 1
        namespace = self._namespace(f"host{self._hosts}")
        address = f"10.77.0.{self._hosts}"
        host = Host(namespace, address, self._stack)
        if is_plugged:
            self.plug(host)
        return host

    def plug(self, host: Host) -> None:
        """Give a machine its interface, with its address."""
        port = self._port(host)
        _ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        # Without duplicate address detection the link-local address is there at once.
        host.output("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad")
        host.add_address(host.address)
        host.ip("link", "set", "eth0", "up")
        _ip("-n", self._switch, "link", "set", port, "up")
        self.join(host)

    def join(self, host: Host) -> None:
        """Connect a machine to the others."""
        _ip("-n", self._switch, "link", "set", self._port(host), "master", "switch")

    def part(self, host: Host) -> None:
        """Cut a machine off from the others, without its noticing: the cable stays in."""
        _ip("-n", self._switch, "link", "set", self._port(host), "nomaster")

    @staticmethod
    def _port(host: Host) -> str:
        return host.namespace.rpartition("-")[2]

    def _namespace(self, name: str) -> str:
        namespace = f"{self._prefix}-{name}"
        _ip("netns", "add", namespace)
        self._stack.callback(_ip, "netns", "del", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return namespace


@contextmanager
def home_network() -> Iterator[Network]:
    """Give a network with no machine on it yet; everything that runs in it ends with it."""
    with ExitStack() as stack:
        yield Network(f"smartbms{os.getpid()}", stack)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    process.kill()
    process.wait(5)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


_BUS_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

_HOLD_PORT = """
import socket
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("", 5353))
print("ready", flush=True)
input()
"""

_ZEROCONF_HOST = """
import socket, sys
from zeroconf import ServiceInfo, Zeroconf
name, address = sys.argv[1:]
server, addresses = f"{name}.local.", [socket.inet_aton(address)]
info = ServiceInfo("_http._tcp.local.", "other._http._tcp.local.", port=80, server=server, addresses=addresses)
Zeroconf().register_service(info)
print("ready", flush=True)
input()
"""

_AVAHI_CONFIGURATION = """[server]
host-name={name}
use-ipv4=yes
use-ipv6=yes
ratelimit-interval-usec=1000000
ratelimit-burst=1000
[publish]
publish-workstation=no
publish-hinfo=no
"""
