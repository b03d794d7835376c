"""How an operator's command reaches the database and the broker of a service that runs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from deploy import local
from shared.events.catalog import SERVICES
from shared.messaging.errors import one_line
from shared.postgres.pool import connect
from shared.redrive import CannotRedrive
from shared.settings import Settings, SettingsError, load_settings

T = TypeVar("T")

Service = Annotated[str, typer.Argument(help=", ".join(SERVICES))]
Why = Annotated[str, typer.Option("--why", help="kept in the audit trail")]
Who = Annotated[str, typer.Option("--who", help="who decides; default: the user of this machine")]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="the stack; default: BANKA_STACK, else the only one that runs, else `default`."
        " Where BANKA_POSTGRES_DSN is set (in a deployment), the servers that it names.",
    ),
]
Database = Annotated[str | None, typer.Option("--database", hidden=True)]


def with_service(
    service: str,
    name: str | None,
    database: str | None,
    work: Callable[[Any, Settings], Awaitable[T]],
) -> T:
    """Do something on a service's database, as the service; what goes wrong in a known way is one
    line and exit code 1."""
    if service not in SERVICES:
        _end(f"{service} is no service: {', '.join(SERVICES)}")

    async def alone(conns: Mapping[str, Any]) -> T:
        return await work(conns[service], load_settings(service))

    return with_services({service: database}, name, alone)


def with_services(
    databases: Mapping[str, str | None],
    name: str | None,
    work: Callable[[Mapping[str, Any]], Awaitable[T]],
) -> T:
    """The same on several services' databases, each as its service. databases: {service: name of
    its database, or None for the usual one}."""
    # what it cannot do is said in one line, and what it tries again is nobody's trouble
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if name or not os.environ.get("BANKA_POSTGRES_DSN"):
        os.environ.update(local.attach(name or running_stack()).environment())

    async def run() -> T:
        async with AsyncExitStack() as opened:
            conns = {}
            for service, database in databases.items():
                settings = load_settings(service)
                conn = await connect(settings, service, database=database, patient=True)
                opened.push_async_callback(conn.close)
                conns[service] = conn
            return await work(conns)

    try:
        return asyncio.run(run())
    except (CannotRedrive, SettingsError) as refusal:
        _end(str(refusal))
    except (OSError, asyncpg.PostgresError, KafkaError) as error:
        _end(one_line(error))


def running_stack() -> str | None:
    """The name of the only stack that runs; None (the usual name) where there is no such one."""
    if os.environ.get("BANKA_STACK"):
        return None
    running = [
        name
        for name in local.names()
        if all(line.state == "running" for line in local.status(name))
    ]
    if len(running) > 1 and local.DEFAULT not in running:
        raise local.StackProblem(f"several stacks run: choose by --name {' | '.join(running)}")
    return running[0] if len(running) == 1 else None


def _end(line: str) -> NoReturn:
    typer.echo(f"banka: {line}", err=True)
    raise typer.Exit(1)
