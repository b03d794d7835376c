"""Errors: a code for machines, a page for people, and nothing of what was sent."""

from __future__ import annotations

import errno
from typing import Annotated

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Form
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from shared.documents import DocumentsUnavailableError
from shared.messaging.errors import OlderDatabase
from shared.web.access import public
from shared.web.problems import FieldError, Problem, field_errors, pointer_of
from shared.web.session import Session
from tests.browser.sample import CLIENT_TOKEN
from tests.unit.web.conftest import Visit

CHANNEL = {"Authorization": f"Bearer {CLIENT_TOKEN}"}
DRAFTS = "/sample/api/v1/drafts"


def test_a_problem_in_the_words_of_the_standard() -> None:
    problem = Problem(
        409,
        "conflict",
        "The case was decided",
        "by another person",
        errors=[
            FieldError("/limit", "too-high", "at most 50000"),
            FieldError("/day", "bad", place="query"),
        ],
        extra={"state": "approved", "status": 200},
    )
    assert problem.as_json("abc") == {
        "type": "urn:banka:problem:conflict",
        "title": "The case was decided",
        "status": 409,
        "code": "conflict",
        "detail": "by another person",
        "errors": [
            {"pointer": "/limit", "code": "too-high", "detail": "at most 50000"},
            {"parameter": "day", "in": "query", "code": "bad"},
        ],
        "state": "approved",
        "trace_id": "abc",
    }


def test_a_pointer_escapes_what_a_pointer_is_made_of() -> None:
    assert pointer_of(("parties", 0, "a/b~c")) == "/parties/0/a~1b~0c"
    assert pointer_of(()) == ""


def test_words_that_could_quote_the_input_are_left_out() -> None:
    errors = field_errors(
        [
            {"loc": ("body", "name"), "type": "value_error", "msg": "no name: 王小明", "ctx": {}},
            {"loc": ("body", "age"), "type": "less_than", "msg": "Input should be less than 120"},
            {"loc": ("body", 17), "type": "json_invalid", "msg": "王小明"},
        ]
    )
    assert [(one.pointer, one.code, one.detail) for one in errors] == [
        ("/name", "value_error", None),
        ("/age", "less_than", "Input should be less than 120"),
        ("", "json_invalid", None),
    ]


async def test_every_wrong_field_is_told_and_no_value(visit: Visit) -> None:
    body = {"parties": [{"name": "王", "id_number": "44010119900101123Y"}]}
    answer = await visit().client.post(DRAFTS, json=body, headers=CHANNEL)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {one["pointer"] for one in answer.json()["errors"]} == {
        "/product",
        "/parties/0/name",
        "/parties/0/id_number",
    }
    assert "王" not in answer.text
    assert "123Y" not in answer.text
    assert answer.json()["trace_id"] == answer.headers["x-request-id"]


async def test_broken_json_is_a_problem_without_its_text(visit: Visit) -> None:
    headers = {**CHANNEL, "content-type": "application/json"}
    answer = await visit().client.post(DRAFTS, content='{"name": "王小明', headers=headers)
    assert answer.status_code == 422
    assert "王" not in answer.text


async def test_a_crash_tells_nothing_but_a_reference(visit: Visit) -> None:
    for answer in (
        await visit("A0101").get("/sample/crash"),
        await visit("A0101").client.get("/sample/crash"),
    ):
        assert answer.status_code == 500
        assert "440101" not in answer.text
        assert "secret detail" not in answer.text
        assert answer.headers["x-request-id"] in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status", "chinese", "english"),
    [
        ("/sample/operations", 403, "无权", "You may not open this"),
        ("/sample/nowhere", 404, "未找到", "Not found"),
        ("/sample/crash", 500, "出现问题", "Something went wrong"),
    ],
)
async def test_people_get_a_page_in_their_language(
    visit: Visit, path: str, status: int, chinese: str, english: str
) -> None:
    visitor = visit("A0101")
    answer = await visitor.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "text/html; charset=utf-8",
    )
    heading = answer.text.split("<h1>")[1].split("</h1>")[0]
    assert chinese in heading
    assert '<html lang="zh-CN"' in answer.text
    assert "林晓岚" in answer.text  # the frame of the page stays, so that they can go on
    assert f"<h1>{english}" in (await visitor.get(path + "?lang=en")).text


async def test_a_conflict_says_that_somebody_was_quicker(visit: Visit) -> None:
    mine = visit("A0101")
    form = {"reason": "conflict", "csrf_token": mine.form_token}
    answer = await mine.post("/sample/decide", form)
    assert answer.status_code == 409
    header = {"x-csrf-token": mine.form_token}
    answer = await mine.client.post("/sample/decide", data=form, headers=header)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_page_says_what_is_wrong_with_a_field_in_its_readers_language(
    app: FastAPI, visit: Visit
) -> None:
    @app.post("/sample/asked", dependencies=[public("for this test")])
    async def asked(reason: Annotated[str, Form()]) -> None:
        raise AssertionError(reason)

    for language, words in (("zh-CN", "缺少该项"), ("en", "is missing")):
        answer = await visit().post(f"/sample/asked?lang={language}", {})
        assert answer.status_code == 422
        assert f"<code>reason</code> {words}" in answer.text
        assert "Field required" not in answer.text


async def test_a_customer_is_not_told_of_branches_and_operations(
    app: FastAPI, visit: Visit
) -> None:
    @app.get("/progress/crash", dependencies=[public("for this test")])
    async def crash() -> None:
        raise RuntimeError("secret detail")

    lost = await visit().get("/progress/nowhere?lang=en")
    assert (lost.status_code, "a branch that you do not see" in lost.text) == (404, False)
    assert "There is nothing at this address." in lost.text
    broken = await visit().get("/progress/crash?lang=en")
    assert broken.status_code == 500
    assert "give your branch the reference below" in broken.text
    assert "operations" not in broken.text


async def test_who_hangs_up_is_no_fault_of_ours(app: FastAPI, visit: Visit) -> None:
    @app.post("/sample/slow", dependencies=[public("for this test")])
    async def slow() -> None:
        raise ClientDisconnect

    with capture_logs() as lines:
        answer = await visit().client.post("/sample/slow")
    assert answer.status_code == 499
    assert [line for line in lines if line["log_level"] == "error"] == []


async def test_nobody_gets_the_error_page_without_the_frame(visit: Visit) -> None:
    answer = await visit().get("/sample/nowhere")
    assert answer.status_code == 404
    assert 'id="sidebar"' not in answer.text


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(visit: Visit) -> None:
    answer = await visit("A0101").client.put("/sample/decide")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]


async def test_the_error_page_comes_even_without_a_database(
    app: FastAPI, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_session: Session) -> None:
        raise ConnectionError("no database")

    object.__setattr__(app.state.web, "find_staff", broken)
    answer: httpx.Response = await visit("A0101").get("/sample/components")
    assert answer.status_code == 503
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "away",
    [
        ConnectionRefusedError(111, "Connect call failed ('10.1.2.3', 5432)"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        TimeoutError(),
        OSError(errno.ENOSPC, "No space left on device"),
        DocumentsUnavailableError("put of papers: No space left on device"),
        OlderDatabase("topic banka.applications was made anew"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_away_for_a_while_is_told_so_in_one_line(
    app: FastAPI, visit: Visit, away: Exception
) -> None:
    @app.get("/sample/away", dependencies=[public("for this test")])
    @app.get("/progress/away", dependencies=[public("for this test")])
    async def needed() -> None:
        raise away

    with capture_logs() as lines:
        told = await visit().client.get("/sample/away")
        page = await visit().get("/sample/away?lang=en")
        customers = await visit().get("/progress/away")
    assert (told.status_code, told.json()["code"]) == (503, "unavailable")
    assert told.headers["retry-after"] == "10"
    assert page.status_code == customers.status_code == 503
    assert "<h1>No answer just now" in page.text
    assert "告知受理网点" in customers.text
    failed = [line for line in lines if line["event"] == "request not served"]
    assert [line["path"] for line in failed] == ["/sample/away"] * 2 + ["/progress/away"]
    assert failed[0]["error"].startswith(type(away).__name__)
    assert not [line for line in lines if "exc_info" in line]
    assert "10.1.2.3" not in told.text + page.text


@pytest.mark.parametrize(
    "ours",
    [
        asyncpg.UndefinedColumnError("column x does not exist"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        FileNotFoundError(2, "No such file or directory"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_wrong_with_us_is_no_outage(
    app: FastAPI, visit: Visit, ours: Exception
) -> None:
    @app.get("/sample/wrong", dependencies=[public("for this test")])
    async def wrong() -> None:
        raise ours

    assert (await visit().client.get("/sample/wrong")).status_code == 500
