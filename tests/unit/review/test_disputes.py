"""Disputes about the credit report: their clock, who has one, what an answer changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.review import case as cases
from services.review import disputes, examination
from services.review.appeal_store import know_appeals
from services.review.case import REPORT_DISPUTED, Case, CaseError, Check
from shared.events import review
from shared.events.lifecycle import State
from shared.messaging import Call, ClearDeadline, Deadline, Fact
from shared.money import Money
from shared.parameters import load_clocks
from tests.unit.review.builders import NOW, case, officer, recommendation, referred

FIRST, SECOND, OTHER = "first", "second", "other"


def reported(subject: Case) -> Case:
    subject.checks["bureau"] = Check(
        "bureau", "r1", 1, NOW, "answered", "sealed", NOW, NOW + timedelta(days=30)
    )
    return subject


def disputed(subject: Case) -> Case:
    list(disputes.decide_open(reported(subject), "d-1", "sealed", OTHER, NOW))
    return subject


def answered(subject: Case, outcome: disputes.Outcome) -> list[Any]:
    list(disputes.decide_claim(subject, FIRST, NOW))
    return list(disputes.decide_answer(subject, FIRST, outcome, "words", NOW))


def refusal(decide: Any, *arguments: Any) -> str:
    with pytest.raises(CaseError) as refused:
        list(decide(*arguments))
    return refused.value.code


def findings(subject: Case) -> list[str]:
    return list(subject.recommendation.findings) if subject.recommendation else []


def actions(subject: Case) -> list[str]:
    return [entry.action for entry in subject.entries]


def test_a_dispute_has_a_number_and_a_clock_in_days_of_the_calendar_and_moves_nothing() -> None:
    subject = reported(case(State.DECLINED))
    opened, *deadlines = disputes.decide_open(subject, "d-1", "sealed", OTHER, NOW)
    assert isinstance(opened, Fact)
    assert isinstance(opened.data, review.DisputeOpened)
    number = subject.need_scope().application_number
    assert (opened.data.dispute_number, opened.data.days) == (f"{number}-D1", 20)
    due = disputes.due_at(NOW)
    assert due.isoformat() == "2026-11-23T15:59:59+00:00"  # the 3rd and twenty days, in Shanghai
    warned = due - timedelta(days=load_clocks().warning_days)
    assert deadlines == [
        Deadline(disputes.DISPUTE_WARNING, warned),
        Deadline(disputes.DISPUTE_DEADLINE, due),
    ]
    assert (subject.state, subject.state_version) == (State.DECLINED, 4)


def test_the_clock_runs_from_the_day_on_which_the_customer_asked() -> None:
    """However long the request lay before review read it: the deadline may be past by then."""
    subject = reported(case(State.DECLINED))
    late = NOW + timedelta(days=30)
    _opened, *deadlines = disputes.on_requested(
        subject, "d-1", "sealed", "customer", late, asked_at=NOW
    )
    assert deadlines[1] == Deadline(disputes.DISPUTE_DEADLINE, disputes.due_at(NOW))
    (one,) = subject.appeals
    assert (one.asked_at, one.due) == (NOW, disputes.due_at(NOW))
    list(disputes.on_deadline(subject, late))
    assert subject.entries[-1].action == "dispute_overdue"


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_a_report_is_disputed_while_the_application_is_open_and_once_at_a_time(
    state: State,
) -> None:
    subject = case(state)
    assert refusal(disputes.decide_open, subject, "d", "", OTHER, NOW) == "no-report"
    assert not disputes.may_open(subject)
    disputed(subject)
    assert refusal(disputes.decide_open, subject, "d", "", OTHER, NOW) == "dispute-open"
    (again,) = disputes.on_requested(subject, "d-2", "sealed", "customer", NOW)
    assert isinstance(again, Fact)
    assert isinstance(again.data, review.DisputeOpened)
    assert again.data.dispute_id == "d-1"
    assert len(subject.appeals) == 1


def test_no_machine_decides_while_it_waits_and_the_case_says_so() -> None:
    subject = disputed(case())
    subject.need_hand_over().new_to_bank = False
    found = recommendation(outcome="decline", findings=("BUREAU_ADVERSE",))
    list(cases.apply_recommendation(subject, found, NOW))
    assert (subject.state, subject.decisions) == (State.MANUAL_REVIEW, [])
    assert findings(subject) == ["BUREAU_ADVERSE", REPORT_DISPUTED]
    answered(subject, "upheld")
    assert findings(subject) == ["BUREAU_ADVERSE"]


@pytest.mark.parametrize("state", [State.CHECKING, State.ACTIVATED, State.IN_USE])
def test_a_dispute_beside_another_application_is_known_to_every_case_of_the_person(
    state: State,
) -> None:
    subject = case(state)
    know_appeals(subject, [{"application_id": "another", "outcome": None}])
    assert subject.disputed
    know_appeals(subject, [])
    assert not subject.disputed


def test_a_case_in_the_queue_carries_a_dispute_beside_another_application_while_there_is_one() -> (
    None
):
    subject = referred(findings=("NEW_TO_BANK",))
    know_appeals(subject, [{"application_id": "another", "outcome": None}])
    assert findings(subject) == ["NEW_TO_BANK", REPORT_DISPUTED]
    know_appeals(subject, [])
    assert findings(subject) == ["NEW_TO_BANK"]
    decided = case(State.DECLINED, recommendation=recommendation())
    know_appeals(decided, [{"application_id": "another", "outcome": None}])
    assert findings(decided) == ["NEW_TO_BANK"], "what was decided stays as it was"


def corrected_elsewhere(subject: Case, at: datetime) -> Case:
    """The report was put right beside other applications of the person, the last time then."""
    know_appeals(
        subject,
        [
            {"application_id": "another", "outcome": "corrected", "answered_at": when}
            for when in (at, at - timedelta(days=9))
        ],
    )
    return subject


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_what_was_put_right_beside_another_application_decides_here_no_more(outcome: str) -> None:
    """This one waited in another check with the same wrong record."""
    subject = reported(case(scoring_round=1))
    subject.need_hand_over().new_to_bank = False
    found = recommendation(outcome=outcome, findings=("BUREAU_ADVERSE",))
    corrected_elsewhere(subject, NOW + timedelta(minutes=1))
    list(cases.apply_recommendation(subject, found, NOW + timedelta(hours=1)))
    assert (subject.state, subject.decisions) == (State.MANUAL_REVIEW, [])
    assert "EVIDENCE_STALE" in cases.approval_obstacles(subject, NOW + timedelta(hours=1))
    again = examination.repeat(subject, FIRST, NOW + timedelta(hours=1))
    assert "check.bureau" in {one.kind for one in again if isinstance(one, Call)}


def test_a_case_that_is_checked_asks_anew_by_itself_and_rests_on_that_answer() -> None:
    subject = corrected_elsewhere(reported(case()), NOW + timedelta(minutes=1))
    later = NOW + timedelta(hours=1)
    (call,) = (one for one in examination.score_if_ended(subject, later) if isinstance(one, Call))
    assert call.kind == "check.bureau"
    ended = examination.end(subject, "bureau", call.payload["request_id"], later, answer="sealed")
    assert [one.kind for one in ended if isinstance(one, Call)] == ["policy"]


@pytest.mark.parametrize("later", [timedelta(0), timedelta(microseconds=1)])
def test_an_answer_to_a_question_since_the_correction_is_used(later: timedelta) -> None:
    subject = corrected_elsewhere(reported(case()), NOW)
    subject.checks["bureau"].requested_at = NOW + later
    assert not cases.lapsed(subject, NOW)


def test_what_a_decision_rested_on_stays_as_it_was_when_the_report_is_put_right() -> None:
    subject = disputed(case(State.DECLINED))
    kept = replace(subject.checks["bureau"])
    answered(subject, "corrected")
    assert subject.checks["bureau"] == kept


def test_the_same_decline_is_the_machines_when_nothing_is_disputed() -> None:
    subject = reported(case())
    subject.need_hand_over().new_to_bank = False
    found = recommendation(outcome="decline", findings=("BUREAU_ADVERSE",))
    list(cases.apply_recommendation(subject, found, NOW))
    assert subject.state is State.DECLINED


def test_who_has_it_answers_with_words() -> None:
    subject = disputed(referred())
    assert refusal(disputes.decide_answer, subject, FIRST, "upheld", "x", NOW) == "not-yours"
    list(disputes.decide_claim(subject, FIRST, NOW))
    assert refusal(disputes.decide_claim, subject, SECOND, NOW) == "claimed"
    assert refusal(disputes.decide_put_back, subject, SECOND, NOW) == "not-yours"
    assert refusal(disputes.decide_answer, subject, FIRST, "upheld", " ", NOW) == "no-opinion"
    assert refusal(disputes.decide_answer, subject, FIRST, "changed", "x", NOW) == "other-wish"
    list(disputes.decide_put_back(subject, SECOND, NOW, may_sign=True))
    fact, *cleared = answered(subject, "annotated")
    assert (fact.data.outcome, fact.data.answered_by) == ("annotated", FIRST)
    assert cleared == [
        ClearDeadline(disputes.DISPUTE_WARNING),
        ClearDeadline(disputes.DISPUTE_DEADLINE),
    ]
    assert refusal(disputes.decide_claim, subject, FIRST, NOW) == "nothing-disputed"


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_a_correction_has_the_report_asked_for_anew_in_an_open_case(state: State) -> None:
    subject = disputed(case(state))
    effects = answered(subject, "corrected")
    (call,) = (one for one in effects if isinstance(one, Call))
    assert call.kind == "check.bureau"
    assert call.payload["request_id"] != "r1"
    assert subject.checks["bureau"].outcome == "pending"
    # what was said by the old one comes too late
    assert examination.end(subject, "bureau", "r1", NOW, answer="old") == []


@pytest.mark.parametrize("outcome", ["upheld", "annotated"])
def test_another_answer_has_nothing_asked_for(outcome: disputes.Outcome) -> None:
    subject = disputed(referred())
    assert not [one for one in answered(subject, outcome) if isinstance(one, Call)]
    assert subject.checks["bureau"].outcome == "answered"


def test_after_a_correction_the_next_hand_over_uses_the_old_report_no_more() -> None:
    subject = disputed(case(State.AWAITING_MATERIAL))
    assert not [one for one in answered(subject, "corrected") if isinstance(one, Call)]
    subject.state = State.CHECKING
    asked = [one.kind for one in examination.start(subject, NOW) if isinstance(one, Call)]
    assert "check.bureau" in asked


def test_what_was_proposed_by_the_old_report_goes_back() -> None:
    subject = reported(referred())
    list(cases.decide_claim(subject, SECOND, NOW))
    list(cases.decide_propose_approval(subject, SECOND, Money.of(20_000), "sealed", NOW))
    disputed(subject)
    effects = answered(subject, "corrected")
    (returned,) = (
        one.data
        for one in effects
        if isinstance(one, Fact) and isinstance(one.data, review.ReviewSigned)
    )
    assert returned.outcome == "returned"
    assert (subject.proposal, subject.claimed_by) == (None, SECOND)


@pytest.mark.parametrize(
    ("outcome", "first_day"), [("corrected", date(2026, 11, 3)), ("upheld", None)]
)
def test_who_was_declined_may_apply_again_at_once_where_the_report_is_put_right(
    outcome: disputes.Outcome, first_day: date | None
) -> None:
    subject = disputed(case(State.DECLINED))
    fact, *_ = answered(subject, outcome)
    assert fact.data.reapply_from == first_day
    assert subject.state is State.DECLINED


def test_it_is_escalated_when_the_answer_is_near_and_when_it_is_overdue() -> None:
    subject = disputed(referred())
    (one,) = subject.appeals
    second = timedelta(seconds=1)
    near = one.due - timedelta(days=load_clocks().warning_days)
    for on, at, said in (
        (disputes.on_warning, near - second, []),
        (disputes.on_warning, near, ["dispute_near"]),
        (disputes.on_deadline, one.due - second, []),
        (disputes.on_deadline, one.due, ["dispute_overdue"]),
    ):
        subject.entries.clear()
        assert list(on(subject, at)) == []
        assert actions(subject) == said
    answered(subject, "upheld")
    subject.entries.clear()
    list(disputes.on_deadline(subject, one.due))
    assert actions(subject) == []


def test_a_dispute_is_given_to_an_officer_and_the_history_says_from_whom() -> None:
    subject = disputed(case(State.DECLINED))
    assert list(disputes.decide_reassign(subject, "signer", officer(FIRST), NOW)) == []
    list(disputes.decide_reassign(subject, "signer", officer(SECOND), NOW))
    (one,) = subject.appeals
    assert one.claimed_by == SECOND
    assert actions(subject)[-2:] == ["dispute_reassigned"] * 2
    told = subject.entries[-1].details
    assert told == {"number": one.number, "holder": FIRST, "receiver": SECOND}
    gone = officer(OTHER, active=False)
    assert refusal(disputes.decide_reassign, subject, "signer", gone, NOW) == "unknown-officer"
    list(disputes.decide_answer(subject, SECOND, "upheld", "words", NOW))
    assert (
        refusal(disputes.decide_reassign, subject, "signer", officer(FIRST), NOW)
        == "nothing-disputed"
    )
