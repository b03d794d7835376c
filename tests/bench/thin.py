"""The baseline's stages on banka's messaging kernel: the same topics, rows and answers, so that the
ratio to the baseline is what the kernel alone makes of them.

    python -m tests.bench.thin STAGE      # intake | review | notify | reporting
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import BaseModel

from deploy.local import Stack, attach
from deploy.provision import provision
from shared.clock import SystemClock
from shared.events.envelope import Envelope, decode, encode
from shared.identifiers import new_id
from shared.messaging import Consumer, Effect, Fact, Received, Service
from shared.messaging.broker import connection
from shared.messaging.effects import Connection
from shared.postgres.migrate import migrate
from shared.settings import Environment, Settings
from tests.bench.plain import ANSWERS, INTAKE_ON_INBOUND, STAGES, TOLD

MIGRATIONS = Path(__file__).parent / "migrations"
INBOUND = "banka.thin-inbound"
APPLICATIONS = "banka.thin-applications"
DRIVER = "/banka/driver"
_FACTS = ("posted", "activated", "first-used")  # what follows an ordered card, in this order
_STARTED = "the stage runs"


class Stepped(BaseModel):
    """An application went a step; the kind of step is the event's type."""

    type: ClassVar[str]
    topic: ClassVar[str]

    application_id: str


def _payload(kind: str, topic: str) -> type[Stepped]:
    name = "".join(part.title() for part in kind.split("-"))
    return type(name, (Stepped,), {"type": f"banka.thin.{kind}.v1", "topic": topic})


_ANSWERS = {answer for stage in ANSWERS.values() for found in stage.values() for answer in found}
_ON_INBOUND = {answer for answers in INTAKE_ON_INBOUND.values() for answer in answers}
HANDED_IN = {kind: _payload(kind, INBOUND) for kind in INTAKE_ON_INBOUND}
STEPS = {kind: _payload(kind, APPLICATIONS) for kind in sorted(_ANSWERS | _ON_INBOUND)}


@dataclass(slots=True)
class Row:
    """One application as a stage knows it; `told`: ids of events that became messages."""

    application_id: str
    state: str = ""
    changes: int = 0
    told: list[str] = field(default_factory=list)


class Rows:
    """The stage's table, and notify's messages."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Row]:
        found = await conn.fetch(
            "SELECT application_id, state, changes FROM application"
            " WHERE application_id = ANY ($1::text[]) ORDER BY application_id FOR UPDATE",
            list(subjects),
        )
        rows = {row["application_id"]: Row(*row) for row in found}
        return {subject: rows.get(subject) or Row(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Row]) -> None:
        ordered = sorted(states, key=lambda row: row.application_id)
        await conn.execute(
            "INSERT INTO application SELECT * FROM unnest($1::text[], $2::text[], $3::int[])"
            " ON CONFLICT (application_id) DO UPDATE"
            " SET state = excluded.state, changes = excluded.changes",
            [row.application_id for row in ordered],
            [row.state for row in ordered],
            [row.changes for row in ordered],
        )
        told = [(event_id, row.application_id) for row in ordered for event_id in row.told]
        if told:
            await conn.execute(
                "INSERT INTO message SELECT * FROM unnest($1::text[], $2::text[])",
                [event_id for event_id, _ in told],
                [application_id for _, application_id in told],
            )


def handlers(
    stage: str, payloads: Mapping[str, type[Stepped]], answers: Mapping[str, tuple[str, ...]]
) -> dict[type[Stepped], Callable[[Any, Any, datetime], Iterable[Effect]]]:
    """What the stage does with each kind of step: keep it, and answer as the baseline does."""

    def keep(kind: str) -> Callable[[Received[Stepped], Row, datetime], Iterable[Effect]]:
        def on_step(event: Received[Stepped], row: Row, now: datetime) -> Iterable[Effect]:
            row.state, row.changes = kind, row.changes + 1
            if stage == "notify" and kind in TOLD:
                row.told.append(event.id)
            return [
                Fact(STEPS[answer](application_id=row.application_id))
                for answer in answers.get(kind, ())
            ]

        return on_step

    return {payload: keep(kind) for kind, payload in payloads.items()}


def service_of(stack: Stack, stage: str) -> Service:
    """The stage as a service of the kernel."""
    consumers = [
        Consumer(
            name=f"thin-{stage}.applications",
            topic=APPLICATIONS,
            store=Rows(),
            handlers=handlers(stage, STEPS, ANSWERS.get(stage, {})),
        )
    ]
    if stage == "intake":
        consumers.append(
            Consumer(
                name="thin-intake.inbound",
                topic=INBOUND,
                store=Rows(),
                handlers=handlers(stage, HANDED_IN, INTAKE_ON_INBOUND),
            )
        )
    return Service(
        name=stage,
        settings=settings_of(stack),
        clock=SystemClock(),
        consumers=consumers,
        database=database_of(stage),
        migrations=MIGRATIONS,
    )


def settings_of(stack: Stack) -> Settings:
    """The administrator's way to the broker: the catalogue knows no topic of a measurement."""
    return Settings(
        service="thin",
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        kafka_user="admin",
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
    )


def database_of(stage: str) -> str:
    return f"thin_{stage}"


class Thin:
    """The stages on the kernel as the driver sees them; the driver also plays the card factory."""

    name = "kernel, same stages"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._settings = settings_of(stack)
        self._processes: list[subprocess.Popen[str]] = []
        self._sending: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        await provision(self._stack)
        admin = AdminClient(self._stack.kafka_admin())
        topics = [NewTopic(name, self._stack.partitions) for name in (INBOUND, APPLICATIONS)]
        for made in admin.create_topics(topics).values():
            made.result(20)
        for stage in STAGES:
            await self._make_database(stage)
        self._reporting = await asyncpg.connect(self._stack.superuser_url(database_of("reporting")))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.thin", stage],
                env={**os.environ, **self._stack.environment()},
                stdout=subprocess.PIPE,
                text=True,
            )
            for stage in STAGES
        ]
        for process in self._processes:
            await asyncio.to_thread(_await_start, process)
        self._producer = AIOKafkaProducer(**connection(self._settings), acks="all", linger_ms=2)
        self._consumer = AIOKafkaConsumer(
            APPLICATIONS, **connection(self._settings), auto_offset_reset="earliest"
        )
        await self._producer.start()
        await self._consumer.start()
        self._factory = asyncio.create_task(self._play_factory())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._factory.cancel()
        await asyncio.wait([self._factory])
        await self._consumer.stop()
        await self._producer.stop()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            await asyncio.to_thread(process.wait)
        await self._reporting.close()

    async def _make_database(self, stage: str) -> None:
        name = database_of(stage)
        admin = await asyncpg.connect(self._stack.superuser_url())
        await admin.execute(f'CREATE DATABASE "{name}" OWNER "{stage}_owner"')
        await admin.close()
        own = await asyncpg.connect(self._stack.superuser_url(name))
        await own.execute(f'ALTER SCHEMA public OWNER TO "{stage}_owner"')
        await own.execute(f'GRANT USAGE ON SCHEMA public TO "{stage}_app"')
        await own.close()
        await migrate(self._settings, stage, folder=MIGRATIONS, database=name)

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Nothing: its events are made as they are sent."""

    async def submit(self, nth: int) -> str:
        """Publish one application and do not wait for the broker, as a partner under load would."""
        key = f"thin-{nth}"
        await self._publish(key, "submit", 1)
        return key

    async def finished(self) -> Sequence[str]:
        """Applications that reporting has seen the first use of."""
        rows = await self._reporting.fetch(
            "SELECT application_id FROM application WHERE state = 'card-first-used'"
        )
        return [row["application_id"] for row in rows]

    async def _play_factory(self) -> None:
        async for record in self._consumer:
            envelope, _ = decode(record.headers, record.value)
            if envelope.type == STEPS["card-ordered"].type:
                for number, fact in enumerate(_FACTS, start=2):
                    await self._publish(envelope.subject, fact, number)

    async def _publish(self, key: str, kind: str, sequence: int) -> None:
        payload, now = HANDED_IN[kind](application_id=key), datetime.now(UTC)
        envelope = Envelope(
            id=new_id(),
            type=payload.type,
            source=DRIVER,
            subject=key,
            time=now,
            recorded_time=now,
            sequence=sequence,
        )
        body = payload.model_dump_json().encode()
        sent = await self._producer.send(INBOUND, body, key=key.encode(), headers=encode(envelope))
        self._sending.add(sent)
        sent.add_done_callback(self._sending.discard)


def _await_start(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if _STARTED in line:
            return
    raise RuntimeError(f"a stage ended with code {process.wait()}")


async def run(stage: str) -> None:
    """Serve one stage until stopped."""
    service = service_of(attach(), stage)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await service.start()
    sys.stdout.write(f"{_STARTED}\n")
    sys.stdout.flush()
    await stop.wait()
    await service.stop()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
