"""Byte links to batteries, opened by URL, and the turns that are taken on them.

A `Bus` is one line. `transaction` sends a request and collects the reply while nobody else talks; several batteries on
one line, and whoever else needs it, take turns so. Schemes other than a device path come from a table that `bridge.app`
fills. This is the only place where pyserial is used and where OSError becomes LinkError. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError, LinkBusy, LinkError, LinkForbidden, LinkLost
from bridge.interfaces import Link, LinkOpener, LinkOptions

_LOGGER = logging.getLogger(__name__)

READ_SIZE = 4096
QUIET = 0.015
"""s without a byte after which a reply that is still running at its deadline counts as ended."""
STANDSTILL = 0.3
"""s after its deadline at which a reply is too old to be taken for a fresh one."""
EXTENSION = 1.0
"""s by which a running reply may pass its deadline."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one request brought."""

    sent_at: float
    """Monotonic seconds at which the request was handed to the line."""
    ended_at: float
    """Monotonic seconds of the last byte that came, or of giving up where none did."""
    is_complete: bool
    """Whether the receiver said that it has enough."""


class Bus:
    """One line to one or more batteries; opened when first needed, and again after it was lost."""

    def __init__(self, url: str, options: LinkOptions, openers: Mapping[str, LinkOpener] | None = None) -> None:
        self.url = url
        self.options = options
        self._openers = openers or {}
        self._turn = asyncio.Lock()
        self._link: Link | None = None
        self._lost: LinkError | None = None
        self._receive: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._last_byte = self._limit = 0.0
        self._gone = asyncio.Event()

    @property
    def needs_pause(self) -> bool:
        """Whether the open link is a real line, on which a protocol's pause applies."""
        return self._link is None or self._link.needs_pause

    def seconds(self, size: int) -> float:
        """Return how long `size` bytes take on this line."""
        return size * (9 + self.options.stopbits + (self.options.parity != "N")) / self.options.baudrate

    async def transaction(
        self, request: bytes, receive: Callable[[bytes], bool], *, patience: float, pause: float = 0.0
    ) -> Transaction:
        """Send `request` and hand all that comes to `receive` until it returns True or `patience` (s) is over.

        `pause` is kept between the last byte on the line and the request. A reply that is still running at the end of
        the patience may finish. Raises LinkError when the line cannot be opened or is lost.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            link = self._link or await self._open()
            if pause and (rest := self._last_byte + pause - loop.time()) > 0:
                await asyncio.sleep(rest)
            if self._lost is not None:
                raise self._forget()
            waiter = self._waiter = loop.create_future()
            self._receive = receive
            sent_at = self._last_byte = loop.time()
            limit = self._limit = sent_at + patience
            try:
                link.write(request)
                timer = loop.call_at(limit, self._expire, waiter, limit + EXTENSION)
                try:
                    is_complete = await waiter
                finally:
                    timer.cancel()
            finally:
                self._waiter = None
            if self._lost is not None:
                raise self._forget()
            ended_at = self._last_byte if self._last_byte > sent_at else loop.time()
            return Transaction(sent_at, ended_at, is_complete)

    async def gone(self) -> None:
        """Wait until the open line is lost; the next transaction then raises LinkError."""
        await self._gone.wait()

    def close(self) -> None:
        """Close the line; the next transaction opens it again."""
        if self._link is not None:
            self._link.close()
        self._link = None

    async def _open(self) -> Link:
        scheme = self.url.split("://", 1)[0] if "://" in self.url else ""
        opener = self._openers.get(scheme) or (open_serial if not scheme else None)
        if opener is None:
            raise ConfigError(f"Ports of the kind {scheme}:// cannot be opened by this version.", where=self.url)
        link = await opener(self.url, self.options)
        self._lost = None
        self._gone.clear()
        link.start(self._received, self._has_gone)
        self._link = link
        return link

    def _received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if self._waiter is not None and now - max(self._limit, self._last_byte) > STANDSTILL:
            self._receive = None  # this process stood still, and what it finds now is from before
        self._last_byte = now
        if self._receive is not None and self._receive(data) and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _expire(self, waiter: asyncio.Future[bool], limit: float) -> None:
        loop = asyncio.get_running_loop()
        if waiter.done():
            return
        if loop.time() - self._last_byte < QUIET and loop.time() < limit and self._last_byte:
            loop.call_later(QUIET, self._expire, waiter, limit)
        else:
            waiter.set_result(False)

    def _has_gone(self, error: Exception | None) -> None:
        reason = f": {error}" if error else ""
        self._lost = LinkLost(f"{self.url} has gone{reason}.", url=self.url)
        self._gone.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(False)

    def _forget(self) -> LinkError:
        error = self._lost or LinkLost(f"{self.url} has gone.", url=self.url)
        self.close()
        self._lost = None
        self._gone.clear()
        return error


class FileLink:
    """A link over a file descriptor that is a serial port or the slave side of a pseudo-terminal."""

    def __init__(self, url: str, fd: int, *, needs_pause: bool, close: Callable[[], None]) -> None:
        self.url = url
        self.needs_pause = needs_pause
        self._fd = fd
        self._close = close
        self._pending = bytearray()
        self._is_open = True
        self._received: Callable[[bytes], None] = lambda data: None
        self._lost: Callable[[Exception | None], None] = lambda error: None

    def start(self, received: Callable[[bytes], None], lost: Callable[[Exception | None], None]) -> None:
        """Deliver what arrives to `received`; call `lost` once when the port has gone."""
        self._received, self._lost = received, lost
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def write(self, data: bytes) -> None:
        """Hand `data` to the port; what it cannot take now follows as soon as it can."""
        if self._pending:
            self._pending[:] = data  # what could not be said before is of no use any more
            return
        written = self._write(data)
        if written < len(data) and self._is_open:
            self._pending += data[written:]
            asyncio.get_running_loop().add_writer(self._fd, self._flush)

    def close(self) -> None:
        """Close the port."""
        if not self._is_open:
            return
        self._is_open = False
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        self._close()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error)
            return
        if data:
            self._received(data)
        else:
            self._gone(None)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._gone(error)
            return len(data)

    def _flush(self) -> None:
        del self._pending[: self._write(bytes(self._pending))]
        if not self._pending and self._is_open:
            asyncio.get_running_loop().remove_writer(self._fd)

    def _gone(self, error: OSError | None) -> None:
        self.close()
        self._lost(error)


async def open_serial(url: str, options: LinkOptions) -> Link:
    """Open the device path `url` for us alone; LinkLost, LinkForbidden or LinkBusy say why it cannot be."""
    return await asyncio.to_thread(_open_serial, url, options)


def _open_serial(path: str, options: LinkOptions) -> Link:
    import serial

    try:
        port = serial.Serial(
            path,
            options.baudrate,
            parity=options.parity,
            stopbits=options.stopbits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, termios.error, ValueError) as error:
        raise _why_not(path, error) from error
    real = os.path.realpath(path)
    return FileLink(path, port.fileno(), needs_pause=not real.startswith("/dev/pts/"), close=port.close)


def _why_not(path: str, error: Exception) -> LinkError:
    """Say in words why a port cannot be opened."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR):
        return LinkLost(
            f"There is no port {path}.",
            url=path,
            advice=f"Plug the adapter in, or correct `port`; there are: {', '.join(list_ports()) or 'no ports'}.",
        )
    if number in (errno.EACCES, errno.EPERM):
        group = _group(path)
        advice = f"Add your user to the group {group} (sudo usermod -aG {group} $USER) and log in again."
        if group == "root":
            advice = f"Only root may: sudo chgrp dialout {path} && sudo chmod g+rw {path} gives it to the usual group."
        return LinkForbidden(f"You may not open {path}.", url=path, group=group, advice=advice)
    if number in (errno.EBUSY, errno.EWOULDBLOCK, errno.EAGAIN) or "exclusively lock" in str(error):
        holder = find_holder(path)
        return LinkBusy(
            f"{path} is used by {holder or 'another program'}.",
            url=path,
            holder=holder,
            advice="End that program, or give the battery another port.",
        )
    return LinkLost(f"{path} cannot be opened as a serial port: {error}.", url=path)


def _group(path: str) -> str:
    try:
        return Path(path).group()
    except (OSError, KeyError):
        return "dialout"


def list_ports() -> list[str]:
    """Return the serial ports of this machine, by their stable names where they have one."""
    by_id = sorted(str(each) for each in Path("/dev/serial/by-id").glob("*"))
    named = {os.path.realpath(each) for each in by_id}
    patterns = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttySC*", "serial[0-9]")
    others = (str(each) for pattern in patterns for each in sorted(Path("/dev").glob(pattern)))
    return by_id + [each for each in others if os.path.realpath(each) not in named]


def find_holder(path: str) -> str | None:
    """Return names and process ids of the other programs that have `path` open, where the system tells."""
    real = os.path.realpath(path)
    holders = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(fd) == real for fd in (process / "fd").iterdir()):
                holders.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
        except OSError:
            continue
    return " and ".join(holders) or None
