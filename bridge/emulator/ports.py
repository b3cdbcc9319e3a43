"""Where an emulated battery can be reached: a real pseudo-terminal, or a link in memory.

Both carry bytes through a `Wire`, so that they keep the same times, and both vanish and return with the fault `unplug`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.pacing import Wire
from bridge.errors import BridgeError, ConfigError, LinkBusy, LinkLost

_LOGGER = logging.getLogger(__name__)

_READ_SIZE = 4096
_RETRY = 10
"""s after which a port that could not be plugged in is tried again."""
_LONGEST_REST = 60.0
"""s after which a battery that nobody asks catches up with the time, so that the first question finds it ready."""


class Port:
    """What the ports have in common: the battery's time goes on, and the fault `unplug` takes the port away."""

    def __init__(self, battery: EmulatedBattery) -> None:
        self.battery = battery
        self._loop = asyncio.get_running_loop()
        self._is_plugged = False
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Plug the port in; until `close` it follows the battery's scenario and faults."""
        self.battery.faults.changed = self._look
        self._look()

    def close(self) -> None:
        """Take the port away for good."""
        self.battery.faults.changed = lambda: None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._is_plugged:
            self._is_plugged = False
            self._unplug()

    def _plug(self) -> None:
        raise NotImplementedError

    def _unplug(self) -> None:
        raise NotImplementedError

    def _tick(self) -> None:
        try:
            self.battery.advance(self._loop.time())
            self._look()
        except BridgeError as error:
            _LOGGER.warning("The emulated battery cannot be plugged in, trying again in %d s: %s", _RETRY, error)
            self._set_timer(self._loop.time() + _RETRY)

    def _look(self) -> None:
        """Act upon the fault `unplug`, and come back when something is due."""
        away = self.battery.faults.remaining("unplug")
        if self._is_plugged and away:
            self._unplug()
        elif not self._is_plugged and not away:
            self._plug()
        self._is_plugged = not away
        now = self._loop.time()
        event = self.battery.next_event()
        due = min(now + _LONGEST_REST, now + (away or math.inf), math.inf if event is None else event)
        self._set_timer(due)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)


class PseudoTerminal(Port):
    """The battery on a pseudo-terminal, whose other side any program may open as a serial port."""

    def __init__(
        self, battery: EmulatedBattery, *, link: Path | None = None, plugged: Callable[[str], None] | None = None
    ) -> None:
        """`link` is a symbolic link to keep on the device path; `plugged` hears the path each time it appears."""
        super().__init__(battery)
        self.path: str | None = None
        """The device path, None while it is unplugged."""
        self._link = link
        self._plugged = plugged
        self._master = self._slave = -1
        self._speed: int | None = getattr(termios, f"B{battery.recipe.baudrate}", None)
        self._wire: Wire | None = None

    def _plug(self) -> None:
        try:
            self._master, self._slave = os.openpty()  # the slave stays open here, so that readers may come and go
        except OSError as error:
            raise LinkLost(f"There is no pseudo-terminal left: {error.strerror}.", url="/dev/ptmx") from error
        tty.setraw(self._slave, termios.TCSANOW)
        if self._speed is not None:
            mode = termios.tcgetattr(self._slave)
            mode[4] = mode[5] = self._speed
            termios.tcsetattr(self._slave, termios.TCSANOW, mode)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._wire = Wire(self.battery, self._write)
        self._loop.add_reader(self._master, self._read, self._wire)
        if self._link is not None:
            try:
                _make_link(self._link, self.path)
            except ConfigError:
                self._unplug()
                raise
        if self._plugged is not None:
            self._plugged(self.path)

    def _unplug(self) -> None:
        self._loop.remove_reader(self._master)
        if self._wire is not None:
            self._wire.stop()
        os.close(self._master)
        os.close(self._slave)
        if self._link is not None and self.path is not None:
            _remove_link(self._link, self.path)
        self.path = None

    def _read(self, wire: Wire) -> None:
        try:
            data = os.read(self._master, _READ_SIZE)
        except BlockingIOError:
            return
        if self._has_same_speed():
            wire.receive(data)

    def _has_same_speed(self) -> bool:
        """Whether the reader set the speed of the device; at another one both hear nothing that makes sense."""
        return self._speed is None or termios.tcgetattr(self._slave)[5] == self._speed

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._master, data)
        except BlockingIOError:
            _LOGGER.debug("%s: nobody reads, %d bytes are lost", self.path, len(data))


class MemoryPort(Port):
    """The battery on links in memory, one at a time; everything happens on the running loop and in its time."""

    def __init__(self, battery: EmulatedBattery, *, url: str) -> None:
        super().__init__(battery)
        self._url = url
        self._link: MemoryLink | None = None

    def connect(self) -> MemoryLink:
        """Return a new link; LinkBusy while another is open, LinkLost while it is unplugged."""
        if self._link is not None:
            raise LinkBusy(f"The emulated battery {self._url} is in use already.", url=self._url,
                           advice="Give each battery a seed of its own: emulated://daly?seed=2.")  # fmt: skip
        if not self._is_plugged:
            raise LinkLost(f"{self._url} is unplugged.", url=self._url)
        self._link = MemoryLink(self.battery, url=self._url, closed=self._forget)
        return self._link

    def _forget(self) -> None:
        self._link = None

    def _plug(self) -> None:
        pass

    def _unplug(self) -> None:
        if self._link is not None:
            self._link.lose(OSError(errno.ENODEV, os.strerror(errno.ENODEV)))


class MemoryLink:
    """A link whose other end is an emulated battery."""

    needs_pause = False

    def __init__(self, battery: EmulatedBattery, *, url: str, closed: Callable[[], None]) -> None:
        self.url = url
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._wire = Wire(battery, self._deliver)
        self._received: Callable[[bytes], None] | None = None
        self._lost: Callable[[Exception | None], None] | None = None

    def start(self, received: Callable[[bytes], None], lost: Callable[[Exception | None], None]) -> None:
        """Deliver what arrives to `received`; call `lost` once when the link has gone."""
        self._received, self._lost = received, lost

    def write(self, data: bytes) -> None:
        """Put `data` on the wire."""
        if self._is_open:
            self._wire.receive(data)

    def close(self) -> None:
        """Close the link; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            self._wire.stop()
            self._closed()

    def lose(self, error: Exception) -> None:
        """Let the link vanish under its user."""
        self.close()
        if self._lost is not None:
            self._lost(error)

    def _deliver(self, data: bytes) -> None:
        """Hand over what arrived, in a turn of its own: whoever hears it may do anything, even close the link."""
        self._loop.call_soon(self._hand_over, data)

    def _hand_over(self, data: bytes) -> None:
        if self._is_open and self._received is not None:
            self._received(data)


def _make_link(link: Path, target: str) -> None:
    """Point `link` at `target` in one step, in place of an older link but of nothing else."""
    if link.exists() and not link.is_symlink():
        raise ConfigError(f"{link} exists and is no symbolic link.", where=str(link), advice="Choose another --link.")
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        raise ConfigError(f"The link {link} cannot be made: {error.strerror}.", where=str(link)) from error


def _remove_link(link: Path, target: str) -> None:
    """Remove `link` if it still points at `target`."""
    with contextlib.suppress(OSError):
        if str(link.readlink()) == target:
            link.unlink()
