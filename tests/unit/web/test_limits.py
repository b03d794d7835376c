"""How much may come in: bytes of a request, requests of a client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from shared.parameters import load_papers
from shared.web.clients import FILE, ApiClient, ApiClients, Rate
from shared.web.limits import (
    BODY_MOST,
    MULTIPART_MOST,
    Pacer,
    Turns,
    address_of,
    most_bytes,
)
from shared.web.middleware import RequestFrame
from tests.browser.sample import CLIENT_TOKEN
from tests.unit.web.conftest import Visit

DRAFTS = "/sample/api/v1/drafts"
WHO = "/sample/api/v1/whoami"
BEARER = {"Authorization": f"Bearer {CLIENT_TOKEN}"}


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def client(name: str = "app", per_second: float = 2, burst: int = 4) -> ApiClient:
    rate = Rate(per_second=per_second, burst=burst)
    return ApiClient(name, "web", frozenset(), None, rate=rate)  # type: ignore[arg-type]


def test_a_burst_is_taken_and_then_so_many_a_second() -> None:
    clock = Clock()
    turns, one = Turns(clock), client()
    assert [turns.take(one).taken for _ in range(5)] == [True] * 4 + [False]
    clock.now += 0.49
    assert not turns.take(one).taken
    clock.now += 0.02
    assert turns.take(one).taken
    assert not turns.take(one).taken
    clock.now += 3600
    assert [turns.take(one).taken for _ in range(5)] == [True] * 4 + [False]


def test_what_one_uses_up_is_not_anothers() -> None:
    turns = Turns(Clock())
    assert [turns.take(client("one", burst=1)).taken for _ in "12"] == [True, False]
    assert turns.take(client("other", burst=1)).taken


def test_the_headers_say_what_is_left_and_when_to_come_again() -> None:
    clock = Clock()
    turns, one = Turns(clock), client(per_second=0.1, burst=2)
    first = turns.take(one).headers
    assert first == {"RateLimit-Policy": '"client";q=2;w=20', "RateLimit": '"client";r=1;t=10'}
    turns.take(one)
    clock.now += 4
    refused = turns.take(one)
    assert refused.headers["RateLimit"] == '"client";r=0;t=16'
    assert refused.headers["Retry-After"] == "6"
    clock.now += 6
    assert turns.take(one).taken, "what Retry-After says is enough"


def test_a_client_of_the_list_has_what_the_list_leaves_out(tmp_path: Path) -> None:
    plain = {"id": "web", "token": "t" * 24, "channel": "web", "permissions": []}
    said = {
        **plain,
        "id": "terminal",
        "token": "u" * 24,
        "sees": "branch",
        "must_match": True,
        "rate": {"burst": 7},
    }
    (tmp_path / FILE).write_text(json.dumps([plain, said]), encoding="utf-8")
    clients = ApiClients.load(tmp_path)
    web, terminal = clients.find("t" * 24), clients.find("u" * 24)
    assert web is not None
    assert (web.own_only, web.must_match, web.rate) == (True, False, Rate())
    assert (web.rate.per_second, web.rate.burst) == (20, 100)
    assert terminal is not None
    assert (terminal.own_only, terminal.must_match) == (False, True)
    assert terminal.rate == Rate(per_second=20, burst=7)


@pytest.mark.parametrize(
    "wrong", [{"rate": {"burst": 0}}, {"sees": "all"}, {"rate": {"a_day": 3}}, {"must_macht": True}]
)
def test_a_list_with_a_mistake_lets_nobody_in(tmp_path: Path, wrong: dict[str, object]) -> None:
    entry = {"id": "web", "token": "t" * 24, "channel": "web", "permissions": [], **wrong}
    (tmp_path / FILE).write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises(ValueError, match=next(iter(wrong))) as refused:
        ApiClients.load(tmp_path)
    assert "ttt" not in str(refused.value)


async def test_a_client_is_told_its_limit_and_people_are_not(visit: Visit) -> None:
    answer = await visit().client.get(WHO, headers=BEARER)
    assert answer.status_code == 200
    assert answer.headers["ratelimit"].startswith('"client";r=')
    for nobody in ({}, {"Authorization": "Bearer wrong"}):
        answer = await visit("A0101").client.get(WHO, headers=nobody)
        assert "ratelimit" not in answer.headers


async def test_who_calls_too_often_is_refused_before_anything_is_done() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    clients = ApiClients([(CLIENT_TOKEN, client(per_second=0.01, burst=1))])
    framed = RequestFrame(FastAPI(), service="sample", secure=False, clients=clients)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(framed), base_url="http://banka.test", headers=BEARER
    ) as web:
        assert (await web.get("/nowhere")).status_code == 404
        answer = await web.post("/nowhere", content=body())
    assert (answer.status_code, answer.json()["code"]) == (429, "too-many-requests")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "100"
    assert answer.headers["x-request-id"] == answer.json()["trace_id"]


def test_the_largest_paper_fits_with_its_form() -> None:
    assert load_papers().largest_bytes + 64 * 1024 <= MULTIPART_MOST
    assert most_bytes("multipart/form-data; boundary=x") == MULTIPART_MOST
    for other in ("application/json", "application/x-www-form-urlencoded", "text/plain", "", None):
        assert most_bytes(other) == BODY_MOST


async def _posted(app: FastAPI, chunks: list[bytes], *headers: tuple[bytes, bytes]) -> list[int]:
    """Statuses of a post whose body comes in chunks, and how many of them were asked for."""
    sent: list[int] = []
    left = list(chunks)

    async def receive() -> Message:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": DRAFTS,
        "raw_path": DRAFTS.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("banka.test", 80),
        "headers": [
            (b"host", b"banka.test"),
            (b"authorization", BEARER["Authorization"].encode()),
            *list(headers),
        ],
    }
    await app(scope, receive, send)
    return [*sent, len(chunks) - len(left)]


JSON = (b"content-type", b"application/json")
CHUNK = b" " * (256 * 1024)


async def test_a_body_is_counted_while_it_comes(app: FastAPI) -> None:
    """Nobody is believed about its length, and nothing is read beyond the limit."""
    assert await _posted(app, [CHUNK] * 40, JSON) == [413, 5]
    lie = (b"content-length", b"17")
    assert await _posted(app, [CHUNK] * 40, JSON, lie) == [413, 5]
    assert (await _posted(app, [CHUNK] * 4, JSON))[0] == 422  # as much as is taken, and no JSON


async def test_a_body_that_says_that_it_is_too_large_is_not_read(app: FastAPI) -> None:
    told = (b"content-length", str(BODY_MOST + 1).encode())
    assert await _posted(app, [CHUNK] * 40, JSON, told) == [413, 0]
    files = (b"content-type", b"multipart/form-data; boundary=x")
    told = (b"content-length", str(MULTIPART_MOST + 1).encode())
    assert await _posted(app, [CHUNK] * 40, files, told) == [413, 0]


async def test_a_page_says_in_words_that_a_file_is_too_large(visit: Visit) -> None:
    mine = visit("A0101")
    scan = {"document": ("a.pdf", b"%PDF-1.7" + bytes(MULTIPART_MOST), "application/pdf")}
    form = {"csrf_token": mine.form_token}
    for language, words in (("zh-CN", "内容过大"), ("en", "That is too large")):
        answer = await mine.client.post(
            f"/sample/upload?lang={language}",
            data=form,
            files=scan,
            headers={"accept": "text/html"},
        )
        assert answer.status_code == 413
        assert words in answer.text


def test_whoever_steps_too_often_waits_and_holds_up_nobody_else() -> None:
    now = 0.0
    pacer = Pacer(lambda: now)

    def wait(key: str) -> int:
        return pacer.wait(key, per_minute=6, burst=3)

    assert [wait("a") for _ in range(4)] == [0, 0, 0, 10]
    assert wait("b") == 0
    now = 9.0
    assert wait("a") == 1
    now = 10.0
    assert [wait("a"), wait("a")] == [0, 10]
    now = 10_000.0
    assert [wait("a") for _ in range(4)] == [0, 0, 0, 10], "no more is saved up than at first"


def test_of_many_those_used_longest_ago_are_forgotten() -> None:
    pacer = Pacer(lambda: 0.0, most_keys=2)
    order = ["a", "b", "a", "c", "a", "b"]  # c pushes out b, and b then c: a is used in between
    waits = [pacer.wait(key, per_minute=1, burst=1) for key in order]
    assert [wait > 0 for wait in waits] == [False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("host", "stands_for"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_one_customer_has_one_address(host: str, stands_for: str) -> None:
    assert address_of(host) == stands_for
