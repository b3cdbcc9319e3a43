"""The listening socket, and in words why it cannot be had.

Knows nothing of HTTP.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

_BACKLOG = 128
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_IS_LISTENING = "0A"
"""TCP_LISTEN in /proc/net/tcp, see <net/tcp_states.h>."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; `::` is both families, or IPv4 alone where this machine has no IPv6. May block."""
    if host == "::":
        try:
            return _listen(socket.AF_INET6, ("::", port))
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
            host = "0.0.0.0"
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return _listen(family, address)


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def why_not(error: OSError, host: str, port: int) -> str:
    """Say in one sentence why nothing can listen there. May block."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is used by {port_holder(port) or 'another program'}."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on port {port}; ports from 1024 on are open to everyone."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"This machine has no address {host}."
    return f"Nothing can listen on {host}, port {port}: {error.strerror}."


def port_holder(port: int, *, proc: Path = Path("/proc")) -> str | None:
    """Return the program that listens on a TCP port, as `name (process 12)`, where the system tells. Blocks."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(proc / "net" / table, port)}
    for process in proc.iterdir() if sockets else ():
        if process.name.isdecimal() and (name := _name_of_holder(process, sockets)) is not None:
            return f"{name} (process {process.name})"
    return None


def _listeners(table: Path, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on `port`."""
    try:
        lines = table.read_text().splitlines()[1:]
    except FileNotFoundError:  # no IPv6
        return
    for columns in map(str.split, lines):
        if columns[3] == _IS_LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
            yield columns[9]


def _name_of_holder(process: Path, sockets: set[str]) -> str | None:
    """Return the name of a process that holds one of `sockets`."""
    try:
        if any(str(each.readlink()) in sockets for each in (process / "fd").iterdir()):
            return (process / "comm").read_text().strip()
    except OSError:  # another user's, or gone by now
        pass
    return None
