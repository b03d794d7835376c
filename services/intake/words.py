"""How intake's codes are called on its pages, and a line of an application's history in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.intake.application import Entry
from services.intake.batch import APPLICANT_TYPES, CHOICES, COLUMNS, LARGEST_TABLE, offered
from services.intake.counter import IdSays
from services.intake.idcard import CardReading
from services.intake.items import FORM_CHANGED, LAPSED, REVIEW_WISH, Change
from services.intake.precheck import Obstacle
from services.intake.spreadsheet import BatchRefused
from services.intake.typed import MONEY_FIELDS
from shared.countries import country_name
from shared.events.intake import LimitChangeKind, Meeting
from shared.events.payload import CreditConsent
from shared.parameters import (
    load_checklist_items,
    load_papers,
    load_products,
    load_return_codes,
)
from shared.web.i18n import (
    _,
    current_language,
    mark,
    ngettext,
    show_date,
    show_datetime,
    show_day,
    show_money,
    show_number,
    show_time,
)
from shared.web.permissions import ROLE_NAMES, Role
from shared.web.states import item_badge, named

FIELDS: Mapping[str, str] = {
    "name": mark("Name"),
    "chinese_name": mark("Name in Chinese"),
    "salutation": mark("Salutation"),
    "id_type": mark("Kind of ID"),
    "mrz": mark("Machine-readable line"),
    "id_number": mark("ID number"),
    "id_issued": mark("ID issued on"),
    "id_expires": mark("ID valid until"),
    "nationality": mark("Nationality"),
    "birth_date": mark("Born on"),
    "mobile": mark("Mobile"),
    "email": mark("E-mail"),
    "home_address": mark("Home address"),
    "employer": mark("Employer"),
    "occupation": mark("Occupation"),
    "work_address": mark("Work address"),
    "office_phone": mark("Office phone"),
    "monthly_income": mark("Monthly income"),
    "other_bank_limits": mark("Limits at other banks"),
    "postcode": mark("Postcode"),
    "credit_code": mark("Unified credit code"),
    "main_card_number": mark("Number of the main card"),
}


ID_TYPES: Mapping[str, str] = {
    "id_card": mark("ID card or residence card"),
    "passport": mark("Passport"),
}
"""By what somebody shows who they are."""

TAKE_OVER_REASONS: Mapping[str, str] = {
    "customer": mark("The customer is with me, or on the phone"),
    "absent": mark("The colleague is away"),
    "assigned": mark("It was given to me"),
    "other": mark("Another reason"),
}
"""Why somebody goes on with a draft that another has, by the code that is recorded."""

READ: Mapping[str, str] = {
    **FIELDS,
    "months": mark("Months that it covers"),
    "registered_on": mark("Business registered on"),
    "in_force_until": mark("Visa or permit in force until"),
}
"""What may be read on a paper."""

CARD: Mapping[str, str] = {
    "sex": mark("Sex"),
    "birth_date": FIELDS["birth_date"],
    "authority": mark("Issued by"),
}
"""What an ID card says besides."""

_SEXES: Mapping[str, str] = {"female": mark("female"), "male": mark("male")}

_DOUBTS: Mapping[str, str] = {
    "name_form": mark("Names are not written like this."),
    "address_gap": mark(
        "A line of it ends early, or a further one is missing: something may be hidden."
    ),
    "glare": mark("There is glare on it or right beside it: something may be hidden."),
    "address_short": mark("An address is longer than this."),
    "check_digit": mark("The number's own check fails: a digit is wrong."),
    "birth_and_number": mark(
        "Day of birth and ID number do not fit together: one of them is wrong."
    ),
    "sex_and_number": mark("Sex and ID number do not fit together: one of them is wrong."),
    "term": mark("No card is valid for such a term."),
}

ROLES: Mapping[str, str] = {
    "applicant": mark("Applicant"),
    "supplementary_holder": mark("Supplementary holder"),
    "guardian": mark("Guardian"),
    "contact": mark("Contact person"),
}

AGES: Mapping[str, str] = {
    "day": mark("today"),
    "week": mark("within 7 days"),
    "over-7": mark("more than 7 days ago"),
    "over-30": mark("more than 30 days ago"),
    "over-90": mark("more than 90 days ago"),
}

DUES: Mapping[str, str] = {
    "overdue": mark("is overdue"),
    "in-3": mark("within 3 days"),
    "in-7": mark("within 7 days"),
    "any": mark("has a deadline"),
}

_FOUND_BY: Mapping[str, str] = {
    "number": mark("by application number"),
    "name": mark("by name"),
    "mobile": mark("by mobile"),
    "id_number": mark("by ID number"),
}

GROUPS: Mapping[str, str] = {"income": mark("one proof of income")}

PLACES: Mapping[str, str] = {
    "11": mark("Beijing"),
    "12": mark("Tianjin"),
    "13": mark("Hebei"),
    "14": mark("Shanxi"),
    "15": mark("Inner Mongolia"),
    "21": mark("Liaoning"),
    "22": mark("Jilin"),
    "23": mark("Heilongjiang"),
    "31": mark("Shanghai"),
    "32": mark("Jiangsu"),
    "33": mark("Zhejiang"),
    "34": mark("Anhui"),
    "35": mark("Fujian"),
    "36": mark("Jiangxi"),
    "37": mark("Shandong"),
    "41": mark("Henan"),
    "42": mark("Hubei"),
    "43": mark("Hunan"),
    "44": mark("Guangdong"),
    "45": mark("Guangxi"),
    "46": mark("Hainan"),
    "50": mark("Chongqing"),
    "51": mark("Sichuan"),
    "52": mark("Guizhou"),
    "53": mark("Yunnan"),
    "54": mark("Tibet"),
    "61": mark("Shaanxi"),
    "62": mark("Gansu"),
    "63": mark("Qinghai"),
    "64": mark("Ningxia"),
    "65": mark("Xinjiang"),
    "71": mark("Taiwan"),
    "81": mark("Hong Kong"),
    "82": mark("Macau"),
    "83": mark("Taiwan (residence permit)"),
}
"""Provinces as the first two digits of an ID number name them."""

CARD_FACTS: Mapping[str, str] = {
    "produced": mark("Card made"),
    "posted": mark("Card posted"),
    "delivered": mark("Card delivered"),
    "activated": mark("Card activated"),
    "first_used": mark("Card used for the first time"),
}

TASKS: Mapping[str, str] = {
    "step": mark("This step until"),
    "first_contact": mark("First contact until"),
    "interview": mark("Interview until"),
}

_NO_TABLE: Mapping[str, str] = {
    "empty": mark("The file holds no row of an application. Its first row names the columns."),
    "unreadable": mark("Save the table anew as CSV (UTF-8) or as an Excel workbook."),
    "too-large": mark("The workbook is too large; split it."),
    "too-many-rows": mark("There are more than %(rows)s rows; split the table."),
    "several-sheets": mark("More than one sheet holds a table; save each as a file of its own."),
    "unknown-column": mark("The template has no such heading as in column %(columns)s."),
    "column-twice": mark("A column stands in the table twice."),
    "missing-column": mark("These columns are missing: %(columns)s."),
}

_ROW_PROBLEMS: Mapping[str, str] = {
    "AMOUNT_FORM": mark("Write an amount in yuan such as 12000, with at most two decimals."),
    "DATE_FORM": mark("Write the day as 2026-10-12."),
    "NUMBER_CELL": mark("Make the column text and write the digits anew: a number cell lost some."),
    "FORMULA_CELL": mark("Put the value in place of the formula (paste as values)."),
    "HIDDEN_COLUMN": mark("The column is hidden: show it, or delete it."),
    "HIDDEN_ROW": mark("The row is hidden or filtered out: show it, or delete it."),
    "MERGED_CELLS": mark("Cells are merged: split them, and fill in each."),
    "SAME_PERSON": mark("The same person asks for the same product in row %(other)s: keep one."),
    "CONSENT_AHEAD": mark("The day lies ahead: write the day on which the consent was signed."),
    "PRODUCT_NOT_OFFERED": mark("The product is not offered today."),
    "not-possible": mark(
        "The row could not be taken; operations can see why. Load it again later."
    ),
    "UNKNOWN_WORD": mark("Write one of these: %(words)s."),
    "string_too_long": mark("This is longer than 200 characters."),
    "unknown-branch": mark("There is no such branch, or it is closed"),
    "calendar-ends": mark(
        "A deadline would lie after the known calendar; load the row again later."
    ),
    "erased": mark("The customer's data was deleted or is restricted."),
}


_COLUMN_HINTS: Mapping[str, str] = {
    "name": mark("As on the ID card; in Latin letters as in a passport"),
    "chinese_name": mark("With a passport, if there is one; may be left empty"),
    "salutation": mark("Choose one"),
    "id_type": mark("Empty: ID card, residence permit or residence card"),
    "mrz": mark("The lowest line of a passport's data page, 44 characters; may be left empty"),
    "id_number": mark("18 characters (an old residence card: 15), or a passport's, as text"),
    "id_issued": mark("The first day on the back of the ID card, such as 2019-03-01"),
    "id_expires": mark("The last day on the back of the ID card, or 长期 where it has no end"),
    "nationality": mark("Such as CHN; needed with a passport"),
    "birth_date": mark("Needed with a passport, such as 1990-05-20"),
    "mobile": mark("11 digits"),
    "email": mark("May be left empty"),
    "home_address": mark("Province, city, street and house"),
    "postcode": mark("6 digits, as text; may be left empty"),
    "employer": mark("The full name, as on the proof of work"),
    "credit_code": mark("Of the employer or business, 18 characters; may be left empty"),
    "occupation": mark("What the customer works as"),
    "work_address": mark("Province, city, street and house"),
    "office_phone": mark("With area code, such as 021-64567890"),
    "monthly_income_yuan": mark("In yuan, such as 12000"),
    "other_bank_limits_yuan": mark("Of all cards of other banks, in yuan; 0 where there are none"),
    "applicant_type": mark("Choose one"),
    "product": mark("Choose one"),
    "requested_limit_yuan": mark("In yuan; may be left empty"),
    "consent_date": mark("The day on which the consent to the credit query was signed"),
}

_TABLE_HINTS = (
    mark(
        "One application in each row of the first sheet. The first row, with the headings, stays."
    ),
    mark("No formulas, no merged cells, no hidden rows: write values. ID numbers stay text."),
    mark("Papers are not part of the table; they follow at the counter or by upload."),
    mark("At most %(rows)s rows. Loading the same file or row again makes nothing twice."),
)

_TABLE_STATES: Mapping[str, str] = {
    "checking": mark("being looked at"),
    "checked": mark("looked at, not taken"),
    "taking": mark("being taken"),
    "done": mark("taken"),
    "closed": mark("forgotten"),
}
_STOPPED: Mapping[str, str] = {
    "calendar-ends": mark(
        "A deadline would lie after the known calendar; operations can extend it."
    ),
    "parameters-missing": mark("The product's rules are missing; operations put them back."),
    "key-missing": mark("The key to the rows is missing; operations put it back."),
    "unknown-branch": mark("There is no such branch, or it is closed"),
}
TABLE_TONES: Mapping[str, str] = {
    "checking": "progress",
    "checked": "waiting",
    "taking": "progress",
    "done": "good",
    "closed": "neutral",
}


@dataclass(frozen=True, slots=True)
class _Happening:
    words: str
    icon: str
    tone: str = "neutral"


_HISTORY: Mapping[str, _Happening] = {
    "begun": _Happening(mark("Application begun"), "file-plus"),
    "imported": _Happening(mark("Taken over from another system"), "database"),
    "corrected": _Happening(mark("Form corrected"), "pencil"),
    "draft_saved": _Happening(mark("Draft saved anew"), "pencil"),
    "draft_taken_over": _Happening(mark("Draft taken over"), "user"),
    "paper_received": _Happening(mark("Paper received"), "file-check", "info"),
    "paper_read": _Happening(mark("What a paper says was read"), "eye"),
    "submitted": _Happening(mark("Handed in"), "inbox", "info"),
    "material_requested": _Happening(mark("Material requested"), "paperclip", "waiting"),
    "material_wanted": _Happening(mark("Review wants material"), "paperclip", "waiting"),
    "material_completed": _Happening(mark("Material complete"), "checklist", "good"),
    "reminded": _Happening(mark("Customer reminded"), "bell", "waiting"),
    "sent_back": _Happening(mark("Sent back to the customer by an officer"), "refresh", "waiting"),
    "meeting_recorded": _Happening(
        mark("Person, original ID and signing were seen"), "eye", "good"
    ),
    "contacted": _Happening(mark("Customer contacted"), "phone", "info"),
    "handed_over": _Happening(mark("Passed the pre-check, handed to review"), "send", "good"),
    "moved": _Happening(mark("Review moved it on"), "gavel", "progress"),
    "approved": _Happening(mark("Approved"), "circle-check", "good"),
    "declined": _Happening(mark("Declined"), "circle-x", "bad"),
    "appeal_asked": _Happening(mark("The customer asks about the decision"), "message", "waiting"),
    "appeal_opened": _Happening(mark("Review has the customer's appeal"), "gavel", "progress"),
    "appeal_answered": _Happening(mark("Review has answered the appeal"), "send", "good"),
    "limit_change_asked": _Happening(
        mark("The customer wants another limit"), "credit-card", "waiting"
    ),
    "limit_change_opened": _Happening(mark("Review looks at the limit"), "gavel", "progress"),
    "limit_change_granted": _Happening(mark("New limit granted"), "circle-check", "good"),
    "limit_change_refused": _Happening(mark("Change of the limit refused"), "circle-x"),
    "limit_expired": _Happening(mark("Temporary limit ended"), "hourglass"),
    "dispute_asked": _Happening(
        mark("The customer disputes the credit report"), "message", "waiting"
    ),
    "dispute_opened": _Happening(mark("Review has the dispute"), "gavel", "progress"),
    "dispute_answered": _Happening(mark("Review has answered the dispute"), "send", "good"),
    "withdrawal_asked": _Happening(mark("Withdrawal asked of review"), "arrow-left"),
    "withdrawal_refused": _Happening(mark("Withdrawal refused"), "x", "bad"),
    "withdrawal_reason": _Happening(mark("Reason of the withdrawal saved"), "note"),
    "withdrawn": _Happening(mark("Withdrawn"), "arrow-left"),
    "erasure_destroyed": _Happening(
        mark("The customer's data was deleted, as the customer asked"), "trash"
    ),
    "erasure_restricted": _Happening(
        mark("The customer asked for deletion: locked until the retention term ends"), "lock"
    ),
    "expired": _Happening(mark("Closed: the deadline has passed"), "clock-exclamation"),
    "card_ordered": _Happening(mark("Card ordered"), "credit-card", "good"),
    "card_produced": _Happening(mark("Card made"), "credit-card", "good"),
    "card_posted": _Happening(mark("Card posted"), "truck-delivery", "good"),
    "card_delivered": _Happening(mark("Card delivered"), "mailbox", "good"),
    "card_activated": _Happening(mark("Card activated"), "lock-open", "good"),
    "card_first_used": _Happening(
        mark("Card used for the first time"), "rosette-discount-check", "good"
    ),
    "card_fact_refused": _Happening(mark("A partner's report was refused"), "ban", "bad"),
}

SEEN: Mapping[str, str] = {
    "saw_person": mark("the person"),
    "saw_original": mark("the original ID card"),
    "saw_signing": mark("the signing"),
}

_OBSTACLES: Mapping[str, str] = {
    "item-open": mark("%(item)s is open: %(why)s"),
    "item-unchecked": mark("Nobody has looked at this yet: %(item)s"),
    "waiver-unanswered": mark("A second person has to say whether to do without it: %(item)s"),
    "refused": mark("%(why)s"),
    "no-consent": mark("The consent to the credit query is missing"),
    "no-meeting": mark("Nobody has recorded that they saw person, original ID and signing"),
    "entered-by-same-person": mark("You entered this application: somebody else passes it"),
    "nothing-open": mark("Nothing is open that the customer could be asked for"),
}

_REFUSALS: Mapping[str, str] = {
    "item-accepted": mark("It was accepted: say why the customer is to be asked again."),
    "rules-object": mark("The rules find something wrong with it; a new paper corrects that."),
    "nothing-there": mark("There is nothing to accept."),
    "newer-paper": mark("Another paper has come since; look at it first."),
    "not-waivable": mark("Nobody may do without this item."),
    "nothing-open": mark("Nothing about this item is open."),
    "no-waiver-asked": mark("Nobody has asked to do without this item."),
    "same-person": mark("Somebody else has to agree."),
    "other-person": mark("It takes up again an application of another person."),
    "changed-meanwhile": mark("Somebody was quicker: see what was done, and decide anew."),
    "not-in-pre-check": mark("The application is not in pre-check any more."),
    "not-open": mark("The application is not with the office any more."),
    "already-submitted": mark("It is handed in already."),
    "already-ended": mark("The application has ended already."),
    "card-ordered": mark("It is too late for that: the card is ordered."),
    "no-evidence": mark("Choose the papers that show it."),
    "not-then": mark("The meeting lies within the last year, and not ahead."),
    "unknown-code": mark("Choose at least one reason."),
    "unknown-reason": mark("Choose a reason."),
    "not-on-list": mark("The checklist has no such item."),
    "erased": mark("The customer's data was deleted or is restricted."),
    "not-handed-in": mark("A code is sent once the application is handed in: print a slip."),
    "no-mobile": mark("The form names no mobile: correct it first, the customer is known by it."),
}

_ACCESSES: Mapping[str, _Happening] = {
    "issued": _Happening(mark("Code given"), "key"),
    "sent": _Happening(mark("Code sent by message"), "send"),
    "revoked": _Happening(mark("Code ended"), "ban"),
    "entered": _Happening(mark("Entered with the code"), "login", "good"),
    "wrong": _Happening(mark("Wrong try"), "alert-triangle", "waiting"),
    "died": _Happening(mark("Wrong try; the code counts no longer"), "lock", "bad"),
    "left": _Happening(mark("Left"), "logout"),
}

_CHANGES: Mapping[str, str] = {
    "asked": mark("the customer was asked"),
    "waiver_asked": mark("a second person was asked whether to do without it"),
    "waiver_refused": mark("the second person did not agree"),
}

_REGISTER: Mapping[str, str] = {
    "entered": mark("Received"),
    "prepared": mark("Pages prepared"),
    "thumbnail": mark("Seen in small"),
    "page": mark("Seen, page %(number)s"),
    "original": mark("Original taken"),
    "retention-ended": mark("Destroyed: the term for keeping it was over"),
    "asked-for": mark("Destroyed: the customer asked for it"),
}

_NOT_SHOWN: Mapping[str, str] = {
    "erased": mark("The customer's data was deleted or is restricted."),
    "missing": mark("The stored file is missing or damaged: tell operations."),
    "unavailable": mark("The store did not answer for a long time: have them prepared anew."),
}

_ACTORS: Mapping[str, str] = {
    "customer": mark("Customer"),
    "intake": mark("automatic"),
    "review": mark("Review"),
    "organisation-file": mark("automatic"),
    "operator": mark("Operations"),
    "nobody": mark("Somebody unknown"),
}


def options_of(named_codes: Mapping[str, str]) -> list[tuple[str, str]]:
    """[(code, word)] for a selection."""
    return [(code, _(word)) for code, word in named_codes.items()]


def found_by(kind: str) -> str:
    """By what was searched; empty for nothing that one can search by."""
    return _(_FOUND_BY[kind]) if kind else ""


def item_name(code: str) -> str:
    """A checklist item in the reader's language."""
    known = load_checklist_items().items.get(code)
    return known.names.in_language(current_language()) if known else code


def item_how(code: str) -> str:
    """What the item must show to be accepted."""
    known = load_checklist_items().items.get(code)
    return known.how.in_language(current_language()) if known else ""


def is_item(code: str) -> bool:
    """Whether the checklist knows such an item."""
    return code in load_checklist_items().items


def is_upload(code: str) -> bool:
    """Whether the item is a paper that can be handed in as a file."""
    known = load_checklist_items().items.get(code)
    return known is not None and known.upload


def is_known(code: str) -> bool:
    """Whether there are words for a return code."""
    return code in load_return_codes().codes


def reason(code: str, field: str | None) -> str:
    """Why an item is open, and how it is mended."""
    known = load_return_codes().codes.get(code)
    if known is None:
        return code
    words = known.names.in_language(current_language())
    mend = known.mend.in_language(current_language())
    where = (
        _("%(field)s: ") % {"field": _(FIELDS[field])}
        if field is not None and field in FIELDS
        else ""
    )
    return f"{where}{words} · {mend}"


def field_words(codes: Iterable[str]) -> str:
    """What is to be said of a field, and how it is mended; the field itself is known."""
    return " · ".join(reason(code, None) for code in codes)


def faults(kinds: Mapping[str, str]) -> dict[str, str]:
    """{field: kind of fault} of a correction in words; "" for one without any field."""
    return {
        name: fault(kind, name) if name else _("Fill in at least one field.")
        for name, kind in kinds.items()
    }


def fault(kind: str, field: str) -> str:
    """Why what was typed in a field cannot be kept at all."""
    if is_known(kind):
        return reason(kind, None)
    if field in (*MONEY_FIELDS, "requested_limit"):
        return _("Write the amount in yuan, as 12000 or 12000.50.")
    if kind == "string_too_long":
        return _("This is too long.")
    if kind == "unknown-branch":
        return _("There is no such branch, or it is closed")
    if kind == "other-person":
        return refusal(kind)
    if kind.startswith("date"):
        return _("Write the day as 2026-10-12.")
    if kind in {"enum", "literal_error", "string_too_short", "string_pattern_mismatch", "int_type"}:
        return _("Choose or write a value that is possible here.")
    return _("This cannot be saved as it is.")


def id_says(said: IdSays) -> str:
    """What an ID number says of its holder."""
    sex = {"female": _("female"), "male": _("male")}.get(said.sex or "")
    age = _("aged %(age)s") % {"age": said.age}
    place = _(PLACES[said.place]) if said.place else ""
    if said.country:
        place = country_name(said.country, "en" if in_english() else "zh")
    return " · ".join(part for part in (sex, show_date(said.born), age, place) if part)


def reason_name(code: str) -> str:
    """A return code in few words."""
    known = load_return_codes().codes.get(code)
    return known.names.in_language(current_language()) if known else code


def reason_mend(code: str) -> str:
    """How the customer mends it."""
    known = load_return_codes().codes.get(code)
    return known.mend.in_language(current_language()) if known else ""


def reasons_of_papers() -> list[tuple[str, str]]:
    """[(return code, name)] for which an officer gives a paper back."""
    codes = load_return_codes().codes
    return [(code, reason_name(code)) for code, known in codes.items() if known.of_papers]


def waiver_reasons() -> list[tuple[str, str]]:
    """[(code, name)] for which two people do without an item."""
    known = load_checklist_items().waiver_reasons
    return [(code, words.in_language(current_language())) for code, words in known.items()]


def ask_again_reasons() -> list[tuple[str, str]]:
    """[(code, name)] for which an officer asks again for what was accepted."""
    known = load_checklist_items().ask_again_reasons
    return [
        (code, words.in_language(current_language()))
        for code, words in known.items()
        if code not in (FORM_CHANGED, LAPSED, REVIEW_WISH)
    ]


def why_name(code: str | None) -> str:
    """Why an item is done without, or was asked for again."""
    known = load_checklist_items()
    words = {**known.waiver_reasons, **known.ask_again_reasons}.get(code or "")
    return words.in_language(current_language()) if words else (code or "")


def product_name(code: str) -> str:
    """In the reader's language; one that is no longer held goes by its code."""
    known = load_products().get(code)
    return code if known is None else known.names.in_language(current_language())


def is_waivable(code: str) -> bool:
    """Whether two people may do without the item."""
    known = load_checklist_items().items.get(code)
    return known is not None and known.waivable


def obstacle(one: Obstacle) -> str:
    """What stands in the way of a verdict."""
    return _(_OBSTACLES[one.code]) % {
        "item": item_name(one.item or ""),
        "why": reason_name(one.detail or ""),
    }


def refusal(code: str) -> str:
    """Why a step was not taken."""
    return _(_REFUSALS.get(code, mark("That is not possible now.")))


def change(one: Change, staff: Mapping[str, str], remark: str | None) -> dict[str, Any]:
    """A line of the checklist's history for the timeline."""
    badge = item_badge(one.state)
    what = _(badge.label) if one.action == "moved" else _(_CHANGES[one.action])
    between = ", " if current_language().startswith("en") else "、"
    actors = [actor(name, staff) for name in (one.actor, one.second) if name]
    details = [*map(reason_name, one.codes), why_name(one.why), remark or ""]
    return {
        "at": one.at,
        "title": f"{item_name(one.item)} · {what}",
        "detail": " · ".join(part for part in details if part),
        "actor": between.join(actors),
        "icon": badge.icon,
        "tone": badge.tone if one.action == "moved" else "neutral",
    }


def no_paper(code: str) -> str:
    """Why a file is no paper that the office takes, and how that is mended."""
    why = load_papers().refusals[code]
    language = current_language()
    return f"{why.names.in_language(language)} · {why.mend.in_language(language)}"


def unfiled(code: str) -> str:
    """Why a paper was not filed."""
    if code.startswith("document-"):
        return no_paper(code.removeprefix("document-").replace("-", "_"))
    known = {
        "item-unknown": _("Choose which paper this is."),
        "issued-in-future": _("A paper cannot be issued in the future."),
        "already-ended": _("The application has ended; nothing is added."),
        "too-many-papers": _("So many papers of this kind are there that no more are taken."),
    }
    return known.get(code, _("The paper could not be filed."))


def access(at: datetime, actor_: str, what: str, staff: Mapping[str, str]) -> dict[str, Any]:
    """A line of what was done with the codes of a customer's own page, for the timeline."""
    known = _ACCESSES[what]
    return {
        "at": at,
        "title": _(known.words),
        "actor": actor(actor_, staff),
        "icon": known.icon,
        "tone": known.tone,
    }


def field_name(name: str) -> str:
    """A field of the form in the reader's language."""
    return _(FIELDS[name])


def not_shown(failure: str) -> str:
    """Why the pages of a paper could not be drawn."""
    if failure in load_papers().refusals:
        return no_paper(failure)
    return _(_NOT_SHOWN.get(failure, _NOT_SHOWN["unavailable"]))


def salutations() -> list[tuple[str, str]]:
    """[(what stands in the form, how it is called)] of how one writes to somebody."""
    return [("ms", _("Ms")), ("mr", _("Mr"))]


def field_value(name: str, text: str, *, clear: bool) -> str:
    """A field as it is read: money in yuan once it is clear, codes and what has no end in words."""
    if name in MONEY_FIELDS and clear and text.isdecimal():
        return show_money(int(text))
    if name == "salutation":
        return dict(salutations()).get(text, text)
    if name == "id_type":
        return _(ID_TYPES.get(text, text))
    if name == "nationality":
        return country_name(text, "en" if in_english() else "zh")
    if name == "id_expires" and text.startswith("9999"):
        return _("without end")
    return text


def not_read(failure: str) -> str:
    """Why a machine read nothing on a card, and what to do."""
    if failure == "too_complex":
        return _("The picture is too much for it. Read the card yourself.")
    return _(_NOT_SHOWN.get(failure, _NOT_SHOWN["unavailable"]))


def doubt(code: str) -> str:
    """What speaks against a machine's suggestion."""
    return _(_DOUBTS[code])


def card_value(name: str, value: str) -> str:
    """What a card says, for people."""
    if name == "sex":
        return _(_SEXES.get(value, value))
    return value


def doubtful(reading: CardReading) -> int:
    """How many of a machine's suggestions are doubtful."""
    sure = load_papers().cards.sure
    return sum(not reading.is_sure(name, sure) for name in reading.told)


def register_line(what: str, page: int | None) -> str:
    """What became of a paper, or what somebody saw of it."""
    text = _(_REGISTER[what])
    if page is not None and what == "prepared":
        return f"{text} · " + ngettext("%(num)s page", "%(num)s pages", page) % {"num": page}
    return text % {"number": page} if what == "page" else text


_SIGN_INS: Mapping[str, str] = {
    "signed-in": mark("Signed in"),
    "wrong": mark("Wrong password"),
    "locked": mark("Turned away: the account is locked"),
    "signed-out": mark("Signed out"),
}

_WAYS: Mapping[str, str] = {
    "password": mark("with a password"),
    "provider": mark("with the bank's account"),
}


def way(code: str) -> str:
    """How somebody came in."""
    return _(_WAYS[code])


def sign_in(outcome: str) -> str:
    """What came of a sign-in."""
    return _(_SIGN_INS[outcome])


def role_names(roles: Iterable[str]) -> str:
    """What somebody does in the office; a role that this release does not know by its code."""
    known = {role.value for role in Role}
    return listed(_(ROLE_NAMES[Role(one)]) if one in known else one for one in roles)


def branches(codes: Iterable[str], names: Mapping[str, str]) -> str:
    """Where somebody works, by name; every branch where they work in all of them."""
    return listed(_("all branches") if code == "*" else names.get(code, code) for code in codes)


def paper_limits() -> str:
    """What may be handed in as a paper."""
    most = load_papers()
    return _("PDF, JPEG or PNG, at most %(size)s MB and %(pages)s pages") % {
        "size": most.largest_bytes // (1024 * 1024),
        "pages": most.most_pages,
    }


def file_words(code: str) -> str:
    """By which words in its name a file is taken to be the item, for the page's script."""
    known = load_checklist_items().items.get(code)
    return "|".join(known.file_words) if known else ""


def largest_paper() -> int:
    """Bytes."""
    return load_papers().largest_bytes


def column(name: str) -> str:
    """A column of a branch's table as the template of the reader's language heads it."""
    return name if current_language().startswith("en") else COLUMNS.get(name, name)


def no_table(refusal: BatchRefused) -> str:
    """Why a file is no table, and how that is mended."""
    return _(_NO_TABLE[refusal.code]) % {
        "columns": listed(map(column, refusal.columns)),
        "rows": show_number(LARGEST_TABLE),
    }


def row_problem(field: str, code: str, other: int | None = None) -> str:
    """What is wrong with a row of a table, and how that is mended; `field` is its column."""
    if is_known(code):
        return reason(code, None)
    text = _ROW_PROBLEMS.get(code, mark("This cannot be saved as it is."))
    return _(text) % {"words": listed(CHOICES.get(field, ())), "other": other or ""}


def finding(problem: Mapping[str, Any]) -> str:
    """A problem of a row with its column, as the row keeps it."""
    text = row_problem(problem["field"], problem["code"], problem.get("other"))
    return f"{column(problem['field'])} · {text}" if problem["field"] else text


def in_english() -> bool:
    """Whether the reader reads English."""
    return current_language().startswith("en")


def column_hint(name: str) -> str:
    """What a column of a branch's table is to hold."""
    return _(_COLUMN_HINTS[name])


def column_choices(name: str) -> list[str]:
    """The words that a column knows, as the reader's language has them; none: it is free."""
    if name == "product":
        return [one.names.in_language(current_language()) for one in offered().values()]
    mine = [word for word in CHOICES.get(name, ()) if word.isascii() == in_english()]
    if name == "applicant_type":
        open_to = {kind for product in offered().values() for kind in product.applicants}
        return [word for word in mine if APPLICANT_TYPES[word].value in open_to]
    return mine


def table_hints() -> list[str]:
    """How a branch's table is filled in."""
    return [_(text) % {"rows": show_number(LARGEST_TABLE)} for text in _TABLE_HINTS]


def table_state(state: str) -> str:
    """How far a branch's table is."""
    return _(_TABLE_STATES[state])


def stopped(code: str) -> str:
    """Why a branch's table does not go on by itself, and who mends that."""
    return _(_STOPPED[code])


def listed(names: Iterable[str]) -> str:
    return (", " if current_language().startswith("en") else "、").join(names)


def happening(entry: Entry, staff: Mapping[str, str]) -> dict[str, Any]:
    """A line of the history for the timeline; actors by name where they are staff."""
    known = _HISTORY.get(entry.action, _Happening(entry.action, "point"))
    return {
        "at": entry.at,
        "title": _(known.words),
        "detail": _detail(entry),
        "actor": actor(entry.actor, staff),
        "icon": known.icon,
        "tone": known.tone,
    }


def seen(meeting: Meeting) -> str:
    """What somebody saw of the customer."""
    return listed(_(label) for name, label in SEEN.items() if getattr(meeting, name))


def _detail(entry: Entry) -> str:
    details = entry.details
    if entry.action == "draft_taken_over":
        why = details["why"]
        return _(TAKE_OVER_REASONS[why])
    if "meeting" in details:
        return seen(Meeting.model_validate(details["meeting"]))
    if "items" in details:
        return listed(sorted({item_name(one["item"]) for one in details["items"]}))
    if "item" in details:
        return f"{item_name(details['item'])} · {details.get('number', '')}"
    if "fields" in details:
        return listed(_(READ.get(name, name)) for name in details["fields"])
    if "state" in details:
        return named(details["state"], "state")
    return ""


def consent(given: CreditConsent) -> str:
    """When the customer consented to the credit query, and to which words where a page showed
    them."""
    at = given.signed_at
    by_day = show_time(at) == "00:00"  # as it stands on paper
    signed = _("signed %(time)s") % {"time": show_day(at) if by_day else show_datetime(at)}
    if given.text is None:
        return signed
    return signed + _(", to the words %(version)s (%(language)s, SHA-256 %(digest)s…)") % {
        "version": given.text.version,
        "language": given.text.language,
        "digest": given.text.digest[:12],
    }


def staff_in(actors: Iterable[str | None]) -> list[str]:
    """The ids of the staff whom actors name: who acted, or printed the code by which a customer
    did."""
    return sorted({one.rpartition("staff:")[2] for one in actors if one and "staff:" in one})


def actor(name_of: str, staff: Mapping[str, str]) -> str:
    """Who did it, in words: staff by their name, programs by what they are."""
    kind, _colon, name = name_of.partition(":")
    match kind:
        case "staff":
            return staff.get(name, name)
        case "partner" | "client":
            return named(name, "caller")
        case "customer" if name:
            return _("Customer, by the code that %(name)s printed") % {"name": actor(name, staff)}
        case _:
            return _(_ACTORS[name_of]) if name_of in _ACTORS else name_of


def access_words(what: str) -> str:
    """What was done with the codes of a customer's own page."""
    return _(_ACCESSES[what].words)


LIMIT_CHANGES: Mapping[LimitChangeKind, str] = {
    LimitChangeKind.INCREASE: mark("Increase"),
    LimitChangeKind.TEMPORARY: mark("Increase for a time"),
    LimitChangeKind.DECREASE: mark("Decrease"),
}
LIMIT_CHANGE_STATES: Mapping[str, tuple[str, str]] = {
    "waits": (mark("with review"), "waiting"),
    "granted": (mark("granted"), "good"),
    "refused": (mark("refused"), "neutral"),
    "ended": (mark("ended"), "neutral"),
}
