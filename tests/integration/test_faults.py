"""The whole bridge as a process, a battery on a pseudo-terminal, a real broker: what fails, and what goes on."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial

from tests.rig import (
    Bridge,
    Emulated,
    Subscriber,
    bridge,
    emulated_battery,
    free_port,
    mosquitto,
    wait_until,
)

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.timeout(120)]


def configuration(port: str, broker: int, rest: str = "") -> str:
    return (
        f'[[battery]]\nid = "main"\nport = "{port}"\nprotocol = "daly"\n'
        f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker}"\n[web]\nhost = "127.0.0.1"\nport = 0\n'
        f"[mdns]\nenabled = false\n{rest}"
    )


@pytest.fixture
def battery(tmp_path: Path) -> Iterator[Emulated]:
    with emulated_battery(tmp_path, "--latency", "2") as playing:
        yield playing


def link_of(running: Bridge) -> str | None:
    answer = running.get("/api/batteries/main")
    return answer["link"] if answer else None


def states(subscriber: Subscriber, since: float = 0.0) -> list[dict[str, Any]]:
    return [state for at, _, state in list(subscriber.messages) if at >= since]


def wait_for_reading(subscriber: Subscriber, *, after: int = 0) -> None:
    wait_until(lambda: len(subscriber.messages) > after, "a reading at the broker", seconds=30)


def health_of(running: Bridge) -> dict[str, Any]:
    health: dict[str, Any] = wait_until(lambda: running.get("/api/health"), "the pages")
    return health


def test_every_published_value_was_served(tmp_path: Path, battery: Emulated) -> None:
    with (
        mosquitto(tmp_path) as broker,
        Subscriber(broker) as subscriber,
        bridge(tmp_path, configuration(battery.port, broker)),
    ):
        wait_until(lambda: len(subscriber.messages) >= 8, "eight readings")
        published = states(subscriber)
    served = [each["values"] for each in battery.served() if each["message"] == "pack"]
    voltages = {each["voltage"] for each in served}
    assert all(state["voltage"] in voltages for state in published)
    assert all(state["link"] == "ok" for state in published)


def test_silent_battery_goes_offline_and_no_stale_value_is_published(tmp_path: Path, battery: Emulated) -> None:
    with (
        mosquitto(tmp_path) as broker,
        Subscriber(broker) as subscriber,
        bridge(tmp_path, configuration(battery.port, broker)) as running,
    ):
        wait_until(lambda: len(subscriber.messages) >= 3, "three readings")
        battery.order("fault silence for 12")
        began = time.time()
        wait_until(lambda: link_of(running) == "silent", "silence noticed", seconds=10)
        noticed = time.time() - began
        page = running.get("/api/batteries/main")
        wait_until(lambda: link_of(running) == "ok", "the battery's return", seconds=20)
        back = time.time() - began
        meanwhile = states(subscriber, began + 1.5)
    assert noticed < 6.0
    assert page["voltage"] is None
    assert page["error"] == "bms_data_error"
    assert page["last"]["voltage"] > 40
    silent = [state for state in meanwhile if state["link"] == "silent"]
    assert len(silent) == 1
    assert silent[0]["cell_voltages"] == []
    assert back < 12 + 2 + 1.5


def test_broker_may_stop_and_come_back(tmp_path: Path, battery: Emulated) -> None:
    port = free_port()
    with bridge(tmp_path, configuration(battery.port, port)) as running:
        wait_until(lambda: link_of(running) == "ok", "a reading without any broker")
        for _ in range(2):
            with mosquitto(tmp_path, port=port), Subscriber(port) as subscriber:
                wait_for_reading(subscriber)
        assert link_of(running) == "ok"


def test_unplugged_port_is_told_and_used_again(tmp_path: Path, battery: Emulated) -> None:
    with (
        mosquitto(tmp_path) as broker,
        Subscriber(broker) as subscriber,
        bridge(tmp_path, configuration(battery.port, broker)) as running,
    ):
        wait_until(lambda: link_of(running) == "ok", "the first reading")
        battery.order("fault unplug for 4")
        wait_until(lambda: link_of(running) == "unplugged", "the loss")
        wait_until(lambda: link_of(running) == "ok", "the return", seconds=15)
        assert any(state["link"] == "unplugged" and state["voltage"] is None for state in states(subscriber))


def test_port_held_by_another_program_names_it(tmp_path: Path, battery: Emulated) -> None:
    with mosquitto(tmp_path) as broker:
        with (
            serial.Serial(battery.port, exclusive=True),
            bridge(tmp_path, configuration(battery.port, broker)) as running,
        ):
            wait_until(lambda: link_of(running) == "unplugged", "the busy port")
            advice = running.get("/api/batteries/main")["advice"]
        assert "is used by" in advice


def test_taken_web_port_is_told_and_the_rest_runs(tmp_path: Path, battery: Emulated) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        mosquitto(tmp_path) as broker,
        Subscriber(broker) as subscriber,
        bridge(
            tmp_path,
            configuration(battery.port, broker).replace("port = 0", f"port = {holder.getsockname()[1]}"),
        ) as running,
    ):
        wait_until(lambda: subscriber.messages, "a reading though the page has no port")
        wait_until(lambda: "is used by" in running.log, "the reason in the log")


def test_embedded_broker_takes_the_next_port_where_1883_is_taken(tmp_path: Path, battery: Emulated) -> None:
    try:
        holder = socket.create_server(("127.0.0.1", 1883))
    except OSError:
        holder = None  # somebody has it already: as good
    settings = configuration(battery.port, 0).replace('url = "mqtt://127.0.0.1:0"', 'url = "embedded"')
    try:
        with bridge(tmp_path, settings) as running:
            port = wait_until(
                lambda: (running.get("/api/health") or {"ports": {}})["ports"].get("broker"), "the broker's port"
            )
            assert port > 1883
            with Subscriber(port) as subscriber:
                wait_until(lambda: subscriber.messages, "a reading at the embedded broker")
    finally:
        if holder is not None:
            holder.close()


def test_killed_bridge_starts_again_and_says_why(tmp_path: Path, battery: Emulated) -> None:
    with mosquitto(tmp_path) as broker, Subscriber(broker) as subscriber:
        identities = set()
        for round_ in range(4):
            with bridge(tmp_path, configuration(battery.port, broker)) as running:
                wait_for_reading(subscriber, after=len(subscriber.messages))
                health = health_of(running)
                identities.add(health["uid"])
                if round_:
                    assert health["restart_reason"] == "killed"
                running.kill()
        assert len(identities) == 1
        assert json.loads((tmp_path / "data" / "run.json").read_text())
