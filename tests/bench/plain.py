"""The baseline: the thin workload as anybody would first write it with FastStream.

One message, one transaction: the handler notes the event as seen, changes its rows, writes its
outbox, commits, publishes the outbox rows one by one, deletes each, and the offset is committed.
It does less than the kernel (no gap is noticed, a failed event stops its partition, no event is
kept for a rebuild), so the ratio is a lower bound.

    python -m tests.bench.plain STAGE      # intake | review | notify | reporting
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import asyncpg
import uvloop
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.security import SASLScram512

from deploy.local import Stack, attach
from shared.identifiers import new_id
from tests.bench.workload import (
    COMPLETE,
    HOPS,
    MIGRATIONS,
    PARTITIONS,
    STAGES,
    TOLD,
    day,
    decide,
    form,
)

INBOUND = "plain.inbound"
APPLICATIONS = "plain.applications"
CONTACTS = "plain.contacts"
READ = {
    "intake": (INBOUND,),
    "review": (APPLICATIONS,),
    "notify": (APPLICATIONS,),
    "reporting": (APPLICATIONS, CONTACTS),
}

_OWN = """
CREATE TABLE seen (event_id text PRIMARY KEY);
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text, key text NOT NULL, body text NOT NULL);
"""

Event = dict[str, Any]
Answer = tuple[str, Event]  # topic, event


def _event(kind: str, of: Event, **data: Any) -> Event:
    return {
        "id": new_id(),
        "type": kind,
        "application_id": of["application_id"],
        "recorded": datetime.now(UTC).isoformat(),
        **data,
    }


async def on_intake(conn: Any, event: Event) -> list[Answer]:
    """An application came in: keep it, say so."""
    await conn.execute(
        "INSERT INTO application VALUES ($1, $2, $3, $4, $5, $6)",
        event["application_id"], event["product"], event["branch"], event["income"],
        event["wanted"], json.dumps(event),
    )  # fmt: skip
    passed_on = {name: event[name] for name in ("product", "branch", "income", "wanted")}
    return [(APPLICATIONS, _event("submitted", event, **passed_on))]


async def on_review(conn: Any, event: Event) -> list[Answer]:
    """A submitted application: open a case, check, decide."""
    if event["type"] != "submitted":
        return []
    decision, limit = decide(event["income"], event["wanted"])
    await conn.execute(
        "INSERT INTO review_case VALUES ($1, $2, $3, $4)",
        event["application_id"], decision, limit, datetime.fromisoformat(event["recorded"]),
    )  # fmt: skip
    return [
        (APPLICATIONS, _event("check-completed", event, outcome="clear")),
        (APPLICATIONS, _event(decision, event, limit=limit)),
    ]


async def on_notify(conn: Any, event: Event) -> list[Answer]:
    """Tell the customer."""
    if event["type"] not in TOLD:
        return []
    await conn.execute(
        "INSERT INTO message VALUES ($1, $2, $3)",
        event["id"], event["application_id"], event["type"],
    )  # fmt: skip
    return [(CONTACTS, _event("message-requested", event, about=event["type"]))]


async def on_reporting(conn: Any, event: Event) -> list[Answer]:
    """Bring the read model and the day's counts up to date."""
    kind = event["type"]
    await conn.execute(
        "INSERT INTO progress AS p VALUES ($1, $2, $3, $4, $5, $6, 1)"
        " ON CONFLICT (application_id) DO UPDATE SET product = coalesce($2, p.product),"
        " branch = coalesce($3, p.branch), decision = coalesce($4, p.decision),"
        " checks = p.checks + $5, messages = p.messages + $6, events = p.events + 1",
        event["application_id"], event.get("product"), event.get("branch"),
        kind if kind in ("approved", "declined") else None, int(kind == "check-completed"),
        int(kind == "message-requested"),
    )  # fmt: skip
    await conn.execute(
        "INSERT INTO day_count AS d VALUES ($1, $2, 1)"
        " ON CONFLICT (day, kind) DO UPDATE SET total = d.total + 1",
        day(), kind,
    )  # fmt: skip
    return []


HANDLERS = {
    "intake": on_intake,
    "review": on_review,
    "notify": on_notify,
    "reporting": on_reporting,
}


@dataclass(slots=True)
class Stage:
    """One service of the plain pipeline."""

    name: str
    pool: asyncpg.Pool[asyncpg.Record]
    broker: KafkaBroker

    async def handle(self, event: Event) -> None:
        """Note, change, write the outbox, commit, publish row by row."""
        async with self.pool.acquire() as conn, conn.transaction():
            fresh = await conn.fetchval(
                "INSERT INTO seen VALUES ($1) ON CONFLICT DO NOTHING RETURNING event_id",
                event["id"],
            )
            if fresh is None:
                return
            answers = await HANDLERS[self.name](conn, event)
            rows = [
                await conn.fetchrow(
                    "INSERT INTO outbox (topic, key, body) VALUES ($1, $2, $3) RETURNING *",
                    topic, answer["application_id"], json.dumps(answer),
                )
                for topic, answer in answers
            ]  # fmt: skip
        for row in rows:
            assert row is not None
            await self.broker.publish(
                row["body"].encode(), topic=row["topic"], key=row["key"].encode()
            )
            await self.pool.execute("DELETE FROM outbox WHERE id = $1", row["id"])


def broker_of(stack: Stack) -> KafkaBroker:
    """A broker under the stack's administrator: the baseline has no rights of its own."""
    admin = stack.kafka_admin()
    security = None
    if stack.kafka_security != "PLAINTEXT":
        security = SASLScram512(
            username=str(admin["sasl.username"]), password=str(admin["sasl.password"])
        )
    return KafkaBroker(stack.kafka_bootstrap, security=security, acks="all", logger=None)


def database_of(stage: str) -> str:
    return f"plain_{stage}"


async def make_database(stack: Stack, stage: str) -> None:
    """The stage's own, made anew: an earlier run's applications have the same keys."""
    name = database_of(stage)
    admin = await asyncpg.connect(stack.superuser_url())
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    own = await asyncpg.connect(stack.superuser_url(name))
    await own.execute((MIGRATIONS / "0001_stage.sql").read_text() + _OWN)
    await own.close()


class Plain:
    """The baseline as the driver sees it."""

    name = "plain FastStream"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        make_topics(self._stack, (INBOUND, APPLICATIONS, CONTACTS))
        for stage in STAGES:
            await make_database(self._stack, stage)
        self._reporting, self._review = [
            await asyncpg.connect(self._stack.superuser_url(database_of(stage)))
            for stage in ("reporting", "review")
        ]
        self._processes = {
            stage: subprocess.Popen(
                [sys.executable, "-m", "tests.bench.plain", stage],
                env={**os.environ, **self._stack.environment()},
            )
            for stage in STAGES
        }
        self._producer = Producer({**self._stack.kafka_admin(), "linger.ms": 1})
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            await asyncio.to_thread(process.wait)
        await asyncio.to_thread(self._producer.flush, 5)
        await self._reporting.close()
        await self._review.close()

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Nothing: its events are made as they are sent."""

    async def submit(self, nth: int) -> str:
        """Publish one application and do not wait for the broker, as a partner under load would."""
        key = f"plain-{nth}"
        body = json.dumps({"id": new_id(), "type": "application", **form(key, nth)})
        self._producer.produce(INBOUND, body.encode(), key=key.encode())
        self._producer.poll(0)
        return key

    async def finished(self, keys: Collection[str]) -> Sequence[str]:
        """Applications that reporting knows all about."""
        return [row["application_id"] for row in await self._reporting.fetch(COMPLETE, keys)]

    async def hops(self, keys: Collection[str]) -> Sequence[float]:
        """From intake to review."""
        return [row["seconds"] for row in await self._review.fetch(HOPS, keys)]

    def processes(self) -> Mapping[str, int]:
        """The four stages."""
        return {stage: process.pid for stage, process in self._processes.items()}


def make_topics(stack: Stack, names: Collection[str]) -> None:
    """A pipeline's topics, as many partitions each."""
    admin = AdminClient(stack.kafka_admin())
    wanted = [NewTopic(name, num_partitions=PARTITIONS) for name in names]
    for future in admin.create_topics(wanted).values():
        with contextlib.suppress(KafkaException):  # there from an earlier run
            future.result(20)


async def run(name: str) -> None:
    """Serve one stage until stopped."""
    stack = attach()
    broker = broker_of(stack)
    pool = await asyncpg.create_pool(stack.superuser_url(database_of(name)), min_size=2, max_size=4)
    stage = Stage(name, pool, broker)
    for topic in READ[name]:

        @broker.subscriber(
            topic,
            group_id=f"plain-{name}-{topic}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        async def on_event(event: Event) -> None:
            await stage.handle(event)

    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
