"""The officers of review: its copy of the staff, what it keeps of each, and their load."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.review.officers import Away, Load, Officer
from shared.calendar import business_day, end_of_day
from shared.web import Permission
from shared.web.directory import staff_with


async def officers(conn: Any) -> list[Officer]:
    """Everybody who may claim cases somewhere, by name."""
    kept = {row["staff_id"]: row for row in await conn.fetch("SELECT * FROM officer")}
    found = []
    for member in await staff_with(conn, Permission.REVIEW_CLAIM):
        row = kept.get(member.staff_id)
        away = None
        if row and row["away_from"]:
            away = Away(row["away_from"], row["away_to"], row["deputy"])
        products = row["products"] if row else None
        found.append(Officer(member, away, None if products is None else frozenset(products)))
    return found


async def officer(conn: Any, staff_id: str) -> Officer | None:
    """One of them."""
    return next((one for one in await officers(conn) if one.staff_id == staff_id), None)


async def lock(conn: Any) -> None:
    """Whoever changes an officer does it alone until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('banka.officer'))")


async def save(conn: Any, kept: Officer) -> None:
    """Write what review keeps of an officer."""
    await conn.execute(
        "INSERT INTO officer (staff_id, away_from, away_to, deputy, products)"
        " VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (staff_id) DO UPDATE SET away_from = excluded.away_from,"
        " away_to = excluded.away_to, deputy = excluded.deputy, products = excluded.products",
        kept.staff_id,
        kept.away.first if kept.away else None,
        kept.away.last if kept.away else None,
        kept.away.deputy if kept.away else None,
        None if kept.products is None else sorted(kept.products),
    )


async def loads(conn: Any, branches: list[str] | None, now: datetime) -> dict[str | None, Load]:
    """{staff id: what they have of these branches}; under None what is nobody's. What waits for
    its second signature is not counted."""
    rows = await conn.fetch(
        "SELECT claimed_by, count(*) AS open, count(*) FILTER (WHERE due < $2) AS overdue,"
        " count(*) FILTER (WHERE due >= $2 AND due <= $3) AS today,"
        " count(*) FILTER (WHERE snoozed_until IS NOT NULL) AS snoozed"
        " FROM review_case WHERE state = 'manual_review' AND proposed_by IS NULL"
        " AND ($1::text[] IS NULL OR branch = ANY ($1)) GROUP BY claimed_by",
        branches,
        now,
        end_of_day(business_day(now)),
    )
    return {
        row["claimed_by"]: Load(row["open"], row["today"], row["overdue"], row["snoozed"])
        for row in rows
    }


async def cases_of(conn: Any, branches: list[str] | None, staff_id: str, most: int) -> list[str]:
    """Ids of an officer's open cases, what is due first in front."""
    rows = await conn.fetch(
        "SELECT application_id FROM review_case WHERE state = 'manual_review'"
        " AND proposed_by IS NULL AND claimed_by = $2"
        " AND ($1::text[] IS NULL OR branch = ANY ($1)) ORDER BY due, application_id LIMIT $3",
        branches,
        staff_id,
        most,
    )
    return [row["application_id"] for row in rows]
