"""Review's audit log: who looked at whose data, and what was done with each case.

Confidential lines are compliance's alone (反洗钱法 35), here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.review import words
from shared.web import Permission, audit_pages
from shared.web.audit import VIEWS, Line, Log, Source, Told
from shared.web.i18n import _, mark

_ACTOR = (
    "CASE WHEN t.actor IN ('intake', 'review', 'customer') THEN t.actor"
    " ELSE 'staff:' || t.actor END"
)
_HISTORY = Source(
    "change",
    "case_history",
    _ACTOR,
    "t.action",
    "t.application_id",
    details="t.details",
    where="NOT t.confidential",
    note="note",
)

LOG: Final = Log(
    {
        "view": VIEWS,
        "history": _HISTORY,
        "confidential": Source(
            "change",
            "case_history",
            _ACTOR,
            "t.action",
            "t.application_id",
            details="t.details",
            where="t.confidential",
            note="note",
            permission=Permission.REVIEW_COMPLIANCE,
        ),
        **audit_pages.COMMON,
    },
    "SELECT application_id, application_number AS number FROM review_case",
)

_LOOKED: dict[str, str] = {
    "case": mark("Case with its evidence, masked"),
    "decision": mark("Decision explained, with its amounts"),
}


def _told(line: Line, staff: Mapping[str, str]) -> Told:
    match line.place.source:
        case "view":
            field = line.details["field"]
            return audit_pages.tell_view(line, _LOOKED, words.shown_label(field) if field else "")
        case "history" | "confidential":
            title, _icon, _tone = words.ACTIONS.get(line.action, (line.action, "", ""))
            return Told(_(title), words.details(line.details, staff))
        case "office" if line.action in words.OFFICE_ACTIONS:
            return audit_pages.tell_office(line, staff, words.OFFICE_ACTIONS, words.OFFICE_FIELDS)
        case _:
            return audit_pages.tell_common(line, staff)


WORDS: Final = audit_pages.Words(
    _told,
    lambda actor, _staff: _(words.SERVICES.get(actor, actor)),
    "/review/cases/",
    audit_pages.KINDS,
)
