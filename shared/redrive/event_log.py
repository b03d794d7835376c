"""The event log against its topics: what one has and the other lacks, and the cure.

The log is the owner's copy for ever of all that it published; a topic is repaired from it with the
same bytes, and readers drop what they know. Behind `banka events verify` and `republish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.messaging.broker import connection, fetch_cluster, read_events, take
from shared.messaging.outbox import partition_of
from shared.redrive.selection import CannotRedrive, audit

if TYPE_CHECKING:
    from shared.settings import Settings


@dataclass(slots=True)
class Comparison:
    """One topic and its publisher's log.

    logged: facts in the log that are not waiting in the outbox. published: the publisher's events
    on the topic, repetitions counted once. lacking: (subject, number) of what the topic lacks.
    unknown: the same of what the log does not know: the database is older than the broker.
    """

    topic: str
    logged: int = 0
    published: int = 0
    lacking: list[tuple[str, int]] = field(default_factory=list)
    unknown: list[tuple[str, int | None]] = field(default_factory=list)

    @property
    def agree(self) -> bool:
        return not self.lacking and not self.unknown


async def verify(
    conn: Any,
    settings: Settings,
    source: str,
    topics: Sequence[str],
    subject: str | None = None,
) -> list[Comparison]:
    """Hold topics against the log of the service whose events carry `source`.

    May run beside the service. Reads the topics from their first event on. Raises CannotRedrive
    for a topic that is not on the broker.
    """
    known = (await fetch_cluster(settings)).topics
    if absent := sorted(set(topics) - known.keys()):
        raise CannotRedrive(f"no topic {absent[0]} on the broker that {settings.service} may see")
    consumer = AIOKafkaConsumer(
        **connection(settings), client_id="banka-verify", enable_auto_commit=False
    )
    await consumer.start()
    try:
        return [
            await _compare(conn, consumer, source, topic, known[topic].partitions, subject)
            for topic in topics
        ]
    finally:
        await consumer.stop()


async def _compare(
    conn: Any, consumer: Any, source: str, topic: str, partitions: int, subject: str | None
) -> Comparison:
    # the log first: whatever it calls published now lies before the ends that are asked for next
    rows = await conn.fetch(
        "SELECT l.id::text, l.subject, l.sequence FROM messaging.event_log l"
        " WHERE l.topic = $1 AND ($2::text IS NULL OR l.subject = $2) AND NOT EXISTS"
        " (SELECT 1 FROM messaging.outbox o WHERE o.position = l.position)"
        " ORDER BY l.position",
        topic, subject,
    )  # fmt: skip
    lacking = {row["id"]: (row["subject"], row["sequence"]) for row in rows}
    logged = set(lacking)
    others: dict[str, tuple[str, int | None]] = {}
    parts = range(partitions) if subject is None else [partition_of(subject, partitions)]
    places = [TopicPartition(topic, part) for part in parts]
    begins, ends = await take(consumer, places)
    async for _, event in read_events(consumer, begins, ends):
        if event.source == source and subject in (None, event.subject):
            lacking.pop(event.id, None)
            if event.id not in logged:
                others[event.id] = (event.subject, event.sequence)
    # others may have been on their way to the topic when the log was read
    later = await conn.fetch(
        "SELECT id::text FROM messaging.event_log WHERE topic = $1 AND id::text = ANY ($2::text[])",
        topic, list(others),
    )  # fmt: skip
    found = {row["id"] for row in later}
    return Comparison(
        topic,
        len(logged),
        len(logged) - len(lacking) + len(others),
        list(lacking.values()),
        [place for event_id, place in others.items() if event_id not in found],
    )


_COUNT_AGAIN = """
SELECT topic, count(*) FROM messaging.event_log l
WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR subject = $2)
    AND NOT EXISTS (SELECT 1 FROM messaging.outbox o WHERE o.position = l.position)
GROUP BY topic ORDER BY topic
"""

_SEND_AGAIN = """
WITH again AS (
    INSERT INTO messaging.outbox (position, topic, part)
    SELECT position, topic, part FROM messaging.event_log
    WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR subject = $2)
    ON CONFLICT (position) DO NOTHING RETURNING topic
)
SELECT topic, count(*) FROM again GROUP BY topic ORDER BY topic
"""


async def republish(
    conn: Any,
    topic: str | None = None,
    subject: str | None = None,
    *,
    who: str,
    why: str,
    dry_run: bool = False,
) -> dict[str, int]:
    """Have the running service send facts once more, in order, same bytes; returns {topic: facts}.

    The cure for a gap; run it at the publisher's database. Without topic or subject: of all of
    them. dry_run: only count.
    """
    if dry_run:
        rows = await conn.fetch(_COUNT_AGAIN, topic, subject)
        return {row["topic"]: row["count"] for row in rows}
    async with conn.transaction():
        rows = await conn.fetch(_SEND_AGAIN, topic, subject)
        what = f"{topic or 'every topic'} {subject or 'every subject'}"
        await audit(conn, who, "republish", what, why)
    return {row["topic"]: row["count"] for row in rows}
