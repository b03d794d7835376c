"""Which event leads to which message, by which channels, and until when it still makes sense.

Pure: takes payloads and plain values, returns wishes. Whatever is said is said about the customer's
own application; what review found out never gets here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.events import intake, review
from shared.events.lifecycle import State
from shared.events.payload import Channel as ApplicationChannel
from shared.events.payload import Payload


class Template(StrEnum):
    """What a message is about; each has versioned texts in `templates_messages`."""

    RECEIVED = "received"
    MATERIAL_WANTED = "material_wanted"
    MATERIAL_REMINDER = "material_reminder"
    DRAFT_REMINDER = "draft_reminder"
    ACTIVATION_REMINDER = "activation_reminder"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CARD_LAPSED = "card_lapsed"
    APPROVED = "approved"
    DECLINED = "declined"
    CARD_POSTED = "card_posted"
    ACTIVATED = "activated"
    FIRST_USE = "first_use"
    ACCESS_CODE = "access_code"
    APPEAL_OPENED = "appeal_opened"
    APPEAL_EXPLAINED = "appeal_explained"
    APPEAL_UPHELD = "appeal_upheld"
    APPEAL_CHANGED = "appeal_changed"
    APPEAL_LIMIT_EXPLAINED = "appeal_limit_explained"
    APPEAL_LIMIT_UPHELD = "appeal_limit_upheld"
    APPEAL_LIMIT_BEGUN = "appeal_limit_begun"
    APPEAL_LIMIT_INVITED = "appeal_limit_invited"
    LIMIT_ASKED = "limit_asked"
    LIMIT_RAISED = "limit_raised"
    LIMIT_RAISED_UNTIL = "limit_raised_until"
    LIMIT_LOWERED = "limit_lowered"
    LIMIT_LOWERED_BY_BANK = "limit_lowered_by_bank"
    LIMIT_REFUSED = "limit_refused"
    LIMIT_EXPIRING = "limit_expiring"
    LIMIT_EXPIRED = "limit_expired"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_CORRECTED = "dispute_corrected"
    DISPUTE_UPHELD = "dispute_upheld"
    DISPUTE_ANNOTATED = "dispute_annotated"


class Channel(StrEnum):
    """How a message reaches the customer."""

    SMS = "sms"
    EMAIL = "email"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Wish:
    """A message that an event calls for. `details` are codes, dates and sealed values (JSON), never
    a person's in clear."""

    template: Template
    details: dict[str, Any] = field(default_factory=dict)


_ANSWERS: dict[str, Template] = {
    "explained": Template.APPEAL_EXPLAINED,
    "upheld": Template.APPEAL_UPHELD,
    "changed": Template.APPEAL_CHANGED,
}

_ABOUT_LIMITS: dict[str, Template] = {
    "explained": Template.APPEAL_LIMIT_EXPLAINED,
    "upheld": Template.APPEAL_LIMIT_UPHELD,
    "changed": Template.APPEAL_LIMIT_INVITED,
}

_RAISED: dict[intake.LimitChangeKind, Template] = {
    intake.LimitChangeKind.INCREASE: Template.LIMIT_RAISED,
    intake.LimitChangeKind.TEMPORARY: Template.LIMIT_RAISED_UNTIL,
    intake.LimitChangeKind.DECREASE: Template.LIMIT_LOWERED,
}

_OF_DISPUTES: dict[str, Template] = {
    "corrected": Template.DISPUTE_CORRECTED,
    "upheld": Template.DISPUTE_UPHELD,
    "annotated": Template.DISPUTE_ANNOTATED,
}

DECISIONS = frozenset(
    {
        *(Template.APPROVED, Template.DECLINED, *_ANSWERS.values(), *_OF_DISPUTES.values()),
        *(*_ABOUT_LIMITS.values(), Template.APPEAL_LIMIT_BEGUN),
        *(*_RAISED.values(), Template.LIMIT_LOWERED_BY_BANK, Template.LIMIT_REFUSED),
    }
)
"""Of these an e-mail copy is kept by the customer."""

_NEVER_BY_EMAIL = frozenset({Template.ACCESS_CODE})
"""A code goes to what the customer carries, and nowhere else."""

# A message that is still waiting for the morning is dropped once the application has moved out of
# these states; one that is not named here stays true whatever happens later.
_MAKES_SENSE_IN: dict[Template, frozenset[State]] = {
    Template.MATERIAL_WANTED: frozenset({State.AWAITING_MATERIAL}),
    Template.MATERIAL_REMINDER: frozenset({State.AWAITING_MATERIAL}),
    Template.DRAFT_REMINDER: frozenset({State.DRAFT}),
    Template.ACTIVATION_REMINDER: frozenset({State.DELIVERED}),
    Template.RECEIVED: frozenset(State)
    - {State.WITHDRAWN, State.EXPIRED, State.DECLINED, State.APPROVED},
    Template.CARD_POSTED: frozenset({State.CARD_PRODUCING, State.POSTED}),
}


_ON_A_DAY: dict[type[Payload], Template] = {
    intake.ApplicationSubmitted: Template.RECEIVED,
    intake.ApplicationWithdrawn: Template.WITHDRAWN,
    review.WithdrawalGranted: Template.WITHDRAWN,
    review.ApplicationApproved: Template.APPROVED,
    intake.CardPosted: Template.CARD_POSTED,
    intake.CardActivated: Template.ACTIVATED,
    intake.CardFirstUsed: Template.FIRST_USE,
}
"""What is news by the day on which it happened."""

_UNTIL_A_DAY: dict[type[Payload], Template] = {
    intake.DraftReminded: Template.DRAFT_REMINDER,
    intake.ActivationReminded: Template.ACTIVATION_REMINDER,
}
"""What reminds of a day."""


_EXPIRED: dict[str, Template | None] = {
    "draft-abandoned": None,  # the reminder said so, and nothing was handed in
    "material-not-supplied": Template.EXPIRED,
    "card-not-activated": Template.CARD_LAPSED,
}


def wish_of(payload: Payload, time: datetime, *, moves: bool) -> Wish | None:
    """The message that an event calls for, or None.

    time: when it happened in the business. moves: whether it moved the application; a partner's
    fact that came late fills the timeline and is no news to the customer.
    """
    day = {"date": time.isoformat()}
    match payload:
        case intake.CardEvent() if not moves:
            return None
        case intake.MaterialRequested():
            return Wish(Template.MATERIAL_WANTED, _material(payload.items, payload.deadline))
        case intake.MaterialReminded():
            return Wish(Template.MATERIAL_REMINDER, _material(payload.items, payload.deadline))
        case intake.DraftReminded() | intake.ActivationReminded():
            deadline = {"deadline": payload.deadline.isoformat()}
            return Wish(_UNTIL_A_DAY[type(payload)], deadline)
        case intake.ApplicationExpired():
            template = _EXPIRED[payload.reason]
            return Wish(template, day) if template is not None else None
        case review.ApplicationDeclined():
            category, reapply_from = payload.category.value, payload.reapply_from.isoformat()
            return Wish(
                Template.DECLINED, {**day, "category": category, "reapply_from": reapply_from}
            )
        case intake.AccessCodeIssued():
            details = {"deadline": payload.valid_until.isoformat(), "code": str(payload.code)}
            return Wish(Template.ACCESS_CODE, details)
    news = _ON_A_DAY.get(type(payload))
    return Wish(news, day) if news is not None else _wish_afterwards(payload, day)


def _wish_afterwards(payload: Payload, day: dict[str, Any]) -> Wish | None:
    """Of appeals, disputes and changed limits: cases of their own beside the application."""
    match payload:
        case review.AppealOpened():
            return Wish(Template.APPEAL_OPENED, {"working_days": payload.working_days})
        case review.AppealAnswered(about="limit"):
            return _limit_appealed(payload, day)
        case review.AppealAnswered():
            category = (payload.category or review.DeclineCategory.INTERNAL).value
            decided_by = "policy" if payload.automatic else "people"
            details = {**day, "category": category, "decided_by": decided_by}
            return Wish(_ANSWERS[payload.outcome], details)
        case review.LimitChangeOpened():
            days = {"working_days": payload.working_days}
            return None if payload.by_bank else Wish(Template.LIMIT_ASKED, days)
        case review.LimitChangeDecided():
            return _limit_decided(payload, day)
        case review.LimitExpiring():
            return Wish(Template.LIMIT_EXPIRING, {"deadline": payload.until.isoformat()})
        case review.LimitExpired():
            return Wish(Template.LIMIT_EXPIRED, day) if payload.why == "term" else None
        case review.DisputeOpened():
            return Wish(Template.DISPUTE_OPENED, {"days": payload.days})
        case review.DisputeAnswered():
            return Wish(_OF_DISPUTES[payload.outcome], day)
    return None


def _limit_appealed(payload: review.AppealAnswered, day: dict[str, Any]) -> Wish:
    """What a customer hears who asked about a limit that the policy alone set: how limits come
    about and what bounded theirs, never an amount."""
    assert payload.basis is not None  # of a limit
    if payload.change_number is not None:
        return Wish(Template.APPEAL_LIMIT_BEGUN, day)
    details = {**day, "basis": payload.basis.value, "decided_by": "policy"}
    return Wish(_ABOUT_LIMITS[payload.outcome], details)


def _limit_decided(payload: review.LimitChangeDecided, day: dict[str, Any]) -> Wish | None:
    """What a customer hears of a changed limit, never an amount: how high a limit is and was is not
    said in a message. What the bank wanted by itself and gave up is no news."""
    if payload.outcome == "refused":
        return None if payload.by_bank else Wish(Template.LIMIT_REFUSED, day)
    details = dict(day)
    if payload.until is not None:
        details["deadline"] = payload.until.isoformat()
    if not payload.by_bank:
        return Wish(_RAISED[payload.kind], details)
    assert payload.effective_on is not None  # of what is granted
    details["effective_on"] = payload.effective_on.isoformat()
    return Wish(Template.LIMIT_LOWERED_BY_BANK, details)


def _material(items: Sequence[intake.WantedItem], deadline: datetime) -> dict[str, Any]:
    return {
        "items": [
            {"item": one.item, "code": one.code, **({"role": one.role.value} if one.role else {})}
            for one in items
        ],
        "deadline": deadline.isoformat(),
    }


def channels_for(
    template: Template, came_by: str, *, has_mobile: bool, has_email: bool
) -> tuple[Channel, ...]:
    """Where a message goes: the app for who applied in the app, else SMS, else e-mail; decisions
    also as an e-mail copy; a code never by e-mail. Empty where nothing leads to the customer."""
    has_email = has_email and template not in _NEVER_BY_EMAIL
    if came_by == ApplicationChannel.MOBILE_APP:
        first = Channel.APP
    elif has_mobile:
        first = Channel.SMS
    elif has_email:
        first = Channel.EMAIL
    else:
        return ()
    if template in DECISIONS and has_email and first is not Channel.EMAIL:
        return (first, Channel.EMAIL)
    return (first,)


def next_channel(
    template: Template, failed: Channel, *, has_mobile: bool, has_email: bool
) -> Channel | None:
    """Where to turn after a channel has certainly failed: app, then SMS, then e-mail, each once.

    A decision went by e-mail already, as a copy; a code never goes so.
    """
    if failed is Channel.APP and has_mobile:
        return Channel.SMS
    if failed is not Channel.EMAIL and has_email and template not in DECISIONS | _NEVER_BY_EMAIL:
        return Channel.EMAIL
    return None


def still_makes_sense(template: Template, state: str | None) -> bool:
    """Whether a message that has not gone out yet should go out to an application in this state."""
    fitting = _MAKES_SENSE_IN.get(template)
    return fitting is None or state in fitting
