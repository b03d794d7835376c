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
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CARD_LAPSED = "card_lapsed"
    APPROVED = "approved"
    DECLINED = "declined"
    CARD_POSTED = "card_posted"
    ACTIVATED = "activated"
    FIRST_USE = "first_use"
    ACCESS_CODE = "access_code"


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


DECISIONS = frozenset({Template.APPROVED, Template.DECLINED})
"""Of these an e-mail copy is kept by the customer."""

_NEVER_BY_EMAIL = frozenset({Template.ACCESS_CODE})
"""A code goes to what the customer carries, and nowhere else."""

# A message that is still waiting for the morning is dropped once the application has moved out of
# these states; one that is not named here stays true whatever happens later.
_MAKES_SENSE_IN: dict[Template, frozenset[State]] = {
    Template.MATERIAL_WANTED: frozenset({State.AWAITING_MATERIAL}),
    Template.MATERIAL_REMINDER: frozenset({State.AWAITING_MATERIAL}),
    Template.RECEIVED: frozenset(State)
    - {State.WITHDRAWN, State.EXPIRED, State.DECLINED, State.APPROVED},
    Template.CARD_POSTED: frozenset({State.CARD_PRODUCING, State.POSTED}),
}


def wish_of(payload: Payload, time: datetime, *, moves: bool) -> Wish | None:
    """The message that an event calls for, or None.

    time: when it happened in the business. moves: whether it moved the application; a partner's
    fact that came late fills the timeline and is no news to the customer.
    """
    match payload:
        case intake.ApplicationSubmitted():
            return Wish(Template.RECEIVED, {"date": time.isoformat()})
        case intake.MaterialRequested():
            return Wish(Template.MATERIAL_WANTED, _material(payload.items, payload.deadline))
        case intake.MaterialReminded():
            return Wish(Template.MATERIAL_REMINDER, _material(payload.items, payload.deadline))
        case intake.ApplicationWithdrawn() | review.WithdrawalGranted():
            return Wish(Template.WITHDRAWN, {"date": time.isoformat()})
        case intake.ApplicationExpired(reason="card-not-activated"):
            return Wish(Template.CARD_LAPSED, {"date": time.isoformat()})
        case intake.ApplicationExpired():
            return Wish(Template.EXPIRED, {"date": time.isoformat()})
        case review.ApplicationApproved():
            return Wish(Template.APPROVED, {"date": time.isoformat()})
        case review.ApplicationDeclined():
            return Wish(
                Template.DECLINED,
                {
                    "date": time.isoformat(),
                    "category": payload.category.value,
                    "reapply_from": payload.reapply_from.isoformat(),
                },
            )
        case intake.CardPosted() if moves:
            return Wish(Template.CARD_POSTED, {"date": time.isoformat()})
        case intake.CardActivated() if moves:
            return Wish(Template.ACTIVATED, {"date": time.isoformat()})
        case intake.CardFirstUsed() if moves:
            return Wish(Template.FIRST_USE, {"date": time.isoformat()})
        case intake.AccessCodeIssued():
            details = {"deadline": payload.valid_until.isoformat(), "code": str(payload.code)}
            return Wish(Template.ACCESS_CODE, details)
        case _:
            return None


def _material(items: Sequence[intake.WantedItem], deadline: datetime) -> dict[str, Any]:
    return {
        "items": [{"item": one.item, "code": one.code} for one in items],
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
