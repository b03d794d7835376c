"""What review does on an event of intake and on an answer of a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.review import case as cases
from services.review import examination, handlers
from services.review.case import Awaited, Case, CaseError, Check, Escalation, Snooze
from services.review.checks import ASKED
from shared.events import intake, review
from shared.events.lifecycle import MOVES, State, publisher
from shared.messaging import (
    Call,
    ClaimedCall,
    ClearDeadline,
    Exhausted,
    Fact,
    Received,
    Refused,
    Succeeded,
)
from shared.messaging.errors import Permanent
from shared.parameters import UnknownVersionError, product_of
from tests.unit.review.builders import NOW, SEALED, SIGNED, case, hand_over, recommendation
from tests.unit.review.test_disputes import reported
from tests.unit.review.test_limit_changes import card


def received(payload: type[Any], subject: Case, version: int | None = None, **more: Any) -> Any:
    """An event of intake about the case."""
    data = payload.model_validate({**case().fields(), **more})
    return Received(
        id="e1",
        type=payload.type,
        source="/banka/intake",
        subject=subject.application_id,
        time=NOW,
        recorded_time=NOW,
        sequence=1,
        state_version=version,
        causation_id=None,
        correlation_id="c1",
        traceparent=None,
        origin="live",
        data=data,
        topic="banka.applications",
        partition=0,
        offset=0,
    )


def handed(subject: Case, version: int, **more: Any) -> Any:
    """The hand-over."""
    given = hand_over()
    wanted = {
        "parties": given.parties,
        "consent": given.consent,
        "documents": given.documents,
        "new_to_bank": True,
        "age_band": "26-35",
        "income_band": "unknown",
        "submitted_at": SIGNED,
    }
    return received(intake.PreCheckPassed, subject, version, **(wanted | more))


def unknown() -> Case:
    return Case(case().application_id)


def scored(subject: Case, outcome: str = "refer") -> Succeeded:
    """The answer of the policy's worker to the scoring that the case waits for."""
    found = recommendation(outcome=outcome)
    value = {
        "outcome": found.outcome,
        "advice": found.advice,
        "findings": list(found.findings),
        "limit": found.limit.minor,
        "ceiling": found.ceiling.minor,
        "inputs": found.inputs,
        "verdict": found.verdict,
        "policy_version": found.policy_version,
        "policy_digest": found.policy_digest,
    }
    return Succeeded(value, call=scoring_call(subject))


def scoring_call(subject: Case) -> ClaimedCall:
    payload = {"scoring_round": subject.scoring_round}
    return ClaimedCall("policy", "k", subject.application_id, payload, 1)


def test_every_move_of_intake_is_followed() -> None:
    moves = {payload for payload in MOVES if publisher(payload) == "intake"}
    assert moves <= handlers.HANDLERS.keys()
    assert all(publisher(payload) == "intake" for payload in handlers.HANDLERS)


def test_an_application_is_followed_from_its_draft_to_the_hand_over() -> None:
    subject = unknown()
    bands = {"new_to_bank": True, "age_band": "x", "income_band": "x", "parties": []}
    for version, (payload, more) in enumerate(
        [
            (intake.ApplicationDrafted, {}),
            (intake.ApplicationSubmitted, bands),
            (intake.PreCheckStarted, {}),
        ],
        start=1,
    ):
        assert not list(
            handlers.on_moved(received(payload, subject, version, **more), subject, NOW)
        )
    effects = list(handlers.on_pre_check_passed(handed(subject, 4), subject, NOW))
    assert (subject.state, subject.state_version) == (State.CHECKING, 4)
    assert len([effect for effect in effects if isinstance(effect, Call)]) == 3
    assert subject.due is not None


def test_a_hand_over_out_of_order_is_parked() -> None:
    with pytest.raises(Permanent):
        list(handlers.on_pre_check_passed(handed(unknown(), 1), unknown(), NOW))


@pytest.mark.parametrize(
    "other",
    [{"product_version": "2025.9"}, {"product_digest": "0" * 64}],
    ids=["unknown", "edited"],
)
def test_a_hand_over_under_rules_that_review_does_not_hold_waits(other: dict[str, str]) -> None:
    subject = case(State.PRE_CHECK)
    with pytest.raises(UnknownVersionError, match="back"):
        list(handlers.on_pre_check_passed(handed(subject, 5, **other), subject, NOW))


def test_what_review_says_names_what_it_decided_by() -> None:
    fields = case().fields()
    assert fields["product_digest"] == product_of("standard", fields["product_version"]).digest


def test_a_draft_that_became_another_product_is_decided_by_what_was_handed_in() -> None:
    subject = unknown()
    list(handlers.on_moved(received(intake.ApplicationDrafted, subject, 1), subject, NOW))
    subject.state, subject.state_version = State.PRE_CHECK, 3
    gold = product_of("gold").version
    other = {"product": "gold", "product_version": gold, "product_digest": None}
    event = handed(subject, 4, **other, applicant_type="self_employed")
    list(handlers.on_pre_check_passed(event, subject, NOW))
    scope = subject.need_scope()
    assert (scope.product, scope.product_version) == ("gold", gold)
    assert scope.applicant_type == "self_employed"
    assert subject.fields()["product"] == "gold"


def test_what_intake_does_without_is_known_or_known_not_to_be_said() -> None:
    for said in (["work_proof"], [], None):
        subject = case(State.PRE_CHECK)
        list(handlers.on_pre_check_passed(handed(subject, 5, waived=said), subject, NOW))
        assert subject.need_hand_over().waived == said


def test_a_verdict_on_an_answer_that_lapsed_meanwhile_decides_nothing() -> None:
    subject = case(scoring_round=1)
    subject.checks["bureau"] = Check(
        "bureau", "r", 1, NOW, "answered", "sealed", NOW, NOW + timedelta(days=1)
    )
    late = NOW + timedelta(days=1)
    effects = list(handlers.on_scored(scored(subject, "decline"), subject, late))
    assert [one.kind for one in effects if isinstance(one, Call)] == ["check.bureau"]
    assert (subject.state, subject.recommendation) == (State.CHECKING, None)


def test_a_verdict_on_what_was_handed_over_before_decides_nothing() -> None:
    """It was on its way as material was wanted, and came after another hand-over."""
    subject = case(scoring_round=1)
    verdict = scored(subject, "decline")
    subject.state, subject.state_version = State.PRE_CHECK, 3
    list(handlers.on_pre_check_passed(handed(subject, 4), subject, NOW))
    assert not list(handlers.on_scored(verdict, subject, NOW))
    assert (subject.state, subject.recommendation) == (State.CHECKING, None)


def test_the_clock_of_review_runs_from_the_first_hand_over() -> None:
    subject = case(State.PRE_CHECK, due=NOW)
    list(handlers.on_pre_check_passed(handed(subject, 5), subject, NOW + timedelta(days=9)))
    assert subject.due == NOW


@pytest.mark.parametrize("state", ["manual_review", "on_hold"])
def test_an_application_imported_for_review_is_queued_and_examined(state: str) -> None:
    subject = unknown()
    event = received(
        intake.ApplicationImported,
        subject,
        7,
        state=state,
        parties=hand_over().parties,
        consent=hand_over().consent,
        new_to_bank=False,
        age_band="x",
        income_band="x",
        submitted_at=SIGNED,
    )
    effects = list(handlers.on_imported(event, subject, NOW))
    assert (subject.state, subject.state_version) == (State(state), 7)
    held = subject.state is State.ON_HOLD
    assert (subject.queued_at, subject.held_at) == ((None, NOW) if held else (NOW, None))
    assert len([effect for effect in effects if isinstance(effect, Call)]) == 3


def test_an_application_imported_in_use_asks_nobody() -> None:
    subject = unknown()
    event = received(
        intake.ApplicationImported,
        subject,
        12,
        state="in_use",
        parties=hand_over().parties,
        new_to_bank=False,
        age_band="x",
        income_band="x",
        submitted_at=SIGNED,
        limit={"minor": 1_000_000, "currency": "CNY"},
    )
    assert list(handlers.on_imported(event, subject, NOW)) == []
    assert subject.limit is not None


def test_withdrawal_of_what_review_never_saw_is_left_to_intake() -> None:
    subject = unknown()
    event = received(intake.WithdrawalRequested, subject, request_id="r1")
    (fact,) = handlers.on_withdrawal_requested(event, subject, NOW)
    assert isinstance(fact, Fact)
    assert isinstance(fact.data, review.WithdrawalRefused)
    assert fact.data.reason == "with-intake"


def asked(subject: Case, name: str, attempt: int = 1) -> ClaimedCall:
    """The call that asks the system about the case."""
    payload = {"request_id": subject.checks[name].request_id}
    return ClaimedCall(f"check.{name}", "any", subject.application_id, payload, attempt)


def test_check_that_was_refused_says_why() -> None:
    subject = case()
    examination.start(subject, NOW)
    check = subject.checks["bureau"]
    refused = Refused("status-403", call=asked(subject, "bureau", 2))
    list(handlers.on_check_result(refused, subject, NOW))
    assert (check.outcome, check.why, check.attempts) == ("unavailable", "status-403", 2)


def test_check_that_nobody_answered_waits_and_is_asked_again_under_the_same_key() -> None:
    subject = case()
    examination.start(subject, NOW)
    check = subject.checks["bureau"]
    effects = handlers.on_check_result(
        Exhausted("TimeoutError", call=asked(subject, "bureau", 6)), subject, NOW
    )
    (again,) = effects
    assert isinstance(again, Call)
    assert (check.outcome, check.waits, check.attempts) == ("pending", True, 6)
    assert again.key != check.request_id
    assert again.payload["request_id"] == check.request_id
    assert again.not_before == check.asked_again == NOW + timedelta(minutes=5)


def laid_aside(subject: Case, until: Snooze) -> None:
    subject.snooze = until


@pytest.mark.parametrize("answered", [True, False])
def test_a_case_laid_aside_for_its_checks_comes_back_with_the_answer(answered: bool) -> None:
    subject = case(State.MANUAL_REVIEW, claimed_by="staff-1")
    examination.start(subject, NOW)
    for check in subject.checks.values():
        check.outcome = "answered" if check.name != "bureau" else "pending"
    laid_aside(subject, Snooze(NOW + timedelta(days=1), "check"))
    asked = subject.checks["bureau"].request_id
    payload = {"request_id": asked}
    call = ClaimedCall("check.bureau", asked, subject.application_id, payload, 1)
    result = (
        Succeeded({"answer": str(SEALED)}, call=call)
        if answered
        else Refused("status-400", call=call)
    )
    effects = list(handlers.on_check_result(result, subject, NOW))
    assert subject.snooze is None
    assert ClearDeadline("snooze") in effects


def test_a_case_laid_aside_for_its_checks_stays_so_while_their_system_is_away() -> None:
    subject = case(State.MANUAL_REVIEW, claimed_by="staff-1")
    examination.start(subject, NOW)
    until = Snooze(NOW + timedelta(days=1), "check")
    laid_aside(subject, until)
    asked = subject.checks["bureau"].request_id
    call = ClaimedCall("check.bureau", asked, subject.application_id, {"request_id": asked}, 1)
    list(handlers.on_check_result(Exhausted("away", call=call), subject, NOW))
    assert subject.snooze == until
    longest = subject.checks["bureau"].waits_until
    assert longest is not None
    for check in subject.checks.values():
        check.outcome = "answered" if check.name != "bureau" else "pending"
    list(handlers.on_check_result(Exhausted("away", call=call), subject, longest))
    assert subject.snooze is None


def paper_received(subject: Case, document_id: str = "d2", item: str = "tax_proof") -> Any:
    """A paper of the customer, as intake tells of it."""
    return received(
        intake.DocumentReceived,
        subject,
        document_id=document_id,
        document_number="D20261103000001",
        item=item,
        sha256="1" * 64,
        media_type="image/png",
        size=1,
    )


@pytest.mark.parametrize("state", [State.MANUAL_REVIEW, State.ON_HOLD, State.CHECKING])
def test_a_paper_that_comes_later_lies_with_the_others_and_is_weighed(state: State) -> None:
    subject = case(state, recommendation=recommendation(), scoring_round=3, weighed_round=3)
    subject.scoring_failures = examination.MOST_SCORINGS - 1  # say nothing of other papers
    there = list(subject.need_hand_over().documents)
    event = paper_received(subject)
    (asked,) = (
        one for one in handlers.on_document_received(event, subject, NOW) if isinstance(one, Call)
    )
    assert (asked.kind, asked.payload["scoring_round"]) == ("policy", subject.scoring_round)
    assert "tax_proof" in asked.payload["papers"]
    *before, added = subject.need_hand_over().documents
    assert (before, added.document_id, added.sha256) == (there, "d2", "1" * 64)
    assert subject.scoring_failures == 0
    assert subject.need_hand_over().arrived == ("d2",)
    assert subject.touched
    assert subject.entries[-1].details["items"] == ["tax_proof"]
    # a verdict on the papers of before comes too late
    assert "CHECK_PENDING" in cases.approval_obstacles(subject, NOW)
    # told twice it is the same paper
    subject.entries.clear()
    assert not list(handlers.on_document_received(event, subject, NOW))
    assert (len(subject.need_hand_over().documents), subject.entries) == (len(there) + 1, [])


def test_a_paper_in_the_place_of_another_lies_beside_it() -> None:
    subject = case(State.MANUAL_REVIEW)
    item = subject.need_hand_over().documents[0].item
    list(handlers.on_document_received(paper_received(subject, item=item), subject, NOW))
    found = [one.document_id for one in subject.need_hand_over().documents if one.item == item]
    assert found == [f"d-{item}", "d2"]


@pytest.mark.parametrize("item", ["id_back", "id_front"])
def test_a_document_that_was_missing_is_there_once_it_came(item: str) -> None:
    subject = case(State.MANUAL_REVIEW, recommendation=recommendation())
    over = subject.need_hand_over()
    documents = [one for one in over.documents if one.item != item]
    subject.hand_over = hand_over(documents=documents)
    assert "DOCUMENT_MISSING" in cases.approval_obstacles(subject, NOW)
    list(handlers.on_document_received(paper_received(subject, item=item), subject, NOW))
    assert "DOCUMENT_MISSING" not in cases.approval_obstacles(subject, NOW)


@pytest.mark.parametrize(
    "state", [State.DRAFT, State.AWAITING_MATERIAL, State.DECLINED, State.APPROVED]
)
def test_a_paper_that_comes_while_review_has_not_the_case_is_left_to_intake(state: State) -> None:
    subject = case(state)
    there = list(subject.need_hand_over().documents)
    assert not list(handlers.on_document_received(paper_received(subject), subject, NOW))
    assert (subject.need_hand_over().documents, subject.touched) == (there, False)
    assert not list(handlers.on_document_received(paper_received(subject), unknown(), NOW))


def test_the_next_hand_over_says_what_lies_there_and_nothing_of_it_is_new() -> None:
    subject = case(State.MANUAL_REVIEW)
    list(handlers.on_document_received(paper_received(subject), subject, NOW))
    subject.state = State.PRE_CHECK
    over = [*hand_over().documents, subject.need_hand_over().documents[-1]]
    event = handed(subject, subject.state_version + 1, documents=over)
    list(handlers.on_pre_check_passed(event, subject, NOW))
    assert (subject.need_hand_over().documents, subject.need_hand_over().arrived) == (over, ())


@pytest.mark.parametrize("outcome", ["approve", "decline"])
@pytest.mark.parametrize("came", [True, False])
def test_no_machine_decides_by_a_paper_that_the_office_has_not_looked_at(
    outcome: str, *, came: bool
) -> None:
    subject = case(State.CHECKING)
    subject.hand_over = hand_over(new_to_bank=False)
    if came:
        list(handlers.on_document_received(paper_received(subject), subject, NOW))
        subject.weighed_round = subject.scoring_round
    reasons = ("SCORE_TOO_LOW",) if outcome == "decline" else ()
    found = recommendation(outcome=outcome, findings=reasons)
    list(cases.apply_recommendation(subject, found, NOW))
    assert (subject.state is State.MANUAL_REVIEW) is came


def test_a_paper_brings_back_a_case_laid_aside_for_it_and_changes_no_other() -> None:
    paper: dict[str, Any] = {
        "document_id": "d2",
        "document_number": "D20261103000001",
        "item": "income_proof",
        "sha256": "0" * 64,
        "media_type": "image/png",
        "size": 1,
    }
    left_alone = Snooze(NOW + timedelta(days=1), "check")
    expected: list[tuple[Awaited, Snooze | None]] = [("material", None), ("check", left_alone)]
    for awaited, left in expected:
        subject = case(State.MANUAL_REVIEW, claimed_by="staff-1")
        laid_aside(subject, Snooze(NOW + timedelta(days=1), awaited))
        event = received(intake.DocumentReceived, subject, **paper)
        list(handlers.HANDLERS[intake.DocumentReceived](event, subject, NOW))
        assert subject.snooze == left
    stranger = unknown()
    event = received(intake.DocumentReceived, stranger, **paper)
    assert list(handlers.HANDLERS[intake.DocumentReceived](event, stranger, NOW)) == []
    assert stranger.state is None


def test_answer_of_a_check_stays_sealed() -> None:
    subject = case()
    examination.start(subject, NOW)
    check = subject.checks["identity"]
    answered = Succeeded({"answer": str(SEALED)}, call=asked(subject, "identity"))
    list(handlers.on_check_result(answered, subject, NOW))
    assert check.answer == SEALED


def test_verdict_on_older_evidence_is_dropped() -> None:
    subject = case(scoring_round=1)
    stale = scored(subject)
    subject.scoring_round = 2
    assert list(handlers.on_scored(stale, subject, NOW)) == []
    assert subject.state is State.CHECKING
    assert list(handlers.on_scored(scored(subject), subject, NOW))


def test_scoring_that_failed_on_the_way_is_tried_again_later_and_later() -> None:
    subject = case(scoring_round=1)
    waits = []
    for _ in range(3):
        failed = Exhausted("OSError", call=scoring_call(subject))
        (again,) = handlers.on_scored(failed, subject, NOW)
        assert isinstance(again, Call)
        assert again.not_before is not None
        waits.append(again.not_before - NOW)
    assert waits == [timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=40)]
    subject.scoring_failures = examination.MOST_SCORINGS - 1
    failed = Exhausted("OSError", call=scoring_call(subject))
    assert list(handlers.on_scored(failed, subject, NOW)) == []
    assert subject.unweighed_since == NOW  # it shows


def given_up(state: State = State.CHECKING, **changes: Any) -> Case:
    """A case to which the policy could not be applied."""
    subject = case(state, scoring_round=1, **changes)
    subject.scoring_failures = examination.MOST_SCORINGS - 1
    list(handlers.on_scored(Exhausted("OSError", call=scoring_call(subject)), subject, NOW))
    return subject


@pytest.mark.parametrize("again", ["by a reviewer", "by itself"])
def test_what_the_policy_could_not_be_applied_to_is_tried_again(again: str) -> None:
    subject = given_up()
    assert "NOT_APPLIED" in cases.approval_obstacles(subject, NOW)
    if again == "by itself":
        effects = examination.weigh_again(subject, NOW)
    else:
        effects = examination.repeat(subject, "staff-1", NOW)
        for name in ASKED:  # none was asked before in this test
            asked = subject.checks[name].request_id
            effects += examination.end(subject, name, asked, NOW, answer=str(SEALED))
    assert [one.kind for one in effects if isinstance(one, Call)][-1] == "policy"
    assert (subject.unweighed_since, subject.scoring_failures) == (None, 0)
    assert list(handlers.on_scored(scored(subject), subject, NOW))
    assert subject.state is State.MANUAL_REVIEW


def test_a_key_that_is_gone_shows_as_well() -> None:
    subject = case(scoring_round=1)
    list(handlers.on_scored(Refused("no-key", call=scoring_call(subject)), subject, NOW))
    assert examination.stuck(subject)


def test_while_the_policy_is_still_tried_nobody_asks_again_and_a_desk_is_not_taken_from() -> None:
    subject = case(scoring_round=1)
    list(handlers.on_scored(Exhausted("OSError", call=scoring_call(subject)), subject, NOW))
    with pytest.raises(CaseError) as refused:
        examination.repeat(subject, "staff-1", NOW)
    assert refused.value.code == "not-in-queue"
    assert examination.weigh_again(subject, NOW) == []
    assert examination.weigh_again(given_up(State.MANUAL_REVIEW), NOW) == []


def test_lists_that_changed_do_not_use_up_the_tries_of_the_policy() -> None:
    subject = case(scoring_round=1)
    subject.scoring_round += 2 * examination.MOST_SCORINGS
    failed = Exhausted("OSError", call=scoring_call(subject))
    (again,) = handlers.on_scored(failed, subject, NOW)
    assert isinstance(again, Call)
    assert again.not_before == NOW + timedelta(minutes=10)
    assert list(handlers.on_scored(scored(subject), subject, NOW))
    assert (subject.scoring_failures, subject.weighing) == (0, False)


def test_an_answer_that_the_policy_has_not_weighed_yet_is_no_ground_for_an_approval() -> None:
    """Screened again while a reviewer had the case: the answer is there, its verdict is not."""
    subject = case(scoring_round=1)
    subject.need_hand_over().new_to_bank = True
    list(handlers.on_scored(scored(subject), subject, NOW))
    assert subject.state is State.MANUAL_REVIEW
    before = cases.approval_obstacles(subject, NOW)
    assert "CHECK_PENDING" not in before
    examination.scoring(subject)
    assert cases.approval_obstacles(subject, NOW) == [*before, "CHECK_PENDING"]
    list(handlers.on_scored(scored(subject), subject, NOW))
    assert cases.approval_obstacles(subject, NOW) == before


def test_what_was_escalated_is_decided_by_no_machine_after_new_material() -> None:
    for escalation, state in (
        (None, State.DECLINED),
        (Escalation("first", NOW, "sealed"), State.MANUAL_REVIEW),
    ):
        subject = case(scoring_round=1, escalation=escalation)
        subject.need_hand_over().new_to_bank = False
        verdict = scored(subject, "decline")
        verdict.value["findings"] = ["MATERIAL_UNSOUND"]
        list(handlers.on_scored(verdict, subject, NOW))
        assert (subject.state, bool(subject.decisions)) == (state, escalation is None)


def test_scoring_without_keys_decides_nothing() -> None:
    subject = case(scoring_round=1)
    refused = Refused("no-key", call=scoring_call(subject))
    assert list(handlers.on_scored(refused, subject, NOW)) == []
    assert subject.state is State.CHECKING
    assert subject.recommendation is None


REQUESTED: dict[type[Any], dict[str, Any]] = {
    intake.AppealRequested: {
        "appeal_id": "a-1",
        "wish": "human-review",
        "words": str(SEALED),
        "entered_by": "customer",
    },
    intake.DisputeRequested: {
        "dispute_id": "d-1",
        "words": str(SEALED),
        "entered_by": "customer",
    },
    intake.LimitChangeRequested: {
        "change_id": "c-1",
        "kind": "decrease",
        "wanted": {"minor": 1_000_000},
        "agreed_at": NOW.isoformat(),
        "entered_by": "customer",
    },
}


def found(subject: Case) -> list[Any]:
    """What is open beside the application."""
    beside: list[Any] = [*subject.appeals]
    beside.extend(subject.limit_changes)
    return beside


@pytest.mark.parametrize("asked_for", REQUESTED, ids=lambda one: one.__name__)
def test_what_a_customer_asks_for_has_its_clock_from_then_and_not_from_when_it_is_read(
    asked_for: type[Any],
) -> None:
    subject = card()
    if asked_for is not intake.LimitChangeRequested:
        subject = reported(case(State.DECLINED))
    late = NOW + timedelta(days=3)
    list(
        handlers.HANDLERS[asked_for](
            received(asked_for, subject, **REQUESTED[asked_for]), subject, late
        )
    )
    (one,) = found(subject)
    assert one.asked_at == NOW
    early = NOW - timedelta(days=1)  # another machine's clock goes before ours
    subject.appeals, subject.limit_changes = [], []
    list(
        handlers.HANDLERS[asked_for](
            received(asked_for, subject, **REQUESTED[asked_for]), subject, early
        )
    )
    (one,) = found(subject)
    assert one.asked_at == early
