"""A fuzzer that finds nothing proves nothing unless it would have: each fault is noticed here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.problems import MEDIA_TYPE
from tests.fuzz.hostile import CANARY, MARKS, spoilt, written
from tests.fuzz.judging import Answer, of_event, of_page, of_program
from tests.fuzz.over_files import _computed
from tests.fuzz.tally import Tally

PROBLEM = {"type": "urn:x", "title": "No", "status": 422, "code": "invalid-request", "errors": []}
ROUTE: dict[str, Any] = {
    "responses": {
        "200": {"content": {"application/json": {"schema": {"type": "integer"}}}},
        "422": {"content": {MEDIA_TYPE: {"examples": {"invalid-request": {}}}}},
    }
}
PAGE = "<h1>That could not be accepted</h1><p>Check what you entered and send it again.</p>"


def told(status: int, body: object, kind: str = "application/json", **more: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, {"content-type": kind, **more}, text.encode())


def problem(**changes: Any) -> Answer:
    return told(422, {**PROBLEM, **changes}, MEDIA_TYPE)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (told(200, 7), ""),
        (problem(), ""),
        (told(500, PROBLEM, MEDIA_TYPE), "answered 500"),
        (told(599, "ReadTimeout", "text/plain"), "answered 599"),
        (told(200, "x" * 9), "says it is JSON and is not"),
        (told(200, ["x"]), "unlike its description"),
        (told(418, PROBLEM, MEDIA_TYPE), "418 is not described"),
        (problem(code="other"), "other is not described"),
        (problem(errors=[{"code": "x"}]), "does not point"),
        (problem(title=CANARY), "repeats what was sent"),
        (problem(title="asyncpg.exceptions"), "tells of its inside"),
        (told(422, "<html>", "text/html"), "not as a problem"),
        (told(200, 7, location=f"/x?{CANARY}"), "a header repeats"),
    ],
)
def test_an_answer_to_a_program_is_judged(answer: Answer, fault: str) -> None:
    found = "; ".join(of_program(answer, ROUTE, {}))
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (told(200, PAGE, "text/html"), ""),
        (told(422, PAGE, "text/html"), ""),
        (told(422, PROBLEM, MEDIA_TYPE), "without words"),
        (told(404, "<p></p>", "text/html"), "without words"),
        (told(500, PAGE, "text/html"), "answered 500"),
        (told(200, PAGE + MARKS[0], "text/html"), "as markup"),
        (told(200, PAGE + MARKS[1].upper(), "text/html"), "as markup"),
    ],
)
def test_an_answer_to_a_browser_is_judged(answer: Answer, fault: str) -> None:
    found = "; ".join(of_page(answer))
    assert fault in found
    assert bool(fault) == bool(found)


@pytest.mark.parametrize(
    ("problems", "fault"),
    [
        ([{"code": "X", "detail": "Mend it."}], ""),
        ([], "without a reason"),
        ([{"code": "X", "detail": " "}], "without words"),
        ([{"code": "X", "detail": CANARY}], "repeats what was sent"),
    ],
)
def test_an_answer_to_a_partner_is_judged(problems: list[Any], fault: str) -> None:
    found = "; ".join(of_event("rejected", json.dumps({"problems": problems}).encode()))
    assert fault in found
    assert bool(fault) == bool(found)


def test_what_a_spreadsheet_would_compute_is_seen() -> None:
    assert _computed("csv", "a,=1+1\r\n\t=2,'=3\r\n".encode("utf-8-sig")) == ["=1+1", "\t=2"]


@given(st.data())
def test_what_was_spoilt_can_be_sent(data: st.DataObject) -> None:
    value = {"a": [{"b": "c"}, 1], "d": {"e": None}}
    assert isinstance(data.draw(spoilt(value).flatmap(written)), bytes)
    assert value == {"a": [{"b": "c"}, 1], "d": {"e": None}}


def test_findings_are_counted_and_shown() -> None:
    tally = Tally()
    tally.saw("api", "GET /x", "200")
    assert tally.report() == ""
    tally.found("api", "GET /x", ["answered 500"], "\x00")
    tally.found("api", "GET /x", ["answered 500"], "y")
    assert tally.report() == "api GET /x: answered 500 (2 times), for example '\\x00'"
    assert tally.table().row_count == 2
