"""Thirty-two batteries on real pseudo-terminals side by side, every line noisy both ways, in real time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bridge.battery.model import BatteryState
from bridge.bus import open_serial
from bridge.clock import SystemClock
from bridge.config import BatterySection
from bridge.emulator.service import EmulatorService
from bridge.emulator.truth import Memory
from bridge.hub import Hub
from bridge.sources.factory import SourceFactory, describe
from bridge.tracker import Tracker

BATTERIES, POLLS = 32, 40
COMPARED = ("voltage", "current", "soc", "remaining_capacity", "cell_voltages", "temperatures", "alarms")


@pytest.mark.timeout(120)
async def test_nothing_wrong_comes_out_of_thirty_two_noisy_lines() -> None:
    clock = SystemClock()
    sections = [
        BatterySection(id=f"b{seed}", port=f"emulated://daly?latency=5&seed={seed}") for seed in range(BATTERIES)
    ]
    truths = [Memory() for _ in sections]
    emulators = [EmulatorService(clock=clock, open_port=open_serial, witness=truth) for truth in truths]
    hub = Hub(describe(each) for each in sections)
    published: list[BatteryState] = []
    tracker = Tracker(hub, clock)
    tasks = []
    for section, emulator in zip(sections, emulators, strict=True):
        factory = SourceFactory(openers={"emulated": emulator}, deliver=tracker, clock=clock)
        emulator.battery(section.port).faults.set("corrupt", 0.02)
        tasks += [asyncio.create_task(emulator.run()), asyncio.create_task(factory.make(section).run())]
    with hub.subscribe() as changes, contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLLS):
            while True:
                published.extend(await changes.next())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    live = [state for state in published if state.link.state.is_online]
    memories = {section.id: truth for section, truth in zip(sections, truths, strict=True)}
    wrong = [
        f"{state.battery}: {field} of {getattr(state, key)}"
        for state in live
        for key in COMPARED
        if getattr(state, key) not in (None, ())
        for field in memories[state.battery].unknown(key, getattr(state, key))
    ]
    assert wrong == []
    assert len(live) >= 0.8 * BATTERIES * POLLS
    complete = [state for state in live if "cell_voltages" in state.block_times]
    assert len(complete) >= 0.5 * BATTERIES * POLLS
