"""The lines that faults cut do what they are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from deploy.local import HOST
from tests.faults.proxy import Line, redirect


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(100):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    server = await asyncio.start_server(_echo, HOST, 0)
    async with server, Line((HOST, server.sockets[0].getsockname()[1])).laid() as laid:
        yield laid


async def _say(line: Line, word: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, line.port)
    writer.write(word)
    return reader, writer


async def test_what_is_sent_arrives_and_comes_back_late_on_a_slow_line(line: Line) -> None:
    line.delay = 0.1
    begun = time.monotonic()
    reader, writer = await _say(line, b"word")
    assert await reader.read(100) == b"word"
    assert time.monotonic() - begun >= 0.2
    writer.write_eof()
    assert await reader.read() == b""


async def test_a_line_that_is_cut_resets_and_refuses_until_it_is_mended(line: Line) -> None:
    reader, _ = await _say(line, b"word")
    await reader.read(100)
    line.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(100)
    with pytest.raises(ConnectionRefusedError):
        await _say(line, b"word")
    await line.mend()
    reader, _ = await _say(line, b"word")
    assert await reader.read(100) == b"word"


async def test_a_line_that_is_stalled_swallows_until_it_is_mended(line: Line) -> None:
    open_, writer = await _say(line, b"word")
    await open_.read(100)
    line.stall()
    writer.write(b"late")
    new, _ = await _say(line, b"new")  # taken, and not answered
    for reader in (open_, new):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.1)
    await line.mend()
    assert (await open_.read(100), await new.read(100)) == (b"late", b"new")


async def test_an_answer_is_lost_on_its_way(line: Line) -> None:
    line.snap, line.snaps = b"COMMIT;", 1
    reader, _ = await _say(line, b"COMMIT;")
    with pytest.raises(ConnectionResetError):
        await reader.read(100)
    reader, _ = await _say(line, b"COMMIT;")
    assert await reader.read(100) == b"COMMIT;"


async def test_a_process_is_led_by_its_line(line: Line) -> None:
    host, port = line.target
    redirect(asyncio.get_running_loop(), f'{{"{host}:{port}": {line.port}}}')
    line.cut()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
