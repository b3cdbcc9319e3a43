from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

from bridge.config import Secret
from bridge.errors import ServiceError
from bridge.outputs.mqtt.address import Address, parse
from bridge.outputs.mqtt.reasons import explain_refusal
from tests.outputs.guarded import Certificates, with_users
from tests.outputs.parts import QUICK, Bridge, Listener, Mosquitto, free_port, live, until

STATE = "smartbms/smartbms/main/state"


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
        ("mqtts://u%40x:p%3A1@shed", Address(scheme="mqtts", host="shed", port=8883, username="u@x", password="p:1")),
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
    async with (
        certificates.broker(program, tmp_path) as broker,
        Listener.at(broker) as listener,
        Bridge(tmp_path, broker.secure_url, settings=certificates.settings) as bridge,
    ):
        bridge.hub.publish(live())
        await listener.next_on(STATE)


@pytest.mark.needs("mosquitto")
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho leaves it to the collector
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
