"""The baseline: the same stages as anybody would first write them with FastStream.

One message, one transaction: the handler notes the event as seen, changes the row, writes its
outbox, commits, publishes the outbox rows one by one, deletes each, and the offset is committed. It
does less than banka does (nothing is sealed, no paper is kept, no outside system is asked, no gap
is noticed), so the ratio is a lower bound.

    python -m tests.bench.plain STAGE      # intake | review | notify | reporting
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.security import SASLScram512

from deploy.local import Stack, attach
from shared.identifiers import new_id

INBOUND = "plain.inbound"
APPLICATIONS = "plain.applications"
STAGES = ("intake", "review", "notify", "reporting")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (event_id text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS application (application_id text PRIMARY KEY, state text NOT NULL,
    changes int NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS message (event_id text PRIMARY KEY, application_id text NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (id bigserial PRIMARY KEY, key text NOT NULL, body text NOT NULL);
"""

# event -> what each stage answers with
INTAKE_ON_INBOUND = {
    "submit": ("submitted", "pre-check-passed"),
    "posted": ("card-posted",),
    "activated": ("card-activated",),
    "first-used": ("card-first-used",),
}
ANSWERS: dict[str, dict[str, tuple[str, ...]]] = {
    "intake": {"approved": ("card-ordered",)},
    "review": {"pre-check-passed": ("checks-completed", "approved")},
}
TOLD = {"submitted", "approved", "card-posted", "card-activated", "card-first-used"}


@dataclass(slots=True)
class Stage:
    """One service of the plain pipeline."""

    name: str
    pool: asyncpg.Pool[asyncpg.Record]
    broker: KafkaBroker

    async def handle(self, event: dict[str, Any], answers: tuple[str, ...]) -> None:
        """Note, change, write the outbox, commit, publish row by row."""
        async with self.pool.acquire() as conn, conn.transaction():
            fresh = await conn.fetchval(
                "INSERT INTO seen VALUES ($1) ON CONFLICT DO NOTHING RETURNING event_id",
                event["id"],
            )
            if fresh is None:
                return
            await conn.execute(
                "INSERT INTO application VALUES ($1, $2) ON CONFLICT (application_id)"
                " DO UPDATE SET state = excluded.state, changes = application.changes + 1",
                event["application_id"],
                event["type"],
            )
            if self.name == "notify" and event["type"] in TOLD:
                await conn.execute(
                    "INSERT INTO message VALUES ($1, $2)", event["id"], event["application_id"]
                )
            rows = [
                await conn.fetchrow(
                    "INSERT INTO outbox (key, body) VALUES ($1, $2) RETURNING id, key, body",
                    event["application_id"],
                    json.dumps({**event, "id": new_id(), "type": answer}),
                )
                for answer in answers
            ]
        for row in rows:
            assert row is not None
            await self.broker.publish(
                row["body"].encode(), topic=APPLICATIONS, key=row["key"].encode()
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


async def open_stage(stack: Stack, name: str) -> asyncpg.Pool[asyncpg.Record]:
    """The stage's own database, made where it is missing."""
    database = f"plain_{name}"
    admin = await asyncpg.connect(stack.superuser_url())
    try:
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await admin.execute(f'CREATE DATABASE "{database}"')
    finally:
        await admin.close()
    pool = await asyncpg.create_pool(stack.superuser_url(database), min_size=2, max_size=4)
    await pool.execute(_SCHEMA)
    return pool


class Plain:
    """The baseline as the driver sees it; the driver also plays the card factory."""

    name = "plain FastStream"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._broker = broker_of(stack)
        self._processes: list[subprocess.Popen[bytes]] = []

    async def __aenter__(self) -> Self:
        make_topics(self._stack)
        for stage in STAGES:
            await (await open_stage(self._stack, stage)).close()
        self._reporting = await open_stage(self._stack, "reporting")
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.plain", stage],
                env={**os.environ, **self._stack.environment()},
            )
            for stage in STAGES
        ]

        @self._broker.subscriber(
            APPLICATIONS, group_id="plain-factory", auto_offset_reset="earliest", batch=True
        )
        async def on_ordered(events: list[dict[str, Any]]) -> None:
            await asyncio.gather(
                *(
                    self._publish(event["application_id"], fact)
                    for event in events
                    if event["type"] == "card-ordered"
                    for fact in ("posted", "activated", "first-used")
                )
            )

        await self._broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            await asyncio.to_thread(process.wait)
        await self._broker.stop()
        await self._reporting.close()

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Nothing: its events are made as they are sent."""

    async def submit(self, nth: int) -> str:
        """Publish one application and do not wait for the broker, as a partner under load would."""
        key = f"plain-{nth}"
        await self._publish(key, "submit")
        return key

    async def finished(self) -> Sequence[str]:
        """Applications that reporting has seen the first use of."""
        rows = await self._reporting.fetch(
            "SELECT application_id FROM application WHERE state = 'card-first-used'"
        )
        return [row["application_id"] for row in rows]

    async def _publish(self, key: str, kind: str) -> None:
        body = {"id": new_id(), "type": kind, "application_id": key}
        await self._broker.publish(
            json.dumps(body).encode(), topic=INBOUND, key=key.encode(), no_confirm=True
        )


def make_topics(stack: Stack) -> None:
    """The baseline's two topics with as many partitions as banka's."""
    admin = AdminClient(stack.kafka_admin())
    wanted = [NewTopic(name, num_partitions=stack.partitions) for name in (INBOUND, APPLICATIONS)]
    for future in admin.create_topics(wanted).values():
        with contextlib.suppress(KafkaException):  # there from an earlier run
            future.result()


async def run(name: str) -> None:
    """Serve one stage until stopped."""
    stack = attach()
    broker = broker_of(stack)
    stage = Stage(name, await open_stage(stack, name), broker)

    @broker.subscriber(
        APPLICATIONS,
        group_id=f"plain-{name}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )
    async def on_application(event: dict[str, Any]) -> None:
        await stage.handle(event, ANSWERS.get(name, {}).get(event["type"], ()))

    if name == "intake":

        @broker.subscriber(
            INBOUND,
            group_id="plain-intake-inbound",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        async def on_inbound(event: dict[str, Any]) -> None:
            await stage.handle(event, INTAKE_ON_INBOUND[event["type"]])

    await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
