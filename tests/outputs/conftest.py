from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.outputs.parts import Broker, Embedded, Mosquitto


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")), "embedded"])
async def broker(
    request: pytest.FixtureRequest, tmp_path: Path, program: Callable[[str], str]
) -> AsyncIterator[Broker]:
    """Give both brokers in turn: what holds at one has to hold at the other."""
    made: Broker = Mosquitto(program("mosquitto"), tmp_path) if request.param == "mosquitto" else Embedded()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def mosquitto(tmp_path: Path, program: Callable[[str], str]) -> AsyncIterator[Mosquitto]:
    """Give a mosquitto that lets everybody in."""
    made = Mosquitto(program("mosquitto"), tmp_path)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
