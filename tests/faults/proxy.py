"""Lines between one process and the servers that it speaks to, which can be cut, stalled, slowed
down, or cut just when an answer is on its way.

A line is a TCP proxy on loopback. The process is led through it as a firewall's redirect would do
it: it opens its connections to the servers' own addresses, and `redirect` takes them to the proxy.
So the broker need not know of it, although clients learn brokers' addresses from the broker itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy.local import HOST, Stack

ROUTES = "BANKA_FAULTS_ROUTES"
"""The variable that tells a process its lines: JSON {"host:port": port on loopback}."""

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # close without a farewell


@dataclass(eq=False)
class Line:
    """One line to one server. delay: seconds each way. port: where the proxy listens.

    snap: bytes from the process after which the connection breaks, so many times as `snaps` says:
    the server has got them, the process never hears the answer.
    """

    target: tuple[str, int]
    delay: float = 0.0
    snap: bytes = b""
    snaps: int = 0
    port: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Line]:
        """Listen while the block runs."""
        self._open.set()
        await self._listen()
        try:
            yield self
        finally:
            self.cut()
            for task in self._tasks:
                task.cancel()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset what is connected, refuse what would be."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            _reset(writer)

    def stall(self) -> None:
        """A black hole: connections open and stay open, and nothing gets through. What was sent
        meanwhile arrives when the line is mended, as it does on a network that heals."""
        self._open.clear()

    async def mend(self) -> None:
        """As if nothing had been."""
        self._open.set()
        if self._server is None:
            await self._listen()

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = {back}
        self._tasks.add(task)
        self._writers.add(back)
        try:
            await self._open.wait()
            far, ahead = await asyncio.open_connection(*self.target)
            writers.add(ahead)
            self._writers.add(ahead)
            await asyncio.gather(self._carry(near, ahead, back), self._carry(far, back))
        except (OSError, asyncio.CancelledError):
            for writer in writers:
                _reset(writer)
        finally:
            for writer in writers:
                writer.close()
            self._tasks.discard(task)
            self._writers -= writers

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter | None = None,
    ) -> None:
        """One direction. back: the way to the process, where this is the direction away from it."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        reading = asyncio.create_task(self._read(reader, queue))
        try:
            chunk = b"-"
            while chunk:
                due, chunk = await queue.get()
                await asyncio.sleep(max(due - time.monotonic(), 0))
                await self._open.wait()
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()
                if back is not None and self.snaps and self.snap in chunk:
                    self.snaps -= 1
                    _reset(back)
        finally:
            reading.cancel()

    async def _read(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Note when each chunk came, and b"" for the end, whichever it was."""
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(_CHUNK)
            except OSError:
                chunk = b""
            queue.put_nowait((time.monotonic() + self.delay, chunk))


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one process: to the broker, to PostgreSQL, to the world outside."""

    broker: Line
    database: Line
    outside: Line

    def all(self) -> tuple[Line, ...]:
        return self.broker, self.database, self.outside

    def environment(self) -> dict[str, str]:
        """What the process is told so that it goes by these lines."""
        routes = {f"{line.target[0]}:{line.target[1]}": line.port for line in self.all()}
        return {ROUTES: json.dumps(routes)}


@asynccontextmanager
async def lines(stack: Stack, outside: str) -> AsyncIterator[Lines]:
    """Lines to the servers of a stack, and to an address of the world outside."""
    async with contextlib.AsyncExitStack() as laid:
        addresses = (f"kafka://{stack.kafka_bootstrap}", stack.postgres_dsn, outside)
        yield Lines(*[await laid.enter_async_context(Line(_address(a)).laid()) for a in addresses])


def redirect(loop: asyncio.AbstractEventLoop, routes: str) -> None:
    """Take this process's connections to the servers by its lines; routes: JSON as in `ROUTES`."""
    ways: dict[str, int] = json.loads(routes)
    connect = loop.create_connection

    async def by_line(factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        way = ways.get(f"{host}:{port}")
        if way is not None:
            host, port = HOST, way
        return await connect(factory, host, port, **more)

    loop.create_connection = by_line  # type: ignore[method-assign, assignment]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
