"""The thin workload on banka's messaging kernel: the baseline's events, rows and answers, so that
the ratio to the baseline is what the kernel alone makes of them.

    python -m tests.bench.thin STAGE      # intake | review | notify | reporting
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import asyncpg
import uvloop
from confluent_kafka import Producer
from pydantic import BaseModel

from deploy.local import Stack, attach
from deploy.provision import provision
from shared.clock import SystemClock
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging import Consumer, Effect, Fact, Received, Service
from shared.messaging.effects import Connection, Store
from shared.postgres.migrate import migrate
from shared.settings import Environment, Settings
from tests.bench.plain import make_topics
from tests.bench.workload import (
    COMPLETE,
    HOPS,
    MIGRATIONS,
    STAGES,
    TOLD,
    day,
    decide,
    form,
)

INBOUND = "banka.thin-inbound"
APPLICATIONS = "banka.thin-applications"
CONTACTS = "banka.thin-contacts"
DRIVER = "/banka/driver"
_STARTED = "the stage runs"


class Application(BaseModel):
    """What a customer handed in."""

    type: ClassVar[str] = "banka.thin.application.v1"
    topic: ClassVar[str] = INBOUND

    application_id: str
    product: str
    branch: str
    channel: str
    income: int
    wanted: int
    employer: str
    position: str
    address: str
    mailing: str
    remarks: str
    consent: str


class Submitted(BaseModel):
    """The application is with review now."""

    type: ClassVar[str] = "banka.thin.submitted.v1"
    topic: ClassVar[str] = APPLICATIONS

    product: str
    branch: str
    income: int
    wanted: int


class CheckCompleted(BaseModel):
    """What a check found."""

    type: ClassVar[str] = "banka.thin.check-completed.v1"
    topic: ClassVar[str] = APPLICATIONS

    outcome: str


class Decided(BaseModel):
    """The decision, and the limit."""

    type: ClassVar[str]
    topic: ClassVar[str] = APPLICATIONS

    limit: int


class Approved(Decided):
    """A card will be made."""

    type: ClassVar[str] = "banka.thin.approved.v1"


class Declined(Decided):
    """No card will be made."""

    type: ClassVar[str] = "banka.thin.declined.v1"


class MessageRequested(BaseModel):
    """The customer is to be told."""

    type: ClassVar[str] = "banka.thin.message-requested.v1"
    topic: ClassVar[str] = CONTACTS

    about: str


_DECISIONS: dict[str, type[Decided]] = {"approved": Approved, "declined": Declined}
_TOLD = dict(zip(TOLD, (Submitted, Approved, Declined), strict=True))


@dataclass(slots=True)
class Rows:
    """What the events of one poll add to a subject's rows, one tuple for each row of a table."""

    application_id: str
    new: list[tuple[Any, ...]] = field(default_factory=list)


class Inserting:
    """A stage that only adds rows: there is nothing to load and nobody to lock out."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Rows]:
        return {subject: Rows(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Rows]) -> None:
        rows = [row for state in states for row in state.new]
        if rows:
            await conn.execute(self._statement, *zip(*rows, strict=True))


APPLICATION_ROWS = Inserting(
    "INSERT INTO application SELECT * FROM"
    " unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])"
)
CASE_ROWS = Inserting(
    "INSERT INTO review_case (application_id, decision, allowed, recorded_at)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])"
)
MESSAGE_ROWS = Inserting(
    "INSERT INTO message SELECT * FROM unnest($1::text[], $2::text[], $3::text[])"
)


@dataclass(slots=True)
class Progress:
    """What the events of one poll add to an application's row and to the day's counts."""

    application_id: str
    product: str | None = None
    branch: str | None = None
    decision: str | None = None
    checks: int = 0
    messages: int = 0
    kinds: list[str] = field(default_factory=list)


class ReadModel:
    """Reporting's rows and counts; what is added to them needs no look at what is there."""

    async def load(self, conn: Connection, subjects: Sequence[str]) -> dict[str, Progress]:
        return {subject: Progress(subject) for subject in subjects}

    async def save(self, conn: Connection, states: Sequence[Progress]) -> None:
        ordered = sorted(states, key=lambda state: state.application_id)
        counts = sorted(Counter(kind for state in states for kind in state.kinds).items())
        await conn.execute(
            """
            WITH counted AS (
                INSERT INTO day_count AS d
                SELECT $8, * FROM unnest($9::text[], $10::bigint[])
                ON CONFLICT (day, kind) DO UPDATE SET total = d.total + excluded.total
            )
            INSERT INTO progress AS p
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[],
                                 $6::int[], $7::int[])
            ON CONFLICT (application_id) DO UPDATE SET
                product = coalesce(excluded.product, p.product),
                branch = coalesce(excluded.branch, p.branch),
                decision = coalesce(excluded.decision, p.decision),
                checks = p.checks + excluded.checks,
                messages = p.messages + excluded.messages,
                events = p.events + excluded.events
            """,
            [state.application_id for state in ordered],
            [state.product for state in ordered],
            [state.branch for state in ordered],
            [state.decision for state in ordered],
            [state.checks for state in ordered],
            [state.messages for state in ordered],
            [len(state.kinds) for state in ordered],
            day(),
            [kind for kind, _ in counts],
            [count for _, count in counts],
        )


# -- what each stage does with an event -------------------------------------------------------


def on_application(event: Received[Application], rows: Rows, now: datetime) -> Iterable[Effect]:
    """An application came in: keep it, say so."""
    data = event.data
    whole = data.model_dump_json()
    rows.new.append((event.subject, data.product, data.branch, data.income, data.wanted, whole))
    yield Fact(
        Submitted(product=data.product, branch=data.branch, income=data.income, wanted=data.wanted)
    )


def on_submitted(event: Received[Submitted], rows: Rows, now: datetime) -> Iterable[Effect]:
    """A submitted application: open a case, check, decide."""
    decision, limit = decide(event.data.income, event.data.wanted)
    rows.new.append((event.subject, decision, limit, event.recorded_time))
    yield Fact(CheckCompleted(outcome="clear"))
    yield Fact(_DECISIONS[decision](limit=limit))


def telling(about: str) -> Callable[[Any, Rows, datetime], Iterable[Effect]]:
    """Tell the customer."""

    def on_news(event: Received[Any], rows: Rows, now: datetime) -> Iterable[Effect]:
        rows.new.append((event.id, event.subject, about))
        yield Fact(MessageRequested(about=about))

    return on_news


def counting(kind: str) -> Callable[[Any, Progress, datetime], Iterable[Effect]]:
    """Bring the read model and the day's counts up to date."""

    def on_event(event: Received[Any], row: Progress, now: datetime) -> Iterable[Effect]:
        row.kinds.append(kind)
        if kind == "submitted":
            row.product, row.branch = event.data.product, event.data.branch
        elif kind in _DECISIONS:
            row.decision = kind
        elif kind == "check-completed":
            row.checks += 1
        else:
            row.messages += 1
        return ()

    return on_event


Reading = tuple[str, Store[Any], dict[type[Any], Any]]  # topic, store, handlers

READINGS: dict[str, list[Reading]] = {
    "intake": [(INBOUND, APPLICATION_ROWS, {Application: on_application})],
    "review": [(APPLICATIONS, CASE_ROWS, {Submitted: on_submitted})],
    "notify": [
        (APPLICATIONS, MESSAGE_ROWS, {data: telling(about) for about, data in _TOLD.items()})
    ],
    "reporting": [
        (
            APPLICATIONS,
            ReadModel(),
            {
                Submitted: counting("submitted"),
                CheckCompleted: counting("check-completed"),
                Approved: counting("approved"),
                Declined: counting("declined"),
            },
        ),
        (CONTACTS, ReadModel(), {MessageRequested: counting("message-requested")}),
    ],
}


def service_of(stack: Stack, stage: str) -> Service:
    """The stage as a service of the kernel."""
    return Service(
        name=stage,
        settings=settings_of(stack),
        clock=SystemClock(),
        consumers=[
            Consumer(
                name=f"thin-{stage}.{topic.rpartition('-')[2]}",
                topic=topic,
                store=store,
                handlers=handlers,
            )
            for topic, store, handlers in READINGS[stage]
        ],
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


async def make_database(stack: Stack, stage: str, name: str) -> None:
    """A database with the stage's roles and everybody's tables."""
    admin = await asyncpg.connect(stack.superuser_url())
    await admin.execute(f'CREATE DATABASE "{name}" OWNER "{stage}_owner"')
    await admin.close()
    own = await asyncpg.connect(stack.superuser_url(name))
    await own.execute(f'ALTER SCHEMA public OWNER TO "{stage}_owner"')
    await own.execute(f'GRANT USAGE ON SCHEMA public TO "{stage}_app"')
    await own.close()
    await migrate(settings_of(stack), stage, folder=MIGRATIONS, database=name)


class Thin:
    """The stages on the kernel as the driver sees them."""

    name = "kernel, thin workload"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._processes: dict[str, subprocess.Popen[str]] = {}

    async def __aenter__(self) -> Self:
        await provision(self._stack)
        make_topics(self._stack, (INBOUND, APPLICATIONS, CONTACTS))
        for stage in STAGES:
            await make_database(self._stack, stage, database_of(stage))
        self._reporting, self._review = [
            await asyncpg.connect(self._stack.superuser_url(database_of(stage)))
            for stage in ("reporting", "review")
        ]
        self._processes = {
            stage: subprocess.Popen(
                [sys.executable, "-m", "tests.bench.thin", stage],
                env={**os.environ, **self._stack.environment()},
                stdout=subprocess.PIPE,
                text=True,
            )
            for stage in STAGES
        }
        for process in self._processes.values():
            await asyncio.to_thread(_await_start, process)
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
        key, now = f"thin-{nth}", datetime.now(UTC)
        envelope = Envelope(
            id=new_id(),
            type=Application.type,
            source=DRIVER,
            subject=key,
            time=now,
            recorded_time=now,
            sequence=1,
        )
        body = Application.model_validate(form(key, nth)).model_dump_json().encode()
        headers: list[Any] = list(encode(envelope))
        self._producer.produce(INBOUND, body, key=key.encode(), headers=headers)
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
