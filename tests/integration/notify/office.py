"""The office around notify in its tests: intake's and review's events, sealed customers, gateways,
staff."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.demo.message_gateways import Gateways, create_app, start_mail
from deploy.local import Stack
from shared.clock import step_clock
from shared.events import intake, review
from shared.events.catalog import deployed_topics, source
from shared.events.envelope import Envelope, decode, encode
from shared.events.payload import FIELD_CLASSES, Party, PartyRole
from shared.identifiers import make_application_number, new_id
from shared.messaging.broker import connection
from shared.privacy.vault import Vault
from shared.privacy.vault_database import migrate_vault, open_vault
from shared.settings import Environment, Settings
from shared.web.session import COOKIE, Session, Signer
from tests.eventually import eventually

SERVICE = "notify"
PARTITIONS = 6
NAME, MOBILE, EMAIL = "诸葛小明", "13900001234", "liang@customer.example"
_BRANCHES = itertools.count(8000)  # one for each test, none twice: counts are the test's own
_ROLES = ("notify_owner", "notify_app", "vault_owner", "intake_app", "review_app")


async def provide(stack: Stack) -> None:
    """Topics, databases and roles that notify needs, where the stack has them not yet."""
    admin = AdminClient({**stack.kafka_admin()})
    existing = set(admin.list_topics(timeout=20).topics)
    wanted = [
        NewTopic(topic.name, topic.partitions, 1)
        for topic in deployed_topics(PARTITIONS)
        if topic.name not in existing and (SERVICE in topic.readers or SERVICE in topic.writers)
    ]
    if wanted:
        for made in admin.create_topics(wanted).values():
            made.result(30)
    conn = await asyncpg.connect(stack.superuser_url())
    try:
        for role in _ROLES:
            if not await conn.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                password = stack.secret(f"postgres-{role}")
                await conn.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
        for database, owner in (("banka_notify", "notify_owner"), ("banka_vault", "vault_owner")):
            if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await conn.execute(f'CREATE DATABASE {database} OWNER "{owner}"')
    finally:
        await conn.close()
    inside = await asyncpg.connect(stack.superuser_url("banka_notify"))
    try:
        await inside.execute('ALTER SCHEMA public OWNER TO "notify_owner"')
        await inside.execute('GRANT USAGE ON SCHEMA public TO "notify_app"')
    finally:
        await inside.close()


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the gateways listen."""

    http: int
    smtp: int


@asynccontextmanager
async def listening(gateways: Gateways) -> AsyncIterator[Ports]:
    """The gateways on free ports, in this process."""
    config = uvicorn.Config(create_app(gateways), port=0, log_config=None, access_log=False)
    http = uvicorn.Server(config)
    serving = asyncio.create_task(http.serve())

    async def started() -> bool:
        return http.started

    await eventually(started)
    mail = await start_mail(gateways, "127.0.0.1", 0)
    try:
        yield Ports(http.servers[0].sockets[0].getsockname()[1], mail.sockets[0].getsockname()[1])
    finally:
        mail.close()
        http.should_exit = True
        await serving


def settings_of(stack: Stack, clock_file: Path, ports: Ports) -> Settings:
    """Notify's settings on this stack, with a clock that the test moves."""
    return Settings(
        service=SERVICE,
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        kafka_user="admin",
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
        clock_file=clock_file,
        sms_url=f"http://127.0.0.1:{ports.http}",
        app_message_url=f"http://127.0.0.1:{ports.http}",
        smtp_host="127.0.0.1",
        smtp_port=ports.smtp,
    )


@dataclass
class Customer:
    """An applicant with one application."""

    application_id: str
    about: dict[str, Any]
    party: Party
    person: str


@dataclass
class Office:
    """Publishes as intake and review do, and reads what notify publishes."""

    settings: Settings
    producer: AIOKafkaProducer
    vault: Vault
    clock_file: Path
    now: datetime
    branch: str = field(default_factory=lambda: f"{next(_BRANCHES)}")
    sequences: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    running: int = field(default_factory=lambda: random.randint(1, 80_000))
    published: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, clock_file: Path, now: datetime
    ) -> AsyncIterator[Office]:
        await migrate_vault(settings)
        vault, pool = await open_vault(settings, "intake")
        producer = AIOKafkaProducer(**connection(settings))
        await producer.start()
        office = cls(settings, producer, vault, clock_file, now)
        office.step(now)
        try:
            yield office
        finally:
            await producer.stop()
            await pool.close()

    def step(self, now: datetime) -> None:
        """Moves the business clock."""
        self.now = now
        step_clock(self.clock_file, now)

    async def customer(
        self, *, name: str = NAME, mobile: str = MOBILE, email: str = "", channel: str = "web"
    ) -> Customer:
        """Somebody who has begun an application."""
        application_id = new_id()
        keys = await self.vault.new_party(application_id, mobile=mobile or None)
        fields = {"name": name, "mobile": mobile, "email": email, "salutation": "mr"}
        sealed = keys.seal_fields({k: v for k, v in fields.items() if v}, FIELD_CLASSES)
        self.running += 1
        about = {
            "application_id": application_id,
            "application_number": make_application_number(
                self.branch, self.now.date(), self.running
            ),
            "branch": self.branch,
            "region": "31",
            "channel": channel,
            "product": "standard",
            "product_version": "2026.1",
            "applicant_type": "salaried",
        }
        party = Party(
            party_id=keys.party_id,
            person=keys.person,
            role=PartyRole.APPLICANT,
            fields=sealed,
        )
        customer = Customer(application_id, about, party, keys.person)
        await self.tell(customer, intake.ApplicationDrafted)
        return customer

    async def submit(self, customer: Customer, *, origin: str = "live") -> None:
        await self.tell(
            customer,
            intake.ApplicationSubmitted,
            origin=origin,
            parties=[customer.party],
            new_to_bank=True,
            age_band="26-35",
            income_band="unknown",
        )
        await self.tell(customer, intake.PreCheckStarted, origin=origin)

    async def decline(self, customer: Customer) -> None:
        """Submitted, complete, checked and declined."""
        await self.submit(customer)
        await self.tell(
            customer,
            intake.PreCheckPassed,
            parties=[customer.party],
            consent={"signed_at": self.now, "purpose": "信用卡审批"},
            documents=[],
            new_to_bank=True,
            age_band="26-35",
            income_band="unknown",
            submitted_at=self.now,
        )
        await self.tell(customer, review.ChecksCompleted)
        await self.tell(
            customer,
            review.ApplicationDeclined,
            decision_id=new_id(),
            reason_codes=[],
            policy_version="1",
            policy_digest="x",
            automatic=False,
            decided_by=["s1", "s2"],
            category="credit_history",
            reapply_from="2027-02-10",
        )

    async def tell(
        self, customer: Customer, kind: type[Any], *, origin: str = "live", **more: Any
    ) -> None:
        """An event about the customer's application."""
        publisher = "review" if kind.__module__ == review.__name__ else "intake"
        payload = kind.model_validate({**customer.about, **more})
        await self.publish(publisher, customer.application_id, payload, origin)

    async def publish(
        self, publisher: str, subject: str, payload: Any, origin: str = "live"
    ) -> None:
        key = (payload.topic, publisher, subject)
        self.sequences[key] += 1
        envelope = Envelope(
            id=new_id(),
            type=payload.type,
            source=source(publisher),
            subject=subject,
            time=self.now,
            recorded_time=self.now,
            sequence=self.sequences[key],
            correlation_id=new_id(),
            origin="imported" if origin == "imported" else "live",
        )
        record = {
            "topic": payload.topic,
            "value": payload.model_dump_json().encode(),
            "key": subject.encode(),
            "headers": encode(envelope),
        }
        self.published.append(record)
        await self.producer.send_and_wait(**record)

    async def publish_all_again(self) -> None:
        """Everything this office ever said, a second time, byte for byte."""
        for record in list(self.published):
            await self.producer.send_and_wait(**record)

    async def staff(self, role: str, *branches: str, name: str = "林晓岚") -> dict[str, str]:
        """A member of staff, told of on banka.reference; returns their session cookie. role: one,
        or several with a blank between them."""
        staff_id = new_id()
        await self.publish(
            "intake",
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

    async def contacts(self, application_id: str) -> list[tuple[str, int | None, dict[str, Any]]]:
        """What notify has published about an application: (type, sequence, data), in order."""
        consumer = AIOKafkaConsumer(
            **connection(self.settings), auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [TopicPartition("banka.contacts", part) for part in range(PARTITIONS)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            found = []
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        envelope, body = decode(record.headers, record.value)
                        if envelope.subject == application_id:
                            kind = envelope.type.removeprefix("banka.message.")
                            found.append(
                                (kind.removesuffix(".v1"), envelope.sequence, json.loads(body))
                            )
            return found
        finally:
            await consumer.stop()
