"""What intake's audit log is read from: views, papers' register, the history of applications and
checklists, sign-ins, changes of the organisation."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from services.intake.application import Entry
from services.intake.items import Change, ItemState
from shared.web import audit_pages
from shared.web.audit import VIEWS, Line, Log, Source

LOG: Final = Log(
    {
        "view": VIEWS,
        "paper": Source(
            "read",
            "paper_use",
            "'staff:' || t.staff_id",
            "t.what",
            "d.application_id",
            "d.document_number",
            "jsonb_build_object('item', d.item, 'page', t.page, 'reason', t.reason)",
            "JOIN document d USING (document_id)",
            note="reason",
        ),
        "paper-end": Source(
            "change",
            "paper_end",
            "'intake'",
            "t.why",
            "d.application_id",
            "d.document_number",
            "jsonb_build_object('item', d.item)",
            "JOIN document d USING (document_id)",
        ),
        "history": Source(
            "change",
            "application_history",
            "t.actor",
            "t.action",
            "t.application_id",
            details="t.details",
            note="text",  # `reason` is a code
        ),
        "checklist": Source(
            "checklist",
            "checklist_change",
            "t.actor",
            "t.action",
            "t.application_id",
            "t.item",
            "to_jsonb(t)",
            note="remark",
        ),
        "sign-in": Source(
            "sign-in",
            "sign_in",
            "coalesce('staff:' || t.staff_id, 'nobody')",
            "t.outcome",
            details="jsonb_build_object('way', t.way)",
        ),
        "own-page": Source("sign-in", "customer_access", "t.actor", "t.what", "t.application_id"),
        **audit_pages.COMMON,
    },
    "SELECT application_id, application_number AS number FROM application",
)


async def forget_tries(conn: Any, before: datetime, most: int, at_once: int) -> int:
    """Drop tries to come in that failed, those from before and those beyond so many of a kind; how
    many were dropped, which is `at_once` of a kind at most."""
    found: int = await conn.fetchval("SELECT forget_tries($1, $2, $3)", before, most, at_once)
    return found


def entry_of(line: Line) -> Entry:
    """A line as the history of its application tells it."""
    return Entry(line.place.at, line.actor, line.action, line.details)


def change_of(line: Line) -> Change:
    """A line as the checklist's history tells it."""
    told = line.details
    return Change(
        party=told["party"],
        item=told["item"],
        at=line.place.at,
        actor=line.actor,
        action=told["action"],
        was=ItemState(told["was"]) if told["was"] else None,
        state=ItemState(told["state"]),
        codes=tuple(told["codes"]),
        why=told["why"],
        document_id=told["document_id"],
        second=told["second"],
        remark=None,
    )
