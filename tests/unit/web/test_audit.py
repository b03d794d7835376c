"""A line of the audit log: what of it is sealed, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.intake.audit import LOG
from shared.web.audit import OFFICE, Line, Log, Place, Sealed
from shared.web.permissions import WHOLE_BANK, Permission, Reach, Viewer

NOW = datetime(2026, 10, 12, 2, 0, 0, 7, tzinfo=UTC)


def line(source: str, **details: Any) -> Line:
    place, note = Place(NOW, source, 1), details.get(LOG.sources[source].note)
    return Line(place, "change", "staff:A0101", "corrected", "a", "1", None, details, note)


@pytest.mark.parametrize(
    ("source", "details", "found"),
    [
        ("view", {"reason": "bk1"}, [Sealed("", "", None, "bk1")]),
        ("view", {"reason": None}, []),
        ("checklist", {"remark": "bk1", "why": "FORM_CHANGED"}, [Sealed("", "", None, "bk1")]),
        ("history", {"text": "bk1"}, [Sealed("", "", None, "bk1")]),
        # the reason for which a case ended is a code, and a change of the office is nobody's secret
        ("history", {"reason": "material-overdue"}, []),
        ("office", {"why": "two new colleagues"}, []),
        (
            "history",
            {
                "changed": [
                    {"role": "applicant", "field": "mobile", "old": "bk1", "new": "bk2"},
                    {"role": "applicant", "field": "email", "old": None, "new": "bk3"},
                ]
            },
            [
                Sealed("applicant", "mobile", "bk1", "bk2", had=True),
                Sealed("applicant", "email", None, "bk3"),
            ],
        ),
    ],
)
def test_words_of_people_and_values_are_what_has_to_be_opened(
    source: str, details: dict[str, Any], found: list[Sealed]
) -> None:
    assert line(source, **details).sealed == found


@pytest.mark.parametrize("number", [0, 1, 2**40, 2**63 - 1])
def test_a_place_is_found_again(number: int) -> None:
    place = Place(NOW, "paper-end", number)
    assert Place.read(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "2026-10-12T02:00:00+00:00",
        "2026-10-12T02:00:00,view,1",
        "2026-10-12T02:00:00+00:00,view,x",
        "2026-10-12T02:00:00+00:00,view,-1",
        f"2026-10-12T02:00:00+00:00,view,{2**63}",
        "2026-10-12T02:00:00+00:00,'; DROP,1",
        "2026-10-12T02:00:00+00:00,view,1,2",
        "0001-01-01T00:00:00+00:00,view,1",
        "9999-12-31T23:59:59-12:00,view,1",
    ],
)
def test_what_is_no_place_is_none(text: str) -> None:
    assert Place.read(text) is None


@pytest.mark.parametrize(
    ("grants", "seen"),
    [
        ({}, ["office"]),
        ({Permission.REVIEW_COMPLIANCE: WHOLE_BANK}, ["office", "confidential"]),
        # a branch's own is not the bank's, and the log is of the whole bank
        ({Permission.REVIEW_COMPLIANCE: Reach(frozenset({"1101"}))}, ["office"]),
        ({Permission.REVIEW_COMPLIANCE: Reach(None, "branch-terminal")}, ["office"]),
        ({Permission.AUDIT_OPEN: WHOLE_BANK}, ["office"]),
    ],
)
def test_what_needs_a_further_permission_is_seen_where_that_reaches_the_whole_bank(
    grants: Mapping[Permission, Reach], seen: list[str]
) -> None:
    confidential = replace(OFFICE, permission=Permission.REVIEW_COMPLIANCE)
    log = Log({"office": OFFICE, "confidential": confidential}, "SELECT 1")
    viewer = Viewer("A1", "Lin", frozenset(), grants, WHOLE_BANK, "en")
    assert list(log.seen_by(viewer).sources) == seen
    assert log.seen_by(viewer).applications == log.applications
