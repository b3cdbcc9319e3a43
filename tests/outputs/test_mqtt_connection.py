from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bridge.outputs.mqtt.reasons import explain_loss
from tests.outputs.middlemen import Tunnel, old_broker
from tests.outputs.parts import (
    QUICK,
    Bridge,
    Broker,
    Embedded,
    Listener,
    Mosquitto,
    description,
    kept_by,
    live,
    program_of,
    start_process,
    until,
)

BASE = "smartbms/smartbms"
STATE = f"{BASE}/main/state"
BRIDGE = f"{BASE}/bridge/availability"
ROOT = Path(__file__).resolve().parents[2]


# Coming, going and coming back


async def test_broker_that_stops_and_starts_gets_everything_again(broker: Broker, tmp_path: Path) -> None:
    async with Bridge(tmp_path, broker.url, timing=QUICK) as bridge:
        await bridge.connected()
        bridge.hub.publish(live(voltage=50.0))
        await broker.stop()
        await until(lambda: bridge.board.told[-1][1] == "waiting")
        for voltage in (51.0, 52.0, 53.0):
            bridge.hub.publish(live(voltage=voltage))
        await broker.start()
        await bridge.connected()
        async with Listener.at(broker) as listener:
            bridge.hub.publish(live(voltage=54.0))
            await until(lambda: listener.on(STATE) and listener.on(STATE)[-1].json["voltage"] == 54.0)
            kept = await kept_by(broker)
    assert kept[BRIDGE] == kept[f"{BASE}/main/availability"] == b"online"
    assert "homeassistant/device/smartbms_12ab34cd_main/config" in kept


async def test_only_the_newest_state_waits_for_a_broker_that_is_away(tmp_path: Path) -> None:
    broker = Embedded()
    async with Bridge(tmp_path, broker.url, timing=QUICK) as bridge:
        await until(lambda: bridge.board.told)
        for voltage in (51.0, 52.0, 53.0):
            bridge.hub.publish(live(voltage=voltage))
            await asyncio.sleep(0)
        await broker.start()
        try:
            async with Listener.at(broker) as listener:
                await listener.next_on(STATE)
                bridge.hub.publish(live(voltage=54.0))
                await until(lambda: listener.on(STATE)[-1].json["voltage"] == 54.0)
                voltages = [each.json["voltage"] for each in listener.on(STATE)]
        finally:
            await bridge.stop()
            await broker.stop()
    assert voltages == [53.0, 54.0]


async def test_failures_in_a_row_are_told_once_and_their_end_with_the_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge.outputs.mqtt")
    broker = Embedded()
    async with Bridge(tmp_path, broker.url, timing=QUICK) as bridge:
        await until(lambda: len(bridge.board.details("waiting")) >= 3)
        await broker.start()
        await bridge.connected()
        await bridge.stop()
    await broker.stop()
    refused = f"No broker listens at 127.0.0.1:{broker.port}: is it running, and is the port right?"
    records = [each for each in caplog.records if each.name.startswith("bridge.outputs.mqtt")]
    failures = [each for each in records if each.getMessage().startswith(refused)]
    assert failures[0].levelno == logging.WARNING
    assert {each.levelno for each in failures[1:]} == {logging.DEBUG}
    (recovery,) = [each for each in records if each.levelno == logging.INFO]
    assert f"and {len(failures) + 1} tries." in recovery.getMessage()
    assert set(bridge.board.details("waiting")) == {refused}


async def test_killed_bridge_is_declared_offline_by_the_broker(broker: Broker, tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from tests.outputs.parts import Bridge, live\n"
        "async def main():\n"
        "    async with Bridge(pathlib.Path(sys.argv[2]), sys.argv[1]) as bridge:\n"
        "        bridge.hub.publish(live())\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, broker.url, str(tmp_path)]
    async with Listener.at(broker) as listener:
        process = start_process(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        with program_of(process):
            await until(lambda: [each for each in listener.on(BRIDGE) if each.payload == b"online"], deadline=20.0)
            await listener.next_on(STATE)
            process.send_signal(signal.SIGKILL)
            await until(lambda: listener.on(BRIDGE)[-1].payload == b"offline")
    assert (await kept_by(broker))[BRIDGE] == b"offline"


async def test_will_of_an_older_connection_is_corrected(broker: Broker, tmp_path: Path) -> None:
    async with Listener.at(broker) as listener, Bridge(tmp_path, broker.url) as bridge:
        await bridge.connected()
        await listener.next_on(f"{BASE}/bridge/health")
        await listener.client.publish(BRIDGE, "offline", qos=1, retain=True)
        await until(lambda: [each.payload for each in listener.on(BRIDGE)][-2:] == [b"offline", b"online"])
        assert (await kept_by(broker))[BRIDGE] == b"online"


async def test_connection_that_carries_nothing_any_more_is_noticed_and_replaced(
    broker: Broker, tmp_path: Path
) -> None:
    async with (
        Tunnel.to(broker.port) as tunnel,
        Listener.at(broker) as listener,
        Bridge(tmp_path, f"mqtt://127.0.0.1:{tunnel.port}", timing=QUICK) as bridge,
    ):
        await listener.next_on(f"{BASE}/bridge/health")
        tunnel.freeze()  # the socket stays open, as behind a router that forgot the connection
        await until(lambda: "The broker no longer answers." in bridge.board.details("waiting"))
        await bridge.connected()
        bridge.hub.publish(live(voltage=50.0))
        await until(lambda: [each for each in listener.on(STATE) if each.json["voltage"] == 50.0])


async def test_slow_line_gets_the_newest_state_and_holds_nothing_else(broker: Broker, tmp_path: Path) -> None:
    cells = (3.3,) * 200
    count = 10_000  # about 20 MB: more than the buffers of sockets take
    async with (
        Tunnel.to(broker.port) as tunnel,
        Listener.at(broker) as listener,
        Bridge(tmp_path, f"mqtt://127.0.0.1:{tunnel.port}") as bridge,
    ):
        await listener.next_on(f"{BASE}/bridge/health")
        tunnel.pause()
        for number in range(count):
            bridge.hub.publish(live(voltage=float(number), cell_voltages=cells))
            await asyncio.sleep(0)
        tunnel.resume()
        await until(lambda: listener.on(STATE) and listener.on(STATE)[-1].json["voltage"] == count - 1, deadline=30)
    assert len(listener.on(STATE)) < count / 2


async def test_embedded_broker_is_waited_for(tmp_path: Path) -> None:
    broker = Embedded()
    url: list[str | None] = [None]
    async with Bridge(tmp_path, "embedded", broker_url=lambda: url[0]) as bridge:
        await until(lambda: bridge.board.told)
        assert bridge.board.told == [("mqtt", "waiting", "The embedded broker does not listen yet.")]
        await broker.start()
        url[0] = broker.url
        await bridge.connected()
        await bridge.stop()
        await broker.stop()
    assert bridge.board.details("running") == [f"Connected to 127.0.0.1:{broker.port} (MQTT 3.1.1)."]


async def test_switched_off_it_says_so_and_ends(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, "off")
    async with bridge:
        assert bridge.task is not None
        await asyncio.wait_for(bridge.task, 5)
    assert bridge.board.told == [("mqtt", "off", None)]


# Versions


@pytest.mark.parametrize("way", ["code", "close", "nonsense", "silence"])
async def test_broker_without_version_5_gets_3_1_1_from_then_on(way: str, tmp_path: Path) -> None:
    broker = Embedded()
    await broker.start()
    versions: list[int] = []
    async with (
        old_broker(broker.port, way, versions) as port,
        Bridge(tmp_path, f"mqtt://127.0.0.1:{port}", timing=QUICK) as bridge,
    ):
        await bridge.connected()
        await broker.stop()
        await until(lambda: bridge.board.told[-1][1] == "waiting")
        await broker.start()
        await bridge.connected()
        await bridge.stop()
    await broker.stop()
    assert versions[0] == 5
    assert set(versions[1:]) == {4}
    assert len(versions) > 2
    assert all("MQTT 3.1.1" in each for each in bridge.board.details("running"))


@pytest.mark.needs("mosquitto")
async def test_version_5_is_used_where_the_broker_speaks_it(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Bridge(tmp_path, mosquitto.url) as bridge:
        await bridge.connected()
    assert bridge.board.details("running") == [f"Connected to 127.0.0.1:{mosquitto.port} (MQTT 5)."]


# Hanging up


@pytest.mark.needs("mosquitto")
async def test_second_client_with_our_id_is_suspected(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Bridge(tmp_path, mosquitto.url, timing=QUICK) as bridge:
        await bridge.connected()
        for count in range(1, 5):
            _, writer = await asyncio.open_connection("127.0.0.1", mosquitto.port)
            writer.write(b"\x10\x1d\x00\x04MQTT\x04\x02\x00\x3c\x00\x11smartbms-12ab34cd")  # CONNECT
            await bridge.failed(count)
            writer.transport.abort()
            await bridge.connected()
    assert bridge.board.details("waiting")[0] == "The broker closed the connection."
    assert "Another client may use our client id smartbms-12ab34cd" in bridge.board.details("waiting")[-1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (142, "another client uses our client id"), (139, "it is shutting down"), (135, "this user is not authorised"),
        (128, "The broker closed the connection."),
    ],
)
def test_reason_with_which_a_broker_hangs_up_is_told(code: int, words: str) -> None:
    error = aiomqtt.MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=code))
    assert words in explain_loss(error).sentence


# Many


@pytest.mark.needs("mosquitto")
async def test_300_batteries_are_announced_and_live(mosquitto: Mosquitto, tmp_path: Path) -> None:
    batteries = tuple(description(f"b{number}") for number in range(300))
    bridge = Bridge(tmp_path, mosquitto.url, batteries=batteries)
    for each in batteries:
        bridge.hub.publish(live(each.id))
    async with Listener.at(mosquitto) as listener, bridge:
        await until(lambda: len(listener.ending("/state")) == 300, deadline=30.0)
        assert len(listener.ending("/config")) == 301


async def test_stop_in_the_moment_of_a_loss_is_not_lost(tmp_path: Path) -> None:
    """A task group that fails while it is cancelled reports the failure alone."""
    for turns in range(12):
        broker = Embedded()
        await broker.start()
        async with Tunnel.to(broker.port) as tunnel:
            bridge = Bridge(tmp_path, f"mqtt://127.0.0.1:{tunnel.port}", timing=QUICK)
            async with bridge:
                await bridge.connected()
                tunnel.break_all()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await asyncio.wait_for(bridge.stop(), 5.0)
        await broker.stop()
