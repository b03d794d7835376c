"""How states, channels, templates and reasons are named and coloured on the screens."""

from __future__ import annotations

from collections.abc import Mapping

from services.notify.application import MessageState, SentEvidence, UnsentEvidence
from services.notify.messages import Channel
from shared.web.i18n import mark
from shared.web.states import Badge

STATES: Mapping[str, Badge] = {
    MessageState.REQUESTED: Badge(mark("Waiting to be sent"), "info", "hourglass"),
    MessageState.SENT: Badge(mark("Sent"), "progress", "send"),
    MessageState.DELIVERED: Badge(mark("Delivered to the customer"), "good", "circle-check"),
    MessageState.FAILED: Badge(mark("Failed"), "bad", "circle-x"),
    MessageState.UNRESOLVED: Badge(mark("Unresolved"), "hold", "help-circle"),
}

CHANNELS: Mapping[str, Badge] = {
    Channel.SMS: Badge(mark("SMS"), "neutral", "message"),
    Channel.EMAIL: Badge(mark("E-mail"), "neutral", "mail"),
    Channel.APP: Badge(mark("App message"), "neutral", "device-mobile"),
}

HAPPENINGS: Mapping[str, str] = {
    "requested": mark("Message requested"),
    "sent": mark("The gateway took the message"),
    "delivered": mark("The customer's device took the message"),
    "failed": mark("The message failed and is not tried again"),
    "unresolved": mark("Nobody can tell whether it went out"),
}
BY_HAND: Mapping[str, str] = {
    "requested": mark("To be sent again, decided by hand"),
    "sent": mark("Marked as sent by hand"),
}

SENT: Mapping[str, str] = {
    SentEvidence.GATEWAY_HAS_IT: mark("the gateway's operator found it sent"),
    SentEvidence.CUSTOMER_HAS_IT: mark("the customer has it"),
}
UNSENT: Mapping[str, str] = {
    UnsentEvidence.GATEWAY_LACKS_IT: mark("the gateway's operator found nothing"),
    UnsentEvidence.CUSTOMER_LACKS_IT: mark("the customer did not get it"),
}

_REASONS: Mapping[str, str] = {
    **SENT,
    **UNSENT,
    "no-address": mark("no address for this channel"),
    "erased": mark("the customer's data was deleted"),
    "outdated": mark("no longer true when its time came"),
    "undelivered": mark("the gateway reported that it did not arrive"),
    "unknown-number": mark("the gateway knows no such number"),
    "no-device": mark("the customer is not signed in to the app"),
    "exhausted": mark("the gateway did not answer, and has nothing"),
}
_BEGINNINGS: Mapping[str, str] = {
    "wording": mark("the text breaks a rule and was held back"),
    "after DATA": mark("the mail server took the text and did not answer"),
    "smtp-550": mark("there is no such mailbox"),
    "smtp-": mark("the mail server refused it"),
    "no-answer": mark("the gateway gave no answer and could not say what it has"),
    "http-": mark("the gateway refused it"),
    "the worker stopped": mark("the service stopped while sending"),
}


FIELDS: Mapping[str, str] = {
    "text": mark("Text as the customer read it"),
    "recipient": mark("Recipient"),
}
"""What of a message is masked, and shown in clear for a reason."""


def reason_words(reason: str) -> str:
    """Why a message failed or is unresolved, as a text to translate; a gateway's own code as is."""
    if reason in _REASONS:
        return _REASONS[reason]
    return next((words for start, words in _BEGINNINGS.items() if reason.startswith(start)), reason)
