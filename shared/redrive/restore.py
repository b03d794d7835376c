"""A broker that lost its data gets it back out of the event logs, in order, with the same bytes.

The topics were made anew and are empty; every service refuses them, because what it knows of places
on them is void. Behind `banka events restore`, while no service runs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.messaging.broker import Cluster, connection, fetch_cluster, read_events, take
from shared.messaging.errors import one_line
from shared.messaging.outbox import partition_of
from shared.messaging.relay import (
    ROUND,
    Message,
    build_batch,
    end_producer,
    message,
    new_producer,
)
from shared.redrive.places import be_alone, begin_anew
from shared.redrive.selection import CannotRedrive, audit

if TYPE_CHECKING:
    from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact in a log, as far as its place among those of other logs goes.

    recorded: by that log's database. version: of the subject's state, or None.
    """

    source: str
    topic: str
    subject: str
    recorded: datetime
    version: int | None = None
    row: Any = None


class Order:
    """The order of several logs' facts, put in one at a time by the moment they were recorded.

    Each log's own order holds for each subject. Moments are of several databases' clocks, which may
    differ or have been set back, so they do not decide alone: of a subject that several services
    tell of on one topic, a state's version waits for the one before it.

    shared: topics that several services publish to.
    """

    def __init__(self, shared: frozenset[str]) -> None:
        self._shared = shared
        self._versions: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], list[Entry]] = {}

    def admit(self, entry: Entry) -> Iterator[Entry]:
        """What may go now that this one came, in order."""
        if entry.topic not in self._shared:
            yield entry
            return
        key = (entry.topic, entry.subject)
        waiting = self._waiting.pop(key, [])
        waiting.append(entry)
        while (following := self._following(key, waiting)) is not None:
            waiting.remove(following)
            if following.version is not None:
                self._versions[key] = max(following.version, self._versions.get(key, 0))
            yield following
        if waiting:
            self._waiting[key] = waiting

    def _following(self, key: tuple[str, str], waiting: list[Entry]) -> Entry | None:
        held: set[str] = set()
        for entry in waiting:
            due = entry.version is None or entry.version <= self._versions.get(key, 0) + 1
            if due and entry.source not in held:
                return entry
            held.add(entry.source)
        return None

    def rest(self) -> Iterator[Entry]:
        """What waits for versions that no log has, as it came."""
        for waiting in self._waiting.values():
            yield from waiting
        self._waiting.clear()


async def merged(logs: Mapping[str, AsyncIterator[Entry]]) -> AsyncIterator[Entry]:
    """Several logs as one, by the moments of recording, none of them out of its own order."""
    heads = {name: await anext(log, None) for name, log in logs.items()}
    latest = dict.fromkeys(logs, datetime.min.replace(tzinfo=UTC))

    def moment(name: str) -> tuple[datetime, str]:
        head = heads[name]
        assert head is not None
        return max(latest[name], head.recorded), name

    while open_ := [name for name, head in heads.items() if head is not None]:
        name = min(open_, key=moment)
        head = heads[name]
        assert head is not None
        latest[name] = moment(name)[0]
        yield head
        heads[name] = await anext(logs[name], None)


async def restore(
    conns: Mapping[str, Any], settings: Settings, *, who: str, why: str
) -> dict[str, int]:
    """Publish to topics that were made anew what the logs have, and have every consumer read them
    from the start; returns {topic: facts sent}. Events that were applied are not applied again.

    conns: {service: connection to its database}, every service that publishes or reads. settings:
    of a user who may read and write every topic. May be run again where it was broken off. Raises
    CannotRedrive.
    """
    cluster = await fetch_cluster(settings)
    try:
        for service, conn in conns.items():
            await be_alone(conn, service)
        topics = await _made_anew(conns, cluster)
        sent = await _publish(conns, settings, cluster, topics) if topics else {}
        changed = False
        for service, conn in conns.items():
            await _forget_told(conn, settings, cluster)
            own = {topic for topic, services in topics.items() if service in services}
            async with conn.transaction():
                names = sorted(own | await _begin_anew(conn, cluster))
                if names:
                    changed = True
                    await audit(conn, who, "restore", " ".join(names), why)
        if not changed:
            raise CannotRedrive("every topic is the one that the services know")
        return sent
    finally:
        for conn in conns.values():
            await conn.execute("SELECT pg_advisory_unlock_all()")


_MADE_ANEW = """
SELECT l.topic, p.topic_id FROM (SELECT DISTINCT topic FROM messaging.event_log) l
LEFT JOIN messaging.published_topic p USING (topic)
"""  # without an id: nothing was published yet


async def _made_anew(conns: Mapping[str, Any], cluster: Cluster) -> dict[str, set[str]]:
    """{topic: services that published to it}, of those that are not the ones they know."""
    publishers: dict[str, set[str]] = defaultdict(set)
    anew: set[str] = set()
    for service, conn in conns.items():
        for topic, topic_id in await conn.fetch(_MADE_ANEW):
            if topic not in cluster.topics:
                raise CannotRedrive(f"no topic {topic} on the broker: make it first")
            publishers[topic].add(service)
            if topic_id not in (None, cluster.topics[topic].topic_id):
                anew.add(topic)
    return {topic: publishers[topic] for topic in sorted(anew)}


_ENTRIES = """
SELECT *, (attributes::json ->> 'stateversion')::int AS version FROM messaging.event_log
WHERE topic = ANY ($1::text[]) ORDER BY position
"""


_KNOWN = """
SELECT count(*) FROM messaging.event_log WHERE topic = $1 AND id::text = ANY ($2::text[])
"""


async def _entries(conn: Any, source: str, topics: list[str]) -> AsyncIterator[Entry]:
    async for row in conn.cursor(_ENTRIES, topics, prefetch=ROUND):
        yield Entry(source, row["topic"], row["subject"], row["recorded_at"], row["version"], row)


async def _publish(
    conns: Mapping[str, Any], settings: Settings, cluster: Cluster, topics: dict[str, set[str]]
) -> dict[str, int]:
    there = await _already_there(conns, settings, cluster, topics)
    order = Order(frozenset(topic for topic, services in topics.items() if len(services) > 1))
    sent = dict.fromkeys(topics, 0)
    batch: list[Entry] = []
    producer = new_producer(settings, "banka-restore")
    await producer.start()
    try:
        async with AsyncExitStack() as snapshots:
            for conn in conns.values():
                await snapshots.enter_async_context(
                    conn.transaction(isolation="repeatable_read", readonly=True)
                )
            logs = {
                service: _entries(conn, f"/banka/{service}", list(topics))
                for service, conn in conns.items()
            }
            async for entry in merged(logs):
                batch += [one for one in order.admit(entry) if _lacks(there, one, cluster)]
                if len(batch) >= ROUND:
                    await _send(producer, batch, sent)
                    batch.clear()
            batch += [one for one in order.rest() if _lacks(there, one, cluster)]
            await _send(producer, batch, sent)
    except _Stray as stray:
        await _delete(settings, stray.topic)
        raise CannotRedrive(
            f"{stray.topic} did not begin as the logs do and is deleted, for the logs have all that"
            " was on it: make it (provision), and restore again"
        ) from None
    finally:
        await end_producer(producer)
    return sent


class _Stray(Exception):
    """Somebody published to the topic before it was restored: a send that was under way when the
    broker went, say."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


async def _delete(settings: Settings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**connection(settings), client_id="banka-restore")
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def _already_there(
    conns: Mapping[str, Any], settings: Settings, cluster: Cluster, topics: Mapping[str, set[str]]
) -> dict[tuple[str, int], list[str]]:
    """{(topic, partition): ids}, latest first, of what lies on the topics; all of it is of the
    logs."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    consumer = AIOKafkaConsumer(
        **connection(settings), client_id="banka-restore", enable_auto_commit=False
    )
    await consumer.start()
    try:
        for topic, services in topics.items():
            places = [
                TopicPartition(topic, part) for part in range(cluster.topics[topic].partitions)
            ]
            begins, ends = await take(consumer, places)
            seen: set[str] = set()
            async for place, event in read_events(consumer, begins, ends):
                if event.id not in seen:
                    seen.add(event.id)
                    found[topic, place.partition].append(event.id)
            known = [
                await conns[service].fetchval(_KNOWN, topic, list(seen)) for service in services
            ]
            if sum(known) < len(seen):
                raise CannotRedrive(
                    f"{topic} holds events that no log has: the databases are older than the broker"
                )
    finally:
        await consumer.stop()
    for ids in found.values():
        ids.reverse()
    return found


def _lacks(there: dict[tuple[str, int], list[str]], entry: Entry, cluster: Cluster) -> bool:
    """True if the topic has not got the entry; what it has must be what comes first."""
    row, count = entry.row, cluster.topics[entry.topic].partitions
    if partition_of(entry.subject, count) != row["part"]:
        raise CannotRedrive(f"{entry.topic} had another number of partitions than {count}")
    ids = there.get((entry.topic, row["part"]))
    if not ids:
        return True
    if ids.pop() != str(row["id"]):
        raise _Stray(entry.topic)
    return False


async def _send(producer: Any, batch: list[Entry], sent: dict[str, int]) -> None:
    """Have the broker take all of them, each partition in order."""
    queues: dict[tuple[str, int], list[Message]] = defaultdict(list)
    for entry in batch:
        try:
            record = message(entry.row, entry.source)
        except Exception as error:  # noqa: BLE001 - whatever it is, its log must be mended first
            place = f"position {entry.row['position']} of {entry.source}'s log"
            raise CannotRedrive(f"{place} cannot be published: {one_line(error)}") from None
        queues[entry.topic, entry.row["part"]].append(record)
        sent[entry.topic] += 1
    while queues:
        futures = []
        for (topic, part), queue in list(queues.items()):
            records, fitting = build_batch(producer, queue)
            futures.append(await producer.send_batch(records, topic, partition=part))
            queues[topic, part] = queue[fitting:]
            if not queues[topic, part]:
                del queues[topic, part]
        _, silent = await asyncio.wait(futures, timeout=_ANSWER_SECONDS)
        if silent:
            raise CannotRedrive(
                f"the broker has not taken what was sent within {_ANSWER_SECONDS:.0f} s: look"
                " whether enough of its replicas are in sync, and restore again"
            )
        for future in futures:
            future.result()


_ANSWER_SECONDS = 60.0

_REMEMBER = """
INSERT INTO messaging.published_topic
SELECT known.topic, t.topic_id
FROM (SELECT topic FROM messaging.event_log UNION SELECT topic FROM messaging.published_topic) known
JOIN unnest($1::text[], $2::text[]) AS t (topic, topic_id) USING (topic)
ON CONFLICT (topic) DO UPDATE SET topic_id = excluded.topic_id
"""

_STALE = """
SELECT DISTINCT o.consumer, o.topic FROM messaging.consumer_offset o
JOIN unnest($1::text[], $2::text[]) AS t (topic, topic_id) USING (topic)
WHERE (o.cluster_id, o.topic_id) <> ($3, t.topic_id) ORDER BY 1, 2
"""

_READ_AGAIN = """
UPDATE messaging.consumer_offset o
SET next = 0, cluster_id = $3, topic_id = t.topic_id, clean = true, attempt_offset = NULL,
    attempt_count = 0
FROM unnest($1::text[], $2::text[]) AS t (topic, topic_id)
WHERE o.topic = t.topic AND (o.cluster_id, o.topic_id) <> ($3, t.topic_id)
RETURNING o.consumer, o.topic
"""

# an event that waits keeps a place that no record will ever have: its old one is another's now
_FORGET_PLACES = """
UPDATE messaging.parked_event e SET kafka_offset = -e.id, copied = false
FROM unnest($1::text[], $2::text[]) AS a (consumer, topic)
WHERE e.consumer = a.consumer AND e.topic = a.topic
"""

# of records that were no events an operator's decision names the place, which is another's now
_FORGET_DECISIONS = """
DELETE FROM messaging.skipped_event s
USING unnest($1::text[], $2::text[]) AS a (consumer, topic)
WHERE s.consumer = split_part(a.consumer, '@', 1) AND s.topic = a.topic
    AND starts_with(s.event_id, s.topic || '/')
"""


async def _forget_told(conn: Any, settings: Settings, cluster: Cluster) -> None:
    """What a consumer told Kafka that did not know yet that the broker was another."""
    for name, topic in await conn.fetch(_STALE, *_identities(cluster), cluster.cluster_id):
        await begin_anew(settings, name, topic, cluster.topics[topic])


def _identities(cluster: Cluster) -> tuple[list[str], list[str]]:
    names = sorted(cluster.topics)
    return names, [cluster.topics[name].topic_id for name in names]


async def _begin_anew(conn: Any, cluster: Cluster) -> set[str]:
    """Know the topics as they are now; returns those that are read from the start."""
    names, ids = _identities(cluster)
    await conn.execute(_REMEMBER, names, ids)
    rows = await conn.fetch(_READ_AGAIN, names, ids, cluster.cluster_id)
    again = sorted({(row["consumer"], row["topic"]) for row in rows})
    columns = [consumer for consumer, _ in again], [topic for _, topic in again]
    await conn.execute(_FORGET_PLACES, *columns)
    await conn.execute(_FORGET_DECISIONS, *columns)
    return {topic for _, topic in again}
