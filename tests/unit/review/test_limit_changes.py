"""Changes of a limit: what is asked, what it rests on, who decides, how a temporary one ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.review import case as cases
from services.review import disputes, limit_changes
from services.review.accounts import AccountFacts
from services.review.case import NO_FIELD, Case, CaseError, Check, Scope
from services.review.checks import ASKED, OWN
from services.review.limit_changes import (
    FINAL,
    MOVES,
    OWNERS,
    Asked,
    ChangeState,
    LimitChange,
    LimitDecision,
    grant_obstacles,
    open_change,
)
from services.review.limit_grounds import RAISES, Grounds, weigh
from services.review.policy import PolicyInputs
from services.review.viewing import shown_change_state, shown_deciders
from services.review.watchlists import Lists
from shared.calendar import add_working_days, business_day, end_of_day
from shared.events import review
from shared.events.intake import HandedDocument, LimitChangeKind
from shared.events.lifecycle import State
from shared.events.payload import BalanceBand, CreditConsent
from shared.messaging import Call, ClaimedCall, ClearDeadline, Deadline, Exhausted, Fact, Succeeded
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_internal_list, load_limit_changes
from shared.parameters.models import ReviewRules
from shared.web import Permission, Viewer
from shared.web.permissions import WHOLE_BANK
from tests.unit.review.builders import (
    NOW,
    PAPERS,
    SEALED,
    SIGNED,
    hand_over,
    inputs,
    officer,
    shipped,
)
from tests.unit.review.builders import case as begun

INCREASE, TEMPORARY = LimitChangeKind.INCREASE, LimitChangeKind.TEMPORARY
DECREASE = LimitChangeKind.DECREASE
TODAY = business_day(NOW)
TERMS = load_limit_changes()
FIRST, SECOND, OTHER = "first", "second", "other"
WORDS = "sealed"


def facts(**changes: Any) -> AccountFacts:
    good = AccountFacts(
        as_of=date(2026, 10, 31),
        opened_on=date(2026, 1, 5),
        closed_on=None,
        days_past_due=0,
        balance=BalanceBand.UNDER_1K,
    )
    return replace(good, **changes)


def card(*, answered: bool = True, applicant_type: str = "salaried", **changes: Any) -> Case:
    """A case whose card is in use with 20,000, and whose answers are valid."""
    case = begun(State.IN_USE, **{"account_facts": facts(), **changes})
    case.limit = Money.of(20_000)
    case.hand_over = hand_over(new_to_bank=False)
    if applicant_type == "student":
        paper = HandedDocument(
            document_id="d2",
            item="second_repayment_guarantee",
            sha256="1" * 64,
            media_type="image/png",
        )
        case.hand_over = hand_over(new_to_bank=False, documents=[paper])
        case.scope = Scope(
            "110120261103000017", "1101", "11", "web", "student", "2026.1", "student"
        )
        case.limit = Money.of(2_000)
    if answered:
        for name in ASKED:
            case.checks[name] = Check(
                name,
                f"{case.application_id}:{name}:1",
                1,
                NOW - timedelta(days=3),
                outcome="answered",
                answer=str(SEALED),
                ended_at=NOW - timedelta(days=3),
                valid_until=NOW + timedelta(days=4),
                about=ASKED[name].digest(case.hand_over.examined.fields),
                screened_with=load_internal_list().mark if name == "watchlist" else "",
            )
    return case


def asked(kind: LimitChangeKind = INCREASE, yuan: int = 30_000, **changes: Any) -> Asked:
    until = TODAY + timedelta(days=20) if kind is TEMPORARY else None
    return replace(Asked(kind, Money.of(yuan), until=until, agreed_at=NOW), **changes)


def request(case: Case, wish: Asked, change_id: str = "c-1") -> list[Any]:
    return list(limit_changes.on_requested(case, change_id, wish, "staff:clerk", NOW))


def result_of(case: Case, *, round_: int | None = None, **said: Any) -> Any:
    change = case.limit_changes[-1]
    call = ClaimedCall(
        kind=limit_changes.WORKING_OUT,
        key="k",
        subject=case.application_id,
        payload={"change_id": change.change_id, "round": round_ or change.round},
        attempt=1,
    )
    value = {
        "outcome": "refer", "advice": "approve", "findings": [], "limit": 30_000_00,
        "ceiling": 40_000_00, "inputs": str(SEALED), "verdict": str(SEALED),
        "policy_version": "2026.2", "policy_digest": "f" * 64, "points": 700,
        "pricing_class": "b", "own_existing": 0,
    }  # fmt: skip
    return Succeeded({**value, **said}, call=call)


def waiting(wish: Asked | None = None, case: Case | None = None, **said: Any) -> Case:
    """A change that waits for a person."""
    case = case or card()
    request(case, wish or asked())
    list(limit_changes.on_worked_out(result_of(case, **said), case, NOW))
    return case


def granted(case: Case, yuan: int, now: datetime = NOW) -> list[Any]:
    list(limit_changes.decide_grant(case, FIRST, Money.of(yuan), WORDS, now))
    return list(limit_changes.decide_sign(case, SECOND, now))


def refusal(decide: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(CaseError) as refused:
        list(decide(*arguments, **named))
    return refused.value.code


def event(effects: list[Any], kind: type[Any]) -> Any:
    (found,) = [one.data for one in effects if isinstance(one, Fact) and isinstance(one.data, kind)]
    return found


def state(case: Case) -> ChangeState | None:
    return case.limit_changes[-1].state


# --- the machine of states ---------------------------------------------------------------------


def test_every_state_that_something_leaves_has_an_owner_and_a_clock_and_no_other_has() -> None:
    leaves = {before for before, after in MOVES.items() if before is not None and after}
    assert leaves == set(OWNERS)
    assert {ChangeState.GRANTED, ChangeState.REFUSED, ChangeState.ENDED} == FINAL
    assert set.union(*(set(after) for after in MOVES.values())) == set(ChangeState)


# --- asking ------------------------------------------------------------------------------------


def test_a_change_has_a_number_and_a_clock_and_the_application_stays_as_it_was() -> None:
    case = card()
    before = (case.state, case.state_version, case.limit, list(case.decisions), dict(case.checks))
    effects = request(case, asked())
    opened = event(effects, review.LimitChangeOpened)
    assert opened.change_number == f"{case.need_scope().application_number}-L1"
    assert opened.by_bank is False
    change = case.limit_changes[0]
    assert Deadline(limit_changes.DUE_DEADLINE, change.due) in effects
    assert all(one.state_version == 4 for one in effects if isinstance(one, Fact))
    assert granted(waiting(case=card()), 30_000)
    assert before == (
        case.state, case.state_version, case.limit, list(case.decisions), dict(case.checks),
    )  # fmt: skip


@pytest.mark.parametrize("where", sorted(set(State) - {State.ACTIVATED, State.IN_USE}))
def test_only_the_limit_of_an_activated_card_is_changed(where: State) -> None:
    case = card()
    case.state = where
    with pytest.raises(Permanent):
        request(case, asked())
    lower = (case, "c", Money.of(10_000), WORDS, FIRST, NOW)
    assert refusal(limit_changes.decide_lower, *lower) == "no-card"


def test_the_same_request_twice_has_one_effect_and_another_beside_it_is_refused() -> None:
    case = card()
    request(case, asked())
    assert request(case, asked()) == []
    effects = request(case, asked(TEMPORARY), "c-2")
    decided = event(effects, review.LimitChangeDecided)
    assert (decided.outcome, decided.limit) == ("refused", None)
    assert [one.state for one in case.limit_changes] == [
        ChangeState.CHECKING,
        ChangeState.REFUSED,
    ]


# --- evidence ----------------------------------------------------------------------------------


def test_what_is_still_valid_is_used_again_and_what_is_not_is_asked_with_a_new_consent() -> None:
    case = card()
    (call,) = [one for one in request(case, asked()) if isinstance(one, Call)]
    assert (call.kind, call.payload["requested_limit"]) == ("limit", 30_000_00)
    assert set(call.payload["answers"]) == {f"check.{name}" for name in ASKED}

    case = card()
    case.checks["bureau"].valid_until = NOW
    request(case, asked())
    bureau = case.limit_changes[0].checks["bureau"]
    assert (bureau.outcome, bureau.why) == ("unavailable", "no-consent")
    assert case.checks["bureau"].answer == str(SEALED)  # the application's own stays

    case = card()
    case.checks["bureau"].valid_until = NOW
    consent = CreditConsent(signed_at=NOW - timedelta(hours=1), purpose="信用卡审批")
    (call,) = [one for one in request(case, asked(consent=consent)) if isinstance(one, Call)]
    assert (call.kind, call.payload["purpose"]) == ("check.bureau", "信用卡审批")
    request_id = call.payload["request_id"]
    assert limit_changes.awaits(case, request_id) is case.limit_changes[0]
    (kept,) = [
        one.details
        for one in case.entries
        if one.action == "check_requested" and one.details["check"] == "bureau"
    ]
    assert kept["consent_signed_at"] == consent.signed_at.isoformat()  # not the application's
    assert (kept["purpose"], kept["number"]) == ("信用卡审批", case.limit_changes[0].number)


def test_nobody_raises_a_limit_by_an_answer_that_is_older_than_a_change_of_a_list() -> None:
    subject = waiting()
    assert limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW) == []
    subject.lists = Lists(1, NOW)
    assert limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW) == [
        "EVIDENCE_STALE"
    ]
    assert refusal(limit_changes.decide_grant, subject, FIRST, Money.of(30_000), WORDS, NOW)
    # whoever has it asks again, by the lists as they are
    (call,) = [
        one for one in limit_changes.decide_again(subject, FIRST, NOW) if isinstance(one, Call)
    ]
    assert call.kind == "check.watchlist"
    check = subject.limit_changes[0].checks["watchlist"]
    assert check.lists_known == 1
    claimed = ClaimedCall(
        kind=call.kind, key=call.key, subject=subject.application_id, payload=call.payload,
        attempt=1,
    )  # fmt: skip
    answer = Succeeded({"answer": str(SEALED)}, call=claimed)
    limit_changes.on_checked(subject, subject.limit_changes[0], "watchlist", answer, NOW)
    assert cases.still_holds(check, NOW, subject)


def test_a_system_that_is_away_is_asked_again_and_a_person_goes_on_without_it_in_the_end() -> None:
    case = card()
    case.checks["bureau"].valid_until = NOW
    consent = CreditConsent(signed_at=SIGNED, purpose="信用卡审批")
    (call,) = [one for one in request(case, asked(consent=consent)) if isinstance(one, Call)]
    change = case.limit_changes[0]

    def away(at: datetime) -> list[Any]:
        claimed = ClaimedCall(
            kind=call.kind, key=call.key, subject=case.application_id, payload=call.payload,
            attempt=1,
        )  # fmt: skip
        return limit_changes.on_checked(case, change, "bureau", Exhausted("away", call=claimed), at)

    (again,) = away(NOW)
    assert again.not_before == change.checks["bureau"].asked_again
    until = change.checks["bureau"].waits_until
    assert until is not None
    *_, worked = away(until)
    assert worked.kind == limit_changes.WORKING_OUT
    assert change.checks["bureau"].why == "away"
    # whoever asks again then asks the same: the bureau may have recorded the query
    list(limit_changes.on_worked_out(result_of(case), case, until))
    (anew,) = (
        one for one in limit_changes.decide_again(case, FIRST, until) if isinstance(one, Call)
    )
    assert anew.payload["request_id"] == call.payload["request_id"]
    assert anew.key not in (call.key, again.key)


def test_an_outdated_working_changes_nothing_and_one_that_failed_goes_to_a_person() -> None:
    case = card()
    request(case, asked())
    assert list(limit_changes.on_worked_out(result_of(case, round_=7), case, NOW)) == []
    assert state(case) is ChangeState.CHECKING
    failed = Exhausted("broken", call=result_of(case).call)
    list(limit_changes.on_worked_out(failed, case, NOW))
    assert state(case) is ChangeState.DECIDING
    assert "NOT_WORKED_OUT" in grant_obstacles(case, case.limit_changes[0], NOW)
    list(limit_changes.decide_again(case, FIRST, NOW))
    assert state(case) is ChangeState.CHECKING


OBSTACLES: dict[str, tuple[Asked, dict[str, Any]]] = {
    "ACCOUNT_UNREPORTED": (asked(), {"account_facts": None}),
    "ACCOUNT_CLOSED": (asked(), {"account_facts": facts(closed_on=date(2026, 10, 1))}),
    "ACCOUNT_PAST_DUE": (asked(), {"account_facts": facts(days_past_due=1)}),
    "HELD_TOO_SHORT": (asked(TEMPORARY), {"account_facts": facts(opened_on=date(2026, 9, 1))}),
    "UNTIL_PASSED": (asked(TEMPORARY, until=TODAY + timedelta(days=31)), {}),
    "NOT_AGREED": (asked(agreed_at=NOW + timedelta(days=1)), {}),
    "INCOME_STALE": (asked(income_on=TODAY - timedelta(days=181)), {}),
}


@pytest.mark.parametrize("code", sorted(OBSTACLES))
def test_what_stands_against_an_increase_stops_people_and_the_policy_alike(code: str) -> None:
    wish, changes = OBSTACLES[code]
    case = waiting(wish, card(**changes), outcome="approve")
    assert grant_obstacles(case, case.limit_changes[0], NOW) == [code]
    assert state(case) is ChangeState.DECIDING
    grant = (case, FIRST, Money.of(30_000), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *grant) == "not-approvable"
    list(limit_changes.decide_refuse(case, FIRST, WORDS, NOW))
    assert state(case) is ChangeState.REFUSED


def test_facts_that_are_too_old_count_as_not_reported() -> None:
    stale = TODAY - timedelta(days=TERMS.account.stale_days)
    fresh = waiting(case=card(account_facts=facts(as_of=stale)))
    assert grant_obstacles(fresh, fresh.limit_changes[0], NOW) == []
    old = waiting(case=card(account_facts=facts(as_of=stale - timedelta(days=1))))
    assert grant_obstacles(old, old.limit_changes[0], NOW) == ["ACCOUNT_UNREPORTED"]


@pytest.mark.parametrize("given_on", [None, TODAY - timedelta(days=91), TODAY + timedelta(days=1)])
def test_a_student_needs_the_guarantors_agreement_in_writing_to_this_increase(
    given_on: date | None,
) -> None:
    said = {"ceiling": 3_000_00, "findings": ["STUDENT_SECOND_SOURCE"]}
    wish = asked(yuan=3_000, guarantee_on=given_on)
    case = waiting(wish, card(applicant_type="student"), **said)
    assert grant_obstacles(case, case.limit_changes[0], NOW) == ["NO_GUARANTEE"]
    there = waiting(asked(yuan=3_000, guarantee_on=TODAY), card(applicant_type="student"), **said)
    assert grant_obstacles(there, there.limit_changes[0], NOW) == []
    none = card(applicant_type="student")
    none.need_hand_over().documents.clear()
    waiting(asked(yuan=3_000, guarantee_on=TODAY), none, **said)
    assert grant_obstacles(none, none.limit_changes[0], NOW) == ["NO_SECOND_SOURCE"]


# --- deciding ----------------------------------------------------------------------------------


def test_the_policy_grants_alone_up_to_the_banks_amount_and_never_to_who_was_new() -> None:
    bound = int(TERMS.automatic_up_to.yuan)
    low = card()
    low.limit = Money.of(10_000)
    case = waiting(asked(yuan=bound), low, outcome="approve")
    assert (state(case), case.limit_changes[0].decided_by) == (ChangeState.GRANTED, ())
    above = card()
    above.limit = Money.of(10_000)
    assert state(waiting(asked(yuan=bound + 100), above, outcome="approve")) is ChangeState.DECIDING
    new = card()
    new.limit = Money.of(10_000)
    new.hand_over = hand_over(new_to_bank=True)
    assert state(waiting(asked(yuan=bound), new, outcome="approve")) is ChangeState.DECIDING


def test_two_people_grant_and_never_more_than_was_asked_or_is_left() -> None:
    case = waiting()
    change = case.limit_changes[0]
    more = (case, FIRST, Money.of(30_100), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *more) == "limit-too-high"
    left = waiting(ceiling=25_000_00)
    over = (left, FIRST, Money.of(25_100), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *over) == "limit-too-high"
    same = (case, FIRST, Money.of(20_000), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *same) == "limit-not-fitting"
    assert refusal(limit_changes.decide_grant, case, FIRST, Money.of(30_000), " ", NOW) == (
        "no-opinion"
    )
    list(limit_changes.decide_grant(case, FIRST, Money.of(30_000), WORDS, NOW))
    assert refusal(limit_changes.decide_grant, *more) == "proposed"
    assert refusal(limit_changes.decide_sign, case, FIRST, NOW) == "same-person"
    assert refusal(limit_changes.decide_sign, case, SECOND, NOW, risk_officer=False) == (
        "risk-officer-needed"
    )
    effects = list(limit_changes.decide_sign(case, SECOND, NOW))
    decided = event(effects, review.LimitChangeDecided)
    assert (decided.outcome, decided.limit) == ("granted", Money.of(30_000))
    assert (decided.automatic, decided.decided_by) == (False, [FIRST, SECOND])
    assert ClearDeadline(limit_changes.DUE_DEADLINE) in effects
    assert (change.state, limit_changes.limit_now(case)) == (ChangeState.GRANTED, Money.of(30_000))
    assert case.limit == Money.of(20_000)  # as it was decided
    assert refusal(limit_changes.decide_sign, case, OTHER, NOW) == "nothing-proposed"


def peers_sign(monkeypatch: pytest.MonkeyPatch, yuan: int) -> None:
    rules = ReviewRules(risk_officer_above=Money.of(yuan))
    monkeypatch.setattr(Case, "review_rules", property(lambda _self: rules))


def test_a_peer_signs_up_to_the_products_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    case = waiting()
    change = case.limit_changes[0]
    change.proposed_limit = Money.of(30_000)
    assert not limit_changes.peer_may_sign(case, change)  # the product names no amount
    peers_sign(monkeypatch, 30_000)
    assert limit_changes.peer_may_sign(case, change)
    change.proposed_limit = Money.of(30_100)
    assert not limit_changes.peer_may_sign(case, change)


def test_what_got_old_or_was_raised_elsewhere_since_is_not_signed() -> None:
    case = waiting()
    list(limit_changes.decide_grant(case, FIRST, Money.of(30_000), WORDS, NOW))
    assert refusal(limit_changes.decide_sign, case, SECOND, NOW + timedelta(days=5)) == (
        "not-approvable"
    )
    case.own_limits = 10_000_00
    assert grant_obstacles(case, case.limit_changes[0], NOW) == ["OWN_LIMITS_CHANGED"]
    assert refusal(limit_changes.decide_sign, case, SECOND, NOW) == "not-approvable"
    list(limit_changes.decide_return(case, SECOND, "额度已变", NOW))
    assert state(case) is ChangeState.DECIDING
    list(limit_changes.decide_again(case, FIRST, NOW))
    assert state(case) is ChangeState.CHECKING


HIT: dict[str, Any] = {"outcome": "hold", "findings": ["WATCHLIST_HIT"]}
OFFICER = ("officer", frozenset({Permission.HOLD_VIEW, Permission.REVIEW_DECIDE}))
COMPLIANCE = ("compliance", frozenset({Permission.HOLD_VIEW, Permission.REVIEW_COMPLIANCE}))
MANAGER = ("manager", frozenset({Permission.REVIEW_VIEW}))


def viewer(staff_id: str, permissions: frozenset[Permission]) -> Viewer:
    grants = dict.fromkeys(permissions, WHOLE_BANK)
    return Viewer(staff_id, "", frozenset(), grants, WHOLE_BANK, "zh-CN")


def public(case: Case) -> list[tuple[str, str, dict[str, Any]]]:
    """The history that everybody but compliance reads."""
    return [
        (one.actor, one.action, dict(one.details)) for one in case.entries if not one.confidential
    ]


def test_a_suspicion_is_held_for_compliance_and_waits_like_any_other_for_the_others() -> None:
    case, plain = waiting(**HIT), waiting()
    assert state(case) is ChangeState.HELD
    assert public(case) == public(plain)
    change = case.limit_changes[0]
    assert shown_change_state(change, viewer(*MANAGER)) is ChangeState.DECIDING
    for knowing in (OFFICER, COMPLIANCE):
        assert shown_change_state(change, viewer(*knowing)) is ChangeState.HELD
    grant = (case, FIRST, Money.of(30_000), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *grant) == "nothing-to-decide"
    assert refusal(limit_changes.decide_release, plain, "c", "clear", WORDS, NOW) == "not-held"


def test_what_compliance_found_nothing_of_is_decided_by_people_as_if_it_had_never_been_held() -> (
    None
):
    case, plain = waiting(**HIT), waiting()
    list(limit_changes.decide_release(case, "compliance", "clear", WORDS, NOW))
    assert state(case) is ChangeState.DECIDING
    assert grant_obstacles(case, case.limit_changes[0], NOW) == []
    assert [one.data for one in granted(case, 30_000) if isinstance(one, Fact)] == [
        one.data for one in granted(plain, 30_000) if isinstance(one, Fact)
    ]
    assert public(case) == public(plain)


def test_a_confirmed_suspicion_is_refused_exactly_as_an_officer_refuses() -> None:
    case, plain = waiting(**HIT), waiting()
    confirmed = list(limit_changes.decide_release(case, "compliance", "confirmed", WORDS, NOW))
    assert confirmed == list(limit_changes.decide_refuse(plain, FIRST, WORDS, NOW))
    decided = event(confirmed, review.LimitChangeDecided)
    assert (decided.outcome, decided.automatic, decided.decided_by) == ("refused", False, [])
    assert public(case) == public(plain)
    assert public(case)[-1][:2] == ("review", "limit_change_refused")
    for one, by in ((case, "compliance"), (plain, FIRST)):
        (change,) = one.limit_changes
        assert decision(one).decided_by == (by,)  # it is kept, and compliance sees it
        assert shown_deciders(change, "1101", viewer(*COMPLIANCE)) == (by,)
        assert shown_deciders(change, "1101", viewer(*OFFICER)) is None
        assert shown_deciders(change, "1101", viewer(*MANAGER)) is None
        assert shown_deciders(change, "1101", viewer(by, OFFICER[1])) == (by,)


def test_who_granted_and_who_refused_to_lower_is_told_to_who_knows_of_holds() -> None:
    raised = waiting()
    granted(raised, 30_000)
    assert shown_deciders(raised.limit_changes[0], "1101", viewer(*OFFICER)) == (FIRST, SECOND)
    assert shown_deciders(raised.limit_changes[0], "1101", viewer(*MANAGER)) is None
    lowered = card()
    list(limit_changes.decide_lower(lowered, "c-9", Money.of(10_000), WORDS, FIRST, NOW))
    effects = list(limit_changes.decide_return(lowered, SECOND, "不必", NOW))
    assert event(effects, review.LimitChangeDecided).decided_by == [SECOND]
    assert public(lowered)[-1][:2] == (SECOND, "limit_change_refused")
    assert shown_deciders(lowered.limit_changes[0], "1101", viewer(*OFFICER)) == (SECOND,)
    beside = waiting()
    request(beside, asked(TEMPORARY), "c-2")
    assert shown_deciders(beside.limit_changes[1], "1101", viewer(*OFFICER)) == ()


# --- what review looks at by itself --------------------------------------------------------------

SEEN = {"answer": str(SEALED), "why": None}
UNSEEN = {"answer": None, "why": NO_FIELD}


def test_what_review_finds_by_itself_is_kept_beside_the_answers_and_goes_to_people() -> None:
    low = card()
    low.limit = Money.of(10_000)
    case = waiting(
        asked(yuan=15_000),
        low,
        findings=["INCOME_IMPLAUSIBLE"],
        own={"fraud": SEEN, "plausibility": SEEN},
    )
    change = case.limit_changes[0]
    assert state(case) is ChangeState.DECIDING
    assert [change.checks[name].outcome for name in OWN] == ["answered", "answered"]
    assert grant_obstacles(case, change, NOW) == []  # it makes a person look, and stops nobody
    granted(case, 15_000)
    kept = Grounds.thaw(decision(case).grounds)
    assert {one.check for one in kept.evidence} == {*ASKED}


def test_what_review_could_not_look_at_stops_everybody_and_asking_again_does_not_help() -> None:
    case = waiting(
        outcome="approve",
        findings=["PLAUSIBILITY_UNAVAILABLE"],
        own={"fraud": SEEN, "plausibility": UNSEEN},
    )
    change = case.limit_changes[0]
    assert grant_obstacles(case, change, NOW) == ["PLAUSIBILITY_UNAVAILABLE"]
    assert not limit_changes.mends(case, change, NOW)


def test_an_income_stated_anew_is_looked_at_without_the_papers_of_the_old_one() -> None:
    """Whatever else they show they show still: that an employer arranges the card, for one."""

    def papers(wish: Asked) -> tuple[str, list[str]]:
        subject = card()
        documents = subject.need_hand_over().documents
        documents.append(documents[0].model_copy(update={"item": "employer_authorization"}))
        (call,) = [one for one in request(subject, wish) if isinstance(one, Call)]
        return call.payload["fields"]["monthly_income"], call.payload["papers"]

    kept = {*PAPERS, "employer_authorization"}
    assert papers(asked()) == (str(SEALED), sorted(kept))
    assert papers(asked(income="anew", income_on=TODAY)) == (
        "anew",
        sorted(kept - {"income_proof"}),
    )


# --- a report that is disputed -------------------------------------------------------------------

CONSENT = CreditConsent(signed_at=SIGNED, purpose="信用卡审批")


def disputed(case: Case) -> Case:
    list(disputes.decide_open(case, "d-1", WORDS, OTHER, NOW))
    return case


def corrected(case: Case, outcome: disputes.Outcome = "corrected") -> list[Any]:
    disputed(case)
    list(disputes.decide_claim(case, OTHER, NOW))
    return list(disputes.decide_answer(case, OTHER, outcome, WORDS, NOW))


def questions(effects: list[Any]) -> list[str]:
    return [one.kind for one in effects if isinstance(one, Call)]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_no_machine_raises_a_limit_by_a_report_that_is_disputed(*, elsewhere: bool) -> None:
    def low() -> Case:
        case = card()
        case.limit = Money.of(10_000)
        return case

    case = low()
    if elsewhere:
        case.person_disputes = True
    else:
        disputed(case)
    waiting(asked(yuan=15_000), case, outcome="approve")
    assert state(case) is ChangeState.DECIDING
    assert case.entries[-1].details["findings"] == ["REPORT_DISPUTED"]
    granted(case, 15_000)  # people may
    assert state(waiting(asked(yuan=15_000), low(), outcome="approve")) is ChangeState.GRANTED


def test_after_a_correction_the_report_of_an_active_card_is_used_no_more() -> None:
    case = card()
    assert questions(corrected(case)) == []  # nobody waits for it
    assert questions(request(case, asked(consent=CONSENT))) == ["check.bureau"]
    upheld = card()
    corrected(upheld, "upheld")
    assert questions(request(upheld, asked(consent=CONSENT))) == ["limit"]


def proposed(case: Case) -> Case:
    list(limit_changes.decide_grant(case, FIRST, Money.of(30_000), WORDS, NOW))
    return case


@pytest.mark.parametrize("stands", ["checking", "held", "deciding", "proposed"])
def test_a_change_that_waits_asks_for_a_corrected_report_anew(stands: str) -> None:
    wish = asked(consent=CONSENT)
    case = card()
    if stands == "checking":
        request(case, wish)
    else:
        waiting(wish, case, **(HIT if stands == "held" else {}))
    if stands == "proposed":
        proposed(case)
    change, before = case.limit_changes[0], case.limit_changes[0].round
    assert state(case) is ChangeState(stands)
    assert questions(corrected(case)) == ["check.bureau"]
    assert (state(case), change.proposed_limit) == (ChangeState.CHECKING, None)
    assert change.checks["bureau"].outcome == "pending"
    # what was worked out by the old one comes too late
    assert list(limit_changes.on_worked_out(result_of(case, round_=before), case, NOW)) == []
    assert refusal(limit_changes.decide_sign, case, SECOND, NOW) == "nothing-proposed"
    if stands == "held":  # and is held again
        list(limit_changes.on_worked_out(result_of(case, **HIT), case, NOW))
        assert state(case) is ChangeState.HELD


def test_without_a_consent_to_this_change_the_corrected_report_is_not_asked_for() -> None:
    case = waiting()
    assert questions(corrected(case)) == ["limit"]  # worked out again, without it
    bureau = case.limit_changes[0].checks["bureau"]
    assert (bureau.outcome, bureau.why) == ("unavailable", "no-consent")
    other = waiting()
    assert questions(corrected(other, "annotated")) == []
    assert other.limit_changes[0].checks["bureau"].outcome == "answered"


# --- lower limits --------------------------------------------------------------------------------


def test_a_customers_own_decrease_is_granted_at_once_as_far_as_nothing_is_owed_above_it() -> None:
    case = card()
    effects = request(case, asked(DECREASE, 10_000))
    assert event(effects, review.LimitChangeDecided).limit == Money.of(10_000)
    assert limit_changes.limit_now(case) == Money.of(10_000)
    owes = card(account_facts=facts(balance=BalanceBand.FROM_1K))
    request(owes, asked(DECREASE, 9_900))
    assert state(owes) is ChangeState.DECIDING
    grant = (owes, FIRST, Money.of(9_900), WORDS, NOW)
    assert refusal(limit_changes.decide_grant, *grant) == "limit-not-fitting"
    unknown = card(account_facts=facts(balance=BalanceBand.FROM_50K))
    request(unknown, asked(DECREASE, 10_000))
    assert grant_obstacles(unknown, unknown.limit_changes[0], NOW) == ["OWED_UNKNOWN"]
    silent = card(account_facts=None)
    request(silent, asked(DECREASE, 10_000))
    assert state(silent) is ChangeState.DECIDING


def test_the_bank_lowers_by_a_risk_officers_signature_and_tells_before_it_takes_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = card()
    effects = list(limit_changes.decide_lower(case, "c-9", Money.of(10_000), WORDS, FIRST, NOW))
    assert event(effects, review.LimitChangeOpened).by_bank
    assert state(case) is ChangeState.PROPOSED
    peers_sign(monkeypatch, 50_000)
    assert refusal(limit_changes.decide_sign, case, SECOND, NOW, risk_officer=False) == (
        "risk-officer-needed"
    )
    decided = event(list(limit_changes.decide_sign(case, SECOND, NOW)), review.LimitChangeDecided)
    assert decided.by_bank
    assert decided.effective_on == add_working_days(TODAY, TERMS.decrease_notice_working_days)
    below = (card(), "c", Money.of(900), WORDS, FIRST, NOW)
    assert refusal(limit_changes.decide_lower, *below) == "limit-not-fitting"
    higher = (card(), "c", Money.of(20_000), WORDS, FIRST, NOW)
    assert refusal(limit_changes.decide_lower, *higher) == "limit-too-high"
    silent = (card(), "c", Money.of(10_000), "", FIRST, NOW)
    assert refusal(limit_changes.decide_lower, *silent) == "no-opinion"


# --- temporary ones ------------------------------------------------------------------------------


def temporary() -> tuple[Case, list[Any], datetime]:
    case = waiting(asked(TEMPORARY))
    effects = granted(case, 30_000)
    until = case.limit_changes[0].asked.until
    assert until is not None
    return case, effects, end_of_day(until)


def test_a_temporary_limit_ends_by_its_clock_and_the_customer_is_told_before() -> None:
    case, effects, end = temporary()
    clocks = {one.name: one.at for one in effects if isinstance(one, Deadline)}
    assert clocks[limit_changes.EXPIRY_DEADLINE] == end
    reminded = clocks[limit_changes.REMINDER_DEADLINE]
    assert (business_day(end) - business_day(reminded)).days == TERMS.temporary.remind_days_before
    assert limit_changes.limit_now(case) == Money.of(30_000)
    assert limit_changes.lasting_limit(case) == Money.of(20_000)
    told = event(list(limit_changes.on_reminder_deadline(case, reminded)), review.LimitExpiring)
    assert told.until == business_day(end)
    assert list(limit_changes.on_expiry_deadline(case, end - timedelta(seconds=1))) == []
    over = event(list(limit_changes.on_expiry_deadline(case, end)), review.LimitExpired)
    assert (over.limit, over.why) == (Money.of(20_000), "term")
    assert (state(case), limit_changes.limit_now(case)) == (ChangeState.ENDED, Money.of(20_000))
    assert list(limit_changes.on_expiry_deadline(case, end)) == []
    assert list(limit_changes.on_reminder_deadline(case, end)) == []


@pytest.mark.parametrize("why", ["chance", "suspicion", "neither"])
def test_an_increase_that_the_policy_would_grant_waits_by_chance_or_suspicion_alike(
    why: str,
) -> None:
    low = card()
    low.limit = Money.of(10_000)
    request(low, asked(yuan=15_000))
    hit = ["WATCHLIST_HIT"] if why == "suspicion" else []
    said: dict[str, Any] = {
        "outcome": "hold" if hit else "approve",
        "findings": hit,
        "sampled": why == "chance",
    }
    list(limit_changes.on_worked_out(result_of(low, **said), low, NOW))
    found = [one for one in low.entries if one.action == "limit_change_worked_out"]
    assert [one.details["findings"] for one in found] == [["SAMPLED"] if why != "neither" else []]
    assert (
        state(low)
        is {
            "chance": ChangeState.DECIDING,
            "suspicion": ChangeState.HELD,
            "neither": ChangeState.GRANTED,
        }[why]
    )


def test_nothing_is_raised_beside_a_temporary_limit_and_a_lower_one_ends_it() -> None:
    case, _effects, _end = temporary()
    request(case, asked(), "c-2")
    assert state(case) is ChangeState.REFUSED
    effects = request(case, asked(DECREASE, 10_000), "c-3")
    assert event(effects, review.LimitExpired).why == "lowered"
    assert ClearDeadline(limit_changes.EXPIRY_DEADLINE) in effects
    assert limit_changes.limit_now(case) == Money.of(10_000)


def test_what_the_bank_lowers_takes_nothing_away_before_it_takes_effect() -> None:
    case, _effects, end = temporary()
    list(limit_changes.decide_lower(case, "c-4", Money.of(10_000), WORDS, FIRST, NOW))
    effects = list(limit_changes.decide_sign(case, SECOND, NOW))
    assert not [
        one for one in effects if isinstance(getattr(one, "data", None), review.LimitExpired)
    ]
    lowered = event(effects, review.LimitChangeDecided)
    assert (lowered.limit, limit_changes.limit_now(case)) == (Money.of(10_000), Money.of(30_000))
    assert lowered.effective_on > TODAY
    begins = end_of_day(lowered.effective_on - timedelta(days=1))
    assert Deadline(limit_changes.EXPIRY_DEADLINE, begins) in effects
    assert begins < end
    assert ClearDeadline(limit_changes.REMINDER_DEADLINE) in effects
    assert list(limit_changes.on_expiry_deadline(case, begins - timedelta(seconds=1))) == []
    over = event(list(limit_changes.on_expiry_deadline(case, begins)), review.LimitExpired)
    assert (over.limit, over.why) == (Money.of(10_000), "lowered")
    assert limit_changes.limit_now(case) == Money.of(10_000)


def test_a_second_lowering_does_not_put_off_what_the_first_ends() -> None:
    case, _effects, _end = temporary()
    list(limit_changes.decide_lower(case, "c-4", Money.of(10_000), WORDS, FIRST, NOW))
    first = event(list(limit_changes.decide_sign(case, SECOND, NOW)), review.LimitChangeDecided)
    later = NOW + timedelta(days=1)
    list(limit_changes.decide_lower(case, "c-5", Money.of(8_000), WORDS, FIRST, later))
    effects = list(limit_changes.decide_sign(case, SECOND, later))
    assert event(effects, review.LimitChangeDecided).effective_on > first.effective_on
    begins = end_of_day(first.effective_on - timedelta(days=1))
    assert [one.at for one in effects if isinstance(one, Deadline)] == [begins]


def test_a_temporary_limit_that_ends_before_leaves_the_lasting_one_until_the_lower_one() -> None:
    case, _effects, end = temporary()
    late = end - timedelta(days=1)
    list(limit_changes.decide_lower(case, "c-4", Money.of(10_000), WORDS, FIRST, late))
    effects = list(limit_changes.decide_sign(case, SECOND, late))
    assert event(effects, review.LimitChangeDecided).effective_on > business_day(end)
    assert not [one for one in effects if isinstance(one, Deadline)]
    over = event(list(limit_changes.on_expiry_deadline(case, end)), review.LimitExpired)
    assert (over.limit, over.why) == (Money.of(20_000), "term")


def test_one_that_is_late_stands_in_the_history() -> None:
    case = waiting()
    change = case.limit_changes[0]
    assert list(limit_changes.on_due_deadline(case, change.due)) == []
    assert case.entries[-1].action == "limit_change_overdue"


# --- what a decision rests on ------------------------------------------------------------------


def decision(case: Case) -> LimitDecision:
    kept = case.limit_changes[-1].decision
    assert kept is not None
    return kept


def test_every_decision_keeps_what_it_rests_on_and_is_weighed_again_to_the_same_bytes() -> None:
    by_people, _effects, _end = temporary()
    low = card()
    low.limit = Money.of(10_000)
    alone = waiting(asked(yuan=15_000), low, outcome="approve")
    refused = waiting(asked(income_on=TODAY - timedelta(days=200)))
    list(limit_changes.decide_refuse(refused, FIRST, WORDS, NOW))
    beside = waiting()
    request(beside, asked(TEMPORARY), "c-2")
    lowered = card()
    request(lowered, asked(DECREASE, 10_000))
    silent = card(account_facts=None)
    request(silent, asked(DECREASE, 10_000))
    list(limit_changes.decide_refuse(silent, FIRST, WORDS, NOW))
    expected: list[tuple[Case, str, bool, tuple[str, ...]]] = [
        (by_people, "granted", False, ()),
        (alone, "granted", True, ()),
        (refused, "refused", False, ("INCOME_STALE",)),
        (beside, "refused", True, ("ANOTHER_CHANGE", "NOT_WORKED_OUT")),
        (lowered, "granted", True, ()),
        (silent, "refused", False, ("ACCOUNT_UNREPORTED",)),
    ]
    for case, outcome, automatic, against in expected:
        kept = decision(case)
        assert (kept.outcome, kept.automatic) == (outcome, automatic)
        grounds = Grounds.thaw(kept.grounds)
        assert grounds.freeze() == kept.grounds
        weighed = weigh(grounds)
        assert weighed.freeze() == kept.weighed
        assert weighed.obstacles == against
        if kept.granted is not None:
            assert weighed.least is not None
            assert weighed.most is not None
            assert weighed.least <= kept.granted <= weighed.most
    assert decision(lowered).policy is None
    assert decision(by_people).policy == by_people.limit_changes[0].recommendation


KEPT_BEFORE = json.loads(
    Path(__file__).with_name("limit_decisions_of_before.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("kept", KEPT_BEFORE)
def test_what_an_earlier_release_kept_is_weighed_again_to_the_same_bytes(
    kept: dict[str, str],
) -> None:
    grounds = Grounds.thaw(kept["grounds"])
    assert grounds.freeze() == kept["grounds"]
    assert weigh(grounds).freeze() == kept["weighed"]


def test_what_a_decision_kept_does_not_change_with_the_case() -> None:
    case = waiting()
    granted(case, 30_000)
    before = decision(case).grounds
    assert Grounds.thaw(before).lasting == 20_000_00  # before it was granted
    case.account_facts = facts(days_past_due=90)
    case.own_limits = 90_000_00
    assert decision(case).grounds == before
    assert Grounds.thaw(before).account is not None


# --- monotone, and never above the deduction ----------------------------------------------------

INCOMES = st.integers(min_value=0, max_value=200_000_00)
FEN = st.integers(min_value=0, max_value=300_000_00)


def offered(found: PolicyInputs, wanted: int) -> int:
    """The most that anybody may grant of a change that rests on these inputs, in fen."""
    verdict = shipped().policy.evaluate(replace(found, requested_limit=wanted))
    case = card()
    change = LimitChange("c", "n", asked(yuan=0), "customer", NOW, NOW, Money.of(20_000))
    change.asked = replace(change.asked, wanted=Money(minor=wanted))
    request(case, change.asked)
    list(
        limit_changes.on_worked_out(
            result_of(case, ceiling=verdict.ceiling.minor, findings=list(verdict.findings)),
            case,
            NOW,
        )
    )
    highest = limit_changes.weighed(case, case.limit_changes[-1], NOW).most
    assert highest is not None
    return highest.minor


@given(income=INCOMES, more=INCOMES, other=FEN, own=FEN, wanted=FEN)
def test_more_income_never_lowers_what_may_be_granted(
    income: int, more: int, other: int, own: int, wanted: int
) -> None:
    def at(amount: int) -> int:
        found = inputs(monthly_income=amount, own_existing=own, bureau_other_bank_limits=other)
        return offered(found, wanted)

    assert at(income) <= at(income + more)


@given(
    score=st.integers(min_value=300, max_value=900),
    drop=st.integers(min_value=0, max_value=600),
    overdue=st.integers(min_value=0, max_value=12),
    other=FEN,
    wanted=FEN,
)
def test_a_worse_bureau_record_never_raises_what_may_be_granted(
    score: int, drop: int, overdue: int, other: int, wanted: int
) -> None:
    better = inputs(bureau_score=score, bureau_other_bank_limits=other)
    worse = inputs(
        bureau_score=max(score - drop, 0), bureau_other_bank_limits=other,
        bureau_overdue_24m=overdue, bureau_max_overdue_days_24m=30 * overdue,
    )  # fmt: skip
    assert offered(worse, wanted) <= offered(better, wanted)


@given(income=INCOMES, other=FEN, own=FEN, wanted=FEN)
def test_what_may_be_granted_never_exceeds_the_deduction(
    income: int, other: int, own: int, wanted: int
) -> None:
    found = inputs(monthly_income=income, own_existing=own, bureau_other_bank_limits=other)
    left = max(0, found.terms.limit.customer_cap.minor - other - own)
    assert offered(found, wanted) <= min(left, wanted, found.terms.limit.largest.minor)


def test_only_raises_are_bounded_by_the_policy() -> None:
    assert {INCREASE, TEMPORARY} == RAISES
    case = card()
    request(case, asked(DECREASE, 100))
    change = open_change(case)
    assert change is not None
    assert limit_changes.weighed(case, change, NOW).most == Money.of(19_900)


def test_whoever_has_a_change_alone_decides_about_it_until_it_is_put_back() -> None:
    case = waiting()

    def holder() -> str | None:
        return case.limit_changes[-1].claimed_by

    assert list(limit_changes.decide_claim(case, FIRST, NOW)) == []
    assert (holder(), case.limit_changes[-1].changed) == (FIRST, True)
    grant = (limit_changes.decide_grant, case, OTHER, Money.of(30_000), WORDS, NOW)
    for tried in (
        grant,
        (limit_changes.decide_refuse, case, OTHER, WORDS, NOW),
        (limit_changes.decide_again, case, OTHER, NOW),
        (limit_changes.decide_claim, case, OTHER, NOW),
    ):
        assert refusal(*tried) == "claimed"
    assert refusal(limit_changes.decide_put_back, case, OTHER, NOW) == "not-yours"
    list(limit_changes.decide_put_back(case, OTHER, NOW, may_sign=True))
    assert holder() is None
    assert list(limit_changes.decide_grant(*grant[1:])) == []
    assert holder() == OTHER, "whoever proposes has it, if it comes back"
    assert refusal(limit_changes.decide_claim, case, FIRST, NOW) == "proposed"
    list(limit_changes.decide_return(case, SECOND, WORDS, NOW))
    assert refusal(limit_changes.decide_claim, case, FIRST, NOW) == "claimed"


def test_a_change_is_given_to_an_officer_also_while_its_evidence_is_on_its_way() -> None:
    case = waiting(ceiling=0)
    list(limit_changes.decide_reassign(case, "signer", officer(FIRST), NOW))
    change = case.limit_changes[-1]
    change.to(ChangeState.CHECKING)
    list(limit_changes.decide_reassign(case, "signer", officer(SECOND), NOW))
    assert change.claimed_by == SECOND
    line = case.entries[-1]
    assert (line.actor, line.action) == ("signer", "limit_change_reassigned")
    assert line.details == {"number": change.number, "holder": FIRST, "receiver": SECOND}
    gone = officer(OTHER, active=False)
    assert refusal(limit_changes.decide_reassign, case, "signer", gone, NOW) == "unknown-officer"


@pytest.mark.parametrize(("kind", "confidential"), [(INCREASE, True), (DECREASE, False)])
def test_who_claimed_an_increase_is_told_to_compliance_as_who_refused_it(
    kind: LimitChangeKind, confidential: bool
) -> None:
    case = waiting() if kind is INCREASE else card(account_facts=None)
    if kind is DECREASE:
        request(case, asked(DECREASE, 10_000))
    list(limit_changes.decide_claim(case, FIRST, NOW))
    list(limit_changes.decide_put_back(case, FIRST, NOW))
    told = [one.confidential for one in case.entries if one.actor == FIRST]
    assert told == [confidential] * 2


def test_a_change_that_is_held_is_claimed_like_one_that_waits() -> None:
    case = waiting(**HIT)
    assert case.limit_changes[-1].state is ChangeState.HELD
    assert list(limit_changes.decide_claim(case, FIRST, NOW)) == []
    assert case.limit_changes[-1].claimed_by == FIRST
