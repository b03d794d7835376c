"""Calls whose result, and deadlines whose handler, failed too often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.messaging.deadlines import ATTEMPTS
from shared.redrive.masks import masked_line, masked_payload, masked_result
from shared.redrive.selection import EVERYTHING, CannotRedrive, Selection, audit


@dataclass(frozen=True, slots=True)
class FailedWork:
    """A call's result or a deadline that was tried too often and waits for an operator.

    reference: for show and retry, `call:<id>` or `deadline:<name>:<subject>`. name: the call's
    kind or the deadline's name. tries: of its handler. since: when the call was asked for (machine
    time), when the deadline fell due (business time). payload: masked; what the other side was
    asked and what it answered.
    """

    reference: str
    kind: str  # call | deadline
    name: str
    subject: str
    reason: str
    tries: int
    since: datetime
    payload: Any


_FAILED_CALLS = """
SELECT id, kind, subject, payload, result, error, applying, created_at FROM messaging.call
WHERE state = 'failed' AND ($1::text IS NULL OR subject = $1) AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR position(lower($3) IN lower(error)) > 0)
    AND ($4::interval IS NULL OR created_at <= clock_timestamp() - $4)
    AND ($5::interval IS NULL OR created_at > clock_timestamp() - $5)
    AND ($6::timestamptz IS NULL OR created_at <= $6) AND ($7::bigint IS NULL OR id = $7)
ORDER BY id LIMIT $8
"""

_FAILED_DEADLINES = """
SELECT name, subject, at, error, attempts FROM messaging.deadline
WHERE attempts >= $7 AND ($1::text IS NULL OR subject = $1) AND ($2::text IS NULL OR name = $2)
    AND ($3::text IS NULL OR position(lower($3) IN lower(error)) > 0)
    AND ($4::interval IS NULL OR at <= clock_timestamp() - $4)
    AND ($5::interval IS NULL OR at > clock_timestamp() - $5)
ORDER BY at, name, subject LIMIT $6
"""


async def list_failed(
    conn: Any, which: Selection = EVERYTHING, *, limit: int = 200
) -> list[FailedWork]:
    """Calls whose result and deadlines whose handler failed too often, oldest first.

    They belong to no consumer and have one state: a selection that names either means none.
    """
    if which.consumer or which.state:
        return []
    return (await _failed_calls(conn, which, limit)) + (await _failed_deadlines(conn, which, limit))


async def _failed_calls(
    conn: Any, which: Selection, limit: int, call: int | None = None
) -> list[FailedWork]:
    _, subject, name, _, text, older, younger, until = which.values()
    return [
        FailedWork(
            f"call:{row['id']}",
            "call",
            row["kind"],
            row["subject"],
            masked_line(row["error"] or ""),
            row["applying"],
            row["created_at"],
            {
                "asked": masked_payload(row["payload"].encode()),
                "answered": masked_result(row["result"]),
            },
        )
        for row in await conn.fetch(
            _FAILED_CALLS, subject, name, text, older, younger, until, call, limit
        )
    ]


async def _failed_deadlines(conn: Any, which: Selection, limit: int) -> list[FailedWork]:
    _, subject, name, _, text, older, younger, _ = which.values()
    return [
        FailedWork(
            f"deadline:{row['name']}:{row['subject']}",
            "deadline",
            row["name"],
            row["subject"],
            masked_line(row["error"] or ""),
            row["attempts"],
            row["at"],
            None,
        )
        for row in await conn.fetch(
            _FAILED_DEADLINES, subject, name, text, older, younger, limit, ATTEMPTS
        )
    ]


async def show_failed(conn: Any, reference: str) -> FailedWork:
    """One of them. Raises CannotRedrive if it does not wait (any more)."""
    kind, _, rest = reference.partition(":")
    found: list[FailedWork] = []
    if kind == "call" and rest.isdecimal() and len(rest) < 19:
        found = await _failed_calls(conn, EVERYTHING, 1, int(rest))
    elif kind == "deadline":
        name, _, subject = rest.partition(":")
        found = await _failed_deadlines(conn, Selection(event_type=name, subject=subject), 1)
    if not found:
        raise CannotRedrive(f"{reference} does not wait for anybody (any more)", "gone")
    return found[0]


async def retry_failed(conn: Any, reference: str, *, who: str, why: str) -> None:
    """Have the service try it again, now, as often as the first time; a call is not made again.

    Raises CannotRedrive if it does not wait (any more).
    """
    async with conn.transaction():
        work = await show_failed(conn, reference)
        if work.kind == "call":
            done = await conn.execute(
                "UPDATE messaging.call"
                " SET state = 'open', applying = 0, retry_at = clock_timestamp()"
                " WHERE id = $1 AND state = 'failed'",
                int(reference.partition(":")[2]),
            )
        else:
            done = await conn.execute(
                "UPDATE messaging.deadline SET attempts = 0, retry_at = clock_timestamp()"
                " WHERE name = $1 AND subject = $2 AND attempts >= $3",
                work.name, work.subject, ATTEMPTS,
            )  # fmt: skip
        if done == "UPDATE 0":
            raise CannotRedrive(f"{reference} is being retried already", "busy")
        await audit(conn, who, "retry", f"{reference} {work.name} {work.subject}", why)
