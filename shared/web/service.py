"""A service on the web: one constructor for production, demo and tests, and the way to run it."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp

from shared.clock import Clock, format_instant
from shared.messaging import Quiet, Readiness
from shared.messaging.errors import one_line
from shared.observability import configure_logging
from shared.parameters import (
    ChangedVersionError,
    ParametersError,
    UnknownVersionError,
    load_papers,
)
from shared.parameters.load import take
from shared.postgres.migrate import migrate
from shared.privacy.vault import SealBrokenError
from shared.settings import Environment, Settings, SettingsError, load_settings
from shared.web import i18n, static_files
from shared.web.access import SignInNeeded, current_viewer, declared_access, public
from shared.web.clients import ApiClients
from shared.web.directory import StaffMember, find_staff
from shared.web.gateway_pages import RETRY_AFTER
from shared.web.i18n import _, mark
from shared.web.middleware import RequestFrame, is_away
from shared.web.openapi import Kind, complete
from shared.web.pages import LOCALE, asks_within, make_environment, page
from shared.web.problems import (
    FieldError,
    Problem,
    field_errors,
    parameters_problem,
    pointer_of,
)
from shared.web.session import Session, Signer
from shared.web.state import FindStaff, WebState

# Seconds that an idle connection is kept. A gateway before us gives up much earlier: a process that
# gets no processor for a while finds its timer run out before it sees what has arrived meanwhile.
KEEP_ALIVE = 30
_DRAIN = 20  # seconds that open requests are given after SIGTERM

log = structlog.get_logger(__name__)


class Running(Protocol):
    """The part of the kernel's Service that the web needs."""

    name: str
    clock: Any
    pool: Any

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def readiness(self) -> Readiness: ...
    async def quiet(self) -> Quiet: ...


def create_app(
    service: Running,
    *,
    routers: Sequence[APIRouter],
    settings: Settings,
    package: Path | None = None,
    find: FindStaff | None = None,
    clients: ApiClients | None = None,
    problems: Mapping[str, Kind] | None = None,
) -> FastAPI:
    """The HTTP app of a service; starting it starts the service's consumers, relay and workers.

    package: the service's folder, with `templates/` and `locale/zh_CN.po`. find: how to look up a
    member of staff; by default in the service's own directory tables. clients: channels that may
    call the API; by default none: pages and API are for staff. problems: those that its API knows
    beyond what every API may answer.
    """
    locales = [LOCALE, *([package / "locale"] if package is not None else [])]
    i18n.load(locales, settings.business_zone)
    clock: Clock = service.clock

    async def find_in_directory(session: Session) -> StaffMember | None:
        async with service.pool.acquire() as conn:
            return await find_staff(conn, session.staff_id, session.digest)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
        except Exception as error:
            if not hasattr(service, "pool"):  # else the kernel has said why
                log.error("service does not start", error=one_line(error))
            raise
        try:
            yield
        finally:
            await service.stop()

    app = _Framed(
        title=f"banka {service.name}",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
        openapi_url=f"/{service.name}/api/v1/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.web = WebState(
        service_name=service.name,
        signer=Signer(settings.secret("session-key").encode(), settings.session_idle * 60),
        find_staff=find or find_in_directory,
        clients=clients if clients is not None else ApiClients(),
        templates=make_environment(package / "templates" if package is not None else None),
        now=clock.now,
        secure_cookies=settings.environment is Environment.PRODUCTION,
        demo=settings.stepped,
    )
    app.state.problems = problems or {}
    _add_probes(app, service, settings)
    app.add_route("/static/{path:path}", static_files.serve, methods=["GET", "HEAD"])
    for router in routers:
        app.include_router(router)
    _add_error_handlers(app)
    return app


class _Framed(FastAPI):
    """With the frame around everything: middleware that is added as usual lies within the handler
    of crashes, whose pages would then go out without policy, reference and language."""

    def build_middleware_stack(self) -> ASGIApp:
        state: WebState = self.state.web
        return RequestFrame(
            super().build_middleware_stack(),
            service=state.service_name,
            secure=state.secure_cookies,
            clients=state.clients,
        )

    def openapi(self) -> dict[str, Any]:
        """The description of the API, with everything that FastAPI does not know of it."""
        if not self.openapi_schema:
            complete(super().openapi(), declared_access(self), self.state.problems)
        assert self.openapi_schema is not None  # made and kept by FastAPI just now
        return self.openapi_schema


def _add_probes(app: FastAPI, service: Running, settings: Settings) -> None:
    probes = APIRouter(include_in_schema=False)
    machine = public("probes are reached inside the deployment only, never through the gateway")

    @probes.get("/healthz", dependencies=[machine])
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @probes.get("/readyz", dependencies=[machine])
    async def readyz() -> JSONResponse:
        found = await service.readiness()
        return JSONResponse(asdict(found), status_code=200 if found.ready else 503)

    @probes.get("/metrics", dependencies=[machine])
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    if settings.environment is not Environment.PRODUCTION:

        @probes.get("/internal/quiet", dependencies=[machine])
        async def quiet() -> JSONResponse:
            found = asdict(await service.quiet())
            due: datetime | None = found["next_due"]
            found["next_due"] = None if due is None else format_instant(due)
            return JSONResponse(found)

    app.include_router(probes)


def _add_error_handlers(app: FastAPI) -> None:
    async def on_problem(request: Request, problem: Exception) -> Response:
        if not isinstance(problem, Problem):
            raise problem
        return await _answer(request, problem)

    async def on_invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        errors = field_errors(error.errors())
        return await _answer(
            request, Problem(422, "invalid-request", "Some fields are wrong", errors=errors)
        )

    async def on_http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        code = _CODES.get(error.status_code, "error")
        return await _answer(
            request,
            Problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {})),
        )

    async def on_sign_in_needed(request: Request, error: Exception) -> Response:
        if not isinstance(error, SignInNeeded):
            raise error
        if not _wants_page(request):
            return await _answer(
                request,
                Problem(
                    401,
                    "sign-in-needed",
                    "Nobody is signed in",
                    headers={"WWW-Authenticate": 'Bearer realm="banka"'},
                ),
            )
        if asks_within(request):
            return Response(status_code=204, headers={"HX-Redirect": error.location})
        return RedirectResponse(error.location, status_code=303)

    async def on_unknown_version(request: Request, error: Exception) -> Response:
        if not isinstance(error, UnknownVersionError):
            raise error
        log.error("rules of an application are not held", error=str(error))
        return await _answer(request, parameters_problem(error))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(SignInNeeded, on_sign_in_needed)
    app.add_exception_handler(UnknownVersionError, on_unknown_version)
    app.add_exception_handler(ChangedVersionError, on_unknown_version)
    app.add_exception_handler(SealBrokenError, _on_broken_seal)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    for unstorable in UNSTORABLE:
        app.add_exception_handler(unstorable, _on_unstorable)
    app.add_exception_handler(Exception, _on_crash)


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Whoever sent it hung up before its end: no fault of ours, and nobody reads the answer."""
    return Response(status_code=499)


async def _on_broken_seal(request: Request, error: Exception) -> Response:
    """Somebody changed in the database what only the service may write."""
    if not isinstance(error, SealBrokenError):
        raise error
    log.error("what was sealed was changed since", error=str(error))
    words = "What is kept of this was changed since it was sealed: it cannot be opened"
    return await _answer(request, Problem(500, "altered", words))


async def _on_unstorable(request: Request, error: Exception) -> Response:
    """NUL in a text: whoever typed or sent it is told where, as far as the address shows it."""
    if not isinstance(error, UNSTORABLE):
        raise error
    wrong = [
        FieldError(pointer_of([name]), "no-text", "Text has no NUL in it", place)
        for place, given in (
            ("path", request.path_params.items()),
            ("query", request.query_params.multi_items()),
        )
        for name, value in given
        if "\x00" in str(value)
    ]
    return await _answer(
        request, Problem(422, "invalid-request", "Some fields are wrong", errors=wrong)
    )


async def _on_crash(request: Request, error: Exception) -> Response:
    """The frame tells it in the log, where the answer is complete."""
    if is_away(error):
        words = "Something that is needed for it does not answer"
        later = {"Retry-After": str(RETRY_AFTER)}
        return await _answer(request, Problem(503, "unavailable", words, headers=later))
    return await _answer(request, Problem(500, "internal", "Something went wrong on our side"))


# what PostgreSQL says of NUL in a text, and of its escape in JSON
UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)

_CODES = {
    400: "bad-request",
    401: "sign-in-needed",
    403: "not-permitted",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    412: "changed-meanwhile",
    413: "too-large",
    415: "unsupported-type",
    429: "too-many-requests",
    503: "unavailable",
}


def _wants_page(request: Request) -> bool:
    return "/api/" not in request.url.path and "text/html" in request.headers.get("accept", "")


async def _answer(request: Request, problem: Problem) -> Response:
    """The problem as a page for people, as JSON for programs."""
    trace_id: str | None = getattr(request.state, "trace_id", None)
    if not _wants_page(request):
        return problem.response(trace_id)
    try:
        request.state.viewer = await current_viewer(request)
    except Exception as error:  # noqa: BLE001 - the error page must come even without a database
        log.warning("no viewer for the error page", error=type(error).__name__)
        request.state.viewer = None
    heading, advice, icon = _words_for(problem, customer=_is_customers(request.url.path))
    response = page(
        request,
        "error.html",
        status_code=problem.status,
        heading=heading,
        advice=advice,
        error_icon=icon,
        errors=[(one.pointer.lstrip("/"), _field_words(one)) for one in problem.errors],
        customer=_is_customers(request.url.path),
        status=problem.status,
        trace_id=trace_id or "",
    )
    response.headers.update(problem.headers)
    return response


def _is_customers(path: str) -> bool:
    """Whether a customer, and nobody of the office, reads what is at this address."""
    return path.startswith("/progress")


def _field_words(error: FieldError) -> str:
    """What is wrong with a field, in the reader's language; rare kinds as the problem has it."""
    words = _FIELD_WORDS.get(error.code)
    return _(words) if words else error.detail or error.code


_FIELD_WORDS = {
    "missing": mark("is missing"),
    "string_too_long": mark("is too long"),
    "string_too_short": mark("is too short"),
    "no-text": mark("holds a character that is no text"),
    **dict.fromkeys(
        ("enum", "literal_error", "string_pattern_mismatch", "value_error"),
        mark("is none of the values that are possible here"),
    ),
    **dict.fromkeys(
        ("int_type", "int_parsing", "greater_than_equal", "less_than_equal"),
        mark("is no number that is possible here"),
    ),
}


def _words_for(problem: Problem, *, customer: bool) -> tuple[str, str, str]:
    """What a person reads: what happened, what to do, and an icon."""
    if problem.code == "form-expired":
        return (
            _("This form is no longer valid"),
            _("Go back, load the page again and send it once more. Nothing was changed."),
            "clock-exclamation",
        )
    if problem.status == 403:
        return (
            _("You may not open this"),
            _("Your role does not include it. Ask the office manager if you need it."),
            "lock",
        )
    if problem.status == 404:
        return (
            _("Not found"),
            _("There is nothing at this address.")
            if customer
            else _(
                "There is nothing at this address, or it belongs to a branch that you do not see."
            ),
            "search",
        )
    if problem.status == 413:
        return (
            _("That is too large"),
            _("A file has at most %(size)s MB. Nothing was changed.")
            % {"size": load_papers().largest_bytes // (1024 * 1024)},
            "alert-triangle",
        )
    if problem.status == 429:
        return (
            _("That was too much at once"),
            _("Wait a minute and try again. Nothing was changed."),
            "hourglass",
        )
    if problem.code == "policy-not-held":
        return (
            _("The text of this policy is not held"),
            _(
                "It is missing in the archive, or was changed there: nothing is decided and nothing"
                " verified by it. Give operations the reference below."
            ),
            "alert-circle",
        )
    if problem.status in {409, 412}:
        return (
            _("Somebody was quicker"),
            _("The entry has changed meanwhile. Open it again and decide on what it says now."),
            "refresh",
        )
    if problem.status < 500:
        return (
            _("That could not be accepted"),
            _("Check what you entered and send it again. Nothing was changed."),
            "alert-triangle",
        )
    if problem.code == "unavailable":
        return (
            _("No answer just now"),
            _("Try again in a minute. If it goes on, give your branch the reference below.")
            if customer
            else _("Try again in a minute. If it goes on, give operations the reference below."),
            "alert-circle",
        )
    if customer:
        return (
            _("Something went wrong on our side"),
            _("Try again in a minute. If it goes on, give your branch the reference below."),
            "alert-circle",
        )
    if problem.code in {"parameters-missing", "parameters-changed"}:
        return (
            _("The rules of this application are not loaded"),
            _(
                "The version of the product with which it began is missing or was changed. Give"
                " operations the reference below; nothing was changed and nothing is lost."
            ),
            "alert-circle",
        )
    if problem.code == "altered":
        return (
            _("What is kept of this was changed"),
            _(
                "It was sealed, and the seal is broken: somebody changed it in the database. Give"
                " operations the reference below; nothing is decided on it."
            ),
            "alert-circle",
        )
    return (
        _("Something went wrong on our side"),
        _("Try again in a minute. If it goes on, give operations the reference below."),
        "alert-circle",
    )


def run(name: str, build: Callable[[Settings], FastAPI]) -> None:
    """`python -m services.<name>` serves; `python -m services.<name> migrate` updates the schema.

    Exits with 2 and one line where a setting or secret is missing, or a line for each fault of the
    parameters.
    """
    if sys.argv[1:] not in ([], ["migrate"]):
        sys.stderr.write(f"usage: python -m services.{name} [migrate]\n")
        raise SystemExit(2)
    try:
        settings = load_settings(name)
        configure_logging(name)
        if sys.argv[1:] == ["migrate"]:
            applied = asyncio.run(migrate(settings, name))
            sys.stdout.write(f"{name}: {len(applied)} migrations applied\n")
            return
        take(settings.parameters)
        app = build(settings)
    except (SettingsError, ParametersError) as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None
    # what was made so far stays for good: the collector need not look at it again and again
    gc.collect()
    gc.freeze()
    logging.getLogger("uvicorn.access").disabled = True  # addresses may hold what people typed
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=True,
        timeout_graceful_shutdown=_DRAIN,
        timeout_keep_alive=KEEP_ALIVE,
    )
