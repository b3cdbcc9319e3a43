from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bridge.config import Secret
from bridge.errors import ServiceError
from bridge.outputs.mqtt.address import Address, parse
from bridge.outputs.mqtt.reasons import explain_loss, explain_refusal
from tests.outputs.parts import (
    QUICK,
    Bridge,
    Broker,
    Embedded,
    Listener,
    Mosquitto,
    description,
    free_port,
    kept_by,
    live,
    program_of,
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
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
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
    async with Tunnel.to(broker.port) as tunnel, Listener.at(broker) as listener:
        async with Bridge(tmp_path, f"mqtt://127.0.0.1:{tunnel.port}", timing=QUICK) as bridge:
            await listener.next_on(f"{BASE}/bridge/health")
            tunnel.freeze()  # the socket stays open, as behind a router that forgot the connection
            await until(lambda: "The broker no longer answers." in bridge.board.details("waiting"))
            await until(lambda: bridge.board.is_connected)
            bridge.hub.publish(live(voltage=50.0))
            await until(lambda: [each for each in listener.on(STATE) if each.json["voltage"] == 50.0])


async def test_slow_line_gets_the_newest_state_and_holds_nothing_else(broker: Broker, tmp_path: Path) -> None:
    cells = (3.3,) * 200
    async with Tunnel.to(broker.port) as tunnel, Listener.at(broker) as listener:
        async with Bridge(tmp_path, f"mqtt://127.0.0.1:{tunnel.port}") as bridge:
            await bridge.connected()
            await listener.next_on(f"{BASE}/bridge/health")
            tunnel.pause()
            count = 10_000  # about 20 MB: more than the buffers of sockets take
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
    async with old_broker(broker.port, way, versions) as port:
        async with Bridge(tmp_path, f"mqtt://127.0.0.1:{port}", timing=QUICK) as bridge:
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


# What is in the way


@pytest.mark.needs("mosquitto")
async def test_wrong_password_is_told_in_words_and_never_shown(
    tmp_path: Path, program: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with with_users(tmp_path, program) as broker:
        settings = {"username": "bridge", "password": Secret("not-the-one-4711")}
        async with Bridge(tmp_path, broker.url, settings=settings, timing=QUICK) as bridge:
            await until(lambda: bridge.board.details("waiting"))
        async with Bridge(tmp_path, f"mqtt://bridge:sesame@127.0.0.1:{broker.port}", timing=QUICK) as good:
            await good.connected()
    assert "correct mqtt.username and mqtt.password" in bridge.board.details("waiting")[0]
    assert "not-the-one-4711" not in caplog.text + str(bridge.board.told)
    assert "sesame" not in caplog.text + str(good.board.told)


@pytest.mark.needs("mosquitto")
async def test_password_is_read_from_a_file(tmp_path: Path, program: Callable[[str], str]) -> None:
    (tmp_path / "password").write_text("sesame\n")
    settings = {"username": "bridge", "password_file": str(tmp_path / "password"), "password": Secret("wrong")}
    async with with_users(tmp_path, program) as broker, Bridge(tmp_path, broker.url, settings=settings) as bridge:
        await bridge.connected()


@pytest.mark.needs("mosquitto")
async def test_broker_that_does_not_let_us_publish_is_told(tmp_path: Path, program: Callable[[str], str]) -> None:
    settings = {"username": "guest", "password": Secret("sesame")}
    async with with_users(tmp_path, program) as broker, Bridge(tmp_path, broker.url, settings=settings) as bridge:
        await until(lambda: [each for each in bridge.board.details("running") if "not take what is published" in each])
        assert "this user is not authorised" in bridge.board.details("running")[-1]


@pytest.mark.needs("mosquitto")
async def test_second_client_with_our_id_is_suspected(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with Bridge(tmp_path, mosquitto.url, timing=QUICK) as bridge:
        await bridge.connected()
        for count in range(1, 5):
            _, writer = await asyncio.open_connection("127.0.0.1", mosquitto.port)
            writer.write(b"\x10\x1d\x00\x04MQTT\x04\x02\x00\x3c\x00\x11smartbms-12ab34cd")  # CONNECT
            await until(lambda count=count: len(bridge.board.details("waiting")) >= count)
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


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"password_file": "/nonexistent/secret"}, "The password file /nonexistent/secret of [mqtt] cannot be read"),
        ({"ca_file": "/nonexistent/ca.pem"}, "The certificates in /nonexistent/ca.pem cannot be used"),
        ({"client_certificate": "/nonexistent/me.pem"}, "The client certificate /nonexistent/me.pem cannot be used"),
    ],
)
async def test_file_that_cannot_be_read_is_named(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    async with Bridge(tmp_path, f"mqtts://127.0.0.1:{free_port()}", settings=settings) as bridge:
        assert bridge.task is not None
        with pytest.raises(ServiceError) as caught:
            await bridge.task
        bridge.task = asyncio.create_task(asyncio.sleep(0))
    assert caught.value.message.startswith(sentence)
    assert caught.value.advice


@pytest.mark.parametrize("url", ["mqtt://", "http://host", "mqtt://host:99999", "just-a-name", "mqtt://[::1"])
def test_url_that_cannot_be_understood_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ServiceError, match="mqtts://host:8883"):
        parse(url)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", Address(scheme="mqtt", host="broker", port=1883)),
        ("mqtts://u%40x:p%3A1@broker", Address(scheme="mqtts", host="broker", port=8883, username="u@x", password="p:1")),
        ("ws://broker:9001/socket", Address(scheme="ws", host="broker", port=9001, path="/socket")),
        ("wss://broker/", Address(scheme="wss", host="broker", port=443, path="/mqtt")),
        ("mqtt://[::1]:1884", Address(scheme="mqtt", host="::1", port=1884)),
    ],
)
def test_url_is_understood(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "The name shed.example of the MQTT broker is not found"),
        (TimeoutError("timed out"), "Nothing answers at shed.example:1883"),
        (OSError(113, "No route to host"), "No connection to shed.example:1883: No route to host."),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "Is that the port for TLS"),
    ],
)
def test_what_is_wrong_below_mqtt_is_told_in_words(cause: OSError, words: str) -> None:
    error = aiomqtt.MqttError(str(cause))
    error.__context__ = cause  # as aiomqtt raises it
    assert words in explain_refusal(error, Address(scheme="mqtt", host="shed.example", port=1883)).sentence


# Transports


@pytest.mark.needs("mosquitto")
async def test_websocket_works(tmp_path: Path, program: Callable[[str], str]) -> None:
    web = free_port()
    broker = Mosquitto(program("mosquitto"), tmp_path, f"listener {web} 127.0.0.1", "protocol websockets")
    await broker.start()
    try:
        async with Listener.at(broker) as listener, Bridge(tmp_path, f"ws://127.0.0.1:{web}/mqtt") as bridge:
            await bridge.connected()
            bridge.hub.publish(live())
            await listener.next_on(STATE)
    finally:
        await broker.stop()


@pytest.mark.needs("mosquitto")
async def test_encrypted_connection_with_own_authority_and_client_certificate(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    certificates = Certificates(program("openssl"), tmp_path)
    async with certificates.broker(program, tmp_path) as broker:
        async with Bridge(tmp_path, broker.secure_url, settings=certificates.settings) as bridge:
            await bridge.connected()
            async with Listener.at(broker) as listener:
                bridge.hub.publish(live())
                await listener.next_on(STATE)


@pytest.mark.needs("mosquitto")
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho leaves a failed one to the collector
@pytest.mark.parametrize(
    ("lacks", "host", "words"),
    [
        ("ca_file", "localhost", "is not trusted"),
        ("", "127.0.0.1", "is not trusted"),  # the certificate was made for localhost
        ("client_certificate", "localhost", "mqtt.client_certificate"),
    ],
)
async def test_certificate_that_does_not_fit_is_told(
    tmp_path: Path, program: Callable[[str], str], lacks: str, host: str, words: str
) -> None:
    certificates = Certificates(program("openssl"), tmp_path)
    settings = {key: value for key, value in certificates.settings.items() if key != lacks}
    if lacks == "client_certificate":
        del settings["client_key"]
    async with certificates.broker(program, tmp_path) as broker:
        url = broker.secure_url.replace("localhost", host)
        async with Bridge(tmp_path, url, settings=settings, timing=QUICK) as bridge:
            await until(lambda: bridge.board.details("waiting"))
    assert words in bridge.board.details("waiting")[0]
    gc.collect()


# Many


@pytest.mark.needs("mosquitto")
async def test_300_batteries_are_announced_and_live(mosquitto: Mosquitto, tmp_path: Path) -> None:
    batteries = tuple(description(f"b{number}") for number in range(300))
    bridge = Bridge(tmp_path, mosquitto.url, batteries=batteries)
    for each in batteries:
        bridge.hub.publish(live(each.id))
    async with Listener.at(mosquitto) as listener, bridge:
        await until(lambda: len({each.topic for each in listener.heard if each.topic.endswith("/state")}) == 300, deadline=30)
        configurations = {each.topic for each in listener.heard if each.topic.endswith("/config")}
        assert len(configurations) == 301


# Tools of these tests


class Tunnel:
    """Stands between the bridge and the broker, and can be frozen for the connections that it has, or paused."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self._frozen: set[int] = set()
        self._ids = 0
        self._gate = asyncio.Event()
        self._gate.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator[Tunnel]:
        tunnel = cls(target)
        server = await asyncio.start_server(tunnel._accept, "127.0.0.1", 0)
        tunnel.port = server.sockets[0].getsockname()[1]
        try:
            yield tunnel
        finally:
            server.close()
            for task in tunnel._tasks:
                task.cancel()
            await asyncio.gather(*tunnel._tasks, return_exceptions=True)

    def freeze(self) -> None:
        self._frozen = set(range(1, self._ids + 1))

    def pause(self) -> None:
        self._gate.clear()

    def resume(self) -> None:
        self._gate.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ids += 1
        number = self._ids
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        back = asyncio.create_task(self._copy(their_reader, writer, number))
        self._tasks.add(back)
        await self._copy(reader, their_writer, number)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    await self._gate.wait()
                    if number not in self._frozen:
                        writer.write(data)
                        await writer.drain()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def old_broker(target: int, way: str, versions: list[int]) -> AsyncIterator[int]:
    """Stand before a broker of version 3.1.1 and refuse version 5 as such brokers do."""
    tasks: set[asyncio.Task[None]] = set()
    tunnel = Tunnel(target)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        hello = await reader.read(4096)
        level = hello[hello.index(b"MQTT") + 4]
        versions.append(level)
        if level == 5:
            if way == "code":
                writer.write(b"\x20\x02\x00\x01")  # CONNACK of 3.1.1: unacceptable protocol version
            if way == "nonsense":
                writer.write(b"\x20\x01\x00")  # a CONNACK that is too short
            if way == "silence":
                await reader.read()
            writer.close()
            return
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        their_writer.write(hello)
        back = asyncio.create_task(tunnel._copy(their_reader, writer, 0))
        tasks.add(back)
        await tunnel._copy(reader, their_writer, 0)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def with_users(directory: Path, program: Callable[[str], str]) -> AsyncIterator[Mosquitto]:
    """Give a mosquitto with the users `bridge`, who may everything, and `guest`, who may only read."""
    users, rules = directory / "users", directory / "rules"
    users.touch(mode=0o600)
    for user in ("bridge", "guest"):
        subprocess.run([program("mosquitto_passwd"), "-b", str(users), user, "sesame"], check=True, capture_output=True)
    rules.write_text("user bridge\ntopic readwrite #\nuser guest\ntopic read #\n")
    broker = Mosquitto(
        program("mosquitto"), directory, f"password_file {users}", f"acl_file {rules}", allow_anonymous=False
    )
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


class Secured(Mosquitto):
    """A mosquitto with a second, encrypted port."""

    secure_url = ""


class Certificates:
    """An authority, a broker's certificate for `localhost`, and a client's, all made for this test."""

    def __init__(self, openssl: str, directory: Path) -> None:
        self._openssl = openssl
        self._directory = directory
        self._run("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority")
        (directory / "names").write_text("subjectAltName=DNS:localhost")
        for name in ("localhost", "client"):
            self._run(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
            self._run(
                f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {name}.pem"
                + (" -extfile names" if name == "localhost" else "")
            )
        self.settings = {
            "ca_file": str(directory / "ca.pem"),
            "client_certificate": str(directory / "client.pem"),
            "client_key": str(directory / "client.key"),
        }

    def _run(self, command: str) -> None:
        subprocess.run([self._openssl, *command.split()], cwd=self._directory, check=True, capture_output=True)

    @asynccontextmanager
    async def broker(self, program: Callable[[str], str], directory: Path) -> AsyncIterator[Secured]:
        port = free_port()
        broker = Secured(
            program("mosquitto"), directory, f"listener {port} 127.0.0.1", f"cafile {directory / 'ca.pem'}",
            f"certfile {directory / 'localhost.pem'}", f"keyfile {directory / 'localhost.key'}",
            "require_certificate true",
        )
        broker.secure_url = f"mqtts://localhost:{port}"
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()


