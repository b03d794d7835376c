"""What happens to every request: trace, language, security headers, figures, limits, cross-site
refusal."""

from __future__ import annotations

import contextlib
import errno
import re
import secrets
import socket
import time
from contextvars import ContextVar
from typing import Final

import asyncpg
import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.documents import DocumentsUnavailableError
from shared.messaging.errors import NotReady, OlderDatabase, one_line
from shared.observability import in_trace
from shared.web import i18n
from shared.web.clients import ApiClients
from shared.web.limits import BodyTooLarge, Turn, Turns, counted, too_large
from shared.web.problems import Problem
from shared.web.session import COOKIE, set_session

LANGUAGE_COOKIE = "banka_language"
_YEAR = 365 * 86_400  # seconds
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_traceparent: ContextVar[str | None] = ContextVar("banka_traceparent", default=None)

log = structlog.get_logger(__name__)

HTTP_REQUESTS = Counter(
    "banka_http_requests_total",
    "Requests answered, by route template, method and status",
    ["service", "method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "banka_http_request_seconds",
    "Time from the request's head to the end of the answer",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

# No inline script or style anywhere; what a page needs comes from /static.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def current_traceparent() -> str | None:
    """The W3C trace context of the request being answered; None outside one."""
    return _traceparent.get()


def current_trace_id() -> str | None:
    """The trace that answers name, for whoever asks about them; None outside a request."""
    traceparent = _traceparent.get()
    return None if traceparent is None else traceparent.split("-")[1]


class RequestFrame:
    """Outermost: gives the request a trace and a language, the answer its headers, and holds what
    may come in. A crash is told in the log once, with the reference that its answer names."""

    def __init__(
        self, app: ASGIApp, *, service: str, secure: bool, clients: ApiClients | None = None
    ) -> None:
        self._app = app
        self._service = service
        self._secure = secure
        self._clients = clients or ApiClients()
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # as GET on every route, with the same permission (RFC 9110, 9.3.2)
            scope = {**scope, "method": "GET"}
        headers = Headers(scope=scope)
        trace_id, traceparent = _trace(headers.get("traceparent"))
        wanted = QueryParams(scope["query_string"]).get("lang")
        kept = cookie_parser(headers.get("cookie", "")).get(LANGUAGE_COOKIE)
        language = i18n.choose_language(wanted or kept)
        scope.setdefault("state", {})["trace_id"] = trace_id
        turn = self._turn(headers)
        started = time.perf_counter()
        status, answered = 500, False
        body = _Body(counted(receive, headers), headers)

        async def send_framed(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                await body.drop_rest()
                status = message["status"]
                answer = MutableHeaders(scope=message)
                if turn is not None:
                    answer.update(turn.headers)
                self._dress(answer, trace_id, language, wanted)
                self._renew(answer, scope["state"].get("renewed_session"))
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)
            answered = message["type"] == "http.response.body" and not message.get("more_body")

        token = _traceparent.set(traceparent)
        with in_trace(traceparent), i18n.in_language(language):
            try:
                if _from_another_site(scope["method"], headers):
                    refusal = Problem(403, "cross-site", "The request came from another site")
                    await refusal.response(trace_id)(scope, receive, send_framed)
                elif turn is not None and not turn.taken:
                    await turn.refusal().response(trace_id)(scope, receive, send_framed)
                else:
                    await self._app(scope, body.receive, send_framed)
            except Exception as error:
                path = scope["path"]
                if is_away(error):
                    log.error("request not served", error=one_line(error), path=path, method=method)
                else:
                    log.exception("request failed", exc_info=error, path=path, method=method)
                # The server would close the connection, under whatever is sent on it next. Whoever
                # has their whole answer needs no more; half of one has to be broken off.
                if not answered:
                    raise
            finally:
                _traceparent.reset(token)
                self._count(scope, method, status, time.perf_counter() - started)

    def _turn(self, headers: Headers) -> Turn | None:
        shown = headers.get("authorization")
        client = self._clients.by_token(shown) or self._clients.by_secret(shown)
        return None if client is None else self._turns.take(client)

    def _dress(
        self,
        headers: MutableHeaders,
        trace_id: str,
        language: str,
        wanted: str | None,
    ) -> None:
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()"
        )
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("X-Request-Id", trace_id)
        if self._secure:
            headers.setdefault("Strict-Transport-Security", f"max-age={_YEAR}")
        if headers.get("content-type", "").startswith("text/html"):
            headers.setdefault("Content-Language", language)
            if wanted is not None:
                secure = "; Secure" if self._secure else ""
                headers.append(
                    "Set-Cookie",
                    f"{LANGUAGE_COOKIE}={language}; Path=/; Max-Age={_YEAR}; SameSite=Lax{secure}",
                )

    def _renew(self, headers: MutableHeaders, session: str | None) -> None:
        """The session's cookie anew, unless the answer itself begins or ends one."""
        own = any(one.startswith(f"{COOKIE}=") for one in headers.getlist("set-cookie"))
        if session is not None and not own:
            cookie = Response()
            set_session(cookie, session, secure=self._secure)
            headers.append("Set-Cookie", cookie.headers["set-cookie"])

    def _count(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        HTTP_REQUESTS.labels(self._service, method, route, str(status)).inc()
        HTTP_SECONDS.labels(self._service, method, route).observe(seconds)


# SQLSTATE classes: connection, resources, operator's intervention, system
_AWAY_CLASSES = frozenset({"08", "53", "57", "58"})
_AWAY_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE})


def is_away(error: BaseException) -> bool:
    """Whether what a request needs is away (database, store of papers, a disk with room), and
    nothing of ours is wrong: the same request may well succeed later."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _AWAY_CLASSES
    if isinstance(error, NotReady | OlderDatabase | DocumentsUnavailableError):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)  # of a pool or connection; all others are misuse
    if isinstance(error, OSError) and error.errno in _AWAY_ERRNO:
        return True
    return isinstance(error, ConnectionError | TimeoutError | socket.gaierror)


class _Body:
    """The body of a request, read to its end before it is answered. Where an answer comes earlier,
    the caller still writes: as soon as the connection is closed then, by a crash, a shutdown or as
    idle, the answer is lost to them, and a gateway between says 502."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        sent = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        # who asks first whether to send it waits for the answer; what is too large is never read
        self._ended = not sent or "expect" in headers or too_large(headers)

    async def receive(self) -> Message:
        """The next part. Raises BodyTooLarge."""
        try:
            message = await self._receive()
        except BodyTooLarge:
            self._ended = True
            raise
        if message["type"] != "http.request" or not message.get("more_body"):
            self._ended = True
        return message

    async def drop_rest(self) -> None:
        """Reads what nobody wanted, as far as that much is taken at all."""
        with contextlib.suppress(BodyTooLarge):
            while not self._ended:
                await self.receive()


def _trace(given: str | None) -> tuple[str, str]:
    """The caller's trace if it is well-formed, else one of our own: (trace id, traceparent)."""
    match = _TRACEPARENT.fullmatch(given or "")
    trace_id = match[1] if match and match[1].strip("0") else secrets.token_hex(16)
    flags = match[3] if match else "01"
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def _from_another_site(method: str, headers: Headers) -> bool:
    # Browsers of the last years say where a request comes from; other programs do not send this.
    return method not in _SAFE_METHODS and headers.get("sec-fetch-site") in {
        "cross-site",
        "same-site",
    }
