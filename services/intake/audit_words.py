"""Intake's audit log in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.intake import words
from services.intake.audit import change_of, entry_of
from services.intake.words import FIELDS, ROLES
from shared.web import audit_pages
from shared.web.audit import Line, Sealed, Told
from shared.web.i18n import _, mark

KINDS: Mapping[str, str] = {
    "read": mark("Personal data and papers looked at"),
    "change": mark("Applications changed"),
    "checklist": mark("Checklists changed"),
    "sign-in": mark("Sign-ins"),
    "office": mark("Organisation, access and lists"),
    "operations": audit_pages.KINDS["operations"],
}

_LOOKED: dict[str, str] = {
    "fields": mark("All fields of the persons in clear"),
    "card": mark("What a machine read on an ID card"),
    "draft": mark("A draft's form in clear, to go on with it"),
    "search": mark("Searched for a person"),
    "table": mark("Rows of a table taken away"),
}

_OFFICE: Mapping[str, str] = {
    "staff": mark("Staff changed"),
    "branch": mark("Branch changed"),
    "password": mark("Password set"),
    "unlocked": mark("Account unlocked"),
    "session-ended": mark("Session ended"),
    "sessions-ended": mark("All sessions ended"),
}

_OFFICE_FIELDS: Mapping[str, str] = {
    "staff_id": mark("Staff number"),
    "username": mark("User name"),
    "display_name": mark("Name"),
    "roles": mark("Roles"),
    "branches": mark("Branches"),
    "desk": mark("Desk"),
    "active": mark("Works here"),
    "branch": mark("Branch"),
    "name_zh": mark("Chinese name"),
    "name_en": mark("English name"),
    "region": mark("Region"),
    "open": mark("Open"),
}


def told(line: Line, staff: Mapping[str, str]) -> Told:
    """A line: what, about what, why, and of the organisation what it said and says."""
    match line.place.source:
        case "view":
            return audit_pages.tell_view(line, _LOOKED, _about(line))
        case "paper" | "paper-end":
            about = f"{words.item_name(line.details['item'])} · {line.subject}"
            return Told(words.register_line(line.action, line.details.get("page")), about)
        case "history":
            shown = words.happening(entry_of(line), staff)
            return Told(shown["title"], shown["detail"])
        case "checklist":
            shown = words.change(change_of(line), staff, None)
            return Told(shown["title"], why=[shown["detail"]] if shown["detail"] else [])
        case "sign-in":
            about = words.way(line.details["way"]) if line.action == "signed-in" else ""
            return Told(words.sign_in(line.action), about)
        case "own-page":
            return Told(words.access_words(line.action), _("Customer's page"))
        case "office" if line.action in _OFFICE:
            return audit_pages.tell_office(line, staff, _OFFICE, _OFFICE_FIELDS, _office_value)
        case _:
            return audit_pages.tell_common(line, staff)


def _about(line: Line) -> str:
    party, field = line.details["party"], line.details["field"]
    if field is None:
        return ""
    return f"{_(ROLES.get(party, party))} · {_(FIELDS.get(field, field))}"


def _office_value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "roles":
        return words.role_names(value)
    return words.listed(value) if isinstance(value, list) else str(value)


def opened_values(opened: Iterable[Sealed]) -> list[tuple[str, str, str]]:
    """[(what, old, new)] of a line of the audit log that was opened."""

    def value(field: str, text: str | None) -> str:
        return _("deleted") if text is None else words.field_value(field, text, clear=True)

    return [
        (
            f"{_(ROLES.get(one.role, one.role))} · {_(FIELDS.get(one.field, one.field))}",
            value(one.field, one.old) if one.had else "",
            value(one.field, one.new),
        )
        if one.field
        else audit_pages.told_words(one.new)
        for one in opened
    ]


WORDS = audit_pages.Words(told, words.actor, "/intake/applications/", KINDS)
