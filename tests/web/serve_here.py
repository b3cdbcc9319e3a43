"""Runs a web server in the network namespace of this process, for tests that look at it from other addresses.

    python -m tests.web.serve_here [home_network …]         prints the port, serves until its input ends
"""

from __future__ import annotations

import asyncio
import sys

from bridge.config import WebSection
from tests.web.serving import live, serving


async def main() -> None:
    async with serving(settings=WebSection(host="::", port=0, home_networks=tuple(sys.argv[1:]))) as it:
        it.hub.publish(live())
        print(it.port, flush=True)  # noqa: T201  # read by the test
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
