"""What operators see and decide, one or many, two at once, and what a partner hears of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared import redrive
from shared.redrive import CannotRedrive, Selection, list_parked
from tests.eventually import eventually
from tests.integration.messaging.desk import TYPE, Desk, Wanted
from tests.integration.messaging.ledger import Moods, Noted, World, consumer

PAYLOADS = {TYPE: Wanted}


async def _parked(world: World, moods: Moods, subjects: int, mood: str = "poison") -> Any:
    """A service, so many of whose applications wait, each with an event behind the failed one."""
    topic, database = world.topic("notes", 1), await world.database()
    reading = consumer(topic, moods, f"g.{world.tag}", halt_after=10_000)
    service = world.service(database, consumers=[reading])
    await service.start()
    for subject in range(subjects):
        await world.send(topic, f"S{subject:02d}", Noted(number=1, mood=mood), 1)
        await world.send(topic, f"S{subject:02d}", Noted(number=2), 2)

    async def all_wait() -> bool:
        async with service.pool.acquire() as conn:
            return await redrive.count_parked(conn, Selection(state="parked")) == (
                subjects,
                subjects * 2,
            )

    await eventually(all_wait)
    return service


async def test_the_list_says_how_often_and_when_it_was_tried(world: World) -> None:
    moods = Moods()
    service = await _parked(world, moods, 1)
    async with service.pool.acquire() as conn:
        (key,) = await list_parked(conn)
        assert (key.cause, key.tries, key.waiting) == ("impossible", 1, 2)
        assert key.first_tried is not None
        assert key.first_tried <= key.last_tried
        await redrive.retry_parked(conn, key.id, who="ops", why="hope")

        async def tried() -> bool:
            (again,) = await list_parked(conn)
            return again.tries == 2 and again.state == "parked"

        await eventually(tried)
        (again,) = await list_parked(conn)
        assert again.first_tried == key.first_tried
        assert again.last_tried > key.last_tried
        detail = await redrive.show_parked(conn, key.id)
        assert [sequence for _, _, sequence in detail.behind] == [2]
        behind = await redrive.show_parked(conn, detail.behind[0][0])
        assert (behind.ahead, behind.behind) == (1, [])


async def test_a_selection_narrows_by_everything_that_it_names(world: World) -> None:
    service = await _parked(world, Moods(), 3)
    group = f"g.{world.tag}"
    async with service.pool.acquire() as conn:

        async def found(**which: Any) -> int:
            keys = await list_parked(conn, Selection(**which))
            assert len(keys) == (await redrive.count_parked(conn, Selection(**which)))[0]
            return len(keys)

        assert await found(consumer=group) == 3
        assert await found(consumer="another") == 0
        assert await found(subject="S01") == 1
        assert await found(event_type=Noted.type) == 3
        assert await found(event_type="another") == 0
        assert await found(state="gap") == 0
        assert await found(text="CANNOT be") == 3
        assert await found(text="%") == 0
        assert await found(older=timedelta(hours=1)) == 0
        assert await found(younger=timedelta(hours=1)) == 3
        now = await conn.fetchval("SELECT clock_timestamp()")
        assert await found(until=now) == 3
        assert await found(until=now - timedelta(hours=1)) == 0
        assert await redrive.kinds_parked(conn) == {"consumer": [group], "type": [Noted.type]}


async def test_two_operators_at_once_retry_each_of_many_once(world: World) -> None:
    moods = Moods()
    service = await _parked(world, moods, 12)
    tried = len(moods.seen)

    async def operator(who: str) -> Counter[bool]:
        conn = await service.pool.acquire()
        try:
            items = await redrive.select_waiting(conn, redrive.EVERYTHING)
            await ready.wait()
            return Counter(
                [
                    not outcome.refused
                    async for outcome in redrive.redrive_many(
                        conn, items, "retry", who=who, why="both of us", per_second=1000
                    )
                ]
            )
        finally:
            await service.pool.release(conn)

    ready = asyncio.Barrier(3)
    first, second, _ = await asyncio.gather(operator("one"), operator("two"), ready.wait())
    assert first[True] + second[True] == 12
    assert first[False] + second[False] == 12

    async def parked_again() -> bool:
        rows = await world.rows(
            world.databases[0], "SELECT FROM messaging.blocked_key WHERE state = 'parked'"
        )
        return len(rows) == 12 and len(moods.seen) >= tried + 12

    await eventually(parked_again)
    assert len(moods.seen) == tried + 12, "each was tried once more"
    audit = await world.rows(world.databases[0], "SELECT what FROM messaging.audit")
    assert len({row["what"] for row in audit}) == len(audit) == 12


async def test_two_operators_at_once_skip_each_of_many_once(world: World) -> None:
    service = await _parked(world, Moods(), 8)
    ready = asyncio.Barrier(2)

    async def operator(who: str) -> int:
        async with service.pool.acquire() as conn:
            items = await redrive.select_waiting(conn, redrive.EVERYTHING)
            await ready.wait()
            outcomes = redrive.redrive_many(
                conn, items, "skip", who=who, why="both of us", per_second=1000
            )
            return sum([not outcome.refused async for outcome in outcomes])

    assert sum(await asyncio.gather(operator("one"), operator("two"))) == 8

    async def rest_applied() -> bool:
        entries = await world.entries(world.databases[0])
        return sorted(entries.values()) == [[2]] * 8

    await eventually(rest_applied)
    rows = await world.rows(world.databases[0], "SELECT who FROM messaging.skipped_event")
    assert len(rows) == 8


async def test_what_was_tried_since_it_was_looked_at_is_left_alone(world: World) -> None:
    moods = Moods()
    service = await _parked(world, moods, 1)
    async with service.pool.acquire() as conn:
        (seen,) = await list_parked(conn)
        await redrive.retry_parked(conn, seen.id, who="one", why="quicker")

        async def parked_again() -> bool:
            (key,) = await list_parked(conn)
            return key.tries == 2 and key.state == "parked"

        await eventually(parked_again)
        with pytest.raises(CannotRedrive, match="tried again meanwhile"):
            await redrive.retry_parked(conn, seen.id, who="two", why="late", seen=seen.last_tried)
        with pytest.raises(CannotRedrive, match="tried again meanwhile"):
            await redrive.skip_parked(conn, seen.id, who="two", why="late", seen=seen.last_tried)


async def test_many_go_no_faster_than_the_rate(world: World) -> None:
    moods = Moods()
    service = await _parked(world, moods, 6)
    async with service.pool.acquire() as conn:
        items = await redrive.select_waiting(conn, redrive.EVERYTHING)
        begun = time.monotonic()
        outcomes = redrive.redrive_many(conn, items, "retry", who="ops", why="x", per_second=10)
        assert len([one async for one in outcomes]) == 6
        assert time.monotonic() - begun >= 0.5


async def test_the_command_previews_many_and_does_them_on_request(world: World) -> None:
    moods = Moods()
    await _parked(world, moods, 3)
    where = ("--database", world.databases[0], "--why", "mended")
    seen = len(moods.seen)
    said = await world.banka("parked", "retry", "review", "--reason", "cannot be", *where)
    assert "nothing was done" in said
    assert "3 chosen" in said
    assert len(moods.seen) == seen
    assert not await world.rows(world.databases[0], "SELECT FROM messaging.audit")
    usage = await world.banka("parked", "retry", "review", *where, code=2)
    assert "--all" in usage
    moods.mended = True
    done = await world.banka(
        "parked", "retry", "review", "--reason", "cannot be", "--no-dry-run", "--rate", "100",
        "--who", "ops", *where,
    )  # fmt: skip
    assert "3 of 3 is tried again" in done

    async def applied() -> bool:
        return sorted((await world.entries(world.databases[0])).values()) == [[1, 2]] * 3

    await eventually(applied)


async def test_gaps_are_left_alone_by_many(world: World) -> None:
    topic, database = world.topic("notes", 1), await world.database()
    service = world.service(database, consumers=[consumer(topic, Moods(), f"g.{world.tag}")])
    await service.start()
    await world.send(topic, "A", Noted(number=2), 2)
    async with service.pool.acquire() as conn:

        async def waits() -> bool:
            return [key.cause for key in await list_parked(conn)] == ["missing"]

        await eventually(waits)
        items = await redrive.select_waiting(conn, redrive.EVERYTHING)
        actions: tuple[redrive.Action, ...] = ("retry", "skip")
        for action in actions:
            outcomes = redrive.redrive_many(conn, items, action, who="ops", why="x")
            assert ["number 1" in outcome.refused async for outcome in outcomes] == [True]
    assert not await world.rows(database, "SELECT FROM messaging.audit")


class Stuck:
    """A partner's desk whose code fails on the number 99, and what waits there."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.world = desk, desk.world
        self.database = desk.world.databases[0]
        self.conn: Any = None

    async def wait(self) -> int:
        self.desk.broken = True
        await self.desk.send("A", {"number": 99}, "theirs")
        await self.desk.send("A", {"number": 2}, "later")
        self.conn = await self.world.connect(self.database)

        async def waits() -> Any:
            keys = await list_parked(self.conn)
            return keys and keys[0].waiting == 2 and keys[0].id

        return int(await eventually(waits))


@pytest.fixture
async def stuck(desk: Desk) -> Any:
    stuck = Stuck(desk)
    yield stuck
    if stuck.conn is not None:
        await stuck.conn.close()


async def test_a_repaired_event_takes_the_partner_s_place_and_is_answered(stuck: Stuck) -> None:
    number = await stuck.wait()
    with pytest.raises(CannotRedrive, match="the schema forbids it: ValidationError: number"):
        await redrive.repair_parked(
            stuck.conn, number, b'{"number": "secret"}', who="ops", why="x", payloads=PAYLOADS
        )
    with pytest.raises(CannotRedrive, match="needs a reason"):
        await redrive.repair_parked(
            stuck.conn, number, b'{"number": 5}', who="ops", why=" ", payloads=PAYLOADS
        )
    assert (await list_parked(stuck.conn))[0].id == number
    detail = await redrive.show_parked(stuck.conn, number)
    with pytest.raises(CannotRedrive, match=f"waits behind {number}"):
        await redrive.skip_parked(stuck.conn, detail.behind[0][0], who="ops", why="x")
    with pytest.raises(CannotRedrive, match=f"waits behind {number}"):
        await redrive.repair_parked(
            stuck.conn, detail.behind[0][0], b'{"number": 5}', who="ops", why="x",
            payloads=PAYLOADS,
        )  # fmt: skip
    body = redrive.edited(await redrive.body_of(stuck.conn, number), {"/number": 5})
    event_id = await redrive.repair_parked(
        stuck.conn, number, body, who="ops", why="agreed with them", payloads=PAYLOADS
    )
    answers = await stuck.desk.wait_for("A", [True, True])
    assert [answer["event_id"] for answer in answers] == ["theirs", "later"]
    assert (await stuck.world.entries(stuck.database))["A"] == [5, 2], "in the order of the partner"
    first = (await stuck.world.read(stuck.desk.outbound))[0]
    headers = dict(first.headers)
    assert headers["ce_causationid"].decode() == event_id
    assert headers["ce_correlationid"] == b"theirs"
    kept = (await stuck.world.rows(stuck.database, "SELECT * FROM messaging.repaired_event"))[0]
    assert (kept["event_id"], kept["repaired_id"], kept["who"]) == (event_id, "theirs", "ops")
    assert json.loads(kept["body"]) == {"number": 99}
    skipped = await stuck.world.rows(stuck.database, "SELECT * FROM messaging.skipped_event")
    assert [(row["event_id"], row["why"]) for row in skipped] == [("theirs", "agreed with them")]
    audit = await stuck.world.rows(stuck.database, "SELECT action, what FROM messaging.audit")
    assert audit[0]["action"] == "repair"
    assert event_id in audit[0]["what"]
    # sent again, the partner's own event gets the same answer and has no effect
    await stuck.desk.send("A", {"number": 99}, "theirs")
    again = await stuck.desk.wait_for("A", [True, True, True])
    assert again[2] == again[0]
    assert (await stuck.world.entries(stuck.database))["A"] == [5, 2]


async def test_only_one_of_two_repairs_and_nothing_but_a_partner_s(
    stuck: Stuck, world: World
) -> None:
    number = await stuck.wait()

    async def operator(who: str, wanted: int) -> str:
        conn = await world.connect(stuck.database)
        try:
            await ready.wait()
            return await redrive.repair_parked(
                conn, number, b'{"number": %d}' % wanted, who=who, why="x", payloads=PAYLOADS
            )
        except CannotRedrive:
            return ""
        finally:
            await conn.close()

    ready = asyncio.Barrier(2)
    ids = await asyncio.gather(operator("one", 5), operator("two", 6))
    assert len([one for one in ids if one]) == 1
    await stuck.desk.wait_for("A", [True, True])
    assert len(await stuck.world.rows(stuck.database, "SELECT FROM messaging.repaired_event")) == 1
    topic, database = world.topic("notes", 1), await world.database()
    service = world.service(database, consumers=[consumer(topic, Moods(), f"h.{world.tag}")])
    await service.start()
    await world.send(topic, "A", Noted(number=1, mood="poison"), 1)
    async with service.pool.acquire() as conn:

        async def waits() -> Any:
            return await list_parked(conn)

        key = (await eventually(waits))[0]
        with pytest.raises(CannotRedrive, match="only a partner's event"):
            await redrive.repair_parked(conn, key.id, b"{}", who="ops", why="x")


async def test_the_partner_of_a_skipped_event_is_told(stuck: Stuck) -> None:
    number = await stuck.wait()
    await redrive.skip_parked(stuck.conn, number, who="ops", why="a test of theirs")
    answers = await stuck.desk.wait_for("A", [False, True])
    assert answers[0]["codes"] == [["", "LEFT_OUT"]]
    assert answers[0]["event_id"] == "theirs"
    assert (await stuck.world.entries(stuck.database))["A"] == [2]
    stuck.desk.broken = False
    await stuck.desk.send("A", {"number": 99}, "theirs")
    again = await stuck.desk.wait_for("A", [False, True, False])
    assert again[2] == again[0]


async def test_a_gate_halts_where_our_own_code_fails_and_not_for_a_partner_s_faults(
    desk: Desk,
) -> None:
    gate = desk.world.services[0]._readers[0]
    gate.recent = type(gate.recent)(window=6, share=0.5)
    for number in range(12):
        await desk.send(f"R{number}", {"number": 13})
    for number in range(12):
        await desk.wait_for(f"R{number}", [False])
    desk.broken = True

    async def halted() -> bool:
        return "events failed" in (await desk.world.services[0].readiness()).checks[gate.name]

    for number in range(20):
        await desk.send(f"B{number}", {"number": 99})
    await eventually(halted)
    assert (
        len(await desk.world.rows(desk.world.databases[0], "SELECT FROM messaging.blocked_key"))
        <= 3
    )


async def test_the_command_repairs_by_pointers_without_showing_values(
    desk: Desk, tmp_path: Path
) -> None:
    """Its schemas are those of the catalogue, so that a type that is none of a partner's is
    refused; pointers that lead nowhere are, too."""
    stuck = Stuck(desk)
    number = str(await stuck.wait())
    where = ("--database", stuck.database, "--why", "x")
    nowhere = await desk.world.banka(
        "parked", "repair", "review", number, "--set", "/other/1=5", *where, code=1
    )
    assert "there is no /other/1" in nowhere
    unknown = await desk.world.banka(
        "parked", "repair", "review", number, "--set", "/number=5", *where, code=1
    )
    assert f"no schema is known of {TYPE}" in unknown
    await stuck.conn.close()
