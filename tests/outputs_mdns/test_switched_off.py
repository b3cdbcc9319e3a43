"""Who does not want to be announced is not."""

from __future__ import annotations

import asyncio

from bridge.config import MdnsSection
from bridge.interfaces import Identity, ServiceStatus
from bridge.outputs.mdns import MdnsOutput
from bridge.supervisor import Supervisor
from tests.virtual_time import in_virtual_time


@in_virtual_time
async def test_switched_off_output_says_so_and_opens_nothing() -> None:
    supervisor = Supervisor()
    identity = Identity(uid="12345678", name="smartbms", version="1", build="1")
    output = MdnsOutput(
        settings=MdnsSection(enabled=False), identity=identity, board=supervisor, web_port=lambda: 6789
    )
    supervisor.add("mdns", output)

    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(60)

    detail = "Switched off in the configuration (mdns.enabled)."
    assert supervisor.statuses() == (ServiceStatus(name="mdns", state="off", detail=detail),)
    assert output.host_name is None
    running.cancel()
