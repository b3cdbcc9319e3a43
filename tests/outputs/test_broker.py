from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from bridge.config import MqttSection, Secret
from bridge.errors import ServiceError
from bridge.outputs.broker import EmbeddedBroker
from tests.outputs.parts import Board, Embedded, Listener, free_port, until

LAN = MqttSection(embedded_bind="lan", username="ha", password=Secret("sesame"))


@asynccontextmanager
async def running(
    settings: MqttSection | None = None, *, port: int = 0, is_home: Callable[[str], bool] = lambda _: True
) -> AsyncIterator[tuple[EmbeddedBroker, Board]]:
    board = Board()
    broker = EmbeddedBroker(settings=settings or MqttSection(), board=board, is_home=is_home, port=port)
    task = asyncio.create_task(broker.run())
    await until(lambda: board.ports.get("broker") or task.done(), "the broker")
    try:
        if task.done():
            await task
        yield broker, board
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def connack(port: int, hello: bytes) -> bytes:
    """Say `hello` and return what comes back until the broker hangs up or is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(hello)
        async with asyncio.timeout(1.0):
            while data := await reader.read(100):
                answer += data
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return answer


async def test_broker_says_that_it_is_for_trying_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running() as (broker, board):
        assert broker.url == f"mqtt://127.0.0.1:{board.ports['broker']}"
    name, state, detail = board.told[-1]
    assert (name, state) == ("broker", "running")
    assert detail is not None
    assert detail.startswith("For trying out")
    assert "for trying out" in caplog.text
    assert broker.url is None


async def test_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running(port=port) as (_, board):
            assert port < (board.ports["broker"] or 0) < port + 20


async def test_port_is_free_again_after_the_end() -> None:
    port = free_port()
    for _ in range(3):
        async with running(port=port) as (_, board):
            assert board.ports["broker"] == port
        assert board.ports["broker"] is None


@pytest.mark.needs("ipv6")
async def test_both_loopback_addresses_reach_it() -> None:
    async with running() as (_, board):
        for host in ("127.0.0.1", "::1"):
            async with aiomqtt.Client(host, board.ports["broker"] or 0):
                pass


async def test_loopback_is_not_reached_from_elsewhere() -> None:
    async with running() as (_, board):
        assert (await connack(board.ports["broker"] or 0, _CONNECT)).startswith(b"\x20\x02\x00\x00")
        with pytest.raises(OSError):  # noqa: PT011  # refused, or unreachable
            socket.create_connection((_own_address(), board.ports["broker"] or 0), timeout=1).close()


async def test_home_network_is_not_opened_without_a_password() -> None:
    with pytest.raises(ServiceError, match=r"mqtt\.password") as caught:
        async with running(MqttSection(embedded_bind="lan", username="ha")):
            pass
    assert "without a user name and a password" in caught.value.message


async def test_home_network_needs_user_name_and_password() -> None:
    async with running(LAN) as (_, board):
        port = board.ports["broker"] or 0
        async with aiomqtt.Client("127.0.0.1", port, username="ha", password="sesame"):
            pass
        for username, password in (("ha", "wrong"), ("other", "sesame"), ("ha", None), (None, None)):
            with pytest.raises(aiomqtt.MqttError, match="Not authorized"):
                async with aiomqtt.Client("127.0.0.1", port, username=username, password=password, timeout=3):
                    pass


async def test_who_is_not_at_home_is_turned_away_without_a_word() -> None:
    asked: list[str] = []

    def is_home(address: str) -> bool:
        asked.append(address)
        return False

    async with running(LAN, is_home=is_home) as (_, board):
        assert await connack(board.ports["broker"] or 0, _CONNECT) == b""
    assert asked == ["127.0.0.1"]


async def test_version_5_is_refused_at_once_where_no_will_is_left() -> None:
    async with running() as (_, board):
        with pytest.raises(aiomqtt.MqttError, match="Unsupported protocol version"):
            async with aiomqtt.Client(
                "127.0.0.1", board.ports["broker"] or 0, protocol=aiomqtt.ProtocolVersion.V5, timeout=3
            ):
                pass


async def test_nonsense_from_a_client_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(7)
    broker = Embedded()
    await broker.start()
    try:
        async with Listener.at(broker) as listener:
            for number in range(60):
                garbage = chance.randbytes(chance.randrange(1, 60))
                hello = _CONNECT + garbage if number % 2 else garbage
                _, writer = await asyncio.open_connection("127.0.0.1", broker.port)
                writer.write(hello)
                await asyncio.sleep(0)
                writer.transport.abort()
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                await client.publish("still/there", "yes")
            await listener.next_on("still/there")
    finally:
        await broker.stop()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_clients_that_come_and_go_leave_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = Embedded()
    await broker.start()
    caplog.clear()
    async with Listener.at(broker) as listener:
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.publish("a", "b", qos=1)
        await listener.next_on("a")
    assert [each.name for each in caplog.records if each.name.startswith(("amqtt", "transitions"))] == []
    await broker.stop()


async def test_end_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with running() as (_, board), aiomqtt.Client("127.0.0.1", board.ports["broker"] or 0) as client:
        await client.publish("a", "b", qos=1)
    await until(lambda: asyncio.all_tasks() <= before, f"the end of {asyncio.all_tasks() - before}")


_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test"
"""CONNECT of MQTT 3.1.1: clean session, keep-alive 60 s, client id `test`."""


def _own_address() -> str:
    """Return an address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        address: str = probe.getsockname()[0]
        return address
