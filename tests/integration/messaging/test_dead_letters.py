"""Copies of failed events: every one of them goes, and none is taken for what it is a copy of."""

from __future__ import annotations

import contextlib
from typing import Any

from confluent_kafka import KafkaException

from shared.messaging import Fact, Service
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, Moods, Noted, World, consumer


async def _letters(world: World, topic: str, count: int) -> list[Any]:
    async def there() -> list[Any]:
        found = await world.read(topic)
        return found if len(found) >= count else []

    return list(await eventually(there))


async def _made_anew(world: World, topic: str) -> str:
    """A topic under its deployed name, which an earlier run may have left."""
    with contextlib.suppress(KafkaException):
        world.remove_topic(topic)
    await world.topic_again(topic)
    return topic


async def test_a_copy_of_its_own_fact_does_not_keep_a_service_from_starting(world: World) -> None:
    """Reporting reads its own cases: the copy carries its source, and the log has it elsewhere."""
    database, topic = await world.database("reporting"), world.topic("cases", 1)
    letters = await _made_anew(world, "reporting.cases.dead-letters")

    def reporting() -> Service:
        reading = consumer(topic, Moods(), "reporting.cases", payload=Echoed)
        return world.service(database, name="reporting", consumers=[reading])

    service = reporting()
    await service.start()
    await service.execute(
        LedgerStore(), "A", lambda s, n: [Fact(Echoed(number=1, mood="poison"), topic=topic)]
    )
    letter = (await _letters(world, letters, 1))[0]
    assert dict(letter.headers)["ce_source"] == b"/banka/reporting"
    await service.stop()
    again = reporting()
    await again.start()

    async def publishes() -> bool:
        return bool(again._relay.shards) and (await again.readiness()).ready

    await eventually(publishes)


def _large(mood: str, size: int) -> bytes:
    return b'{"number": 1, "mood": "%b", "more": "%b"}' % (mood.encode(), b"x" * size)


async def test_an_event_as_large_as_its_topic_takes_is_copied_whole(world: World) -> None:
    topic, database, group = world.topic("notes"), await world.database(), f"g.{world.tag}"
    letters = world.topic("", 1, full=f"{group}.dead-letters")
    await world.service(database, consumers=[consumer(topic, Moods(), group)]).start()
    body = _large("poison", 3_000_000)
    await world.send(topic, "A", body, 1, event_type=Noted.type)
    assert [letter.value for letter in await _letters(world, letters, 1)] == [body]


async def test_a_copy_that_cannot_go_holds_up_no_other(world: World) -> None:
    topic, database, group = world.topic("notes"), await world.database(), f"g.{world.tag}"
    letters = world.topic("", 1, full=f"{group}.dead-letters", largest=100_000)
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    # the value can be left out; the headers cannot
    await world.send(topic, "A", _large("poison", 200_000), 1, event_type=Noted.type)
    await world.send_raw(topic, b"B", b"{}", [("x", b"y" * 200_000)])
    await _letters(world, letters, 1)
    await world.send(topic, "C", Noted(number=1, mood="poison"), 1)
    found = await _letters(world, letters, 2)
    assert [(letter.key, len(letter.value)) for letter in found] == [
        (b"A", 0),
        (b"C", len(Noted(number=1, mood="poison").model_dump_json())),
    ]
    assert dict(found[0].headers)["banka-left-out"] == b"value"
    assert "MessageSizeTooLarge" in (await service.readiness()).checks["parking"]


async def test_a_rebuild_copies_to_the_dead_letters_of_its_consumer(world: World) -> None:
    topic, database, group = world.topic("notes"), await world.database(), f"g.{world.tag}"
    letters = world.topic("", 1, full=f"{group}.dead-letters")
    rebuild = world.service(database, consumers=[consumer(topic, Moods(), f"{group}@2")])
    await rebuild.start()
    await world.send(topic, "A", Noted(number=1, mood="poison"), 1)
    letter = (await _letters(world, letters, 1))[0]
    assert dict(letter.headers)["banka-consumer"] == f"{group}@2".encode()
