"""Nothing that was committed stays unpublished, and nothing is published that was not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from deploy.operating import with_services
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging import Fact, Service, relay
from shared.messaging.errors import OlderDatabase
from shared.messaging.outbox import partition_of
from shared.messaging.relay import SHARDS
from shared.postgres.pool import connect
from shared.redrive.event_log import republish
from tests.eventually import eventually
from tests.integration.messaging.ledger import Echoed, LedgerStore, Moods, Noted, World, consumer


async def _say(service: Service, topic: str, subject: str, number: int) -> None:
    await service.execute(
        LedgerStore(), subject, lambda state, now: [Fact(Echoed(number=number), topic=topic)]
    )


async def _numbers(world: World, topic: str, subject: str) -> list[int]:
    return [
        int(dict(r.headers)["ce_sequence"])
        for r in await world.read(topic)
        if r.key == subject.encode()
    ]


async def _outbox_is_empty(world: World, database: str) -> bool:
    return await world.rows(database, "SELECT 1 FROM messaging.outbox LIMIT 1") == []


async def test_facts_of_a_command_reach_the_topic_in_order(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    for number in range(1, 21):
        await _say(service, topic, f"S{number % 2}", number)
    await eventually(lambda: _outbox_is_empty(world, database))
    assert await _numbers(world, topic, "S0") == list(range(1, 11))
    assert await _numbers(world, topic, "S1") == list(range(1, 11))


async def test_a_fact_says_what_it_goes_back_to(world: World) -> None:
    """Cause, chain, trace and origin of the event that a handler answered, as published."""
    notes, echo, database = world.topic("notes"), world.topic("echo"), await world.database()
    group = f"g.{world.tag}"
    service = world.service(database, consumers=[consumer(notes, Moods(echo), group)])
    await service.start()
    now, trace = datetime.now(UTC), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    cause = Envelope(
        id=new_id(),
        type=Noted.type,
        source="/banka/intake",
        subject="S0",
        time=now,
        recorded_time=now,
        sequence=1,
        correlation_id="chain-1",
        traceparent=trace,
        origin="imported",
    )
    await world.send_raw(notes, b"S0", b'{"number": 1}', encode(cause))

    async def published() -> list[Any]:
        return await world.read(echo)

    headers = dict((await eventually(published))[0].headers)
    assert headers["ce_causationid"] == cause.id.encode()
    assert headers["ce_correlationid"] == b"chain-1"
    assert headers["ce_traceparent"] == trace.encode()
    assert headers["ce_origin"] == b"imported"


async def test_a_decision_that_raises_leaves_nothing_behind(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()

    def refuse(state: Any, now: Any) -> Any:
        state.entries.append(1)
        yield Fact(Echoed(number=1), topic=topic)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await service.execute(LedgerStore(), "S0", refuse)
    await _say(service, topic, "S0", 2)
    await eventually(lambda: _outbox_is_empty(world, database))
    assert await _numbers(world, topic, "S0") == [1]
    assert await world.entries(database) == {"S0": []}


async def test_dying_between_acknowledgement_and_delete_repeats_and_never_loses(
    world: World,
) -> None:
    topic, database, other = world.topic("echo"), await world.database(), await world.database()
    service = world.service(database)
    await service.start()
    await world.service(
        other, consumers=[consumer(topic, Moods(), f"g.{world.tag}", payload=Echoed)]
    ).start()
    delete, deaths = service._relay._delete, 0

    async def die_first(positions: list[int]) -> None:
        nonlocal deaths
        deaths += 1
        if deaths <= 2:
            raise OSError("killed between acknowledgement and delete")
        await delete(positions)

    service._relay._delete = die_first  # type: ignore[method-assign]
    for number in range(1, 6):
        await _say(service, topic, "S0", number)
    await eventually(lambda: _outbox_is_empty(world, database))
    on_topic = await _numbers(world, topic, "S0")
    assert len(on_topic) > 5, "the fault did not happen"
    assert sorted(set(on_topic)) == [1, 2, 3, 4, 5]

    async def applied() -> bool:
        return (await world.entries(other)).get("S0") == [1, 2, 3, 4, 5]

    await eventually(applied)


async def test_a_transaction_that_commits_late_is_not_passed_over(world: World) -> None:
    """Positions are drawn before the commit: a relay that remembers the last one loses rows."""
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    late = asyncio.Event()

    async def slow() -> None:
        async with service.transaction() as tx:
            await tx.append([Fact(Echoed(number=1), topic=topic)], subject="late")
            await late.wait()

    task = asyncio.create_task(slow())

    async def drawn() -> bool:
        rows = await world.rows(database, "SELECT last_value, is_called FROM messaging.position")
        return bool(rows[0]["is_called"])

    await eventually(drawn)
    await _say(service, topic, "early", 2)

    async def early_is_out() -> bool:
        return await _numbers(world, topic, "early") == [1]

    await eventually(early_is_out)
    late.set()
    await task

    async def late_is_out() -> bool:
        return await _numbers(world, topic, "late") == [1]

    await eventually(late_is_out)


async def test_two_relays_never_hold_the_same_shard(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    services = [world.service(database) for _ in range(2)]
    for service in services:
        await service.start()

    async def all_held() -> bool:
        held = [shard for s in services for shard in s._relay.shards]
        assert len(held) == len(set(held)), f"held twice: {held}"
        return len(held) == SHARDS

    await eventually(all_held)
    for number in range(1, 31):
        await _say(services[number % 2], topic, f"S{number % 5}", number)
        await all_held()
    await eventually(lambda: _outbox_is_empty(world, database))
    for subject in range(5):
        assert await _numbers(world, topic, f"S{subject}") == [1, 2, 3, 4, 5, 6]
    # the holder's connection is cut: another takes over, and nobody holds a shard twice
    holder = next(s for s in services if s._relay.shards)
    assert holder._relay._conn is not None
    await world.do(
        database, "SELECT pg_terminate_backend($1)", holder._relay._conn.get_server_pid()
    )
    await _say(services[0], topic, "after", 1)
    await eventually(lambda: _outbox_is_empty(world, database))

    async def each_held_once() -> bool:
        # whoever was cut off learns of it with its next round
        return sorted(shard for s in services for shard in s._relay.shards) == list(range(SHARDS))

    await eventually(each_held_once)


async def test_a_database_older_than_the_broker_is_refused(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    await _say(service, topic, "S0", 2)
    await eventually(lambda: _outbox_is_empty(world, database))
    await service.stop()
    # what a backup from before the second fact would hold
    await world.do(database, "DELETE FROM messaging.event_log WHERE sequence = 2")
    await world.do(database, "UPDATE messaging.subject_sequence SET last = 1")
    with (
        capture_logs() as logged,
        pytest.raises(OlderDatabase, match="older than the broker"),
    ):
        await world.service(database).start()
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert "older than the broker" in line["error"]


async def test_a_log_rewritten_after_a_restore_is_refused(world: World) -> None:
    """Same number, another event: the restored database has already gone its own way."""
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    await service.stop()
    await world.do(database, "UPDATE messaging.event_log SET id = gen_random_uuid()")
    with pytest.raises(OlderDatabase):
        await world.service(database).start()


async def test_what_the_broker_lost_is_published_again(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    await service.stop()
    # an acknowledged fact that is in the log, not in the outbox and not on the topic
    await world.do(
        database,
        "INSERT INTO messaging.event_log"
        " (topic, part, subject, sequence, id, type, attributes, body)"
        " SELECT topic, part, subject, 2, gen_random_uuid(), type, attributes, body"
        " FROM messaging.event_log",
    )
    await world.service(database).start()

    async def restored() -> bool:
        return await _numbers(world, topic, "S0") == [1, 2]

    await eventually(restored)


async def test_republishing_sends_the_same_bytes(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    async with service.pool.acquire() as conn:
        assert await republish(conn, topic, "S0", who="ops", why="lost") == {topic: 1}

    async def twice() -> bool:
        return len(await world.read(topic)) == 2

    await eventually(twice)
    first, second = await world.read(topic)
    assert (first.key, first.value, first.headers, first.timestamp) == (
        second.key, second.value, second.headers, second.timestamp,
    )  # fmt: skip


async def test_the_application_role_cannot_rewrite_the_log(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    for statement in (
        "UPDATE messaging.event_log SET body = ''",
        "DELETE FROM messaging.event_log",
        "DELETE FROM messaging.audit",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.pool.execute(statement)


async def test_commands_at_the_same_moment_get_numbers_without_gaps(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    services = [world.service(database) for _ in range(2)]
    for service in services:
        await service.start()

    async def many(service: Service) -> None:
        for number in range(25):
            with contextlib.suppress(ValueError):
                await service.execute(LedgerStore(), "S0", partial(_maybe, topic, number))

    await asyncio.gather(*(many(s) for s in services for _ in range(3)))
    await eventually(lambda: _outbox_is_empty(world, database))
    assert await _numbers(world, topic, "S0") == list(range(1, 121))


def _maybe(topic: str, number: int, state: Any, now: Any) -> list[Fact]:
    if number % 5 == 4:
        raise ValueError("refused")
    return [Fact(Echoed(number=number), topic=topic)]


async def test_facts_that_the_broker_did_not_take_stay_in_the_outbox(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()

    async def held() -> bool:
        return service._relay._producer is not None and bool(service._relay.shards)

    await eventually(held)
    refusals = 0

    async def refuse(*_: Any, **__: Any) -> asyncio.Future[Any]:
        nonlocal refusals
        refusals += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(KafkaConnectionError("not taken"))
        return future

    service._relay._producer.send_batch = refuse  # the next producer is a new one
    await _say(service, topic, "S0", 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    assert refusals >= 1
    assert await _numbers(world, topic, "S0") == [1]


async def test_facts_survive_a_broker_connection_that_fails(world: World) -> None:
    topic, database = world.topic("echo"), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "S0", 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    await service._relay._producer.stop()  # the next send fails as on a fenced producer
    for number in range(2, 6):
        await _say(service, topic, "S0", number)
    await eventually(lambda: _outbox_is_empty(world, database))
    assert sorted(set(await _numbers(world, topic, "S0"))) == [1, 2, 3, 4, 5]


async def test_a_relay_that_hears_nothing_of_the_broker_lets_go_and_begins_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SEND_SECONDS", 0.5)
    topic, database = world.topic("echo", 1), await world.database()
    service = world.service(database)
    await service.start()

    async def holds() -> bool:
        return service._relay._producer is not None and len(service._relay.shards) == SHARDS

    await eventually(holds)

    async def silent(*_: Any, **__: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    service._relay._producer.send_batch = silent  # the next producer is a new one
    await service.execute(LedgerStore(), "A", lambda s, n: [Fact(Echoed(number=1), topic=topic)])

    async def published() -> bool:
        return len(await world.read(topic)) == 1

    await eventually(published)


async def test_a_partition_without_an_answer_waits_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one leader has lost its followers: nothing more goes to it, the others go on."""
    monkeypatch.setattr(relay, "SEND_SECONDS", 600.0)
    topic, database = world.topic("echo", 2), await world.database()
    slow, quick = (
        next(f"S{n}" for n in range(99) if partition_of(f"S{n}", 2) == p) for p in (0, 1)
    )
    service = world.service(database)
    await service.start()
    await _say(service, topic, quick, 1)
    await eventually(lambda: _outbox_is_empty(world, database))
    send, waiting = service._relay._producer.send_batch, []

    async def silent(batch: Any, of: str, *, partition: int) -> Any:
        if partition == 1:
            return await send(batch, of, partition=partition)
        waiting.append((batch, asyncio.get_running_loop().create_future()))
        return waiting[-1][1]

    service._relay._producer.send_batch = silent
    for number in range(1, 4):
        await _say(service, topic, slow, number)
        await _say(service, topic, quick, number + 1)

        async def through(numbers: Sequence[int] = range(1, number + 2)) -> bool:
            return await _numbers(world, topic, quick) == list(numbers)

        await eventually(through)
    assert len(waiting) == 1
    assert await _numbers(world, topic, slow) == []

    service._relay._producer.send_batch = send
    batch, answer = waiting[0]
    answer.set_result(await (await send(batch, topic, partition=0)))
    await eventually(lambda: _outbox_is_empty(world, database))
    assert await _numbers(world, topic, slow) == [1, 2, 3]


async def test_who_begins_anew_leaves_no_producer_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would try for ever, and send again what the next one has sent."""
    monkeypatch.setattr(relay, "SEND_SECONDS", 0.3)
    monkeypatch.setattr(relay, "CLOSE_SECONDS", 0.5)
    topic, database = world.topic("echo", 1), await world.database()
    service = world.service(database)
    await service.start()
    await _say(service, topic, "A", 1)
    await eventually(lambda: _outbox_is_empty(world, database))

    async def silent(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    first = service._relay._producer
    first.client.send = silent
    await _say(service, topic, "A", 2)
    await eventually(lambda: _outbox_is_empty(world, database))
    assert service._relay._producer is not first
    senders = [task for task in asyncio.all_tasks() if "_sender_routine" in str(task.get_coro())]
    assert len(senders) == 1


async def test_a_holder_that_says_nothing_lets_go_of_its_shards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a frozen process would: its connection is there, and nothing comes over it."""
    monkeypatch.setattr(relay, "IDLE_SECONDS", 2)
    database = await world.database()
    first = world.service(database)
    await first.start()

    async def all_held(service: Service) -> bool:
        return len(service._relay.shards) == SHARDS

    await eventually(lambda: all_held(first))
    task = first._relay._task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    second = world.service(database)
    await second.start()
    await eventually(lambda: all_held(second))


async def test_a_session_whose_client_is_gone_is_ended_soon(world: World) -> None:
    conn = await connect(world.settings, "review", database=await world.database())
    try:
        found = {
            row["name"]: row["setting"]
            for row in await conn.fetch("SELECT name, setting FROM pg_settings")
        }
        asked = int(found["tcp_keepalives_interval"]) * int(found["tcp_keepalives_count"])
        assert 0 < int(found["tcp_keepalives_idle"]) + asked <= 30
        assert 0 < int(found["tcp_user_timeout"]) <= 30_000
    finally:
        await conn.close()


async def test_an_operator_s_work_on_a_whole_log_has_no_time_limit(world: World) -> None:
    database = await world.database()

    async def limits(conns: Mapping[str, Any]) -> list[str]:
        conn = conns["review"]
        assert conn._config.command_timeout is None
        return [
            await conn.fetchval(f"SHOW {name}")
            for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        ]

    # as in a deployment: the servers are the local stack's or containers, whatever runs here
    with patch.dict(os.environ, world.stack.environment()):
        found = await asyncio.to_thread(with_services, {"review": database}, None, limits)
    assert found == ["0", "0"]
