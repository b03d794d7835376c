"""Which checks are asked, which answers are used again, and when the policy is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.review import examination
from services.review.case import CHECKS, Case, CaseError, CheckName
from services.review.checks import bureau, identity, watchlist
from services.review.workers import gather
from shared.events.lifecycle import State
from shared.events.payload import CreditConsent, PartyRole
from shared.formats import make_synthetic_resident_id
from shared.messaging import Call, Effect, Fact
from tests.unit.review.builders import NOW, SEALED, SIGNED, case, hand_over, referred


def calls(effects: Iterable[Effect]) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call)]


def answer_all(subject: Case, **answers: str | None) -> list[Effect]:
    """Every pending check ends; None: without an answer."""
    effects: list[Effect] = []
    for name in CHECKS:
        check = subject.checks[name]
        if check.outcome == "pending":
            answer = answers.get(name, str(SEALED))
            effects += examination.end(
                subject, name, check.request_id, NOW, answer=answer, why=None if answer else "late"
            )
    return effects


def test_every_system_is_asked_once_under_its_own_key() -> None:
    subject = case()
    asked = calls(examination.start(subject, NOW))
    assert [call.kind for call in asked] == ["check.identity", "check.bureau", "check.watchlist"]
    assert len({call.key for call in asked}) == 3
    assert all(call.key == call.payload["request_id"] for call in asked)


def test_what_is_asked_carries_sealed_fields_only() -> None:
    for call in calls(examination.start(case(), NOW)):
        assert set(call.payload["fields"]) == {"name", "id_number"}
        assert all(value == SEALED for value in call.payload["fields"].values())


@pytest.mark.parametrize(
    ("consent", "asked"),
    [
        (CreditConsent(signed_at=SIGNED, purpose="信用卡审批"), True),
        (CreditConsent(signed_at=NOW, purpose="信用卡审批"), True),
        (CreditConsent(signed_at=NOW + timedelta(microseconds=1), purpose="信用卡审批"), False),
        (CreditConsent(signed_at=SIGNED, purpose="贷后管理"), False),
        (None, False),
    ],
)
def test_bureau_is_asked_only_with_consent_signed_before_for_this_purpose(
    consent: CreditConsent | None, asked: bool
) -> None:
    subject = case()
    subject.hand_over = hand_over(consent=consent)
    kinds = [call.kind for call in calls(examination.start(subject, NOW))]
    assert ("check.bureau" in kinds) is asked
    if not asked:
        assert subject.checks["bureau"].why == "no-consent"
        assert subject.checks["bureau"].outcome == "unavailable"


def test_policy_is_asked_when_the_last_check_has_ended_and_not_before() -> None:
    subject = case()
    examination.start(subject, NOW)
    first, second, last = (subject.checks[name].request_id for name in CHECKS)
    assert not calls(examination.end(subject, "identity", first, NOW, answer=str(SEALED)))
    assert not calls(examination.end(subject, "bureau", second, NOW, why="timed-out"))
    (scoring,) = calls(examination.end(subject, "watchlist", last, NOW, answer=str(SEALED)))
    assert scoring.kind == "policy"
    # a check without an answer gives the policy none: it is not guessed
    assert set(scoring.payload["answers"]) == {"check.identity", "check.watchlist"}


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    subject = case()
    examination.start(subject, NOW)
    known = subject.checks["identity"].request_id
    assert examination.end(subject, "identity", "another", NOW, answer=str(SEALED)) == []
    examination.end(subject, "identity", known, NOW, answer=str(SEALED))
    assert examination.end(subject, "identity", known, NOW, why="late") == []
    assert subject.checks["identity"].outcome == "answered"


def test_an_answer_for_a_withdrawn_application_is_dropped() -> None:
    subject = case()
    examination.start(subject, NOW)
    subject.state = State.WITHDRAWN
    check = subject.checks["identity"]
    assert examination.end(subject, "identity", check.request_id, NOW, answer=str(SEALED)) == []
    assert check.answer is None


@pytest.mark.parametrize(
    ("later", "again"),
    [
        (timedelta(days=6), set()),
        (timedelta(days=7), {"watchlist"}),
        (timedelta(days=29, hours=23), {"watchlist"}),
        (timedelta(days=30), {"identity", "bureau", "watchlist"}),
    ],
)
def test_a_second_hand_over_uses_answers_that_are_still_valid(
    later: timedelta, again: set[str]
) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    asked = calls(examination.start(subject, NOW + later))
    assert {call.kind.removeprefix("check.") for call in asked} - {"policy"} == again
    assert ("policy" in {call.kind for call in asked}) is (not again)


def test_a_second_query_has_a_key_of_its_own() -> None:
    subject = case()
    first = {call.key for call in calls(examination.start(subject, NOW))}
    answer_all(subject)
    second = {call.key for call in calls(examination.start(subject, NOW + timedelta(days=40)))}
    assert first.isdisjoint(second)


def test_a_reviewer_asks_again_only_what_was_not_answered() -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject, bureau=None)
    asked = calls(examination.repeat(subject, "staff-1", NOW))
    assert [call.kind for call in asked] == ["check.bureau"]
    assert subject.state is State.MANUAL_REVIEW


def test_nothing_is_asked_again_that_was_answered() -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject)
    with pytest.raises(CaseError) as refused:
        examination.repeat(subject, "staff-1", NOW)
    assert refused.value.code == "nothing-to-repeat"


def test_a_party_without_a_name_is_not_asked_about() -> None:
    subject = case()
    handed = hand_over()
    nameless = handed.parties[0].model_copy(update={"fields": {"id_number": SEALED}})
    subject.hand_over = hand_over(parties=[nameless])
    effects = examination.start(subject, NOW)
    assert {check.why for check in subject.checks.values()} == {"no-data"}
    assert [call.kind for call in calls(effects)] == ["policy"]


def test_every_check_is_requested_and_completed_on_reviews_topic() -> None:
    subject = case()
    facts: list[Any] = [
        effect.data for effect in examination.start(subject, NOW) if isinstance(effect, Fact)
    ]
    facts += [effect.data for effect in answer_all(subject) if isinstance(effect, Fact)]
    requested = [fact.check for fact in facts if fact.type == "banka.check.requested.v1"]
    completed = [fact.check for fact in facts if fact.type == "banka.check.completed.v1"]
    names: list[CheckName] = list(CHECKS)
    assert requested == completed == names
    assert {fact.topic for fact in facts} == {"banka.review"}


PASSPORT = {
    "name": "Anna Müller",
    "id_type": "passport",
    "id_number": "C01X00T47",
    "nationality": "DEU",
    "birth_date": "1990-10-13",
}
CALL = {"consent_signed_at": SIGNED.isoformat(), "purpose": "信用卡审批"}


@pytest.mark.parametrize(
    ("applicant_type", "whose"),
    [("salaried", PartyRole.APPLICANT), ("supplementary", PartyRole.SUPPLEMENTARY_HOLDER)],
)
def test_the_checks_are_about_who_will_hold_the_card_whoever_is_named(
    applicant_type: str, whose: PartyRole
) -> None:
    over = hand_over(applicant_type=applicant_type)
    other = over.parties[0].model_copy(update={"role": PartyRole.SUPPLEMENTARY_HOLDER})
    assert replace(over, parties=[*over.parties, other]).examined.role is whose


def test_with_a_passport_what_its_number_does_not_tell_goes_along() -> None:
    subject, over = case(), hand_over()
    party = over.examined
    fields = {**party.fields, **dict.fromkeys(examination.DOCUMENT_FIELDS, SEALED)}
    subject.hand_over = replace(over, parties=[party.model_copy(update={"fields": fields})])
    for call in calls(examination.start(subject, NOW)):
        assert set(call.payload["fields"]) == {"name", "id_number", *examination.DOCUMENT_FIELDS}
    assert {"id_type", "birth_date"} <= set(examination.scoring(subject).payload["fields"])


def test_the_registry_of_citizens_is_asked_about_no_passport() -> None:
    assert not identity.knows(PASSPORT)
    # a number that a citizen's could be is a passport's all the same
    assert not identity.knows({**PASSPORT, "id_number": "119999198803092588"})
    assert identity.knows({"name": "测试员", "id_number": "119999198803092588"})


def test_bureau_and_watchlists_learn_whose_passport_it_is() -> None:
    asked = [bureau.question(PASSPORT, CALL), watchlist.question(PASSPORT, CALL)]
    assert asked == [{**PASSPORT, **CALL}, PASSPORT]
    card = {"name": "测试员", "id_number": "119999198803092588"}
    assert watchlist.question({**card, "id_type": "id_card", "nationality": "CHN"}, CALL) == card


@pytest.mark.parametrize(("day", "age"), [(date(2026, 10, 12), 35), (date(2026, 10, 13), 36)])
def test_the_age_is_that_of_the_day_of_birth(day: date, age: int) -> None:
    call = examination.scoring(case()).payload
    assert gather(call, {**PASSPORT, "monthly_income": "1"}, 0, 0, day).age == age
    number = make_synthetic_resident_id("11", date(1990, 10, 13), 1)
    assert gather(call, {"id_number": number, "id_type": "id_card"}, 0, 0, day).age == age
