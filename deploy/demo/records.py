"""What the run left behind, read where it lies: topics as they are, databases as they are.

The reconciliation trusts no service's own counting: records come raw from the broker as its
administrator, rows from each database as its superuser.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.local import Stack
from shared.events import catalog
from shared.events.envelope import Envelope, EnvelopeError, decode
from shared.postgres.pool import database_of

_TIMEOUT = 20.0
_PATIENCE = 0.2
# where each service keeps the state of an application
_STATES = {
    "intake": "SELECT application_id::text, state FROM application",
    "review": "SELECT application_id::text, state FROM review_case",
    "notify": "SELECT application_id::text, state FROM application",
    "reporting": "SELECT application_id::text, state FROM projection.application",
}


@dataclass(frozen=True, slots=True)
class Record:
    """An event on a topic."""

    topic: str
    envelope: Envelope
    data: dict[str, Any]


@dataclass(slots=True)
class Records:
    """Everything that the reconciliation rests on.

    `events` in the order of their partitions, each event once; `repeated`: how often one lay on
    its topic again; `unreadable`: records that are no event, by topic; `states`: {service:
    {application id: state}}; `logs`: {(topic, type): rows of the event logs}; `parked`,
    `dead_letters`: by service and topic; `messages`: rows of notify.
    """

    events: list[Record] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    states: dict[str, dict[str, str | None]] = field(default_factory=dict)
    logs: Counter[tuple[str, str]] = field(default_factory=Counter)
    parked: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    messages: list[dict[str, Any]] = field(default_factory=list)
    declined: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def of(self, topic: str) -> Iterable[Record]:
        return (record for record in self.events if record.topic == topic)


def read_topics(stack: Stack, found: Records) -> None:
    """Every record of every topic, from its beginning to its end as of now."""
    ours = [topic.name for topic in catalog.deployed_topics(stack.partitions)]
    existing = AdminClient(stack.kafka_admin()).list_topics(timeout=_TIMEOUT).topics
    consumer = Consumer(
        {**stack.kafka_admin(), "group.id": "reconciliation", "enable.auto.commit": False,
         "enable.partition.eof": False}
    )  # fmt: skip
    try:
        ends: dict[tuple[str, int], int] = {}
        for name in ours:
            for part in existing[name].partitions if name in existing else ():
                low, high = consumer.get_watermark_offsets(
                    TopicPartition(name, part), timeout=_TIMEOUT
                )
                if high > low:
                    ends[(name, part)] = high
        consumer.assign([TopicPartition(name, part, OFFSET_BEGINNING) for name, part in ends])
        seen: set[tuple[str, str]] = set()
        heard = time.monotonic()
        while ends:
            # it waits for all of so many until the time is over: few, and a short time
            batch = consumer.consume(500, timeout=_PATIENCE)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > _TIMEOUT:
                raise TimeoutError(f"the broker kept back {len(ends)} partitions")
            for message in batch:
                place = (str(message.topic()), int(message.partition()))
                end = ends.get(place)
                if end is None or message.offset() >= end:
                    continue
                if message.offset() == end - 1:
                    del ends[place]
                _keep(message, found, seen)
    finally:
        consumer.close()


def _keep(message: Any, found: Records, seen: set[tuple[str, str]]) -> None:
    topic = str(message.topic())
    if topic.endswith(".dead-letters"):
        found.dead_letters[topic] += 1
        return
    try:
        envelope, body = decode(message.headers() or (), message.value())
        data = json.loads(body)
    except (EnvelopeError, ValueError, RecursionError):
        found.unreadable[topic] += 1
        return
    if (topic, envelope.id) in seen:
        found.repeated[topic] += 1
        return
    seen.add((topic, envelope.id))
    found.events.append(Record(topic, envelope, data if isinstance(data, dict) else {}))


async def read_databases(stack: Stack, found: Records) -> None:
    """What the four services hold."""
    for service in catalog.SERVICES:
        conn = await asyncpg.connect(stack.superuser_url(database_of(service)))
        try:
            rows = await conn.fetch(_STATES[service])
            found.states[service] = {row[0]: row[1] for row in rows}
            for row in await conn.fetch(
                "SELECT topic, type, count(*) AS events FROM messaging.event_log GROUP BY 1, 2"
            ):
                found.logs[(row["topic"], row["type"])] += row["events"]
            found.parked[service] = await conn.fetchval(
                "SELECT (SELECT count(*) FROM messaging.parked_event)"
                " + (SELECT count(*) FROM messaging.call WHERE state = 'failed')"
                " + (SELECT count(*) FROM messaging.outbox)"
            )
            if service == "notify":
                found.messages = [
                    dict(row)
                    for row in await conn.fetch(
                        "SELECT message_id, application_id, number, template, cause_id, channel,"
                        " state, reason, sent_at FROM message ORDER BY number, template, channel"
                    )
                ]
            if service in ("review", "reporting"):
                table, column = (
                    ("review_case", "category")
                    if service == "review"
                    else ("projection.application", "decline_category")
                )
                rows = await conn.fetch(
                    f"SELECT application_id::text, {column} FROM {table}"  # noqa: S608 - ours
                    " WHERE state = 'declined'"
                )
                found.declined[service] = {row[0]: row[1] for row in rows}
        finally:
            await conn.close()


async def read_records(stack: Stack) -> Records:
    """Topics and databases together."""
    found = Records()
    await asyncio.to_thread(read_topics, stack, found)
    await read_databases(stack, found)
    return found
