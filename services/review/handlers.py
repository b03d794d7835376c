"""What review does when something happened: events of intake, answers of the bank's systems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from services.review import appeals, disputes, examination, holds, limit_changes
from services.review import case as cases
from services.review.case import (
    Case,
    HandOver,
    Recommendation,
    Scope,
    ShadowVerdict,
)
from services.review.checks import CheckName
from services.review.holds import HOLD_DEADLINE, HoldReason
from shared.events import intake
from shared.events.intake import HandedDocument
from shared.events.lifecycle import BY_TYPE, REMINDERS, State, publisher
from shared.events.payload import Payload
from shared.messaging import Deadline, Effect, Exhausted, Received, Refused, Succeeded
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import product_of


def on_moved(event: Received[Any], case: Case, now: datetime) -> Iterable[Effect]:
    """Intake moved the application: review's copy follows, so that it never decides what is no
    longer its own."""
    _know(case, event)
    before = case.state
    cases.follow(case, type(event.data), event.state_version, event.time)
    if case.state is not before and case.state is not State.DRAFT:
        case.note(now, "intake", "moved", state=str(case.state))
    return ()


def on_pre_check_passed(
    event: Received[intake.PreCheckPassed], case: Case, now: datetime
) -> Iterable[Effect]:
    """The application is handed to review, for the first time or with the material that review
    wanted: ask the bank's systems what is not known yet."""
    data = event.data
    case.scope = Scope.of(data)  # a draft may have become one of another product or applicant
    cases.follow(case, intake.PreCheckPassed, event.state_version, event.time)
    # review decides by the very rules with which the application began, or not at all
    product_of(data.product, data.product_version, data.product_digest)
    hand_over = HandOver(
        parties=data.parties,
        consent=data.consent,
        documents=data.documents,
        new_to_bank=data.new_to_bank,
        age_band=data.age_band,
        income_band=data.income_band,
        requested_limit=data.requested_limit,
        warnings=data.warnings,
        submitted_at=data.submitted_at,
        handed_at=event.time,
        meeting=data.meeting,
        reopens=data.reopens,
        applicant_type=data.applicant_type,
        waived=data.waived,
    )
    cases.begin_review(case, hand_over)
    case.note(now, "intake", "handed_over")
    return examination.start(case, now)


def on_imported(
    event: Received[intake.ApplicationImported], case: Case, now: datetime
) -> Iterable[Effect]:
    """An application came over from another system: go on from where it stands there."""
    data = event.data
    _know(case, event)
    cases.follow(case, intake.ApplicationImported, event.state_version, event.time, into=data.state)
    case.imported = True
    case.limit = data.limit
    cases.begin_review(
        case,
        HandOver(
            parties=data.parties,
            consent=data.consent,
            documents=data.documents,
            new_to_bank=data.new_to_bank,
            age_band=data.age_band,
            income_band=data.income_band,
            requested_limit=None,
            warnings=[],
            submitted_at=data.submitted_at,
            handed_at=event.time,
            applicant_type=data.applicant_type,
        ),
    )
    case.note(now, "intake", "imported", state=data.state)
    if case.state is State.MANUAL_REVIEW:
        case.queued_at = event.time
    effects: list[Effect] = []
    if case.state is State.ON_HOLD:
        case.held_at = event.time
        case.hold = holds.begin(HoldReason.OTHER, holds.BY_ITSELF, now)  # why stayed behind
        effects.append(Deadline(HOLD_DEADLINE, case.hold.due))
    if case.state in (State.CHECKING, State.MANUAL_REVIEW, State.ON_HOLD):
        # a held case is examined too: without evidence nobody could decide it after its release
        return [*effects, *examination.start(case, now)]
    if case.state is State.SCORING:
        raise Permanent("import an application that is being scored as checking")
    return ()


def on_withdrawal_requested(
    event: Received[intake.WithdrawalRequested], case: Case, now: datetime
) -> Iterable[Effect]:
    """The customer wants out while review decides: whoever was first, the answer says."""
    _know(case, event)
    return cases.answer_withdrawal(case, event.data.request_id, now)


def on_document_received(
    event: Received[intake.DocumentReceived], case: Case, now: datetime
) -> Iterable[Effect]:
    """A paper has come, while somebody examines the case or long before. Intake hands nothing over
    anew for it: whoever has the case finds it with the others, and the case is weighed with it."""
    data = event.data
    paper = HandedDocument(
        document_id=data.document_id,
        item=data.item,
        sha256=data.sha256,
        media_type=data.media_type,
    )
    added = examination.add_paper(case, paper, now)
    return [*added, *cases.on_arrived(case, "material", now)]


def on_appeal_requested(
    event: Received[intake.AppealRequested], case: Case, now: datetime
) -> Iterable[Effect]:
    """A customer asks why the bank decided so, or objects."""
    _know(case, event)
    data = event.data
    return appeals.on_requested(
        case,
        data.appeal_id,
        data.wish,
        str(data.words or ""),
        data.entered_by or "customer",
        now,
        asked_at=min(event.time, now),
    )


def on_limit_change_requested(
    event: Received[intake.LimitChangeRequested], case: Case, now: datetime
) -> Iterable[Effect]:
    """The customer wants another limit for the card."""
    _know(case, event)
    data = event.data
    asked = limit_changes.Asked(
        kind=data.kind,
        wanted=data.wanted,
        until=data.until,
        agreed_at=data.agreed_at,
        consent=data.consent,
        guarantee_on=data.guarantee_on,
        income=str(data.monthly_income) if data.monthly_income is not None else None,
        income_on=data.income_on,
        words=str(data.words or ""),
    )
    return limit_changes.on_requested(
        case,
        data.change_id,
        asked,
        data.entered_by or "customer",
        now,
        asked_at=min(event.time, now),
    )


def on_dispute_requested(
    event: Received[intake.DisputeRequested], case: Case, now: datetime
) -> Iterable[Effect]:
    """A customer says that the credit report is wrong."""
    _know(case, event)
    case.need_hand_over()  # without one there is no report
    data = event.data
    return disputes.on_requested(
        case,
        data.dispute_id,
        str(data.words or ""),
        data.entered_by or "customer",
        now,
        asked_at=min(event.time, now),
    )


_SPECIAL: dict[type[Payload], Callable[[Any, Case, datetime], Iterable[Effect]]] = {
    intake.PreCheckPassed: on_pre_check_passed,
    intake.ApplicationImported: on_imported,
    intake.WithdrawalRequested: on_withdrawal_requested,
    intake.DocumentReceived: on_document_received,
    intake.AppealRequested: on_appeal_requested,
    intake.LimitChangeRequested: on_limit_change_requested,
    intake.DisputeRequested: on_dispute_requested,
}
# Facts that move nothing and that review has no use for.
_IGNORED = frozenset(
    {
        intake.ApplicationCorrected,  # the hand-over says what the form says now
        intake.AccessCodeIssued,
        *REMINDERS,
        intake.CardFactRefused,
    }
)

HANDLERS: Mapping[type[Payload], Callable[[Any, Case, datetime], Iterable[Effect]]] = {
    payload: _SPECIAL.get(payload, on_moved)
    for payload in BY_TYPE.values()
    if publisher(payload) == "intake" and payload not in _IGNORED
}
"""Every event of intake by which review's copy of the application moves."""


def _know(case: Case, event: Received[Any]) -> None:
    if case.scope is None:
        case.scope = Scope.of(event.data)


def on_check_result(result: Any, case: Case, now: datetime) -> Iterable[Effect]:
    """One of the bank's systems answered, is known not to, or is away."""
    call = result.call
    name: CheckName = call.kind.removeprefix("check.")
    asked, attempts = call.payload["request_id"], call.attempt
    change = limit_changes.awaits(case, asked)
    if change is not None:
        return limit_changes.on_checked(case, change, name, result, now)
    if isinstance(result, Succeeded):
        effects = examination.end(
            case,
            name,
            asked,
            now,
            answer=result.value["answer"],
            attempts=attempts,
            screened_with=result.value.get("screened_with", ""),
        )
    elif isinstance(result, Exhausted):
        effects = examination.wait(case, name, asked, now, attempts=attempts)
    else:
        effects = examination.end(case, name, asked, now, why=result.reason, attempts=attempts)
    return [*effects, *cases.on_arrived(case, "check", now)]


def on_scored(result: Any, case: Case, now: datetime) -> Iterable[Effect]:
    """The policy was applied to the opened evidence. An outdated result changes nothing; one that
    could not be had is tried again, because nothing is decided on a guess."""
    if result.call.payload["scoring_round"] != case.scoring_round or not case.open:
        return []
    if not isinstance(result, Succeeded):
        case.note(now, "review", "scoring_failed", why=result.reason)
        case.scoring_failures, case.touched = case.scoring_failures + 1, True
        if isinstance(result, Refused) or case.scoring_failures >= examination.MOST_SCORINGS:
            examination.give_up(case, now)  # keys that are gone, or a fault that stays
            return []
        wait = examination.TRY_AGAIN * 2 ** (case.scoring_failures - 1)
        return [examination.scoring(case, now + wait)]
    if case.state is State.CHECKING and cases.lapsed(case, now):
        return examination.score_if_ended(case, now)  # an answer lapsed meanwhile
    value = result.value
    recommendation = _recommended(value, now)
    told = "own_cards" in value  # a release of before says nothing of the other cards
    if case.state is State.CHECKING and told and cases.own_grown(case, recommendation):
        return [examination.scoring(case)]  # another card or limit was granted meanwhile
    case.weighed_round, case.scoring_failures = case.scoring_round, 0
    looked = examination.looked_at(case, value.get("own", {}), now)  # of before: none
    case.shadows.extend(
        ShadowVerdict(
            live=recommendation,
            digest=said["digest"],
            scoring_round=case.scoring_round,
            outcome=said["outcome"],
            advice=said["advice"],
            findings=tuple(said["findings"]),
            recommended=Money(minor=said["limit"]),
            points=said["points"],
            pricing_class=said["pricing_class"],
            at=now,
        )
        for said in value.get("shadows", ())
    )
    sampled = bool(value.get("sampled"))
    return [*looked, *cases.apply_recommendation(case, recommendation, now, sampled=sampled)]


def _recommended(value: Mapping[str, Any], now: datetime) -> Recommendation:
    return Recommendation(
        outcome=value["outcome"],
        advice=value["advice"],
        findings=tuple(value["findings"]),
        limit=Money(minor=value["limit"]),
        ceiling=Money(minor=value["ceiling"]),
        inputs=value["inputs"],
        verdict=value["verdict"],
        policy_version=value["policy_version"],
        policy_digest=value["policy_digest"],
        at=now,
        points=value.get("points"),  # a release of before gave none of these
        pricing_class=value.get("pricing_class"),
        own_existing=value.get("own_existing", 0),
        own_cards=value.get("own_cards", 0),
    )
