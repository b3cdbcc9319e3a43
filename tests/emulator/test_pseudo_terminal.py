"""The battery on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import termios
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import serial

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.ports import PseudoTerminal
from bridge.emulator.profile import make_recipe
from bridge.errors import ConfigError, LinkLost
from tests.emulator import daly_sheet as sheet

BYTE = 10 / 9600
PATIENCE = 5.0

Plug = Callable[..., PseudoTerminal]


@pytest.fixture
async def plug() -> AsyncIterator[Plug]:
    """Give a function that plugs an emulated Daly in; all are unplugged at the end."""
    with contextlib.ExitStack() as stack:

        def plug_in(*settings: tuple[str, str], link: Path | None = None) -> PseudoTerminal:
            clock = asyncio.get_running_loop().time
            battery = EmulatedBattery(make_recipe("daly", settings), clock=clock)
            port = PseudoTerminal(battery, link=link)
            stack.callback(port.close)
            port.open()
            return port

        yield plug_in


class Reader:
    """A program that has the device open, without setting anything."""

    def __init__(self, path: str | None) -> None:
        assert path is not None
        self._loop = asyncio.get_running_loop()
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.error: int | None = None
        self._data = bytearray()
        self._changed = asyncio.Event()
        self._loop.add_reader(self.fd, self._read)

    async def ask(self, command: int, wanted: int | None = None) -> bytes:
        """Return a whole reply; TimeoutError where it does not come."""
        self._data.clear()
        os.write(self.fd, sheet.request(command))
        async with asyncio.timeout(PATIENCE):
            while len(self._data) < (wanted or sheet.length(command)):
                self._changed.clear()
                await self._changed.wait()
        return bytes(self._data)

    async def gone(self) -> int:
        """Wait until the device has gone and return the error number."""
        async with asyncio.timeout(PATIENCE):
            while self.error is None:
                self._changed.clear()
                await self._changed.wait()
        return self.error

    def close(self) -> None:
        self._loop.remove_reader(self.fd)
        os.close(self.fd)

    def _read(self) -> None:
        try:
            data = os.read(self.fd, 4096)
        except OSError as error:
            self.error = error.errno
            data = b""
        if not data:
            self._loop.remove_reader(self.fd)
            self.error = self.error or 0
        self._data += data
        self._changed.set()


def is_plugged(port: PseudoTerminal) -> bool:
    """Whether there is a device."""
    return port.path is not None and Path(port.path).exists()


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    limit = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < limit
        await asyncio.sleep(0.005)


async def test_any_program_can_open_it_and_is_answered(plug: Plug) -> None:
    reader = Reader(plug(("latency", "1")).path)

    for command in (0x94, 0x95, 0x90):
        assert sheet.decode(command, await reader.ask(command))
    reader.close()


async def test_real_line_is_never_faster_than_the_wire(plug: Plug) -> None:
    reader = Reader(plug(("latency", "5")).path)

    for command in (0x90, 0x95, 0x93) * 4:
        begin = time.monotonic()
        reply = await reader.ask(command)
        assert time.monotonic() - begin >= (13 + len(reply)) * BYTE + 0.005
    reader.close()


async def test_readers_may_come_and_go_many_times(plug: Plug) -> None:
    port = plug(("latency", "0"), ("baud", "115200"))

    for _ in range(30):
        reader = Reader(port.path)
        assert sheet.decode(0x90, await reader.ask(0x90))
        reader.close()


async def test_port_that_nobody_has_open_costs_no_processor_time(plug: Plug) -> None:
    port = plug()
    reader = Reader(port.path)
    await reader.ask(0x90)
    reader.close()

    begin = time.process_time()
    await asyncio.sleep(0.4)

    assert time.process_time() - begin < 0.1


async def test_reader_that_never_reads_does_not_stop_it(plug: Plug) -> None:
    port = plug(("latency", "0"), ("baud", "1000000"))
    assert port.path is not None
    deaf = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    for _ in range(400):  # 400 × 13 bytes are more than a terminal keeps
        os.write(deaf, sheet.request(0x90))
        await asyncio.sleep(0.001)
    termios.tcflush(deaf, termios.TCIFLUSH)
    os.close(deaf)

    reader = Reader(port.path)
    assert sheet.decode(0x90, await reader.ask(0x90))
    reader.close()


async def test_device_path_is_raw_and_has_the_speed_of_the_device(plug: Plug) -> None:
    port = plug(("baud", "19200"))
    assert port.path is not None
    fd = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    mode = termios.tcgetattr(fd)
    os.close(fd)

    assert mode[4] == mode[5] == termios.B19200
    assert not mode[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    assert not mode[1] & termios.OPOST


async def test_reader_at_another_speed_hears_nothing(plug: Plug) -> None:
    port = plug(("latency", "1"))

    def talk(speed: int) -> bytes:
        with serial.Serial(port.path, speed, timeout=0.15) as device:
            device.write(sheet.request(0x90))
            return bytes(device.read(13))

    assert await asyncio.to_thread(talk, 19200) == b""
    assert sheet.decode(0x90, await asyncio.to_thread(talk, 9600))


async def test_odd_speed_is_served_too(plug: Plug) -> None:
    reader = Reader(plug(("latency", "1"), ("baud", "10400")).path)

    assert sheet.decode(0x90, await reader.ask(0x90))
    reader.close()


async def test_unplugged_device_vanishes_and_returns(plug: Plug, tmp_path: Path) -> None:
    link = tmp_path / "bms"
    port = plug(("latency", "1"), link=link)
    assert str(link.readlink()) == port.path
    reader = Reader(port.path)
    await reader.ask(0x90)

    port.battery.faults.set("unplug", 0.2)

    assert not is_plugged(port)
    assert not link.is_symlink()
    assert await reader.gone() in (errno.EIO, 0)
    reader.close()

    await eventually(lambda: is_plugged(port))
    assert str(link.readlink()) == port.path
    again = Reader(port.path)
    assert sheet.decode(0x90, await again.ask(0x90))
    again.close()


async def test_unplugged_until_told_otherwise(plug: Plug) -> None:
    port = plug()
    port.battery.faults.set("unplug")
    assert not is_plugged(port)

    port.battery.faults.set("unplug", "off")

    assert is_plugged(port)
    reader = Reader(port.path)
    assert sheet.decode(0x90, await reader.ask(0x90))
    reader.close()


async def test_battery_may_begin_unplugged(plug: Plug) -> None:
    port = plug(("fault", "unplug=0.1"))

    assert not is_plugged(port)
    await eventually(lambda: is_plugged(port))


async def test_older_link_is_replaced_and_removed_at_the_end(plug: Plug, tmp_path: Path) -> None:
    link = tmp_path / "bms"
    link.symlink_to("/dev/pts/nowhere")

    port = plug(link=link)
    assert str(link.readlink()) == port.path
    port.close()

    assert not link.is_symlink()


async def test_link_that_somebody_else_has_taken_is_left_alone(plug: Plug, tmp_path: Path) -> None:
    link = tmp_path / "bms"
    port = plug(link=link)
    link.unlink()
    link.symlink_to("/dev/pts/other")

    port.close()

    assert str(link.readlink()) == "/dev/pts/other"


async def test_file_in_the_way_of_the_link_is_told(plug: Plug, tmp_path: Path) -> None:
    (tmp_path / "bms").write_text("mine")

    with pytest.raises(ConfigError, match=r"exists and is no symbolic link\. Choose another --link\.$"):
        plug(link=tmp_path / "bms")

    assert (tmp_path / "bms").read_text() == "mine"


async def test_machine_without_another_pseudo_terminal_is_told(plug: Plug) -> None:
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(LinkLost, match=r"^There is no pseudo-terminal left: "):
            plug()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_link_in_a_folder_that_is_not_there_is_told(plug: Plug, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be made: No such file or directory\.$"):
        plug(link=tmp_path / "none" / "bms")
