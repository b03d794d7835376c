"""What an operator can do about what waits: look, try again, skip; all of it audited.

Three kinds wait: an event that could not be applied, with everything behind it; the result of a
call, and a deadline, whose handler failed too often. These functions are behind `banka parked`.
They change rows only; the running service does the work, because it alone has the handlers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.messaging.deadlines import ATTEMPTS
from shared.messaging.parking import thaw

#: keys whose values are codes or identifiers and may be shown
_SHOWN = (
    "id", "ids", "type", "code", "codes", "reason", "status", "state", "version", "product",
    "channel", "branch", "region", "role", "item", "name_of_field", "currency", "minor", "at",
    "deadline", "round",
)  # fmt: skip


class CannotRedrive(ValueError):
    """The request does not fit what is parked now; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """An application (key) that does not go on.

    id: of its first failed or waiting event, for show, retry and skip. state: gap | retry |
    parked. waiting: events in all. attempts, since, last_tried, retry_at: machine time.
    """

    id: int
    consumer: str
    topic: str
    subject: str
    type: str
    state: str
    reason: str
    attempts: int
    waiting: int
    since: datetime
    last_tried: datetime
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParkedDetail:
    """One parked event as an operator may see it; texts of the payload are masked."""

    key: ParkedKey
    event_id: str
    source: str
    sequence: int | None
    partition: int
    offset: int
    parked_at: datetime
    payload: Any
    behind: list[tuple[int, str, int | None]]  # (id, type, sequence) of what waits behind


_LIST = """
SELECT e.id, b.consumer, b.topic, b.subject, e.type, b.state, b.reason, b.attempts, n.waiting,
    b.since, b.last_tried, b.retry_at
FROM messaging.blocked_key b
JOIN LATERAL (SELECT count(*) AS waiting FROM messaging.parked_event
    WHERE consumer = b.consumer AND topic = b.topic AND subject = b.subject) n ON true
JOIN LATERAL (SELECT id, type FROM messaging.parked_event
    WHERE consumer = b.consumer AND topic = b.topic AND subject = b.subject
    ORDER BY failed DESC, id LIMIT 1) e ON true
WHERE ($1::text IS NULL OR b.consumer = $1) AND ($2::text IS NULL OR b.subject = $2)
    AND ($3::text IS NULL OR e.type = $3) AND ($4::text IS NULL OR b.state = $4)
ORDER BY b.since, b.consumer, b.subject LIMIT $5
"""


async def list_parked(
    conn: Any,
    *,
    consumer: str | None = None,
    subject: str | None = None,
    event_type: str | None = None,
    state: str | None = None,
    limit: int = 200,
) -> list[ParkedKey]:
    """The blocked keys, oldest first, each with its first failed event."""
    rows = await conn.fetch(_LIST, consumer, subject, event_type, state, limit)
    return [ParkedKey(**dict(row)) for row in rows]


async def show_parked(conn: Any, parked_id: int) -> ParkedDetail:
    """One event and what waits behind it. Raises CannotRedrive if it is not parked."""
    row = await _event(conn, parked_id)
    keys = await list_parked(conn, consumer=row["consumer"], subject=row["subject"])
    behind = await conn.fetch(
        "SELECT id, type, sequence FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 AND id > $4 ORDER BY id",
        row["consumer"], row["topic"], row["subject"], parked_id,
    )  # fmt: skip
    return ParkedDetail(
        key=next(key for key in keys if key.topic == row["topic"]),
        event_id=row["event_id"],
        source=row["source"],
        sequence=row["sequence"],
        partition=row["part"],
        offset=row["kafka_offset"],
        parked_at=row["parked_at"],
        payload=masked_payload(thaw(row).body or row["body"]),
        behind=[(item["id"], item["type"], item["sequence"]) for item in behind],
    )


async def retry_parked(conn: Any, parked_id: int, *, who: str, why: str) -> None:
    """Have the service try the event again, now. Raises CannotRedrive if somebody just did."""
    async with conn.transaction():
        row = await _event(conn, parked_id)
        done = await conn.execute(
            "UPDATE messaging.blocked_key"
            " SET state = 'retry', attempts = 0, retry_at = clock_timestamp()"
            " WHERE consumer = $1 AND topic = $2 AND subject = $3"
            " AND (state <> 'retry' OR retry_at > clock_timestamp() + interval '1 second')",
            row["consumer"], row["topic"], row["subject"],
        )  # fmt: skip
        if done == "UPDATE 0":
            raise CannotRedrive(f"{parked_id} is being retried already")
        await _audit(conn, who, "retry", row, why)


async def skip_parked(conn: Any, parked_id: int, *, who: str, why: str) -> None:
    """Decide never to apply the event; what waits behind it goes on.

    Kept for ever and honoured by rebuilds. Only the event that is next in its order can be
    skipped. Raises CannotRedrive otherwise.
    """
    if not why.strip():
        raise CannotRedrive("skipping needs a reason")
    async with conn.transaction():
        row = await _event(conn, parked_id)
        where = (row["consumer"], row["topic"], row["subject"])
        locked = await conn.fetchval(
            "SELECT state FROM messaging.blocked_key"
            " WHERE consumer = $1 AND topic = $2 AND subject = $3 FOR UPDATE",
            *where,
        )
        # again under the lock: another operator may have been quicker
        row = await _event(conn, parked_id)
        if locked is None:
            raise CannotRedrive(f"{parked_id} is not parked any more")
        if row["sequence"] is not None and row["source"] != "?":
            await _skip_number(conn, row)
        first = await conn.fetchval(
            "SELECT min(id) FROM messaging.parked_event"
            " WHERE consumer = $1 AND topic = $2 AND subject = $3",
            *where,
        )
        if row["sequence"] is None and first != parked_id:
            raise CannotRedrive(f"{parked_id} waits behind {first}: begin with that one")
        await conn.execute(
            "INSERT INTO messaging.skipped_event (consumer, topic, event_id, subject, who, why)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            row["consumer"].partition("@")[0], row["topic"], row["event_id"], row["subject"],
            who, why,
        )  # fmt: skip
        await conn.execute("DELETE FROM messaging.parked_event WHERE id = $1", parked_id)
        await conn.execute(
            "UPDATE messaging.blocked_key"
            " SET state = 'retry', attempts = 0, retry_at = clock_timestamp()"
            " WHERE consumer = $1 AND topic = $2 AND subject = $3",
            *where,
        )
        await _audit(conn, who, "skip", row, why)


async def _skip_number(conn: Any, row: Any) -> None:
    """Move the cursor past the event, if it is the next one of its source."""
    last = await conn.fetchval(
        "SELECT sequence FROM messaging.cursor"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 AND source = $4 FOR UPDATE",
        row["consumer"], row["topic"], row["subject"], row["source"],
    )  # fmt: skip
    if row["sequence"] > (last or 0) + 1:
        raise CannotRedrive(
            f"{row['id']} has number {row['sequence']}, and {(last or 0) + 1} has not come:"
            f" {cure_of_gap(row['topic'], row['subject'], row['source'])}"
        )
    await conn.execute(
        """
        INSERT INTO messaging.cursor AS c (consumer, topic, subject, source, sequence, event_id)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (consumer, topic, subject, source) DO UPDATE
            SET sequence = excluded.sequence, event_id = excluded.event_id
            WHERE c.sequence < excluded.sequence
        """,
        row["consumer"],
        row["topic"],
        row["subject"],
        row["source"],
        row["sequence"],
        row["event_id"],
    )


def cure_of_gap(topic: str, subject: str, source: str) -> str:
    """The command that has the publisher send an application's events once more."""
    publisher = source.removeprefix("/banka/")
    return f"banka events republish {publisher} --topic {topic} --subject {subject} --why …"


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
WHERE state = 'failed' AND ($1::text IS NULL OR subject = $1) ORDER BY id LIMIT $2
"""

_FAILED_DEADLINES = """
SELECT name, subject, at, error, attempts FROM messaging.deadline
WHERE attempts >= $3 AND ($1::text IS NULL OR subject = $1) ORDER BY at, name, subject LIMIT $2
"""


async def list_failed(
    conn: Any, *, subject: str | None = None, limit: int = 200
) -> list[FailedWork]:
    """Calls whose result and deadlines whose handler failed too often, oldest first."""
    calls = [
        FailedWork(
            f"call:{row['id']}",
            "call",
            row["kind"],
            row["subject"],
            row["error"] or "",
            row["applying"],
            row["created_at"],
            {
                "asked": masked_payload(row["payload"].encode()),
                "answered": _masked_result(row["result"]),
            },
        )
        for row in await conn.fetch(_FAILED_CALLS, subject, limit)
    ]
    deadlines = [
        FailedWork(
            f"deadline:{row['name']}:{row['subject']}",
            "deadline",
            row["name"],
            row["subject"],
            row["error"] or "",
            row["attempts"],
            row["at"],
            None,
        )
        for row in await conn.fetch(_FAILED_DEADLINES, subject, limit, ATTEMPTS)
    ]
    return calls + deadlines


async def show_failed(conn: Any, reference: str) -> FailedWork:
    """One of them. Raises CannotRedrive if it does not wait (any more)."""
    for work in await list_failed(conn, limit=100_000):
        if work.reference == reference:
            return work
    raise CannotRedrive(f"{reference} does not wait for anybody (any more)")


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
            raise CannotRedrive(f"{reference} is being retried already")
        await conn.execute(
            "INSERT INTO messaging.audit (who, action, what, why) VALUES ($1, $2, $3, $4)",
            who, "retry", f"{reference} {work.name} {work.subject}", why,
        )  # fmt: skip


def _masked_result(result: str | None) -> Any:
    """[kind of answer, its values masked]"""
    if result is None:
        return None
    name, values = json.loads(result)
    return [name, _masked(values, "")]


async def count_waiting(conn: Any) -> dict[str, int]:
    """{event | call | deadline: how many wait for an operator}; of events, those that failed."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM messaging.blocked_key WHERE state <> 'retry') AS event,
            (SELECT count(*) FROM messaging.call WHERE state = 'failed') AS call,
            (SELECT count(*) FROM messaging.deadline WHERE attempts >= $1) AS deadline
        """,
        ATTEMPTS,
    )
    return dict(row)


def masked_payload(body: bytes | None) -> Any:
    """A payload's shape with its codes and ids; every other text is masked."""
    try:
        return _masked(json.loads(body or b""), "")
    except (ValueError, RecursionError):
        return f"({len(body or b'')} bytes that are not JSON)"


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, key) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if key in _SHOWN or key.endswith(("_id", "_at", "_code", "_version", "_type")):
        return value
    return "…"


async def _event(conn: Any, parked_id: int) -> Any:
    row = await conn.fetchrow("SELECT * FROM messaging.parked_event WHERE id = $1", parked_id)
    if row is None:
        raise CannotRedrive(f"{parked_id} is not parked (any more)")
    return row


async def _audit(conn: Any, who: str, action: str, row: Any, why: str) -> None:
    what = f"{row['consumer']} {row['topic']} {row['subject']} {row['event_id']}"
    await conn.execute(
        "INSERT INTO messaging.audit (who, action, what, why) VALUES ($1, $2, $3, $4)",
        who, action, what, why,
    )  # fmt: skip
