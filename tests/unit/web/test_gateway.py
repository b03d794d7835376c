"""One origin for all services: who answers what, what passes, what a visitor leaves behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import request_response

from deploy import gateway
from deploy.gateway import ELSEWHERE, HOME, build, service_of
from shared.events.catalog import SERVICES
from shared.web import gateway_pages, static_files
from shared.web.gateway_pages import RETRY_AFTER
from shared.web.i18n import LANGUAGES
from shared.web.limits import BODY_MOST, MULTIPART_MOST
from shared.web.middleware import CONTENT_SECURITY_POLICY
from shared.web.service import KEEP_ALIVE
from tests.eventually import eventually


async def _told(request: Request) -> Response:
    if request.method == "POST":
        return JSONResponse({"bytes": len(await request.body())})
    answer = JSONResponse({"path": request.url.path, "headers": dict(request.headers)})
    answer.set_cookie("banka_session", "somebody")
    answer.headers["Content-Security-Policy"] = "default-src 'none'"
    return answer


@pytest.fixture
async def upstreams() -> AsyncIterator[dict[str, str]]:
    """review, which is up, and notify, which is not."""
    upstream = request_response(_told)
    server = uvicorn.Server(
        uvicorn.Config(upstream, port=0, log_config=None, access_log=False, lifespan="off")
    )
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield {"review": f"http://127.0.0.1:{port}", "notify": "http://127.0.0.1:1"}
    server.should_exit = True
    await serving


@pytest.fixture
async def origin(upstreams: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway before both."""
    app = build(upstreams)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://banka.test"
        ) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/review/queue", "review"),
        ("/reporting/board", "reporting"),
        ("/static/banka.css", "reporting"),
        ("/sign-in", "intake"),
        ("/sign-out", "intake"),
        ("/internal/quiet", None),
        ("/metrics", None),
        ("/reviews", None),
        ("//review/queue", None),
        ("", None),
    ],
)
def test_who_answers_a_path(path: str, service: str | None) -> None:
    assert service_of(path) == service


async def test_what_one_visitor_was_given_never_goes_out_for_another(
    origin: httpx.AsyncClient,
) -> None:
    first = await origin.get("/review/queue")
    assert "banka_session" in first.headers["set-cookie"]
    origin.cookies.clear()  # another visitor, the same gateway
    second = await origin.get("/review/queue")
    assert "cookie" not in second.json()["headers"]


async def test_nobody_says_of_themselves_where_they_come_from(origin: httpx.AsyncClient) -> None:
    lies = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "for=x"}
    told = (await origin.get("/review/queue", headers=lies)).json()["headers"]
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "http"
    assert "forwarded" not in told


@pytest.mark.parametrize(
    ("peer", "says", "caller"),
    [
        ("10.1.0.5", "203.0.113.7", "203.0.113.7"),
        ("10.1.0.5", "198.51.100.1, 203.0.113.7, 10.1.0.6", "203.0.113.7"),  # it made the first up
        ("10.1.0.5", "", "10.1.0.5"),
        ("10.2.0.5", "203.0.113.7", "10.2.0.5"),  # nobody whom we trust
    ],
)
async def test_a_trusted_proxy_says_who_calls(
    upstreams: dict[str, str], peer: str, says: str, caller: str
) -> None:
    app = build(upstreams, ["10.1.0.0/24"])
    transport = httpx.ASGITransport(app, client=(peer, 4000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://banka.test") as client,
    ):
        headers = {"X-Forwarded-For": says, "X-Forwarded-Proto": "https"} if says else {}
        told = (await client.get("/review/queue", headers=headers)).json()["headers"]
    assert told["x-forwarded-for"] == caller
    assert told["x-forwarded-proto"] == ("https" if caller == "203.0.113.7" else "http")


async def test_headers_of_the_answer_pass_and_paths_stay_in_their_service(
    origin: httpx.AsyncClient,
) -> None:
    answer = await origin.get("/review/cases/1?lang=en")
    assert answer.json()["path"] == "/review/cases/1"
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    for path in ("/review/%2e%2e/internal/quiet", "/review/..%2Fmetrics", "/internal/quiet"):
        assert (await origin.get(path)).status_code == 404, path


@pytest.mark.parametrize(
    "value", [b"plain", b" \twith blanks \t", "Zoë".encode("latin-1"), "长".encode(), b"\xff", b""]
)
async def test_a_header_passes_whatever_bytes_it_has(
    origin: httpx.AsyncClient, value: bytes
) -> None:
    answer = await origin.get("/review/cases", headers=[(b"Idempotency-Key", value)])
    assert answer.status_code == 200
    assert answer.json()["headers"]["idempotency-key"] == value.strip().decode("latin-1")


@pytest.mark.parametrize("method", ["GET", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("name", ["a%0Ab", "%0A", "%00", "%C3%28", "a%20b"])
async def test_a_service_hears_of_every_path_and_method(
    origin: httpx.AsyncClient, method: str, name: str
) -> None:
    answer = await origin.request(method, f"/review/cases/{name}")
    assert answer.status_code == 200
    assert answer.json()["path"].startswith("/review/cases/")


async def test_a_service_that_is_down_is_said_to_be(origin: httpx.AsyncClient) -> None:
    answer = await origin.get("/notify/messages")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    home = await origin.get("/")
    assert (home.status_code, home.headers["location"]) == (303, "/reporting/board")


KINDS = {"application/json": BODY_MOST, "multipart/form-data; boundary=x": MULTIPART_MOST}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [True, False])
async def test_no_more_passes_than_a_service_takes(
    origin: httpx.AsyncClient, kind: str, told: bool
) -> None:
    most, chunk = KINDS[kind], 64 * 1024
    read = 0

    async def body(length: int) -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, length, chunk):
            read += 1
            yield bytes(min(chunk, length - start))

    for length, status in ((most, 200), (most + 1, 413)):
        said, read = {"content-length": str(length)} if told else {}, 0
        answer = await origin.post(
            "/review/x", content=body(length), headers={"content-type": kind, **said}
        )
        assert answer.status_code == status
    assert (read == 0) is told, "what says that it is too much is not read"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "too-large"


@pytest.mark.parametrize(
    ("path", "says", "heading"),
    [
        ("/notify/messages", {}, "系统暂时没有响应"),
        ("/notify/messages", {"Accept-Language": "en-GB,en;q=0.9"}, "No answer just now"),
        ("/notify/messages", {"Accept-Language": "fr,en"}, "系统暂时没有响应"),
        ("/notify/messages?lang=en", {"Cookie": "banka_language=zh-CN"}, "No answer just now"),
        ("/notify/x", {"Cookie": "banka_language=zh-CN", "Accept-Language": "en"}, "系统暂时"),
        ("/nobody", {"Cookie": "banka_language=en"}, "Not found"),
    ],
)
async def test_a_person_is_told_in_their_language_what_to_do(
    origin: httpx.AsyncClient, path: str, says: dict[str, str], heading: str
) -> None:
    answer = await origin.get(path, headers={"Accept": "text/html,*/*;q=0.8", **says})
    assert f"<h1>{heading}" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    english = heading.isascii()
    assert answer.headers["content-language"] == ("en" if english else "zh-CN")
    down = path != "/nobody"
    assert answer.headers.get("retry-after") == (str(RETRY_AFTER) if down else None)


async def test_a_person_who_sends_too_much_is_told_how_much_is_taken(
    origin: httpx.AsyncClient,
) -> None:
    answer = await origin.post(
        "/review/x",
        content=bytes(MULTIPART_MOST + 1),
        headers={"Accept": "text/html", "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413
    assert "一次最多可提交 11 MB" in answer.text


async def test_a_program_gets_a_problem_whatever_it_accepts_of_the_api(
    origin: httpx.AsyncClient,
) -> None:
    answer = await origin.get("/notify/api/v1/messages", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(RETRY_AFTER))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:banka:problem:unavailable"


async def test_the_gateways_pages_need_no_service(origin: httpx.AsyncClient) -> None:
    """Nothing of theirs is asked of one, nothing is run, and nothing is styled in place."""
    for status in gateway_pages.ANSWERS:
        for language in LANGUAGES:
            name = gateway_pages.page_name(status, language)
            text = (gateway.PAGES / name).read_text(encoding="utf-8")
            asked = re.findall(r'(?:src|href|action)="([^"]+)"', text)
            assert {one for one in asked if not one.startswith(("?lang=", "data:"))} == {
                "/gateway.css"
            }
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=", text)
    style = await origin.get("/gateway.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


def test_the_gateways_pages_have_the_colours_of_all_others() -> None:
    def light_and_dark(text: str, dark: str) -> list[dict[str, str]]:
        return [
            dict(re.findall(r"(--(?:banka|tone)-[\w-]+): *(#\w+)", part))
            for part in text.split("@media print", 1)[0].split(dark, 1)
        ]

    ours = (gateway.PAGES / gateway_pages.STYLE).read_text(encoding="utf-8")
    all_others = (static_files.FOLDER / "banka.css").read_text(encoding="utf-8")
    for mine, theirs in zip(
        light_and_dark(ours, "prefers-color-scheme: dark"),
        light_and_dark(all_others, "[data-bs-theme=dark]"),
        strict=True,
    ):
        assert mine
        assert mine == {name: theirs[name] for name in mine}


def test_both_gateways_say_the_same_and_no_more() -> None:
    """Caddy's headers, and for which statuses; what it makes of them is tried on it itself."""
    text = (gateway.PAGES.parent / "Caddyfile").read_text(encoding="utf-8")
    handled = re.search(r"handle_errors ([\d ]+) \{(.*)", text, re.DOTALL)
    assert handled is not None
    assert [int(one) for one in handled[1].split()] == list(gateway_pages.ANSWERS)
    said = gateway_pages.headers(503, gateway_pages.HTML, "en")
    for name in ("Cache-Control", "Vary", "Content-Security-Policy", "Referrer-Policy"):
        assert re.search(rf'{name} "?{re.escape(said[name])}"?\n', handled[2]), name
    assert f"header @later Retry-After {RETRY_AFTER}\n" in handled[2]


def test_both_gateways_hold_the_same_limit() -> None:
    text = (Path(gateway.__file__).parent / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    held = {
        (matcher, int(size) * 1024 * 1024)
        for matcher, size in re.findall(r"request_body (@\w+) \{\s+max_size (\d+)MiB\s+\}", text)
    }
    assert held == {("@files", MULTIPART_MOST), ("@plain", BODY_MOST)}
    assert "@files header Content-Type multipart/form-data*" in text
    assert "@plain not header Content-Type multipart/form-data*" in text


def _served_by_caddy(path: str) -> str | None:
    """Which service the deployment's gateway gives a path to, read from its file."""
    text = (Path(gateway.__file__).parent / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    site = text[text.index(":8080") :]
    named = {
        name: patterns.split()
        for name, patterns in re.findall(r"^\t(@\w+) path (.+)$", site, re.MULTILINE)
    }
    for matcher, service in re.findall(r"handle (\S+) \{\s+import to (\w+)\s+\}", site):
        for pattern in named.get(matcher, [matcher]):
            if path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1])):
                return str(service)
    return None


@pytest.mark.parametrize(
    "path",
    [
        *(f"/{service}/anything" for service in SERVICES),
        *(f"/{service}/api/v1/openapi.json" for service in SERVICES),
        *(f"/{word}" for word in ELSEWHERE if word != "static"),
        *(f"/{word}/more" for word in ELSEWHERE),
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/internal/quiet",
        "/signs",
        "/unknown/x",
    ],
)
def test_both_gateways_give_a_path_to_the_same_service(path: str) -> None:
    assert _served_by_caddy(path) == service_of(path)


def test_the_deployments_gateway_knows_every_service() -> None:
    assert {_served_by_caddy(f"/{service}/x") for service in SERVICES} == set(SERVICES)
    text = (Path(gateway.__file__).parent / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    assert f"redir / {HOME} 303" in text


def test_both_gateways_give_up_an_idle_connection_well_before_the_service_closes_it() -> None:
    """Else a request meets the closing, and one with a body comes back as 502; also where one of
    the two gets no processor for many seconds."""
    text = (Path(gateway.__file__).parent / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    kept = re.search(r"transport http \{\s+keepalive (\d+)s\s+\}", text)
    assert kept is not None
    assert max(int(kept[1]), gateway.KEEP_ALIVE) <= KEEP_ALIVE / 10
