"""The officers of review: its copy of the staff, what it keeps of each, and their load."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from services.review.officers import Away, Beside, Count, Load, Officer, Work
from shared.calendar import business_day, end_of_day
from shared.web import Permission
from shared.web.directory import StaffMember, staff_numbered, staff_with


async def officers(conn: Any) -> list[Officer]:
    """Everybody who may claim cases somewhere, by name."""
    return await _kept(conn, await staff_with(conn, Permission.REVIEW_CLAIM))


async def holders(conn: Any, staff_ids: Collection[str]) -> list[Officer]:
    """These by name, also whoever claims no more: who has left may have something open still."""
    return await _kept(conn, await staff_numbered(conn, staff_ids))


async def _kept(conn: Any, members: Sequence[StaffMember]) -> list[Officer]:
    kept = {row["staff_id"]: row for row in await conn.fetch("SELECT * FROM officer")}
    found = []
    for member in members:
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


def _beside(*, held: bool) -> str:
    """What waits beside the cases: appeals and disputes without an answer, changes of limits
    without a proposal. One whose evidence is on its way counts only where somebody has it.
    held: those too that compliance has, as whoever may not know of holds counts them."""
    states = "'deciding', 'held'" if held else "'deciding'"
    return f"""
SELECT CASE a.wish WHEN 'report-dispute' THEN 'dispute' ELSE 'appeal' END AS kind,
    application_id, a.number, c.branch, c.product, a.claimed_by, a.due, false AS snoozed, a.deciders
FROM appeal a JOIN review_case c USING (application_id) WHERE a.outcome IS NULL
UNION ALL
SELECT 'limit_change', application_id, l.number, c.branch, c.product, l.claimed_by, l.due, false,
    '{{}}'::text[]
FROM limit_change l JOIN review_case c USING (application_id)
WHERE l.state IN ({states}) OR (l.state = 'checking' AND l.claimed_by IS NOT NULL)
"""  # noqa: S608 - constants of ours


def _work(*, held: bool) -> str:
    """What waits for an officer: cases of the queue that nobody proposed, and what waits beside."""
    states = "'manual_review', 'on_hold'" if held else "'manual_review'"
    return f"""
SELECT 'case' AS kind, application_id, application_number AS number, branch, product, claimed_by,
    due, snoozed_until IS NOT NULL AS snoozed, '{{}}'::text[] AS deciders
FROM review_case WHERE state IN ({states}) AND proposed_by IS NULL
UNION ALL {_beside(held=held)}
"""  # noqa: S608 - constants of ours


async def loads(
    conn: Any, branches: list[str] | None, now: datetime, *, knows_holds: bool
) -> dict[str | None, Load]:
    """{staff id: what they have of these branches}; under None what is nobody's. What waits for
    its second signature is not counted; what is held is, for who may not know of holds: to them it
    lies in the queue."""
    rows = await conn.fetch(
        "SELECT claimed_by, kind, count(*) AS open, count(*) FILTER (WHERE due < $2) AS overdue,"  # noqa: S608 - our own text
        " count(*) FILTER (WHERE due >= $2 AND due <= $3) AS today,"
        " count(*) FILTER (WHERE snoozed) AS snoozed"
        f" FROM ({_work(held=not knows_holds)}) AS work"
        " WHERE $1::text[] IS NULL OR branch = ANY ($1) GROUP BY claimed_by, kind",
        branches,
        now,
        end_of_day(business_day(now)),
    )
    found: dict[str | None, Load] = {}
    for row in rows:
        there = found.get(row["claimed_by"], Load())
        count = Count(row["open"], row["today"], row["overdue"])
        found[row["claimed_by"]] = Load(
            {**there.by_kind, row["kind"]: count}, there.snoozed + row["snoozed"]
        )
    return found


async def work_of(conn: Any, branches: list[str] | None, staff_id: str, most: int) -> list[Work]:
    """What an officer has open, what is due first in front; also what is held of theirs, for it
    comes back to whoever has it."""
    rows = await conn.fetch(
        f"SELECT kind, application_id FROM ({_work(held=True)}) AS work WHERE claimed_by = $2"  # noqa: S608 - our own text
        " AND ($1::text[] IS NULL OR branch = ANY ($1)) ORDER BY due, application_id LIMIT $3",
        branches,
        staff_id,
        most,
    )
    return [Work(row["kind"], row["application_id"]) for row in rows]


def beside_statement(
    branches: list[str] | None,
    staff_id: str | None,
    most: int,
    *,
    knows_holds: bool,
    before: datetime | None = None,
    products: Collection[str] | None = None,
    officers: Collection[str] | None = None,
) -> tuple[str, list[Any]]:
    """The statement of `beside_of` and its arguments: only conditions that are set, and of who has
    it one that an index serves."""
    conditions = [] if staff_id or officers is not None else ["claimed_by IS NULL"]
    arguments: list[Any] = [most]
    for condition, value in (
        ("claimed_by = {}::text", staff_id),
        ("(claimed_by IS NULL OR claimed_by <> ALL ({}::text[]))", officers),
        ("branch = ANY ({}::text[])", branches),
        ("due < {}::timestamptz", before),
        ("product = ANY ({}::text[])", products),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    statement = (
        f"SELECT * FROM ({_beside(held=not knows_holds)}) AS work WHERE {' AND '.join(conditions)}"  # noqa: S608 - our own text
        " ORDER BY due, application_id LIMIT $1"
    )
    return statement, arguments


async def beside_of(
    conn: Any,
    branches: list[str] | None,
    staff_id: str | None,
    most: int,
    *,
    knows_holds: bool,
    before: datetime | None = None,
    products: Collection[str] | None = None,
    officers: Collection[str] | None = None,
) -> list[Beside]:
    """What waits beside the cases of these branches (None: of all) and somebody has, or with None
    nobody; what is due first in front. before: of what is due by then alone; products: of these
    alone; officers: with what nobody has also what is held by anybody but these, who has left."""
    statement, arguments = beside_statement(
        branches,
        staff_id,
        most,
        knows_holds=knows_holds,
        before=before,
        products=products,
        officers=officers,
    )
    rows = await conn.fetch(statement, *arguments)
    return [
        Beside(
            Work(row["kind"], row["application_id"]),
            row["number"],
            row["branch"],
            row["product"],
            row["due"],
            row["claimed_by"],
            tuple(row["deciders"]),
        )
        for row in rows
    ]
