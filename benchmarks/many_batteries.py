"""Plays any number of Daly batteries in one process, each on a pseudo-terminal; prints their paths, one a line."""

from __future__ import annotations

import asyncio
import sys

from bridge.emulator.battery import EmulatedBattery
from bridge.emulator.ports import PseudoTerminal
from bridge.emulator.profile import make_recipe


async def play(count: int) -> None:
    """Play `count` batteries until the process is ended."""
    loop = asyncio.get_running_loop()
    ports = []
    for seed in range(count):
        recipe = make_recipe("daly", [("seed", str(seed)), ("latency", "5")])
        port = PseudoTerminal(EmulatedBattery(recipe, clock=loop.time))
        port.open()
        ports.append(port)
    print("\n".join(str(port.path) for port in ports), flush=True)
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(play(int(sys.argv[1])))
