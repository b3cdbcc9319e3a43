"""The service that watches the machine and the event loop, and tells others how they are.

The loop delay is measured where everything else runs, on the loop; the machine is asked in a thread. Knows no output.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bridge.health.findings import OK, Finding, advice, machine_findings, status
from bridge.health.machine import Machine
from bridge.interfaces import Box, Health
from bridge.supervisor import Supervisor

_LOGGER = logging.getLogger(__name__)

_TICK = 0.25
_WINDOW = 60.0
_ENOUGH = 100
"""Ticks from which a 99th percentile is more than the maximum."""
_SETTLE = 5.0
"""s at the start, when much is loaded, that say nothing of the machine."""
_SAMPLE_INTERVAL = 5.0


class LoopDelay:
    """How late the event loop runs, over the last minute."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=round(_WINDOW / _TICK))

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_SETTLE)
        due = loop.time() + _TICK
        while True:
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            # One long pause swallows several ticks: each would have been late by what was left of it.
            while due <= now:
                self._delays.append(now - due)
                due += _TICK

    def p99(self) -> float | None:
        """Return the 99th percentile in s; None until it means something."""
        if len(self._delays) < _ENOUGH:
            return None
        return sorted(self._delays)[math.ceil(0.99 * len(self._delays)) - 1]


class HealthMonitor:
    """Watches the machine, and is the `HealthReader` of the bridge."""

    def __init__(
        self,
        *,
        board: Supervisor,
        data: Path,
        restart_reason: str,
        addresses: Callable[[], tuple[str, ...]] = tuple,
        machine: Machine | None = None,
    ) -> None:
        """`restart_reason` says how the last run ended, `addresses` where the pages can be opened."""
        self._board = board
        self._restart_reason = restart_reason
        self._addresses = addresses
        self._machine = machine or Machine(data=data)
        self._loop_delay = LoopDelay()
        self._box = Box()
        self._started: float | None = None
        self._known: dict[str, Finding] = {}

    def read(self) -> Health:
        """Return the health now; never blocks."""
        services = self._board.statuses()
        box, uptime = self._measured(), self._uptime()
        findings = self._judge(box, uptime)
        return Health(
            status=status(findings, services),
            uptime=uptime,
            restart_reason=self._restart_reason,
            box=box,
            services=services,
            advice=advice(findings, services),
            ports=dict(self._board.ports),
            addresses=self._addresses(),
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop_delay.run(), name="loop delay")
            group.create_task(self._watch_machine(), name="machine")

    async def _watch_machine(self) -> None:
        while True:
            self._box = await asyncio.to_thread(self._machine.sample)
            self._tell_changes()
            await asyncio.sleep(_SAMPLE_INTERVAL)

    def _tell_changes(self) -> None:
        """Log what came and what went."""
        present = {each.kind: each for each in self._judge(self._measured(), self._uptime())}
        for kind in present.keys() - self._known.keys():
            _LOGGER.log(logging.INFO if present[kind].level == OK else logging.WARNING, "%s", present[kind].sentence)
        for kind in self._known.keys() - present.keys():
            if self._known[kind].level != OK:
                _LOGGER.info("no longer so: %s", self._known[kind].sentence)
        self._known = present

    def _judge(self, box: Box, uptime: float) -> tuple[Finding, ...]:
        return machine_findings(box, restart_reason=self._restart_reason, uptime=uptime)

    def _measured(self) -> Box:
        return replace(self._box, loop_delay_p99=self._loop_delay.p99())

    def _uptime(self) -> float:
        return 0.0 if self._started is None else asyncio.get_running_loop().time() - self._started
