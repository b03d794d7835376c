"""The examination: which checks are asked, when an answer may be used again, when all have ended.

Pure. The bank's systems are asked by workers; what they answer comes back sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.review.case import (
    NOT_SEEN,
    Case,
    CaseError,
    Check,
    HandOver,
    about_this_person,
    lapsed,
    of_these_lists,
    of_this_list,
    own_differs,
    put_right_since,
    still_holds,
    telephone_findings,
)
from services.review.checks import ASKED, CHECKS, OWN, CheckName, meeting
from shared.calendar import add_working_hours
from shared.events.intake import HandedDocument
from shared.events.lifecycle import State
from shared.events.payload import CreditConsent
from shared.events.review import CheckCompleted, CheckRequested
from shared.messaging import Call, Effect, Fact
from shared.parameters import load_checks, product_of

CREDIT_PURPOSE = "信用卡审批"  # the only purpose for which the consent allows a query
_REFUSED = "status-"  # begins why a check has no answer where the system would not give one
SCORING = "policy"  # kind of the call that opens the evidence and applies the policy
TRY_AGAIN = timedelta(minutes=10)  # business time until a failed scoring is tried again; doubled
MOST_SCORINGS = 10  # then the case stays where it is and its silence shows


INCOME_FIELDS = ("monthly_income", "other_bank_limits")


def kind_of(check: CheckName) -> str:
    """The kind of call that asks this system."""
    return f"check.{check}"


def consent_holds(hand_over: HandOver, now: datetime) -> bool:
    """Whether the bureau may be asked: consent signed before the query, for this purpose
    (征信业管理条例 18, 19). That the application is still open is seen just before it is asked."""
    return consent_covers(hand_over.consent, now)


def consent_covers(consent: CreditConsent | None, now: datetime) -> bool:
    """Whether this consent allows a query now: one that was signed before."""
    return consent is not None and consent.signed_at < now and consent.purpose == CREDIT_PURPOSE


def consent_kept(consent: CreditConsent | None) -> dict[str, Any]:
    """What the record of a query keeps of the consent behind it: a later hand-over brings another
    one, and that may have been signed after the query."""
    if consent is None:
        return {}
    return {"consent_signed_at": consent.signed_at.isoformat(), "purpose": consent.purpose}


def start(case: Case, now: datetime) -> list[Effect]:
    """Ask every system whose answer we do not hold or may not use any longer."""
    hand_over = case.need_hand_over()
    case.round += 1
    case.touched = True
    _forget_verdict(case)
    effects: list[Effect] = []
    effects += _see(case, now)
    for name in ASKED:
        held = case.checks.get(name)
        if held is not None and _usable(case, held, now):
            case.note(now, "review", "check_reused", check=name)
            continue
        effects.extend(_request(case, hand_over, name, now))
    return effects + score_if_ended(case, now)


def _see(case: Case, now: datetime) -> list[Effect]:
    """Whether somebody saw customer, original and signing (三亲见), where the product demands it:
    looked at with every hand-over, because a record may have come."""
    scope = case.need_scope()
    if product_of(scope.product, scope.product_version).pre_check.meeting != "required":
        return []
    check = Check("meeting", f"{case.application_id}:meeting:{case.round}", case.round, now)
    case.checks["meeting"] = check
    if meeting.complete(case.need_hand_over().meeting):
        return list(_close(case, check, "answered", now, why=None))
    return list(_close(case, check, "unavailable", now, why=NOT_SEEN))


def repeat(case: Case, staff_id: str, now: datetime) -> list[Effect]:
    """A reviewer asks again what could not be answered, or was answered too long ago; the case
    stays where it is."""
    if case.state is not State.MANUAL_REVIEW and not stuck(case):
        raise CaseError("not-in-queue", "The case does not lie in the reviewers' queue")
    if case.proposal is not None:
        raise CaseError("proposed", "A decision is proposed and waits for the second signature")
    if not may_be_repeated(case, now):
        raise CaseError("nothing-to-repeat", "Every check was answered, or is on its way")
    case.note(now, staff_id, "checks_repeated")
    return start(case, now)


def may_be_repeated(case: Case, now: datetime) -> bool:
    """Whether asking again may bring an answer that is missing, renew one, deduct other cards, or
    have the answers weighed that the policy could not be asked about."""
    unanswered = any(check.may_be_asked_again for check in case.checks.values())
    found = case.recommendation
    other_cards = found is not None and case.checked and own_differs(case, found)
    failed = case.unweighed_since is not None or case.scoring_failures >= MOST_SCORINGS
    return unanswered or bool(lapsed(case, now)) or other_cards or failed


def stuck(case: Case) -> bool:
    """Whether nobody would have this case: it lies with the systems, and the policy could not be
    applied to it."""
    return case.state is State.CHECKING and case.unweighed_since is not None


def give_up(case: Case, now: datetime) -> None:
    """The policy could not be applied, and trying again by itself would not mend it: the case shows
    among those that wait."""
    case.unweighed_since, case.waits_changed, case.touched = now, True, True


def weigh_again(case: Case, now: datetime) -> list[Effect]:
    """Another policy decides by now, or a process of another release has begun: what could not be
    weighed is tried again."""
    failed = case.unweighed_since is not None or case.scoring_failures >= MOST_SCORINGS
    if case.state is not State.CHECKING or not failed:
        return []
    case.note(now, "review", "scored_again")
    _weigh_anew(case)
    return score_if_ended(case, now)


def screen_again(case: Case, now: datetime) -> list[Effect]:
    """A list has changed, the bank's own or one of the screening system's: whoever is open is
    screened again. Nothing is decided by the old answer meanwhile; one that is on its way is looked
    at when it comes."""
    check = case.checks.get("watchlist")
    if not case.open or check is None or check.outcome != "answered":
        return []
    if of_these_lists(check, case.lists):
        return []
    # of everybody alike: that a list changed tells nothing of what is found in it
    case.note(now, "review", "lists_changed" if of_this_list(check) else "screened_again")
    case.round += 1
    _forget_verdict(case)
    case.touched = True
    effects = list(_request(case, case.need_hand_over(), "watchlist", now))
    return effects + score_if_ended(case, now)


def add_paper(case: Case, paper: HandedDocument, now: datetime) -> list[Effect]:
    """A paper came while review has the case: it lies with those that were handed over, marked as
    new, and the policy is asked again. One that lies there already changes nothing."""
    hand_over = case.hand_over
    if hand_over is None or not case.open:
        return []
    if any(one.document_id == paper.document_id for one in hand_over.documents):
        return []
    case.hand_over = replace(
        hand_over,
        documents=[*hand_over.documents, paper],
        arrived=(*hand_over.arrived, paper.document_id),
    )
    case.touched = True
    case.note(now, "intake", "paper_received", items=[paper.item])
    _forget_verdict(case)
    return score_if_ended(case, now)


def ask_anew(case: Case, name: CheckName, now: datetime) -> list[Effect]:
    """An answer is known to be wrong: it is used no more, and asked for again at once where review
    has the case, else with the next hand-over. One that is on its way is the newer one already, and
    what was decided by it stays as it is kept."""
    check = case.checks.get(name)
    if check is None or check.outcome == "pending" or (case.decided and not case.open):
        return []
    check.valid_until, case.touched = now, True
    if not case.open:
        return []
    case.note(now, "review", "check_repeated", check=name)
    case.round += 1
    _forget_verdict(case)
    effects = list(_request(case, case.need_hand_over(), name, now))
    return effects + score_if_ended(case, now)


def _forget_verdict(case: Case) -> None:
    """A verdict that is on its way rests on old answers; how often it failed says nothing of the
    next one."""
    case.scoring_round += 1
    _weigh_anew(case)


def _weigh_anew(case: Case) -> None:
    case.scoring_failures = 0
    if case.unweighed_since is not None:
        case.unweighed_since, case.waits_changed = None, True


def _usable(case: Case, check: Check, now: datetime) -> bool:
    if check.outcome == "pending":  # a second query about the same would be one too many
        return about_this_person(check, case.need_hand_over())
    return still_holds(check, now, case)


def _request(case: Case, hand_over: HandOver, name: CheckName, now: datetime) -> Iterable[Effect]:
    request_id = f"{case.application_id}:{name}:{case.round}"
    check, asked = Check(name, request_id, case.round, now), ASKED[name]
    check.about = asked.digest(hand_over.examined.fields)
    check = once_more(case, case.checks.get(name), check, hand_over.consent)
    if name == "watchlist":
        check.lists_known, case.screened_changed = case.lists.number, True
    case.checks[name] = check
    if asked.with_consent and not consent_holds(hand_over, now):
        yield from _close(case, check, "unavailable", now, why="no-consent")
        return
    fields = hand_over.examined.fields
    if any(field not in fields for field in asked.needs):
        yield from _close(case, check, "unavailable", now, why="no-data")
        return
    proof = consent_kept(hand_over.consent) if asked.with_consent else {}
    case.note(now, "review", "check_requested", check=name, basis=CHECKS[name].basis, **proof)
    yield Fact(CheckRequested(**case.fields(), check=name, attempt=case.round))
    yield call_for(case, check, hand_over.consent)


def once_more(case: Case, held: Check | None, check: Check, consent: CreditConsent | None) -> Check:
    """A query of the bureau that nobody answered is made again as the same one: its answer may be
    what was lost, and under another key the bureau would record a second query. The same is one
    about the same person with the same consent, within the validity of the answer, and since the
    report was last put right."""
    if held is None or consent is None or not ASKED[check.name].with_consent:
        return check
    lost = held.outcome == "unavailable" and not (held.why or "").startswith(_REFUSED)
    same = about_this_person(held, case.need_hand_over())
    same = same and consent.signed_at < held.requested_at
    recent = check.requested_at < held.requested_at + CHECKS[check.name].valid
    known_wrong = held.valid_until is not None or put_right_since(held, case)
    if not lost or not same or not recent or known_wrong:
        return check
    return replace(
        check,
        request_id=held.request_id,
        requested_at=held.requested_at,
        calls=held.calls + 1,
    )


def valid_until(check: Check, now: datetime) -> datetime:
    """Until when an answer that came now may be used: from when the question was first asked, where
    it went out more than once, because the answer may be of then."""
    return (now if check.calls == 1 else check.requested_at) + CHECKS[check.name].valid


def call_for(case: Case, check: Check, consent: CreditConsent | None) -> Call:
    """Send a worker with the question. It goes out under one key however often that is done: who
    asks twice has one answer, and at the bureau one query."""
    asked, party = ASKED[check.name], case.need_hand_over().examined
    payload: dict[str, Any] = {
        "application_id": case.application_id,
        "party_id": party.party_id,
        "fields": asked.about(party.fields),
        "request_id": check.request_id,
    }
    if asked.with_consent:
        payload |= consent_kept(consent)
    return Call(
        kind=kind_of(check.name),
        key=check.request_id if check.calls == 1 else f"{check.request_id}~{check.calls}",
        payload=payload,
        not_before=check.asked_again,
    )


def end(
    case: Case,
    name: CheckName,
    request_id: str,
    now: datetime,
    *,
    answer: str | None = None,
    why: str | None = None,
    attempts: int = 0,
    screened_with: str = "",
) -> list[Effect]:
    """A check ended: with a sealed answer, or without one and why. An answer to a question that
    nobody asks any more changes nothing, nor does one that comes after the decision. Where the
    customer is asked for material meanwhile, the next hand-over finds what came."""
    check = _pending(case, name, request_id)
    if check is None or (case.decided and not case.open):
        return []
    check.answer, check.attempts = answer, check.attempts + attempts
    check.screened_with = screened_with
    case.screened_changed |= bool(screened_with)
    outcome = "answered" if answer is not None else "unavailable"
    effects = list(_close(case, check, outcome, now, why=why))
    if answer is not None and case.open and not of_these_lists(check, case.lists):
        return effects + screen_again(case, now)  # a list changed while it was on its way
    return effects + (score_if_ended(case, now) if case.open else [])


def wait(
    case: Case, name: CheckName, request_id: str, now: datetime, *, attempts: int
) -> list[Effect]:
    """The system is away. The check waits and is asked again by itself; after the longest wait
    (`checks.yaml`, in working hours) a person goes on without its answer."""
    check = _pending(case, name, request_id)
    if check is None:
        return []
    if check.waits_since is None:
        case.note(now, "review", "check_waits", check=name)
    if not keeps_waiting(check, now) or not case.open:
        return end(case, name, request_id, now, why="away", attempts=attempts)
    check.attempts += attempts
    case.touched = case.waits_changed = True
    return [call_for(case, check, case.need_hand_over().consent)]


def keeps_waiting(check: Check, now: datetime) -> bool:
    """Have a check wait for a system that is away, and be asked again; False once it has waited as
    long as may be."""
    terms = load_checks().outage
    if check.waits_until is None:
        check.waits_since, check.waits_until = (
            now,
            add_working_hours(now, terms.longest_wait_hours, terms.opens, terms.closes),
        )
    if now >= check.waits_until:
        return False
    check.calls += 1
    check.asked_again = min(now + timedelta(minutes=terms.ask_again_minutes), check.waits_until)
    return True


def _pending(case: Case, name: CheckName, request_id: str) -> Check | None:
    """The check, if it still waits for an answer to this very question."""
    check = case.checks.get(name)
    awaited = check is not None and check.request_id == request_id and check.outcome == "pending"
    return check if awaited else None


def _close(
    case: Case, check: Check, outcome: Any, now: datetime, *, why: str | None
) -> Iterable[Effect]:
    check.outcome, check.ended_at, check.why = outcome, now, why
    held = outcome == "answered" and check.name in ASKED
    check.valid_until = valid_until(check, now) if held else None
    case.touched = True
    case.waits_changed |= check.waits_since is not None
    check.asked_again = None
    case.note(now, "review", "check_ended", check=check.name, outcome=outcome, why=why)
    yield Fact(CheckCompleted(**case.fields(), check=check.name, outcome=outcome))


def score_if_ended(case: Case, now: datetime) -> list[Effect]:
    """Have the policy applied once every check has ended. While nobody has the case, what lapsed as
    others were awaited is asked anew first; at a reviewer's desk the reviewer does so."""
    if any(check.outcome == "pending" for check in case.checks.values()):
        return []
    outdated = lapsed(case, now) if case.state is State.CHECKING else []
    if not outdated:
        return [scoring(case)]
    case.round += 1
    _forget_verdict(case)
    case.touched = True
    effects: list[Effect] = []
    for check in outdated:
        case.note(now, "review", "check_repeated", check=check.name)
        effects.extend(_request(case, case.need_hand_over(), check.name, now))
    return effects + score_if_ended(case, now)


def noticed(case: Case) -> list[str]:
    """Findings of review's own checks that are known before anything is opened."""
    found = [
        CHECKS[check.name].absence
        for check in case.checks.values()
        if check.outcome == "unavailable" and check.name not in ASKED and check.name not in OWN
    ]
    return list(dict.fromkeys([*found, *telephone_findings(case)]))


def looked_at(
    case: Case, found: Mapping[CheckName, Mapping[str, str | None]], now: datetime
) -> list[Effect]:
    """Review has looked by itself, with the evidence open: {check: its sealed answer, or why there
    is none}. Nothing of it is used again: the next scoring looks anew."""
    effects: list[Effect] = []
    for name, said in found.items():
        request_id = f"{case.application_id}:{name}:{case.scoring_round}"
        check = Check(name, request_id, case.round, now, answer=said["answer"])
        case.checks[name] = check
        outcome = "answered" if check.answer is not None else "unavailable"
        effects.extend(_close(case, check, outcome, now, why=said["why"]))
    return effects


def scoring(case: Case, not_before: datetime | None = None) -> Call:
    """Have the evidence opened and the policy applied: personal data is opened by workers only."""
    case.scoring_round += 1
    case.touched = True
    return Call(
        kind=SCORING,
        key=f"{case.application_id}:{SCORING}:{case.scoring_round}",
        payload={**evidence_of(case, case.checks), "scoring_round": case.scoring_round},
        not_before=not_before,
    )


def evidence_of(case: Case, checks: Mapping[str, Check]) -> dict[str, Any]:
    """What a worker needs to apply the policy to these answers, everything personal sealed."""
    hand_over, scope = case.need_hand_over(), case.need_scope()
    party = hand_over.examined
    wanted = {"id_number", "id_type", "birth_date", *INCOME_FIELDS}
    wanted |= {field for own in OWN.values() for field in (*own.needs, *own.also)}
    fields = wanted & party.fields.keys()
    return {
        "application_id": case.application_id,
        "person": party.person,
        "party_id": party.party_id,
        "fields": {name: str(party.fields[name]) for name in sorted(fields)},
        "answers": {
            f"check.{check.name}": check.answer
            for check in checks.values()
            if check.answer is not None and check.name in ASKED
        },
        "applicant_type": scope.applicant_type,
        "product": scope.product,
        "product_version": scope.product_version,
        "new_to_bank": hand_over.new_to_bank,
        "requested_limit": hand_over.requested_limit.minor if hand_over.requested_limit else None,
        "warnings": len(hand_over.warnings),
        "region": scope.region,
        "handed_at": hand_over.handed_at.isoformat(),
        "pre_check": list(hand_over.warnings),
        "papers": sorted({document.item for document in hand_over.documents}),
        "noticed": noticed(case),
    }
