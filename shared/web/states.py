"""How each state of the lifecycle and of the checklist is named and coloured on every screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.web.i18n import _, mark


@dataclass(frozen=True, slots=True)
class Badge:
    """A short label with a tone and an icon: colour is never the only sign."""

    label: str
    tone: str  # a tone of static/banka.css: neutral, info, progress, waiting, good, bad, hold
    icon: str


STATES: Mapping[str, Badge] = {
    "draft": Badge(mark("Draft"), "neutral", "pencil"),
    "submitted": Badge(mark("Submitted"), "info", "inbox"),
    "pre_check": Badge(mark("Pre-check"), "progress", "clipboard-list"),
    "awaiting_material": Badge(mark("Awaiting material"), "waiting", "paperclip"),
    "checking": Badge(mark("Checking"), "progress", "shield"),
    "scoring": Badge(mark("Scoring"), "progress", "scale"),
    "manual_review": Badge(mark("Manual review"), "progress", "gavel"),
    "approved": Badge(mark("Approved"), "good", "circle-check"),
    "declined": Badge(mark("Declined"), "bad", "circle-x"),
    "card_producing": Badge(mark("Card in production"), "good", "credit-card"),
    "posted": Badge(mark("Posted"), "good", "truck-delivery"),
    "delivered": Badge(mark("Delivered"), "good", "mailbox"),
    "activated": Badge(mark("Activated"), "good", "lock-open"),
    "in_use": Badge(mark("In use"), "good", "rosette-discount-check"),
    "withdrawn": Badge(mark("Withdrawn"), "neutral", "arrow-left"),
    "expired": Badge(mark("Expired"), "neutral", "clock-exclamation"),
    "on_hold": Badge(mark("On hold"), "hold", "clock-pause"),
}

ITEMS: Mapping[str, Badge] = {
    "complete": Badge(mark("Complete"), "good", "check"),  # 已完成
    "wanted": Badge(mark("To be supplied"), "waiting", "paperclip"),  # 待补充
    "received": Badge(mark("Received, unchecked"), "info", "inbox"),
    "accepted": Badge(mark("Accepted"), "good", "check"),
    "expired": Badge(mark("Lapsed"), "bad", "clock-exclamation"),
    "returned": Badge(mark("Returned"), "bad", "refresh"),
    "waived": Badge(mark("Waived"), "neutral", "minus"),
    "not_needed": Badge(mark("Not needed"), "neutral", "minus"),
}


DESKS: Mapping[str, str] = {
    "assistant": mark("Assistants"),
    "credit_review": mark("Credit review"),
    "risk": mark("Risk"),
    "compliance": mark("Compliance"),
    "operations": mark("Card operations"),
}

WAITING_ON: Mapping[str, str] = {
    "customer": mark("the customer"),
    "bank": mark("the bank"),
    "partner": mark("a partner"),
}

PRODUCTS: Mapping[str, str] = {
    "standard": mark("Standard card"),
    "gold": mark("Gold card"),
    "student": mark("Student card"),
    "business": mark("Business card"),
    "supplementary": mark("Supplementary card"),
}

CHANNELS: Mapping[str, str] = {
    "counter": mark("Counter"),
    "mobile_app": mark("Mobile app"),
    "web": mark("Website"),
    "batch": mark("Branch batch"),
    "partner": mark("Partner"),
}

APPLICANT_TYPES: Mapping[str, str] = {
    "salaried": mark("Salaried"),
    "self_employed": mark("Self-employed"),
    "asset_owner": mark("Asset owner"),
    "student": mark("Student"),
    "existing_customer": mark("Existing customer"),
    "supplementary": mark("Supplementary holder"),
}

MESSAGES: Mapping[str, str] = {
    "received": mark("Application received"),
    "material_wanted": mark("Documents needed"),
    "material_reminder": mark("Reminder of documents"),
    "draft_reminder": mark("Reminder of a draft"),
    "activation_reminder": mark("Reminder to activate the card"),
    "withdrawn": mark("Withdrawal confirmed"),
    "expired": mark("Closed after the deadline"),
    "card_lapsed": mark("Card not activated in time"),
    "approved": mark("Application approved"),
    "declined": mark("Application declined"),
    "card_posted": mark("Card posted"),
    "activated": mark("Card activated"),
    "first_use": mark("First use of the card"),
    "access_code": mark("Code for the customer's page"),
    "appeal_opened": mark("Appeal received"),
    "appeal_explained": mark("Explanation of a decline"),
    "appeal_upheld": mark("Appeal: the decline stays"),
    "appeal_changed": mark("Appeal: invited to apply again"),
    "appeal_limit_explained": mark("Explanation of a limit"),
    "appeal_limit_upheld": mark("Appeal: the limit stays"),
    "appeal_limit_begun": mark("Appeal: an increase is begun"),
    "appeal_limit_invited": mark("Appeal: invited to ask for an increase"),
    "limit_asked": mark("Wish for another limit received"),
    "limit_raised": mark("Limit raised"),
    "limit_raised_until": mark("Limit raised for a time"),
    "limit_lowered": mark("Limit lowered"),
    "limit_lowered_by_bank": mark("Limit lowered by the bank"),
    "limit_refused": mark("Limit not changed"),
    "limit_expiring": mark("Temporary limit ends soon"),
    "limit_expired": mark("Temporary limit ended"),
    "dispute_opened": mark("Dispute received"),
    "dispute_corrected": mark("Dispute: the report is put right"),
    "dispute_upheld": mark("Dispute: the report stays"),
    "dispute_annotated": mark("Dispute: annotated"),
}
"""What a customer is told of, by the code of its texts."""

# who hands in and reports by machine: channels' clients and partners
CALLERS: Mapping[str, str] = {
    "mobile-app": mark("Mobile app"),
    "card-factory": mark("Card factory"),
    "core-banking": mark("Core banking"),
    "screening": mark("Screening system"),
    "web-channel": mark("Website"),
    "branch-terminal": mark("Branch terminal"),
}

_NAMES: Mapping[str, Mapping[str, str]] = {
    "caller": CALLERS,
    "desk": DESKS,
    "waiting_on": WAITING_ON,
    "product": PRODUCTS,
    "channel": CHANNELS,
    "applicant_type": APPLICANT_TYPES,
    "message": MESSAGES,
    "state": {code: badge.label for code, badge in STATES.items()},
}


def named(code: str | None, kind: str) -> str:
    """The word for a code in the reader's language: `"gold"|named("product")` is 金卡.

    Kinds: caller, desk, waiting_on, product, channel, applicant_type, message, state. An unknown
    code stays itself.
    """
    if code is None:
        return "—"
    return _(_NAMES[kind].get(code, code))


def options(kind: str) -> list[tuple[str, str]]:
    """[(code, word)] of a kind for filters and selections, in their usual order."""
    return [(code, _(label)) for code, label in _NAMES[kind].items()]


def shown_state(state: str, *, knows_holds: bool) -> str:
    """The state as the viewer may know it. A held case is told to nobody who speaks to customers
    (反洗钱法 35): to them it lies with a reviewer, which is where cases come from before a hold and
    go after it, so that nothing seems to move."""
    return "manual_review" if state == "on_hold" and not knows_holds else state


def state_badge(state: str) -> Badge:
    """The badge of a lifecycle state; one that we have no words for is shown by its own name."""
    return STATES.get(state.replace("-", "_").lower(), Badge(state, "neutral", "point"))


def item_badge(state: str) -> Badge:
    """The badge of a checklist item's state."""
    return ITEMS.get(state.replace("-", "_").lower(), Badge(state, "neutral", "point"))
