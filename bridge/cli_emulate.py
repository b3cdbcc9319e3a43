"""`smartbms emulate`: plays a battery's management system on a pseudo-terminal until stopped.

Its loop waits with microseconds' precision (the usual one rounds up to whole milliseconds, which a reader would feel).
Knows nothing of the bridge.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.emulator.battery import EmulatedBattery
    from bridge.emulator.profile import Recipe

_LONGEST_ORDER = 4096
_AWAKE = 2e-4
"""s before each moment that are spent awake: a sleeping process is woken 0.1 to 0.2 ms late."""


@click.command()
@click.argument("protocol")
@click.option("--link", type=click.Path(path_type=Path), help="Keep a symbolic link on the device path here.")
@click.option("--cells", metavar="N", help="Cells in series.")
@click.option("--chemistry", metavar="NAME", help="lfp, nmc or lto.")
@click.option("--baud", metavar="N", help="Speed of the line.")
@click.option("--latency", metavar="MS", help="Milliseconds from a request's last byte to the reply's first.")
@click.option("--seed", metavar="N", help="Another number gives another battery; the same one the same.")
@click.option("--scenario", metavar="FILE", help="TOML file that says what happens when.")
@click.option("--fault", "faults", metavar="NAME=VALUE", multiple=True, help="A fault from the start; may be repeated.")
@click.option(
    "--set", "settings", metavar="NAME=VALUE", multiple=True,
    help="Any other setting that an emulated:// URL may have, such as soc=30 or padded=1; may be repeated.",
)  # fmt: skip
@click.option("--ground-truth", type=click.Path(path_type=Path), help="Write what was served, one JSON object a line.")
def emulate(
    protocol: str,
    link: Path | None,
    faults: tuple[str, ...],
    settings: tuple[str, ...],
    ground_truth: Path | None,
    **plain: str | None,
) -> None:
    """Play the management system of PROTOCOL on a pseudo-terminal until stopped.

    The first line printed is the device path. While it runs, lines on the standard input change what happens: fault
    corrupt=0.02, fault silence for 30, fault none, current -20, current day, soc 50, temperature -5.
    """
    from bridge.emulator.profile import make_recipe

    wishes = [(name, value) for name, value in plain.items() if value is not None]
    wishes += [("fault", fault) for fault in faults]
    wishes += [(name, value) for name, _, value in (setting.partition("=") for setting in settings)]
    recipe = make_recipe(protocol, wishes)
    with asyncio.Runner(loop_factory=_make_precise_loop) as runner:
        runner.run(_play(recipe, link, ground_truth))


class _PreciseSelector(selectors.SelectSelector):
    """Wakes up within microseconds of the moment: the last stretch, which the kernel may stretch, is spent awake."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files or for `timeout` seconds."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        moment = time.monotonic() + timeout
        ready = super().select(max(timeout - _AWAKE, 0))
        while not ready and time.monotonic() < moment:
            ready = super().select(0)
        return ready


def _make_precise_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_PreciseSelector())


async def _play(recipe: Recipe, link: Path | None, ground_truth: Path | None) -> None:
    """Play one battery until a signal ends it."""
    from bridge.emulator.battery import EmulatedBattery
    from bridge.emulator.ports import PseudoTerminal
    from bridge.emulator.truth import TruthFile

    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    wall_offset = time.time() - loop.time()
    with contextlib.ExitStack() as stack:
        witness = None
        if ground_truth is not None:
            witness = stack.enter_context(TruthFile(ground_truth, wall_offset=wall_offset))
        battery = EmulatedBattery(recipe, clock=loop.time, wall_offset=wall_offset, witness=witness)
        port = PseudoTerminal(battery, link=link, plugged=click.echo)
        stack.callback(port.close)
        port.open()
        _listen(battery, loop)
        await stopped.wait()


def _listen(battery: EmulatedBattery, loop: asyncio.AbstractEventLoop) -> None:
    """Carry out what comes on the standard input, as long as there is one."""
    from bridge.emulator.orders import carry_out

    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in a terminal's background, reading fails instead of halting us
    rest = b""

    def read() -> None:
        nonlocal rest
        data = b""
        with contextlib.suppress(OSError):
            data = os.read(sys.stdin.fileno(), _LONGEST_ORDER)
        *lines, rest = (rest + data).split(b"\n") if data else (rest, b"")
        if not data:
            loop.remove_reader(sys.stdin.fileno())
        rest = rest[:_LONGEST_ORDER]
        for line in lines:
            try:
                carry_out(battery, line.decode("utf-8", "replace"))
            except BridgeError as error:
                click.echo(str(error), err=True)

    with contextlib.suppress(OSError, ValueError, AttributeError):  # no standard input at all
        os.fstat(sys.stdin.fileno())
        loop.add_reader(sys.stdin.fileno(), read)
