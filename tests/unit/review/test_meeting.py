"""三亲见: where the product demands it, nobody is approved without a complete record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.review import case as cases
from services.review import examination
from services.review.case import Case, Check
from services.review.words import meeting_facts
from shared.events import review
from shared.events.intake import Meeting
from shared.events.lifecycle import State
from shared.messaging import Call, Fact
from shared.parameters import product_of
from shared.parameters.models import PreCheck
from tests.unit.review.builders import NOW, SEALED, case, hand_over, recommendation

SEEN = Meeting(
    saw_person=True,
    saw_original=True,
    saw_signing=True,
    staff_id="staff-9",
    at=NOW - timedelta(days=2),
    evidence=["d1"],
)


@pytest.fixture
def demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The office with a product that demands a meeting."""
    found = product_of("standard").model_copy(update={"pre_check": PreCheck(meeting="required")})
    monkeypatch.setattr(examination, "product_of", lambda *_: found)


def examined(meeting: Meeting | None) -> tuple[Case, Check]:
    """A case whose systems have all answered."""
    subject = case()
    subject.hand_over = hand_over(meeting=meeting, new_to_bank=False)
    examination.start(subject, NOW)
    for name in ("identity", "bureau", "watchlist"):
        key = subject.checks[name].request_id
        effects = examination.end(subject, name, key, NOW, answer=str(SEALED))
    (scoring,) = [effect for effect in effects if isinstance(effect, Call)]
    assert set(scoring.payload["answers"]) == {"check.identity", "check.bureau", "check.watchlist"}
    return subject, subject.checks["meeting"]


def decided(subject: Case, **changes: Any) -> list[str]:
    found = recommendation(**{"outcome": "approve", "findings": (), **changes})
    effects = cases.apply_recommendation(subject, found, NOW)
    return [type(effect.data).__name__ for effect in effects if isinstance(effect, Fact)]


@pytest.mark.usefixtures("demanded")
def test_a_complete_record_lets_the_policy_approve() -> None:
    subject, check = examined(SEEN)
    assert (check.outcome, check.valid_until) == ("answered", None)
    assert decided(subject) == ["ChecksCompleted", "ApplicationApproved"]


@pytest.mark.usefixtures("demanded")
@pytest.mark.parametrize(
    "meeting",
    [
        None,
        SEEN.model_copy(update={"saw_person": False}),
        SEEN.model_copy(update={"saw_original": False}),
        SEEN.model_copy(update={"saw_signing": False}),
    ],
    ids=["none", "person", "original", "signing"],
)
def test_what_was_not_seen_is_approved_neither_by_the_policy_nor_by_people(
    meeting: Meeting | None,
) -> None:
    subject, check = examined(meeting)
    assert (check.outcome, check.why, check.may_be_asked_again) == (
        "unavailable",
        "not-seen",
        False,
    )
    assert decided(subject) == ["ChecksCompleted", "ApplicationReferred"]
    assert subject.state is State.MANUAL_REVIEW
    assert cases.approval_obstacles(subject, NOW) == ["MEETING_INCOMPLETE"]


@pytest.mark.usefixtures("demanded")
def test_a_record_that_came_meanwhile_counts_with_the_next_hand_over() -> None:
    subject, _check = examined(None)
    subject.hand_over = replace(hand_over(), meeting=SEEN)
    effects = examination.start(subject, NOW + timedelta(hours=1))
    assert subject.checks["meeting"].outcome == "answered"
    ended = [
        (effect.data.check, effect.data.outcome)
        for effect in effects
        if isinstance(effect, Fact) and isinstance(effect.data, review.CheckCompleted)
    ]
    assert ended == [("meeting", "answered")]  # the systems' answers are used again


@pytest.mark.usefixtures("demanded")
def test_a_decline_needs_no_meeting() -> None:
    subject, _check = examined(None)
    declined = {"outcome": "decline", "findings": ("BUREAU_ADVERSE",), "advice": "decline"}
    assert decided(subject, **declined) == ["ChecksCompleted", "ApplicationDeclined"]


def test_a_product_that_demands_none_has_no_such_check() -> None:
    subject = case()
    examination.start(subject, NOW)
    assert "meeting" not in subject.checks


def test_what_was_seen_is_told_one_by_one() -> None:
    told = meeting_facts(SEEN.model_copy(update={"saw_signing": False}))
    assert [fact.tone for fact in told] == ["good", "good", "bad", "neutral"]
    assert meeting_facts(None) == []
