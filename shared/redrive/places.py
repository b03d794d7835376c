"""Where a consumer goes on, when that is for an operator to say: at the topic's beginning.

Behind `banka events accept-start` and `read-again`, and `restore`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from shared.messaging.broker import Cluster, TopicIdentity, connection, fetch_cluster
from shared.messaging.relay import LOCK_CLASS, SHARDS
from shared.messaging.subscribe import SESSION_MS
from shared.redrive.selection import CannotRedrive, audit

if TYPE_CHECKING:
    from shared.settings import Settings


async def accept_start(
    conn: Any, settings: Settings, consumer: str, topic: str, *, who: str, why: str
) -> dict[int, int]:
    """Let a consumer begin where its topic begins now; returns {partition: first offset}.

    For a topic whose first events are gone and were published again: what is applied meanwhile
    waits for them, application by application. Only partitions that begin behind the consumer's
    place are touched. Raises CannotRedrive where there is none.
    """
    cluster, known = await _find(settings, topic)
    reader = AIOKafkaConsumer(
        **connection(settings), client_id="banka-accept", enable_auto_commit=False
    )
    await reader.start()
    try:
        begins = await reader.beginning_offsets(
            [TopicPartition(topic, part) for part in range(known.partitions)]
        )
    finally:
        await reader.stop()
    async with conn.transaction():
        moved = await conn.fetch(
            """
            INSERT INTO messaging.consumer_offset AS o
                (consumer, topic, part, next, cluster_id, topic_id)
            SELECT $1, $2, part, begin, $5, $6
            FROM unnest($3::int[], $4::bigint[]) AS b (part, begin) WHERE begin > 0
            ON CONFLICT (consumer, topic, part) DO UPDATE SET next = excluded.next
                WHERE o.next < excluded.next
            RETURNING part, next
            """,
            consumer,
            topic,
            [place.partition for place in begins],
            list(begins.values()),
            cluster.cluster_id,
            known.topic_id,
        )
        if not moved:
            raise CannotRedrive(f"nothing is gone from {topic} that {consumer} has not read")
        await audit(conn, who, "accept-start", f"{consumer} {topic}", why)
    return {row["part"]: row["next"] for row in moved}


async def read_again(
    conn: Any, settings: Settings, consumer: str, topic: str, *, who: str, why: str
) -> int:
    """Have a consumer of a stopped service read its topic again from offset 0, which applies
    nothing twice; returns how many partitions it had read of.

    For a database that stands elsewhere than the broker and is the one to go on with: restored from
    a backup, or made anew. Raises CannotRedrive for an unknown topic, one that is not the one that
    the database knows, a consumer that has read nothing of it, and while the service runs.
    """
    await be_alone(conn, settings.service)
    cluster, known = await _find(settings, topic)
    async with conn.transaction():
        rows = await conn.fetch(
            "UPDATE messaging.consumer_offset SET next = 0 WHERE consumer = $1 AND topic = $2"
            " RETURNING part, cluster_id, topic_id",
            consumer, topic,
        )  # fmt: skip
        if any(
            (r["cluster_id"], r["topic_id"]) != (cluster.cluster_id, known.topic_id) for r in rows
        ):
            raise CannotRedrive(f"{topic} was made anew since: banka events restore --why …")
        told = await begin_anew(settings, consumer, topic, known)
        parts = told | {row["part"] for row in rows}
        if not parts:
            raise CannotRedrive(f"{consumer} has read nothing of {topic}")
        await audit(conn, who, "read-again", f"{consumer} {topic}", why)
    return len(parts)


async def _find(settings: Settings, topic: str) -> tuple[Cluster, TopicIdentity]:
    cluster = await fetch_cluster(settings)
    known = cluster.topics.get(topic)
    if known is None:
        raise CannotRedrive(f"no topic {topic} on the broker that {settings.service} may see")
    return cluster, known


async def be_alone(conn: Any, service: str) -> None:
    """Be the only one who publishes for the service, as long as the connection lives: then nothing
    of it runs. Raises CannotRedrive."""
    for shard in range(SHARDS):
        if not await conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, shard):
            raise CannotRedrive(f"{service} still publishes: stop it first")


async def begin_anew(
    settings: Settings, consumer: str, topic: str, known: TopicIdentity
) -> set[int]:
    """Tell Kafka that a consumer begins anew, for a database behind what Kafka saw is taken for an
    older one; returns the partitions of which Kafka had seen something.

    Raises CommitFailedError where the group still has members after twice a session.
    """
    reader = AIOKafkaConsumer(**connection(settings), group_id=consumer, enable_auto_commit=False)
    await reader.start()
    try:
        places = [TopicPartition(topic, part) for part in range(known.partitions)]
        reader.assign(places)
        told = {place: 0 for place in places if await reader.committed(place)}
        end = time.monotonic() + 2 * SESSION_MS / 1000
        while told:
            try:
                await reader.commit(told)
                break
            except CommitFailedError:  # the group still waits for its members, who were stopped
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.5)
    finally:
        await reader.stop()
    return {place.partition for place in told}
