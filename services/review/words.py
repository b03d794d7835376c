"""How review's codes are called, and what its pages tell of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.review import reason_codes
from services.review.appeals import About
from services.review.case import NO_FIELD, NOT_SEEN, OTHER_DOCUMENT, UNWEIGHED, Awaited, Check
from services.review.checks import CHECKS, OWN
from services.review.evidence import Opened
from services.review.explaining import explain
from services.review.holds import HoldReason
from services.review.officers import Kind
from services.review.policy import Policy, debt_ratio_bp
from services.review.telephone import Heard, Telephone
from shared.events.intake import Meeting
from shared.parameters import load_checklist_items, load_products
from shared.places import REGIONS
from shared.web.i18n import (
    _,
    current_language,
    mark,
    show_datetime,
    show_money,
    show_percent,
)
from shared.web.states import state_badge

CHECK_NAMES: Mapping[str, str] = {name: kind.title for name, kind in CHECKS.items()}
AWAITED_NAMES: Mapping[str, str] = {**CHECK_NAMES, UNWEIGHED: mark("Credit policy")}
WHY_UNAVAILABLE: Mapping[str, str] = {
    "no-consent": mark("No valid consent to the credit query"),
    "no-data": mark("Name or ID number is missing in the hand-over"),
    OTHER_DOCUMENT: mark(
        "The registry holds citizens' ID cards alone and was not asked. An approval rests on"
        " whoever of the bank saw the customer with the original; without that, ask for it"
    ),
    NOT_SEEN: mark("The product demands it; a complete record of it is missing"),
    NO_FIELD: mark("A field that it needs is missing in the hand-over"),
    "call-awaited": mark("A call is awaited"),
    "not-reached": mark("Nobody was reached after several calls"),
    "refused-to-answer": mark("The applicant did not want to answer"),
    "wrong-number": mark("The number is not the applicant's"),
    "no-key": mark("The applicant's data was deleted or is restricted"),
    "not-open": mark("The application was no longer open"),
    "away": mark("No answer until the longest wait was over"),
    "": mark("No answer after several tries"),
    "unreadable-answer": mark("The answer could not be read"),
}
ACTIONS: Mapping[str, tuple[str, str, str]] = {
    "handed_over": (mark("Handed over by intake"), "inbox", "info"),
    "imported": (mark("Imported from another system"), "inbox", "info"),
    "paper_received": (mark("A paper came in"), "file-text", "info"),
    "moved": (mark("State changed by intake"), "arrow-right", "neutral"),
    "check_requested": (mark("Check requested"), "shield", "progress"),
    "check_reused": (mark("Earlier answer is still valid"), "refresh", "progress"),
    "check_waits": (mark("The system does not answer; the check waits"), "hourglass", "waiting"),
    "screened_again": (mark("Searched again: the bank's own list changed"), "refresh", "progress"),
    "lists_changed": (mark("Screened again: a watchlist changed"), "refresh", "progress"),
    "check_ended": (mark("Check ended"), "shield", "progress"),
    "checks_repeated": (mark("Checks asked again"), "refresh", "progress"),
    "scored": (mark("Policy applied"), "scale", "progress"),
    "scored_again": (mark("The policy is applied anew"), "refresh", "progress"),
    "scoring_failed": (mark("Policy could not be applied"), "alert-triangle", "bad"),
    "referred": (mark("Referred to a person"), "gavel", "waiting"),
    "held": (mark("Held"), "clock-pause", "hold"),
    "suspected": (mark("Handed to compliance"), "clock-pause", "hold"),
    "hold_overdue": (mark("The hold is overdue"), "clock-exclamation", "bad"),
    "finding": (mark("Compliance's finding"), "shield", "hold"),
    "released": (mark("Released from hold"), "lock-open", "good"),
    "claimed": (mark("Claimed"), "user", "info"),
    "put_back": (mark("Put back into the queue"), "arrow-left", "neutral"),
    "taken_back": (mark("A colleague's case put back into the queue"), "arrow-left", "neutral"),
    "reassigned": (mark("Given to a colleague"), "users", "info"),
    "escalated": (mark("Escalated to the risk officers"), "arrow-up", "waiting"),
    "snoozed": (mark("Laid aside"), "clock-pause", "neutral"),
    "woken": (mark("Taken up again"), "bell", "info"),
    "noted": (mark("Note"), "message", "neutral"),
    "proposed": (mark("Decision proposed"), "pencil", "waiting"),
    "opinion": (mark("Second opinion given"), "pencil", "waiting"),
    "signed": (mark("Second signature given"), "circle-check", "good"),
    "returned": (mark("Proposal sent back"), "arrow-left", "bad"),
    "telephone_ordered": (mark("Call asked for"), "phone", "waiting"),
    "telephone_called": (mark("Called"), "phone", "progress"),
    "wanted_material": (mark("More material wanted"), "paperclip", "waiting"),
    "decided": (mark("Decided"), "circle-check", "good"),
    "appeal_opened": (mark("Appeal of the customer"), "message", "waiting"),
    "appeal_asked_again": (mark("The customer asked again"), "message", "waiting"),
    "appeal_claimed": (mark("Appeal claimed"), "user", "info"),
    "appeal_put_back": (mark("Appeal put back"), "arrow-left", "neutral"),
    "appeal_reassigned": (mark("Appeal given to a colleague"), "users", "info"),
    "appeal_overdue": (mark("Appeal overdue"), "clock-exclamation", "bad"),
    "appeal_answered": (mark("Appeal answered"), "send", "good"),
    "limit_change_opened": (mark("Change of the limit asked for"), "credit-card", "waiting"),
    "limit_change_claimed": (mark("Change of the limit claimed"), "user", "info"),
    "limit_change_put_back": (mark("Change of the limit put back"), "arrow-left", "neutral"),
    "limit_change_reassigned": (
        mark("Change of the limit given to a colleague"),
        "users",
        "info",
    ),
    "limit_change_examined_again": (mark("Evidence asked anew"), "refresh", "progress"),
    "limit_change_worked_out": (mark("Limit worked out"), "scale", "progress"),
    "limit_change_held": (mark("Change of the limit held"), "clock-pause", "hold"),
    "limit_change_proposed": (mark("New limit proposed"), "pencil", "waiting"),
    "limit_change_returned": (mark("Proposal of a limit sent back"), "arrow-left", "bad"),
    "limit_change_granted": (mark("New limit granted"), "circle-check", "good"),
    "limit_change_refused": (mark("Change of the limit refused"), "circle-x", "neutral"),
    "limit_change_overdue": (mark("Change of the limit overdue"), "clock-exclamation", "bad"),
    "limit_expired": (mark("Temporary limit ended"), "hourglass", "neutral"),
    "dispute_opened": (mark("The customer disputes the credit report"), "message", "waiting"),
    "dispute_asked_again": (mark("The customer asked again"), "message", "waiting"),
    "dispute_claimed": (mark("Dispute claimed"), "user", "info"),
    "dispute_put_back": (mark("Dispute put back"), "arrow-left", "neutral"),
    "dispute_reassigned": (mark("Dispute given to a colleague"), "users", "info"),
    "dispute_near": (mark("The answer to the dispute is due soon"), "hourglass", "waiting"),
    "dispute_overdue": (mark("Dispute overdue"), "clock-exclamation", "bad"),
    "dispute_answered": (mark("Dispute answered"), "send", "good"),
    "check_repeated": (mark("Asked anew: the earlier answer was wrong"), "refresh", "progress"),
    "withdrawal_granted": (mark("Withdrawal granted"), "arrow-left", "neutral"),
    "withdrawal_refused": (mark("Withdrawal refused"), "x", "neutral"),
}
KINDS: Mapping[Kind, str] = {
    "case": mark("Case"),
    "appeal": mark("Appeal"),
    "dispute": mark("Dispute"),
    "limit_change": mark("Change of a limit"),
}
"""What an officer may have."""
AWAITED: Mapping[Awaited, str] = {
    "material": mark("or when a paper has come"),
    "check": mark("or when the checks have answered"),
}
"""What brings back a case that was laid aside, before its time."""
OFFICE_ACTIONS: Mapping[str, str] = {
    "officer-away": mark("Absence of a reviewer changed"),
    "officer-products": mark("Products of a reviewer changed"),
    "policy-proposed": mark("Credit policy proposed"),
    "policy-approved": mark("Credit policy approved"),
    "policy-rejected": mark("Credit policy rejected"),
    "policy-withdrawn": mark("Proposal of a credit policy taken back"),
    "policy-shadow-started": mark("Credit policy runs without effect"),
    "policy-shadow-ended": mark("Credit policy runs without effect no more"),
    "portfolio-replay-asked": mark("Replay of a credit policy asked for"),
    "portfolio-drift-asked": mark("Fairness and drift asked for"),
}
OFFICE_FIELDS: Mapping[str, str] = {
    "away_from": mark("Away from"),
    "deputy": mark("Stands in"),
    "away_to": mark("Away to"),
    "products": mark("Products"),
    "version": mark("Version"),
    "digest": mark("Digest"),
    "effective_from": mark("Decides from"),
    "since": mark("Since"),
    "until": mark("Until"),
    "decisions": mark("Decisions"),
}
GROUPS: Mapping[str, tuple[str, str]] = {
    "all": (mark("Everybody"), mark("of all decided")),
    "region": (mark("By region"), mark("province of the accepting branch")),
    "age_band": (mark("By age band"), mark("at the hand-over")),
    "product": (mark("By product"), ""),
    "applicant_type": (mark("By kind of applicant"), ""),
    "channel": (mark("By channel"), ""),
    "new_to_bank": (mark("By acquaintance"), mark("whether the bank knew the customer")),
    "month": (mark("By month"), mark("of the decision")),
    "reason": (mark("By reason"), mark("every rule that fired, then or with the candidate")),
}
_ACQUAINTANCE: Mapping[str, str] = {
    "new": mark("New to the bank"),
    "known": mark("Known to the bank"),
}
SAID: Mapping[str, str] = {
    "approve": mark("Approve"),
    "refer": mark("To a person"),
    "decline": mark("Decline"),
}
POLICY_PLACES: Mapping[str, tuple[str, str, str]] = {
    "decides": (mark("decides"), "good", "circle-check"),
    "waits": (mark("approved, waits for its time"), "progress", "hourglass"),
    "proposed": (mark("waits for its second person"), "waiting", "signature"),
    "candidate": (mark("proposed by nobody yet"), "neutral", "pencil"),
    "retired": (mark("decided once"), "neutral", "history"),
    "gone": (mark("rejected or taken back"), "neutral", "circle-x"),
}
POLICY_TABLES: Mapping[str, tuple[str, str]] = {
    "scorecard.json": (
        mark("Score card"),
        mark("of each factor the first band that fits; the points add up"),
    ),
    "limits.json": (mark("Limit strategy"), mark("the first row that fits")),
    "rules.json": (mark("Rules"), mark("every row that fits; the strongest effect decides")),
    "pricing.json": (mark("Pricing class"), mark("the first row that fits")),
}
EFFECTS: Mapping[str, str] = {
    "decline": mark("Decline"),
    "refer": mark("A person looks"),
    "hold": mark("Held"),
}
POLICY_COLUMNS: Mapping[str, str] = {
    "when": mark("Condition"),
    "factor": mark("Factor"),
    "band": mark("Band"),
    "points": mark("Points"),
    "rule": mark("Row"),
    "income_share": mark("Of the income multiple"),
    "cap_share": mark("Of the largest limit"),
    "counts_income": mark("Income counts"),
    "code": mark("Reason"),
    "effect": mark("Leads to"),
    "pricing_class": mark("Class"),
    "_description": mark("Note"),
}
CHANGES: Mapping[str, tuple[str, str]] = {
    "added": (mark("new"), "good"),
    "removed": (mark("gone"), "bad"),
    "changed": (mark("changed"), "waiting"),
    "moved": (mark("another turn"), "progress"),
}
HEARD: Mapping[Heard, tuple[str, str]] = {
    "confirmed": (mark("Confirmed"), mark("the applicant, and what the form says")),
    "contradicted": (mark("Contradicted"), mark("something is otherwise than the form says")),
    "not_reached": (mark("Not reached"), mark("to be called again at another time")),
    "refused": (mark("Did not want to answer"), mark("the call counts as not made")),
    "wrong_number": (mark("Wrong number"), mark("somebody else's, or none")),
}
"""What came of a call, and what that means."""
UNTOLD = frozenset({"check_requested"})  # its end says the same, unless a consent stands behind it
SERVICES: Mapping[str, str] = {
    "intake": mark("Intake"),
    "review": mark("Review, by itself"),
    "customer": mark("Customer"),
}
HOLD_REASONS: Mapping[str, str] = {
    HoldReason.WATCHLIST: mark("Resembles an entry of a watchlist"),
    HoldReason.FRAUD_RULE: mark("A fraud rule of the policy"),
    HoldReason.IDENTITY_MISUSED: mark("Somebody else's identity is used"),
    HoldReason.PAPERS_FORGED: mark("Forged papers"),
    HoldReason.ORGANISED_FRAUD: mark("Organised by an intermediary"),
    HoldReason.MULE_ACCOUNT: mark("The card may be meant for somebody else"),
    HoldReason.OTHER: mark("Another suspicion"),
}
"""Why a case is held; for compliance, and for whoever chooses one."""
WISHES: Mapping[str, str] = {
    "explanation": mark("wants an explanation"),
    "human-review": mark("wants a review by a person"),
    "report-dispute": mark("says that the credit report is wrong"),
}
"""What a customer asks for."""
DISPUTE_OUTCOMES: Mapping[str, str] = {
    "corrected": mark("the report is put right"),
    "upheld": mark("the report stays"),
    "annotated": mark("annotated"),
}
"""What became of a dispute about the credit report."""
LIMIT_APPEAL_OUTCOMES: Mapping[str, str] = {
    "explained": mark("explained"),
    "upheld": mark("the limit stays"),
    "changed": mark("a higher limit is looked at"),
}
"""What became of an appeal against a limit that the policy alone set."""


def appeal_outcomes(about: About) -> Mapping[str, str]:
    """{answer: words (message id)} of an appeal about that."""
    return LIMIT_APPEAL_OUTCOMES if about == "limit" else OUTCOMES


ADVICE: Mapping[str, tuple[str, str]] = {
    "approve": (mark("Approve"), "good"),
    "decline": (mark("Decline"), "bad"),
    "examine": (mark("Look closer"), "waiting"),
}
OUTCOMES: Mapping[str, str] = {
    "explained": mark("explained"),
    "upheld": mark("the decline stays"),
    "changed": mark("invited to apply again"),
    "approve": mark("Approve"),
    "decline": mark("Decline"),
    "answered": mark("answered"),
    "unavailable": mark("not available"),
    "clear": mark("no concern"),
    "confirmed": mark("suspicion confirmed"),
    "refer": mark("refer to a person"),
    "hold": mark("hold"),
}
APPLICANT_TYPES: Mapping[str, str] = {
    "salaried": mark("Salaried"),
    "self_employed": mark("Self-employed"),
    "asset_owner": mark("Asset owner"),
    "student": mark("Student"),
    "existing_customer": mark("Existing customer"),
    "supplementary": mark("Supplementary"),
}
CHANNELS: Mapping[str, str] = {
    "counter": mark("Counter"),
    "web": mark("Web"),
    "mobile_app": mark("Mobile app"),
    "batch": mark("Batch"),
    "partner": mark("Partner"),
}
LANGUAGES: Mapping[str, str] = {"zh-CN": mark("Chinese"), "en": mark("English")}
EVIDENCE: Mapping[str, str] = {
    "bureau": mark("Answer of the credit bureau"),
    "limit": mark("Working of the limit"),
    "score": mark("Score card, factor by factor"),
    "watchlist": mark("Matches with the bank's own list"),
}
"""What of the evidence is opened for a reason, as the applicant's own fields are."""
_PERSON_LABELS: Mapping[str, str] = {
    "name": mark("Name"),
    "id_type": mark("Kind of ID"),
    "id_number": mark("ID number"),
    "id_issued": mark("ID issued on"),
    "id_expires": mark("ID valid until"),
    "nationality": mark("Nationality"),
    "mobile": mark("Mobile"),
    "home_address": mark("Home address"),
    "employer": mark("Employer"),
    "occupation": mark("Occupation"),
    "work_address": mark("Work address"),
    "office_phone": mark("Office phone"),
    "monthly_income": mark("Monthly income"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a check's answer in words; `tone` as in the style sheet."""

    label: str
    value: str
    tone: str = "neutral"


def product_names() -> dict[str, str]:
    """{product code: its name in the reader's language}."""
    language = current_language()
    return {code: one.names.in_language(language) for code, one in load_products().items()}


def region_name(code: str) -> str:
    """The province of a branch."""
    names = REGIONS.get(code)
    return code if names is None else names[1 if current_language() == "en" else 0]


def value_of(group: str, value: str) -> str:
    """How a value of a group of figures is called."""
    match group:
        case "region":
            return region_name(value)
        case "product":
            return product_names().get(value, value)
        case "applicant_type":
            return _(APPLICANT_TYPES.get(value, value))
        case "channel":
            return _(CHANNELS.get(value, value))
        case "new_to_bank":
            return _(_ACQUAINTANCE[value])
        case "reason" if value in reason_codes.REASONS:
            return _(reason_codes.REASONS[value].words)
        case "age_band" if value == "unknown":
            return _("unknown")
        case _:
            return value


def item_names() -> dict[str, str]:
    """{checklist item: its name in the reader's language}."""
    language = current_language()
    return {
        code: one.names.in_language(language) for code, one in load_checklist_items().items.items()
    }


@dataclass(frozen=True, slots=True)
class PersonLine:
    """A field of the applicant as the page shows it; there: whether there is anything behind it."""

    field: str
    label: str
    masked: str
    there: bool


def person_lines(opened: Opened) -> list[PersonLine]:
    """The applicant as the page shows them: recognised, not known. Work and income are hidden; by
    what they show who they are is plain."""
    passport = opened.person.get("id_type") == "passport"
    plain = {"id_type": _("Passport") if passport else _("ID card or residence card")}
    return [
        PersonLine(
            name,
            _(label),
            plain.get(name, opened.person.get(name, "—")),
            name in opened.person and name not in plain,
        )
        for name, label in _PERSON_LABELS.items()
    ]


def field_value(field: str, clear: str) -> str:
    """A field of the applicant as it is read: money in yuan."""
    return show_money(int(clear)) if field == "monthly_income" and clear.isdecimal() else clear


def shown_label(field: str) -> str:
    """What somebody asks to see: a field of the applicant, or a part of the evidence."""
    return _({**_PERSON_LABELS, **EVIDENCE}.get(field, field))


# a list that the screening names otherwise goes by that name
_WATCHLISTS: Mapping[str, str] = {
    "sanctions": mark("Sanctions"),
    "pep": mark("Politically exposed persons"),
}


LISTED_KINDS: Mapping[str, str] = {
    "fraud": mark("Fraud"),
    "default": mark("Default"),
    "internal": mark("Internal"),
    "sanctions": mark("Sanctions"),
    "pep": mark("Politically exposed persons"),
}
_HOW_ALIKE: Mapping[str, str] = {
    "written": mark("characters %(likeness)s alike"),
    "sound": mark("sound %(likeness)s alike"),
}


def _listed_as(match: Mapping[str, Any]) -> str:
    kind = LISTED_KINDS[match["kind"]]
    return _(kind)


def _alike(match: Mapping[str, Any]) -> str:
    how = _HOW_ALIKE[match["how"]]
    return _(how) % {"likeness": show_percent(match["likeness"], 0)}


def own_matches(opened: Opened) -> list[tuple[str, str]]:
    """What the bank's own list says, for compliance: [(entry and name, how alike and why listed)];
    what counted stands first."""
    return [
        (
            f"{match['entry']} · {match['listed']}",
            " · ".join(
                (
                    _listed_as(match),
                    _alike(match),
                    _("counts") if match["counts"] else _("an alternative, does not count"),
                    match["reason"],
                )
            ),
        )
        for match in opened.answers["watchlist"].get("own", [])
    ]


def telephone_facts(asked: Telephone | None) -> list[Fact]:
    """What came of the calls so far."""
    if asked is None or asked.last is None:
        return []
    words, _means = HEARD[asked.last.heard]
    tone = {"confirmed": "good", "contradicted": "bad"}.get(asked.last.heard, "waiting")
    return [Fact(_("Last call"), _(words), tone)]


def meeting_facts(meeting: Meeting | None) -> list[Fact]:
    """What of customer, original and signing somebody of the bank saw, and when."""
    if meeting is None:
        return []
    seen = (
        (_("Customer"), meeting.saw_person),
        (_("Original of the ID"), meeting.saw_original),
        (_("Signing"), meeting.saw_signing),
    )
    return [
        *(
            Fact(what, _("seen") if so else _("not seen"), "good" if so else "bad")
            for what, so in seen
        ),
        Fact(_("Recorded for"), show_datetime(meeting.at)),
    ]


def facts_of(check: Check, opened: Opened, *, confidential: bool) -> list[Fact]:
    """What a system answered, in words. Of the watchlists only compliance reads the answer; of the
    bureau's the page tells nothing: `bureau_facts` does, for a reason."""
    answer = opened.answers.get(check.name)
    if answer is None or check.name == "bureau":
        return []
    if check.name in OWN:
        return _own_facts(answer)
    if check.name == "identity":
        matches = answer["match"] and answer["status"] == "normal"
        return [
            Fact(
                _("Name and ID number"),
                _("match") if answer["match"] else _("do not match"),
                "good" if answer["match"] else "bad",
            ),
            Fact(
                _("Status of the number"),
                _("in force") if answer["status"] == "normal" else _("cancelled"),
                "good" if matches else "bad",
            ),
        ]
    if not confidential:
        return []
    hits, own = answer["hits"], answer.get("own", [])
    if not hits and not own:
        return [Fact(_("Resemblances"), _("none"), "good")]
    return [
        *(
            Fact(_(_WATCHLISTS.get(hit["list"], hit["list"])), show_percent(hit["score"], 0), "bad")
            for hit in hits
        ),
        *(
            Fact(
                _("Own list: %(kind)s") % {"kind": _listed_as(match)},
                _alike(match),
                "bad" if match["counts"] else "neutral",
            )
            for match in own
        ),
    ]


def _own_facts(answer: Mapping[str, Any]) -> list[Fact]:
    """What review found by itself: each rule with its count, nobody else's name beside it."""
    facts = [
        Fact(
            _(words),
            _("worth a look") if hit["count"] is None else _("%(n)s in all") % {"n": hit["count"]},
            "waiting",
        )
        for hit in answer["hits"]
        for words in [reason_codes.REASONS[hit["code"]].words]
    ]
    return facts or [Fact(_("Rules that fired"), _("none"), "good")]


def bureau_facts(opened: Opened) -> list[tuple[str, str]]:
    """What the credit bureau answered: [(what, in words)]."""
    answer, income = opened.answers["bureau"], opened.income
    score, overdue = answer["score"], answer["overdue_24m"]
    facts = [
        (_("Score"), _("no record") if score is None else str(score)),
        (
            _("Overdue months in 24"),
            _("%(n)s, at most %(days)s days")
            % {"n": overdue, "days": answer["max_overdue_days_24m"]},
        ),
        (_("Queries in 3 months"), str(answer["queries_3m"])),
        (
            _("Lenders in 6 months"),
            _("not known") if answer.get("lenders_6m") is None else str(answer["lenders_6m"]),
        ),
        (_("Open cards"), str(answer["open_cards"])),
        (_("Limits at other banks"), show_money(answer["other_bank_limits"])),
        (_("Monthly debt"), show_money(answer["monthly_debt"])),
    ]
    if income:
        ratio = debt_ratio_bp(answer["monthly_debt"], income)
        facts.append((_("Debt to income"), show_percent(ratio / 10_000, 1)))
    facts.append((_("Adverse record"), _("yes") if answer["adverse"] else _("none")))
    return facts


def limit_steps(opened: Opened) -> list[tuple[str, str]]:
    """How the limit was worked out, line by line: [(what, amount with its sign)]; empty where none
    could be worked out."""
    working = (opened.verdict or {}).get("working") or {}
    return [
        (
            _(words),
            " ".join(filter(None, (step["sign"].replace("-", "−"), show_money(step["amount"])))),
        )
        for step in working.get("steps", [])
        for words in [step["words"]]
    ]


def score_lines(policy: Policy, opened: Opened) -> list[tuple[str, str]]:
    """What each factor of the score card gave: [(factor, in words)], their sum last."""
    told = explain(policy, opened.verdict or {}, current_language(), confidential=False)
    lines = [
        (
            one.label,
            _("%(band)s: %(points)s of %(most)s points")
            % {"band": one.band, "points": one.points, "most": one.most},
        )
        for one in told.factors
    ]
    return [*lines, (_("Sum"), _("%(points)s points") % {"points": told.points})]


def _consent_behind(told: Mapping[str, Any]) -> list[str]:
    signed = told.get("consent_signed_at")
    if signed is None:
        return []
    of = {"time": show_datetime(datetime.fromisoformat(signed)), "purpose": told["purpose"]}
    return [_("by a consent signed %(time)s for %(purpose)s") % of]


def _outcomes_of(told: Mapping[str, Any]) -> Mapping[str, str]:
    """The words for what became of what a line is about, by the number of its case."""
    disputed = "-D" in (told.get("number") or "")
    return DISPUTE_OUTCOMES if disputed else appeal_outcomes(told.get("about") or "decline")


def details(told: Mapping[str, Any], people: Mapping[str, str]) -> str:
    """What a line of the history says besides, in words; somebody's own are sealed and left out."""
    parts = []
    holders = [one for key in ("holder", "receiver") if (one := told.get(key))]
    if holders:
        parts.append(" → ".join(people.get(one, one) for one in holders))
    if number := told.get("number"):
        parts.append(number)
    if hold_reason := told.get("hold_reason"):
        parts.append(_(HOLD_REASONS[hold_reason]))
    if wish := told.get("wish"):
        parts.append(_(WISHES[wish]))
    if until := told.get("until"):
        parts.append(_("until %(time)s") % {"time": show_datetime(datetime.fromisoformat(until))})
    if awaited := told.get("awaited"):
        parts.append(_(AWAITED[awaited]))
    if state := told.get("state"):
        parts.append(_(state_badge(state).label))
    if check := told.get("check"):
        parts.append(_(CHECK_NAMES.get(check, check)))
    parts.extend(_consent_behind(told))
    outcomes = _outcomes_of(told)
    for key in ("outcome", "finding"):
        if (value := told.get(key)) and value not in ("refer", "hold"):
            parts.append(_(outcomes.get(value, value)))
    if heard := told.get("call"):
        words, _means = HEARD[heard]
        parts.append(_(words))
    if limit := told.get("limit"):
        parts.append(show_money(limit))
    parts.extend(_(reason_codes.REASONS[code].words) for code in told.get("reasons") or [])
    if items := told.get("items"):
        names = item_names()
        parts.extend(names.get(item, item) for item in items)
    return " · ".join(parts)
