"""The table of appeals: with the case that they are about, and as the list of those that wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.review import work_list
from services.review.appeals import DISPUTE, About, Appeal, about
from services.review.case import Case, mark_disputed
from services.review.work_list import Waiting
from shared.events.intake import AppealWish
from shared.events.lifecycle import State
from shared.web.lists import Page, Place, Total

_SAVE = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, claimed_by, outcome, answered_by, answered_at, person)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $4 = 'report-dispute' THEN '{}'::text[] ELSE array(
        SELECT unnest(decided_by)
        UNION SELECT actor FROM case_history WHERE application_id = $2 AND actor <> 'review'
            AND (action IN ('proposed', 'opinion', 'signed')
                OR action = 'returned' AND details ? 'note')
        UNION SELECT answered_by FROM appeal WHERE application_id = $2 AND appeal_id <> $1
            AND wish <> 'report-dispute' AND answered_by IS NOT NULL
        ORDER BY 1
    ) END, coalesce(automatic, false), $9, $10, $11, $12, $13
FROM (VALUES (0)) one LEFT JOIN decision ON application_id = $2 AND $4 <> 'report-dispute'
ON CONFLICT (appeal_id) DO UPDATE SET
    wish = excluded.wish, claimed_by = excluded.claimed_by, outcome = excluded.outcome,
    answered_by = excluded.answered_by, answered_at = excluded.answered_at
"""


async def save_appeals(conn: Any, appeals: Iterable[tuple[Case, Appeal]]) -> None:
    """Write new ones, and of the others what may change; who took part in what is
    appealed against is read from the decision, the history and earlier answers."""
    await conn.executemany(
        _SAVE,
        [
            (
                one.appeal_id,
                case.application_id,
                one.number,
                one.wish,
                one.asked_by,
                one.asked_at,
                one.words,
                one.due,
                one.claimed_by,
                one.outcome,
                one.answered_by,
                one.answered_at,
                case.hand_over.examined.person if case.hand_over else None,
            )
            for case, one in appeals
        ],
    )


# Of a case and a person, `one`: the case's own appeals, and beside which applications the person
# disputes the credit report, or it was put right.
BESIDE: Final = """
SELECT * FROM appeal WHERE appeal.application_id = one.application_id
    OR (wish = 'report-dispute' AND outcome IS NULL AND appeal.person = one.person)
    OR (wish = 'report-dispute' AND outcome = 'corrected' AND appeal.person = one.person)
"""

_DISPUTING = "wish = 'report-dispute' AND outcome IS NULL"

# Whether somebody disputes the credit report, beside whatever application. The disputes are few:
# they are read once, not looked up for each case.
DISPUTED: Final = f"""
(review_case.person IN (SELECT person FROM appeal WHERE {_DISPUTING})
    OR review_case.application_id IN (SELECT application_id FROM appeal WHERE {_DISPUTING}))
"""  # noqa: S608 - a constant of ours


def know_appeals(case: Case, rows: Sequence[Any]) -> None:
    """Give a case the rows of `BESIDE`."""
    case.appeals = [_appeal(row) for row in rows if row["application_id"] == case.application_id]
    case.appeals.sort(key=lambda one: (one.asked_at, one.appeal_id))
    beside = [row for row in rows if row["application_id"] != case.application_id]
    case.person_disputes = any(row["outcome"] is None for row in beside)
    case.corrected_beside = max(
        (row["answered_at"] for row in beside if row["outcome"] is not None), default=None
    )
    mark_disputed(case)


def _appeal(row: Any) -> Appeal:
    return Appeal(
        appeal_id=row["appeal_id"],
        number=row["number"],
        wish=row["wish"] if row["wish"] == DISPUTE else AppealWish(row["wish"]),
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        words=row["words"],
        due=row["due"],
        deciders=tuple(row["deciders"]),
        automatic=row["automatic"],
        claimed_by=row["claimed_by"],
        outcome=row["outcome"],
        answered_by=row["answered_by"],
        answered_at=row["answered_at"],
    )


@dataclass(frozen=True, slots=True)
class AppealRow:
    """One appeal in the list."""

    appeal: Appeal
    application_id: str
    about: About
    branch: str
    product: str
    category: str | None


_OF = "FROM appeal a JOIN review_case c USING (application_id)"


def _fitting(*, answered: bool, disputes: bool) -> str:
    state, kind = "NOT NULL" if answered else "NULL", "=" if disputes else "<>"
    return (
        f"a.outcome IS {state} AND a.wish {kind} 'report-dispute'"
        " AND ($1::text[] IS NULL OR c.branch = ANY ($1))"
    )


async def page_of(
    conn: Any,
    branches: list[str] | None,
    size: int,
    *,
    answered: bool,
    disputes: bool = False,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[AppealRow]:
    """Those that wait, by what is due first; or those that were answered, the newest first."""
    rows = f"SELECT a.*, c.state, c.branch, c.product, c.category {_OF}"
    return await work_list.read_page(
        conn,
        f"{rows} WHERE {_fitting(answered=answered, disputes=disputes)}",
        [branches],
        size,
        _listed,
        key="a.answered_at" if answered else "a.due",
        identity="appeal_id",
        newest_first=answered,
        after=after,
        before=before,
    )


def _listed(row: Any) -> AppealRow:
    return AppealRow(
        _appeal(row),
        row["application_id"],
        about(State(row["state"])),
        row["branch"],
        row["product"],
        row["category"],
    )


async def answered(conn: Any, branches: list[str] | None, *, disputes: bool = False) -> Total:
    """How many were answered of these branches (None: of all), as far as is counted."""
    rows = f"SELECT {_OF} WHERE {_fitting(answered=True, disputes=disputes)}"
    return await work_list.counted(conn, rows, [branches])


async def waiting(
    conn: Any, branches: list[str] | None, now: datetime, *, disputes: bool = False
) -> Waiting:
    """What waits of these branches (None: of all), as far as is counted."""
    rows = f"SELECT a.due {_OF} WHERE {_fitting(answered=False, disputes=disputes)}"
    return await work_list.waiting(conn, rows, [branches], now)
