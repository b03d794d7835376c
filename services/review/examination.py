"""The examination: which checks are asked, when an answer may be used again, when all have ended.

Pure. The bank's systems are asked by workers; what they answer comes back sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.review.case import Case, CaseError, Check, HandOver
from services.review.checks import CHECKS, CheckName
from shared.events.lifecycle import State
from shared.events.review import CheckCompleted, CheckRequested
from shared.messaging import Call, Effect, Fact

CREDIT_PURPOSE = "信用卡审批"  # the only purpose for which the consent allows a query
SCORING = "policy"  # kind of the call that opens the evidence and applies the policy
TRY_AGAIN = timedelta(minutes=10)  # business time until a failed scoring is tried again; doubled
MOST_SCORINGS = 10  # then the case stays where it is and its silence shows


DOCUMENT_FIELDS = ("id_type", "nationality", "birth_date")
"""What goes with the number of who has a passport; of who has a card it need not be there."""

INCOME_FIELDS = ("monthly_income", "other_bank_limits")


def kind_of(check: CheckName) -> str:
    """The kind of call that asks this system."""
    return f"check.{check}"


def consent_holds(hand_over: HandOver, now: datetime) -> bool:
    """Whether the bureau may be asked: consent signed before the query, for this purpose
    (征信业管理条例 18, 19). That the application is still open is seen just before it is asked."""
    consent = hand_over.consent
    # the query itself is made after `now`, so a consent signed at this very instant precedes it
    return consent is not None and consent.signed_at <= now and consent.purpose == CREDIT_PURPOSE


def start(case: Case, now: datetime) -> list[Effect]:
    """Ask every system whose answer we do not hold or may not use any longer."""
    hand_over = case.need_hand_over()
    case.round += 1
    case.touched = True
    effects: list[Effect] = []
    for name in CHECKS:
        held = case.checks.get(name)
        if held is not None and _usable(held, now):
            case.note(now, "review", "check_reused", check=name)
            continue
        effects.extend(_request(case, hand_over, name, now))
    return effects + _score_if_ended(case)


def repeat(case: Case, staff_id: str, now: datetime) -> list[Effect]:
    """A reviewer asks again what could not be answered; the case stays where it is."""
    if case.state is not State.MANUAL_REVIEW:
        raise CaseError("not-in-queue", "The case does not lie in the reviewers' queue")
    if case.proposal is not None:
        raise CaseError("proposed", "A decision is proposed and waits for the second signature")
    if not any(check.may_be_asked_again for check in case.checks.values()):
        raise CaseError("nothing-to-repeat", "Every check was answered, or is on its way")
    case.note(now, staff_id, "checks_repeated")
    return start(case, now)


def _usable(check: Check, now: datetime) -> bool:
    if check.outcome == "pending":
        return True  # still on its way: a second query would be one too many
    return check.outcome == "answered" and check.valid_until is not None and now < check.valid_until


def _request(case: Case, hand_over: HandOver, name: CheckName, now: datetime) -> Iterable[Effect]:
    request_id = f"{case.application_id}:{name}:{case.round}"
    check, kind = Check(name, request_id, case.round, now), CHECKS[name]
    case.checks[name] = check
    if kind.with_consent and not consent_holds(hand_over, now):
        yield from _close(case, check, "unavailable", now, why="no-consent")
        return
    party = hand_over.examined
    missing = [field for field in kind.needs if field not in party.fields]
    if missing:
        yield from _close(case, check, "unavailable", now, why="no-data")
        return
    asked = (*kind.needs, *(one for one in DOCUMENT_FIELDS if one in party.fields))
    payload: dict[str, Any] = {
        "application_id": case.application_id,
        "party_id": party.party_id,
        "fields": {field: str(party.fields[field]) for field in asked},
        "request_id": request_id,
    }
    if kind.with_consent and hand_over.consent is not None:
        payload["consent_signed_at"] = hand_over.consent.signed_at.isoformat()
        payload["purpose"] = hand_over.consent.purpose
    case.note(now, "review", "check_requested", check=name, basis=kind.basis)
    yield Fact(CheckRequested(**case.fields(), check=name, attempt=case.round))
    yield Call(kind=kind_of(name), key=request_id, payload=payload)


def end(
    case: Case,
    name: CheckName,
    request_id: str,
    now: datetime,
    *,
    answer: str | None = None,
    why: str | None = None,
    attempts: int = 0,
) -> list[Effect]:
    """A check ended: with a sealed answer, or without one and why. An answer to a question that
    nobody asks any more changes nothing."""
    check = case.checks.get(name)
    if check is None or check.request_id != request_id or check.outcome != "pending":
        return []
    if not case.open:
        return []
    check.answer, check.attempts = answer, attempts
    outcome = "answered" if answer is not None else "unavailable"
    effects = list(_close(case, check, outcome, now, why=why))
    return effects + _score_if_ended(case)


def _close(
    case: Case, check: Check, outcome: Any, now: datetime, *, why: str | None
) -> Iterable[Effect]:
    check.outcome, check.ended_at, check.why = outcome, now, why
    check.valid_until = now + CHECKS[check.name].valid if outcome == "answered" else None
    case.touched = True
    case.note(now, "review", "check_ended", check=check.name, outcome=outcome, why=why)
    yield Fact(CheckCompleted(**case.fields(), check=check.name, outcome=outcome))


def _score_if_ended(case: Case) -> list[Effect]:
    if any(check.outcome == "pending" for check in case.checks.values()):
        return []
    return [scoring(case)]


def scoring(case: Case, not_before: datetime | None = None) -> Call:
    """Have the evidence opened and the policy applied: personal data is opened by workers only."""
    hand_over, scope = case.need_hand_over(), case.need_scope()
    party = hand_over.examined
    case.scoring_round += 1
    case.touched = True
    fields = {"id_number", "id_type", "birth_date", *INCOME_FIELDS} & party.fields.keys()
    sealed: Mapping[str, str] = {name: str(party.fields[name]) for name in sorted(fields)}
    return Call(
        kind=SCORING,
        key=f"{case.application_id}:{SCORING}:{case.scoring_round}",
        payload={
            "application_id": case.application_id,
            "person": party.person,
            "party_id": party.party_id,
            "fields": dict(sealed),
            "answers": {
                f"check.{check.name}": check.answer
                for check in case.checks.values()
                if check.outcome == "answered"
            },
            "applicant_type": scope.applicant_type,
            "product": scope.product,
            "product_version": scope.product_version,
            "new_to_bank": hand_over.new_to_bank,
            "requested_limit": hand_over.requested_limit.minor
            if hand_over.requested_limit
            else None,
            "warnings": len(hand_over.warnings),
            "scoring_round": case.scoring_round,
        },
        not_before=not_before,
    )
