"""When a message may go out: nobody is woken for news that can wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.notify.messages import Template
from shared.calendar import next_send_moment
from shared.events.payload import Channel as ApplicationChannel
from shared.parameters.models import SendWindow

# The customer has just done something and is awake; the answer is expected now.
_ANSWERS = frozenset({Template.RECEIVED, Template.WITHDRAWN})
_CUSTOMER_PRESENT = frozenset(
    {ApplicationChannel.COUNTER, ApplicationChannel.WEB, ApplicationChannel.MOBILE_APP}
)

REPORT_LOOKS = (
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""How long after the last look the gateway is asked again what became of an SMS."""


def may_wait(template: Template, came_by: str) -> bool:
    """Whether a message keeps to the send window. Only the answer to what a customer does in person
    does not; a batch that a branch loads at night wakes nobody."""
    return not (template in _ANSWERS and came_by in _CUSTOMER_PRESENT)


def send_moment(
    template: Template, came_by: str, now: datetime, window: SendWindow, zone: ZoneInfo
) -> datetime:
    """The first moment (UTC) from `now` on at which this message may be sent."""
    if not may_wait(template, came_by):
        return now
    return next_send_moment(now, window.opens, window.closes, zone)


def next_look(looks: int, now: datetime) -> datetime | None:
    """When to ask for the delivery report again after `looks` times; None when to give up."""
    return now + REPORT_LOOKS[looks] if looks < len(REPORT_LOOKS) else None
