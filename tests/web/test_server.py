"""Listening, limits and stopping, over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.config import WebSection
from tests.web.serving import NO_PAGES, Serving, live, serving, until
from web.connections import Limits
from web.listener import listen, port_holder, why_not
from web.server import Tuning

IMPATIENT = Tuning(static=NO_PAGES, limits=Limits(patience=0.2))


async def exchange(it: Serving, request: bytes) -> bytes:
    """Send raw bytes and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


# The port


async def test_real_port_is_written_to_the_board_and_taken_back() -> None:
    async with serving() as it:
        port = it.port
        assert port > 0
        assert it.board.told[-1] == ("running", f"Port {port}.")
        await it.stop()
    assert it.board.ports == [port, None]


async def test_taken_port_is_told_with_its_holder_and_tried_again() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = WebSection(host="127.0.0.1", port=port)
        tuning = Tuning(static=NO_PAGES, retry=0.05)
        async with serving(settings=settings, tuning=tuning, wait=False) as it:
            await until(lambda: len(it.board.told) > 2)
            state, detail = it.board.told[0]
            assert state == "waiting"
            assert detail is not None
            assert detail.startswith(f"Port {port} is used by ")
            assert f"(process {os.getpid()})" in detail
            assert detail.endswith("It is tried again every 0.05 s.")
            assert it.board.ports == []
            other.close()
            await until(lambda: bool(it.board.ports))
            assert (await it.get("/api/health")).status == 200
            assert it.board.told[-1] == ("running", f"Port {port}.")


async def test_taken_port_is_logged_once_in_a_streak(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = WebSection(host="127.0.0.1", port=other.getsockname()[1])
        async with serving(settings=settings, tuning=Tuning(static=NO_PAGES, retry=0.01), wait=False) as it:
            await until(lambda: len(it.board.told) > 3)
    told = [each for each in caplog.records if "is used by" in each.getMessage() and each.levelname == "WARNING"]
    assert len(told) == 1


HOLD_A_PORT = """
import socket, sys
held = socket.create_server(("127.0.0.1", 0))
print(held.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_holder_of_a_port_is_another_process() -> None:
    command = [sys.executable, "-c", HOLD_A_PORT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        told = port_holder(port)
        assert process.stdin is not None
        process.stdin.close()
    assert told is not None
    assert told.endswith(f"(process {process.pid})")


def test_free_port_has_no_holder() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert port_holder(unused.getsockname()[1]) is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied"),
         "This user may not listen on port 81; ports from 1024 on are open to everyone."),
        (OSError(99, "Cannot assign requested address"), "This machine has no address 192.0.2.77."),
        (OSError(24, "Too many open files"), "Nothing can listen on 192.0.2.77, port 81: Too many open files."),
    ],
)
def test_reason_is_one_sentence(error: OSError, sentence: str) -> None:
    assert why_not(error, "192.0.2.77", 81) == sentence


def test_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(OSError, match="assign") as caught:
        listen("203.0.113.77", 0)
    assert why_not(caught.value, "203.0.113.77", 0) == "This machine has no address 203.0.113.77."


@pytest.mark.needs("ipv6")
async def test_both_families_are_served_on_one_port() -> None:
    async with serving(settings=WebSection(host="::", port=0)) as it:
        for host in ("127.0.0.1", "[::1]"):
            async with it.client.get(f"http://{host}:{it.port}/api/health") as response:
                assert response.status == 200


def test_machine_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    class WithoutIPv6(real):  # type: ignore[misc, valid-type]  # a class chosen at run time
        def __init__(self, family: int = -1, *rest: int, **named: object) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *rest, **named)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with listen("::", 0) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


# What clients may do


async def test_what_is_no_http_is_refused_without_a_word_on_versions() -> None:
    async with serving() as it:
        for junk in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GARBAGE\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            answer = await exchange(it, junk)
            assert b" 400 " in answer.partition(b"\r\n")[0], answer
            assert b"Server: SmartBMS\r\n" in answer
            assert b"nosniff" in answer
            assert b"aiohttp" not in answer
            assert b"Python" not in answer


async def test_request_without_a_host_is_not_answered_with_data() -> None:
    async with serving() as it:
        it.hub.publish(live(voltage=53.12))
        answer = await exchange(it, b"GET /api/batteries HTTP/1.0\r\n\r\n")
    assert b" 401 " in answer.partition(b"\r\n")[0] or b" 400 " in answer.partition(b"\r\n")[0]
    assert b"53.12" not in answer


async def test_bytes_that_are_no_text_do_no_harm() -> None:
    async with serving() as it:
        for request, status in (
            (b"GET / HTTP/1.1\r\nHost: evil\xff\xfe\r\n", b" 403 "),
            (b"GET /api/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n", b" 404 "),
            (b"GET /api/%ff%fe HTTP/1.1\r\nHost: localhost\r\n", b" 404 "),
            (b"GET /api/batteries/%ff%fe HTTP/1.1\r\nHost: localhost\r\n", b" 404 "),
            (b"GET /%ff HTTP/1.1\r\nHost: localhost\r\n", b" 404 "),
        ):
            answer = await exchange(it, request + b"Connection: close\r\n\r\n")
            assert status in answer.partition(b"\r\n")[0] or b" 400 " in answer.partition(b"\r\n")[0], answer


async def test_failure_of_ours_is_logged_and_tells_the_visitor_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as it:
        it.health.health = None  # type: ignore[assignment]  # a mistake somewhere inside
        answer = await it.get("/api/health")
        assert (await it.get("/api/batteries")).status == 200
    assert (answer.status, answer.json) == (500, {"error": "Something went wrong; the log says what."})
    assert answer.headers["Server"] == "SmartBMS"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "/api/health failed" in caplog.text


async def test_endless_header_is_refused() -> None:
    async with serving() as it:
        answer = await exchange(it, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
    assert b" 400 " in answer.partition(b"\r\n")[0]


async def test_head_that_never_ends_is_given_up() -> None:
    """A client that sends a byte now and then (slow loris) holds its place only for a while."""
    async with serving(tuning=IMPATIENT) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        began = time.monotonic()
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        while not reader.at_eof():
            assert time.monotonic() - began < 10
            try:
                writer.write(b"X: y\r\n")
                async with asyncio.timeout(0.02):
                    await reader.read(1)
            except (TimeoutError, ConnectionError):
                continue
        writer.close()


async def test_idle_connection_is_closed() -> None:
    async with serving(tuning=IMPATIENT) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_body_that_never_comes_does_not_delay_the_answer() -> None:
    async with serving() as it:
        answer = await exchange(it, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_connections_of_one_source_are_bounded() -> None:
    tuning = Tuning(static=NO_PAGES, limits=Limits(home_per_source=3))
    async with serving(tuning=tuning) as it:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(socket.create_connection(("127.0.0.1", it.port)))
            answer = await exchange(it, b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            elsewhere = await asyncio.open_connection("127.0.0.1", it.port, local_addr=("127.0.0.2", 0))
            elsewhere[1].write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await asyncio.wait_for(elsewhere[0].read(), 10)).startswith(b"HTTP/1.1 200 ")
            elsewhere[1].close()


async def test_connections_are_bounded_altogether() -> None:
    tuning = Tuning(static=NO_PAGES, limits=Limits(total=2))
    async with serving(tuning=tuning) as it:
        with ExitStack() as stack:
            for number in range(2):
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", it.port), source_address=(f"127.0.0.{number + 2}", 0))
                )
            assert (await exchange(it, b"")).startswith(b"HTTP/1.1 503 ")


async def test_stopping_closes_idle_connections_at_once() -> None:
    async with serving() as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        await it.stop()
        assert time.monotonic() - began < 1.0
        await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_server_can_run_again_after_a_stop() -> None:
    async with serving() as it:
        await it.stop()
        again = asyncio.create_task(it.server.run())
        await until(lambda: len(it.board.ports) == 3)
        assert (await it.get("/api/health")).status == 200
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


def test_heavy_libraries_are_loaded_by_the_first_who_needs_them() -> None:
    code = "import sys, web.server; print({'jinja2', 'prometheus_client', 'ifaddr'} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert told.stdout.strip() == "set()"
