"""The service measures how late the event loop runs, and answers at once whoever asks how the bridge is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.health import HealthMonitor
from bridge.health.machine import Machine
from bridge.interfaces import ServiceStatus
from bridge.supervisor import Supervisor
from tests.virtual_time import VirtualTimeLoop, in_virtual_time


@asynccontextmanager
async def running_monitor(tmp_path: Path, *, restart_reason: str = "boot") -> AsyncIterator[HealthMonitor]:
    """Run a monitor on a machine that tells only what a test writes below `tmp_path`."""
    supervisor = Supervisor()
    monitor = HealthMonitor(
        board=supervisor, data=tmp_path, restart_reason=restart_reason, addresses=lambda: ("http://smartbms.local:6789",),
        machine=Machine(data=tmp_path, root=tmp_path),
    )  # fmt: skip
    supervisor.add("health", monitor)
    supervisor.port("web", 6789)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    try:
        yield monitor
    finally:
        running.cancel()
        await asyncio.wait({running})


async def block_the_loop(*, every: float, by: float, times: int) -> None:
    """Let the loop stand still `by` seconds after each `every` seconds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    for _ in range(times):
        await asyncio.sleep(every)
        loop.jump(by)


@in_virtual_time
async def test_health_is_known_as_a_whole(tmp_path: Path) -> None:
    async with running_monitor(tmp_path, restart_reason="first start") as monitor:
        await asyncio.sleep(40)
        health = monitor.read()

    assert (health.status, health.restart_reason, health.advice) == ("ok", "first start", ())
    assert health.uptime == pytest.approx(40)
    assert health.services == (ServiceStatus(name="health", state="running"),)
    assert health.ports == {"web": 6789}
    assert health.addresses == ("http://smartbms.local:6789",)
    assert health.box.disk_free is not None


def test_health_can_be_asked_for_before_the_service_runs(tmp_path: Path) -> None:
    health = HealthMonitor(board=Supervisor(), data=tmp_path, restart_reason="boot").read()

    assert (health.status, health.uptime, health.box.memory) == ("ok", 0.0, None)


@in_virtual_time
async def test_loop_that_is_on_time_has_no_delay(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await asyncio.sleep(120)

        assert monitor.read().box.loop_delay_p99 == pytest.approx(0, abs=1e-6)


@in_virtual_time
async def test_delay_is_unknown_until_there_is_enough_to_judge_by(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await asyncio.sleep(29)
        early = monitor.read().box.loop_delay_p99
        await asyncio.sleep(2)

        assert early is None
        assert monitor.read().box.loop_delay_p99 is not None


@in_virtual_time
async def test_loop_that_is_often_held_up_is_bad(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await asyncio.sleep(5)
        # Each pause begins 130 ms before a tick: 120 ms late, one tick in eight.
        await asyncio.sleep(0.12)
        await block_the_loop(every=1.75, by=0.25, times=60)
        health = monitor.read()

    assert health.box.loop_delay_p99 == pytest.approx(0.12, abs=0.002)
    assert health.status == "bad"
    assert "Raise poll_interval to 2" in health.advice[0]


@in_virtual_time
async def test_one_long_pause_counts_for_all_the_ticks_that_it_swallowed(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await asyncio.sleep(66)
        await block_the_loop(every=0.1, by=2.1, times=1)
        await asyncio.sleep(1)

        # Late by up to 2 s in steps of 0.25 s; of 240 ticks the third latest is the 99th percentile.
        assert monitor.read().box.loop_delay_p99 == pytest.approx(1.45, abs=0.01)


@in_virtual_time
async def test_pauses_older_than_a_minute_are_forgotten(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await asyncio.sleep(66)
        await block_the_loop(every=0.1, by=10, times=1)
        await asyncio.sleep(62)

        assert monitor.read().box.loop_delay_p99 == pytest.approx(0, abs=1e-6)


@in_virtual_time
async def test_pauses_while_the_bridge_starts_do_not_count(tmp_path: Path) -> None:
    async with running_monitor(tmp_path) as monitor:
        await block_the_loop(every=0.5, by=1, times=3)
        await asyncio.sleep(40)

        assert monitor.read().box.loop_delay_p99 == pytest.approx(0, abs=1e-6)


@in_virtual_time
async def test_trouble_is_logged_once_when_it_comes_and_once_when_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bridge.health")
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n", encoding="ascii")
    (zone / "temp").write_text("85000\n", encoding="ascii")
    async with running_monitor(tmp_path):
        await asyncio.sleep(60)
        (zone / "temp").write_text("60000\n", encoding="ascii")
        await asyncio.sleep(60)

    told = [(record.levelname, record.getMessage()[:40]) for record in caplog.records]
    assert told == [
        ("WARNING", "The processor is 85 °C hot and slows its"),
        ("INFO", "no longer so: The processor is 85 °C hot"),
    ]
