"""The database's clock was set back: what was to wait a moment does not wait until it has come
round again. A moment an hour ahead is what a clock leaves behind that was set back by an hour."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from shared.messaging import Call, ClaimedCall, Deadline, Deadlines, Result, Succeeded, Worker
from tests.eventually import eventually
from tests.integration.messaging.ledger import (
    Ledger,
    LedgerStore,
    Moods,
    Noted,
    World,
    consumer,
    running,
)

LEASE = "lease_owner = gen_random_uuid(), lease_until"
AN_HOUR_AHEAD = "clock_timestamp() + interval '1 hour'"


async def _answers(world: World, database: str) -> list[str]:
    rows = await world.rows(database, "SELECT answers FROM ledger")
    return [answer for row in rows for answer in row["answers"]]


def _worker(**parts: Any) -> Worker:
    async def call(call: ClaimedCall) -> Result:
        return Succeeded({"attempt": call.attempt})

    def on_result(result: Any, state: Ledger, now: datetime) -> list[Any]:
        state.answers.append(f"attempt {result.value['attempt']}")
        return []

    return Worker(kind="bureau", store=LedgerStore(), call=call, on_result=on_result, **parts)


@pytest.mark.parametrize(
    ("left", "answer"),
    [
        (f"state = 'open', retry_at = {AN_HOUR_AHEAD}", "attempt 1"),
        (f"state = 'leased', attempt = 1, {LEASE} = {AN_HOUR_AHEAD}", "attempt 2"),
    ],
)
async def test_a_call_is_made_that_waits_or_is_leased_until_an_hour_ahead(
    world: World, left: str, answer: str
) -> None:
    database = await world.database()
    async with running(world.service(database)) as asking:
        await asking.execute(LedgerStore(), "A", lambda s, n: [Call("bureau", "k", {})])
    await world.do(database, f"UPDATE messaging.call SET {left}")
    async with running(world.service(database, workers=[_worker()])):

        async def answered() -> bool:
            return await _answers(world, database) == [answer]

        await eventually(answered)


async def test_a_lease_of_somebody_alive_holds(world: World) -> None:
    database = await world.database()
    async with running(world.service(database)) as asking:
        await asking.execute(LedgerStore(), "A", lambda s, n: [Call("bureau", "k1", {})])
        await world.do(
            database,
            f"UPDATE messaging.call SET state = 'leased', attempt = 1,"
            f" {LEASE} = clock_timestamp() + interval '60 seconds'",
        )
        await asking.execute(LedgerStore(), "A", lambda s, n: [Call("bureau", "k2", {})])
    async with running(world.service(database, workers=[_worker(timeout=60)])):

        async def other_made() -> bool:
            return bool(await _answers(world, database))

        await eventually(other_made)
    rows = await world.rows(database, "SELECT key, state FROM messaging.call ORDER BY key")
    assert [tuple(row) for row in rows] == [("k1", "leased"), ("k2", "done")]


async def test_a_failed_event_is_tried_again_that_waits_until_an_hour_ahead(world: World) -> None:
    topic, database, moods = world.topic("notes", 1), await world.database(), Moods()
    reading = consumer(topic, moods, f"g.{world.tag}")
    moods.transient_left = 99
    async with running(world.service(database, consumers=[reading])):
        await world.send(topic, "A", Noted(number=1, mood="flaky"), 1)

        async def blocked() -> bool:
            return bool(await world.rows(database, "SELECT 1 FROM messaging.blocked_key"))

        await eventually(blocked)
    moods.transient_left = 0
    await world.do(
        database,
        "UPDATE messaging.blocked_key SET state = 'retry', attempts = 1,"
        f" retry_at = {AN_HOUR_AHEAD}",
    )
    async with running(world.service(database, consumers=[reading])):

        async def noted() -> bool:
            return await world.entries(database) == {"A": [1]}

        await eventually(noted)


async def test_a_failed_deadline_is_tried_again_that_waits_until_an_hour_ahead(
    world: World,
) -> None:
    def on_due(state: Ledger, now: datetime) -> list[Any]:
        state.answers.append("due")
        return []

    database = await world.database()
    async with running(world.service(database)) as asking:
        await asking.execute(LedgerStore(), "A", lambda s, n: [Deadline("due", n)])
    await world.do(database, f"UPDATE messaging.deadline SET retry_at = {AN_HOUR_AHEAD}")
    deadlines = [Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    async with running(world.service(database, deadlines=deadlines)):

        async def handled() -> bool:
            return await _answers(world, database) == ["due"]

        await eventually(handled)
