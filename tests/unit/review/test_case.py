"""What may be decided about a case, by whom, and in which order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.review import case as cases
from services.review.case import (
    Awaited,
    Case,
    CaseError,
    Check,
    Escalation,
    Opinion,
    Recommendation,
    Snooze,
)
from services.review.checks import CheckName
from services.review.holds import Hold, HoldReason
from services.review.officers import Away, Officer
from services.review.reason_codes import REASONS
from shared.calendar import due_about
from shared.events import intake, review
from shared.events.intake import Meeting, WantedItem
from shared.events.lifecycle import MOVES, State
from shared.events.review import DeclineCategory
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_clocks
from shared.parameters.models import ReviewRules
from shared.web.permissions import Role
from tests.unit.review.builders import (
    NOW,
    PAPERS,
    case,
    hand_over,
    officer,
    paper,
    recommendation,
    referred,
)

FIRST, SECOND = "staff-1", "staff-2"


def payloads(effects: Iterable[Effect]) -> list[Any]:
    return [effect.data for effect in effects if isinstance(effect, Fact)]


def names(effects: Iterable[Effect]) -> list[str]:
    return [type(payload).__name__ for payload in payloads(effects)]


def claimed() -> Case:
    waiting = referred()
    list(cases.decide_claim(waiting, FIRST, NOW))
    return waiting


def proposed(outcome: str = "approve") -> Case:
    mine = claimed()
    if outcome == "approve":
        list(cases.decide_propose_approval(mine, FIRST, Money.of(20_000), "sealed", NOW))
    else:
        list(cases.decide_propose_decline(mine, FIRST, "BUREAU_ADVERSE", "sealed", NOW))
    return mine


# --- what the policy decides -------------------------------------------------------------------


def test_policy_approves_at_once_what_it_may_approve_alone() -> None:
    checking = case()
    checking.need_hand_over().new_to_bank = False
    found = recommendation(outcome="approve", findings=())
    completed, approved = payloads(cases.apply_recommendation(checking, found, NOW))
    assert isinstance(completed, review.ChecksCompleted)
    assert isinstance(approved, review.ApplicationApproved)
    assert (approved.automatic, approved.decided_by, approved.limit) == (
        True,
        [],
        Money.of(20_000),
    )
    assert (checking.state, checking.state_version) == (State.APPROVED, 6)
    (decision,) = checking.decisions
    assert (decision.inputs, decision.policy_digest) == (found.inputs, found.policy_digest)


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_what_the_policy_would_decide_alone_a_person_looks_at_by_chance(outcome: str) -> None:
    checking = case()
    checking.need_hand_over().new_to_bank = False
    findings = () if outcome == "approve" else ("BUREAU_ADVERSE",)
    found = recommendation(outcome=outcome, advice=outcome, findings=findings)
    assert names(cases.apply_recommendation(checking, found, NOW, sampled=True)) == [
        "ChecksCompleted",
        "ApplicationReferred",
    ]
    assert checking.recommendation is not None
    assert checking.recommendation.findings == (*findings, "SAMPLED")
    assert checking.recommendation.advice == outcome
    # and stays with the person, whatever chance says the next time
    list(cases.apply_recommendation(checking, found, NOW))
    assert checking.recommendation.findings == (*findings, "SAMPLED")


@pytest.mark.parametrize(
    ("new_to_bank", "outcome", "findings"),
    [(True, "refer", ("NEW_TO_BANK",)), (False, "refer", ("CARDS_MANY",))],
)
def test_what_goes_to_a_person_anyway_is_not_said_to_be_picked(
    new_to_bank: bool, outcome: str, findings: tuple[str, ...]
) -> None:
    for suspicion in ((), ("WATCHLIST_HIT",)):
        checking = case()
        checking.need_hand_over().new_to_bank = new_to_bank
        found = recommendation(outcome=outcome, findings=(*suspicion, *findings))
        list(cases.apply_recommendation(checking, found, NOW, sampled=True))
        assert checking.recommendation is not None
        assert checking.recommendation.findings == (*suspicion, *findings)


def test_policy_declines_with_category_and_cool_down() -> None:
    checking = case()
    checking.need_hand_over().new_to_bank = False
    found = recommendation(
        outcome="decline", advice="decline", findings=("QUERIES_EXCESSIVE", "SCORE_TOO_LOW")
    )
    declined = payloads(cases.apply_recommendation(checking, found, NOW))[-1]
    assert isinstance(declined, review.ApplicationDeclined)
    assert declined.category is DeclineCategory.CREDIT_HISTORY
    assert declined.reapply_from == date(2026, 11, 3) + timedelta(days=90)
    assert declined.reason_codes == ["CREDIT_HISTORY", "TOO_MANY_QUERIES"]


def test_an_approval_without_a_limit_goes_to_a_person() -> None:
    checking = case()
    checking.need_hand_over().new_to_bank = False
    found = recommendation(outcome="approve", findings=(), limit=Money.zero())
    assert names(cases.apply_recommendation(checking, found, NOW))[-1] == "ApplicationReferred"


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_a_machine_never_decides_about_a_new_customer_whatever_the_policy_says(
    outcome: Any,
) -> None:
    checking = case()
    found = recommendation(outcome=outcome, findings=("SCORE_TOO_LOW",))
    assert names(cases.apply_recommendation(checking, found, NOW))[-1] == "ApplicationReferred"
    assert checking.decisions == []


@pytest.mark.parametrize(
    ("missing", "findings"),
    [
        ({"documents": []}, ()),
        ({"documents": [paper("id_front")]}, ()),
        ({"parties": [hand_over().parties[0].model_copy(update={"fields": {}})]}, ()),
        ({"consent": None}, ()),
        ({}, ("ID_MISMATCH",)),
    ],
)
def test_a_machine_approves_nothing_that_people_could_not(
    missing: dict[str, Any], findings: tuple[str, ...]
) -> None:
    checking = case()
    checking.hand_over = hand_over(new_to_bank=False, **missing)
    found = recommendation(outcome="approve", findings=findings)
    assert names(cases.apply_recommendation(checking, found, NOW))[-1] == "ApplicationReferred"


def test_a_student_is_approved_with_a_guarantee_of_the_second_source_alone() -> None:
    student = referred()
    student.need_scope().applicant_type = "student"
    assert cases.approval_obstacles(student, NOW) == ["NO_SECOND_SOURCE"]
    documents = student.need_hand_over().documents
    documents.append(documents[0].model_copy(update={"item": "second_repayment_guarantee"}))
    assert cases.approval_obstacles(student, NOW) == []


@pytest.mark.parametrize(
    ("findings", "ceiling", "against"),
    [
        (("INCOME_UNKNOWN",), 0, ["INCOME_UNKNOWN"]),
        (("NO_LIMIT_LEFT",), 0, ["NO_LIMIT_LEFT"]),
        (("INCOME_UNKNOWN",), 10_000, []),  # by a policy that gives something without one
        (("BUREAU_UNAVAILABLE",), 0, ["BUREAU_UNAVAILABLE"]),
    ],
)
def test_where_no_limit_is_left_it_is_said_what_is_lacking(
    findings: tuple[str, ...], ceiling: int, against: list[str]
) -> None:
    waiting = referred(findings=findings, ceiling=Money.of(ceiling))
    assert cases.approval_obstacles(waiting, NOW) == against


def test_suspicion_holds_the_case_and_says_nothing_else() -> None:
    checking = case()
    found = recommendation(outcome="hold", findings=("WATCHLIST_HIT", "NEW_TO_BANK"))
    facts = payloads(cases.apply_recommendation(checking, found, NOW))
    assert [type(fact).__name__ for fact in facts] == ["ChecksCompleted", "ApplicationHeld"]
    assert "WATCHLIST" not in "".join(fact.model_dump_json() for fact in facts)
    assert all("WATCHLIST_HIT" not in str(entry.details) for entry in checking.entries)
    assert checking.state is State.ON_HOLD


def test_a_verdict_for_an_application_that_is_gone_changes_nothing() -> None:
    for state in (State.WITHDRAWN, State.APPROVED, State.AWAITING_MATERIAL):
        gone = case(state)
        assert list(cases.apply_recommendation(gone, recommendation(), NOW)) == []
        assert gone.state is state
        assert gone.recommendation is None


# --- claim -------------------------------------------------------------------------------------


def test_two_reviewers_never_get_the_same_case() -> None:
    mine = claimed()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_claim(mine, SECOND, NOW))
    assert refused.value.code == "claimed"
    assert mine.claimed_by == FIRST


def test_claiming_ones_own_case_again_does_nothing() -> None:
    assert list(cases.decide_claim(claimed(), FIRST, NOW)) == []


def test_a_case_put_back_can_be_claimed_by_another() -> None:
    mine = claimed()
    list(cases.decide_put_back(mine, FIRST, NOW))
    assert names(cases.decide_claim(mine, SECOND, NOW)) == ["ReviewClaimed"]


def test_whoever_may_sign_puts_a_colleagues_case_back_and_it_is_noted() -> None:
    theirs = claimed()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_put_back(theirs, SECOND, NOW))
    assert refused.value.code == "not-yours"
    list(cases.decide_put_back(theirs, SECOND, NOW, may_sign=True))
    assert theirs.claimed_by is None
    assert (theirs.entries[-1].actor, theirs.entries[-1].action) == (SECOND, "taken_back")
    assert theirs.entries[-1].details == {"holder": FIRST}
    with pytest.raises(CaseError):
        list(cases.decide_put_back(theirs, SECOND, NOW, may_sign=True))
    mine = claimed()
    list(cases.decide_put_back(mine, FIRST, NOW, may_sign=True))
    assert mine.entries[-1].action == "put_back"
    with pytest.raises(CaseError) as refused:
        list(cases.decide_put_back(proposed(), SECOND, NOW, may_sign=True))
    assert refused.value.code == "proposed"


# --- given to a colleague ----------------------------------------------------------------------


def test_a_case_goes_to_a_colleague_and_both_are_noted() -> None:
    theirs = claimed()
    (fact,) = payloads(cases.decide_reassign(theirs, "signer", officer(SECOND), NOW))
    assert (type(fact).__name__, fact.staff_id) == ("ReviewClaimed", SECOND)
    assert theirs.claimed_by == SECOND
    assert (theirs.entries[-1].actor, theirs.entries[-1].action) == ("signer", "reassigned")
    assert theirs.entries[-1].details == {"holder": FIRST, "receiver": SECOND}


def test_a_case_of_nobodys_is_given_too_and_ones_own_again_is_nothing_new() -> None:
    waiting = referred()
    assert names(cases.decide_reassign(waiting, "signer", officer(SECOND), NOW)) == [
        "ReviewClaimed"
    ]
    assert list(cases.decide_reassign(waiting, "signer", officer(SECOND), NOW)) == []


@pytest.mark.parametrize(
    "receiver",
    [
        None,
        officer(SECOND, active=False),
        officer(SECOND, Role.COMPLIANCE),
        officer(SECOND, Role.ASSISTANT, branches=["1101"]),
    ],
)
def test_nothing_is_given_to_who_may_not_claim_it(receiver: Officer | None) -> None:
    theirs = claimed()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_reassign(theirs, "signer", receiver, NOW))
    assert refused.value.code == "unknown-officer"
    assert theirs.claimed_by == FIRST


TODAY = date(2026, 11, 3)


@pytest.mark.parametrize(
    ("receiver", "code"),
    [
        (officer(SECOND, away=Away(TODAY, TODAY)), "away"),
        (officer(SECOND, away=Away(TODAY - timedelta(days=2), TODAY)), "away"),
        (officer(SECOND, away=Away(TODAY - timedelta(days=2), TODAY - timedelta(days=1))), None),
        (officer(SECOND, away=Away(TODAY + timedelta(days=1), TODAY + timedelta(days=2))), None),
        (officer(SECOND, products=frozenset({"gold"})), "other-products"),
        (officer(SECOND, products=frozenset()), "other-products"),
        (officer(SECOND, products=frozenset({"gold", "standard"})), None),
    ],
)
def test_nothing_is_given_to_who_is_away_or_takes_other_products(
    receiver: Officer, code: str | None
) -> None:
    waiting = referred()
    refused = None
    try:
        list(cases.decide_reassign(waiting, "signer", receiver, NOW))
    except CaseError as error:
        refused = error.code
    assert refused == code
    assert waiting.claimed_by == (None if code else SECOND)
    assert receiver.can_take("1101", "standard", TODAY) is (code is None)


def test_what_waits_for_its_signature_is_not_given_away() -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_reassign(proposed(), "signer", officer(SECOND), NOW))
    assert refused.value.code == "proposed"


def test_compliance_clears_no_answer_that_it_was_not_shown() -> None:
    """A list changes while compliance reads, and the case is screened again."""
    mine = claimed()
    mine.checks["watchlist"] = Check("watchlist", "asked-1", 1, NOW, outcome="answered")
    list(cases.decide_hold(mine, FIRST, HoldReason.OTHER, "sealed", NOW))
    mine.checks["watchlist"] = Check("watchlist", "asked-2", 2, NOW, outcome="answered")
    for shown in (None, "asked-1"):
        with pytest.raises(CaseError) as refused:
            list(cases.decide_release(mine, "c", "clear", "sealed", NOW, screening=shown))
        assert (refused.value.code, mine.state) == ("answer-changed", State.ON_HOLD)
    list(cases.decide_release(mine, "c", "clear", "sealed", NOW, screening="asked-2"))
    assert mine.looked_into == "asked-2"


def test_an_answer_that_is_not_weighed_yet_may_hold_the_case_again() -> None:
    mine = claimed()
    mine.checks["watchlist"] = Check("watchlist", "asked-1", 1, NOW, outcome="answered")
    list(cases.decide_hold(mine, FIRST, HoldReason.OTHER, "sealed", NOW))
    mine.scoring_round, mine.weighed_round = 2, 1
    list(cases.decide_release(mine, "c", "clear", "sealed", NOW))
    assert mine.looked_into is None


# --- escalated ---------------------------------------------------------------------------------


def escalated() -> Case:
    mine = claimed()
    list(cases.decide_escalate(mine, FIRST, "sealed", NOW))
    return mine


def test_a_case_of_ones_own_goes_to_the_risk_officers_with_a_question() -> None:
    mine = claimed()
    assert names(cases.decide_escalate(mine, FIRST, " sealed ", NOW)) == ["ReviewEscalated"]
    assert mine.escalation == Escalation(FIRST, NOW, "sealed")
    assert mine.claimed_by is None
    assert (mine.entries[-1].action, mine.entries[-1].details) == ("escalated", {"note": "sealed"})


@pytest.mark.parametrize(
    ("mine", "who", "words", "risk_officer", "code"),
    [
        (referred(), FIRST, "sealed", False, "not-yours"),
        (claimed(), SECOND, "sealed", False, "not-yours"),
        (proposed(), FIRST, "sealed", False, "proposed"),
        (claimed(), FIRST, " ", False, "no-opinion"),
        (claimed(), FIRST, "sealed", True, "is-risk-officer"),
    ],
)
def test_a_case_is_escalated_by_who_has_it_and_says_why(
    mine: Case, who: str, words: str, risk_officer: bool, code: str
) -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_escalate(mine, who, words, NOW, risk_officer=risk_officer))
    assert (refused.value.code, mine.escalation) == (code, None)


def test_an_escalated_case_is_taken_by_a_risk_officer_and_stays_with_them() -> None:
    theirs = escalated()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_claim(theirs, SECOND, NOW, risk_officer=False))
    assert (refused.value.code, theirs.claimed_by) == ("escalated", None)
    list(cases.decide_claim(theirs, "risk", NOW, risk_officer=True))
    list(cases.decide_put_back(theirs, "risk", NOW))
    assert theirs.escalation is not None
    with pytest.raises(CaseError):
        list(cases.decide_claim(theirs, SECOND, NOW, risk_officer=False))


def test_who_escalated_a_case_may_take_it_back_while_nobody_has_it() -> None:
    mine = escalated()
    list(cases.decide_claim(mine, FIRST, NOW, risk_officer=False))
    assert (mine.claimed_by, mine.escalation) == (FIRST, None)


def test_an_escalated_case_that_is_given_to_a_reviewer_is_escalated_no_more() -> None:
    theirs = escalated()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_reassign(theirs, SECOND, officer(SECOND), NOW))
    assert refused.value.code == "escalated"
    list(cases.decide_reassign(theirs, "risk", officer("other", Role.RISK_OFFICER), NOW))
    assert (theirs.claimed_by, theirs.escalation is None) == ("other", False)
    list(cases.decide_reassign(theirs, "risk", officer(SECOND), NOW))
    assert (theirs.claimed_by, theirs.escalation) == (SECOND, None)


def test_an_escalated_case_is_no_reviewers_with_all_that_somebody_has() -> None:
    theirs = escalated()
    list(cases.decide_claim(theirs, "risk", NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_reassign(theirs, "signer", officer(SECOND), NOW, named=False))
    assert refused.value.code == "escalated"
    assert (theirs.claimed_by, theirs.escalation is None) == ("risk", False)
    other = officer("other", Role.RISK_OFFICER)
    list(cases.decide_reassign(theirs, "signer", other, NOW, named=False))
    assert (theirs.claimed_by, theirs.escalation is None) == ("other", False)


def test_an_escalated_case_that_was_held_comes_back_to_the_risk_officers() -> None:
    theirs = escalated()
    list(cases.decide_claim(theirs, "risk", NOW))
    list(cases.decide_hold(theirs, "risk", HoldReason.OTHER, "sealed", NOW))
    list(cases.decide_release(theirs, "compliance", "clear", "sealed", NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_claim(theirs, SECOND, NOW, risk_officer=False))
    assert refused.value.code == "escalated"


# --- laid aside --------------------------------------------------------------------------------


def due(mine: Case) -> datetime:
    assert mine.due is not None
    return mine.due


def waits(mine: Case) -> Snooze | None:
    """Whether it is still laid aside; asked anew, because deciding changes the case."""
    return mine.snooze


def snoozed(awaited: Awaited | None = None, until: datetime | None = None) -> Case:
    mine = claimed()
    mine.due = NOW + timedelta(days=5)
    if awaited == "check":
        mine.checks["bureau"] = Check("bureau", "r1", 1, NOW)
    list(cases.decide_snooze(mine, FIRST, until, awaited, "sealed", NOW))
    return mine


def test_a_case_that_is_laid_aside_comes_back_at_its_time() -> None:
    at = NOW + timedelta(hours=3)
    mine = snoozed(until=at)
    assert mine.snooze == Snooze(at)
    assert mine.entries[-1].details == {
        "note": "sealed", "until": at.isoformat(), "awaited": None
    }  # fmt: skip
    assert list(cases.on_snooze_deadline(mine, at - timedelta(seconds=1))) == []
    assert waits(mine)
    list(cases.on_snooze_deadline(mine, at))
    assert waits(mine) is None
    assert mine.claimed_by == FIRST
    assert (mine.entries[-1].actor, mine.entries[-1].action) == ("review", "woken")


def test_what_falls_due_comes_back_whatever_was_awaited() -> None:
    for mine in (snoozed("material"), snoozed(until=NOW + timedelta(days=30))):
        laid_aside = waits(mine)
        assert laid_aside is not None
        assert laid_aside.until == due(mine)
        list(cases.on_snooze_deadline(mine, due(mine)))
        assert waits(mine) is None
        with pytest.raises(CaseError) as refused:
            list(cases.decide_snooze(mine, FIRST, None, "material", "sealed", due(mine)))
        assert refused.value.code == "overdue"


def test_only_what_was_awaited_brings_a_case_back() -> None:
    mine = snoozed("material")
    assert list(cases.on_arrived(mine, "check", NOW)) == []
    assert waits(mine)
    assert list(cases.on_arrived(mine, "material", NOW)) == [ClearDeadline("snooze")]
    assert waits(mine) is None
    assert list(cases.on_arrived(mine, "material", NOW)) == []


def test_a_case_that_waits_for_its_checks_comes_back_with_the_last_answer() -> None:
    mine = snoozed("check")
    mine.checks["identity"] = Check("identity", "r2", 1, NOW, outcome="answered")
    list(cases.on_arrived(mine, "check", NOW))
    assert waits(mine)
    mine.checks["bureau"].outcome = "unavailable"
    list(cases.on_arrived(mine, "check", NOW))
    assert waits(mine) is None


@pytest.mark.parametrize(
    ("until", "awaited", "words", "code"),
    [
        (NOW + timedelta(days=1), None, " ", "no-opinion"),
        (None, None, "sealed", "nothing-awaited"),
        (NOW, None, "sealed", "time-passed"),
        (None, "check", "sealed", "nothing-awaited"),
    ],
)
def test_nothing_is_laid_aside_without_an_end_and_a_reason(
    until: datetime | None, awaited: Awaited | None, words: str, code: str
) -> None:
    mine = claimed()
    mine.due = NOW + timedelta(days=5)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_snooze(mine, FIRST, until, awaited, words, NOW))
    assert (refused.value.code, mine.snooze) == (code, None)


def test_only_ones_own_case_is_laid_aside_or_taken_up_again() -> None:
    mine = snoozed("material")
    acts: list[Callable[[], Iterable[Effect]]] = [
        lambda: cases.decide_snooze(mine, SECOND, None, "material", "sealed", NOW),
        lambda: cases.decide_wake(mine, SECOND, NOW),
    ]
    for act in acts:
        with pytest.raises(CaseError) as refused:
            list(act())
        assert refused.value.code == "not-yours"
    assert list(cases.decide_wake(mine, FIRST, NOW)) == [ClearDeadline("snooze")]
    assert list(cases.decide_wake(mine, FIRST, NOW)) == []


def test_whatever_else_happens_to_a_case_ends_its_snooze() -> None:
    items = [WantedItem(item="income_proof", code="DOC_MISSING")]
    acts: list[Callable[[Case], Iterable[Effect]]] = [
        lambda mine: cases.decide_put_back(mine, FIRST, NOW),
        lambda mine: cases.decide_reassign(mine, "signer", officer(SECOND), NOW),
        lambda mine: cases.decide_propose_approval(mine, FIRST, Money.of(20_000), "sealed", NOW),
        lambda mine: cases.decide_want_material(mine, FIRST, items, NOW),
        lambda mine: cases.decide_hold(mine, FIRST, HoldReason.PAPERS_FORGED, "sealed", NOW),
        lambda mine: cases.answer_withdrawal(mine, "request", NOW),
    ]
    for act in acts:
        mine = snoozed("material")
        list(act(mine))
        assert waits(mine) is None


@pytest.mark.parametrize("state", [State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD])
def test_a_note_is_written_by_anybody_at_the_desk_and_changes_nothing(state: State) -> None:
    mine = case(state, claimed_by=SECOND)
    assert list(cases.decide_note(mine, FIRST, "sealed ", NOW)) == []
    (line,) = mine.entries
    assert (line.actor, line.action, line.details) == (FIRST, "noted", {"note": "sealed"})
    assert (mine.claimed_by, mine.state_version, mine.touched) == (SECOND, 4, False)


def test_a_note_says_something_and_of_a_case_that_lies_here() -> None:
    with pytest.raises(CaseError, match="Write"):
        list(cases.decide_note(case(State.MANUAL_REVIEW), FIRST, " \n", NOW))
    for state in (State.APPROVED, State.AWAITING_MATERIAL):
        with pytest.raises(CaseError, match="not with review"):
            list(cases.decide_note(case(state), FIRST, "sealed", NOW))


@pytest.mark.parametrize("state", [State.CHECKING, State.ON_HOLD, State.APPROVED, State.WITHDRAWN])
def test_only_what_lies_in_the_queue_is_claimed(state: State) -> None:
    with pytest.raises(CaseError, match="queue"):
        list(cases.decide_claim(case(state), FIRST, NOW))


# --- four eyes ---------------------------------------------------------------------------------


def test_a_decision_counts_only_with_the_second_signature() -> None:
    waiting = proposed()
    assert waiting.decisions == []
    signed, approved = payloads(cases.decide_sign(waiting, SECOND, NOW))
    assert (signed.staff_id, signed.outcome) == (SECOND, "confirmed")
    assert approved.decided_by == [FIRST, SECOND]
    assert approved.automatic is False
    assert waiting.state is State.APPROVED


def test_the_same_person_never_signs_twice() -> None:
    for outcome in ("approve", "decline"):
        waiting = proposed(outcome)
        with pytest.raises(CaseError) as refused:
            list(cases.decide_sign(waiting, FIRST, NOW))
        assert refused.value.code == "same-person"
        with pytest.raises(CaseError):
            list(cases.decide_return(waiting, FIRST, "sealed", NOW))
        assert waiting.state is State.MANUAL_REVIEW


def test_nothing_is_signed_that_nobody_proposed() -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_sign(claimed(), SECOND, NOW))
    assert refused.value.code == "nothing-proposed"


def test_a_returned_proposal_lies_with_the_first_reviewer_again() -> None:
    waiting = proposed()
    assert names(cases.decide_return(waiting, SECOND, "sealed", NOW)) == ["ReviewSigned"]
    assert (waiting.proposal, waiting.claimed_by, waiting.returned) == (None, FIRST, "sealed")
    assert names(
        cases.decide_propose_approval(waiting, FIRST, Money.of(10_000), "sealed", NOW)
    ) == ["ReviewProposed"]


def test_a_proposal_is_not_changed_behind_the_second_persons_back() -> None:
    waiting = proposed()
    items = [WantedItem(item="income_proof", code="DOC_MISSING")]
    limit = Money.of(10_000)
    acts: list[Callable[[], Iterable[Effect]]] = [
        lambda: cases.decide_propose_approval(waiting, FIRST, limit, "sealed", NOW),
        lambda: cases.decide_propose_decline(waiting, FIRST, "BUREAU_ADVERSE", "sealed", NOW),
        lambda: cases.decide_put_back(waiting, FIRST, NOW),
        lambda: cases.decide_want_material(waiting, FIRST, items, NOW),
    ]
    for act in acts:
        with pytest.raises(CaseError) as refused:
            list(act())
        assert refused.value.code == "proposed"


def test_only_who_claimed_the_case_proposes() -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(claimed(), SECOND, Money.of(10_000), "sealed", NOW))
    assert refused.value.code == "not-yours"


# --- preconditions of an approval --------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (Money.of(40_100), "limit-too-high"),
        (Money.of(2_900), "limit-not-fitting"),
        (Money.of("20000.01"), "limit-not-fitting"),
        (Money.of(20_050), "limit-not-fitting"),
        (Money.zero(), "limit-not-fitting"),
    ],
)
def test_limit_keeps_to_ceiling_smallest_and_step(limit: Money, code: str) -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(claimed(), FIRST, limit, "sealed", NOW))
    assert refused.value.code == code


def test_the_ceiling_itself_may_be_granted() -> None:
    assert names(cases.decide_propose_approval(claimed(), FIRST, Money.of(40_000), "sealed", NOW))


@pytest.mark.parametrize("code", sorted(cases.BLOCKS_APPROVAL))
def test_nobody_approves_against_a_blocking_finding(code: str) -> None:
    waiting = referred(findings=("NEW_TO_BANK", code))
    list(cases.decide_claim(waiting, FIRST, NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(waiting, FIRST, Money.of(10_000), "sealed", NOW))
    assert refused.value.code == "not-approvable"


@pytest.mark.parametrize(
    ("why", "seen", "possible"),
    [
        (cases.OTHER_DOCUMENT, {}, True),
        (cases.OTHER_DOCUMENT, {"saw_signing": False}, True),
        (cases.OTHER_DOCUMENT, {"saw_original": False}, False),
        (cases.OTHER_DOCUMENT, {"saw_person": False}, False),
        (cases.OTHER_DOCUMENT, None, False),
        ("timed-out", {}, False),  # a citizen is asked about again
    ],
)
def test_who_saw_the_original_stands_in_for_a_registry_that_does_not_hold_it(
    why: str, seen: dict[str, bool] | None, possible: bool
) -> None:
    waiting = referred(findings=("IDENTITY_UNAVAILABLE",))
    check = Check("identity", "r", 1, NOW, outcome="unavailable", why=why)
    waiting.checks["identity"] = check
    facts = {"saw_person": True, "saw_original": True, "saw_signing": True, **(seen or {})}
    meeting = Meeting(**facts, staff_id="s", at=NOW, evidence=["d1"])
    waiting.hand_over = hand_over(meeting=None if seen is None else meeting)
    assert cases.approval_obstacles(waiting, NOW) == ([] if possible else ["IDENTITY_UNAVAILABLE"])
    assert check.may_be_asked_again is (why != cases.OTHER_DOCUMENT)


@pytest.mark.parametrize(
    "missing",
    [
        {"documents": []},
        {"documents": [paper(item) for item in PAPERS if item != "work_proof"]},
        {"parties": [hand_over().parties[0].model_copy(update={"fields": {}})]},
        {"consent": None},
    ],
)
def test_nobody_approves_without_documents_fields_or_consent(missing: dict[str, Any]) -> None:
    mine = claimed()
    mine.hand_over = hand_over(**missing)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(mine, FIRST, Money.of(10_000), "sealed", NOW))
    assert refused.value.code == "not-approvable"


@pytest.mark.parametrize("note", ["", " \n"])
def test_nobody_approves_without_an_opinion_in_words(note: str) -> None:
    mine = claimed()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(mine, FIRST, Money.of(20_000), note, NOW))
    assert refused.value.code == "no-opinion"
    assert mine.proposal is None


# --- evidence that has lapsed ------------------------------------------------------------------


def answered(subject: Case, name: CheckName, *, until: datetime, by_list: str = "") -> Case:
    subject.checks[name] = Check(
        name, "r", 1, NOW, "answered", "sealed", NOW, until, screened_with=by_list
    )
    return subject


SOON = NOW + timedelta(days=1)


@pytest.mark.parametrize("name", ["identity", "bureau", "watchlist"])
def test_nobody_proposes_to_approve_by_an_answer_past_its_validity(name: CheckName) -> None:
    mine = answered(claimed(), name, until=SOON)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_approval(mine, FIRST, Money.of(20_000), "sealed", SOON))
    assert refused.value.code == "not-approvable"
    assert cases.approval_obstacles(mine, SOON) == ["EVIDENCE_STALE"]
    just = SOON - timedelta(microseconds=1)
    assert cases.approval_obstacles(mine, just) == []
    assert list(cases.decide_propose_approval(mine, FIRST, Money.of(20_000), "sealed", just))


def test_who_was_screened_with_another_list_is_not_approved() -> None:
    mine = answered(claimed(), "watchlist", until=SOON, by_list="of-before")
    assert cases.approval_obstacles(mine, NOW) == ["EVIDENCE_STALE"]


def test_an_answer_that_lapses_between_the_two_people_stops_the_signature() -> None:
    waiting = answered(proposed(), "bureau", until=SOON)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_sign(waiting, SECOND, SOON))
    assert refused.value.code == "not-approvable"
    list(cases.decide_return(waiting, SECOND, "sealed", SOON))
    assert waiting.claimed_by == FIRST
    declined = answered(proposed("decline"), "bureau", until=SOON)
    assert list(cases.decide_sign(declined, SECOND, SOON))  # by it nobody gets a card


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_a_machine_decides_nothing_by_an_answer_past_its_validity(outcome: Any) -> None:
    for until, last in ((SOON, "Application"), (NOW, "ApplicationReferred")):
        checking = answered(case(), "bureau", until=until)
        checking.hand_over = hand_over(new_to_bank=False)
        found = recommendation(outcome=outcome, findings=("SCORE_TOO_LOW",))
        (*_, told) = names(cases.apply_recommendation(checking, found, NOW))
        assert told.startswith(last)
        assert bool(checking.decisions) is (until == SOON)


def test_evidence_that_changed_since_the_proposal_stops_the_signature() -> None:
    waiting = proposed()
    renewed = recommendation(findings=("NEW_TO_BANK", "IDENTITY_UNAVAILABLE"))
    list(cases.apply_recommendation(waiting, renewed, NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_sign(waiting, SECOND, NOW))
    assert refused.value.code == "not-approvable"
    assert waiting.state is State.MANUAL_REVIEW


def test_a_lower_ceiling_since_the_proposal_stops_the_signature() -> None:
    waiting = proposed()
    list(cases.apply_recommendation(waiting, recommendation(ceiling=Money.of(15_000)), NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_sign(waiting, SECOND, NOW))
    assert refused.value.code == "limit-too-high"


# --- decline -----------------------------------------------------------------------------------


def test_every_catalogued_reason_declines_with_its_category() -> None:
    for reason in (one for one in REASONS.values() if one.effect == "decline"):
        mine = claimed()
        list(cases.decide_propose_decline(mine, FIRST, reason.code, "sealed", NOW))
        declined = payloads(cases.decide_sign(mine, SECOND, NOW))[-1]
        assert declined.category is reason.category
        assert mine.category == reason.category


@pytest.mark.parametrize("reason", ["NEW_TO_BANK", "WATCHLIST_HIT", "", "NOBODY_LIKES_IT"])
def test_a_decline_needs_a_reason_of_the_catalogue(reason: str) -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_decline(claimed(), FIRST, reason, "sealed", NOW))
    assert refused.value.code == "unknown-reason"


def test_a_decline_needs_an_opinion() -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_propose_decline(claimed(), FIRST, "BUREAU_ADVERSE", " ", NOW))
    assert refused.value.code == "no-opinion"


@pytest.mark.parametrize(
    ("reason", "days"), [("MATERIAL_MISSING", 0), ("MATERIAL_UNSOUND", 90), ("AGE_OUTSIDE", 90)]
)
def test_cool_down_is_waived_only_for_missing_material(reason: str, days: int) -> None:
    mine = claimed()
    list(cases.decide_propose_decline(mine, FIRST, reason, "sealed", NOW))
    declined = payloads(cases.decide_sign(mine, SECOND, NOW))[-1]
    assert declined.reapply_from == date(2026, 11, 3) + timedelta(days=days)


# --- material, hold ----------------------------------------------------------------------------


def test_wanted_material_sends_the_case_to_intake() -> None:
    mine = claimed()
    items = [WantedItem(item="income_proof", code="DOC_MISSING")]
    (wanted,) = payloads(cases.decide_want_material(mine, FIRST, items, NOW))
    assert (wanted.items, wanted.staff_id) == (items, FIRST)
    assert (mine.state, mine.claimed_by) == (State.AWAITING_MATERIAL, None)


def test_wanting_nothing_is_refused() -> None:
    with pytest.raises(CaseError):
        list(cases.decide_want_material(claimed(), FIRST, [], NOW))


def test_compliance_releases_a_case_without_concern_to_the_queue() -> None:
    held = case(State.ON_HOLD, recommendation=recommendation())
    assert names(cases.decide_release(held, "officer", "clear", "sealed", NOW)) == [
        "ApplicationReleased"
    ]
    assert (held.state, held.proposal, held.claimed_by) == (State.MANUAL_REVIEW, None, None)


def test_confirmed_suspicion_is_declined_as_internal_by_two_people() -> None:
    held = case(State.ON_HOLD, recommendation=recommendation(findings=("WATCHLIST_HIT",)))
    facts = payloads(cases.decide_release(held, "officer", "confirmed", "sealed", NOW))
    assert [type(fact).__name__ for fact in facts] == ["ApplicationReleased", "ReviewProposed"]
    with pytest.raises(CaseError) as refused:
        list(cases.decide_sign(held, "officer", NOW))
    assert refused.value.code == "same-person"
    declined = payloads(cases.decide_sign(held, SECOND, NOW))[-1]
    assert declined.category is DeclineCategory.INTERNAL
    assert declined.reason_codes == ["INTERNAL"]
    assert all(entry.confidential for entry in held.entries if "finding" in entry.details)


def left(one: Case) -> str | None:
    """The words that the second person left."""
    return one.returned


def test_a_decline_that_compliance_proposed_and_nobody_signed_is_compliances_again() -> None:
    held = case(State.ON_HOLD, recommendation=recommendation(findings=("WATCHLIST_HIT",)))
    list(cases.decide_release(held, "officer", "confirmed", "sealed", NOW))
    assert names(cases.decide_return(held, SECOND, "words", NOW)) == [
        "ReviewSigned",
        "ApplicationHeld",
    ]
    assert (held.state, held.proposal, held.claimed_by) == (State.ON_HOLD, None, None)
    assert left(held) == "words"
    list(cases.decide_release(held, "officer", "clear", "sealed", NOW))
    assert left(held) is None
    assert names(cases.decide_claim(held, FIRST, NOW)) == ["ReviewClaimed"]


def screened(request_id: str, outcome: Any = "answered") -> dict[str, Check]:
    return {"watchlist": Check("watchlist", request_id, 1, NOW, outcome)}


SUSPICIOUS = {"outcome": "hold", "findings": ("WATCHLIST_HIT", "NEW_TO_BANK")}


def test_a_suspicion_that_comes_up_takes_the_case_from_the_reviewers_desk() -> None:
    mine = claimed()
    found = recommendation(**SUSPICIOUS)
    assert names(cases.apply_recommendation(mine, found, NOW)) == ["ApplicationHeld"]
    assert (mine.state, mine.claimed_by, mine.held_at) == (State.ON_HOLD, None, NOW)


@pytest.mark.parametrize("finding", ["clear", "confirmed"])
def test_what_compliance_has_looked_into_holds_no_second_time(finding: Any) -> None:
    held = case(State.ON_HOLD, recommendation=recommendation(), checks=screened("w:1"))
    list(cases.decide_release(held, "officer", finding, "sealed", NOW))
    proposal = held.proposal
    assert names(cases.apply_recommendation(held, recommendation(**SUSPICIOUS), NOW)) == []
    assert (held.state, held.proposal) == (State.MANUAL_REVIEW, proposal)
    held.checks = screened("w:2")
    assert names(cases.apply_recommendation(held, recommendation(**SUSPICIOUS), NOW)) == [
        "ApplicationHeld"
    ]


def test_a_judged_suspicion_of_a_case_that_came_back_with_material_goes_to_a_person() -> None:
    again = case(looked_into="w:1", checks=screened("w:1"))
    found = recommendation(**SUSPICIOUS)
    assert names(cases.apply_recommendation(again, found, NOW)) == [
        "ChecksCompleted",
        "ApplicationReferred",
    ]


def test_an_answer_that_was_still_to_come_is_not_judged_by_a_release() -> None:
    held = case(State.ON_HOLD, recommendation=recommendation(), checks=screened("w:1", "pending"))
    list(cases.decide_release(held, "officer", "clear", "sealed", NOW))
    held.checks["watchlist"].outcome = "answered"
    assert names(cases.apply_recommendation(held, recommendation(**SUSPICIOUS), NOW)) == [
        "ApplicationHeld"
    ]


def test_evidence_about_a_held_case_is_kept_for_whoever_decides_it_in_the_end() -> None:
    imported = case(State.ON_HOLD)
    assert names(cases.apply_recommendation(imported, recommendation(), NOW)) == []
    assert imported.state is State.ON_HOLD
    list(cases.decide_release(imported, "officer", "clear", "sealed", NOW))
    list(cases.decide_claim(imported, FIRST, NOW))
    list(cases.decide_propose_approval(imported, FIRST, Money.of(20_000), "sealed", NOW))
    assert names(cases.decide_sign(imported, SECOND, NOW)) == [
        "ReviewSigned",
        "ApplicationApproved",
    ]


def test_a_reviewers_suspicion_is_confidential() -> None:
    mine = claimed()
    assert names(cases.decide_hold(mine, FIRST, HoldReason.PAPERS_FORGED, "sealed", NOW)) == [
        "ApplicationHeld"
    ]
    (suspicion,) = (entry for entry in mine.entries if entry.action == "suspected")
    assert suspicion.confidential
    assert mine.claimed_by is None


# --- holds -------------------------------------------------------------------------------------

HELD_FOR = HoldReason.IDENTITY_MISUSED


def on_hold_by(staff_id: str) -> Case:
    mine = case(State.MANUAL_REVIEW, claimed_by=staff_id, recommendation=recommendation())
    list(cases.decide_hold(mine, staff_id, HELD_FOR, "sealed", NOW))
    return mine


def test_a_hold_has_a_reason_of_the_catalogue_and_a_clock_of_its_own() -> None:
    mine = claimed()
    effects = list(cases.decide_hold(mine, FIRST, HELD_FOR, "sealed", NOW))
    due = due_about(NOW, load_clocks().hold_working_days)
    assert mine.hold == Hold(HELD_FOR, FIRST, NOW, due)
    assert [one for one in effects if isinstance(one, Deadline)] == [Deadline("hold", due)]


@pytest.mark.parametrize("reason", [HoldReason.WATCHLIST, HoldReason.FRAUD_RULE])
def test_what_review_finds_by_itself_is_no_reason_of_an_officers(reason: HoldReason) -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_hold(claimed(), FIRST, reason, "sealed", NOW))
    assert refused.value.code == "unknown-reason"


def test_nothing_is_decided_about_a_held_case() -> None:
    held = on_hold_by(FIRST)
    acts: list[Callable[[], Iterable[Effect]]] = [
        lambda: cases.decide_claim(held, SECOND, NOW),
        lambda: cases.decide_propose_approval(held, FIRST, Money.of(20_000), "sealed", NOW),
        lambda: cases.decide_propose_decline(held, FIRST, "INTERNAL_RISK", "words", NOW),
        lambda: cases.decide_sign(held, SECOND, NOW),
        lambda: cases.decide_want_material(
            held, FIRST, [WantedItem(item="income_proof", code="DOC_MISSING")], NOW
        ),
    ]
    for act in acts:
        with pytest.raises(CaseError) as refused:
            list(act())
        assert refused.value.code == "not-in-queue"
    assert list(cases.apply_recommendation(held, recommendation(), NOW)) == []
    assert (held.state, held.decisions) == (State.ON_HOLD, [])


@pytest.mark.parametrize("finding", ["clear", "confirmed"])
def test_whoever_held_a_case_neither_releases_nor_declines_it(finding: Any) -> None:
    held = on_hold_by(FIRST)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_release(held, FIRST, finding, "sealed", NOW))
    assert refused.value.code == "same-person"
    effects = list(cases.decide_release(held, "officer", finding, "sealed", NOW))
    assert ClearDeadline("hold") in effects
    if finding == "confirmed":
        with pytest.raises(CaseError) as refused:
            list(cases.decide_sign(held, FIRST, NOW))
        assert refused.value.code == "same-person"
        assert payloads(cases.decide_sign(held, SECOND, NOW))[-1].reason_codes == ["INTERNAL"]


def test_a_hold_that_lasts_too_long_stands_in_the_history_for_compliance() -> None:
    held = on_hold_by(FIRST)
    assert held.hold is not None
    list(cases.on_hold_deadline(held, held.hold.due - timedelta(seconds=1)))
    assert "hold_overdue" not in [entry.action for entry in held.entries]
    list(cases.on_hold_deadline(held, held.hold.due))
    assert (held.entries[-1].action, held.entries[-1].confidential) == ("hold_overdue", True)
    list(cases.decide_release(held, "officer", "clear", "sealed", NOW))
    list(cases.on_hold_deadline(held, held.hold.due))
    assert [entry.action for entry in held.entries].count("hold_overdue") == 1


FRAUD = {"outcome": "hold", "findings": ("FRAUD_SUSPECTED", "FRAUD_MOBILE")}


def test_a_fraud_rule_of_the_policy_holds_a_case_once() -> None:
    mine = case()
    assert names(cases.apply_recommendation(mine, recommendation(**FRAUD), NOW)) == [
        "ChecksCompleted",
        "ApplicationHeld",
    ]
    assert mine.hold is not None
    assert (mine.hold.reason, mine.hold.by) == (HoldReason.FRAUD_RULE, "review")
    list(cases.decide_release(mine, "officer", "clear", "sealed", NOW))
    assert names(cases.apply_recommendation(mine, recommendation(**FRAUD), NOW)) == []
    # a watchlist's hit is something else
    both = recommendation(outcome="hold", findings=("WATCHLIST_HIT", "FRAUD_SUSPECTED"))
    assert names(cases.apply_recommendation(mine, both, NOW)) == ["ApplicationHeld"]
    assert mine.hold.reason is HoldReason.WATCHLIST


# --- withdrawal --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", [State.CHECKING, State.SCORING, State.MANUAL_REVIEW, State.ON_HOLD]
)
def test_withdrawal_is_granted_while_review_holds_the_application(state: State) -> None:
    held = case(state)
    assert names(cases.answer_withdrawal(held, "r1", NOW)) == ["WithdrawalGranted"]
    assert (held.state, held.state_version) == (State.WITHDRAWN, 5)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.APPROVED, "already-decided"),
        (State.CARD_PRODUCING, "already-decided"),
        (State.DECLINED, "already-decided"),
        (State.WITHDRAWN, "already-ended"),
        (State.EXPIRED, "already-ended"),
        (State.IN_USE, "already-ended"),
        (State.AWAITING_MATERIAL, "with-intake"),
        (State.PRE_CHECK, "with-intake"),
    ],
)
def test_withdrawal_is_refused_with_the_reason_after_review_gave_it_away(
    state: State, reason: str
) -> None:
    gone = case(state)
    (refused,) = payloads(cases.answer_withdrawal(gone, "r1", NOW))
    assert (refused.reason, refused.request_id) == (reason, "r1")
    assert (gone.state, gone.state_version) == (state, 4)


def acts_on(subject: Case, verdict: Recommendation) -> list[Callable[[], Iterable[Effect]]]:
    """Everything that may happen to a case, the customer's withdrawal first."""
    return [
        lambda: cases.answer_withdrawal(subject, "r1", NOW),
        lambda: cases.apply_recommendation(subject, verdict, NOW),
        lambda: cases.decide_claim(subject, FIRST, NOW),
        lambda: cases.decide_propose_approval(subject, FIRST, Money.of(10_000), "sealed", NOW),
        lambda: cases.decide_propose_decline(subject, FIRST, "AGE_OUTSIDE", "sealed", NOW),
        lambda: cases.decide_sign(subject, SECOND, NOW),
        lambda: cases.decide_release(subject, "officer", "clear", "sealed", NOW),
    ]


def test_withdrawal_and_decision_in_any_order_end_in_one_state() -> None:
    """Reviewers, the policy, compliance and the customer act in random order; whatever happens,
    transitions are counted without a gap and exactly one of them ends the case."""
    ends = set()
    for seed in range(1000):
        chance = random.Random(seed)
        subject = case()
        verdicts = [
            recommendation(),
            recommendation(outcome="approve", findings=()),
            recommendation(outcome="decline", findings=("BUREAU_ADVERSE",)),
            recommendation(outcome="hold", findings=("WATCHLIST_HIT",)),
        ]
        verdict = chance.choice(verdicts)
        acts = acts_on(subject, verdict)
        # everybody tries a few times, in an order of their own
        order = acts[1:] * 3 + acts[:1]
        if chance.random() < 0.5:
            order = acts[1:] + acts[:1] + acts[1:] * 2
        else:
            chance.shuffle(order)
        moved: list[tuple[type, int]] = []
        for act in order:
            try:
                effects = list(act())
            except CaseError:
                continue
            moved += [
                (type(effect.data), effect.state_version or 0)
                for effect in effects
                if isinstance(effect, Fact) and type(effect.data) in MOVES
            ]
        assert [version for _, version in moved] == list(range(5, 5 + len(moved)))
        endings = [
            kind
            for kind, _ in moved
            if kind
            in (review.WithdrawalGranted, review.ApplicationApproved, review.ApplicationDeclined)
        ]
        assert len(endings) <= 1
        assert subject.state_version == 4 + len(moved)
        assert len(subject.decisions) == (
            1 if subject.state in (State.APPROVED, State.DECLINED) else 0
        )
        ends.add(subject.state)
    assert {State.WITHDRAWN, State.APPROVED, State.DECLINED} <= ends


# --- following other services ------------------------------------------------------------------


def test_an_illegal_transition_of_another_service_is_permanent() -> None:
    with pytest.raises(Permanent):
        cases.follow(case(State.DECLINED), intake.CardOrdered, 5, NOW)


def test_a_gap_in_the_count_of_transitions_is_permanent() -> None:
    with pytest.raises(Permanent, match="transition 7"):
        cases.follow(case(State.APPROVED), intake.CardOrdered, 7, NOW)


def test_an_ended_application_leaves_the_desk() -> None:
    mine = proposed()
    list(cases.decide_sign(mine, SECOND, NOW))
    cases.follow(mine, intake.ApplicationWithdrawn, mine.state_version + 1, NOW)
    assert mine.state is State.WITHDRAWN
    assert (mine.claimed_by, mine.proposal, mine.queued_at) == (None, None, None)


def test_review_never_moves_what_is_not_its_own() -> None:
    for state in (State.PRE_CHECK, State.APPROVED, State.WITHDRAWN, None):
        foreign = replace(case(), state=state)
        with pytest.raises(Permanent):
            cases.move(foreign, review.WithdrawalGranted(**foreign.fields(), request_id="r"))


# --- how two people decide, by the product -------------------------------------------------------

AGREES = Opinion(Money.of(20_000), "", "sealed")
DISAGREES = Opinion(None, "BUREAU_ADVERSE", "sealed")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    rules(monkeypatch, blind=True, risk_officer_above=Money.of(50_000))


def rules(monkeypatch: pytest.MonkeyPatch, **stated: Any) -> None:
    """As if the product said this of the review."""
    said = ReviewRules(**stated)
    monkeypatch.setattr(Case, "review_rules", property(lambda _case: said))


@pytest.mark.parametrize(("above", "peer"), [(19_999, False), (20_000, True), (20_001, True)])
def test_up_to_the_products_limit_any_other_reviewer_signs(
    monkeypatch: pytest.MonkeyPatch, above: int, peer: bool
) -> None:
    rules(monkeypatch, risk_officer_above=Money.of(above))
    waiting = proposed()  # of 20,000
    if not peer:
        with pytest.raises(CaseError) as refused:
            list(cases.decide_sign(waiting, SECOND, NOW, risk_officer=False))
        assert refused.value.code == "risk-officer-needed"
        with pytest.raises(CaseError):
            list(cases.decide_return(waiting, SECOND, "sealed", NOW, risk_officer=False))
        assert waiting.state is State.MANUAL_REVIEW
    list(cases.decide_sign(waiting, SECOND, NOW, risk_officer=not peer))
    assert waiting.state is State.APPROVED


def test_a_decline_and_what_no_product_says_is_a_risk_officers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not cases.peer_may_sign(proposed())
    rules(monkeypatch, risk_officer_above=Money.of(50_000))
    assert cases.peer_may_sign(proposed())
    assert not cases.peer_may_sign(proposed("decline"))
    rules(monkeypatch, risk_officer_above=Money.of(50_000), blind=True)
    assert not cases.peer_may_sign(proposed())


@pytest.mark.usefixtures("blind")
def test_a_blind_opinion_comes_before_any_signature() -> None:
    waiting = proposed()
    acts: list[Callable[[], Iterable[Effect]]] = [
        lambda: cases.decide_sign(waiting, SECOND, NOW),
        lambda: cases.decide_return(waiting, SECOND, "sealed", NOW),
    ]
    for act in acts:
        with pytest.raises(CaseError) as refused:
            list(act())
        assert refused.value.code == "opinion-first"
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(waiting, FIRST, AGREES, NOW))
    assert refused.value.code == "same-person"
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(waiting, SECOND, AGREES, NOW, risk_officer=False))
    assert refused.value.code == "risk-officer-needed"


def escalated_and_proposed() -> Case:
    """Two risk officers had it, one after the other; then its reviewer proposes."""
    theirs = escalated()
    list(cases.decide_claim(theirs, "risk", NOW))
    other = officer("other", Role.RISK_OFFICER)
    list(cases.decide_reassign(theirs, "risk", other, NOW))
    list(cases.decide_reassign(theirs, "other", officer(FIRST), NOW))
    list(cases.decide_propose_approval(theirs, FIRST, Money.of(20_000), "sealed", NOW))
    return theirs


@pytest.mark.usefixtures("blind")
def test_whoever_read_why_it_was_escalated_gives_no_blind_opinion() -> None:
    for reader in ("risk", "other"):
        waiting = escalated_and_proposed()
        with pytest.raises(CaseError) as refused:
            list(cases.decide_opinion(waiting, reader, AGREES, NOW))
        assert (refused.value.code, waiting.state) == ("has-read", State.MANUAL_REVIEW)
    waiting = escalated_and_proposed()
    list(cases.decide_opinion(waiting, SECOND, AGREES, NOW))
    assert waiting.state is State.APPROVED


def test_where_no_opinion_is_blind_whoever_read_why_it_was_escalated_signs() -> None:
    waiting = escalated_and_proposed()
    list(cases.decide_sign(waiting, "risk", NOW))
    assert waiting.state is State.APPROVED


def test_who_reads_an_escalated_case_is_written_down() -> None:
    theirs = escalated()
    theirs.touched = False
    list(cases.decide_claim(theirs, "risk", NOW))
    assert (theirs.touched, theirs.has_read) == (True, (("risk", FIRST),))


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    ("second", "granted"), [(10_000, 10_000), (20_000, 20_000), (30_000, 20_000)]
)
def test_of_two_approvals_the_lower_limit_is_granted(second: int, granted: int) -> None:
    waiting = proposed()
    opinion = Opinion(Money.of(second), "", "sealed")
    signed, approved = payloads(cases.decide_opinion(waiting, SECOND, opinion, NOW))
    assert (signed.outcome, approved.decided_by) == ("confirmed", [FIRST, SECOND])
    assert (waiting.state, waiting.limit) == (State.APPROVED, Money.of(granted))


@pytest.mark.usefixtures("blind")
def test_two_declines_are_one_for_the_first_persons_reason() -> None:
    waiting = proposed("decline")
    opinion = Opinion(None, "MATERIAL_UNSOUND", "sealed")
    _, declined = payloads(cases.decide_opinion(waiting, SECOND, opinion, NOW))
    assert declined.category is DeclineCategory.CREDIT_HISTORY
    assert waiting.state is State.DECLINED


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(("first", "second"), [("approve", DISAGREES), ("decline", AGREES)])
def test_opinions_that_differ_go_back_to_the_first_person(first: str, second: Opinion) -> None:
    waiting = proposed(first)
    (returned,) = payloads(cases.decide_opinion(waiting, SECOND, second, NOW))
    assert (returned.staff_id, returned.outcome) == (SECOND, "returned")
    assert (waiting.state, waiting.claimed_by) == (State.MANUAL_REVIEW, FIRST)
    assert (waiting.proposal, waiting.returned, waiting.decisions) == (None, "sealed", [])
    assert [entry.action for entry in waiting.entries[-2:]] == ["opinion", "returned"]
    assert waiting.entries[-2].details["outcome"] == second.outcome


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    ("opinion", "code"),
    [
        (Opinion(Money.of(20_000), "", " "), "no-opinion"),
        (Opinion(Money.of(90_000), "", "sealed"), "limit-too-high"),
        (Opinion(Money.of(1), "", "sealed"), "limit-not-fitting"),
        (Opinion(None, "", "sealed"), "unknown-reason"),
    ],
)
def test_a_blind_opinion_is_a_whole_one(opinion: Opinion, code: str) -> None:
    waiting = proposed()
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(waiting, SECOND, opinion, NOW))
    assert refused.value.code == code
    assert waiting.proposal is not None


@pytest.mark.usefixtures("blind")
def test_a_blind_case_goes_back_unseen_where_an_answer_lapsed_and_else_never() -> None:
    waiting = answered(proposed(), "bureau", until=SOON)
    with pytest.raises(CaseError) as refused:
        list(cases.decide_return(waiting, SECOND, "sealed", NOW))
    assert refused.value.code == "opinion-first"
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(waiting, SECOND, AGREES, SOON))
    assert refused.value.code == "not-approvable"
    list(cases.decide_return(waiting, SECOND, "sealed", SOON))
    assert (waiting.proposal, waiting.claimed_by) == (None, FIRST)


@pytest.mark.usefixtures("blind")
def test_what_compliance_proposes_is_seen_and_signed() -> None:
    held = case(State.ON_HOLD, recommendation=recommendation())
    list(cases.decide_release(held, "compliance", "confirmed", "sealed", NOW))
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(held, SECOND, DISAGREES, NOW))
    assert refused.value.code == "not-blind"
    list(cases.decide_sign(held, SECOND, NOW))
    assert held.state is State.DECLINED


def test_without_the_products_wish_nothing_is_blind() -> None:
    with pytest.raises(CaseError) as refused:
        list(cases.decide_opinion(proposed(), SECOND, AGREES, NOW))
    assert refused.value.code == "not-blind"
