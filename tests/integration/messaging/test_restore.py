"""Topics that were made anew are refused, and get back what the logs have."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.events.envelope import decode
from shared.messaging import Consumer, Fact, Service
from shared.messaging.broker import connection
from shared.messaging.errors import OlderDatabase
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, Moods, World, consumer, running


async def _say(service: Service, topic: str, subject: str, number: int, version: int) -> None:
    await service.execute(
        LedgerStore(),
        subject,
        lambda s, n: [Fact(Echoed(number=number), topic=topic, state_version=version)],
    )


async def _drained(world: World, *databases: str) -> None:
    async def empty() -> bool:
        return not any(
            [await world.rows(d, "SELECT 1 FROM messaging.outbox LIMIT 1") for d in databases]
        )

    await eventually(empty)


async def _make_anew(world: World, topic: str) -> None:
    await asyncio.to_thread(world.remove_topic, topic)
    await world.topic_again(topic)


class Two:
    """Two services that publish to one topic, and read it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.topic = world.topic("echo", 1)
        world.topic("", 1, full=f"g.{world.tag}.dead-letters")
        self.moods = Moods()

    async def make(self) -> None:
        self.intake = await self.world.database("intake")
        self.review = await self.world.database()

    def service(self, name: str, **parts: Any) -> Service:
        return self.world.service(getattr(self, name), name, **parts)

    def reading(self) -> Consumer:
        return consumer(self.topic, self.moods, f"g.{self.world.tag}", payload=Echoed)

    async def restore(self, code: int = 0) -> str:
        databases = [f"--database=intake={self.intake}", f"--database=review={self.review}"]
        return await self.world.banka(
            "events", "restore", *databases, "--who", "ops", "--why", "lost", code=code
        )

    async def there(self) -> list[tuple[str, int, Any]]:
        """(source, number of its subject, version) of what is on the topic, in order."""
        records = [decode(r.headers, r.value)[0] for r in await self.world.read(self.topic)]
        return [(e.source, e.sequence or 0, e.state_version) for e in records]


@pytest.fixture
async def two(world: World) -> Two:
    both = Two(world)
    await both.make()
    return both


async def test_a_topic_made_anew_is_refused_and_restored_in_order(two: Two) -> None:
    world, topic = two.world, two.topic
    two.moods.mended = False
    # review hears of A and tells of it at one moment: with no row yet there was nothing to lock
    await world.do(two.review, "INSERT INTO ledger (subject) VALUES ('A')")
    async with AsyncExitStack() as office:
        intake = await office.enter_async_context(running(two.service("intake")))
        review = await office.enter_async_context(
            running(two.service("review", consumers=[two.reading()]))
        )
        for turn, service in enumerate((intake, review, intake, review), start=1):
            await _say(service, topic, "A", turn, turn)
            await _drained(world, two.intake, two.review)

        async def applied() -> bool:
            return await world.entries(two.review) == {"A": [1, 2, 3, 4]}

        await eventually(applied)
        await review._subscriptions[0].commit()
    before = await two.there()
    await _make_anew(world, topic)
    # of another topic it knows only that it may publish to it: nothing was to be told yet
    quiet = world.topic("quiet", 1)
    await world.do(two.intake, f"INSERT INTO messaging.published_topic VALUES ('{quiet}', 'gone')")

    with pytest.raises(OlderDatabase, match=r"made anew since we published.*banka events restore"):
        await two.service("intake").start()
    assert await two.there() == []
    # a reader who had not noticed yet, and told the new broker where it stood on the old one
    unknowing = AIOKafkaConsumer(
        **connection(world.settings), group_id=f"g.{world.tag}", enable_auto_commit=False
    )
    await unknowing.start()
    unknowing.assign([TopicPartition(topic, 0)])
    await unknowing.commit({TopicPartition(topic, 0): 4})
    await unknowing.stop()

    said = await two.restore()
    assert said.startswith(f"{topic}: 4 are sent\n")
    assert await two.there() == before
    assert "every topic is the one that the services know" in await two.restore(code=1)
    audit = await world.rows(two.review, "SELECT who, action, what, why FROM messaging.audit")
    assert [tuple(row) for row in audit] == [("ops", "restore", topic, "lost")]

    seen = len(two.moods.seen)
    async with AsyncExitStack() as office:
        intake = await office.enter_async_context(running(two.service("intake")))
        await office.enter_async_context(running(two.service("review", consumers=[two.reading()])))
        await _say(intake, topic, "A", 5, 5)

        async def goes_on() -> bool:
            return await world.entries(two.review) == {"A": [1, 2, 3, 4, 5]}

        await eventually(goes_on)
    assert len(two.moods.seen) == seen + 1  # what was applied was not handed in again


async def test_who_publishes_while_the_line_breaks_notices_another_broker_behind_it(
    two: Two,
) -> None:
    async with running(two.service("intake")) as intake:
        await _say(intake, two.topic, "A", 1, 1)
        await _drained(two.world, two.intake)
        # as after a broker that went away and came back empty under the same name
        await two.world.do(two.intake, "UPDATE messaging.published_topic SET topic_id = 'other'")
        for line in list(intake._relay._producer.client._conns.values()):
            line.close()

        async def refuses() -> bool:
            return "was made anew" in (await intake.readiness()).checks["relay"]

        await eventually(refuses)
        with pytest.raises(OlderDatabase):
            await _say(intake, two.topic, "A", 2, 2)
    assert await two.there() == [("/banka/intake", 1, 1)]


async def test_a_topic_that_goes_and_comes_back_under_a_running_service_is_refused(
    two: Two,
) -> None:
    group = two.reading().name
    async with running(two.service("review", consumers=[two.reading()])) as review:
        await two.world.send(two.topic, "A", Echoed(number=1), 1)

        async def applied() -> bool:
            return await two.world.entries(two.review) == {"A": [1]}

        async def says(words: str) -> bool:
            return words in (await review.readiness()).checks[group]

        await eventually(applied)
        await asyncio.to_thread(two.world.remove_topic, two.topic)
        await eventually(lambda: says(f"no topic {two.topic} on the broker"))
        two.world.topic("", 1, full=two.topic)
        await eventually(lambda: says("the topic was made anew"))


async def test_what_waits_keeps_waiting_and_hides_no_other_record(two: Two) -> None:
    """A parked event keeps no place on the topic, where another one lies now."""
    world, topic = two.world, two.topic
    async with AsyncExitStack() as office:
        intake = await office.enter_async_context(running(two.service("intake")))
        await office.enter_async_context(running(two.service("review", consumers=[two.reading()])))
        await intake.execute(
            LedgerStore(), "A", lambda s, n: [Fact(Echoed(number=1, mood="poison"), topic=topic)]
        )

        async def parked() -> bool:
            rows = await world.rows(two.review, "SELECT state FROM messaging.blocked_key")
            return [row["state"] for row in rows] == ["parked"]

        await eventually(parked)
        await _drained(world, two.intake)
    await _make_anew(world, topic)
    # the first record of the new topic is another one, of the same place as the parked one
    await world.do(two.intake, "UPDATE messaging.event_log SET position = position + 1000")
    await world.do(
        two.intake,
        "INSERT INTO messaging.event_log (position, topic, part, subject, sequence, id, type,"
        " attributes, body) SELECT 1, topic, part, 'B', 1, gen_random_uuid(), type, attributes,"
        " body FROM messaging.event_log",
    )
    await two.restore()
    async with running(two.service("review", consumers=[two.reading()])):

        async def both() -> bool:
            rows = await world.rows(
                two.review, "SELECT subject FROM messaging.parked_event ORDER BY subject"
            )
            return [row["subject"] for row in rows] == ["A", "B"]

        await eventually(both)


async def test_a_restore_that_was_broken_off_goes_on_and_a_stray_is_refused(two: Two) -> None:
    world, topic = two.world, two.topic
    async with running(two.service("intake")) as intake:
        assert "intake still publishes: stop it first" in await _while_it_runs(two, intake)
        for number in (1, 2, 3):
            await _say(intake, topic, "A", number, number)
        await _drained(world, two.intake)
    first = (await world.read(topic))[0]
    await _make_anew(world, topic)
    await world.send_raw(topic, first.key, first.value, first.headers)
    assert (await two.restore()).startswith(f"{topic}: 2 are sent\n")
    assert [number for _, number, _ in await two.there()] == [1, 2, 3]

    third = (await world.read(topic))[2]
    await _make_anew(world, topic)
    await world.send_raw(topic, third.key, third.value, third.headers)
    assert f"{topic} did not begin as the logs do and is deleted" in await two.restore(code=1)
    await world.topic_again(topic)
    assert (await two.restore()).startswith(f"{topic}: 3 are sent\n")

    await _make_anew(world, topic)
    await world.send(topic, "A", Echoed(number=4), 4)
    assert f"{topic} holds events that no log has" in await two.restore(code=1)


async def _while_it_runs(two: Two, service: Service) -> str:
    async def holds() -> bool:
        return len(service._relay.shards) == 4

    await eventually(holds)
    return await two.restore(code=1)
