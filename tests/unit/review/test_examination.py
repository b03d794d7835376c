"""Which checks are asked, which answers are used again, and when the policy is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.review import case as cases
from services.review import examination
from services.review.account_store import Own
from services.review.case import (
    BLOCKS_APPROVAL,
    Case,
    CaseError,
    HandOver,
    approval_obstacles,
)
from services.review.checks import ASKED, CHECKS, CheckName, bureau, identity, watchlist
from services.review.checks.subject import DOCUMENT_FIELDS
from services.review.watchlists import Lists
from services.review.workers import gather
from shared.events.lifecycle import State
from shared.events.payload import CreditConsent, PartyRole
from shared.formats import make_synthetic_resident_id
from shared.messaging import Call, Effect, Fact
from shared.parameters import InternalList, load_checks
from shared.privacy.sealing import Sealed
from tests.unit.review.builders import (
    NOW,
    SEALED,
    SIGNED,
    case,
    hand_over,
    inputs,
    recommendation,
    referred,
    shipped,
)


def calls(effects: Iterable[Effect]) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call)]


def answer_all(subject: Case, but: str = "", **answers: str | None) -> list[Effect]:
    """Every pending check ends, `but` one; None: without an answer."""
    effects: list[Effect] = []
    for name in ASKED:
        check = subject.checks[name]
        if check.outcome == "pending" and name != but:
            answer = answers.get(name, str(SEALED))
            effects += examination.end(
                subject, name, check.request_id, NOW, answer=answer, why=None if answer else "late"
            )
    return effects


def test_no_check_can_be_missing_from_an_approval() -> None:
    """What the shipped policy finds where nothing was answered is what each check says of its own
    absence, and stops an approval."""
    nothing = inputs(identity="unavailable", watchlist="unavailable", bureau=None)
    found = set(shipped().policy.evaluate(nothing).findings)
    absences = {name: kind.absence for name, kind in CHECKS.items()}
    assert len(set(absences.values())) == len(CHECKS)
    assert {absences[name] for name in ASKED} <= found
    assert set(absences.values()) <= BLOCKS_APPROVAL


def test_how_long_an_answer_serves_is_the_banks_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    told = load_checks()
    systems = told.systems.model_copy(
        update={"watchlist": told.systems.watchlist.model_copy(update={"valid_days": 3})}
    )
    changed = told.model_copy(update={"systems": systems})
    monkeypatch.setattr("services.review.checks.kind.load_checks", lambda: changed)
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    asked = calls(examination.start(subject, NOW + timedelta(days=3)))
    assert [call.kind for call in asked] == ["check.watchlist"]


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
        (CreditConsent(signed_at=NOW - timedelta(microseconds=1), purpose="信用卡审批"), True),
        (CreditConsent(signed_at=NOW, purpose="信用卡审批"), False),
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
    first, second, last = (subject.checks[name].request_id for name in ASKED)
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


def test_an_answer_that_comes_while_material_is_awaited_serves_the_next_hand_over() -> None:
    subject = referred()
    examination.start(subject, NOW)
    subject.state = State.AWAITING_MATERIAL
    bureau, registry = subject.checks["bureau"], subject.checks["identity"]
    examination.end(subject, "bureau", bureau.request_id, NOW, answer=str(SEALED))
    assert not calls(examination.end(subject, "identity", registry.request_id, NOW, why="not-open"))
    subject.state = State.CHECKING
    again = calls(examination.start(subject, NOW))
    # the watchlists' is on its way still; what was not asked for want of a case is asked now
    assert [call.kind for call in again] == ["check.identity"]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The bank's own list is another one than the answers rest on; gives its mark."""
    told = InternalList.model_validate(
        {
            "version": "2026.1",
            "digest": "d" * 64,
            "entries": [{"entry": "A", "name": "张三", "kind": "fraud", "reason": "x"}],
        }
    )
    monkeypatch.setattr(cases, "load_internal_list", lambda: told)
    return told.mark


def test_nobody_is_screened_again_while_the_list_is_the_same() -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject)
    assert examination.screen_again(subject, NOW) == []


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_who_is_open_is_screened_again_when_the_list_changes(
    state: State, request: pytest.FixtureRequest
) -> None:
    subject = case(state, recommendation=recommendation(findings=()))
    examination.start(subject, NOW)
    (scored,) = [call for call in calls(answer_all(subject)) if call.kind == "policy"]
    mark = request.getfixturevalue("changed")
    (again,) = calls(examination.screen_again(subject, NOW))
    assert again.kind == "check.watchlist"
    # what the policy says of the old answer decides nothing, and people wait as well
    assert scored.payload["scoring_round"] != subject.scoring_round
    assert approval_obstacles(subject, NOW) == ["CHECK_PENDING"]
    assert examination.screen_again(subject, NOW) == []
    asked = again.payload["request_id"]
    effects = examination.end(
        subject, "watchlist", asked, NOW, answer=str(SEALED), screened_with=mark
    )
    assert [call.kind for call in calls(effects)] == ["policy"]
    assert examination.screen_again(subject, NOW) == []
    assert approval_obstacles(subject, NOW) == []


def test_a_list_that_changes_while_an_answer_is_on_its_way_is_searched_as_well(
    changed: str,
) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject, but="watchlist")
    asked = subject.checks["watchlist"].request_id
    effects = examination.end(
        subject, "watchlist", asked, NOW, answer=str(SEALED), screened_with="of-before"
    )
    (again,) = calls(effects)
    assert again.kind == "check.watchlist"
    # without an answer there is nothing to hold against the list: a person goes on
    asked = again.payload["request_id"]
    ended = examination.end(subject, "watchlist", asked, NOW, why="unreadable-answer")
    assert [call.kind for call in calls(ended)] == ["policy"]


LISTS = Lists(1, NOW + timedelta(minutes=1))  # one of the screening system's changed just now


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_who_is_open_is_screened_again_when_a_list_of_the_screening_system_changes(
    state: State,
) -> None:
    subject = case(state, recommendation=recommendation(findings=()))
    examination.start(subject, NOW)
    (scored,) = [call for call in calls(answer_all(subject)) if call.kind == "policy"]
    subject.lists = LISTS
    assert approval_obstacles(subject, NOW) == ["EVIDENCE_STALE"]
    subject.entries.clear()
    (again,) = calls(examination.screen_again(subject, NOW))
    assert again.kind == "check.watchlist"
    # of everybody alike, and nothing but that a list changed
    assert [(one.action, one.details) for one in subject.entries][:1] == [("lists_changed", {})]
    assert scored.payload["scoring_round"] != subject.scoring_round
    assert approval_obstacles(subject, NOW) == ["CHECK_PENDING"]
    assert examination.screen_again(subject, NOW) == []
    # the business clock may stand still: what counts is that the change was known by then
    assert subject.checks["watchlist"].requested_at == NOW
    asked = again.payload["request_id"]
    effects = examination.end(subject, "watchlist", asked, NOW, answer=str(SEALED))
    assert [call.kind for call in calls(effects)] == ["policy"]
    assert examination.screen_again(subject, NOW) == []
    assert approval_obstacles(subject, NOW) == []


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_a_list_of_the_screening_system_that_changes_while_an_answer_is_on_its_way(
    state: State,
) -> None:
    subject = case(state, recommendation=recommendation(findings=()))
    examination.start(subject, NOW)
    answer_all(subject, but="watchlist")
    subject.lists = LISTS
    asked = subject.checks["watchlist"].request_id
    late = NOW + timedelta(hours=1)  # after the change: it was asked before
    (again,) = calls(examination.end(subject, "watchlist", asked, late, answer=str(SEALED)))
    assert again.kind == "check.watchlist"
    assert again.payload["request_id"] != asked
    # one that is heard of while that is on its way in turn
    subject.lists = Lists(2, late + timedelta(minutes=1))
    asked = again.payload["request_id"]
    (third,) = calls(examination.end(subject, "watchlist", asked, late, answer=str(SEALED)))
    asked = third.payload["request_id"]
    ended = calls(examination.end(subject, "watchlist", asked, late, answer=str(SEALED)))
    assert [call.kind for call in ended] == ["policy"]


@pytest.mark.parametrize("state", [State.AWAITING_MATERIAL, State.APPROVED, State.DECLINED])
def test_a_list_of_the_screening_system_moves_nobody_who_is_not_open(state: State) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    subject.state, subject.lists = state, LISTS
    assert examination.screen_again(subject, NOW) == []


def test_who_comes_back_with_material_is_screened_again_when_a_list_changed() -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    subject.lists = LISTS
    asked = calls(examination.start(subject, NOW + timedelta(days=1)))
    assert [call.kind for call in asked] == ["check.watchlist"]


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("state", [State.AWAITING_MATERIAL, State.APPROVED, State.DECLINED])
def test_who_is_not_open_is_left_alone(state: State) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    subject.state = state
    assert examination.screen_again(subject, NOW) == []


def test_who_comes_back_with_material_is_screened_with_the_list_of_now(
    request: pytest.FixtureRequest,
) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    request.getfixturevalue("changed")
    asked = calls(examination.start(subject, NOW + timedelta(days=1)))
    assert [call.kind for call in asked] == ["check.watchlist"]


def test_a_case_waits_for_a_system_that_is_away_and_nothing_is_scored() -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject, but="bureau")
    asked = subject.checks["bureau"].request_id
    keys = {asked}
    now = NOW
    for _ in range(3):
        (again,) = calls(examination.wait(subject, "bureau", asked, now, attempts=1))
        assert again.kind == "check.bureau"
        assert again.not_before is not None
        keys.add(again.key)
        now = again.not_before
    assert len(keys) == 4
    assert subject.checks["bureau"].waits_since == NOW
    assert subject.state is State.CHECKING
    effects = examination.end(subject, "bureau", asked, now, answer=str(SEALED), attempts=1)
    assert [call.kind for call in calls(effects)] == ["policy"]
    assert not subject.checks["bureau"].waits


def test_after_the_longest_wait_a_person_goes_on() -> None:
    """A Tuesday, 10:00 in Shanghai: eight working hours end on Wednesday at 10:00."""
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject, but="bureau")
    check = subject.checks["bureau"]
    examination.wait(subject, "bureau", check.request_id, NOW, attempts=6)
    until = check.waits_until
    assert until == NOW + timedelta(days=1)
    just = until - timedelta(seconds=1)
    (again,) = calls(examination.wait(subject, "bureau", check.request_id, just, attempts=1))
    assert again.not_before == until
    ended = examination.wait(subject, "bureau", check.request_id, until, attempts=1)
    assert [call.kind for call in calls(ended)] == ["policy"]
    assert (check.outcome, check.why, check.attempts) == ("unavailable", "away", 8)
    assert check.may_be_asked_again


def test_nobody_waits_for_a_case_that_was_decided() -> None:
    subject = case()
    examination.start(subject, NOW)
    check = subject.checks["bureau"]
    subject.state = State.DECLINED
    assert examination.wait(subject, "bureau", check.request_id, NOW, attempts=6) == []


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


NEW = Sealed("bk1.0193a1b2-0000-7000-8000-000000000001." + "B" * 40)
NAMED = ("chinese_name", *DOCUMENT_FIELDS)
"""What is asked about beside name and number, where the form has it."""


def corrected(subject: Case, *names: str, after: timedelta = timedelta(hours=1)) -> HandOver:
    """What intake hands over once these fields were mended: what was not keeps its seal."""
    over = subject.need_hand_over()
    fields = {**over.examined.fields, **dict.fromkeys(names, NEW)}
    parties = [over.examined.model_copy(update={"fields": fields})]
    return replace(over, parties=parties, handed_at=NOW + after)


def fully_named() -> Case:
    """A case with every field that a check asks about."""
    subject = case()
    subject.hand_over = corrected(subject, after=timedelta(0))
    fields = {**subject.hand_over.examined.fields, **dict.fromkeys(NAMED, SEALED)}
    party = subject.hand_over.examined.model_copy(update={"fields": fields})
    subject.hand_over = replace(subject.hand_over, parties=[party])
    return subject


_ALL = {"identity", "bureau", "watchlist"}


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize(
    ("name", "again"),
    [
        *((name, _ALL) for name in ("name", "id_number", *DOCUMENT_FIELDS)),
        ("chinese_name", {"watchlist"}),
        ("mobile", set()),
        ("employer", set()),
    ],
)
def test_a_corrected_field_has_whoever_was_asked_about_it_asked_anew(
    name: str, again: set[str], *, answered: bool
) -> None:
    subject = fully_named()
    examination.start(subject, NOW)
    before = dict(subject.checks)
    if answered:
        answer_all(subject)
    cases.begin_review(subject, corrected(subject, name))
    asked = calls(examination.start(subject, NOW + timedelta(hours=1)))
    assert {call.kind.removeprefix("check.") for call in asked} - {"policy"} == again
    for call in asked:
        if name in call.payload["fields"] and call.kind != "policy":
            assert call.payload["fields"][name] == str(NEW)
    for check in again:
        old = before[check]  # its answer is somebody else's by now
        ended = examination.end(subject, old.name, old.request_id, NOW, answer=str(SEALED))
        assert (ended, subject.checks[check].outcome) == ([], "pending")


def test_every_check_is_tried_with_every_field_that_it_asks_about() -> None:
    fields = {name for asked in ASKED.values() for name in (*asked.needs, *asked.also)}
    assert fields | set(DOCUMENT_FIELDS) == {"name", "id_number", *NAMED}


@pytest.mark.parametrize(
    ("asked", "fields", "again"),
    [
        (timedelta(0), (), set()),
        (timedelta(0), ("id_number",), _ALL),
        # before the hand-over that is kept: about whom, nobody knows
        (-timedelta(minutes=1), (), _ALL),
    ],
)
def test_an_answer_of_before_counts_as_about_what_was_handed_over_last(
    asked: timedelta, fields: tuple[str, ...], again: set[str]
) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    for check in subject.checks.values():
        check.about, check.requested_at = "", NOW + asked
    lapsed = {check.name for check in cases.lapsed(subject, NOW)}
    assert lapsed == (again if not fields else set())
    cases.begin_review(subject, corrected(subject, *fields))
    found = calls(examination.start(subject, NOW + timedelta(hours=1)))
    assert {call.kind.removeprefix("check.") for call in found} - {"policy"} == again


@pytest.mark.parametrize(("name", "kept"), [("id_number", False), ("mobile", True)])
def test_what_compliance_judged_was_about_who_was_named_then(name: str, *, kept: bool) -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    subject.looked_into, subject.cleared = subject.screening, ("FRAUD_RING",)
    cases.begin_review(subject, corrected(subject, name))
    assert (subject.looked_into is not None, bool(subject.cleared)) == (kept, kept)


def test_a_second_query_has_a_key_of_its_own() -> None:
    subject = case()
    first = {call.key for call in calls(examination.start(subject, NOW))}
    answer_all(subject)
    second = {call.key for call in calls(examination.start(subject, NOW + timedelta(days=40)))}
    assert first.isdisjoint(second)


def unanswered(why: str) -> Case:
    """A case in the queue: the bureau was asked and nobody heard what it said."""
    subject = referred()
    examination.start(subject, NOW)
    check = subject.checks["bureau"]
    check.calls = 3  # it waited, and the workers were sent with it again
    examination.end(subject, "bureau", check.request_id, NOW, why=why)
    answer_all(subject)
    return subject


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize(
    ("why", "same"),
    [("away", True), ("unreadable-answer", True), ("not-open", True), ("status-422", False)],
)
def test_a_query_of_which_nothing_was_heard_is_made_again_as_the_same_one(
    name: CheckName, why: str, *, same: bool
) -> None:
    """Under another key the bureau would record a second one."""
    subject = referred()
    examination.start(subject, NOW)
    before = replace(subject.checks[name])
    examination.end(subject, name, before.request_id, NOW, why=why)
    answer_all(subject)
    later = NOW + timedelta(days=3)
    (call,) = calls(examination.repeat(subject, "staff-1", later))
    check = subject.checks[name]
    same = same and name == "bureau"
    assert (call.payload["request_id"] == before.request_id) is same
    assert (check.requested_at == before.requested_at) is same
    assert call.key not in (before.request_id, f"{before.request_id}~1"), "nobody was sent with it"
    ended = examination.end(subject, name, check.request_id, later, answer=str(SEALED))
    assert [one.kind for one in calls(ended)] == ["policy"]
    # the answer may be of the first time
    since = NOW if same else later
    assert check.valid_until == since + CHECKS[name].valid


def test_each_time_that_a_query_is_made_again_its_workers_have_a_key_of_their_own() -> None:
    subject = unanswered("away")
    keys = []
    for hour in range(1, 4):
        at = NOW + timedelta(hours=hour)
        keys += [call.key for call in calls(examination.repeat(subject, "staff-1", at))]
        check = subject.checks["bureau"]
        examination.end(subject, "bureau", check.request_id, at, why="away")
    assert keys == [f"{check.request_id}~{calls_made}" for calls_made in (4, 5, 6)]


@pytest.mark.parametrize(
    ("after", "same"), [(timedelta(days=30), False), (timedelta(days=29, hours=23), True)]
)
def test_it_is_the_same_query_only_within_the_validity_of_its_answer(
    after: timedelta, *, same: bool
) -> None:
    subject = unanswered("away")
    asked = subject.checks["bureau"].request_id
    again = calls(examination.repeat(subject, "staff-1", NOW + after))
    (query,) = (call for call in again if call.kind == "check.bureau")
    assert (query.payload["request_id"] == asked) is same


@pytest.mark.parametrize("what", ["person", "consent", "correction"])
def test_another_person_consent_or_record_makes_it_another_query(what: str) -> None:
    subject = unanswered("away")
    asked, later = subject.checks["bureau"].request_id, NOW + timedelta(hours=2)
    over = corrected(subject, *(["name"] if what == "person" else []))
    if what == "consent":
        signed = CreditConsent(signed_at=NOW, purpose=examination.CREDIT_PURPOSE)
        over = replace(over, consent=signed)
    if what == "correction":
        subject.corrected_beside = NOW + timedelta(hours=1)
    cases.begin_review(subject, over)
    again = calls(examination.start(subject, later))
    (query,) = (call for call in again if call.kind == "check.bureau")
    assert query.payload["request_id"] != asked
    assert subject.checks["bureau"].requested_at == later


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


def test_a_reviewer_renews_what_lapsed_and_nothing_else() -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject)
    later = NOW + timedelta(days=7)
    with pytest.raises(CaseError):
        examination.repeat(subject, "staff-1", later - timedelta(microseconds=1))
    asked = calls(examination.repeat(subject, "staff-1", later))
    assert [call.kind for call in asked] == ["check.watchlist"]
    assert approval_obstacles(subject, later) == ["CHECK_PENDING"]


def test_who_was_screened_with_another_list_is_screened_again_by_a_reviewer(
    request: pytest.FixtureRequest,
) -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject)
    request.getfixturevalue("changed")
    assert approval_obstacles(subject, NOW) == ["EVIDENCE_STALE"]
    asked = calls(examination.repeat(subject, "staff-1", NOW))
    assert [call.kind for call in asked] == ["check.watchlist"]


def test_what_lapsed_while_another_system_was_away_is_asked_anew_before_the_policy_is() -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject, but="bureau")
    late, request_id = NOW + timedelta(days=7), subject.checks["bureau"].request_id
    (again,) = calls(examination.end(subject, "bureau", request_id, late, answer=str(SEALED)))
    assert again.kind == "check.watchlist"
    answer = examination.end(
        subject, "watchlist", again.payload["request_id"], late, answer=str(SEALED)
    )
    assert [call.kind for call in calls(answer)] == ["policy"]


def test_what_can_not_be_asked_anew_is_missing_to_the_policy() -> None:
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject, but="watchlist")
    subject.hand_over = hand_over(consent=None)
    late, request_id = NOW + timedelta(days=30), subject.checks["watchlist"].request_id
    (again,) = calls(examination.end(subject, "watchlist", request_id, late, answer=str(SEALED)))
    assert again.kind == "check.identity"
    assert subject.checks["bureau"].why == "no-consent"
    ended = examination.end(subject, "identity", again.payload["request_id"], late, why="late")
    (scoring,) = calls(ended)
    assert set(scoring.payload["answers"]) == {"check.watchlist"}


def test_at_a_reviewers_desk_nothing_is_asked_anew_by_itself() -> None:
    subject = referred()
    examination.start(subject, NOW)
    answer_all(subject, but="watchlist")
    late, request_id = NOW + timedelta(days=30), subject.checks["watchlist"].request_id
    ended = examination.end(subject, "watchlist", request_id, late, answer=str(SEALED))
    assert [call.kind for call in calls(ended)] == ["policy"]


def consents(subject: Case) -> list[tuple[str, str]]:
    """What the history says about the consent behind each query."""
    return [
        (entry.details["consent_signed_at"], entry.details["purpose"])
        for entry in subject.entries
        if entry.action == "check_requested" and entry.details["check"] == "bureau"
    ]


def test_each_query_keeps_the_consent_that_it_was_made_with() -> None:
    """Of two hand-overs the second brings a consent that was signed after the first query."""
    subject = case()
    examination.start(subject, NOW)
    answer_all(subject)
    later = NOW + timedelta(days=30)
    anew = CreditConsent(signed_at=later - timedelta(hours=1), purpose=examination.CREDIT_PURPOSE)
    subject.hand_over = hand_over(consent=anew)
    examination.start(subject, later)
    purpose = examination.CREDIT_PURPOSE
    assert consents(subject) == [
        (SIGNED.isoformat(), purpose),
        (anew.signed_at.isoformat(), purpose),
    ]
    others = [
        entry.details
        for entry in subject.entries
        if entry.action == "check_requested" and entry.details["check"] != "bureau"
    ]
    assert others
    assert not any("consent_signed_at" in details for details in others)


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
    names: list[CheckName] = list(ASKED)
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
    fields = {**party.fields, **dict.fromkeys(DOCUMENT_FIELDS, SEALED)}
    subject.hand_over = replace(over, parties=[party.model_copy(update={"fields": fields})])
    for call in calls(examination.start(subject, NOW)):
        assert set(call.payload["fields"]) == {"name", "id_number", *DOCUMENT_FIELDS}
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
    assert gather(call, {**PASSPORT, "monthly_income": "1"}, Own(0, 0), day).age == age
    number = make_synthetic_resident_id("11", date(1990, 10, 13), 1)
    assert gather(call, {"id_number": number, "id_type": "id_card"}, Own(0, 0), day).age == age
