"""A bridge that does nothing but announce itself: `python -m tests.outputs_mdns.announcer NAME PORT UID`.

Prints a line of JSON whenever what it tells changes; a number on its standard input becomes the port of its pages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import suppress

from bridge.config import MdnsSection
from bridge.interfaces import Identity
from bridge.outputs.mdns import MdnsOutput
from bridge.supervisor import Supervisor


async def main(name: str, port: int, uid: str) -> None:
    pages = {"port": port or None}
    supervisor = Supervisor()
    output = MdnsOutput(
        settings=MdnsSection(enabled=True),
        identity=Identity(uid=uid, name=name, version="1.2.3", build="abc"),
        board=supervisor,
        web_port=lambda: pages["port"],
    )
    supervisor.add("mdns", output)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: pages.update(port=int(sys.stdin.readline())))
    running = asyncio.create_task(supervisor.run(), name="supervisor")
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    reporting = asyncio.create_task(_report(supervisor, output), name="report")
    with suppress(asyncio.CancelledError):
        await running
    reporting.cancel()


async def _report(supervisor: Supervisor, output: MdnsOutput) -> None:
    last = None
    while True:
        (status,) = supervisor.statuses()
        now = {"host_name": output.host_name, "state": status.state, "detail": status.detail}
        if now != last:
            print(json.dumps(now), flush=True)  # noqa: T201  # this is how the tests read it
            last = now
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
