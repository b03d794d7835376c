"""Reporting's audit log: it shows pseudonyms and bands, no personal data, so what counts is what
left it: reports made and taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.web import audit_pages
from shared.web.audit import Line, Log, Told
from shared.web.i18n import _, mark

LOG: Final = Log(
    audit_pages.COMMON,
    "SELECT application_id, number FROM projection.application",
)

KINDS: Final[Mapping[str, str]] = {
    "office": mark("Reports made and taken"),
    "operations": audit_pages.KINDS["operations"],
}

_ACTIONS: Mapping[str, str] = {
    "report-made": mark("Report made and taken as a file"),
    "report-taken": mark("Archived report taken as a file"),
}
_FIELDS: Mapping[str, str] = {
    "day": mark("Day of the report"),
    "branches": mark("Branches"),
    "language": mark("Language"),
}


def _told(line: Line, staff: Mapping[str, str]) -> Told:
    if line.place.source == "office" and line.action in _ACTIONS:
        return audit_pages.tell_office(line, {}, _ACTIONS, _FIELDS, _value)
    return audit_pages.tell_common(line, staff)


def _value(name: str, value: Any) -> str:
    if name == "branches":
        return _("the whole bank") if value is None else ", ".join(value)
    return str(value)


WORDS: Final = audit_pages.Words(
    _told, lambda actor, _staff: actor, "/reporting/applications/", KINDS
)
