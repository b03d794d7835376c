"""What of a parked event may be shown, and how a partner's body is edited without being seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.redrive import CannotRedrive, ParkedKey, edited
from shared.redrive.masks import masked_line, masked_payload

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "reason", "cause"),
    [
        ("gap", "number 2 of /banka/intake is missing; 3 arrived", "missing"),
        ("parked", "Permanent: stopped the process while it was applied", "killer"),
        ("parked", "stopped the process while it was applied", "killer"),
        ("parked", "Undecodable: ValidationError: number: int_parsing", "unreadable"),
        ("parked", "not-utf-8 at ce_id: send UTF-8", "unreadable"),
        ("parked", "the Kafka key is not the event's subject", "unreadable"),
        ("parked", "Permanent: cannot be noted", "impossible"),
        ("retry", "RuntimeError: no answer", "failing"),
        ("parked", "ValueError:", "unreadable"),
    ],
)
def test_the_kind_of_reason_is_known_from_the_line(state: str, reason: str, cause: str) -> None:
    key = ParkedKey(1, "g", "t", "a", "x", state, reason, 1, 1, 1, NOW, NOW, NOW, None)
    assert key.cause == cause


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Permanent: cannot be noted", "Permanent: cannot be noted"),
        ("ValueError: no 13800138000 here", "ValueError: no [mobile] here"),
        ('DataError: invalid input for "Li Lei"', 'DataError: invalid input for "…"'),
        ("KeyError: 'number'", "KeyError: 'number'"),
        ("ValueError: 张三 is unknown", "ValueError: … is unknown"),
        ("number 2 of /banka/intake is missing", "number 2 of /banka/intake is missing"),
    ],
)
def test_an_error_s_line_tells_nothing_of_a_person(line: str, shown: str) -> None:
    assert masked_line(line) == shown


def test_a_number_under_a_name_that_may_be_shown_is_masked() -> None:
    body: dict[str, Any] = {
        "id": "440101199001011234",
        "status": "张三",
        "reason": "he said so",
        "code": 13800138000,
        "张三": 1,
        "card_id": "01a214b2-640e-7828-b910-8fe3b85a13a8",
        "at": "2026-11-16T15:59:59.123456Z",
        "parties": [{"role": "applicant", "personal": "eyJ.a.b.c.d"}],
    }
    assert masked_payload(json.dumps(body).encode()) == {
        "id": "…",
        "status": "…",
        "reason": "…",
        "code": "…",
        "…": "…",
        "card_id": "01a214b2-640e-7828-b910-8fe3b85a13a8",
        "at": "2026-11-16T15:59:59.123456Z",
        "parties": [{"role": "applicant", "personal": "…"}],
    }


def test_a_body_is_edited_by_pointers() -> None:
    body = b'{"a": {"b/c": [1, 2]}, "d": 1}'
    changed = edited(body, {"/a/b~1c/0": 5, "/a/b~1c/2": 6, "/e": None}, ["/d", "/a/b~1c/1"])
    assert json.loads(changed) == {"a": {"b/c": [5, 6]}, "e": None}


@pytest.mark.parametrize(
    "pointer", ["", "a", "/a/x", "/a/3", "/b/c", "/d/e", "/a/-1", "/a/0/1", "/x/y"]
)
def test_a_pointer_that_leads_nowhere_is_refused(pointer: str) -> None:
    with pytest.raises(CannotRedrive):
        edited(b'{"a": [1], "d": 1}', {pointer: 1})
    with pytest.raises(CannotRedrive):
        edited(b'{"a": [1], "d": 1}', {}, [pointer])
    with pytest.raises(CannotRedrive):
        edited(b"{broken", {"/a": 1})
