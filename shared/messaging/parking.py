"""Events that wait: a failed one blocks its own key only, later ones of that key wait behind it.

The state lives in PostgreSQL; a copy of each failed event goes to `<group>.dead-letters` for the
operators' eyes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from asyncpg import Record

from shared.events.envelope import Envelope, EnvelopeError, decode, is_attribute
from shared.messaging import metrics
from shared.messaging.effects import Connection
from shared.messaging.errors import is_infrastructure, never_mends, one_line

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.5  # before the second attempt; doubled each time, with jitter
RETRY_MAX_SECONDS = 60.0
COPY_SECONDS = 10.0  # for one copy to the dead-letter topic
_HEX_KEY = 100  # bytes of an odd key that are shown; a longer one goes by its digest
RETRIES = 20  # keys that are tried one after another before the loop looks up
KILLED = "stopped the process while it was applied"
STARTS = 3  # a record that was begun so often without an end kills the process: park it


# Moments are kept by the database's clock, which may be set back. A moment that lies farther ahead
# than any wait of ours says that it was, and counts as come: nothing may hang for as long as that.
FARTHEST = 80  # seconds; the longest back-off with its jitter, and more than a claim's 30


def come(moment: str, more: str = "0") -> str:
    """SQL that is true once a moment has come. more: SQL, seconds that it may lie ahead besides."""
    return (
        f"{moment} NOT BETWEEN clock_timestamp()"
        f" AND clock_timestamp() + make_interval(secs => {FARTHEST} + {more})"
    )


def backoff(attempts: int, first: float = RETRY_SECONDS, most: float = RETRY_MAX_SECONDS) -> float:
    """Seconds to wait after the given number of attempts, with jitter of ±25 %."""
    return min(first * 2.0 ** max(attempts - 1, 0), most) * random.uniform(0.75, 1.25)  # noqa: S311


@dataclass(slots=True)
class Arrived:
    """A record as it came, and what could be read of it.

    subject: the Kafka key as text, because order is kept by key; a name for it where the key is
    nothing that a subject may be. envelope: None where `problem` says why not. body: the payload's
    bytes. repairs: id of the partner's event whose place an operator gave to this one, or "".
    left_out: a partner's event that an operator skipped; it is answered and not taken.
    """

    topic: str
    part: int
    offset: int
    stamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None
    subject: str = ""
    envelope: Envelope | None = None
    body: bytes = b""
    problem: str = ""
    repairs: str = ""
    left_out: bool = False

    @property
    def renamed(self) -> bool:
        """True if the key is nothing that a subject may be, and goes by another name."""
        return self.subject.encode() != (self.key or b"")

    @property
    def source(self) -> str:
        return self.envelope.source if self.envelope else "?"

    @property
    def sequence(self) -> int | None:
        # the number of a record with a problem is nothing that a cursor may ever be moved by
        return self.envelope.sequence if self.envelope and not self.problem else None

    @property
    def event_id(self) -> str:
        if self.envelope:
            return self.envelope.id
        return f"{self.topic}/{self.part}/{self.offset}"

    @property
    def type(self) -> str:
        return self.envelope.type if self.envelope else "?"


def arrived(record: Any) -> Arrived:
    """Read a Kafka record's envelope; nothing in a record can make this raise."""
    item = Arrived(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp or 0,
        record.key,
        record.headers,
        record.value,
    )
    _read(item)
    return item


def _read(item: Arrived) -> None:
    item.subject = _subject(item.key or b"")
    try:
        item.envelope, item.body = decode(item.headers, item.value)
    except EnvelopeError as error:
        item.problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, a record must not stop its topic
        item.problem = f"unreadable at record: {type(error).__name__}"


def _subject(key: bytes) -> str:
    """The key as a subject that can be stored and sent; one that cannot must still be one key."""
    try:
        text = key.decode()
        if not text or is_attribute(text):
            return text
    except UnicodeDecodeError:
        pass
    return (
        f"hex:{key.hex()}" if len(key) <= _HEX_KEY else f"sha256:{hashlib.sha256(key).hexdigest()}"
    )


def thaw(row: Record) -> Arrived:
    """A parked record, as it came."""
    headers = [
        (name, None if value is None else base64.b64decode(value))
        for name, value in json.loads(row["headers"])
    ]
    item = Arrived(
        row["topic"], row["part"], row["kafka_offset"], row["stamp"], row["key"], headers,
        row["body"], repairs=row["repairs"] or "", left_out=row["left_out"],
    )  # fmt: skip
    _read(item)
    return item


class Reader(Protocol):
    """What parking needs of a consumer: how to apply one event in a savepoint of its own."""

    name: str
    attempts: int

    async def apply_one(self, conn: Connection, event: Arrived, now: datetime) -> None:
        """Apply and move the cursor, or raise."""
        ...

    def next_of(
        self, waiting: list[tuple[int, Arrived]], cursors: dict[str, int]
    ) -> tuple[int, Arrived] | None:
        """The waiting event that is to be applied first; None if an earlier one is missing."""
        ...

    def is_done(self, event: Arrived, cursors: dict[str, int]) -> bool:
        """True if the event was applied or skipped before."""
        ...


@dataclass(slots=True)
class Parked:
    """An event on its way into the parking lot. state is "" if it only waits behind another."""

    event: Arrived
    state: str
    reason: str
    attempts: int = 0


_PARK = """
INSERT INTO messaging.parked_event
    (consumer, topic, subject, source, sequence, event_id, type, part, kafka_offset, key, headers,
     body, stamp, failed, first_tried, tries)
SELECT $1, e.*, CASE WHEN e.failed THEN now() END, e.failed::int
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
    $8::int[], $9::bigint[], $10::bytea[], $11::text[], $12::bytea[], $13::bigint[], $14::bool[])
    AS e (topic, subject, source, sequence, event_id, type, part, kafka_offset, key, headers,
    body, stamp, failed)
ON CONFLICT DO NOTHING
"""

_BLOCK = """
INSERT INTO messaging.blocked_key
    (consumer, topic, subject, state, reason, attempts, retry_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))
ON CONFLICT (consumer, topic, subject) DO UPDATE
    SET state = excluded.state, reason = excluded.reason, attempts = excluded.attempts,
        retry_at = excluded.retry_at, last_tried = now()
"""


async def park(conn: Connection, consumer: str, items: Sequence[Parked]) -> None:
    """Put events into the lot, in order of arrival, and block the keys of those that failed."""
    if not items:
        return
    events = [item.event for item in items]
    await conn.execute(
        _PARK,
        consumer,
        [e.topic for e in events],
        [e.subject for e in events],
        [e.source for e in events],
        [e.sequence for e in events],
        [e.event_id for e in events],
        [e.type for e in events],
        [e.part for e in events],
        [e.offset for e in events],
        [e.key for e in events],
        [freeze_headers(e.headers) for e in events],
        [e.value for e in events],
        [e.stamp for e in events],
        [item.state not in ("", "gap") for item in items],
    )
    for item in items:
        if item.state:
            await block(conn, consumer, item.event, item.state, item.reason, item.attempts)


def freeze_headers(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Headers as JSON; values in base64, because they may be anything."""
    return json.dumps(
        [[n, None if v is None else base64.b64encode(v).decode()] for n, v in headers]
    ).replace("\\u0000", "\\ufffd")


async def block(
    conn: Connection, consumer: str, event: Arrived, state: str, reason: str, attempts: int
) -> None:
    """Block the event's key: `retry` comes back by itself, `gap` and `parked` do not."""
    wait = backoff(attempts) if state == "retry" else None
    await conn.execute(_BLOCK, consumer, event.topic, event.subject, state, reason, attempts, wait)
    log.warning(
        "key blocked", consumer=consumer, subject=event.subject, state=state, reason=reason,
        event_id=event.event_id, attempts=attempts,
    )  # fmt: skip


def verdict(error: BaseException, attempts: int, allowed: int) -> str:
    """What becomes of a failed event: `retry`, or `parked` for good."""
    return "parked" if never_mends(error) or attempts >= allowed else "retry"


async def drain(conn: Connection, reader: Reader, topic: str, subject: str, now: datetime) -> None:
    """Apply what waits for a key, in order, until nothing is left or the next one cannot.

    Runs in the caller's transaction, each event in a savepoint of its own.
    """
    head = await conn.fetchrow(
        "SELECT attempts FROM messaging.blocked_key"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 FOR UPDATE",
        reader.name, topic, subject,
    )  # fmt: skip
    if head is None:
        return
    attempts: int = head["attempts"]
    rows = await conn.fetch(
        "SELECT * FROM messaging.parked_event"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3 ORDER BY id",
        reader.name, topic, subject,
    )  # fmt: skip
    waiting = [(row["id"], thaw(row)) for row in rows]
    while waiting:
        cursors = await read_cursors(conn, reader.name, topic, subject)
        done = [key for key, event in waiting if reader.is_done(event, cursors)]
        if done:
            await _take_out(conn, done)
            waiting = [item for item in waiting if item[0] not in done]
            continue
        following = reader.next_of(waiting, cursors)
        if following is None:
            first = waiting[0][1]
            await block(conn, reader.name, first, "gap", gap_reason(first, cursors), 0)
            return
        key, event = following
        try:
            async with conn.transaction():
                await reader.apply_one(conn, event, now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            # `attempts` was counted before this attempt began; a follower failing is its first
            tried = max(attempts, 1)
            state = verdict(error, tried, reader.attempts)
            await conn.execute(_FAILED, key)
            await block(conn, reader.name, event, state, one_line(error), tried)
            return
        await _take_out(conn, [key])
        waiting = [item for item in waiting if item[0] != key]
        metrics.EVENTS.labels(reader.name, "applied").inc()
        attempts = 0
    await conn.execute(
        "DELETE FROM messaging.blocked_key WHERE consumer = $1 AND topic = $2 AND subject = $3",
        reader.name, topic, subject,
    )  # fmt: skip
    log.info("key flows again", consumer=reader.name, subject=subject)


def gap_reason(event: Arrived, cursors: dict[str, int]) -> str:
    """In words, which event is missing."""
    return (
        f"number {cursors.get(event.source, 0) + 1} of {event.source} is missing;"
        f" {event.sequence} arrived"
    )


async def read_cursors(conn: Connection, consumer: str, topic: str, subject: str) -> dict[str, int]:
    """{source: last applied sequence} of one key."""
    rows = await conn.fetch(
        "SELECT source, sequence FROM messaging.cursor"
        " WHERE consumer = $1 AND topic = $2 AND subject = $3",
        consumer, topic, subject,
    )  # fmt: skip
    return {row["source"]: row["sequence"] for row in rows}


async def _take_out(conn: Connection, ids: Sequence[int]) -> None:
    await conn.execute("DELETE FROM messaging.parked_event WHERE id = ANY ($1::bigint[])", ids)


_FAILED = """
UPDATE messaging.parked_event
SET failed = true, tries = tries + 1, first_tried = coalesce(first_tried, now())
WHERE id = $1
"""

_CLAIM_RETRY = f"""
UPDATE messaging.blocked_key b
SET attempts = b.attempts + 1, last_tried = now(),
    -- should this process die of it, the attempt is counted and the next one waits
    retry_at = clock_timestamp() + make_interval(secs => 30)
FROM (
    SELECT consumer, topic, subject FROM messaging.blocked_key
    WHERE {come("retry_at")} AND consumer = ANY ($1::text[])
    ORDER BY retry_at LIMIT 1 FOR UPDATE SKIP LOCKED
) due
WHERE b.consumer = due.consumer AND b.topic = due.topic AND b.subject = due.subject
RETURNING b.consumer, b.topic, b.subject, b.attempts
"""  # noqa: S608 - constants of ours

_TAKE_BACK = """
UPDATE messaging.blocked_key SET attempts = attempts - 1
WHERE consumer = $1 AND topic = $2 AND subject = $3 AND attempts >= $4
"""

_UNCOPIED = """
SELECT e.*, b.reason FROM messaging.parked_event e
LEFT JOIN messaging.blocked_key b USING (consumer, topic, subject)
WHERE e.failed AND NOT e.copied AND e.consumer = ANY ($1::text[]) ORDER BY e.id LIMIT 50
"""


class ParkingLot:
    """Background work of a service: retries that are due, copies to the dead-letter topics.

    refused: says of a consumer why it may not apply anything now, or "".
    """

    def __init__(
        self,
        pool: Any,
        readers: Sequence[Reader],
        clock: Any,
        wake: Any,
        send: Any,
        refused: Callable[[str], str],
    ) -> None:
        self._pool = pool
        self._readers = {reader.name: reader for reader in readers}
        self._clock = clock
        self._wake = wake
        self._send = send
        self._refused = refused
        self._trouble: dict[str, str] = {}
        self._owed: list[Record] = []  # attempts that were counted and were none

    async def run(self) -> None:
        """Until cancelled. Two loops: a broker that is away must not hold up retries."""
        await asyncio.gather(self._repeat("retry", self._retry), self._repeat("copy", self._copy))

    async def _repeat(self, what: str, work: Callable[[], Awaitable[int]]) -> None:
        delay = 0.1
        while True:
            try:
                delay = 0.02 if await work() else 0.2
                self._trouble.pop(what, None)
            except Exception as error:  # noqa: BLE001 - database or broker away: try again later
                self._trouble[what] = one_line(error)
                metrics.BACKOFF.labels(f"parking {what}").inc()
                delay = min(delay * 2, 5.0)
            await asyncio.sleep(delay)

    @property
    def state(self) -> str:
        """ "" or what is wrong, in one line."""
        return "; ".join(f"{what}: {error}" for what, error in self._trouble.items())

    async def _retry(self) -> int:
        while self._owed:
            await self._pool.execute(_TAKE_BACK, *self._owed[-1].values())
            self._owed.pop()
        for done in range(RETRIES):
            running = [name for name in self._readers if not self._refused(name)]
            row = await self._pool.fetchrow(_CLAIM_RETRY, running)
            if row is None:
                return done
            try:
                await self._try_again(row)
            except Exception as error:
                if is_infrastructure(error):
                    # it was not this event, and this process lives to take the attempt back
                    self._owed.append(row)
                raise
        return RETRIES

    async def _try_again(self, row: Record) -> None:
        reader = self._readers[row["consumer"]]
        if row["attempts"] > reader.attempts + STARTS:
            # counted before each attempt, and none ever came back: it kills the process
            await self._pool.execute(
                "UPDATE messaging.blocked_key SET state = 'parked', retry_at = NULL,"
                " reason = $4 WHERE consumer = $1 AND topic = $2 AND subject = $3",
                row["consumer"], row["topic"], row["subject"], KILLED,
            )  # fmt: skip
            return
        async with self._pool.acquire() as conn, conn.transaction():
            await drain(conn, reader, row["topic"], row["subject"], self._clock.now())
        self._wake()

    async def _copy(self) -> int:
        rows = await self._pool.fetch(_UNCOPIED, list(self._readers))
        failure: Exception | None = None
        for row in rows:
            event = thaw(row)
            # a rebuild (`@2`) has no topic of its own: Kafka's names hold no @
            topic = f"{row['consumer'].partition('@')[0]}.dead-letters"
            extra = {
                "banka-consumer": row["consumer"],
                "banka-reason": row["reason"] or "",
                "banka-topic": row["topic"],
                "banka-partition": str(row["part"]),
                "banka-offset": str(row["kafka_offset"]),
            }
            headers = [(n, v if v is not None else b"") for n, v in event.headers]
            headers += [(name, text.encode()) for name, text in extra.items()]
            try:
                async with asyncio.timeout(COPY_SECONDS):
                    await self._send(topic, event.key, event.value, headers)
            except TimeoutError:
                raise  # the broker is away: no other copy would go either
            except Exception as error:  # noqa: BLE001 - this one's own: the next may still go
                failure = error
                continue
            await self._pool.execute(
                "UPDATE messaging.parked_event SET copied = true WHERE id = $1", row["id"]
            )
        if failure is not None:
            raise failure
        return len(rows)
