"""Events that could not be applied: look, try again, skip.

Two people at once: whoever decides says what they saw (`seen`; for a retry it is read at once), and
under the key's lock it must still be so. The second is refused, singly and in bulk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.messaging.parking import KILLED, thaw
from shared.redrive.masks import masked_line, masked_payload
from shared.redrive.selection import EVERYTHING, CannotRedrive, Selection, audit

_INBOUND = "banka.inbound."
Cause = Literal["missing", "killer", "unreadable", "impossible", "failing"]


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """An application (key) that does not go on.

    id: of its first failed or waiting event, for show, retry and skip. state: gap | retry |
    parked. reason: the error's one line. attempts: of this round; tries: ever. waiting: events in
    all. first_tried: of this event, None if it never was. since, last_tried, retry_at: of the key.
    All machine time.
    """

    id: int
    consumer: str
    topic: str
    subject: str
    type: str
    state: str
    reason: str
    attempts: int
    tries: int
    waiting: int
    since: datetime
    first_tried: datetime | None
    last_tried: datetime
    retry_at: datetime | None

    @property
    def cause(self) -> Cause:
        """The kind of reason, for words: an earlier event is missing, it killed the process, it is
        no event that we can read, it can never be applied, or its handler failed."""
        if self.state == "gap":
            return "missing"
        if KILLED in self.reason:
            return "killer"
        kind, colon, _ = self.reason.partition(": ")
        if kind == "Undecodable" or not (colon and kind.isidentifier()):
            return "unreadable"
        return "impossible" if kind == "Permanent" else "failing"


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
    repairs: str | None  # the partner's event in whose place it stands
    payload: Any
    ahead: int  # events that wait before it
    behind: list[tuple[int, str, int | None]]  # (id, type, sequence), the first _BEHIND of them


_BEHIND = 200
_PARKED = """
FROM messaging.blocked_key b
JOIN LATERAL (SELECT count(*) AS waiting FROM messaging.parked_event
    WHERE consumer = b.consumer AND topic = b.topic AND subject = b.subject) n ON true
JOIN LATERAL (SELECT id, type, tries, first_tried FROM messaging.parked_event
    WHERE consumer = b.consumer AND topic = b.topic AND subject = b.subject
    ORDER BY failed DESC, id LIMIT 1) e ON true
WHERE ($1::text IS NULL OR b.consumer = $1) AND ($2::text IS NULL OR b.subject = $2)
    AND ($3::text IS NULL OR e.type = $3) AND ($4::text IS NULL OR b.state = $4)
    AND ($5::text IS NULL OR position(lower($5) IN lower(b.reason)) > 0)
    AND ($6::interval IS NULL OR b.since <= clock_timestamp() - $6)
    AND ($7::interval IS NULL OR b.since > clock_timestamp() - $7)
    AND ($8::timestamptz IS NULL OR b.since <= $8)
"""

_LIST = f"""
SELECT e.id, b.consumer, b.topic, b.subject, e.type, b.state, b.reason, b.attempts, e.tries,
    n.waiting, b.since, e.first_tried, b.last_tried, b.retry_at
{_PARKED}
ORDER BY b.since, b.consumer, b.subject LIMIT $9 OFFSET $10
"""


async def list_parked(
    conn: Any, which: Selection = EVERYTHING, *, limit: int = 200, offset: int = 0
) -> list[ParkedKey]:
    """The blocked keys, oldest first, each with its first failed event."""
    rows = await conn.fetch(_LIST, *which.values(), limit, offset)
    return [ParkedKey(**{**row, "reason": masked_line(row["reason"])}) for row in rows]


async def count_parked(conn: Any, which: Selection = EVERYTHING) -> tuple[int, int]:
    """(blocked keys, events that wait in them)"""
    row = await conn.fetchrow(
        f"SELECT count(*) AS keys, coalesce(sum(n.waiting), 0)::bigint AS events {_PARKED}",
        *which.values(),
    )
    return row["keys"], row["events"]


async def kinds_parked(conn: Any) -> dict[str, list[str]]:
    """{consumer | type: the ones among what waits}, for choosing."""
    rows = await conn.fetch(f"SELECT DISTINCT b.consumer, e.type {_PARKED}", *EVERYTHING.values())
    return {name: sorted({row[name] for row in rows}) for name in ("consumer", "type")}


async def show_parked(conn: Any, parked_id: int) -> ParkedDetail:
    """One event and what waits behind it. Raises CannotRedrive if it is not parked."""
    row = await event_row(conn, parked_id)
    where = (row["consumer"], row["topic"], row["subject"])
    keys = await list_parked(conn, Selection(consumer=row["consumer"], subject=row["subject"]))
    key = next((key for key in keys if key.topic == row["topic"]), None)
    if key is None:  # applied while we looked
        raise _gone(parked_id)
    behind = await conn.fetch(
        "SELECT id, type, sequence FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 AND id > $4 ORDER BY id LIMIT $5",
        *where, parked_id, _BEHIND,
    )  # fmt: skip
    ahead = await conn.fetchval(
        "SELECT count(*) FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 AND id < $4",
        *where, parked_id,
    )  # fmt: skip
    return ParkedDetail(
        key=key,
        event_id=row["event_id"],
        source=row["source"],
        sequence=row["sequence"],
        partition=row["part"],
        offset=row["kafka_offset"],
        parked_at=row["parked_at"],
        repairs=row["repairs"],
        payload=masked_payload(thaw(row).body or row["body"]),
        ahead=ahead,
        behind=[(item["id"], item["type"], item["sequence"]) for item in behind],
    )


_KEY = """
SELECT state, last_tried, retry_at <= clock_timestamp() + interval '1 second' AS due
FROM messaging.blocked_key WHERE consumer = $1 AND topic = $2 AND subject = $3
"""

TRY_NOW = """
UPDATE messaging.blocked_key SET state = 'retry', attempts = 0, retry_at = clock_timestamp()
WHERE consumer = $1 AND topic = $2 AND subject = $3
"""


async def locked(
    conn: Any, parked_id: int, seen: datetime | None, *, retrying: bool = False
) -> Any:
    """The event under its key's lock, which nobody tried or decided on since it was `seen`.

    Within a transaction; its caller changes the key. retrying: it is to be tried again, which is
    refused while it is. (Skipped it may be even then: it may be what kills the process.) Raises
    CannotRedrive.
    """
    row = await event_row(conn, parked_id)
    where = (row["consumer"], row["topic"], row["subject"])
    before = await conn.fetchrow(_KEY, *where)  # without the lock: what there is to see just now
    if before is None:
        raise _gone(parked_id)
    key = await conn.fetchrow(f"{_KEY} FOR UPDATE", *where)
    if key is None:
        raise _gone(parked_id)
    row = await event_row(conn, parked_id)  # another operator may have been quicker
    if retrying and key["state"] == "retry" and key["due"]:
        raise CannotRedrive(f"{parked_id} is being retried already", "busy")
    if row["left_out"]:
        raise CannotRedrive(f"{parked_id} is skipped already: its partner is being told", "busy")
    if seen is None and retrying:
        seen = before["last_tried"]
    if seen is not None and key["last_tried"] != seen:
        raise CannotRedrive(f"{parked_id} was tried again meanwhile: look at it anew", "changed")
    return row


def _gone(parked_id: int) -> CannotRedrive:
    return CannotRedrive(f"{parked_id} is not parked (any more)", "gone")


async def retry_parked(
    conn: Any, parked_id: int, *, who: str, why: str, seen: datetime | None = None
) -> None:
    """Have the service try the event again, now. Raises CannotRedrive if somebody just did.

    seen: `last_tried` as it was shown to who decides.
    """
    async with conn.transaction():
        row = await locked(conn, parked_id, seen, retrying=True)
        await conn.execute(TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await audit(conn, who, "retry", described(row), why)


async def skip_parked(
    conn: Any, parked_id: int, *, who: str, why: str, seen: datetime | None = None
) -> None:
    """Decide never to apply the event; what waits behind it goes on.

    Kept for ever and honoured by rebuilds. Only the event that is next in its order can be
    skipped. A partner is answered that its event was left out. Raises CannotRedrive otherwise.
    """
    if not why.strip():
        raise CannotRedrive("skipping needs a reason", "reason")
    async with conn.transaction():
        row = await locked(conn, parked_id, seen)
        if row["sequence"] is not None and row["source"] != "?":
            await _skip_number(conn, row)
        else:
            await must_be_first(conn, row)
        await keep_skipped(conn, row, who, why)
        if partner_of(row) is None:
            await conn.execute("DELETE FROM messaging.parked_event WHERE id = $1", parked_id)
        else:  # the running service has the words for its answer
            await conn.execute(
                "UPDATE messaging.parked_event SET left_out = true WHERE id = $1", parked_id
            )
        await conn.execute(TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await audit(conn, who, "skip", described(row), why)


async def must_be_first(conn: Any, row: Any) -> None:
    first = await conn.fetchval(
        "SELECT min(id) FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3",
        row["consumer"], row["topic"], row["subject"],
    )  # fmt: skip
    if first != row["id"]:
        raise CannotRedrive(f"{row['id']} waits behind {first}: begin with that one", "order")


async def keep_skipped(conn: Any, row: Any, who: str, why: str) -> None:
    await conn.execute(
        "INSERT INTO messaging.skipped_event (consumer, topic, event_id, subject, who, why)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        row["consumer"].partition("@")[0], row["topic"], row["event_id"], row["subject"], who, why,
    )  # fmt: skip


def partner_of(row: Any) -> str | None:
    """The partner whose event it is; None for one of our own topics."""
    topic: str = row["topic"]
    return topic.removeprefix(_INBOUND) if topic.startswith(_INBOUND) else None


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
            f" {cure_of_gap(row['topic'], row['subject'], row['source'])}",
            "order",
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


async def event_row(conn: Any, parked_id: int) -> Any:
    row = await conn.fetchrow("SELECT * FROM messaging.parked_event WHERE id = $1", parked_id)
    if row is None:
        raise _gone(parked_id)
    return row


def described(row: Any) -> str:
    return f"{row['consumer']} {row['topic']} {row['subject']} {row['event_id']}"
