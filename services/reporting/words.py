"""The names of things on reporting's pages and in its reports: events, desks, reasons, figures.

Codes without a name here are shown as they are, so that a new code is seen and not hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.reporting.projections import AppliedEvent
from shared.parameters import (
    load_checklist_items,
    load_phrases,
    load_products,
    load_return_codes,
)
from shared.places import REGIONS
from shared.web.i18n import _, current_language, mark
from shared.web.states import named, state_badge

# {event type without `banka.` and version: (name, icon, tone)}
EVENTS: Mapping[str, tuple[str, str, str]] = {
    "application.drafted": (mark("Application begun"), "pencil", "neutral"),
    "application.submitted": (mark("Application submitted"), "inbox", "info"),
    "application.corrected": (mark("Form corrected"), "pencil", "neutral"),
    "application.pre-check-started": (mark("Pre-check started"), "clipboard-list", "progress"),
    "application.material-requested": (mark("Material requested"), "paperclip", "waiting"),
    "application.material-reminded": (mark("Reminder of missing material"), "bell", "waiting"),
    "application.draft-reminded": (mark("Reminder of a draft"), "bell", "waiting"),
    "application.activation-reminded": (mark("Reminder to activate the card"), "bell", "waiting"),
    "document.received": (mark("Paper received"), "file-check", "info"),
    "access-code.issued": (mark("Code for the customer's page sent"), "key", "neutral"),
    "item.asked-again": (mark("Asked again for what was accepted"), "refresh", "waiting"),
    "application.material-completed": (mark("Material complete"), "checklist", "good"),
    "application.pre-check-passed": (mark("Pre-check passed"), "clipboard-check", "good"),
    "application.imported": (mark("Taken over from another system"), "database", "neutral"),
    "application.withdrawal-requested": (mark("Withdrawal requested"), "arrow-left", "waiting"),
    "application.withdrawn": (mark("Withdrawn by the customer"), "arrow-left", "neutral"),
    "application.expired": (mark("Closed after the deadline"), "clock-exclamation", "neutral"),
    "application.checks-completed": (mark("Checks completed"), "shield-check", "progress"),
    "application.referred": (mark("Referred to a reviewer"), "gavel", "progress"),
    "application.material-wanted": (mark("Reviewer wants more material"), "paperclip", "waiting"),
    "application.held": (mark("Put on hold"), "clock-pause", "hold"),
    "application.released": (mark("Released from hold"), "player-play", "progress"),
    "application.approved": (mark("Approved"), "circle-check", "good"),
    "application.declined": (mark("Declined"), "circle-x", "bad"),
    "application.withdrawal-granted": (mark("Withdrawal granted"), "arrow-left", "neutral"),
    "application.withdrawal-refused": (mark("Withdrawal refused"), "ban", "neutral"),
    "appeal.requested": (mark("The customer asks about the decision"), "message", "waiting"),
    "appeal.opened": (mark("Appeal opened"), "gavel", "progress"),
    "appeal.answered": (mark("Appeal answered"), "send", "good"),
    "limit-change.requested": (mark("The customer wants another limit"), "credit-card", "waiting"),
    "limit-change.opened": (mark("Change of the limit opened"), "gavel", "progress"),
    "limit-change.decided": (mark("Change of the limit decided"), "circle-check", "good"),
    "limit.expiring": (mark("Temporary limit ends soon"), "bell", "waiting"),
    "limit.expired": (mark("Temporary limit ended"), "hourglass", "neutral"),
    "dispute.requested": (mark("The customer disputes the credit report"), "message", "waiting"),
    "dispute.opened": (mark("Dispute opened"), "gavel", "progress"),
    "dispute.answered": (mark("Dispute answered"), "send", "good"),
    "card.ordered": (mark("Card ordered"), "credit-card", "good"),
    "card.produced": (mark("Card produced"), "package", "good"),
    "card.posted": (mark("Card posted"), "truck-delivery", "good"),
    "card.delivered": (mark("Card delivered"), "mailbox", "good"),
    "card.activated": (mark("Card activated"), "lock-open", "good"),
    "card.first-used": (mark("Card used for the first time"), "rosette-discount-check", "good"),
    "card.fact-refused": (mark("Card fact refused"), "alert-triangle", "bad"),
    "message.requested": (mark("Message requested"), "message", "neutral"),
    "message.sent": (mark("Message sent"), "send", "neutral"),
    "message.delivered": (mark("Message delivered"), "check", "neutral"),
    "message.failed": (mark("Message failed"), "alert-circle", "bad"),
    "message.unresolved": (mark("Message: nobody knows"), "help-circle", "waiting"),
    "case.stalled": (mark("Silent for too long"), "alert-triangle", "bad"),
    "case.resumed": (mark("Moved again"), "player-play", "good"),
}

DESKS: Mapping[str, str] = {
    "assistant": mark("Assistants' desk"),
    "credit_review": mark("Credit review"),
    "risk": mark("Risk control"),
    "compliance": mark("Compliance"),
    "operations": mark("Card operations"),
}

WAITING: Mapping[str, str] = {
    "customer": mark("the customer"),
    "bank": mark("the bank"),
    "partner": mark("a partner"),
}

CHANNELS: Mapping[str, str] = {
    "counter": mark("Counter"),
    "web": mark("Website"),
    "mobile_app": mark("Mobile app"),
    "batch": mark("Batch file"),
    "partner": mark("Partner"),
    "sms": mark("SMS"),
    "email": mark("E-mail"),
    "app": mark("App message"),
}

APPLICANTS: Mapping[str, str] = {
    "salaried": mark("Salaried"),
    "self_employed": mark("Self-employed"),
    "asset_owner": mark("Asset owner"),
    "student": mark("Student"),
    "existing_customer": mark("Existing customer"),
    "supplementary": mark("Supplementary card"),
}

MESSAGE_STATES: Mapping[str, tuple[str, str]] = {
    "requested": (mark("Waiting to be sent"), "waiting"),
    "sent": (mark("Sent"), "info"),
    "delivered": (mark("Reached the customer"), "good"),
    "failed": (mark("Failed"), "bad"),
    "unresolved": (mark("Unknown"), "hold"),
}

EXPIRY: Mapping[str, str] = {
    "draft-abandoned": mark("never handed in"),
    "material-not-supplied": mark("material was not supplied in time"),
    "card-not-activated": mark("card was not activated in time"),
}

REASONS: Mapping[str, str] = {
    "already-decided": mark("already decided"),
    "already-ended": mark("already ended"),
    "with-intake": mark("lies with intake"),
    "refused": mark("refused by the gateway"),
    "no-address": mark("no address"),
    "exhausted": mark("every attempt failed"),
    "undelivered": mark("could not be delivered"),
}

FIGURES: Mapping[str, str] = {
    "submitted": mark("Handed in"),
    "material_requested": mark("Material requested"),
    "pre_check_passed": mark("Pre-check passed"),
    "approved": mark("Approved"),
    "declined": mark("Declined"),
    "withdrawn": mark("Withdrawn"),
    "expired": mark("Expired"),
    "card_ordered": mark("Cards ordered"),
    "card_posted": mark("Cards posted"),
    "card_activated": mark("Cards activated"),
    "card_first_used": mark("First use"),
    "stalled": mark("Silent for too long"),
    "resumed": mark("Moved again"),
    "fact_refused": mark("Card facts refused"),
    "asked_again": mark("Asked again for what was accepted"),
    "stalled_open": mark("Silent at the cut-off"),
    "decided": mark("Decided"),
    "delivered": mark("Card delivered"),
    "activated": mark("Card activated"),
    "first_used": mark("First use"),
    "rate.material": mark("Asked for more material"),
    "rate.first_pass": mark("Complete at the first try"),
    "rate.pre_check": mark("Pre-check pass rate"),
    "rate.approval": mark("Approval rate"),
    "rate.activation": mark("Activation rate"),
    "gross_median": mark("Median, gross"),
    "gross_p90": mark("P90, gross"),
    "net_median": mark("Median without the customer's time"),
    "net_p90": mark("P90 without the customer's time"),
    "median": mark("Median"),
    "p90": mark("P90"),
}

ASKED: Mapping[str, str] = {
    "appeal": mark("Appeals"),
    "reconsideration": mark("Reconsiderations"),
    "dispute": mark("Disputes about the credit report"),
}
"""What customers ask of a decision or of the credit report."""
BECAME: Mapping[str, str] = {
    "opened": mark("Opened"),
    "in_time": mark("Answered in time"),
    "late": mark("Answered late"),
    "overdue": mark("Overdue at the cut-off"),
    "changed": mark("For the customer"),
    "upheld": mark("Upheld"),
}
"""What became of it."""

BASES: Mapping[str, str] = {
    "flow": mark("flow, by day of the event"),
    "cohort": mark("cohort, by day of submission"),
    "stock": mark("stock at the cut-off"),
}


def name(names: Mapping[str, str], code: str | None) -> str:
    """The translated name of a code; the code itself where it has none."""
    return _(names[code]) if code is not None and code in names else (code or "—")


def desk_name(code: str) -> str:
    return name(DESKS, code)


def waiting_name(code: str) -> str:
    return name(WAITING, code)


def channel_name(code: str | None) -> str:
    return name(CHANNELS, code)


def applicant_name(code: str | None) -> str:
    return name(APPLICANTS, code)


def region_name(code: str | None) -> str:
    """The province of a branch."""
    names = REGIONS.get(code or "")
    return (code or "—") if names is None else names[1 if current_language() == "en" else 0]


def product_name(code: str | None) -> str:
    product = load_products().get(code or "")
    return (code or "—") if product is None else _of(product.names)


def item_name(code: str) -> str:
    """A paper of the checklist."""
    item = load_checklist_items().items.get(code)
    return code if item is None else _of(item.names)


def code_name(code: str) -> str:
    """A return code."""
    found = load_return_codes().codes.get(code)
    return code if found is None else _of(found.names)


def category_name(code: str | None) -> str:
    """A reason for declining, in the desk's words."""
    found = load_phrases().declines.get(code or "")
    return (code or "—") if found is None else _of(found.desk)


def message_name(template: str) -> str:
    return named(template.replace("-", "_"), "message")


def band(text: str | None) -> str:
    """A band of amounts or ages as it is written, with a thousands separator in amounts."""
    if not text or text == "unknown":
        return "—"
    if text.endswith("+"):
        return _("%(least)s or more") % {"least": _figure(text[:-1])}
    return "–".join(map(_figure, text.split("-")))


def _figure(part: str) -> str:
    return f"{int(part):,}" if part.isdigit() and len(part) > 3 else part


def event_words(event_type: str) -> tuple[str, str, str]:
    """(name, icon, tone) of an event type."""
    key = event_type.removeprefix("banka.").rsplit(".v", 1)[0]
    label, icon, tone = EVENTS.get(key, (key, "point", "neutral"))
    return _(label), icon, tone


def figure_name(key: str) -> str:
    """What a figure counts, from its key: `declined30.credit_history`, `stage.checking.median`."""
    if key in FIGURES:
        return _(FIGURES[key])
    head, _sep, rest = key.partition(".")
    day = key.partition("@")
    if day[1]:
        return f"{name(FIGURES, day[0])} · {day[2]}"
    if head in {"declined", "declined30"}:
        return f"{_('Declined')} · {category_name(rest)}" if rest else _("Declined")
    if head in {"region", "region30"}:
        return f"{_('Submitted')} · {region_name(rest)}"
    if head == "stage":
        return _stage(rest)
    if head == "stock":
        return state_name(rest)
    if head == "waiting":
        return _waiting(rest)
    if head in {"after", "after30"}:
        asked, _sep, became = rest.partition(".")
        return f"{name(ASKED, asked)} · {name(BECAME, became)}"
    if head == "message":
        channel, _sep, state = rest.partition(".")
        return f"{channel_name(channel)} · {message_state(state)}"
    return name(FIGURES, rest or key)


def _waiting(whom: str) -> str:
    return _("Waiting on %(whom)s") % {"whom": waiting_name(whom)}


def _stage(rest: str) -> str:
    state, _sep, measure = rest.partition(".")
    return f"{state_name(state)} · {name(FIGURES, measure)}" if measure else state_name(state)


def state_name(code: str) -> str:
    return _(state_badge(code).label)


def message_state(code: str) -> str:
    return _(MESSAGE_STATES[code][0]) if code in MESSAGE_STATES else code


def people_of(event: AppliedEvent) -> list[str]:
    """The ids of the staff who are named in an event."""
    facts = event.facts
    entered = str(facts.get("entered_by", ""))
    return [
        *facts.get("decided_by", ()),
        *([facts["staff_id"]] if facts.get("staff_id") else []),
        # a customer's own steps name who had printed their code
        *([entered.rpartition("staff:")[2]] if "staff:" in entered else []),
    ]


def who(event: AppliedEvent, staff: Mapping[str, str]) -> str:
    """Who did it: a named member of staff, somebody for the customer, a partner, or the service
    itself."""
    people = [*event.facts.get("decided_by", ())]
    if event.facts.get("staff_id"):
        people.append(event.facts["staff_id"])
    if people:
        between = ", " if current_language() == "en" else "、"
        return between.join(staff.get(person, person) for person in people)
    key = event.type.removeprefix("banka.").rsplit(".v", 1)[0]
    if key in _FOR_CUSTOMER:
        return _for_customer(event.facts.get("entered_by"), staff)
    if key in _BY_PARTNER:
        return named(_BY_PARTNER[key], "caller")
    return name(_SERVICES, event.seen.source.rsplit("/", 1)[-1])


def _for_customer(entered_by: str | None, staff: Mapping[str, str]) -> str:
    """Who did for the customer what only the customer can want, or by which way they did it."""
    kind, _sep, person = (entered_by or "").partition(":")
    if kind == "customer" and person:
        printer = person.removeprefix("staff:")
        return _("the customer, by the code that %(name)s printed") % {
            "name": staff.get(printer, printer)
        }
    if kind == "customer":
        return _("the customer")
    if kind == "staff":
        return _("%(name)s, for the customer") % {"name": staff.get(person, person)}
    if person:
        return _("the customer, through %(name)s") % {"name": named(person, "caller")}
    return _("for the customer")


_FOR_CUSTOMER = frozenset(
    {
        "application.drafted",
        "application.submitted",
        "application.corrected",
        "application.withdrawal-requested",
        "application.withdrawn",
        "appeal.requested",
        "limit-change.requested",
        "dispute.requested",
        "document.received",
    }
)
_BY_PARTNER = {
    "card.produced": "card-factory",
    "card.posted": "card-factory",
    "card.delivered": "card-factory",
    "card.activated": "core-banking",
    "card.first-used": "core-banking",
}
_SERVICES: Mapping[str, str] = {
    "intake": mark("Intake"),
    "review": mark("Review"),
    "notify": mark("Notification"),
    "reporting": mark("Case watch"),
}


def detail(event: AppliedEvent) -> str:
    """One line on an event from the facts that were kept of it."""
    facts = event.facts
    parts: list[str] = []
    if items := facts.get("items"):
        between = "; " if current_language() == "en" else "；"
        parts.append(between.join(wanted_words(item) for item in items))
    elif "item" in facts:
        parts.append(item_name(facts["item"]))
    if "asked_again" in facts:
        why = load_checklist_items().ask_again_reasons.get(facts["asked_again"])
        if why is not None:
            parts.append(_of(why))
        elif all(item["code"] != facts["asked_again"] for item in facts.get("items", ())):
            parts.append(facts["asked_again"])
    if "category" in facts:
        parts.append(category_name(facts["category"]))
    if facts.get("limit_band"):
        parts.append(_("limit ¥%(band)s") % {"band": band(facts["limit_band"])})
    if "automatic" in facts:
        parts.append(_("by policy alone") if facts["automatic"] else _("decided by people"))
    if "template" in facts:
        parts.append(f"{message_name(facts['template'])} · {channel_name(facts['channel'])}")
    if "reason" in facts:
        known = {**EXPIRY, **REASONS}
        parts.append(name(known, facts["reason"]))
    if "partner" in facts:
        reported = str(facts["reported"]).removeprefix("banka.partner-").rsplit(".v", 1)[0]
        parts.append(f"{named(facts['partner'], 'caller')} · {event_words('banka.' + reported)[0]}")
    if "desk" in facts:
        parts.append(desk_name(facts["desk"]))
    return " · ".join(parts)


def wanted_words(item: Mapping[str, str]) -> str:
    """One paper or field that is owed, of whom, where it is not the applicant, and why."""
    what, why = item_name(item["item"]), code_name(item["code"])
    if whose := load_phrases().persons.get(item.get("role", "")):
        why = f"{_of(whose)}: {why}" if current_language() == "en" else f"{_of(whose)}：{why}"
    return f"{what} ({why})" if current_language() == "en" else f"{what}（{why}）"


def _of(words: Any) -> str:
    return str(words.en if current_language() == "en" else words.zh)
