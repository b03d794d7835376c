"""Every event's effects exactly once, whatever is delivered twice and whoever dies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError

from shared.messaging.offsets import OffsetMove
from shared.messaging.parking import Arrived
from shared.messaging.subscribe import Subscription
from tests.eventually import eventually
from tests.integration.messaging.ledger import Moods, Noted, World, consumer

SUBJECTS = 12
EACH = 25


async def _send_all(world: World, topic: str, first: int = 1, last: int = EACH) -> None:
    for number in range(first, last + 1):
        await asyncio.gather(
            *(world.send(topic, f"S{s}", Noted(number=number), number) for s in range(SUBJECTS))
        )


def _whole(last: int = EACH) -> dict[str, list[int]]:
    return {f"S{s}": list(range(1, last + 1)) for s in range(SUBJECTS)}


async def _echoes(world: World, topic: str) -> dict[str, list[int]]:
    """{subject: numbers of the facts on the topic, duplicates by event id dropped}"""
    seen: set[bytes] = set()
    found: dict[str, list[int]] = {}
    for record in await world.read(topic):
        event_id = dict(record.headers)["ce_id"]
        if event_id not in seen:
            seen.add(event_id)
            found.setdefault(record.key.decode(), []).append(
                int(dict(record.headers)["ce_sequence"])
            )
    return found


async def test_every_event_is_applied_once_and_its_fact_published_in_order(world: World) -> None:
    topic, echo, database = world.topic("notes"), world.topic("echo"), await world.database()
    group = f"g.{world.tag}"
    await world.service(database, consumers=[consumer(topic, Moods(echo), group)]).start()
    await _send_all(world, topic)
    await eventually(lambda: _equals(world, database, _whole()))

    async def published() -> bool:
        return await _echoes(world, echo) == _whole()

    await eventually(published)


async def test_the_whole_topic_delivered_again_changes_nothing(world: World) -> None:
    topic, echo, database = world.topic("notes"), world.topic("echo"), await world.database()
    await world.service(
        database, consumers=[consumer(topic, Moods(echo), f"g.{world.tag}")]
    ).start()
    await _send_all(world, topic, last=5)
    await eventually(lambda: _equals(world, database, _whole(5)))
    records = await world.read(topic)
    for record in records:
        await world.send_raw(topic, record.key, record.value, record.headers)
    await world.send(topic, "S0", Noted(number=6), 6)
    await eventually(lambda: _subject_is(world, database, "S0", [1, 2, 3, 4, 5, 6]))

    async def caught_up() -> bool:
        return (await world.services[0].quiet()).unapplied == 0

    await eventually(caught_up)
    expected = _whole(5) | {"S0": [1, 2, 3, 4, 5, 6]}
    assert await world.entries(database) == expected
    rows = await world.rows(database, "SELECT count(*) FROM messaging.event_log")
    assert rows[0][0] == 5 * SUBJECTS + 1


async def test_offsets_that_kafka_never_heard_of_do_not_repeat_effects(world: World) -> None:
    topic, database, group = world.topic("notes"), await world.database(), f"g.{world.tag}"
    first = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await first.start()

    async def refuse(*_: Any) -> None:
        raise CommitFailedError

    first._subscriptions[0]._consumer.commit = refuse
    await _send_all(world, topic, last=4)
    await eventually(lambda: _equals(world, database, _whole(4)))
    await first.stop()
    moods = Moods()
    await world.service(database, consumers=[consumer(topic, moods, group)]).start()
    await _send_all(world, topic, first=5, last=6)
    await eventually(lambda: _equals(world, database, _whole(6)))
    assert min(number for _, number in moods.seen) == 5, "events before the offset came again"


@pytest.mark.parametrize("table", ["ledger", "messaging.cursor", "messaging.outbox"])
async def test_a_killed_process_leaves_neither_a_hole_nor_a_repetition(
    world: World, table: str
) -> None:
    """Killed in mid-transaction: on loading a state, on moving a cursor, on writing a fact."""
    topic, echo, database = world.topic("notes"), world.topic("echo"), await world.database()
    group, sent = f"g.{world.tag}", 0
    for _ in range(2):
        process = _start_process(world, topic, echo, database, group)
        sent += 1
        await _send_all(world, topic, first=sent, last=sent)
        await eventually(partial(_equals, world, database, _whole(sent)))
        async with world.held(database, table):
            sent += 1
            await _send_all(world, topic, first=sent, last=sent)
            await world.waiting(database)
            process.kill()
            process.wait()
        assert not await _equals(world, database, _whole(sent)), "the kill did not cut off its work"
    await world.service(database, consumers=[consumer(topic, Moods(echo), group)]).start()
    await eventually(lambda: _equals(world, database, _whole(sent)))

    async def published() -> bool:
        return await _echoes(world, echo) == _whole(sent)

    await eventually(published)


def _start_process(
    world: World, topic: str, echo: str, database: str, group: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.messaging.process", world.stack.name,
         world.tag, topic, echo, database, group],
        stdout=subprocess.DEVNULL, env={**os.environ, **world.stack.environment()},
    )  # fmt: skip


async def test_two_members_share_the_partitions_and_hand_them_over(world: World) -> None:
    topic, echo, database = world.topic("notes"), world.topic("echo"), await world.database()
    group = f"g.{world.tag}"
    moods = [Moods(echo), Moods(echo), Moods(echo)]
    services = [world.service(database, consumers=[consumer(topic, m, group)]) for m in moods]
    enough = asyncio.Event()
    sent = 0

    async def send_until_enough() -> None:
        nonlocal sent
        while not enough.is_set():
            sent += 1
            await _send_all(world, topic, first=sent, last=sent)

    sending = asyncio.create_task(send_until_enough())
    await services[0].start()
    await eventually(lambda: _some(moods[0]))
    await services[1].start()
    await eventually(lambda: _some(moods[1]))
    await services[2].start()
    await services[0].stop()
    await eventually(lambda: _some(moods[2]))
    enough.set()
    await sending
    await eventually(lambda: _equals(world, database, _whole(sent)))

    async def published() -> bool:
        return await _echoes(world, echo) == _whole(sent)

    await eventually(published)


async def test_a_member_that_lost_its_partition_writes_nothing(world: World) -> None:
    """The zombie: its records are polled, the offset is moved by another, then it applies."""
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    service = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await service.start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await eventually(lambda: _subject_is(world, database, "S0", [1]))
    # another member applied numbers 2 and 3 (offsets 1 and 2) meanwhile
    await world.do(
        database,
        "UPDATE messaging.consumer_offset SET next = 3",
    )
    await world.do(database, "UPDATE messaging.cursor SET sequence = 3, event_id = 'x'")
    await world.do(database, "UPDATE ledger SET entries = '{1,2,3}'")
    await world.send(topic, "S0", Noted(number=2), 2)

    async def noticed() -> bool:
        return service._subscriptions[0].positions[0].next != 1

    await eventually(noticed)
    rows = await world.rows(database, "SELECT next FROM messaging.consumer_offset")
    assert rows[0]["next"] == 3, "the zombie moved the offset back"
    for number in (3, 4):
        await world.send(topic, "S0", Noted(number=number), number)
    await eventually(lambda: _subject_is(world, database, "S0", [1, 2, 3, 4]))


async def test_a_statement_that_loses_its_connection_is_tried_again_without_an_attempt(
    world: World,
) -> None:
    topic, database = world.topic("notes"), await world.database()
    moods = Moods()
    await world.service(database, consumers=[consumer(topic, moods, f"g.{world.tag}")]).start()
    sending = asyncio.create_task(_send_all(world, topic, last=40))
    async with world.held(database, "ledger"):
        for _ in range(4):
            process = await world.waiting(database)
            await world.do(database, "SELECT pg_terminate_backend($1, 5000)", process)
        assert not await _equals(world, database, _whole(40)), "nothing was cut off in the work"
    await sending
    await eventually(lambda: _equals(world, database, _whole(40)))
    assert await world.rows(database, "SELECT * FROM messaging.blocked_key") == []


async def test_a_cursor_that_moved_in_the_meantime_rolls_the_poll_back(world: World) -> None:
    """Another member applies the event while this one is about to: one of the two must lose."""
    topic, database = world.topic("notes", 1), await world.database()
    await world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")]).start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await eventually(lambda: _subject_is(world, database, "S0", [1]))
    async with world.held(database, "ledger") as other:
        await world.send(topic, "S0", Noted(number=2), 2)
        await world.waiting(database)  # it has read its cursor and is about to load the state
        await other.execute("UPDATE messaging.cursor SET sequence = 2, event_id = 'theirs'")
        await other.execute("UPDATE ledger SET entries = '{1,20}'")
    await world.send(topic, "S0", Noted(number=3), 3)

    async def over() -> bool:
        return 3 in (await world.entries(database))["S0"]

    await eventually(over)
    assert await world.entries(database) == {"S0": [1, 20, 3]}


_WATCH = """
CREATE TABLE moves (was bigint, became bigint);
CREATE FUNCTION watch() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.moves VALUES (OLD.next, NEW.next); RETURN NEW; END $$;
CREATE TRIGGER watch BEFORE UPDATE OF next ON messaging.consumer_offset
    FOR EACH ROW EXECUTE FUNCTION watch();
"""


async def test_a_member_overtaken_event_by_event_never_moves_the_offset_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an unclean stop events go one at a time; another member takes them on meanwhile."""
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    first = world.service(database, consumers=[consumer(topic, Moods(), group)])
    await first.start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await eventually(lambda: _subject_is(world, database, "S0", [1]))
    await first.stop()
    for number in range(2, 31):
        await world.send(topic, "S0", Noted(number=number), number)
    await world.do(database, "UPDATE messaging.consumer_offset SET clean = false")
    await world.do(database, _WATCH)
    mark = Subscription._mark_attempt

    async def overtaken(self: Subscription, event: Arrived) -> int | None:
        if event.offset == 12:
            await world.do(database, "UPDATE messaging.consumer_offset SET next = 25")
            await world.do(database, "UPDATE messaging.cursor SET sequence = 25, event_id = 'x'")
            await world.do(
                database, "UPDATE ledger SET entries = array(SELECT generate_series(1, 25))"
            )
        return await mark(self, event)

    monkeypatch.setattr(Subscription, "_mark_attempt", overtaken)
    moods = Moods()
    await world.service(database, consumers=[consumer(topic, moods, group)]).start()
    await eventually(lambda: _subject_is(world, database, "S0", list(range(1, 31))))
    moves = await world.rows(database, "SELECT was, became FROM moves")
    assert (12, 25) in [tuple(move) for move in moves], "nobody overtook it"
    assert [tuple(move) for move in moves if move["became"] < move["was"]] == []
    assert [number for _, number in moods.seen] == [*range(2, 13), *range(26, 31)]


async def test_no_stale_record_can_move_an_offset_back(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    service = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await service.start()
    for number in range(1, 4):
        await world.send(topic, "S0", Noted(number=number), number)
    await eventually(lambda: _subject_is(world, database, "S0", [1, 2, 3]))
    async with service.pool.acquire() as conn:
        backwards = OffsetMove(0, start=3, end=2)
        assert await service._readers[0].claim(conn, [backwards], []) == set()
    rows = await world.rows(database, "SELECT next FROM messaging.consumer_offset")
    assert rows[0]["next"] == 3


async def test_what_arrives_while_a_poll_is_applied_is_one_poll(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    service = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await service.start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await eventually(lambda: _subject_is(world, database, "S0", [1]))
    await world.do(database, _WATCH)

    async def waits() -> bool:
        return bool(
            await world.rows(
                database,
                "SELECT 1 FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
        )

    async with service.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT 1 FROM ledger WHERE subject = 'S0' FOR UPDATE")
        await world.send(topic, "S0", Noted(number=2), 2)
        await eventually(waits)
        for number in range(3, 11):
            await world.send(topic, "S0", Noted(number=number), number)
    await eventually(lambda: _subject_is(world, database, "S0", list(range(1, 11))))
    moves = await world.rows(database, "SELECT was, became FROM moves ORDER BY was")
    assert [tuple(move) for move in moves] == [(1, 2), (2, 10)]


async def test_an_event_without_a_handler_moves_its_cursor_on(world: World) -> None:
    topic, database = world.topic("notes"), await world.database()
    await world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")]).start()
    await world.send(topic, "S0", Noted(number=1), 1)
    await world.send(topic, "S0", b"{}", 2, event_type="banka.ledger.glanced.v1")
    await world.send(topic, "S0", Noted(number=3), 3)
    await eventually(lambda: _subject_is(world, database, "S0", [1, 3]))


async def test_sequences_are_counted_by_source(world: World) -> None:
    topic, database = world.topic("notes"), await world.database()
    await world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")]).start()
    await world.send(topic, "S0", Noted(number=10), 1, source="/banka/intake")
    await world.send(topic, "S0", Noted(number=20), 1, source="/banka/review")
    await world.send(topic, "S0", Noted(number=11), 2, source="/banka/intake")
    await eventually(lambda: _subject_is(world, database, "S0", [10, 20, 11]))


async def _equals(world: World, database: str, expected: dict[str, list[int]]) -> bool:
    found = await world.entries(database)
    for subject, entries in found.items():
        assert entries == list(range(1, len(entries) + 1)), f"{subject}: {entries}"
    return found == expected


async def _subject_is(world: World, database: str, subject: str, entries: list[int]) -> bool:
    return (await world.entries(database)).get(subject) == entries


async def _some(moods: Moods) -> bool:
    return len(moods.seen) > 0
