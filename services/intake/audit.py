"""The audit log's way to the tables: it reads what is kept where it happens (views, papers'
register, history of applications and checklists, sign-ins), and keeps besides only what changes in
the office itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.intake.audit_lines import Kind, Line, Office, Place, Wanted


@dataclass(frozen=True, slots=True)
class _Source:
    """A table of what happened, in the words of all of them."""

    kind: Kind
    table: str
    actor: str
    action: str
    application: str
    subject: str
    details: str
    joined: str = ""


_NONE = "NULL::text"
SOURCES: Mapping[str, _Source] = {
    "view": _Source(
        "read",
        "personal_view",
        "CASE WHEN t.staff_id LIKE 'client:%' THEN t.staff_id ELSE 'staff:' || t.staff_id END",
        "t.what",
        "t.application_id",
        _NONE,
        "jsonb_build_object('party', t.party, 'field', t.field, 'why', t.why, 'reason', t.reason)",
    ),
    "paper": _Source(
        "read",
        "paper_use",
        "'staff:' || t.staff_id",
        "t.what",
        "d.application_id",
        "d.document_number",
        "jsonb_build_object('item', d.item, 'page', t.page, 'reason', t.reason)",
        "JOIN document d USING (document_id)",
    ),
    "paper-end": _Source(
        "change",
        "paper_end",
        "'intake'",
        "t.why",
        "d.application_id",
        "d.document_number",
        "jsonb_build_object('item', d.item)",
        "JOIN document d USING (document_id)",
    ),
    "history": _Source(
        "change",
        "application_history",
        "t.actor",
        "t.action",
        "t.application_id",
        _NONE,
        "t.details",
    ),
    "checklist": _Source(
        "checklist",
        "checklist_change",
        "t.actor",
        "t.action",
        "t.application_id",
        "t.item",
        "to_jsonb(t)",
    ),
    "sign-in": _Source(
        "sign-in",
        "sign_in",
        "coalesce('staff:' || t.staff_id, 'nobody')",
        "t.outcome",
        _NONE,
        _NONE,
        "jsonb_build_object('way', t.way)",
    ),
    "own-page": _Source(
        "sign-in",
        "customer_access",
        "t.actor",
        "t.what",
        "t.application_id",
        _NONE,
        "'{}'::jsonb",
    ),
    "office": _Source(
        "office",
        "office_change",
        "t.actor",
        "t.action",
        _NONE,
        "t.subject",
        "jsonb_build_object('old', t.old, 'new', t.new, 'why', t.why)",
    ),
}


async def find(conn: Any, wanted: Wanted, limit: int) -> list[Line]:
    """The lines that fit, the last first, at most so many; `before` goes on where one stopped."""
    given: list[Any] = []

    def value(of: Any) -> str:
        given.append(of)
        return f"${len(given)}"

    most, parts = value(limit), []
    for name, source in SOURCES.items():
        if wanted.kind in (None, source.kind):
            parts.append(_select(name, source, _conditions(name, source, wanted, value), most))
    rows = await conn.fetch(
        "SELECT line.*, a.application_number FROM ("  # noqa: S608 - made of our own words
        + " UNION ALL ".join(parts)
        + ") line LEFT JOIN application a USING (application_id)"
        f" ORDER BY at DESC, source DESC, id DESC LIMIT {most}",
        *given,
    )
    return [_line(row) for row in rows]


async def get(conn: Any, source: str, number: int) -> Line | None:
    """One line."""
    if source not in SOURCES:
        return None
    row = await conn.fetchrow(
        "SELECT line.*, a.application_number FROM ("  # noqa: S608 - made of our own words
        + _select(source, SOURCES[source], ["t.id = $2"], "$1")
        + ") line LEFT JOIN application a USING (application_id)",
        1,
        number,
    )
    return None if row is None else _line(row)


def _conditions(name: str, source: _Source, wanted: Wanted, value: Any) -> list[str]:
    found = []
    if wanted.since is not None:
        found.append(f"t.at >= {value(wanted.since)}")
    if wanted.until is not None:
        found.append(f"t.at < {value(wanted.until)}")
    if wanted.who is not None:
        found.append(f"{source.actor} = ANY ({value(wanted.who)}::text[])")
    if wanted.application_id is not None:
        found.append(f"{source.application} = {value(wanted.application_id)}")
    if (place := wanted.before) is not None:
        at = value(place.at)
        found.append(f"t.at <= {at}")
        found.append(
            f"(t.at, '{name}'::text, t.id) < ({at}, {value(place.source)}, {value(place.id)})"
        )
    return found


def _select(name: str, source: _Source, conditions: Sequence[str], limit: str) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"(SELECT t.at, '{name}'::text AS source, t.id, {source.actor} AS actor,"  # noqa: S608
        f" {source.action} AS action, {source.application} AS application_id,"
        f" {source.subject} AS subject, {source.details} AS details"
        f" FROM {source.table} t {source.joined}{where}"
        f" ORDER BY t.at DESC, t.id DESC LIMIT {limit})"
    )


def _line(row: Any) -> Line:
    return Line(
        place=Place(row["at"], row["source"], row["id"]),
        kind=SOURCES[row["source"]].kind,
        actor=row["actor"],
        action=row["action"],
        application_id=row["application_id"],
        number=row["application_number"],
        subject=row["subject"],
        details=json.loads(row["details"]),
    )


async def forget_tries(conn: Any, before: datetime, most: int, at_once: int) -> int:
    """Drop tries to come in that failed, those from before and those beyond so many of a kind; how
    many were dropped, which is `at_once` of a kind at most."""
    found: int = await conn.fetchval("SELECT forget_tries($1, $2, $3)", before, most, at_once)
    return found


async def record_office(
    conn: Any,
    now: datetime,
    actor: str,
    action: Office,
    subject: str,
    *,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Note a change of the organisation or of somebody's way in. subject: staff id or branch; old
    and new: what is other than before."""
    await conn.execute(
        "INSERT INTO office_change (at, actor, action, subject, old, new, why)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        now,
        actor,
        action,
        subject,
        None if old is None else json.dumps(old, ensure_ascii=False),
        None if new is None else json.dumps(new, ensure_ascii=False),
        why,
    )
