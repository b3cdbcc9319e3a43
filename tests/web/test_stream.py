"""The live stream, as browsers see it."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import AsyncExitStack

from tests.web.serving import NO_PAGES, Events, Serving, describe, live, serving, silent, until, watching
from web.server import Tuning
from web.stream import Pace

BRISK = Tuning(static=NO_PAGES, pace=Pace(health=60, health_check=0.01, ping=60, hold=0))
"""Looks at the health all the time, and repeats nothing by itself."""


async def stream_status(it: Serving) -> int:
    """Return what a further viewer gets, and leave at once."""
    async with it.client.get(it.url("/api/events")) as response:
        return response.status


async def until_status(it: Serving, wanted: int) -> None:
    deadline = time.monotonic() + 10
    while await stream_status(it) != wanted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_stream_begins_with_hello_then_every_battery_and_the_health() -> None:
    async with serving(batteries=[describe("main", emulated=True), describe("shed")]) as it:
        it.hub.publish(live("main"))
        async with watching(it) as events:
            seen = [await events.next() for _ in range(4)]
    assert seen[0].name == "hello"
    assert seen[0].data == {
        "build": "packaged", "version": "9.8.7", "bridge": "smartbms", "uid": "0a1b2c3d", "emulated": True
    }
    assert [(each.name, each.data.get("battery"), each.data.get("link")) for each in seen[1:3]] == [
        ("state", "main", "ok"), ("state", "shed", "starting")
    ]
    assert seen[3].name == "health"
    assert seen[3].data["status"] == "ok"


async def test_stream_tells_the_browser_when_to_come_back_and_keeps_out_of_caches() -> None:
    async with serving() as it, watching(it) as events:
        await events.next("hello")
        assert events.lines[0] == "retry: 2000"
        assert events.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["Cache-Control"] == "no-store"


async def test_every_accepted_change_reaches_every_viewer_with_rising_ids() -> None:
    async with serving(tuning=BRISK) as it, watching(it) as first, watching(it) as second:
        for viewer in (first, second):
            await viewer.next("health")
        ids: list[int] = []
        for voltage in (52.0, 52.5, 53.0):
            it.hub.publish(live(voltage=voltage))
            told = [await viewer.next("state") for viewer in (first, second)]
            assert [each.data["voltage"] for each in told] == [voltage, voltage]
            ids.append(told[0].id or 0)
        assert ids == sorted(set(ids))


async def test_offline_battery_has_no_values_and_the_last_live_ones_apart() -> None:
    async with serving(tuning=BRISK) as it, watching(it) as events:
        await events.next("health")
        it.hub.publish(live(voltage=53.12))
        await events.next("state")
        it.hub.publish(silent())
        told = (await events.next("state")).data
    assert (told["link"], told["error"], told["advice"]) == ("silent", "bms_data_error", "Wake the BMS.")
    assert told["voltage"] is told["soc"] is told["current"] is None
    assert told["cell_voltages"] == []
    assert told["last"]["voltage"] == 53.12


async def test_a_state_is_encoded_once_for_a_hundred_viewers() -> None:
    """Each encoding takes the next id: the same one at every viewer, and none skipped, means one encoding."""
    tuning = Tuning(static=NO_PAGES, pace=Pace(health=60, health_check=60, ping=60, hold=0))
    async with serving(tuning=tuning) as it, AsyncExitStack() as stack:
        viewers: list[Events] = []
        for _ in range(100):
            viewers.append(await stack.enter_async_context(watching(it)))
            await viewers[-1].next("health")
        it.hub.publish(live(voltage=50.0))
        before = {(await viewer.next("state")).id for viewer in viewers}
        it.hub.publish(live(voltage=51.0))
        after = {(await viewer.next("state")).id for viewer in viewers}
    assert len(before) == len(after) == 1
    (last,), (this,) = before, after
    assert last is not None
    assert this == last + 1


async def test_slow_viewer_delays_nobody_and_skips_to_the_newest() -> None:
    cells = tuple(3.0 + each / 1000 for each in range(48))
    async with serving(tuning=BRISK) as it, watching(it) as quick:
        await quick.next("health")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", it.port))
            await loop.sock_sendall(slow, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            rounds = 400
            for number in range(1, rounds + 1):
                it.hub.publish(live(voltage=float(number), cell_voltages=cells))
                assert (await quick.next("state")).data["voltage"] == number
            heard = b""
            while f'"voltage":{rounds}.0'.encode() not in heard:
                heard += await asyncio.wait_for(loop.sock_recv(slow, 65536), 10)
    told = heard.count(b"event: state")
    assert told < rounds / 2, f"{told} of {rounds} states were kept for it"


async def test_age_is_that_of_the_moment_of_sending() -> None:
    async with serving(tuning=BRISK) as it:
        now = asyncio.get_running_loop().time()
        it.hub.publish(live(at=now - 60.0))
        async with watching(it) as events:
            told = (await events.next("state")).data
    assert 60.0 <= told["age"] < 70.0
    assert told["ages"] == {"voltage": told["age"]}


async def test_health_is_told_at_once_when_it_changes() -> None:
    async with serving(tuning=BRISK) as it, watching(it) as events:
        await events.next("health")
        await until(lambda: it.health.reads > 2)
        it.health.set(status="warn", advice=("Raise poll_interval to 2.",))
        told = (await events.next("health")).data
    assert (told["status"], told["advice"]) == ("warn", ["Raise poll_interval to 2."])


async def test_health_is_repeated_and_pings_keep_the_line_open() -> None:
    tuning = Tuning(static=NO_PAGES, pace=Pace(health=0.05, health_check=0.01, ping=0.05, hold=0))
    async with serving(tuning=tuning) as it, watching(it) as events:
        await events.next("health")
        await events.next("health")
        while ": ping" not in events.lines:
            await events.line()


async def test_streams_are_bounded_per_source_and_free_again_when_a_viewer_leaves() -> None:
    tuning = Tuning(static=NO_PAGES, pace=Pace(viewers_per_source=2))
    async with serving(tuning=tuning) as it:
        async with watching(it) as first, watching(it) as second:
            await first.next("hello")
            await second.next("hello")
            refused = await it.get("/api/events")
            assert (refused.status, refused.json["reason"]) == (503, "busy")
            assert int(refused.headers["Retry-After"]) > 0
        await until_status(it, 200)


async def test_viewer_that_reads_nothing_is_let_go() -> None:
    tuning = Tuning(static=NO_PAGES, pace=Pace(hold=0, stuck=0.2, viewers=1))
    cells = tuple(3.0 + each / 1000 for each in range(48))
    async with serving(tuning=tuning) as it:
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stuck, ("127.0.0.1", it.port))
            await loop.sock_sendall(stuck, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until_status(it, 503)
            deadline = time.monotonic() + 20
            while await stream_status(it) == 503:
                assert time.monotonic() < deadline, "it was never let go"
                it.hub.publish(live(cell_voltages=cells))
                await asyncio.sleep(0.005)


async def test_streams_end_at_once_when_the_server_stops() -> None:
    async with serving() as it, watching(it) as first, watching(it) as second:
        await first.next("health")
        await second.next("health")
        began = time.monotonic()
        await it.stop()
        assert time.monotonic() - began < 1.0
        for viewer in (first, second):
            assert await viewer.response.content.read() == b""


async def test_stream_answers_head_without_a_body() -> None:
    async with serving() as it:
        answer = await it.get("/api/events", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
