"""The broker and the database that tests run against: real ones, started here and removed again.

`BANKA_TEST_STACK` chooses how: `docker` starts the deployment's images by testcontainers, `local`
the checkout's own programs. Without it Docker is taken where it answers and has the images.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy import local
from deploy.rollout import admit_administrator, broker_files
from deploy.secret_files import ADMIN, SUPERUSER, make_secrets, read_secret
from tests.eventually import eventually

KAFKA_IMAGE, POSTGRES_IMAGE = "apache/kafka:4.3.1", "postgres:18"
WAYS = ("docker", "local")
_START_SECONDS = 90.0
_ANSWER = 30.0  # seconds


@contextmanager
def running(name: str, *, partitions: int = 6, durable: bool = True) -> Iterator[local.Stack]:
    """A stack with fresh state while the block runs. `durable`: see `local.up`; what measures, and
    what kills a server, waits for the disk as a deployment does.

    `BANKA_STACK` names one that is up already, such as a developer's, and is then left as it is.
    """
    mine = os.environ.get("BANKA_STACK")
    if mine:
        yield local.up(mine, partitions=partitions)
        return
    if way() == "docker":
        with _in_containers(name, partitions) as stack:
            yield stack
        return
    with running_here(name, partitions=partitions, durable=durable) as stack:
        yield stack


@contextmanager
def running_here(name: str, *, partitions: int = 6, durable: bool = True) -> Iterator[local.Stack]:
    """A fresh stack of the checkout's own programs, whatever `BANKA_TEST_STACK` says."""
    local.purge(name)
    try:
        yield local.up(name, partitions=partitions, durable=durable)
    finally:
        local.purge(name)


async def empty(stack: local.Stack) -> None:
    """Takes topics, groups and databases away, so that what follows begins as on a fresh stack,
    which would take longer to start. Nobody may be at work on them; users and roles stay."""
    admin = AdminClient({**stack.kafka_admin()})

    def topics() -> list[str]:
        known = admin.list_topics(timeout=_ANSWER).topics
        return [name for name in known if name.startswith("banka.")]

    groups = [one.group_id for one in admin.list_consumer_groups().result(_ANSWER).valid]
    if groups:
        for gone in admin.delete_consumer_groups(groups).values():
            gone.result(_ANSWER)
    if left := topics():
        for gone in admin.delete_topics(left, operation_timeout=_ANSWER).values():
            gone.result(_ANSWER)

    async def gone_everywhere() -> bool:
        return not topics()

    await eventually(gone_everywhere)
    server = await asyncpg.connect(stack.superuser_url())
    try:
        for row in await server.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, 'banka_')"
        ):
            await server.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
    finally:
        await server.close()


@cache
def way() -> str:
    """`docker` or `local`; raises ValueError for anything else in `BANKA_TEST_STACK`."""
    chosen = os.environ.get("BANKA_TEST_STACK", "")
    if not chosen:
        return "docker" if _docker_is_ready() else "local"
    if chosen not in WAYS:
        raise ValueError(f"BANKA_TEST_STACK is {chosen!r}; it may be {' or '.join(WAYS)}")
    return chosen


def _docker_is_ready() -> bool:
    import docker

    try:
        client = docker.from_env(timeout=5)
        try:
            for image in (KAFKA_IMAGE, POSTGRES_IMAGE):
                client.images.get(image)
        finally:
            client.close()
    except docker.errors.DockerException:  # no engine, or an image that it does not have
        return False
    return True


@contextmanager
def _in_containers(name: str, partitions: int) -> Iterator[local.Stack]:
    """The deployment's broker and database, on ports of their own on loopback."""
    # the library's reaper is one more image to have; ours carry names, and go before the next run
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    folder = local.folder_of(name)
    local.purge(name)
    for part in (folder / "logs", folder / "documents"):
        part.mkdir(parents=True)
    secrets = folder / "secrets"
    make_secrets(secrets)
    client, admin, database = (f"{local.HOST}:{local.free_port()}" for _ in range(3))
    stack = local.Stack(
        name=name,
        folder=folder,
        kafka_bootstrap=client,
        kafka_security="SASL_PLAINTEXT",
        postgres_dsn=f"postgresql://{database}",
        secrets_dir=secrets,
        partitions=partitions,
    )
    password = read_secret(secrets, f"kafka-{ADMIN}")
    with tempfile.TemporaryDirectory() as configuration:
        # read by the image's own user
        Path(configuration).chmod(0o755)
        for file, content in broker_files(password, client=client, admin=admin).items():
            (Path(configuration) / file).write_text(content)
        broker = (
            DockerContainer(KAFKA_IMAGE)
            .with_name(f"banka-{name}-kafka")
            .with_volume_mapping(configuration, "/mnt/shared/config", "ro")
            .with_env("KAFKA_HEAP_OPTS", "-Xms128m -Xmx512m")
        )
        # the same port inside and outside: the broker calls itself by the address that it tells
        for address in (client, admin):
            port = int(address.rpartition(":")[2])
            broker.ports[port] = (local.HOST, port)
        server = (
            DockerContainer(POSTGRES_IMAGE)
            .with_name(f"banka-{name}-postgres")
            .with_env("POSTGRES_PASSWORD", read_secret(secrets, f"postgres-{SUPERUSER}"))
            .with_env(
                "POSTGRES_INITDB_ARGS",
                "--encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8",
            )
            .with_command("postgres -c jit=off -c max_connections=300 -c fsync=off")
        )
        server.ports[5432] = (local.HOST, int(database.rpartition(":")[2]))
        for container in (broker, server):
            _remove_left(str(container._name))
        with server, broker:
            _admit(password, admin, broker)
            local.await_servers(stack)
            try:
                yield stack
            finally:
                local.purge(name)


def _admit(password: str, listener: str, broker: Any) -> None:
    """Wait until the broker takes the administrator's log-in."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            return admit_administrator(password, listener)
        except (KafkaException, TimeoutError) as problem:  # the latter: nothing is said in time
            if time.monotonic() > end:
                said = b"".join(broker.get_logs())[-2000:].decode(errors="replace")
                raise TimeoutError(f"{KAFKA_IMAGE} does not answer: {problem}\n{said}") from None
            time.sleep(0.5)


def _remove_left(name: str) -> None:
    """What a run that was killed left under this name."""
    import docker

    client = docker.from_env()
    try:
        client.containers.get(name).remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
    finally:
        client.close()
