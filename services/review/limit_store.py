"""The table of limits' changes: with the case that they are about, and as a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from services.review import work_list
from services.review.account_store import own_cards_of
from services.review.accounts import AccountFacts
from services.review.case import Case
from services.review.limit_changes import UNDECIDED, LimitChange, LimitDecision, open_change
from services.review.work_list import Waiting
from shared.events.lifecycle import HAS_CARD
from shared.events.payload import BalanceBand
from shared.money import Money
from shared.web.lists import Page, Place, Total

_BODY: TypeAdapter[LimitChange] = TypeAdapter(LimitChange)
_UNDECIDED = ", ".join(f"'{state}'" for state in sorted(UNDECIDED))

_SAVE = """
INSERT INTO limit_change (change_id, application_id, number, kind, asked_at, agreed_at, until,
    state, due, before, wanted, ceiling, granted, policy_digest, decided_by, decided_at, body,
    claimed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (change_id) DO UPDATE SET
    state = excluded.state, ceiling = excluded.ceiling, granted = excluded.granted,
    policy_digest = excluded.policy_digest, decided_by = excluded.decided_by,
    decided_at = excluded.decided_at, body = excluded.body, claimed_by = excluded.claimed_by
"""

_DECIDE = """
INSERT INTO limit_decision (change_id, outcome, granted, decided_by, decided_at, grounds, weighed,
    inputs, verdict, policy_version, policy_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

# One after another as they stand there; everybody locks rows of cases first and persons after.
_HOLD_PERSONS = """
SELECT pg_advisory_xact_lock(hashtextextended(person, 0)) FROM unnest($1::text[]) AS person
"""

_FACTS = """
SELECT DISTINCT ON (application_id) application_id, month, opened_on, closed_on, days_past_due,
    balance, (month || '-01')::date + interval '1 month' - interval '1 day' AS as_of
FROM account_month WHERE application_id = ANY ($1)
ORDER BY application_id, month DESC, revision DESC
"""


async def save_changes(conn: Any, changes: Iterable[tuple[Case, LimitChange]]) -> None:
    """Write new ones, and of the others what may change; what ends first, so that of two in force
    only one is. New decisions are added."""
    changes = list(changes)
    rows = [_row(case, one) for case, one in changes]
    rows.sort(key=lambda row: row[7] != "ended")
    await conn.executemany(_SAVE, rows)
    decisions = [
        _decision_row(one.change_id, one.decision)
        for _case, one in changes
        if one.decision is not None
    ]
    await conn.executemany(_DECIDE, decisions)


def _decision_row(change_id: str, one: LimitDecision) -> tuple[Any, ...]:
    said = one.policy
    return (
        *(change_id, one.outcome, one.granted.minor if one.granted is not None else None),
        *(list(one.decided_by), one.at, one.grounds, one.weighed),
        *(said and said.inputs, said and said.verdict),
        *(said and said.policy_version, said and said.policy_digest),
    )


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """A decision about a change as it was written; amounts in fen, `inputs` and `verdict` sealed,
    and None together where the policy was not asked."""

    change_id: str
    number: str
    kind: str
    outcome: str
    granted: Money | None
    decided_by: tuple[str, ...]
    at: datetime
    grounds: str
    weighed: str
    inputs: str | None
    verdict: str | None
    policy_version: str | None
    policy_digest: str | None


async def application_of(conn: Any, which: str) -> tuple[str, str] | None:
    """The application and the id of a change, by the change's id or number; None: there is none."""
    row = await conn.fetchrow(
        "SELECT application_id, change_id FROM limit_change WHERE change_id = $1 OR number = $1",
        which,
    )
    return None if row is None else (row["application_id"], row["change_id"])


async def decision_of(conn: Any, application_id: str, change_id: str) -> KeptDecision | None:
    """The decision about a change of this application's card; None: it has none that was kept."""
    row = await conn.fetchrow(
        "SELECT d.*, l.number, l.kind FROM limit_decision d JOIN limit_change l USING (change_id)"
        " WHERE l.application_id = $1 AND d.change_id = $2",
        application_id,
        change_id,
    )
    if row is None:
        return None
    return KeptDecision(
        change_id=row["change_id"],
        number=row["number"],
        kind=row["kind"],
        outcome=row["outcome"],
        granted=Money(minor=row["granted"]) if row["granted"] is not None else None,
        decided_by=tuple(row["decided_by"]),
        at=row["decided_at"],
        grounds=row["grounds"],
        weighed=row["weighed"],
        inputs=row["inputs"],
        verdict=row["verdict"],
        policy_version=row["policy_version"],
        policy_digest=row["policy_digest"],
    )


def _row(case: Case, one: LimitChange) -> tuple[Any, ...]:
    found = one.recommendation
    return (
        *(one.change_id, case.application_id, one.number, one.kind, one.asked_at),
        *(one.asked.agreed_at, one.asked.until, str(one.state), one.due, one.before.minor),
        *(one.asked.wanted.minor, found.ceiling.minor if found else None),
        *(one.granted.minor if one.granted is not None else None,),
        *(found.policy_digest if found else None, list(one.decided_by), one.decided_at),
        _BODY.dump_json(one, exclude={"changed": True, "decision": True}).decode(),
        one.claimed_by,
    )


async def know_cards(conn: Any, cases: Sequence[Case], *, locked: bool) -> None:
    """Give cases whose card works their changes and what core banking stated of the account; and
    those that may be decided, or whose change may, what else the person has.

    `locked`: for a decision, which holds the person until it is committed: of two that one person
    is granted at once the later sees the earlier, and the deduction counts both. Of several loaded
    together, which are decided together, the first alone knows.
    """
    with_card = [one for one in cases if one.state in HAS_CARD]
    if with_card:
        await _know_accounts(conn, with_card)
    persons = {
        case.application_id: case.hand_over.examined.person
        for case in cases
        if case.hand_over is not None and (case.checked or open_change(case) is not None)
    }
    if not persons:
        return
    if locked:
        await conn.execute(_HOLD_PERSONS, sorted(set(persons.values())))
    # in a statement of its own, after the lock: it sees what the one before has committed
    own = await own_cards_of(conn, persons)
    seen: set[str] = set()
    for case in cases:
        person = persons.get(case.application_id)
        if person is None:
            continue
        has = own[case.application_id]
        unknown = locked and person in seen
        case.own_limits, case.own_cards = (None, None) if unknown else (has.limits, has.cards)
        seen.add(person)


async def _know_accounts(conn: Any, with_card: Sequence[Case]) -> None:
    ids = [one.application_id for one in with_card]
    rows = await conn.fetch(
        "SELECT application_id, body FROM limit_change WHERE application_id = ANY ($1)"
        " ORDER BY asked_at, change_id",
        ids,
    )
    stated = {row["application_id"]: row for row in await conn.fetch(_FACTS, ids)}
    for case in with_card:
        case.limit_changes = [
            _BODY.validate_json(row["body"])
            for row in rows
            if row["application_id"] == case.application_id
        ]
        facts = stated.get(case.application_id)
        case.account_facts = facts and AccountFacts(
            facts["as_of"].date(),
            facts["opened_on"],
            facts["closed_on"],
            facts["days_past_due"],
            BalanceBand(facts["balance"]),
        )


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change in the list."""

    change: LimitChange
    application_id: str
    branch: str
    product: str


_OF = "FROM limit_change l JOIN review_case c USING (application_id)"


def _fitting(*, decided: bool) -> str:
    state = "l.decided_at IS NOT NULL" if decided else f"l.state IN ({_UNDECIDED})"
    return f"{state} AND ($1::text[] IS NULL OR c.branch = ANY ($1))"


async def page_of(
    conn: Any,
    branches: list[str] | None,
    size: int,
    *,
    decided: bool,
    after: Place | None = None,
    before: Place | None = None,
) -> Page[ChangeRow]:
    """Those that wait, by what is due first; or those that were decided, the newest first."""
    return await work_list.read_page(
        conn,
        f"SELECT l.*, c.branch, c.product {_OF} WHERE {_fitting(decided=decided)}",
        [branches],
        size,
        _listed,
        key="l.decided_at" if decided else "l.due",
        identity="change_id",
        newest_first=decided,
        after=after,
        before=before,
    )


def _listed(row: Any) -> ChangeRow:
    change = _BODY.validate_json(row["body"])
    return ChangeRow(change, row["application_id"], row["branch"], row["product"])


async def decided(conn: Any, branches: list[str] | None) -> Total:
    """How many were decided of these branches (None: of all), as far as is counted."""
    rows = f"SELECT {_OF} WHERE {_fitting(decided=True)}"
    return await work_list.counted(conn, rows, [branches])


async def waiting(conn: Any, branches: list[str] | None, now: datetime) -> Waiting:
    """What waits of these branches (None: of all), as far as is counted."""
    rows = f"SELECT l.due {_OF} WHERE {_fitting(decided=False)}"
    return await work_list.waiting(conn, rows, [branches], now)
