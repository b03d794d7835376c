"""Telephone verification: who asks for it, how often nobody has to be reached, what follows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from services.review import case as cases
from services.review import examination
from services.review.case import Case, CaseError
from services.review.queue import FLAGS
from services.review.reason_codes import REASONS, Effect
from services.review.telephone import AWAITED, HEARD, WITHOUT_ANSWER, Heard, script_of
from services.review.telephoning import decide_called, decide_order
from services.review.viewing import shown_history
from services.review.words import HEARD as WORDS
from services.review.words import WHY_UNAVAILABLE
from shared.events import review
from shared.events.lifecycle import State
from shared.messaging import Call, Fact
from shared.money import Money
from shared.parameters import load_products, load_telephone
from tests.unit.review.builders import NOW, case, recommendation

TERMS = load_telephone()
FIRST = "staff-1"
ASKS = TERMS.asked_for[0]


def found(*findings: str, **changes: Any) -> Any:
    return recommendation(outcome="refer", findings=findings, **changes)


def in_queue(*findings: str, asked: bool = False) -> Case:
    """A case that the first officer has."""
    waiting = case()
    cases.apply_recommendation(waiting, found(*findings), NOW)
    cases.decide_claim(waiting, FIRST, NOW)
    if asked:
        decide_order(waiting, FIRST, "sealed", NOW)
    return waiting


def called(subject: Case, heard: Heard, now: datetime = NOW, note: str = "sealed") -> list[Any]:
    return list(decide_called(subject, FIRST, heard, note, now))


def until_ended(subject: Case, now: datetime) -> int:
    """How many calls that reach nobody end it."""
    number = 0
    while subject.telephone is not None and not subject.telephone.ended and number < 99:
        called(subject, "not_reached", now, note="")
        number, now = number + 1, subject.telephone.next_at or now
    return number


@pytest.mark.parametrize("code", TERMS.asked_for)
def test_what_the_parameters_name_asks_for_a_call_and_nobody_is_approved_without(code: str) -> None:
    waiting = case()
    effects = cases.apply_recommendation(waiting, found(code), NOW)
    facts = [one.data for one in effects if isinstance(one, Fact)]
    assert isinstance(facts[0], review.TelephoneOrdered)
    assert facts[0].ordered_by == "review"
    assert waiting.telephone is not None
    assert waiting.telephone.reasons == (code,)
    assert "TELEPHONE_MISSING" in cases.approval_obstacles(waiting, NOW)
    assert waiting.recommendation is not None
    assert "TELEPHONE_MISSING" in waiting.recommendation.findings


def test_no_other_finding_asks_for_one() -> None:
    waiting = case()
    cases.apply_recommendation(waiting, found("NEW_TO_BANK", "CARDS_MANY"), NOW)
    assert waiting.telephone is None
    assert "telephone" not in waiting.checks
    assert cases.approval_obstacles(waiting, NOW) == []


def test_what_the_policy_declines_is_not_called() -> None:
    waiting = case()
    waiting.need_hand_over().new_to_bank = False
    declines = recommendation(outcome="decline", findings=("AGE_OUTSIDE", ASKS))
    cases.apply_recommendation(waiting, declines, NOW)
    assert waiting.state is State.DECLINED
    assert waiting.telephone is None


def test_it_is_asked_for_once() -> None:
    waiting = in_queue(ASKS)
    called(waiting, "confirmed")
    effects = cases.apply_recommendation(waiting, found(ASKS), NOW)
    assert effects == []
    assert cases.approval_obstacles(waiting, NOW) == []


def test_whoever_has_the_case_may_ask_for_one_and_says_why() -> None:
    waiting = in_queue("NEW_TO_BANK")
    with pytest.raises(CaseError, match="find out"):
        decide_order(waiting, FIRST, " ", NOW)
    with pytest.raises(CaseError, match="Claim"):
        decide_order(waiting, "staff-2", "sealed", NOW)
    effects = list(decide_order(waiting, FIRST, "sealed", NOW))
    assert [type(one) for one in effects] == [Fact, Call]
    assert cases.approval_obstacles(waiting, NOW) == ["TELEPHONE_MISSING"]
    with pytest.raises(CaseError) as refused:
        decide_order(waiting, FIRST, "sealed", NOW)
    assert refused.value.code == "call-awaited"


def test_who_confirms_lets_the_case_go_on() -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    fact, scoring = called(waiting, "confirmed")
    assert (fact.data.heard, fact.data.attempt, fact.data.staff_id) == ("confirmed", 1, FIRST)
    assert "note" not in fact.data.model_dump()
    assert scoring.payload["noticed"] == []
    assert cases.approval_obstacles(waiting, NOW) == []
    cases.decide_propose_approval(waiting, FIRST, Money.of(10_000), "sealed", NOW)
    assert waiting.proposal is not None


def test_a_contradiction_stands_against_an_approval_and_is_frozen_with_the_inputs() -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    _fact, scoring = called(waiting, "contradicted")
    assert scoring.payload["noticed"] == ["TELEPHONE_CONTRADICTED"]
    assert waiting.checks["telephone"].outcome == "answered"
    assert cases.approval_obstacles(waiting, NOW) == ["TELEPHONE_CONTRADICTED"]
    with pytest.raises(CaseError, match="contradicts"):
        cases.decide_propose_approval(waiting, FIRST, Money.of(10_000), "sealed", NOW)


@pytest.mark.parametrize("heard", ["refused", "wrong_number"])
def test_what_is_no_answer_never_passes(heard: Heard) -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    _fact, scoring = called(waiting, heard)
    assert waiting.checks["telephone"].why == WITHOUT_ANSWER[heard]
    assert scoring.payload["noticed"] == ["TELEPHONE_MISSING"]
    assert cases.approval_obstacles(waiting, NOW) == ["TELEPHONE_MISSING"]
    assert not waiting.checks["telephone"].may_be_asked_again  # by a system there is nothing to ask


def test_who_is_not_reached_is_called_again_at_another_time_so_many_times() -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    (fact,) = called(waiting, "not_reached", note="")
    assert fact.data.heard == "not_reached"
    assert waiting.telephone is not None
    again = waiting.telephone.next_at
    assert again is not None
    assert again > NOW
    assert waiting.checks["telephone"].why == AWAITED
    with pytest.raises(CaseError) as refused:
        called(waiting, "not_reached", NOW)
    assert refused.value.code == "called-just-now"
    assert 1 + until_ended(waiting, again) == TERMS.tries
    assert waiting.checks["telephone"].why == "not-reached"
    assert cases.approval_obstacles(waiting, NOW) == ["TELEPHONE_MISSING"]


def test_who_calls_back_is_heard_before_the_next_call_is_due() -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    called(waiting, "not_reached")
    called(waiting, "confirmed")
    assert cases.approval_obstacles(waiting, NOW) == []


def test_after_the_end_an_officer_may_ask_again() -> None:
    waiting = in_queue(ASKS)
    called(waiting, "wrong_number")
    with pytest.raises(CaseError) as refused:
        called(waiting, "confirmed")
    assert refused.value.code == "no-call-awaited"
    decide_order(waiting, FIRST, "sealed", NOW)
    called(waiting, "confirmed")
    assert cases.approval_obstacles(waiting, NOW) == []


def test_what_was_heard_is_said_in_words() -> None:
    waiting = in_queue("NEW_TO_BANK", asked=True)
    for heard in HEARD:
        if heard != "not_reached":
            with pytest.raises(CaseError, match="heard"):
                called(waiting, heard, note=" ")
    with pytest.raises(CaseError, match="Choose"):
        decide_called(waiting, FIRST, "laughed", "sealed", NOW)  # type: ignore[arg-type]


def test_nobody_calls_while_a_decision_waits_for_its_signature() -> None:
    waiting = in_queue("NEW_TO_BANK")
    cases.decide_propose_decline(waiting, FIRST, "MATERIAL_UNSOUND", "sealed", NOW)
    with pytest.raises(CaseError) as refused:
        decide_order(waiting, FIRST, "sealed", NOW)
    assert refused.value.code == "proposed"


def test_a_check_on_its_way_is_waited_for_before_the_policy_is_asked_again() -> None:
    waiting = in_queue("NEW_TO_BANK")
    examination.start(waiting, NOW)
    assert [type(one) for one in decide_order(waiting, FIRST, "sealed", NOW)] == [Fact]


def test_the_script_asks_what_product_and_findings_want() -> None:
    plain = [one.code for one in script_of(TERMS, "standard", [])]
    assert plain == ["identity", "wish"]
    assert "income" in [one.code for one in script_of(TERMS, "standard", ["INCOME_IMPLAUSIBLE"])]
    assert "business" in [one.code for one in script_of(TERMS, "business", [])]


def test_the_script_names_products_and_findings_that_there_are() -> None:
    assert set(TERMS.asked_for) <= REASONS.keys()
    for one in TERMS.questions:
        assert set(one.findings) <= REASONS.keys()
        assert set(one.products) <= load_products().keys()


def test_everything_that_may_be_heard_has_words() -> None:
    assert set(WORDS) == set(HEARD)
    assert {AWAITED, *WITHOUT_ANSWER.values()} <= WHY_UNAVAILABLE.keys()
    for code in ("TELEPHONE_MISSING", "TELEPHONE_CONTRADICTED"):
        assert REASONS[code].effect is Effect.REFER
        assert code in FLAGS


def test_who_may_not_know_of_holds_is_not_told_who_called_when() -> None:
    waiting = in_queue(ASKS)
    called(waiting, "confirmed")
    outsider: Any = type("Viewer", (), {"knows_holds": False})
    insider: Any = type("Viewer", (), {"knows_holds": True})
    told = {one.action for one in shown_history(waiting.entries, outsider)}
    assert not told & {"telephone_ordered", "telephone_called"}
    assert {"telephone_ordered", "telephone_called"} <= {
        one.action for one in shown_history(waiting.entries, insider)
    }
