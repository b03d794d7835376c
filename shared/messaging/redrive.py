"""What an operator can do about what waits: look, try again, skip, repair, resume; all audited.

Three kinds wait: an event that could not be applied, with everything behind it; the result of a
call, and a deadline, whose handler failed too often. A fourth is a consumer that stopped because
too many events failed. These functions are behind `banka parked` and the operators' pages alike.
They change rows only; the running service does the work, because it alone has the handlers.

Two people at once: whoever decides says what they saw (`seen`; for a retry it is read at once), and
under the key's lock it must still be so. The second is refused, singly and in bulk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from shared.events.catalog import PARTNERS, source
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging.deadlines import ATTEMPTS
from shared.messaging.errors import one_line
from shared.messaging.masks import masked_line, masked_payload, masked_result
from shared.messaging.parking import KILLED, freeze_headers, thaw

_INBOUND = "banka.inbound."

MOST = 5_000  # of one bulk
PER_SECOND = 20.0  # of one bulk, unless somebody says otherwise


class CannotRedrive(ValueError):
    """The request does not fit what is parked now; the message says why, in one line.

    code: for who translates: gone, busy, changed, order, reason or other.
    """

    def __init__(self, words: str, code: str = "other") -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of what waits is meant; what is left out is no matter.

    event_type: of the first failed event; of a call or a deadline its name. text: part of the
    reason, in any case. older, younger: of the time since it began to wait. until: nothing that
    began to wait later, so that a bulk does no more than was looked at. The last four are machine
    time; a deadline's age is business time, and `until` leaves none out.
    """

    consumer: str | None = None
    subject: str | None = None
    event_type: str | None = None
    state: str | None = None
    text: str | None = None
    older: timedelta | None = None
    younger: timedelta | None = None
    until: datetime | None = None

    @property
    def names_something(self) -> bool:
        """False if everything is meant."""
        return any((self.consumer, self.subject, self.event_type, self.state, self.text,
                    self.older, self.younger))  # fmt: skip

    def values(self) -> tuple[Any, ...]:
        """For the queries, in the order of their parameters."""
        return (self.consumer or None, self.subject or None, self.event_type or None,
                self.state or None, self.text or None, self.older, self.younger,
                self.until)  # fmt: skip


EVERYTHING = Selection()

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
    row = await _event(conn, parked_id)
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

_TRY_NOW = """
UPDATE messaging.blocked_key SET state = 'retry', attempts = 0, retry_at = clock_timestamp()
WHERE consumer = $1 AND topic = $2 AND subject = $3
"""


async def _locked(
    conn: Any, parked_id: int, seen: datetime | None, *, retrying: bool = False
) -> Any:
    """The event under its key's lock, which nobody tried or decided on since it was `seen`.

    Within a transaction; its caller changes the key. retrying: it is to be tried again, which is
    refused while it is. (Skipped it may be even then: it may be what kills the process.) Raises
    CannotRedrive.
    """
    row = await _event(conn, parked_id)
    where = (row["consumer"], row["topic"], row["subject"])
    before = await conn.fetchrow(_KEY, *where)  # without the lock: what there is to see just now
    if before is None:
        raise _gone(parked_id)
    key = await conn.fetchrow(f"{_KEY} FOR UPDATE", *where)
    if key is None:
        raise _gone(parked_id)
    row = await _event(conn, parked_id)  # another operator may have been quicker
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
        row = await _locked(conn, parked_id, seen, retrying=True)
        await conn.execute(_TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await _audit(conn, who, "retry", _what(row), why)


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
        row = await _locked(conn, parked_id, seen)
        if row["sequence"] is not None and row["source"] != "?":
            await _skip_number(conn, row)
        else:
            await _must_be_first(conn, row)
        await _keep_skipped(conn, row, who, why)
        if _partner_of(row) is None:
            await conn.execute("DELETE FROM messaging.parked_event WHERE id = $1", parked_id)
        else:  # the running service has the words for its answer
            await conn.execute(
                "UPDATE messaging.parked_event SET left_out = true WHERE id = $1", parked_id
            )
        await conn.execute(_TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await _audit(conn, who, "skip", _what(row), why)


async def _must_be_first(conn: Any, row: Any) -> None:
    first = await conn.fetchval(
        "SELECT min(id) FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3",
        row["consumer"], row["topic"], row["subject"],
    )  # fmt: skip
    if first != row["id"]:
        raise CannotRedrive(f"{row['id']} waits behind {first}: begin with that one", "order")


async def _keep_skipped(conn: Any, row: Any, who: str, why: str) -> None:
    await conn.execute(
        "INSERT INTO messaging.skipped_event (consumer, topic, event_id, subject, who, why)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        row["consumer"].partition("@")[0], row["topic"], row["event_id"], row["subject"], who, why,
    )  # fmt: skip


def _partner_of(row: Any) -> str | None:
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


Payloads = Mapping[str, type[BaseModel]]


def partner_payloads() -> Payloads:
    """{type: payload} of everything that a partner may send."""
    return {payload.type: payload for partner in PARTNERS for payload in partner.sends}


def edited(body: bytes, changes: Mapping[str, Any], drops: Sequence[str] = ()) -> bytes:
    """A JSON body with some places changed or left out, unseen by who edits.

    changes: {JSON pointer: new value}. Raises CannotRedrive for a place that is not there.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise CannotRedrive("the body is no JSON: give a whole one") from None
    for pointer, value in changes.items():
        holder, last = _place(document, pointer)
        if isinstance(holder, list) and isinstance(last, int) and last == len(holder):
            holder.append(value)
        else:
            holder[last] = value
    for pointer in drops:
        holder, last = _place(document, pointer)
        if isinstance(holder, dict) and last not in holder:
            raise CannotRedrive(f"there is no {pointer}")
        del holder[last]
    return json.dumps(document, ensure_ascii=False).encode()


def _place(document: Any, pointer: str) -> tuple[Any, Any]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]
    if len(parts) < 2 or parts[0]:
        raise CannotRedrive(f"{pointer!r} is no JSON pointer, such as /documents/0/item")
    holder = document
    for part in parts[1:-1]:
        try:
            holder = holder[int(part) if isinstance(holder, list) else part]
        except (LookupError, ValueError, TypeError):
            raise CannotRedrive(f"there is no {pointer}") from None
    last: Any = parts[-1]
    if isinstance(holder, list):
        last = int(last) if last.isdecimal() and int(last) <= len(holder) else None
    elif not isinstance(holder, dict):
        last = None
    if last is None:
        raise CannotRedrive(f"there is no {pointer}")
    return holder, last


async def body_of(conn: Any, parked_id: int) -> bytes:
    """The payload as the partner sent it, to be edited and never shown."""
    row = await _event(conn, parked_id)
    return thaw(row).body


async def repair_parked(
    conn: Any,
    parked_id: int,
    body: bytes,
    *,
    who: str,
    why: str,
    service: str = "intake",
    payloads: Payloads | None = None,
    seen: datetime | None = None,
    dry_run: bool = False,
) -> str:
    """Put an event of ours in the place of a partner's that our code fails on; returns its new id.

    Only the first that waits of a partner's key, and only a body that the schema of its type
    allows. The new event is the service's own (`source`, a new id), names the partner's by
    `causationid`, and stands in the same place of the queue, so that the order is kept; it is never
    written to the partner's topic, where the partner alone speaks. The partner's is kept as it
    came, counts as skipped with the reason, and counts as answered should it be sent again; the
    answer names it and says `repaired_by`. One transaction. Raises CannotRedrive.
    """
    if not why.strip():
        raise CannotRedrive("repairing needs a reason")
    async with conn.transaction():
        row = await _locked(conn, parked_id, seen)
        partner = _partner_of(row)
        event = thaw(row)
        if partner is None or event.envelope is None:
            raise CannotRedrive(
                "only a partner's event can be repaired: for one of ours its publisher sends a"
                " correction"
            )
        if row["repairs"]:
            raise CannotRedrive(f"{parked_id} was repaired already: skip it, or mend what fails")
        await _must_be_first(conn, row)
        _validate(event.type, body, payloads or partner_payloads())
        old = event.envelope
        envelope = Envelope(
            id=new_id(),
            type=old.type,
            source=source(service),
            subject=old.subject or event.subject,
            time=old.time,
            recorded_time=datetime.now(UTC),
            causation_id=old.id,
            correlation_id=old.correlation_id or old.id,
            traceparent=old.traceparent,
        )
        if dry_run:
            return envelope.id
        await _keep_skipped(conn, row, who, why)
        await conn.execute(
            "INSERT INTO messaging.repaired_event (event_id, consumer, topic, subject, repaired_id,"
            " headers, body, who, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            envelope.id, row["consumer"], row["topic"], row["subject"], old.id, row["headers"],
            row["body"], who, why,
        )  # fmt: skip
        await conn.execute(
            "INSERT INTO messaging.inbound_event (partner, event_id, digest)"
            " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            partner, old.id, hashlib.sha256(event.body).hexdigest(),
        )  # fmt: skip
        await conn.execute(
            "UPDATE messaging.parked_event SET source = $2, event_id = $3, headers = $4, body = $5,"
            " repairs = $6, failed = false, copied = false, tries = 0, first_tried = NULL"
            " WHERE id = $1",
            parked_id, envelope.source, envelope.id, freeze_headers(encode(envelope)), body, old.id,
        )  # fmt: skip
        await conn.execute(_TRY_NOW, row["consumer"], row["topic"], row["subject"])
        await _audit(conn, who, "repair", f"{_what(row)} by {envelope.id}", why)
        return envelope.id


def _validate(event_type: str, body: bytes, payloads: Payloads) -> None:
    payload = payloads.get(event_type)
    if payload is None:
        raise CannotRedrive(f"no schema is known of {event_type}")
    try:
        payload.model_validate_json(body)
    except ValidationError as error:
        raise CannotRedrive(f"the schema forbids it: {one_line(error)}") from None


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
        await _audit(conn, who, "retry", f"{reference} {work.name} {work.subject}", why)


Waiting = ParkedKey | FailedWork
Action = Literal["retry", "skip"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many. refused: why nothing was done, or ""."""

    item: Waiting
    refused: str = ""


async def select_waiting(
    conn: Any, which: Selection, kind: str = "event", *, limit: int = MOST
) -> list[Waiting]:
    """What a bulk would be about: events, calls or deadlines (`kind`), oldest first."""
    if kind == "event":
        return list(await list_parked(conn, which, limit=limit))
    return [work for work in await list_failed(conn, which, limit=limit) if work.kind == kind]


def objection(item: Waiting, action: Action) -> str:
    """Why the action could not be done to it as it stands; "" if it could."""
    if isinstance(item, FailedWork):
        return "" if action == "retry" else "only an event can be skipped"
    if item.state == "gap":
        return f"{item.reason}: retrying or skipping does not bring it"
    return ""


async def redrive_many(
    conn: Any,
    items: Sequence[Waiting],
    action: Action,
    *,
    who: str,
    why: str,
    per_second: float = PER_SECOND,
) -> AsyncIterator[Outcome]:
    """Retry or skip each as it was selected, at most `per_second` a second, each audited by itself.

    What has changed since, because another operator or the service was quicker, is left alone.
    """
    if action == "skip" and not why.strip():
        raise CannotRedrive("skipping needs a reason", "reason")
    begun = time.monotonic()
    for place, item in enumerate(items):
        ahead = place / per_second - (time.monotonic() - begun)
        if ahead > 0:
            await asyncio.sleep(ahead)
        refused = objection(item, action)
        if not refused:
            try:
                await _redrive_one(conn, item, action, who, why)
            except CannotRedrive as refusal:
                refused = str(refusal)
        yield Outcome(item, refused)


async def _redrive_one(conn: Any, item: Waiting, action: Action, who: str, why: str) -> None:
    if isinstance(item, FailedWork):
        await retry_failed(conn, item.reference, who=who, why=why)
    elif action == "retry":
        await retry_parked(conn, item.id, who=who, why=why, seen=item.last_tried)
    else:
        await skip_parked(conn, item.id, who=who, why=why, seen=item.last_tried)


@dataclass(frozen=True, slots=True)
class HaltedConsumer:
    """A consumer that stopped because too many events failed; since: machine time."""

    consumer: str
    reason: str
    since: datetime


async def list_halted(conn: Any) -> list[HaltedConsumer]:
    """Consumers that wait to be resumed, the longest first."""
    rows = await conn.fetch(
        "SELECT consumer, reason, halted_at FROM messaging.halted_consumer ORDER BY halted_at"
    )
    return [HaltedConsumer(*row) for row in rows]


async def resume_consumer(conn: Any, consumer: str, *, who: str, why: str) -> None:
    """Have every process of the service go on with it, from where it stopped.

    What was parked before it stopped stays parked. Raises CannotRedrive if it has not stopped.
    """
    async with conn.transaction():
        reason = await conn.fetchval(
            "DELETE FROM messaging.halted_consumer WHERE consumer = $1 RETURNING reason", consumer
        )
        if reason is None:
            raise CannotRedrive(f"{consumer} has not stopped", "gone")
        await _audit(conn, who, "resume", f"{consumer} {reason}", why)


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided: action, about what, and why; at: machine time."""

    at: datetime
    who: str
    action: str
    what: str
    why: str


async def list_decisions(conn: Any, *, limit: int = 20) -> list[Decision]:
    """The latest decisions, newest first."""
    rows = await conn.fetch(
        "SELECT at, who, action, what, why FROM messaging.audit ORDER BY id DESC LIMIT $1", limit
    )
    return [Decision(*row) for row in rows]


async def count_waiting(conn: Any) -> dict[str, int]:
    """{event | call | deadline | consumer: how many wait for an operator}; events: failed keys."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM messaging.blocked_key WHERE state <> 'retry') AS event,
            (SELECT count(*) FROM messaging.call WHERE state = 'failed') AS call,
            (SELECT count(*) FROM messaging.deadline WHERE attempts >= $1) AS deadline,
            (SELECT count(*) FROM messaging.halted_consumer) AS consumer
        """,
        ATTEMPTS,
    )
    return dict(row)


async def _event(conn: Any, parked_id: int) -> Any:
    row = await conn.fetchrow("SELECT * FROM messaging.parked_event WHERE id = $1", parked_id)
    if row is None:
        raise _gone(parked_id)
    return row


def _what(row: Any) -> str:
    return f"{row['consumer']} {row['topic']} {row['subject']} {row['event_id']}"


async def _audit(conn: Any, who: str, action: str, what: str, why: str) -> None:
    await conn.execute(
        "INSERT INTO messaging.audit (who, action, what, why) VALUES ($1, $2, $3, $4)",
        who, action, what, why,
    )  # fmt: skip
