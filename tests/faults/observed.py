"""What lies in the four databases and on the topics, read raw, as plain data for the checker."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from deploy.local import Stack
from shared.events.envelope import EnvelopeError, Headers, decode, rfc3339
from shared.messaging import relay
from tests.faults.office import STAGES, Names

_SECONDS = 20.0
_OURS = "banka-"  # the headers that a dead letter has besides the record's own
Sorted = tuple[tuple[str, bytes | None], ...]
"""A record's headers by their names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact in a service's event log. source: `/banka/<service>`. headers: what its record has to
    carry."""

    source: str
    position: int
    topic: str
    subject: str
    sequence: int
    event_id: str
    type: str
    version: int | None
    body: bytes
    pending: bool = False
    headers: Sorted = ()


@dataclass(frozen=True, slots=True)
class OnTopic:
    """A record on Kafka. event_id: "" where it is no event."""

    topic: str
    part: int
    offset: int
    subject: str
    source: str
    sequence: int | None
    event_id: str
    type: str
    version: int | None
    body: bytes
    headers: Sorted = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A copy on a group's dead-letter topic, of the record at `place`."""

    consumer: str
    place: tuple[str, int, int]
    body: bytes
    headers: Sorted


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of a service's journal, in the order in which it was written."""

    topic: str
    subject: str
    source: str
    sequence: int
    event_id: str
    version: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A parked event. state, reason: of its key, "" if nothing blocks it. failed: it is not only
    waiting behind another."""

    consumer: str
    topic: str
    part: int
    offset: int
    subject: str
    source: str
    sequence: int | None
    event_id: str
    body: bytes | None
    state: str = ""
    reason: str = ""
    headers: Sorted = ()
    failed: bool = False


@dataclass(slots=True)
class Database:
    """What one service's database says."""

    stage: str
    log: list[Entry] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    skipped: set[tuple[str, str]] = field(default_factory=set)  # (consumer, event id)
    audited: set[str] = field(default_factory=set)  # event ids named in the audit
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    cursors: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    states: dict[str, tuple[str, int]] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    open_calls: int = 0
    holders: dict[int, int] = field(default_factory=dict)  # {shard: relays that hold it}
    seen: dict[str, int] = field(default_factory=dict)  # {partner's event id: its answers}


@dataclass(slots=True)
class Observed:
    """The whole office at rest."""

    databases: dict[str, Database] = field(default_factory=dict)
    topics: dict[str, list[OnTopic]] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)


async def observe(stack: Stack, names: Names) -> Observed:
    """Read everything."""
    found = Observed()
    for number, stage in enumerate(STAGES):
        url = stack.superuser_url(f"banka_{names.tag}_{number}")
        found.databases[stage] = await _read_database(url, stage)
    topics = [names.topic(name) for name in ("applications", "contacts", "outbound", "inbound")]
    for message in await asyncio.to_thread(_read_topics, stack, topics, found.ends):
        record = _record(message)
        found.topics.setdefault(record.topic, []).append(record)
    for records in found.topics.values():
        records.sort(key=lambda record: (record.part, record.offset))
    letters = await asyncio.to_thread(_read_topics, stack, names.dead_letters(), {})
    found.dead = [_dead_letter(message) for message in letters]
    return found


async def _read_database(url: str, stage: str) -> Database:
    found, source = Database(stage), f"/banka/{stage}"
    conn = await asyncpg.connect(url)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            found.log = [
                Entry(
                    source, r["position"], r["topic"], r["subject"], r["sequence"], str(r["id"]),
                    r["type"], r["version"], r["body"], r["pending"], _headers_of(source, r),
                )
                for r in await conn.fetch(
                    "SELECT l.*, (attributes::json ->> 'stateversion')::int AS version,"
                    " o.position IS NOT NULL AS pending FROM messaging.event_log l"
                    " LEFT JOIN messaging.outbox o USING (position) ORDER BY l.position"
                )
            ]  # fmt: skip
            found.applied = [
                Applied(*r)
                for r in await conn.fetch(
                    "SELECT topic, subject, source, sequence, event_id, version FROM applied"
                    " ORDER BY nth"
                )
            ]
            found.waiting = [
                Waiting(
                    r["consumer"], r["topic"], r["part"], r["kafka_offset"], r["subject"],
                    r["source"], r["sequence"], r["event_id"], r["body"], r["state"] or "",
                    r["reason"] or "", _sorted(_thawed(r["headers"])), r["failed"],
                )
                for r in await conn.fetch(
                    "SELECT e.*, b.state, b.reason FROM messaging.parked_event e"
                    " LEFT JOIN messaging.blocked_key b USING (consumer, topic, subject)"
                    " ORDER BY e.id"
                )
            ]  # fmt: skip
            await _read_places(conn, found)
    finally:
        await conn.close()
    return found


async def _read_places(conn: asyncpg.Connection[Any], found: Database) -> None:
    for r in await conn.fetch("SELECT consumer, event_id FROM messaging.skipped_event"):
        found.skipped.add((r["consumer"], r["event_id"]))
    for r in await conn.fetch("SELECT what FROM messaging.audit WHERE action = 'skip'"):
        found.audited.add(r["what"].rpartition(" ")[2])
    for r in await conn.fetch("SELECT consumer, topic, part, next FROM messaging.consumer_offset"):
        found.offsets[r["consumer"], r["topic"], r["part"]] = r["next"]
    for r in await conn.fetch("SELECT * FROM messaging.cursor"):
        key = (r["consumer"], r["topic"], r["subject"], r["source"])
        found.cursors[key] = r["sequence"]
    for r in await conn.fetch("SELECT * FROM application"):
        found.states[r["application_id"]] = (r["state"], r["version"])
    found.tally = {r["state"]: r["n"] for r in await conn.fetch("SELECT * FROM tally WHERE n <> 0")}
    found.open_calls = await conn.fetchval(
        "SELECT count(*) FROM messaging.call WHERE state <> 'done'"
    )
    for r in await conn.fetch(
        "SELECT objid::int AS shard, count(*) AS n FROM pg_locks"
        " WHERE locktype = 'advisory' AND granted AND classid = $1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " GROUP BY objid",
        relay.LOCK_CLASS,
    ):
        found.holders[r["shard"]] = r["n"]
    for r in await conn.fetch("SELECT event_id, answers FROM messaging.inbound_event"):
        found.seen[r["event_id"]] = len(r["answers"])


def _headers_of(source: str, row: asyncpg.Record) -> Sorted:
    """What a log's entry says that its record has to carry."""
    fields = {
        "specversion": "1.0",
        "id": str(row["id"]),
        "type": row["type"],
        "source": source,
        "subject": row["subject"],
        "recordedtime": rfc3339(row["recorded_at"]),
        "sequence": str(row["sequence"]),
        **json.loads(row["attributes"]),
    }
    known = [
        (f"ce_{name}", str(said).encode()) for name, said in fields.items() if said is not None
    ]
    return _sorted([*known, ("content-type", b"application/json")])


def _thawed(headers: str) -> Headers:
    """As parking keeps them."""
    return [(name, said and base64.b64decode(said)) for name, said in json.loads(headers)]


def _sorted(headers: Headers) -> Sorted:
    return tuple(sorted(headers, key=lambda pair: (pair[0], pair[1] or b"")))


def _read_topics(
    stack: Stack, topics: list[str], ends: dict[tuple[str, int], int]
) -> list[Message]:
    """Every record of the topics; where each partition ends is written into `ends`."""
    found: list[Message] = []
    consumer = Consumer({**stack.kafka_admin(), "group.id": "checker", "enable.auto.commit": False})
    try:
        known = consumer.list_topics(timeout=_SECONDS).topics
        places = [
            TopicPartition(topic, part, OFFSET_BEGINNING)
            for topic in topics
            for part in known[topic].partitions
        ]
        left: dict[tuple[str, int], int] = {}
        for place in places:
            low, high = _range(consumer, place)
            ends[place.topic, place.partition] = high
            if low < high:
                left[place.topic, place.partition] = high
        consumer.assign([p for p in places if (p.topic, p.partition) in left])
        end = time.monotonic() + _SECONDS
        while left:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came of {sorted(left)} for {_SECONDS:.0f} s")
            # it waits until so many are there or the time is over: at the end, the time
            for message in consumer.consume(1000, timeout=0.2):
                end = time.monotonic() + _SECONDS
                if message.error():
                    continue
                found.append(message)
                where = (message.topic(), message.partition())
                if message.offset() >= left.get(where, 0) - 1:
                    left.pop(where, None)
    finally:
        consumer.close()
    return found


def _range(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """First and next offset. A leader that is new tells the next one only when it has caught up."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=_SECONDS)
            return low, high
        except KafkaException:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _dead_letter(message: Message) -> DeadLetter:
    headers = message.headers() or []
    said = {name: text.decode() for name, text in headers if name.startswith(_OURS)}
    place = (said["banka-topic"], int(said["banka-partition"]), int(said["banka-offset"]))
    own = [pair for pair in headers if not pair[0].startswith(_OURS)]
    return DeadLetter(said["banka-consumer"], place, message.value() or b"", _sorted(own))


def _record(message: Message) -> OnTopic:
    place = (message.topic(), message.partition(), message.offset())
    body = message.value() or b""
    key = (message.key() or b"").decode("utf-8", "replace")
    headers = message.headers() or []
    try:
        envelope, data = decode(headers, message.value())
    except (EnvelopeError, UnicodeDecodeError):
        return OnTopic(*place, key, "?", None, "", "?", None, body, _sorted(headers))
    return OnTopic(
        *place, key, envelope.source, envelope.sequence, envelope.id, envelope.type,
        envelope.state_version, data, _sorted(headers),
    )  # fmt: skip
