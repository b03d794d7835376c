"""The bank around reporting in its tests: the other services, as publishers of events, and staff.

Everything happens in branches of the test's own, so that what earlier tests left on the topics does
not count.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local import Stack
from shared.clock import step_clock
from shared.events import intake, notify, review
from shared.events.catalog import EVENTS, deployed_topics, source
from shared.events.envelope import Envelope, encode
from shared.events.payload import Payload
from shared.identifiers import make_application_number, new_id
from shared.messaging.broker import connection
from shared.settings import Environment, Settings
from shared.web.session import COOKIE, Session, Signer

EXAMPLES = Path(__file__).parents[3] / "shared" / "events" / "examples"
SERVICE = "reporting"
_BRANCHES = itertools.count(8001)  # one for each test, none twice: counts must be the test's own
_PUBLISHERS = {intake.__name__: "intake", review.__name__: "review", notify.__name__: "notify"}


def example(event_type: str) -> dict[str, Any]:
    """The data of a type's golden example."""
    name, _dot, version = event_type.rpartition(".")
    path = min((EXAMPLES / name / version).glob("*.json"))
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["data"]
    return data


async def provide(stack: Stack) -> None:
    """Topics, database and roles that reporting needs, where the stack has them not yet."""
    admin = AdminClient({**stack.kafka_admin()})
    existing = set(admin.list_topics(timeout=20).topics)
    wanted = [
        NewTopic(topic.name, topic.partitions, 1)
        for topic in deployed_topics(6)
        if topic.name not in existing
        and (SERVICE in topic.readers or topic.name.startswith(SERVICE))
    ]
    if wanted:
        for made in admin.create_topics(wanted).values():
            made.result(30)
    conn = await asyncpg.connect(stack.superuser_url())
    try:
        for role in (f"{SERVICE}_owner", f"{SERVICE}_app"):
            if not await conn.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                password = stack.secret(f"postgres-{role}")
                await conn.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
        if await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = 'banka_reporting'"):
            return
        await conn.execute(f'CREATE DATABASE banka_reporting OWNER "{SERVICE}_owner"')
    finally:
        await conn.close()
    inside = await asyncpg.connect(stack.superuser_url("banka_reporting"))
    try:
        await inside.execute(f'ALTER SCHEMA public OWNER TO "{SERVICE}_owner"')
        await inside.execute(f'GRANT USAGE ON SCHEMA public TO "{SERVICE}_app"')
    finally:
        await inside.close()


def settings_of(stack: Stack, clock_file: Path) -> Settings:
    """Reporting's settings on this stack, with a clock that the test moves."""
    return Settings(
        service=SERVICE,
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        kafka_user="admin",
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
        clock_file=clock_file,
    )


@dataclass
class Bank:
    """Publishes as intake, review and notify do: binary mode, sequence per topic and subject."""

    settings: Settings
    producer: AIOKafkaProducer
    clock_file: Path
    now: datetime
    branch: str = field(default_factory=lambda: str(next(_BRANCHES)))
    region: str = "31"
    sequences: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    running: int = 0

    @classmethod
    async def open(cls, settings: Settings, clock_file: Path, now: datetime) -> Bank:
        producer = AIOKafkaProducer(**connection(settings))
        await producer.start()
        bank = cls(settings, producer, clock_file, now)
        bank.step(now)
        return bank

    async def close(self) -> None:
        await self.producer.stop()

    def step(self, now: datetime) -> None:
        """Moves the business clock."""
        self.now = now
        step_clock(self.clock_file, now)

    def application(self, **described: Any) -> str:
        """A new application, of which nothing has been told yet."""
        application_id = new_id()
        self.running += 1
        branch = described.get("branch", self.branch)
        self.identities[application_id] = {
            "application_id": application_id,
            "application_number": make_application_number(branch, self.now.date(), self.running),
            "branch": branch,
            "region": self.region,
            **described,
        }
        return application_id

    def number(self, application_id: str) -> str:
        return str(self.identities[application_id]["application_number"])

    async def tell(
        self,
        application_id: str,
        *what: type[Payload],
        at: datetime | None = None,
        origin: str = "live",
        **changes: Any,
    ) -> None:
        """Events about an application, one after the other, each with the same changes."""
        identity = self.identities[application_id]
        for one in what:
            data = example(one.type)
            known = {key: value for key, value in identity.items() if key in data}
            payload = EVENTS[one.type].model_validate({**data, **known, **changes})
            await self.publish(application_id, payload, at=at, origin=origin)

    async def publish(
        self, subject: str, payload: Any, *, at: datetime | None = None, origin: str = "live"
    ) -> None:
        publisher = source(_PUBLISHERS[type(payload).__module__])
        key = (payload.topic, publisher, subject)
        self.sequences[key] += 1
        envelope = Envelope(
            id=new_id(),
            type=payload.type,
            source=publisher,
            subject=subject,
            time=at or self.now,
            recorded_time=at or self.now,
            sequence=self.sequences[key],
            correlation_id=new_id(),
            origin="imported" if origin == "imported" else "live",
        )
        await self.producer.send_and_wait(
            payload.topic,
            payload.model_dump_json().encode(),
            key=subject.encode(),
            headers=encode(envelope),
        )

    async def staff(self, role: str, *branches: str, name: str = "林晓岚") -> dict[str, str]:
        """A member of staff, told of on banka.reference; returns their session cookie. role: one,
        or several with a blank between them."""
        staff_id = new_id()
        await self.publish(
            staff_id,
            intake.StaffChanged(
                staff_id=staff_id,
                username=f"{role.split(maxsplit=1)[0]}-{staff_id[-6:]}",
                display_name=name,
                roles=role.split(),
                branches=list(branches),
                desk="assistant",
                session_epoch=1,
            ),
        )
        signer = Signer(self.settings.secret("session-key").encode())
        return {COOKIE: signer.seal(Session.begin(staff_id, 1, time.time()))}

    async def open_branch(self, branch: str, name_zh: str, name_en: str, region: str) -> None:
        await self.publish(
            branch,
            intake.BranchChanged(branch=branch, name_zh=name_zh, name_en=name_en, region=region),
        )

    async def to_review(self, application_id: str) -> None:
        """Submitted, complete, handed to review and referred to a person."""
        await self.tell(
            application_id,
            intake.ApplicationDrafted,
            intake.ApplicationSubmitted,
            intake.PreCheckStarted,
            intake.PreCheckPassed,
            review.ChecksCompleted,
            review.ApplicationReferred,
        )

    async def decline(self, application_id: str, category: str) -> None:
        await self.to_review(application_id)
        await self.tell(application_id, review.ApplicationDeclined, category=category)

    async def later(self, **gap: float) -> None:
        self.step(self.now + timedelta(**gap))
