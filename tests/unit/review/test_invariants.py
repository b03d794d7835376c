"""Every rule of review that holds whatever a policy says: three tests of what it does, and that
each is on the way of a route or an event.

A rule fires on what breaks it, stays quiet on what does not, and at its boundary does both: the
last case that is right, and the first that is wrong.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from deploy.secret_files import make_secrets
from services import review
from services.review import (
    appeals,
    desk,
    disputes,
    examination,
    handlers,
    limit_changes,
    limits,
    queue,
    viewing,
    workers,
)
from services.review import case as cases
from services.review.accounts import AccountFacts, DormancyFigure
from services.review.app import build_app, build_service
from services.review.case import Case, CaseError, Check, Decision, Entry, Scope
from services.review.checks import ASKED, CHECKS, CheckName, fraud, plausibility
from services.review.checks.breaker import Breaker
from services.review.checks.kind import Evidence
from services.review.holds import HoldReason
from services.review.invariants import GAPS, INVARIANTS, Invariant, kind_of, place_of
from services.review.materials import SECOND_SOURCE
from services.review.policy import TABLES, Policy
from services.review.reason_codes import public_codes
from services.review.store import _REVIEW_STATES
from services.review.watchlists import Lists, ToldOfList, on_changed
from shared.calendar import business_day, end_of_day
from shared.clock import CLOCKS_APART
from shared.events import review as events_of_review
from shared.events.intake import (
    AppealWish,
    LimitChangeKind,
    MaterialCompleted,
    Meeting,
    WatchlistChanged,
)
from shared.events.lifecycle import State
from shared.events.payload import BalanceBand, CreditConsent
from shared.messaging import Call, ClaimedCall, Exhausted, Fact, Refused, Succeeded
from shared.money import Money
from shared.parameters import (
    Accounts,
    LimitChanges,
    Product,
    load_accounts,
    load_checks,
    load_limit_changes,
    product_of,
)
from shared.parameters.models import Checks, Clocks
from shared.privacy.sealing import Sealed
from shared.privacy.vault import KeyUnavailableError
from shared.settings import Environment, Settings
from shared.web import Viewer
from shared.web.permissions import WHOLE_BANK, Permission, Reach
from tests.unit.review.builders import (
    FIELDS,
    NOW,
    PAPERS,
    SEALED,
    SIGNED,
    TERMS,
    case,
    hand_over,
    heedless,
    inputs,
    officer,
    paper,
    recommendation,
    referred,
    shipped,
)
from tests.unit.review.test_limit_changes import asked, card, facts, waiting

Found = set[str]
Try = Callable[[], Found]
FIRST, SECOND = "staff-1", "staff-2"
MICROSECOND = timedelta(microseconds=1)
_REPORTED = facts()
_GUARANTEE = load_limit_changes().guarantee_days


class Three(NamedTuple):
    """The tests of one rule. boundary: the last that is right, the first that is wrong."""

    fires: Try
    quiet: Try
    boundary: tuple[Try, Try]


# -- what is refused, in one shape ----------------------------------------------------------------


def refused(decide: Callable[[], Iterable[Any]]) -> Found:
    """The code by which a command is refused."""
    try:
        list(decide())
    except CaseError as error:
        return {error.code}
    return set()


def appealed(
    by: str,
    *,
    deciders: tuple[str, ...] = (FIRST, SECOND),
    claimed: bool = False,
    given: bool = False,
) -> Try:
    """Somebody takes an appeal against a decision of these, is given it, or has it, and answers."""

    def tried() -> Found:
        subject = case(State.DECLINED)
        list(appeals.decide_open(subject, "a", AppealWish.HUMAN_REVIEW, "", "staff-9", NOW))
        (appeal,) = subject.appeals
        appeal.deciders = deciders
        if claimed:
            appeal.claimed_by = by
        else:
            wrong = refused(
                lambda: (
                    appeals.decide_reassign(subject, "staff-9", officer(by), NOW)
                    if given
                    else appeals.decide_claim(subject, by, NOW)
                )
            )
            if wrong:
                return wrong
        return refused(lambda: appeals.decide_answer(subject, by, "upheld", "sealed", NOW))

    return tried


def appealing(
    state: State = State.DECLINED,
    *,
    by_policy: bool = False,
    again: bool = False,
    answered: bool = False,
    lowered: bool = False,
) -> Try:
    """An officer opens an appeal for the customer; again: after another, which has its answer;
    lowered: by the bank, since the decision."""

    def tried() -> Found:
        subject = case(state, by_policy=by_policy)
        if lowered:
            subject = card(by_policy=by_policy)
            list(limit_changes.decide_lower(subject, "b", Money.of(9_000), "s", FIRST, NOW))
            list(limit_changes.decide_sign(subject, SECOND, NOW))
        ask = lambda: appeals.decide_open(subject, "a", AppealWish.HUMAN_REVIEW, "", FIRST, NOW)  # noqa: E731
        wrong = refused(ask)
        if not again:
            return wrong
        (appeal,) = subject.appeals
        assert appeal.due > NOW
        if answered:
            list(appeals.decide_claim(subject, "staff-3", NOW))
            list(appeals.decide_answer(subject, "staff-3", "upheld", "sealed", NOW))
        return refused(ask)

    return tried


def reconsidered(
    state: State = State.IN_USE, kind: str = "salaried", *, beside: bool = False
) -> Try:
    """Somebody finds that a limit deserves a new decision; beside: another change that waits."""

    def tried() -> Found:
        subject = card(applicant_type=kind, by_policy=True)
        if kind == "supplementary":
            subject.scope = replace(subject.need_scope(), applicant_type=kind)
        before, wish = subject.limit, Money.of(90_000)
        subject.hand_over = hand_over(new_to_bank=False, requested_limit=wish)
        if beside:
            list(limit_changes.on_requested(subject, "b", asked(), "customer", NOW))
        list(appeals.decide_open(subject, "a", AppealWish.HUMAN_REVIEW, "", "staff-9", NOW))
        subject.state = state
        list(appeals.decide_claim(subject, FIRST, NOW))
        wrong = refused(
            lambda: appeals.decide_answer(subject, FIRST, "changed", "s", NOW, change_id="c")
        )
        if not wrong:
            (change,) = subject.limit_changes
            assert (change.asked.wanted, change.granted, subject.limit) == (wish, None, before)
        return wrong

    return tried


def worked_out(ceiling: int, **said: Any) -> Try:
    """The rule, where a change is left to a person that the policy would not grant whole."""

    def tried() -> Found:
        wish, most = asked(yuan=10_000), Money.of(ceiling).minor
        subject = card()
        subject.limit = Money.of(5_000)
        waiting(wish, subject, **{"outcome": "approve", "ceiling": most, "limit": most, **said})
        change = subject.limit_changes[0]
        if change.state is limit_changes.ChangeState.DECIDING:
            return {"CHANGE_WHOLE_OR_BY_PEOPLE"}
        assert change.granted == wish.wanted
        return set()

    return tried


def raising(
    yuan: int,
    wish: limit_changes.Asked | None = None,
    *,
    facts: AccountFacts | None = _REPORTED,
    since: int = 0,
    **said: Any,
) -> Try:
    """What two people learn who try to grant an increase to so much, `since` fen of which the
    person got elsewhere meanwhile."""

    def tried() -> Found:
        subject = waiting(wish, card(account_facts=facts), **said)
        found = set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))
        grant = Money.of(yuan)
        wrong = refused(lambda: limit_changes.decide_grant(subject, FIRST, grant, "sealed", NOW))
        subject.own_limits = since
        found |= set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))
        return found | wrong | refused(lambda: limit_changes.decide_sign(subject, SECOND, NOW))

    return tried


def guaranteed(days: int | None, *, paper: bool = True) -> Try:
    """A student's increase, to which the guarantor agreed so many days ago."""

    def tried() -> Found:
        on = None if days is None else business_day(NOW) - timedelta(days=days)
        subject = card(applicant_type="student")
        if not paper:
            subject.need_hand_over().documents.clear()
        waiting(asked(yuan=3_000, guarantee_on=on), subject, ceiling=3_000_00)
        return set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))

    return tried


def alone(yuan: int, *, new: bool) -> Try:
    """The rule, where the policy that would grant the increase may not do so alone."""

    def tried() -> Found:
        subject = card()
        subject.limit = Money.of(5_000)
        subject.hand_over = hand_over(new_to_bank=new)
        waiting(asked(yuan=yuan), subject, outcome="approve")
        by_policy = subject.limit_changes[0].state is limit_changes.ChangeState.GRANTED
        return set() if by_policy else {"INCREASE_BY_PEOPLE_FOR_NEW"}

    return tried


def lowering(yuan: int, band: BalanceBand = BalanceBand.UNDER_1K) -> Try:
    """What an officer learns who wants to lower a limit to so much."""

    def tried() -> Found:
        subject = card(account_facts=facts(balance=band))
        limit = Money.of(yuan)
        wrong = refused(
            lambda: limit_changes.decide_lower(subject, "c", limit, "sealed", FIRST, NOW)
        )
        return wrong | set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))

    return tried


def lasting(days: int) -> Try:
    """A temporary limit for so many days."""

    def tried() -> Found:
        until = business_day(NOW) + timedelta(days=days)
        subject = waiting(asked(LimitChangeKind.TEMPORARY, until=until))
        return set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))

    return tried


def ending() -> Found:
    """The rule, once a temporary limit has gone back on its day."""
    subject = waiting(asked(LimitChangeKind.TEMPORARY))
    list(limit_changes.decide_grant(subject, FIRST, Money.of(30_000), "sealed", NOW))
    list(limit_changes.decide_sign(subject, SECOND, NOW))
    until = subject.limit_changes[0].asked.until
    assert until is not None
    list(limit_changes.on_expiry_deadline(subject, end_of_day(until)))
    back = limit_changes.limit_now(subject) == Money.of(20_000)
    return {"UNTIL_PASSED"} if back else set()


def told_of_limit(*, signed: bool = True, early: timedelta = timedelta(0)) -> Try:
    """The rule, where of a temporary limit is told that it was granted, that it ends soon and, so
    much before the end of its last day, that it has ended."""

    def tried() -> Found:
        subject = waiting(asked(LimitChangeKind.TEMPORARY))
        until = subject.limit_changes[0].asked.until
        assert until is not None
        list(limit_changes.decide_grant(subject, FIRST, Money.of(30_000), "sealed", NOW))
        told = list(limit_changes.decide_sign(subject, SECOND, NOW)) if signed else []
        told += limit_changes.on_reminder_deadline(subject, NOW)
        told += limit_changes.on_expiry_deadline(subject, end_of_day(until) - early)
        events = [type(one.data) for one in told if isinstance(one, Fact)]
        all_of_it = [events_of_review.LimitChangeDecided, events_of_review.LimitExpiring]
        all_of_it.append(events_of_review.LimitExpired)
        return {"LIMIT_CHANGE_TOLD"} if events == all_of_it else set()

    return tried


def arranged(*papers: str) -> Try:
    """By the policy that ships, of somebody with these papers beside what speaks for them."""

    def attempt() -> Found:
        seen = Evidence({}, "salaried", "11", papers=papers)
        noticed = tuple(hit.code for hit in plausibility.look(seen).hits)
        return found_by(shipped().policy, noticed=noticed)

    return attempt


def approving(subject: Case, note: str = "sealed") -> Found:
    """What two people learn who try to approve the case with as much as may be granted."""
    found = set(cases.approval_obstacles(subject, NOW))
    list(cases.decide_claim(subject, FIRST, NOW))
    limit = subject.recommendation.ceiling if subject.recommendation else Money.of(20_000)
    wrong = refused(lambda: cases.decide_propose_approval(subject, FIRST, limit, note, NOW))
    return (
        found | wrong if wrong else found | refused(lambda: cases.decide_sign(subject, SECOND, NOW))
    )


def handed(**changes: Any) -> Case:
    """A case of somebody whom the bank knows, with this hand-over."""
    subject = case()
    subject.hand_over = hand_over(**{"new_to_bank": False, **changes})
    return subject


def weighed(policy: Policy, subject: Case | None = None, **facts: Any) -> Case:
    """The case once the policy's verdict on these facts has come back from its worker."""
    subject = subject or handed(new_to_bank=facts.get("new_to_bank", False))
    verdict = policy.evaluate(inputs(**facts))
    value = {
        **workers._told(policy, verdict),
        "ceiling": verdict.ceiling.minor,
        "inputs": "sealed",
        "verdict": "sealed",
        "policy_version": policy.version,
        "policy_digest": policy.digest,
    }
    call = ClaimedCall("policy", "k", subject.application_id, {"scoring_round": 0}, 1)
    list(handlers.on_scored(Succeeded(value, call=call), subject, NOW))
    return subject


def found_by(policy: Policy, subject: Case | None = None, **facts: Any) -> Found:
    """What stands against the application, by the policy and before people; nothing where the
    machine approved it."""
    subject = weighed(policy, subject, **facts)
    if subject.state is State.APPROVED:
        return set()
    assert subject.recommendation is not None
    found = set(subject.recommendation.findings)
    return found | (approving(subject) if subject.state is State.MANUAL_REVIEW else set())


def taken_up(policy: Policy, reopens: str | None = "earlier", **facts: Any) -> Try:
    """A case of somebody whom the bank knows, who applies anew after an earlier application."""

    def tried() -> Found:
        subject = weighed(policy, handed(reopens=reopens), **facts)
        if subject.state is not State.MANUAL_REVIEW or subject.recommendation is None:
            return set()
        return set(subject.recommendation.findings)

    return tried


def heeded(**facts: Any) -> Try:
    """By a policy whose tables know nothing of it, about somebody new, so that people try too."""
    return lambda: found_by(heedless(), **facts)


def by_shipped(**facts: Any) -> Try:
    return lambda: found_by(shipped().policy, **facts)


def each(*tries: Try) -> Try:
    """What all of them find; none may pass because another is refused."""

    def attempt() -> Found:
        found = [one() for one in tries]
        assert all(found)
        return set().union(*found)

    return attempt


def each_quiet(*tries: Try) -> Try:
    """What any of them finds."""
    return lambda: set().union(*(one() for one in tries))


def people(**changes: Any) -> Try:
    """Two people try to approve a referred case with this hand-over."""

    def attempt() -> Found:
        subject = referred()
        subject.hand_over = hand_over(**changes)
        return approving(subject)

    return attempt


def papers(*items: str, **changes: Any) -> Try:
    """Two people try to approve with these papers."""
    return people(documents=[paper(item) for item in items], **changes)


def form(*fields: str) -> Try:
    """Two people try to approve by a form with these fields."""
    (party,) = hand_over().parties
    filled = party.model_copy(update={"fields": dict.fromkeys(fields, SEALED)})
    return people(parties=[filled])


def answered_until(left: timedelta, name: CheckName = "watchlist", *, machine: bool = False) -> Try:
    """An answer is valid so long still when two people try to approve, or when the machine that
    would do so has the policy's word."""

    def attempt() -> Found:
        subject = handed() if machine else referred()
        subject.checks[name] = Check(name, "r", 1, NOW, "answered", "sealed", NOW, NOW + left)
        if not machine:
            return approving(subject)
        found = recommendation(outcome="approve", findings=())
        list(cases.apply_recommendation(subject, found, NOW))
        return approving(subject) if subject.state is State.MANUAL_REVIEW else set()

    return attempt


def older_list() -> Found:
    """Two people try to approve somebody who was screened with another list."""
    subject = referred()
    subject.checks["watchlist"] = Check(
        "watchlist", "r", 1, NOW, "answered", "sealed", NOW, NOW + _VALID, screened_with="another"
    )
    return approving(subject)


def listed_anew(asked: timedelta, *, machine: bool = False, again: str = "") -> Try:
    """Two people, or the machine, try to approve somebody about whom the watchlists were asked so
    long after the time from which a list was another one, as the screening system says; `again`:
    whether they were asked about again since, and that was answered."""

    def attempt() -> Found:
        subject = handed() if machine else referred()
        at = NOW - timedelta(hours=1)
        told = ToldOfList("sanctions")
        fact = WatchlistChanged(list_name="sanctions", version="2", changed_at=at)
        on_changed(cast("Any", SimpleNamespace(data=fact)), told, NOW)
        (change,) = told.changes
        subject.checks["watchlist"] = Check(
            "watchlist", "r", 1, at + asked, "answered", "sealed", NOW, NOW + _VALID
        )
        watchlist = subject.checks["watchlist"]
        watchlist.about = ASKED["watchlist"].digest(subject.need_hand_over().examined.fields)
        subject.lists = Lists(1, change.since)
        if again:
            (asking,) = [
                one for one in examination.screen_again(subject, NOW) if isinstance(one, Call)
            ]
            request_id = asking.payload["request_id"]
            if again == "answered":
                examination.end(subject, "watchlist", request_id, NOW, answer=str(SEALED))
        if not machine:
            return approving(subject)
        found = recommendation(outcome="approve", findings=())
        list(cases.apply_recommendation(subject, found, NOW))
        return approving(subject) if subject.state is State.MANUAL_REVIEW else set()

    return attempt


def corrected(*names: str, machine: bool = False, started: bool = True) -> Try:
    """Two people, or the machine, try to approve somebody of whom these fields were corrected after
    everybody had answered; started: whether the checks have begun anew."""

    def attempt() -> Found:
        subject = handed() if machine else referred()
        list(examination.start(subject, NOW))
        for check in list(subject.checks.values()):
            list(examination.end(subject, check.name, check.request_id, NOW, answer=str(SEALED)))
        over = subject.need_hand_over()
        fields = {**over.examined.fields, **dict.fromkeys(names, Sealed(f"{SEALED}B"))}
        party = over.examined.model_copy(update={"fields": fields})
        cases.begin_review(subject, replace(over, parties=[party], handed_at=NOW))
        if started:
            list(examination.start(subject, NOW))
        subject.weighed_round = subject.scoring_round
        found = recommendation(outcome="approve", findings=())
        if machine:
            list(cases.apply_recommendation(subject, found, NOW))
        return approving(subject) if subject.state is State.MANUAL_REVIEW else set()

    return attempt


def late_paper(document_id: str | None, outcome: str = "approve") -> Try:
    """The machine would decide, after a paper has come with this id; None: none came."""

    def attempt() -> Found:
        subject = handed()
        if document_id is not None:
            late = (
                subject.need_hand_over()
                .documents[0]
                .model_copy(update={"document_id": document_id})
            )
            examination.add_paper(subject, late, NOW)
        found = recommendation(outcome=outcome, findings=("SCORE_TOO_LOW",))
        list(cases.apply_recommendation(subject, found, NOW))
        return {"LATE_PAPER_BY_PEOPLE"} if subject.state is State.MANUAL_REVIEW else set()

    return attempt


def student(*items: str) -> Try:
    def attempt() -> Found:
        subject = referred()
        subject.need_scope().applicant_type = "student"
        documents = subject.need_hand_over().documents
        documents += [documents[0].model_copy(update={"item": item}) for item in items]
        return approving(subject)

    return attempt


def issuing(dormant: int | None, *, age: int = 0, **terms: Any) -> Try:
    """Two people try to approve while so many of a thousand cards lie dormant, by a figure so many
    days old; None: nobody knows how many."""

    def attempt() -> Found:
        subject = referred()
        if dormant is not None:
            told = NOW.date() - timedelta(days=age)
            subject.dormancy = DormancyFigure(told, NOW, 1_000, dormant, told)
        known = load_accounts()
        dormancy = known.dormancy.model_copy(update=terms)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                cases, "load_accounts", lambda: known.model_copy(update={"dormancy": dormancy})
            )
            return approving(subject)

    return attempt


# -- four eyes ------------------------------------------------------------------------------------


def claimed(by: str = FIRST) -> Case:
    subject = referred()
    list(cases.decide_claim(subject, by, NOW))
    return subject


def declining(note: str) -> Try:
    def attempt() -> Found:
        subject = claimed()
        return refused(
            lambda: cases.decide_propose_decline(subject, FIRST, "BUREAU_ADVERSE", note, NOW)
        ) or refused(lambda: cases.decide_sign(subject, SECOND, NOW))

    return attempt


def unproposed() -> Found:
    subject = claimed()
    return refused(lambda: cases.decide_sign(subject, SECOND, NOW))


def signed_by(staff_id: str) -> Try:
    """FIRST proposes, SECOND sends it back and proposes anew; who signs that?"""

    def attempt() -> Found:
        subject = claimed()
        list(cases.decide_propose_approval(subject, FIRST, Money.of(20_000), "sealed", NOW))
        list(cases.decide_return(subject, SECOND, "sealed", NOW))
        list(cases.decide_put_back(subject, FIRST, NOW))
        list(cases.decide_claim(subject, SECOND, NOW))
        list(cases.decide_propose_decline(subject, SECOND, "ID_MISMATCH", "sealed", NOW))
        return refused(lambda: cases.decide_sign(subject, staff_id, NOW))

    return attempt


def unscored(decline: bool = False) -> Try:
    def attempt() -> Found:
        subject = case(State.MANUAL_REVIEW, queued_at=NOW)
        if not decline:
            return approving(subject)
        list(cases.decide_claim(subject, FIRST, NOW))
        return refused(
            lambda: cases.decide_propose_decline(subject, FIRST, "ID_MISMATCH", "sealed", NOW)
        )

    return attempt


# -- disputes about the credit report -------------------------------------------------------------


def reported(subject: Case) -> Case:
    """The bureau has answered."""
    subject.checks["bureau"] = Check(
        "bureau", "r1", 1, NOW, "answered", "sealed", NOW, NOW + timedelta(days=30)
    )
    return subject


def disputing(outcome: disputes.Outcome | None = None, *, of_another: bool = False) -> Try:
    """By the policy that ships, which would decline alone, while the person disputes the report;
    or after the answer."""

    def attempt() -> Found:
        subject = reported(handed())
        if of_another:
            subject.person_disputes = outcome is None
        else:
            list(disputes.decide_open(subject, "d", "sealed", FIRST, NOW))
            if outcome is not None:
                list(disputes.decide_claim(subject, SECOND, NOW))
                list(disputes.decide_answer(subject, SECOND, outcome, "sealed", NOW))
                subject.scoring_round = 0
        weighed(shipped().policy, subject, bureau_adverse=True)
        if subject.state is State.DECLINED:
            return set()
        assert subject.recommendation is not None
        return set(subject.recommendation.findings) & {"REPORT_DISPUTED"}

    return attempt


def disputing_with_a_card(outcome: disputes.Outcome | None = None) -> Try:
    """An increase that the policy that ships would grant alone, while the person disputes the
    report, or after the answer."""

    def attempt() -> Found:
        subject = card()
        subject.limit = Money.of(10_000)
        list(disputes.decide_open(subject, "d", "sealed", FIRST, NOW))
        if outcome is not None:
            list(disputes.decide_claim(subject, SECOND, NOW))
            list(disputes.decide_answer(subject, SECOND, outcome, "sealed", NOW))
        waiting(asked(yuan=15_000), subject, outcome="approve")
        if subject.limit_changes[0].state is limit_changes.ChangeState.GRANTED:
            return set()
        return set(subject.entries[-1].details["findings"]) & {"REPORT_DISPUTED"}

    return attempt


def corrected_with_a_card(outcome: disputes.Outcome) -> Try:
    """People try to grant an increase by the report that somebody disputed, after the answer."""

    def attempt() -> Found:
        consent = CreditConsent(signed_at=SIGNED, purpose=examination.CREDIT_PURPOSE)
        subject = waiting(asked(consent=consent))
        list(disputes.decide_open(subject, "d", "sealed", FIRST, NOW))
        list(disputes.decide_claim(subject, SECOND, NOW))
        list(disputes.decide_answer(subject, SECOND, outcome, "sealed", NOW))
        return set(limit_changes.grant_obstacles(subject, subject.limit_changes[0], NOW))

    return attempt


def corrected_beside(asked: timedelta, *, machine: bool = False) -> Try:
    """Two people, or the machine, try to approve by a report about which the bureau was asked so
    long after it was put right beside another application of the person."""

    def attempt() -> Found:
        subject = reported(handed() if machine else referred())
        subject.checks["bureau"].requested_at = NOW + asked
        subject.corrected_beside = NOW
        if not machine:
            return approving(subject)
        list(cases.apply_recommendation(subject, recommendation(outcome="approve"), NOW))
        return approving(subject) if subject.state is State.MANUAL_REVIEW else set()

    return attempt


def declined_beside(asked: timedelta, *, proposed: bool = False) -> Try:
    """Somebody would decline by a report about which the bureau was asked so long after it was put
    right beside another application of the person; proposed: the first of the two wanted to before
    that."""

    def attempt() -> Found:
        subject = reported(referred())
        subject.claimed_by = "L1"
        decline = ("L1", "MATERIAL_UNSOUND", "逾期", NOW)
        if proposed:
            list(cases.decide_propose_decline(subject, *decline))
        subject.checks["bureau"].requested_at = NOW + asked
        subject.corrected_beside = NOW
        try:
            if not proposed:
                list(cases.decide_propose_decline(subject, *decline))
            list(cases.decide_sign(subject, "L2", NOW))
        except CaseError as refused:
            return {refused.code}
        return set()

    return attempt


def answered_as(outcome: disputes.Outcome) -> Try:
    """People try to approve by the report that somebody disputed, after the answer."""

    def attempt() -> Found:
        subject = reported(referred())
        list(disputes.decide_open(subject, "d", "sealed", FIRST, NOW))
        list(disputes.decide_claim(subject, SECOND, NOW))
        list(disputes.decide_answer(subject, SECOND, outcome, "sealed", NOW))
        return set(cases.approval_obstacles(subject, NOW)) & {"CHECK_PENDING"}

    return attempt


def still_unanswered(on_day: int, *, after: timedelta = timedelta(0)) -> Try:
    """At the end of a day of November, of a dispute of the 3rd."""

    def attempt() -> Found:
        subject = reported(referred())
        list(disputes.decide_open(subject, "d", "sealed", FIRST, NOW))
        (one,) = subject.appeals
        now = datetime(2026, 11, on_day, 15, 59, 59, tzinfo=UTC) + after  # midnight in Shanghai
        late = queue.clock_of(one.due, now).urgency == "late"
        list(disputes.on_warning(subject, one.due - timedelta(days=1)))
        list(disputes.on_deadline(subject, now))
        noted = [entry.action for entry in subject.entries[-2:]] == [
            *("dispute_near", "dispute_overdue")
        ]
        assert noted or not late
        return {"DISPUTE_ANSWERED"} if late else set()

    return attempt


# -- fraud, and what is held for it ---------------------------------------------------------------


def noticing(warnings: tuple[str, ...] = (), **shared: int) -> Try:
    """The fraud rules look at what an application shares with others, and the policy whose tables
    know nothing of it weighs what they find."""

    def attempt() -> Found:
        seen = Evidence({}, "salaried", "11", warnings, shared=shared)
        noticed = tuple(hit.code for hit in fraud.look(seen).hits)
        return found_by(heedless(), noticed=noticed)

    return attempt


def held_by(staff_id: str, *, ended_by: str, signed_by: str = SECOND) -> Try:
    """Somebody tries to decide about a held case; then it is released with the proposal to decline,
    which is signed."""

    def attempt() -> Found:
        subject = claimed(staff_id)
        list(cases.decide_hold(subject, staff_id, HoldReason.OTHER, "sealed", NOW))
        found = refused(lambda: cases.decide_claim(subject, staff_id, NOW))
        assert found == {"not-in-queue"}
        ends = lambda: cases.decide_release(subject, ended_by, "confirmed", "sealed", NOW)  # noqa: E731
        if wrong := refused(ends):
            return found | wrong
        return refused(lambda: cases.decide_sign(subject, signed_by, NOW))

    return attempt


# -- identity, limits, the bureau -----------------------------------------------------------------


def unregistered(**saw: bool) -> Try:
    """Of a document that the registry does not hold; saw: what somebody of the bank did."""

    def attempt() -> Found:
        subject = referred(findings=("IDENTITY_UNAVAILABLE",))
        subject.checks["identity"] = Check(
            "identity", "r1", 1, NOW, outcome="unavailable", why=cases.OTHER_DOCUMENT
        )
        if saw:
            meeting = Meeting(**saw, staff_id=FIRST, at=SIGNED, evidence=["d1"])
            subject.hand_over = hand_over(meeting=meeting)
        return approving(subject)

    return attempt


def granting(limit: int, *, later: int = 40_000) -> Try:
    """Of 40,000 at most; later: the most when the second person signs."""

    def attempt() -> Found:
        subject = claimed()
        asked = Money.of(limit)
        if wrong := refused(
            lambda: cases.decide_propose_approval(subject, FIRST, asked, "sealed", NOW)
        ):
            return wrong
        subject.recommendation = recommendation(ceiling=Money.of(later))
        return refused(lambda: cases.decide_sign(subject, SECOND, NOW))

    return attempt


def outgrown(*, limits: int | None = 0, cards: int | None = 0, machine: bool = False) -> Try:
    """The person has so much more, fen and cards, by the time when the second person signs, or
    when the machine that would approve has the policy's word."""

    def attempt() -> Found:
        if machine:
            subject = handed()
            subject.own_limits, subject.own_cards = limits, cards
            effects = list(_scored_alone(subject))
            if subject.state is State.APPROVED:
                return set()
            assert (subject.state, subject.recommendation) == (State.CHECKING, None)
            assert [one.kind for one in effects if isinstance(one, Call)] == ["policy"]
            return {"OWN_LIMITS_CHANGED"}
        subject = claimed()
        limit = Money.of(20_000)
        list(cases.decide_propose_approval(subject, FIRST, limit, "sealed", NOW))
        subject.own_limits, subject.own_cards = limits, cards
        against = set(cases.approval_obstacles(subject, NOW))
        wrong = refused(lambda: cases.decide_sign(subject, SECOND, NOW))
        assert wrong == ({"not-approvable"} if against else set())
        return against

    return attempt


def _scored_alone(subject: Case) -> Iterable[Any]:
    """The policy would approve, and had deducted nothing."""
    policy = heedless()
    verdict = policy.evaluate(inputs())
    value = {
        **workers._told(policy, verdict),
        "ceiling": verdict.ceiling.minor,
        "inputs": "sealed",
        "verdict": "sealed",
        "policy_version": policy.version,
        "policy_digest": policy.digest,
        "own_existing": 0,
        "own_cards": 0,
    }
    call = ClaimedCall("policy", "k", subject.application_id, {"scoring_round": 0}, 1)
    return handlers.on_scored(Succeeded(value, call=call), subject, NOW)


def holding_by_now(cards: int) -> Try:
    """Before two people lies a case whose verdict counted as many cards as there are now."""

    def attempt() -> Found:
        subject = referred(own_cards=cards)
        subject.own_cards = cards
        return set(cases.approval_obstacles(subject, NOW))

    return attempt


def in_cash(share: str) -> Try:
    """Fires where the limit bounds what the product's share would give."""

    def attempt() -> Found:
        limit, step = Money.of(10_000), Money.of(100)
        cash = limits.cash_limit(limit, Decimal(share), step)
        assert cash <= limit
        return {"CASH_WITHIN_LIMIT"} if cash < limit.times(share, limits.LIMIT_ROUNDING) else set()

    return attempt


def querying(consent: CreditConsent | None) -> Try:
    def attempt() -> Found:
        subject = handed(consent=consent)
        asked = {one.kind for one in examination.start(subject, NOW) if isinstance(one, Call)}
        why = subject.checks["bureau"].why
        assert (why is None) == ("check.bureau" in asked)
        return {why} if why else set()

    return attempt


def signed(at: datetime, purpose: str = examination.CREDIT_PURPOSE) -> CreditConsent:
    return CreditConsent(signed_at=at, purpose=purpose)


class Records:
    """What workers know of a case in this state."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def is_open(self, application_id: str) -> bool:
        return self.state in _REVIEW_STATES

    async def own_cards(self, person: str, application_id: str) -> Any:
        return None

    async def policies(self, at: datetime) -> Any:
        return None, []


async def _locked() -> Any:
    """A vault that has the person's keys no more."""

    async def gone(*_: Any) -> Any:
        raise KeyUnavailableError("gone")

    return SimpleNamespace(open=gone, party_keys=gone)


def asking(state: State) -> Try:
    """The bureau's worker is about to ask about a case in this state."""

    def attempt() -> Found:
        worker = workers.check_worker(
            "bureau",
            store=cast("Any", None),
            client=cast("Any", None),
            url="",
            open_vault=_locked,
            records=cast("Any", Records(state)),
            breaker=Breaker("bureau", lambda: NOW),
            backoff=0,
        )
        claimed_call = ClaimedCall("check.bureau", "k", "a", {**_CALL, "application_id": "a"}, 1)
        result: Any = asyncio.run(cast("Any", worker.call(claimed_call)))
        return {result.reason}

    return attempt


_CALL: Mapping[str, Any] = {"party_id": "p", "fields": {}, "answers": {}, "scoring_round": 0}


def asked_again(after: timedelta) -> Try:
    """A second hand-over, so long after the bureau's answer."""

    def attempt() -> Found:
        subject = handed()
        list(examination.start(subject, NOW))
        for check in list(subject.checks.values()):
            list(examination.end(subject, check.name, check.request_id, NOW, answer="sealed"))
        again = examination.start(subject, NOW + after)
        asked = {one.kind for one in again if isinstance(one, Call)}
        return set() if "check.bureau" in asked else {"nothing-to-repeat"}

    return attempt


def unheard(why: str) -> Try:
    """A reviewer asks once more after the bureau's answer was lost, or it would give none."""

    def attempt() -> Found:
        subject = referred()
        list(examination.start(subject, NOW))
        first = subject.checks["bureau"].request_id
        list(examination.end(subject, "bureau", first, NOW, why=why))
        list(examination.repeat(subject, FIRST, NOW + timedelta(hours=1)))
        return {"nothing-to-repeat"} if subject.checks["bureau"].request_id == first else set()

    return attempt


def repeating(why: str | None) -> Try:
    """A reviewer asks once more; why: what became of the bureau's check, None: it answered."""

    def attempt() -> Found:
        subject = referred()
        subject.checks["bureau"] = Check(
            "bureau",
            "r1",
            1,
            NOW,
            outcome="unavailable" if why else "answered",
            why=why,
            valid_until=None if why else NOW + timedelta(days=1),
        )
        return refused(lambda: examination.repeat(subject, FIRST, NOW))

    return attempt


# -- who knows, how long --------------------------------------------------------------------------


def viewer(*permissions: Permission, reach: Reach = WHOLE_BANK) -> Viewer:
    grants = dict.fromkeys(permissions, reach)
    return Viewer(FIRST, "", frozenset(), grants, WHOLE_BANK, "zh-CN")


def told(who: Viewer) -> Try:
    """A held case, its history, what was found and who decided, as somebody sees them."""

    def attempt() -> Found:
        held = weighed(heedless(), watchlist="hit")
        assert held.state is State.ON_HOLD
        by = Decision(
            "d", "decline", False, ("C1", "R1"), ("WATCHLIST_HIT",), None, "internal",
            date(2027, 1, 1), "", "", "", "", NOW,
        )  # fmt: skip
        lines = [*held.entries, Entry(NOW, "C1", "released")]
        confidential = who.may_in(Permission.REVIEW_COMPLIANCE, "1101")
        assert held.recommendation is not None
        found = held.recommendation.findings
        assert public_codes(found) == ["INTERNAL"]  # outside, whoever asks
        assert desk.public_findings(found, confidential=confidential) == (
            ["WATCHLIST_HIT", "SAMPLED"] if confidential else ["SAMPLED"]
        )
        (change,) = waiting(findings=["WATCHLIST_HIT"]).limit_changes
        refusal = waiting(findings=["WATCHLIST_HIT"])
        list(limit_changes.decide_release(refusal, "C1", "confirmed", "sealed", NOW))
        assert viewing.shown_deciders(refusal.limit_changes[0], "1101", who) == (
            ("C1",) if confidential else None
        )
        seen = {
            viewing.shown_change_state(change, who) is limit_changes.ChangeState.HELD,
            viewing.shown_case(held, who).state is State.ON_HOLD,
            any(one.action in ("held", "released") for one in viewing.shown_history(lines, who)),
            bool(viewing.shown_decision(by, who).decided_by),
        }
        assert len(seen) == 1, "part of it is told"
        return set() if seen.pop() else {"SUSPICION_CONFIDENTIAL"}

    return attempt


def erased() -> Found:
    """The person's keys are gone when the policy is to be applied."""
    worker = workers.policy_worker(
        store=cast("Any", None),
        open_vault=_locked,
        records=cast("Any", Records(State.SCORING)),
        now=lambda: NOW,
        picked=lambda: False,
        backoff=0,
    )
    call = ClaimedCall("policy", "k", "a", {**_CALL, "application_id": "a", "person": "p"}, 1)
    result: Any = asyncio.run(cast("Any", worker.call(call)))
    return unscorable(type(result)(result.reason, call=call))()


def unscorable(result: Any) -> Try:
    """Fires where nothing is decided and nobody tries again."""

    def attempt() -> Found:
        subject = handed()
        effects = list(handlers.on_scored(result, subject, NOW))
        assert subject.decisions == []
        return set() if effects else {result.reason}

    return attempt


def scored() -> Found:
    return set() if weighed(heedless()).decisions else {"no-key"}


_SCORING = ClaimedCall("policy", "k", "a", dict(_CALL), 1)


def on(
    day: int,
    *,
    applicant_type: str = "salaried",
    after: timedelta = timedelta(0),
    awaited: int | None = None,
) -> Try:
    """At the end of a day of the month in which the case was handed over, on Tuesday the 3rd.
    awaited: from then until that day the customer was."""

    def attempt() -> Found:
        subject = case()
        subject.need_scope().applicant_type = applicant_type
        cases.begin_review(subject, hand_over())
        if awaited is not None:
            subject.state, subject.awaited_since = State.AWAITING_MATERIAL, NOW
            brought = datetime(2026, 11, awaited, tzinfo=UTC)
            cases.follow(subject, MaterialCompleted, None, brought)
        assert subject.due is not None
        now = datetime(2026, 11, day, 15, 59, 59, tzinfo=UTC) + after  # midnight in Shanghai
        late = queue.clock_of(subject.due, now).urgency == "late"
        return {"REVIEW_IN_TIME"} if late else set()

    return attempt


def reapplying(*reasons: str, days: int = 0) -> Try:
    """So many days after a decline for these reasons."""

    def attempt() -> Found:
        scope = Scope("1", "1101", "11", "web", "standard", "2026.2", "salaried")
        day = date(2026, 11, 3) + timedelta(days=days)
        first = cases.reapply_from(scope, reasons, NOW)
        return {"COOL_DOWN_TOLD"} if day < first else set()

    return attempt


_NAMELESS = hand_over().parties[0].model_copy(update={"fields": {"id_number": SEALED}})
_CAPPED = replace(TERMS, cards_per_customer=5)
_MOST_CARDS = product_of("standard", "2026.1").cards_per_customer
_COOL_DOWN = product_of("standard", "2026.2").cool_down.days
_VALID = CHECKS["bureau"].valid
_FRAUD = load_checks().fraud
_SEEN = {"saw_person": True, "saw_original": True, "saw_signing": True}

TESTS: Mapping[str, Three] = {
    "NEW_TO_BANK_BY_PEOPLE": Three(
        heeded(new_to_bank=True),
        heeded(),
        (by_shipped(), by_shipped(new_to_bank=True, bureau_adverse=True)),
    ),
    "CLOSER_LOOK": Three(
        each(
            by_shipped(bureau_score=None),
            by_shipped(bureau_adverse=True),
            by_shipped(bureau_overdue_24m=1),
            by_shipped(bureau_queries_3m=7),
            by_shipped(bureau_open_cards=9),
            by_shipped(warnings=1),
            arranged("employer_authorization"),
        ),
        arranged("work_proof"),
        (by_shipped(bureau_queries_3m=6), by_shipped(bureau_queries_3m=7)),
    ),
    "OPINION_STATED": Three(
        each(unproposed, declining(""), lambda: approving(referred(), "")),
        declining("sealed"),
        (lambda: approving(referred(), "s"), lambda: approving(referred(), " \n")),
    ),
    "TWO_PEOPLE_SIGN": Three(
        signed_by(SECOND), signed_by("staff-3"), (signed_by(FIRST), signed_by(SECOND))
    ),
    "TAKEN_UP_BY_PEOPLE": Three(
        each(
            taken_up(shipped().policy),
            taken_up(shipped().policy, bureau_adverse=True),  # the machine declined it before
        ),
        lambda: found_by(heedless()),
        (taken_up(heedless(), None), taken_up(heedless())),
    ),
    "DECLINE_APPEALED": Three(
        each(appealing(State.MANUAL_REVIEW), appealing(again=True)),
        appealing(),
        (appealing(again=True, answered=True), appealing(again=True)),
    ),
    "AUTOMATED_LIMIT_APPEALED": Three(
        each(
            appealing(State.IN_USE),
            appealing(State.APPROVED, by_policy=True, again=True),
            appealing(by_policy=True, lowered=True),
        ),
        appealing(State.APPROVED, by_policy=True),
        (appealing(State.IN_USE, by_policy=True), appealing(State.IN_USE)),
    ),
    "APPEALED_LIMIT_RAISED_BY_RULE": Three(
        each(
            reconsidered(State.EXPIRED),
            reconsidered(kind="supplementary"),
            reconsidered(beside=True),
        ),
        reconsidered(),
        (reconsidered(State.ACTIVATED), reconsidered(State.EXPIRED)),
    ),
    "CHANGE_WHOLE_OR_BY_PEOPLE": Three(
        each(worked_out(10_000, outcome="decline", advice="decline"), worked_out(0)),
        worked_out(20_000),
        (worked_out(10_000), worked_out(9_900)),
    ),
    "APPEAL_BY_ANOTHER": Three(
        each(appealed(FIRST), appealed(FIRST, given=True), appealed(FIRST, claimed=True)),
        lambda: appealed("staff-3")() | appealed("staff-3", given=True)(),
        (appealed(FIRST, deciders=()), appealed(SECOND)),
    ),
    "DISPUTE_ANSWERED": Three(
        still_unanswered(24),
        still_unanswered(4),
        (still_unanswered(23), still_unanswered(23, after=MICROSECOND)),
    ),
    "DISPUTED_REPORT_BY_PEOPLE": Three(
        each(disputing(), disputing(of_another=True), disputing_with_a_card()),
        lambda: by_shipped()() | disputing_with_a_card("upheld")(),
        (disputing("upheld"), disputing()),
    ),
    "CORRECTED_REPORT_ASKED_ANEW": Three(
        each(
            answered_as("corrected"),
            corrected_with_a_card("corrected"),
            corrected_beside(-MICROSECOND),
            corrected_beside(-MICROSECOND, machine=True),
            declined_beside(-MICROSECOND),
            declined_beside(-MICROSECOND, proposed=True),
        ),
        lambda: people()() | corrected_with_a_card("upheld")() | declined_beside(timedelta(0))(),
        (corrected_beside(timedelta(0)), corrected_beside(-MICROSECOND)),
    ),
    "LATE_PAPER_BY_PEOPLE": Three(
        each(late_paper("late"), late_paper("late", "decline")),
        late_paper(None),
        (late_paper(f"d-{PAPERS[0]}"), late_paper("late")),
    ),
    "EVIDENCE_FROZEN": Three(
        each(unscored(), unscored(decline=True)),
        people(),
        (declining("sealed"), unscored(decline=True)),
    ),
    "MATERIAL_THERE": Three(
        each(
            people(documents=[]),
            papers("id_front"),
            lambda: found_by(heedless(), handed(documents=[])),  # the machine would approve it
        ),
        people(),
        (papers(*PAPERS[1:], waived=["application_form_signed"]), papers(*PAPERS[1:])),
    ),
    "FIELDS_THERE": Three(
        each(
            form("name", "id_number"),
            lambda: found_by(heedless(), handed(parties=[_NAMELESS])),
        ),
        form(*FIELDS, "email"),
        (form(*FIELDS), form(*FIELDS[1:])),
    ),
    "EVIDENCE_WITHIN_VALIDITY": Three(
        each(
            answered_until(timedelta(days=-1)),
            answered_until(timedelta(days=-1), "bureau"),
            answered_until(timedelta(days=-1), "identity", machine=True),
            older_list,
        ),
        answered_until(timedelta(days=1)),
        (answered_until(MICROSECOND), answered_until(timedelta(0))),
    ),
    "EVIDENCE_ABOUT_WHO_APPLIES": Three(
        each(
            corrected("id_number"),
            corrected("id_number", started=False),
            corrected("name", machine=True),
            corrected("name", machine=True, started=False),
        ),
        corrected(),
        (corrected("mobile", machine=True), corrected("name", machine=True)),
    ),
    "RESCREENED_BY_EVERY_LIST": Three(
        each(
            listed_anew(timedelta(hours=-1)),
            listed_anew(timedelta(hours=-1), machine=True),
            listed_anew(timedelta(hours=-1), again="asked"),
            older_list,
        ),
        listed_anew(timedelta(hours=-1), again="answered"),
        (listed_anew(CLOCKS_APART), listed_anew(CLOCKS_APART - MICROSECOND)),
    ),
    "MISSING_NEVER_PASSES": Three(
        each(heeded(identity="unavailable"), heeded(bureau=None), heeded(watchlist="unavailable")),
        heeded(),
        (heeded(identity="match"), heeded(identity="unavailable")),
    ),
    "SEEN_WHERE_NOT_REGISTERED": Three(
        unregistered(),
        unregistered(**_SEEN),
        (
            unregistered(**{**_SEEN, "saw_signing": False}),
            unregistered(**{**_SEEN, "saw_original": False}),
        ),
    ),
    "STUDENT_SECOND_SOURCE": Three(
        each(heeded(applicant_type="student"), student()),
        heeded(),
        (student(SECOND_SOURCE), student("enrolment_proof")),
    ),
    "FRAUD_SEEN_BY_PEOPLE": Three(
        noticing(
            ("DEVICE_SHARED", *_FRAUD.contradicts[: _FRAUD.contradictions]),
            person=_FRAUD.same_person.count,
            mobile=_FRAUD.same_mobile.count,
            office_phone=_FRAUD.same_office_phone.count,
            work_address=_FRAUD.same_work_address.count,
            employer=_FRAUD.same_employer.count,
        ),
        noticing(),
        (
            noticing(mobile=_FRAUD.same_mobile.count - 1),
            noticing(mobile=_FRAUD.same_mobile.count),
        ),
    ),
    "HELD_UNTIL_LOOKED_INTO": Three(
        each(
            held_by(FIRST, ended_by=FIRST),
            held_by(FIRST, ended_by="officer", signed_by=FIRST),
        ),
        lambda: refused(lambda: cases.decide_claim(referred(), FIRST, NOW)),
        (held_by(FIRST, ended_by="officer"), held_by("officer", ended_by="officer")),
    ),
    "IDENTITY_CONFIRMED": Three(
        each(
            heeded(identity="mismatch", new_to_bank=True),
            heeded(identity="cancelled", new_to_bank=True),
        ),
        heeded(),
        (heeded(identity="match"), heeded(identity="mismatch")),
    ),
    "WATCHLIST_HIT_HELD": Three(
        heeded(watchlist="hit"),
        heeded(),
        (heeded(watchlist="clear"), heeded(watchlist="hit", identity="mismatch")),
    ),
    "AGE_WITHIN_PRODUCT": Three(
        heeded(age=17, new_to_bank=True), heeded(age=30), (heeded(age=65), heeded(age=66))
    ),
    "CARDS_PER_CUSTOMER": Three(
        each(
            heeded(terms=_CAPPED, own_cards=9, new_to_bank=True),
            outgrown(cards=1),
            outgrown(cards=1, machine=True),
        ),
        heeded(terms=_CAPPED),
        (
            each_quiet(heeded(terms=_CAPPED, own_cards=4), holding_by_now(_MOST_CARDS - 1)),
            each(heeded(terms=_CAPPED, own_cards=5), holding_by_now(_MOST_CARDS)),
        ),
    ),
    "OTHER_LIMITS_DEDUCTED": Three(
        each(
            by_shipped(bureau_other_bank_limits=20_000_000),
            granting(90_000, later=100_000),
            granting(20_000, later=10_000),
            outgrown(limits=20_000_00, cards=1),
            outgrown(limits=20_000_00, cards=1, machine=True),
            outgrown(limits=None, cards=None, machine=True),  # decided with another one's
        ),
        granting(20_000),
        (
            each_quiet(granting(40_000), outgrown(), outgrown(machine=True)),
            each(
                granting(40_100, later=100_000),
                outgrown(limits=1),
                outgrown(limits=1, machine=True),
            ),
        ),
    ),
    "DORMANCY_BLOCKS_ISSUING": Three(
        each(
            *(issuing(201), issuing(201, age=400), issuing(None, unreported_stops=True)),
            issuing(0, age=46, unreported_stops=True),
        ),
        each_quiet(issuing(0), issuing(0, age=45, unreported_stops=True), issuing(0, age=46)),
        (issuing(200), issuing(201)),
    ),
    "CASH_WITHIN_LIMIT": Three(in_cash("1.5"), in_cash("0.5"), (in_cash("1"), in_cash("1.01"))),
    "BUREAU_BY_CONSENT": Three(
        each(querying(None), people(consent=None)),
        querying(signed(SIGNED)),
        (querying(signed(NOW - MICROSECOND)), querying(signed(NOW))),
    ),
    "BUREAU_WHILE_OPEN": Three(
        asking(State.WITHDRAWN),
        asking(State.CHECKING),
        (asking(State.ON_HOLD), asking(State.APPROVED)),
    ),
    "BUREAU_ASKED_ONCE": Three(
        each(repeating(None), asked_again(timedelta(hours=1)), unheard("away")),
        lambda: repeating("status-422")() | unheard("status-422")(),
        (asked_again(_VALID), asked_again(_VALID - MICROSECOND)),
    ),
    "SUSPICION_CONFIDENTIAL": Three(
        told(viewer(Permission.REVIEW_VIEW)),
        told(viewer(Permission.HOLD_VIEW, Permission.REVIEW_COMPLIANCE)),
        (
            told(viewer(Permission.HOLD_VIEW)),
            told(viewer(Permission.HOLD_VIEW, reach=Reach(frozenset({"1101"})))),
        ),
    ),
    "ERASED_STAYS_CLOSED": Three(
        erased,
        scored,
        (
            unscorable(Exhausted("late", call=_SCORING)),
            unscorable(Refused("no-key", call=_SCORING)),
        ),
    ),
    "INCREASE_DEDUCTED": Three(
        each(raising(40_000), raising(30_000, ceiling=20_000_00), raising(30_000, since=1)),
        raising(30_000),
        (raising(25_000, ceiling=25_000_00), raising(25_100, ceiling=25_000_00)),
    ),
    "INCREASE_AGREED": Three(
        raising(30_000, asked(agreed_at=None)),
        raising(30_000),
        (
            raising(30_000, asked(agreed_at=NOW)),
            raising(30_000, asked(agreed_at=NOW + MICROSECOND)),
        ),
    ),
    "STUDENT_INCREASE_GUARANTEED": Three(
        each(guaranteed(None), guaranteed(0, paper=False)),
        guaranteed(0),
        (guaranteed(_GUARANTEE), guaranteed(_GUARANTEE + 1)),
    ),
    "INCREASE_IN_GOOD_STANDING": Three(
        each(
            raising(30_000, facts=facts(days_past_due=1)),
            raising(30_000, facts=facts(closed_on=date(2026, 10, 1))),
            raising(30_000, facts=None),
        ),
        raising(30_000),
        (
            raising(30_000, facts=facts(days_past_due=0)),
            raising(30_000, facts=facts(days_past_due=1)),
        ),
    ),
    "INCREASE_BY_PEOPLE_FOR_NEW": Three(
        alone(10_000, new=True),
        alone(20_000, new=False),
        (alone(20_000, new=False), alone(20_000, new=True)),
    ),
    "DECREASE_ABOVE_DEBT": Three(
        each(lowering(900), lowering(900, BalanceBand.FROM_50K)),
        lowering(5_000),
        (lowering(1_000), lowering(900)),
    ),
    "LIMIT_CHANGE_TOLD": Three(
        told_of_limit(),
        told_of_limit(signed=False),
        (told_of_limit(early=MICROSECOND), told_of_limit()),
    ),
    "TEMPORARY_ENDS": Three(
        each(lasting(31), ending),
        lasting(20),
        (lasting(30), lasting(31)),
    ),
    "REVIEW_IN_TIME": Three(
        each(on(18), on(11, applicant_type="existing_customer"), on(20, awaited=5)),
        on(19, awaited=5),
        (on(17), on(17, after=MICROSECOND)),
    ),
    "COOL_DOWN_TOLD": Three(
        reapplying("SCORE_TOO_LOW"),
        reapplying("MATERIAL_MISSING"),
        (
            reapplying("SCORE_TOO_LOW", days=_COOL_DOWN),
            reapplying("SCORE_TOO_LOW", days=_COOL_DOWN - 1),
        ),
    ),
}
BY_CODE = {one.code: one for one in INVARIANTS}
IN_THE_DATABASE = {one.code for one in INVARIANTS if not one.enforced_by}
"""Only the database enforces these: tests/integration/review/test_invariants.py."""


def expected(code: str) -> Found:
    """The codes by which a rule is seen to have fired."""
    return set(BY_CODE[code].refuses) or {code}


def test_every_rule_has_its_three_tests() -> None:
    assert TESTS.keys() == BY_CODE.keys() - IN_THE_DATABASE
    assert len(BY_CODE) == len(INVARIANTS), "a rule stands there twice"
    gaps = {gap.code for gap in GAPS}
    assert len(gaps) == len(GAPS), "a gap stands there twice"
    assert not BY_CODE.keys() & gaps


@contextmanager
def entered() -> Iterator[set[CodeType]]:
    """What is called meanwhile."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            codes.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield codes
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("code", TESTS)
def test_it_fires_by_what_is_said_to_enforce_it_with_every_code(code: str) -> None:
    with entered() as codes:
        found = TESTS[code].fires()
    assert expected(code) <= found
    idle = [place_of(one) for one in BY_CODE[code].enforced_by if one.__code__ not in codes]
    assert idle == []


@pytest.mark.parametrize("code", TESTS)
def test_it_stays_quiet(code: str) -> None:
    assert not expected(code) & TESTS[code].quiet()


@pytest.mark.parametrize("code", TESTS)
def test_it_knows_its_boundary(code: str) -> None:
    right, wrong = TESTS[code].boundary
    assert not expected(code) & right()
    assert expected(code) & wrong()


# -- on the way of a route or an event ------------------------------------------------------------


@cache
def reached() -> frozenset[CodeType]:
    """Whatever of review can be called from its routes, its consumers' handlers and its workers, by
    the names that stand in the code."""
    with tempfile.TemporaryDirectory() as folder:
        secrets = Path(folder) / "secrets"
        make_secrets(secrets)
        service = build_service(
            Settings(
                service="review",
                environment=Environment.PRODUCTION,
                kafka_bootstrap="127.0.0.1:1",
                postgres_dsn="postgresql://127.0.0.1:1",
                secrets_dir=secrets,
                identity_url="http://127.0.0.1:1",
                bureau_url="http://127.0.0.1:1",
                watchlist_url="http://127.0.0.1:1",
            )
        )
        app = build_app(service)
    begin: list[Any] = [one.endpoint for one in iter_route_contexts(app.routes)]
    begin += [on for consumer in service.consumers for on in consumer.handlers.values()]
    begin += [one for worker in service.workers for one in (worker.call, worker.on_result)]
    begin.append(build_service)  # the workers are its closures
    by_name = _methods()
    done: set[CodeType] = set()
    while begin:
        function = begin.pop()
        if not isinstance(function, FunctionType) or function.__code__ in done:
            continue
        done.add(function.__code__)
        names = set(_names(function.__code__))
        spaces = [function.__globals__]
        spaces += [
            vars(one)
            for name in names
            if isinstance(one := function.__globals__.get(name), ModuleType)
            and one.__name__.startswith(review.__name__)
        ]
        begin += [space[name] for space in spaces for name in names if name in space]
        begin += [method for name in names for method in by_name.get(name, ())]
    return frozenset(done)


def _names(code: CodeType) -> Iterator[str]:
    """Every global and attribute that the code and what is defined in it name."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _methods() -> dict[str, list[FunctionType]]:
    """{name: methods and properties of review's classes that are called so}"""
    found: dict[str, list[FunctionType]] = {}
    modules = [one for name, one in sys.modules.items() if name.startswith("services.review.")]
    for module in modules:
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__.startswith("services.review."):
                for name, member in vars(kind).items():
                    method = member.fget if isinstance(member, property) else member
                    if isinstance(method, FunctionType):
                        found.setdefault(name, []).append(method)
    return found


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda one: one.code)
def test_it_lies_on_the_way_of_a_route_or_an_event(invariant: Invariant) -> None:
    away = [place_of(one) for one in invariant.enforced_by if one.__code__ not in reached()]
    assert away == []


def test_what_nobody_calls_is_seen_to_be_away() -> None:
    from services.review.policy_cases import rows_reached

    assert rows_reached.__code__ in reached(), "a version is tested when it is proposed"
    assert approving.__code__ not in reached()
    assert place_of.__code__ not in reached()


# -- what a person has to know of a rule ----------------------------------------------------------

MIGRATIONS = Path(review.__path__[0]) / "migrations"


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda one: one.code)
def test_a_rule_says_why_what_refuses_and_what_may_be_set(invariant: Invariant) -> None:
    assert invariant.citation.strip()
    assert invariant.enforced_by or invariant.constraints
    for code in invariant.refuses:
        kind_of(code)
    if invariant.parameter is None:
        return
    file, _, path = invariant.parameter.partition(": ")
    if file == "policies":
        assert path in TABLES
        return
    model: Any = {
        "product": Product,
        "clocks": Clocks,
        "checks": Checks,
        "accounts": Accounts,
        "limit_changes": LimitChanges,
    }[file]
    for name in path.split("."):
        assert issubclass(model, BaseModel)
        model = model.model_fields[name].annotation


def test_a_constraint_stands_in_a_migration_of_its_table() -> None:
    texts = [" ".join(path.read_text().split()) for path in sorted(MIGRATIONS.glob("*.sql"))]
    for invariant in INVARIANTS:
        for constraint in invariant.constraints:
            (text,) = (one for one in texts if constraint.says in one)
            assert re.search(rf"\b{constraint.table}\b", text)
