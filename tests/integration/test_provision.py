"""What provisioning makes on a real broker and database, and what it keeps people from."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from confluent_kafka import Consumer, KafkaError
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from deploy import local, processes
from deploy.provision import provision
from shared.events import catalog
from shared.identifiers import new_id
from shared.messaging.broker import connection
from shared.postgres.migrate import migrate, service_migrations
from shared.privacy.vault_database import migrate_vault
from shared.settings import Environment, Settings
from tests.eventually import eventually
from tests.stack import running, running_here


@pytest.fixture(scope="module")
def office() -> Iterator[local.Stack]:
    with running("provision-test", durable=False) as stack:
        yield stack


def _settings(stack: local.Stack, user: str) -> Settings:
    return Settings(
        service=user,
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_user=user,
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
    )


async def test_everything_is_made_once(office: local.Stack) -> None:
    await provision(office)
    assert await provision(office) == []
    topics = AdminClient({**office.kafka_admin()}).list_topics(timeout=20).topics
    for topic in catalog.deployed_topics(office.partitions):
        assert len(topics[topic.name].partitions) == topic.partitions


async def test_topics_of_an_earlier_version_are_set_anew(office: local.Stack) -> None:
    await provision(office)
    admin = AdminClient({**office.kafka_admin()})
    topic = ConfigResource(ResourceType.TOPIC, "banka.inbound.mobile-app")
    for name, value in (("compression.type", "producer"), ("max.message.bytes", "1048588")):
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        topic.incremental_configs = [entry]
        admin.incremental_alter_configs([topic])[topic].result(20)

    async def altered() -> bool:
        settings = admin.describe_configs([topic])[topic].result(20)
        return bool(settings["max.message.bytes"].value == "1048588")

    await eventually(altered)
    assert await provision(office) == [
        "topic banka.inbound.mobile-app: max.message.bytes 8388608",
        "topic banka.inbound.mobile-app: compression.type uncompressed",
    ]
    assert await provision(office) == []
    settings = admin.describe_configs([topic])[topic].result(20)
    assert settings["compression.type"].value == "uncompressed"


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("notify", "banka.applications"),
        ("reporting", "banka.applications"),
        ("mobile-app", "banka.inbound.card-factory"),
        ("mobile-app", "banka.applications"),
        ("review", "banka.contacts"),
    ],
)
async def test_nobody_writes_where_the_catalogue_does_not_let_them(
    office: local.Stack, user: str, topic: str
) -> None:
    await provision(office)
    producer = AIOKafkaProducer(**connection(_settings(office, user)))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"x", partition=0)
    finally:
        await producer.stop()


async def test_a_partner_writes_to_its_own_topic_and_reads_its_own_answers(
    office: local.Stack,
) -> None:
    await provision(office)
    partner = _settings(office, "mobile-app")
    asked, answer = new_id().encode(), new_id().encode()
    await _say(partner, "banka.inbound.mobile-app", asked)
    await _say(_settings(office, "intake"), "banka.outbound.mobile-app", answer)

    answers = "banka.outbound.mobile-app"
    await _await_read(partner, answers, answer, group="mobile-app.answers")
    # and what it said arrived where it is read
    await _await_read(_settings(office, "intake"), "banka.inbound.mobile-app", asked)


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("mobile-app", "banka.outbound.card-factory"),
        ("mobile-app", "banka.inbound.card-factory"),
        ("mobile-app", "banka.applications"),
        ("card-factory", "banka.outbound.mobile-app"),
        ("reporting", "banka.inbound.mobile-app"),
        ("notify", "banka.review"),
    ],
)
async def test_nobody_reads_where_the_catalogue_does_not_let_them(
    office: local.Stack, user: str, topic: str
) -> None:
    await provision(office)
    answer = await asyncio.to_thread(_look, office, user, topic)
    assert answer == KafkaError.TOPIC_AUTHORIZATION_FAILED


async def test_who_may_read_a_topic_is_not_refused(office: local.Stack) -> None:
    await provision(office)
    for user, topic in (
        ("card-factory", "banka.outbound.card-factory"),
        ("reporting", "banka.cases"),
    ):
        assert await asyncio.to_thread(_look, office, user, topic) == KafkaError._PARTITION_EOF


def _look(stack: local.Stack, user: str, topic: str) -> int:
    """The broker's code for who reads a topic that holds nothing, or from which they are kept.
    librdkafka's: aiokafka asks again for ever."""
    settings = stack.kafka_admin(user) | {
        "group.id": f"{user}.{topic}",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
    }
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        found = consumer.poll(30)
        assert found is not None
        assert found.error() is not None
        return int(found.error().code())
    finally:
        consumer.close()


async def _say(settings: Settings, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(**connection(settings), enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"k")
    finally:
        await producer.stop()


async def _await_read(
    settings: Settings, topic: str, value: bytes, *, group: str | None = None
) -> None:
    """Read the topic from its beginning, as a member of `group` if one is named, up to `value`."""
    consumer = AIOKafkaConsumer(
        topic, **connection(settings), group_id=group, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:

        async def heard() -> bool:
            found = await consumer.getmany(timeout_ms=500)
            return any(record.value == value for records in found.values() for record in records)

        await eventually(heard)
    finally:
        await consumer.stop()


async def test_a_group_of_somebody_else_is_refused(office: local.Stack) -> None:
    await provision(office)
    consumer = AIOKafkaConsumer(
        "banka.outbound.mobile-app",
        **connection(_settings(office, "mobile-app")),
        group_id="intake.applications",
    )
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.start()
    finally:
        await consumer.stop()


async def test_a_service_reaches_its_own_database_alone(office: local.Stack) -> None:
    await provision(office)
    address = office.postgres_dsn.removeprefix("postgresql://")
    password = office.secret("postgres-notify_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"postgresql://notify_app:{password}@{address}/banka_review")
    for database in ("banka_notify", "banka_vault"):
        conn = await asyncpg.connect(f"postgresql://notify_app:{password}@{address}/{database}")
        await conn.close()
    reporting = office.secret("postgres-reporting_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"postgresql://reporting_app:{reporting}@{address}/banka_vault")


async def test_what_was_said_cannot_be_rewritten(office: local.Stack) -> None:
    await provision(office)
    await migrate(_settings(office, "notify"), "notify")
    address = office.postgres_dsn.removeprefix("postgresql://")
    password = office.secret("postgres-notify_app")
    conn = await asyncpg.connect(f"postgresql://notify_app:{password}@{address}/banka_notify")
    try:
        assert await conn.fetchval("SELECT count(*) FROM messaging.event_log") == 0
        for statement in (
            "UPDATE messaging.event_log SET body = ''",
            "DELETE FROM messaging.event_log",
            "DELETE FROM messaging.audit",
            "CREATE TABLE public.mine (x int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
    finally:
        await conn.close()


async def test_a_service_starts_on_the_schema_of_a_release_that_comes_after_it(
    office: local.Stack, tmp_path: Path
) -> None:
    await provision(office)
    await migrate_vault(_settings(office, "intake"))
    newer = tmp_path / "migrations"
    shutil.copytree(service_migrations("notify"), newer)
    ours = len(list(newer.iterdir()))
    for number in range(ours + 1, ours + 4):
        (newer / f"{number:04d}_more.sql").write_text(f"CREATE TABLE more_{number} (id int);")
    await migrate(_settings(office, "notify"), "notify", folder=newer)
    # its own `migrate` runs before it, as where somebody goes back to the release before
    test = {"BANKA_ENVIRONMENT": "test"}
    async with processes.running(office, names=["notify"], extra_env=test) as running:
        assert running.running == ["notify"]
    number = ours + 4
    (newer / f"{number:04d}_less.sql").write_text(
        f"-- needs {number - 1:04d}\nDROP TABLE more_{number - 1};"
    )
    await migrate(_settings(office, "notify"), "notify", folder=newer)
    with pytest.raises(local.StackProblem, match="notify ended"):
        async with processes.running(office, names=["notify"], extra_env=test, migrate=False):
            pass
    said = (office.logs / "notify.log").read_text(encoding="utf-8")
    assert f"needs one that knows {number - 1:04d}" in said


def test_a_stack_keeps_its_state_and_leaves_nothing_behind() -> None:
    with running_here("restart-test") as stack:
        local.down(stack.name)
        assert {line.state for line in local.status(stack.name)} == {"stopped"}
        again = local.up(stack.name)
        assert again.kafka_bootstrap == stack.kafka_bootstrap
        assert {line.state for line in local.status(stack.name)} == {"running"}

        for line in local.status(stack.name):
            assert line.pid is not None
            os.kill(line.pid, signal.SIGKILL)
        # a signal takes its time to arrive; `up` in between finds them running
        end = time.monotonic() + 60
        while {line.state for line in local.status(stack.name)} != {"died"}:
            assert time.monotonic() < end
            time.sleep(0.01)
        local.up(stack.name)
        assert {line.state for line in local.status(stack.name)} == {"running"}
