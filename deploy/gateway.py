"""One origin for the four services, for people and channels: `python -m deploy.gateway`.

The local stack's stand-in for the deployment's gateway (`deploy/caddy/Caddyfile`), with the same
paths: each service under its own prefix, nothing rewritten. Probes and `/internal` are not reached
from here. Addresses come from `BANKA_INTAKE_URL` and so on, its own from `BANKA_HTTP_HOST`,
`BANKA_HTTP_PORT`; `BANKA_TRUSTED_PROXIES` names whose word on the caller's address counts.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import unquote

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Match, Route, request_response
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shared.events.catalog import SERVICES
from shared.web import gateway_pages
from shared.web.limits import most_bytes, too_large
from shared.web.middleware import LANGUAGE_COOKIE
from shared.web.problems import MEDIA_TYPE

HOME = "/reporting/board"
PAGES = Path(__file__).parent / "caddy" / "pages"  # what both gateways answer themselves
KEEP_ALIVE = 2.0  # seconds that an idle connection to a service is kept
# Paths that are no service's prefix; the longest match is not needed, no prefix holds another.
ELSEWHERE = {
    "static": "reporting",
    "sign-in": "intake",
    "sign-out": "intake",
    "progress": "intake",
}
# They speak of one connection, not of the message (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_TIMEOUT = httpx.Timeout(60.0, connect=3.0)  # a report may take a while; a service is there or not


def service_of(path: str) -> str | None:
    """Which service answers a path; None where nobody does."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return ELSEWHERE.get(first, first if first in SERVICES else None)


def build(upstreams: Mapping[str, str], trusted_proxies: Sequence[str] = ()) -> Starlette:
    """The gateway before `{service: http://host:port}`. trusted_proxies: addresses and networks of
    proxies in front, whose `X-Forwarded-For` says who calls: read from the right, up to the first
    address that is none of these. Nobody else's word counts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(
            timeout=_TIMEOUT,
            trust_env=False,
            # one client serves everybody: a cookie that it kept would let one in as another
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # given up before the service does so: a request that goes out on a connection which
            # is just being closed would come back as a failure
            limits=httpx.Limits(
                max_connections=200, max_keepalive_connections=50, keepalive_expiry=KEEP_ALIVE
            ),
        ) as client:
            app.state.client = client
            yield

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def style(_request: Request) -> Response:
        kept = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
        return FileResponse(PAGES / gateway_pages.STYLE, headers=kept)

    async def home(_request: Request) -> Response:
        return RedirectResponse(HOME, status_code=303)

    async def forward(request: Request) -> Response:
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        segments = unquote(raw_path.decode("latin-1")).split("/")
        service = service_of(request.url.path)
        if service is None or service not in upstreams or {".", ".."} & set(segments):
            return _own(request, 404)
        query: bytes = request.scope["query_string"]
        target = httpx.URL(upstreams[service]).copy_with(
            raw_path=raw_path + (b"?" + query if query else b"")
        )
        if too_large(request.headers):
            return _own(request, 413)
        client: httpx.AsyncClient = request.app.state.client
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        outgoing = client.build_request(
            request.method,
            target,
            headers=_forwarded(request),
            content=_counted(request) if has_body else None,
        )
        try:
            answer = await client.send(outgoing, stream=True)
        except ClientDisconnect:
            return Response(status_code=499)
        except _TooLargeError:
            return _own(request, 413)
        except httpx.ConnectError:
            return _own(request, 503)
        except httpx.TimeoutException:
            return _own(request, 504)
        except httpx.TransportError:
            return _own(request, 502)
        # raw: compressed bodies pass as they are
        response = StreamingResponse(_body(answer), status_code=answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.lower().decode("latin-1") not in _HOP_BY_HOP
        ]
        return response

    return Starlette(
        routes=[
            Route("/", home, methods=["GET", "HEAD"]),
            Route("/healthz", healthz),
            Route(f"/{gateway_pages.STYLE}", style),
            _Everything(forward),
        ],
        middleware=[Middleware(ProxyHeadersMiddleware, trusted_hosts=list(trusted_proxies))],
        lifespan=lifespan,
    )


class _Everything(BaseRoute):
    """Every method, and every path, even one with a line break in it: the service says what it does
    not know."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._app = request_response(answer)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL if scope["type"] == "http" else Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _forwarded(request: Request) -> list[tuple[bytes, bytes]]:
    """The headers as they came, but for those of the connection and what a caller says of itself:
    a service believes `X-Forwarded-…` because only the gateway can have written them. Values are
    bytes of whatever encoding; blanks around one are no part of it (RFC 9110, 5.5)."""
    headers = [
        (name, value.strip(b" \t"))
        for name, value in request.headers.raw
        if name.decode("latin-1") not in _HOP_BY_HOP
        and not name.startswith(b"x-forwarded-")
        and name != b"forwarded"
    ]
    own = {
        "x-forwarded-for": request.client.host if request.client else "unknown",
        "x-forwarded-proto": request.url.scheme,
        "x-forwarded-host": request.headers.get("host", ""),
    }
    return headers + [(name.encode(), value.encode("latin-1")) for name, value in own.items()]


class _TooLargeError(Exception):
    """More is sent than is taken."""


def _own(request: Request, status: int) -> Response:
    """What the gateway itself says, to a person or a program."""
    asked = request.query_params.get("lang", "")
    kept = request.cookies.get(LANGUAGE_COOKIE, "")
    accepted = request.headers.get("accept-language", "")
    if gateway_pages.wants_page(request.url.path, request.headers.get("accept", "")):
        language = gateway_pages.language_of(asked, kept, accepted)
        name, kind = gateway_pages.page_name(status, language), gateway_pages.HTML
    else:
        language, name, kind = None, gateway_pages.problem_name(status), MEDIA_TYPE
    headers = gateway_pages.headers(status, kind, language)
    return Response((PAGES / name).read_bytes(), status_code=status, headers=headers)


async def _counted(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes; raises _TooLargeError with the first byte too many."""
    left = most_bytes(request.headers.get("content-type"))
    async for part in request.stream():
        left -= len(part)
        if left < 0:
            raise _TooLargeError
        yield part


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()


def main() -> None:
    """Serve until stopped; exits with 2 and one line where no service's address is set."""
    upstreams = {
        service: url
        for service in SERVICES
        if (url := os.environ.get(f"BANKA_{service.upper()}_URL"))
    }
    if not upstreams:
        sys.stderr.write("gateway: none of BANKA_INTAKE_URL … BANKA_REPORTING_URL is set\n")
        raise SystemExit(2)
    logging.disable(logging.INFO)
    uvicorn.run(
        build(upstreams, os.environ.get("BANKA_TRUSTED_PROXIES", "").split()),
        host=os.environ.get("BANKA_HTTP_HOST", "127.0.0.1"),
        port=int(os.environ.get("BANKA_HTTP_PORT", "8080")),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        # whom it refused may still be sending, and stall: closed then, they would not see why
        timeout_keep_alive=30,
    )


if __name__ == "__main__":
    main()
