"""What may stand between a bridge and its broker: a line that can be held up, and a broker from before version 5."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def server(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """Serve on a free port until the block ends, and give the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)  # interrupted while it connects, asyncio leaves a socket behind
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def join(one: Streams, other: Streams, *, copy: Callable[..., Awaitable[None]] | None = None) -> None:
    """Copy both ways until one side ends."""
    copy = copy or _copy
    there = asyncio.create_task(_as_coroutine(copy(one[0], other[1])))
    back = asyncio.create_task(_as_coroutine(copy(other[0], one[1])))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        there.cancel()
        back.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        other[1].transport.abort()


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class Tunnel:
    """A line to the broker that can be frozen for the connections that it has, or paused."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._frozen: set[asyncio.Task[None] | None] = set()
        self._open: set[asyncio.Task[None] | None] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._gate = asyncio.Event()
        self._gate.set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, target: int) -> AsyncIterator[Tunnel]:
        tunnel = cls(target)
        async with server(tunnel._serve) as tunnel.port:
            yield tunnel

    def freeze(self) -> None:
        """Carry nothing more for the connections that are open now."""
        self._frozen = set(self._open)

    def break_all(self) -> None:
        """Cut every connection, as a broker does that is killed."""
        for writer in self._writers:
            writer.transport.abort()

    def pause(self) -> None:
        """Take nothing more from the line until `resume`."""
        self._gate.clear()

    def resume(self) -> None:
        self._gate.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        self._open.add(this)
        self._writers.append(writer)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    await self._gate.wait()
                    if this not in self._frozen:
                        sink.write(data)
                        await sink.drain()

        with contextlib.suppress(ConnectionRefusedError):
            other = await asyncio.open_connection("127.0.0.1", self._target)
            await join((reader, writer), other, copy=copy)


@asynccontextmanager
async def old_broker(target: int, way: str, versions: list[int]) -> AsyncIterator[int]:
    """Stand before a broker of version 3.1.1, note the versions that clients try, refuse 5 as such brokers do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
            await writer.wait_closed()
            return
        with contextlib.suppress(ConnectionRefusedError):
            other = await asyncio.open_connection("127.0.0.1", target)
            other[1].write(hello)
            await join((reader, writer), other)

    async with server(serve) as port:
        yield port
