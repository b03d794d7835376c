"""One connection to a real server: no answer is lost to what was sent or answered before it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import StringIO

import httpx
import pytest
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from deploy.gateway import build
from shared.observability import configure_logging
from shared.web import middleware
from shared.web.limits import BODY_MOST
from shared.web.middleware import RequestFrame
from tests.eventually import eventually

PART = bytes(64 * 1024)


@asynccontextmanager
async def served(app: ASGIApp, keep_alive: int = 30) -> AsyncIterator[str]:
    """The address of a server as services run it, but for how long it keeps idle connections."""
    config = uvicorn.Config(
        app, port=0, http="httptools", log_config=None, timeout_keep_alive=keep_alive
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@asynccontextmanager
async def origin(upstream: str) -> AsyncIterator[httpx.AsyncClient]:
    """The demo's gateway before it."""
    app = build({"review": upstream})
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://banka.test") as client,
    ):
        yield client


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """The log of a service, as it is written."""
    # a logger keeps for good how it was first used
    monkeypatch.setattr(middleware, "log", structlog.get_logger("shared.web.middleware"))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = StringIO()
    configure_logging("review", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


async def _crash(_request: Request) -> Response:
    raise RuntimeError("of 13800138000")


async def _break_off(_request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"the first half"
        raise RuntimeError("of 13800138000")

    return StreamingResponse(parts())


async def _fine(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def _service() -> RequestFrame:
    routes = [
        Route("/review/crash", _crash, methods=["GET", "POST"]),
        Route("/review/broken", _break_off),
        Route("/review/fine", _fine, methods=["GET", "POST"]),
    ]
    return RequestFrame(Starlette(routes=routes), service="review", secure=False)


async def test_a_crash_leaves_its_connection_to_the_next_request(told: StringIO) -> None:
    async with served(_service()) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for path, status in (("crash", b"500"), ("fine", b"200"), ("crash", b"500")):
            writer.write(f"GET /review/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            assert head.split()[1] == status
            if path == "crash":
                reference = head.lower().split(b"x-request-id: ")[1].split(b"\r\n")[0].decode()
        writer.close()
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    crashes = [line for line in lines if line["level"] == "error"]
    assert [line["event"] for line in crashes] == ["request failed"] * 2, "each is told once"
    assert crashes[-1]["trace_id"] == reference
    assert "13800138000" not in told.getvalue()


async def test_half_an_answer_is_broken_off(told: StringIO) -> None:
    async with served(_service()) as url, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}/review/broken")
    assert '"request failed"' in told.getvalue()


async def test_an_upload_to_what_crashes_is_answered_so(told: StringIO) -> None:
    async with served(_service()) as url, origin(url) as client:
        answer = await client.post("/review/crash", content=PART * 16)
    assert answer.status_code == 500
    assert '"request failed"' in told.getvalue()


async def test_an_answer_before_the_end_of_an_upload_reaches_whoever_still_writes() -> None:
    """It came back as 502: answered and idle, the connection was closed under the gateway."""
    asked = asyncio.Event()
    framed = _service()

    async def service(scope: Scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        asked.set()
        await framed(scope, receive, send)

    async def slowly() -> AsyncIterator[bytes]:
        yield PART
        await asked.wait()
        for _ in range(14):
            await asyncio.sleep(0)
            yield PART

    async with served(service, keep_alive=0) as url, origin(url) as client:
        for _ in range(20):
            asked.clear()
            answer = await client.post("/review/nowhere", content=slowly())
            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({"content-length": str(3 * len(PART))}, 3),
        ({"transfer-encoding": "chunked"}, 3),
        ({"content-length": str(3 * len(PART)), "expect": "100-continue"}, 0),  # it was not sent
        ({"content-length": str(BODY_MOST + 1)}, 0),
        ({}, 0),
    ],
)
async def test_what_was_sent_is_read_before_the_answer_as_far_as_it_is_taken(
    headers: dict[str, str], read: int
) -> None:
    happened: list[str] = []
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/nowhere",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Message:
        happened.append("read")
        more = happened.count("read") < 3
        return {"type": "http.request", "body": PART, "more_body": more}

    async def send(message: Message) -> None:
        happened.append(message["type"])

    await _service()(scope, receive, send)
    assert happened == ["read"] * read + ["http.response.start", "http.response.body"]


async def test_what_is_sent_without_end_is_not_read_without_end() -> None:
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": PART, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/nowhere",
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
    }
    await _service()(scope, receive, send)
    assert read == BODY_MOST // len(PART) + 1
    assert sent[0]["status"] == 404
