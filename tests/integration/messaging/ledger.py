"""A tiny bank for the kernel's tests: one aggregate that writes down, in order, what it was told.

What reached a subject stands in `entries`, so that a lost, doubled or reordered event shows.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import BaseModel

from deploy.local import Stack
from deploy.provision import copies, least_in_sync
from shared.clock import SystemClock
from shared.events.catalog import MAX_MESSAGE_BYTES
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging import Consumer, Effect, Fact, Received, Service
from shared.messaging.broker import connection
from shared.messaging.effects import Connection
from shared.messaging.errors import Permanent, Transient
from shared.messaging.outbox import partition_of
from shared.postgres.migrate import migrate
from shared.settings import Environment, Settings
from tests.eventually import eventually
from tests.kept import Kept

MIGRATIONS = Path(__file__).parent / "migrations"
PARTITIONS = 4


class Noted(BaseModel):
    """Something happened to a subject; `mood` tells the handler how to behave."""

    type: ClassVar[str] = "banka.ledger.noted.v1"
    topic: ClassVar[str] = "banka.ledger"

    number: int
    mood: str = "fine"


class Echoed(BaseModel):
    """The ledger's own fact about what it noted; may be read as a note."""

    type: ClassVar[str] = "banka.ledger.echoed.v1"
    topic: ClassVar[str] = "banka.echo"

    number: int
    mood: str = "fine"


class Unhandled(BaseModel):
    """An event that the ledger has no handler for."""

    type: ClassVar[str] = "banka.ledger.glanced.v1"
    topic: ClassVar[str] = "banka.ledger"

    number: int


@dataclass
class Ledger:
    """What was noted for a subject, in order."""

    subject: str
    entries: list[int] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


class LedgerStore:
    """Loads with locks, saves in bulk."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Ledger]:
        rows = await conn.fetch(
            "SELECT subject, entries, answers FROM ledger WHERE subject = ANY ($1::text[])"
            " ORDER BY subject FOR UPDATE",
            list(subjects),
        )
        found = {r["subject"]: Ledger(r["subject"], r["entries"], r["answers"]) for r in rows}
        return {subject: found.get(subject) or Ledger(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Ledger]) -> None:
        await conn.executemany(
            "INSERT INTO ledger (subject, entries, answers) VALUES ($1, $2, $3)"
            " ON CONFLICT (subject) DO UPDATE"
            " SET entries = excluded.entries, answers = excluded.answers",
            [(s.subject, s.entries, s.answers) for s in sorted(states, key=lambda s: s.subject)],
        )


class Moods:
    """Handlers whose failures a test can switch off, as a mended build would."""

    def __init__(self, echo: str | None = None) -> None:
        self.echo = echo
        self.mended = False
        self.transient_left = 0
        self.gone_left = 0
        self.seen: list[tuple[str, int]] = []

    def on_noted(self, event: Received[Noted], state: Ledger, now: datetime) -> Iterable[Effect]:
        self.seen.append((event.subject, event.data.number))
        if event.data.mood == "poison" and not self.mended:
            raise Permanent("cannot be noted")
        if event.data.mood == "flaky" and self.transient_left > 0:
            self.transient_left -= 1
            raise Transient("not now")
        if event.data.mood == "gone" and self.gone_left > 0:
            self.gone_left -= 1
            raise OSError("the machinery's failure, not the event's")
        if event.data.mood == "deadly":
            os._exit(9)
        if event.data.mood == "negative" and not self.mended:
            state.entries.append(-1)  # refused by a constraint of the table
            return
        state.entries.append(event.data.number)
        if self.echo:
            yield Fact(Echoed(number=event.data.number), topic=self.echo)


@dataclass
class World:
    """A broker and a database server for one test, with topics and databases of its own."""

    stack: Stack
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    services: list[Service] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    instance: str = ""
    kept: Kept = field(default_factory=Kept)
    _producer: AIOKafkaProducer | None = None
    _readers: list[AIOKafkaConsumer] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(
            service="review",
            environment=Environment.TEST,
            kafka_bootstrap=self.stack.kafka_bootstrap,
            kafka_security=self.stack.kafka_security,  # type: ignore[arg-type]
            kafka_user="admin",
            postgres_dsn=self.stack.postgres_dsn,
            secrets_dir=self.stack.secrets_dir,
            instance=self.instance,
        )

    def topic(
        self,
        name: str,
        partitions: int = PARTITIONS,
        *,
        full: str | None = None,
        largest: int = MAX_MESSAGE_BYTES,
        config: dict[str, str] | None = None,
    ) -> str:
        """A topic of this test's own, with messages as large as a deployment's topics take."""
        full = full or f"banka.{self.tag}.{name}"
        admin = AdminClient(self.stack.kafka_admin())
        number = copies(len(admin.list_topics(timeout=20).brokers))
        settings = {
            "max.message.bytes": str(largest),
            "min.insync.replicas": str(least_in_sync(number)),
            **(config or {}),
        }
        admin.create_topics([NewTopic(full, partitions, number, config=settings)])[full].result(20)
        self.made[full] = partitions
        return full

    async def topic_again(self, topic: str) -> None:
        """A topic of one partition under a name of which an older one may still be going."""

        async def made() -> bool:
            try:
                return bool(self.topic("", 1, full=topic))
            except KafkaException:  # it is
                return False

        await eventually(made)

    def remove_topic(self, topic: str) -> None:
        admin = AdminClient(self.stack.kafka_admin())
        admin.delete_topics([topic])[topic].result(20)

    async def database(
        self, service: str = "review", folder: Path = MIGRATIONS, name: str | None = None
    ) -> str:
        """A migrated database of this test's own."""
        name = name or f"banka_{self.tag}_{len(self.databases)}"
        admin = await asyncpg.connect(self.stack.superuser_url())
        try:
            await _make_roles(admin, self.stack, service)
            await admin.execute(f'CREATE DATABASE "{name}" OWNER "{service}_owner"')
        finally:
            await admin.close()
        owner = await asyncpg.connect(self.stack.superuser_url(name))
        await owner.execute(f'ALTER SCHEMA public OWNER TO "{service}_owner"')
        await owner.execute(f'GRANT USAGE ON SCHEMA public TO "{service}_app"')
        await owner.close()
        self.databases.append(name)
        await migrate(self.settings, service, folder=folder, database=name)
        return name

    async def connect(self, database: str) -> asyncpg.Connection[Any]:
        """As the superuser, to look."""
        return await asyncpg.connect(self.stack.superuser_url(database))

    def service(self, database: str, name: str = "review", **parts: Any) -> Service:
        """A service over a database; stopped with the test."""
        service = Service(
            name=name,
            settings=self.settings,
            clock=parts.pop("clock", SystemClock()),
            database=database,
            migrations=parts.pop("migrations", MIGRATIONS),
            **parts,
        )
        self.services.append(service)
        return service

    async def producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **connection(self.settings), max_request_size=MAX_MESSAGE_BYTES
            )
            await self._producer.start()
        return self._producer

    async def send(
        self,
        topic: str,
        subject: str,
        payload: Any,
        sequence: int | None,
        *,
        source: str = "/banka/intake",
        event_id: str | None = None,
        event_type: str | None = None,
    ) -> str:
        """One event as another service's relay would write it; returns its id."""
        envelope = Envelope(
            id=event_id or new_id(),
            type=event_type or payload.type,
            source=source,
            subject=subject,
            time=datetime.now(UTC),
            recorded_time=datetime.now(UTC),
            sequence=sequence,
            correlation_id=new_id(),
        )
        body = payload.model_dump_json().encode() if isinstance(payload, BaseModel) else payload
        await self.send_raw(topic, subject.encode(), body, encode(envelope))
        return envelope.id

    async def send_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Any
    ) -> None:
        producer = await self.producer()
        partition = partition_of((key or b"").decode("utf-8", "replace"), self.made[topic])
        await producer.send_and_wait(
            topic, value, key=key, headers=list(headers), partition=partition
        )

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic of this world, by partition and offset."""
        partitions = [TopicPartition(topic, part) for part in range(self.made[topic])]
        async with self._reader() as consumer:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.seek(partition, 0)
            records: list[Any] = []
            while sum(ends.values()) > len(records):
                for found in (await consumer.getmany(timeout_ms=200)).values():
                    records += found
            return sorted(records, key=lambda r: (r.partition, r.offset))

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """One that nobody reads with for so long. It is kept: who waits for a record reads thirty
        times a second, and to log in costs more than to read."""
        if self._readers:
            consumer = self._readers.pop()
        else:
            consumer = AIOKafkaConsumer(
                **connection(self.settings), auto_offset_reset="earliest", enable_auto_commit=False
            )
            await consumer.start()
        try:
            yield consumer
        except BaseException:
            await consumer.stop()
            raise
        consumer.unsubscribe()
        self._readers.append(consumer)

    async def entries(self, database: str) -> dict[str, list[int]]:
        """{subject: what it noted, in order}"""
        rows = await self.rows(database, "SELECT subject, entries FROM ledger")
        return {row["subject"]: list(row["entries"]) for row in rows}

    async def rows(self, database: str, query: str, *values: Any) -> list[Any]:
        async with self.kept.to(self.stack.superuser_url(database)) as conn:
            return list(await conn.fetch(query, *values))

    async def do(self, database: str, query: str, *values: Any) -> None:
        async with self.kept.to(self.stack.superuser_url(database)) as conn:
            await conn.execute(query, *values)

    @asynccontextmanager
    async def held(self, database: str, table: str) -> AsyncIterator[asyncpg.Connection[Any]]:
        """Whoever writes the table (or locks its rows) waits in mid-transaction until the block
        ends; the block itself may, by the connection it is given."""
        conn = await self.connect(database)
        try:
            async with conn.transaction():
                await conn.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                yield conn
        finally:
            await conn.close()

    async def waiting(self, database: str) -> int:
        """The server process that waits for what is held, as soon as there is one."""

        async def found() -> Any:
            return await self.rows(
                database,
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )

        return int((await eventually(found))[0]["pid"])

    async def banka(self, *words: str, code: int = 0) -> str:
        """Run the operators' command; returns what it prints and checks its exit code."""
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "deploy.cli", *words],
            env={**os.environ, **self.stack.environment(), "BANKA_KAFKA_USER": "admin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, f"{ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    async def close(self) -> None:
        await asyncio.gather(*(s.stop() for s in self.services), return_exceptions=True)
        if self._producer is not None:
            await self._producer.stop()
        for reader in self._readers:
            await reader.stop()
        await self.kept.close()
        admin = await asyncpg.connect(self.stack.superuser_url())
        for name in self.databases:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()
        if self.made:
            AdminClient(self.stack.kafka_admin()).delete_topics(list(self.made))


def consumer(
    topic: str, moods: Moods, name: str, *, payload: type[Any] = Noted, **parts: Any
) -> Consumer:
    return Consumer(
        name=name, topic=topic, store=LedgerStore(), handlers={payload: moods.on_noted}, **parts
    )


async def _make_roles(admin: asyncpg.Connection[Any], stack: Stack, service: str) -> None:
    for role in (f"{service}_owner", f"{service}_app"):
        if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            continue
        password = stack.secret(f"postgres-{role}")
        await admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """A service between start and stop."""
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
