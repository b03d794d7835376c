"""Everywhere that something may be written: topics, tables, logs, papers; for those who look for
what must not be there."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from deploy import local

_SECONDS = 20.0


def topics(stack: local.Stack) -> Iterable[tuple[str, object]]:
    """Every record of every topic, with its key and headers."""
    consumer = Consumer({**stack.kafka_admin(), "group.id": "scan", "enable.auto.commit": False})
    try:
        ends = {}
        for topic, described in consumer.list_topics(timeout=_SECONDS).topics.items():
            for part in described.partitions:
                low, high = _offsets(consumer, TopicPartition(topic, part))
                if high > low and not topic.startswith("__"):
                    ends[topic, part] = high
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in ends])
        heard = time.monotonic()
        while ends:
            # it waits for all of so many until the time is over: few, and a short time
            batch = consumer.consume(500, timeout=0.2)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SECONDS:
                raise TimeoutError(f"the broker kept back {sorted(ends)}")
            for message in batch:
                topic, part = str(message.topic()), int(message.partition() or 0)
                yield topic, (message.key(), message.value(), message.headers())
                if int(message.offset() or 0) >= ends.get((topic, part), 1) - 1:
                    ends.pop((topic, part), None)
    finally:
        consumer.close()


def _offsets(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """First and next offset; a broker that has just started may not lead everything yet."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=_SECONDS)
        except KafkaException as problem:
            new = problem.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION
            if not new or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return low, high


async def tables(stack: local.Stack) -> list[tuple[str, object]]:
    """Every row of every table of every database."""
    found: list[tuple[str, object]] = []
    server = await asyncpg.connect(stack.superuser_url())
    try:
        databases = await server.fetch(
            "SELECT datname FROM pg_database WHERE datname LIKE 'banka%'"
        )
    finally:
        await server.close()
    assert len(databases) == 5
    for (database,) in databases:
        conn = await asyncpg.connect(stack.superuser_url(database))
        try:
            names = await conn.fetch(
                "SELECT format('%I.%I', table_schema, table_name)"
                " FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
                " AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            for (table,) in names:
                rows = await conn.fetch(f"SELECT * FROM {table}")
                found += [(f"{database}.{table}", tuple(row)) for row in rows]
        finally:
            await conn.close()
    return found


def files(stack: local.Stack) -> Iterable[tuple[str, object]]:
    """Every log, and every paper as it lies in the store."""
    for folder in (stack.logs, stack.folder / "documents"):
        for path in folder.rglob("*"):
            if path.is_file():
                yield str(Path(path).relative_to(stack.folder)), path.read_bytes()
