"""`/readyz` tells a service that works from one that only looks as if it did."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from shared.messaging import Fact, relay, service
from shared.messaging.broker import connection
from shared.messaging.subscribe import Subscription
from shared.redrive import list_parked, resume_consumer, retry_parked
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, Moods, Noted, World, consumer

HOUR = 3600.0


async def _says(subscription: Subscription, words: str, stuck_after: float = 30.0) -> None:
    async def so() -> bool:
        state = subscription.state(stuck_after)
        return state == words if words == "ok" else words in state

    await eventually(so)


async def _reads(world: World, database: str, subject: str, entries: list[int]) -> None:
    async def there() -> bool:
        return (await world.entries(database)).get(subject) == entries

    await eventually(there)


async def test_an_event_after_hours_of_silence_is_no_trouble_and_a_stuck_handler_is(
    world: World,
) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    reading = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await reading.start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await _reads(world, database, "S0", [1])
    subscription = reading._subscriptions[0]
    subscription.last_progress -= HOUR  # so long ago was the last event
    await _says(subscription, "ok")
    async with world.held(database, "ledger"):
        await world.send(topic, "S0", Noted(number=2), 2)
        await world.waiting(database)
        assert subscription.lag() == 1
        assert subscription.state() == "ok"
        await _says(subscription, "with 1 events waiting", stuck_after=0.5)
    await _reads(world, database, "S0", [1, 2])
    await _says(subscription, "ok", stuck_after=1.0)


async def test_a_take_over_that_hangs_shows(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    reading = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    async with world.held(database, "messaging.consumer_offset"):
        await reading.start()
        await world.waiting(database)
        await _says(reading._subscriptions[0], "not taken over", stuck_after=0.5)
    await _says(reading._subscriptions[0], "ok", stuck_after=1.0)


async def test_a_consumer_that_its_group_never_takes_in_shows(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    reading = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await reading.start()
    subscription = reading._subscriptions[0]
    await _says(subscription, "ok", stuck_after=1.0)
    await subscription.revoked()
    await _says(subscription, "not in its group", stuck_after=0.5)


async def test_a_spare_member_without_partitions_is_well(world: World) -> None:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    members = [world.service(database, consumers=[consumer(topic, Moods(), group)]) for _ in "ab"]
    for member in members:
        await member.start()

    async def shared() -> bool:
        parts = [len(member._subscriptions[0].positions) for member in members]
        return sorted(parts) == [0, 1] and all(m._subscriptions[0]._member for m in members)

    await eventually(shared)
    for member in members:
        member._subscriptions[0].last_progress -= HOUR
        await _says(member._subscriptions[0], "ok")


async def test_a_refusal_ends_with_the_assignment_that_finds_all_well(world: World) -> None:
    topic, database, group = world.topic("notes", 2), await world.database(), f"g.{world.tag}"
    first = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await first.start()
    await world.send(topic, "A", Noted(number=1), 1)
    await _reads(world, database, "A", [1])
    await first.stop()
    await world.do(database, "UPDATE messaging.consumer_offset SET next = next + 99")
    refusing = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await refusing.start()
    await _says(refusing._subscriptions[0], "beyond the end")
    await world.do(database, "UPDATE messaging.consumer_offset SET next = next - 99")
    await world.service(database, consumers=[consumer(topic, Moods(), group)]).start()
    await _says(refusing._subscriptions[0], "ok")


async def test_who_has_halted_stays_halted_when_partitions_are_handed_round(world: World) -> None:
    topic, database, group = world.topic("notes", 2), await world.database(), f"g.{world.tag}"
    for subject in range(12):
        await world.send(topic, f"S{subject:02d}", Noted(number=1, mood="poison"), 1)
    bad, good = Moods(), Moods()
    good.mended = True
    halted = world.service(database, consumers=[consumer(topic, bad, group, halt_after=5)])
    await halted.start()
    await _says(halted._subscriptions[0], "events failed")
    seen = len(bad.seen)
    mended = world.service(database, consumers=[consumer(topic, good, group)])
    await mended.start()

    async def shared() -> bool:
        return bool(halted._subscriptions[0]._assigned) and bool(mended._subscriptions[0]._assigned)

    await eventually(shared)
    await _says(mended._subscriptions[0], "events failed")
    assert "events failed" in halted._subscriptions[0].state()
    assert not good.seen, "who joins a consumer that has stopped goes on with it"
    assert len(bad.seen) == seen
    # the rest goes to the build that is right, once somebody says so
    await halted.stop()
    conn = await world.connect(database)
    await resume_consumer(conn, group, who="ops", why="rolled back")
    for key in await list_parked(conn):
        await retry_parked(conn, key.id, who="ops", why="rolled back")
    await conn.close()
    for subject in range(12):
        await _reads(world, database, f"S{subject:02d}", [1])


async def test_what_stopped_does_not_go_on_before_it_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partitions may be there before the first look at who was resumed."""

    async def later(_: Subscription) -> None:
        return

    monkeypatch.setattr(Subscription, "heed_halts", later)
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    await world.send(topic, "A", Noted(number=1), 1)
    await world.do(
        database,
        "INSERT INTO messaging.halted_consumer (consumer, reason) VALUES ($1, 'too many')",
        group,
    )
    moods = Moods()
    service = world.service(database, consumers=[consumer(topic, moods, group)])
    await service.start()
    await _says(
        service._subscriptions[0], f"mend, then banka parked resume {service.settings.service}"
    )
    assert not moods.seen


async def test_a_relay_that_hangs_with_facts_waiting_shows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, database = world.topic("echo"), await world.database()
    speaking = world.service(database)
    await speaking.start()

    async def relay_says(words: str) -> None:
        async def so() -> bool:
            state = (await speaking.readiness()).checks["relay"]
            return state == words if words == "ok" else words in state

        await eventually(so)

    await relay_says("ok")
    monkeypatch.setattr(service, "STUCK_SECONDS", 1.0)
    await world.do(database, _SLOW_DELETE)
    gate = await world.connect(database)
    try:
        await gate.execute("SELECT pg_advisory_lock(7)")
        await speaking.execute(
            LedgerStore(), "A", lambda s, n: [Fact(Echoed(number=1), topic=topic)]
        )
        await world.waiting(database)
        await relay_says("s with facts waiting")
    finally:
        await gate.close()
    await relay_says("ok")


async def test_who_comes_back_to_an_empty_share_asks_for_a_new_one(world: World) -> None:
    """It joined when the broker had no such topic, and its session goes on: what it was given then,
    which is nothing, is what the group gives it again."""
    topic, group, database = f"banka.{world.tag}.late", f"g.{world.tag}", await world.database()
    world.instance = "one"
    before = AIOKafkaConsumer(
        **connection(world.settings),
        group_id=group,
        group_instance_id=world.instance,
        session_timeout_ms=20_000,
    )
    await before.start()
    before.subscribe([topic])

    async def joined() -> bool:
        return bool(before._coordinator.generation >= 0)

    await eventually(joined)
    await before.stop()
    world.topic("", 1, full=topic)
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await _reads(world, database, "S0", [1])


async def test_facts_that_nobody_publishes_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that has the shards does nothing with them; the others say so."""
    topic, database = world.topic("echo"), await world.database()
    holder = await world.connect(database)
    try:
        for shard in range(relay.SHARDS):
            await holder.execute("SELECT pg_advisory_lock($1, $2)", relay.LOCK_CLASS, shard)
        speaking = world.service(database)
        await speaking.start()
        fact = Fact(Echoed(number=1), topic=topic)
        await speaking.execute(LedgerStore(), "A", lambda s, n: [fact])
        assert (await speaking.readiness()).checks["relay"] in ("starting", "ok")
        monkeypatch.setattr(service, "STUCK_SECONDS", 1.0)

        async def told() -> bool:
            return "holds the shards sends none" in (await speaking.readiness()).checks["relay"]

        await eventually(told)
    finally:
        await holder.close()

    async def well() -> bool:
        return (await speaking.readiness()).checks["relay"] == "ok"

    await eventually(well)


async def test_a_relay_that_ended_is_told(world: World) -> None:
    service = world.service(await world.database())
    await service.start()

    async def runs() -> bool:
        return (await service.readiness()).checks["relay"] == "ok"

    await eventually(runs)
    task = service._relay._task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    ready = await service.readiness()
    assert ready.checks["relay"] == "ended"
    assert not ready.ready


# what the broker has acknowledged can be deleted only when the gate is open
_SLOW_DELETE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(7); RETURN OLD; END $$;
CREATE TRIGGER gate BEFORE DELETE ON messaging.outbox FOR EACH ROW EXECUTE FUNCTION gate();
"""


async def test_a_service_waits_for_a_database_that_takes_nobody_in_yet(world: World) -> None:
    """As one does that is starting up or recovering: it answers, with an error of its own."""
    database = await world.database()
    await world.do("postgres", f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
    waiting = world.service(database)
    starting = asyncio.create_task(waiting.start())

    async def says_so() -> bool:
        assert not starting.done(), starting
        return "not currently accepting connections" in waiting._state

    await eventually(says_so)
    await world.do("postgres", f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
    await starting
    assert (await waiting.readiness()).checks["service"] == "ok"
