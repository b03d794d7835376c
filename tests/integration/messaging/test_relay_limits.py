"""What the relay does at its limits: facts that no record can hold, long queues, short windows."""

from __future__ import annotations

from typing import Any

import pytest

from shared.messaging import Fact, Service, relay
from shared.messaging.errors import Permanent
from shared.messaging.outbox import partition_of
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, World

_UNSENDABLE = """
WITH logged AS (
    INSERT INTO messaging.event_log (topic, part, subject, sequence, id, type, attributes, body)
    SELECT topic, part, subject, 2, gen_random_uuid(), type,
        replace(attributes, '"correlationid":"', '"correlationid":"\\ud800'), body
    FROM messaging.event_log WHERE subject = 'S0'
    RETURNING position, topic, part
), numbered AS (
    UPDATE messaging.subject_sequence SET last = 2 WHERE subject = 'S0'
)
INSERT INTO messaging.outbox SELECT * FROM logged
"""


async def _say(service: Service, topic: str, subject: str, *numbers: int) -> None:
    facts = [Fact(Echoed(number=number), topic=topic) for number in numbers]
    await service.execute(LedgerStore(), subject, lambda state, now: facts)


async def _on_topic(world: World, topic: str) -> dict[str, list[int]]:
    """{subject: the numbers of its facts, in order, repetitions included}"""
    found: dict[str, list[int]] = {}
    for record in await world.read(topic):
        number = int(dict(record.headers)["ce_sequence"])
        found.setdefault(record.key.decode(), []).append(number)
    return found


async def _waiting(world: World, database: str) -> int:
    return int((await world.rows(database, "SELECT count(*) FROM messaging.outbox"))[0][0])


async def test_a_fact_that_no_record_can_hold_keeps_back_its_own_subject_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "ROUND", 3)
    monkeypatch.setattr(relay, "HELD_SECONDS", 3600.0)
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    neighbour = next(
        name
        for name in map(str, range(100))
        if partition_of(name, world.made[topic]) == partition_of("S0", world.made[topic])
    )
    await _say(service, topic, "S0", 1)

    async def sent() -> bool:
        return await _waiting(world, database) == 0

    await eventually(sent)
    await world.do(database, _UNSENDABLE)
    for number in range(3, 10):
        await _say(service, topic, "S0", number)
        for subject in (neighbour, "S1", "S2"):
            await _say(service, topic, subject, number)

    async def others() -> bool:
        return await _waiting(world, database) == 8

    await eventually(others)
    expected = {"S0": [1]} | {subject: list(range(1, 8)) for subject in (neighbour, "S1", "S2")}
    assert await _on_topic(world, topic) == expected, "once each, and nothing overtakes"

    async def said() -> Any:
        return (await service.readiness()).checks["relay"]

    state = await said()
    assert "1 subjects cannot be published, 8 facts wait" in state
    assert topic in state
    assert "UnicodeEncodeError" in state
    # mended by hand, it is found without a restart
    await world.do(
        database,
        r"UPDATE messaging.event_log SET attributes = replace(attributes, '\ud800', '')",
    )
    monkeypatch.setattr(relay, "HELD_SECONDS", 0.1)
    await eventually(sent)
    assert (await _on_topic(world, topic))["S0"] == list(range(1, 10))

    async def well() -> bool:
        return bool(await said() == "ok")

    await eventually(well)


@pytest.mark.parametrize("subject", ["", "a\x00b", "a\nb", "\ud800", "号" * 400])
async def test_what_no_record_can_hold_is_not_committed(world: World, subject: str) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    with pytest.raises(Permanent, match="no record can carry"):
        async with service.transaction() as tx:
            await tx.append([Fact(Echoed(number=1), topic=topic)], subject=subject)


async def test_a_queue_longer_than_a_batch_keeps_its_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "BATCH_BYTES", 1500)  # three facts
    topic, database = world.topic("echo", 1), await world.database()
    service = world.service(database)
    await service.start()
    batches: list[int] = []
    build = relay.build_batch

    def count(producer: Any, queue: Any) -> Any:
        batch, fitting = build(producer, queue)
        batches.append(fitting)
        return batch, fitting

    monkeypatch.setattr(relay, "build_batch", count)
    await _say(service, topic, "S0", *range(40))
    await _say(service, topic, "S1", *range(3))

    async def sent() -> bool:
        return await _waiting(world, database) == 0

    await eventually(sent)
    assert await _on_topic(world, topic) == {"S0": list(range(1, 41)), "S1": [1, 2, 3]}
    assert max(batches) <= 3, batches


@pytest.mark.parametrize(("foreign", "lost"), [(3, False), (3, True), (9, False)])
async def test_a_takeover_looks_no_further_back_than_the_topic_s_end(
    world: World, monkeypatch: pytest.MonkeyPatch, foreign: int, lost: bool
) -> None:
    """Other services' events fill the window: what lies before it is on the topic, not lost."""
    monkeypatch.setattr(relay, "TAIL", 5)
    topic, database = world.topic("echo", 1), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", *range(4))

    async def sent() -> bool:
        return await _waiting(world, database) == 0

    await eventually(sent)
    await service.stop()
    for number in range(1, foreign + 1):
        await world.send(topic, "other", Echoed(number=number), number)
    if lost:
        await world.do(
            database,
            "INSERT INTO messaging.event_log"
            " (topic, part, subject, sequence, id, type, attributes, body)"
            " SELECT topic, part, subject, 5, gen_random_uuid(), type, attributes, body"
            " FROM messaging.event_log WHERE sequence = 4",
        )
    again = world.service(database)
    await again.start()

    async def held() -> bool:
        return len(again._relay.shards) == relay.SHARDS and await sent()

    await eventually(held)
    expected = [1, 2, 3, 4, 5] if lost else [1, 2, 3, 4]
    assert (await _on_topic(world, topic))["S0"] == expected
