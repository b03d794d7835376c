"""Makes on a broker and a database server what the catalogue says: topics, users, databases.

May be run again at any time; it adds what is missing, sets topics to what they are to be, and takes
nothing away. A right is given to
one user for one topic or group and for what they do with it, never more: nobody but the
administrator may make a topic.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.local import Stack
from deploy.secret_files import ADMIN, kafka_users, postgres_roles
from shared.events import catalog
from shared.postgres.pool import app_role, database_of, owner_role
from shared.privacy.vault import VAULT_DATABASE
from shared.privacy.vault_database import VAULT_OWNER

# reporting has no key to personal data
_VAULT_VISITORS = ("intake", "review", "notify")
_TIMEOUT = 30.0
_SCRAM_ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Right:
    """One user may do one thing to one topic or to the groups that begin with a name."""

    user: str
    operation: str  # READ | WRITE | DESCRIBE
    kind: str  # topic | group
    name: str
    prefixed: bool = False


def rights(partitions: int = catalog.PARTITIONS) -> Iterator[Right]:
    """Every right that the catalogue gives."""
    for topic in catalog.deployed_topics(partitions):
        for user in topic.writers:
            yield Right(user, "WRITE", "topic", topic.name)
            yield Right(user, "DESCRIBE", "topic", topic.name)
            # a publisher compares the end of its topic with its own log before it publishes
            if user in catalog.SERVICES and not topic.holds_dead_letters:
                yield Right(user, "READ", "topic", topic.name)
        for user in topic.readers:
            yield Right(user, "READ", "topic", topic.name)
            yield Right(user, "DESCRIBE", "topic", topic.name)
    for user in (*catalog.SERVICES, *(partner.name for partner in catalog.PARTNERS)):
        yield Right(user, "READ", "group", f"{user}.", prefixed=True)


async def provision(stack: Stack) -> list[str]:
    """Make everything; returns one line for each thing that was missing or otherwise.

    Raises KafkaException or asyncpg.PostgresError where a server refuses.
    """
    admin = AdminClient({**stack.kafka_admin()})
    lines = _topics(admin, stack.partitions)
    if stack.kafka_security != "PLAINTEXT":
        lines += _users(admin, stack)
        _rights(admin, stack.partitions)
    return lines + await _databases(stack)


def _topics(admin: Any, partitions: int) -> list[str]:
    found = admin.list_topics(timeout=_TIMEOUT)
    wanted = catalog.deployed_topics(partitions)
    # Kafka's own default is one copy, which a cluster's administrator may have left as it is
    room = copies(len(found.brokers))
    missing = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=room,
            config=topic_settings(topic, room),
        )
        for topic in wanted
        if topic.name not in found.topics
    ]
    if missing:
        _settle(admin.create_topics(missing, operation_timeout=_TIMEOUT).values())
    present = {
        topic: min(len(part.replicas) for part in found.topics[topic.name].partitions.values())
        for topic in wanted
        if topic.name in found.topics
    }
    return [
        *(f"topic {topic.topic}" for topic in missing),
        *_alter_topics(admin, present),
        *_too_few_copies(present, room),
    ]


def copies(brokers: int) -> int:
    """On how many of so many brokers each topic lies."""
    return min(brokers, 3)


def least_in_sync(number: int) -> int:
    """How many of a topic's brokers have a fact before it counts as published: one may be away."""
    return max(number - 1, 1)


def topic_settings(topic: catalog.DeployedTopic, number: int = 1) -> dict[str, str]:
    """What a topic that lies on so many brokers is set to, by Kafka's names."""
    return {
        "retention.ms": str(topic.retention_ms),
        "min.insync.replicas": str(least_in_sync(number)),
        "max.message.bytes": str(catalog.MAX_MESSAGE_BYTES),
        # a partner's producer may compress as it likes: the broker unpacks it, so that no service
        # needs a codec, and nothing unpacks to more than a message may have
        "compression.type": "uncompressed",
    }


def _too_few_copies(present: Mapping[catalog.DeployedTopic, int], room: int) -> list[str]:
    """Said each time until somebody moves them: that is not done while facts flow, unasked."""
    return [
        f"topic {topic.name}: on {number} of {room} brokers; kafka-reassign-partitions moves it"
        for topic, number in present.items()
        if number < room
    ]


def _alter_topics(admin: Any, topics: Mapping[catalog.DeployedTopic, int]) -> list[str]:
    """Set what an earlier version made otherwise; one line for each setting that was changed.

    topics: {topic: on how many brokers it lies}
    """
    lines, changes = [], []
    resources = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in topics}
    found = admin.describe_configs(list(resources), request_timeout=_TIMEOUT) if topics else {}
    for resource, answer in found.items():
        topic, settings = resources[resource], answer.result(_TIMEOUT)
        different = {
            name: value
            for name, value in topic_settings(topic, topics[topic]).items()
            if settings[name].value != value
        }
        if different:
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in different.items()
            ]
            changes.append(
                ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)
            )
            lines += [f"topic {topic.name}: {name} {value}" for name, value in different.items()]
    if changes:
        _settle(admin.incremental_alter_configs(changes, request_timeout=_TIMEOUT).values())
    return lines


def _users(admin: Any, stack: Stack) -> list[str]:
    wanted = [user for user in kafka_users() if user != ADMIN]
    missing = _unknown(admin, wanted)
    if missing:
        changes = [
            UserScramCredentialUpsertion(
                user,
                ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _SCRAM_ITERATIONS),
                stack.secret(f"kafka-{user}").encode(),
            )
            for user in missing
        ]
        _settle(admin.alter_user_scram_credentials(changes).values())
        _await_users(admin, missing)
    return [f"user {user}" for user in missing]


def _await_users(admin: Any, users: list[str]) -> None:
    """The controller answers before the brokers know: wait until they do."""
    end = time.monotonic() + _TIMEOUT
    while unknown := _unknown(admin, users):
        if time.monotonic() > end:
            raise KafkaException(f"the broker does not know {', '.join(unknown)} yet; try again")
        time.sleep(0.05)


def _unknown(admin: Any, users: list[str]) -> list[str]:
    unknown = []
    for user, answer in admin.describe_user_scram_credentials(users).items():
        try:
            answer.result(_TIMEOUT)
        except KafkaException as problem:
            if problem.args[0].code() != KafkaError.RESOURCE_NOT_FOUND:
                raise
            unknown.append(user)
    return unknown


def _rights(admin: Any, partitions: int) -> None:
    bindings = {
        AclBinding(
            ResourceType.TOPIC if right.kind == "topic" else ResourceType.GROUP,
            right.name,
            ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL,
            f"User:{right.user}",
            "*",
            AclOperation[right.operation],
            AclPermissionType.ALLOW,
        )
        for right in rights(partitions)
    }
    _settle(admin.create_acls(list(bindings), request_timeout=_TIMEOUT).values())


def _settle(futures: Iterable[Any]) -> None:
    for future in futures:
        future.result(_TIMEOUT)


async def _databases(stack: Stack) -> list[str]:
    made: list[str] = []
    server = await asyncpg.connect(stack.superuser_url())
    try:
        for role in postgres_roles():
            if await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) is None:
                await _execute(
                    server,
                    "CREATE ROLE %I LOGIN PASSWORD %L",
                    role,
                    stack.secret(f"postgres-{role}"),
                )
                made.append(f"role {role}")
        owners = {database_of(service): owner_role(service) for service in catalog.SERVICES}
        visitors = {database_of(service): [app_role(service)] for service in catalog.SERVICES}
        owners[VAULT_DATABASE] = VAULT_OWNER
        visitors[VAULT_DATABASE] = [app_role(service) for service in _VAULT_VISITORS]
        for database, owner in owners.items():
            if await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                continue
            await _execute(server, "CREATE DATABASE %I OWNER %I", database, owner)
            await _execute(server, "REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC", database)
            for visitor in visitors[database]:
                await _execute(server, "GRANT CONNECT ON DATABASE %I TO %I", database, visitor)
            inside = await asyncpg.connect(stack.superuser_url(database))
            try:
                await _execute(inside, "ALTER SCHEMA public OWNER TO %I", owner)
                for visitor in visitors[database]:
                    await _execute(inside, "GRANT USAGE ON SCHEMA public TO %I", visitor)
            finally:
                await inside.close()
            made.append(f"database {database}")
    finally:
        await server.close()
    return made


async def _execute(conn: Any, template: str, *names: str) -> None:
    """DDL takes no parameters: the server itself quotes the names into the statement."""
    places = ", ".join(f"${n}::text" for n in range(2, len(names) + 2))
    await conn.execute(await conn.fetchval(f"SELECT format($1, {places})", template, *names))
