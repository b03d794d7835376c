"""The kernel alone: how fast a relay empties an outbox, and a consumer builds a read model from
what is on the topic already, as a rebuild does. Each runs by itself, in this process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from deploy.local import Stack
from deploy.provision import provision
from shared.clock import SystemClock
from shared.messaging import Consumer, Fact, Service
from shared.messaging.broker import fetch_cluster
from shared.messaging.outbox import Cause, Outbox, Wanted
from shared.postgres.pool import open_pool
from tests.bench.plain import make_topics
from tests.bench.thin import (
    CONTACTS,
    MessageRequested,
    ReadModel,
    counting,
    make_database,
    settings_of,
)
from tests.bench.workload import MIGRATIONS

SERVICE, DATABASE = "notify", "thin_alone"
AT_ONCE = 500  # facts in one transaction
PER_SUBJECT = 5
POLL_SECONDS = 0.02


async def kernel_alone(stack: Stack, events: int) -> dict[str, float]:
    """{"relayed": rows a second, "applied": events a second}."""
    await provision(stack)
    make_topics(stack, (CONTACTS,))
    settings = settings_of(stack)
    await make_database(stack, SERVICE, DATABASE)
    pool = await open_pool(settings, SERVICE, database=DATABASE)
    outbox = Outbox(f"/banka/{SERVICE}", (await fetch_cluster(settings)).topics)
    payload = MessageRequested(about="submitted")
    for first in range(0, events, AT_ONCE):
        wanted = [
            Wanted(Fact(payload), f"alone-{nth // PER_SUBJECT}", Cause())
            for nth in range(first, min(first + AT_ONCE, events))
        ]
        async with pool.acquire() as conn, conn.transaction():
            await outbox.write(conn, wanted, datetime.now(UTC))

    async def left() -> int:
        return int(await pool.fetchval("SELECT count(*) FROM messaging.outbox"))

    async def unapplied() -> int:
        return events - int(
            await pool.fetchval("SELECT coalesce(sum(next), 0) FROM messaging.consumer_offset")
        )

    try:
        return {
            "relayed": await _rate(_service(stack, ()), left, events),
            "applied": await _rate(_service(stack, (_consumer(),)), unapplied, events),
        }
    finally:
        await pool.close()


def _service(stack: Stack, consumers: tuple[Consumer, ...]) -> Service:
    return Service(
        name=SERVICE,
        settings=settings_of(stack),
        clock=SystemClock(),
        consumers=consumers,
        database=DATABASE,
        migrations=MIGRATIONS,
    )


def _consumer() -> Consumer:
    return Consumer(
        name="thin-alone.contacts",
        topic=CONTACTS,
        store=ReadModel(),
        handlers={MessageRequested: counting("message-requested")},
    )


async def _rate(service: Service, left: Callable[[], Awaitable[int]], events: int) -> float:
    """Of what is done between the first sign of life and the end."""
    await asyncio.gather(service.start(), _wait(left, events - 1))
    begun, first = time.monotonic(), await left()
    await _wait(left, 0)
    took = time.monotonic() - begun
    await service.stop()
    return first / took if first else float("inf")


async def _wait(left: Callable[[], Awaitable[int]], most: int) -> None:
    while await left() > most:  # noqa: ASYNC110 - a database wakes nobody
        await asyncio.sleep(POLL_SECONDS)
