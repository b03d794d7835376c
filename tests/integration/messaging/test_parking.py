"""A failing event blocks its own application only, and an operator can bring it on again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.events.envelope import Envelope, encode
from shared.messaging import parking
from shared.messaging.outbox import partition_of
from shared.messaging.parking import STARTS
from shared.redrive import (
    CannotRedrive,
    list_parked,
    resume_consumer,
    retry_parked,
    show_parked,
    skip_parked,
)
from tests.eventually import eventually
from tests.integration.messaging.ledger import Moods, Noted, World, consumer


class Bench:
    """One topic, one database, one running service."""

    def __init__(self, world: World, topic: str, database: str, moods: Moods, **parts: Any) -> None:
        self.world, self.topic, self.database, self.moods = world, topic, database, moods
        self.group = f"g.{world.tag}"
        self.service = world.service(
            database, consumers=[consumer(topic, moods, self.group, **parts)]
        )

    async def send(self, subject: str, number: int, mood: str = "fine", **other: Any) -> str:
        return await self.world.send(
            self.topic, subject, Noted(number=number, mood=mood), number, **other
        )

    async def wait_for(self, subject: str, entries: list[int]) -> None:
        async def there() -> bool:
            return (await self.world.entries(self.database)).get(subject) == entries

        await eventually(there)

    async def blocked(self) -> dict[str, str]:
        rows = await self.world.rows(
            self.database, "SELECT subject, state FROM messaging.blocked_key"
        )
        return {row["subject"]: row["state"] for row in rows}

    async def wait_blocked(self, expected: dict[str, str]) -> None:
        async def as_expected() -> bool:
            return await self.blocked() == expected

        await eventually(as_expected)

    async def parked_ids(self, subject: str) -> list[int]:
        rows = await self.world.rows(
            self.database,
            "SELECT id FROM messaging.parked_event WHERE subject = $1 ORDER BY id", subject,
        )  # fmt: skip
        return [row["id"] for row in rows]


@pytest.fixture
async def bench(world: World) -> Bench:
    bench = Bench(world, world.topic("notes"), await world.database(), Moods())
    world.topic("", 1, full=f"{bench.group}.dead-letters")
    await bench.service.start()
    return bench


async def test_a_gap_waits_and_drains_in_order_once_it_is_filled(bench: Bench) -> None:
    await bench.send("A", 1)
    await bench.send("A", 4)
    await bench.send("A", 3)
    await bench.send("B", 1)
    await bench.wait_blocked({"A": "gap"})
    await bench.wait_for("B", [1])
    assert (await bench.world.entries(bench.database))["A"] == [1]
    await bench.send("A", 2)
    await bench.wait_for("A", [1, 2, 3, 4])
    await bench.wait_blocked({})
    assert await bench.parked_ids("A") == []
    await bench.send("A", 5)
    await bench.wait_for("A", [1, 2, 3, 4, 5])


async def test_another_source_waits_behind_the_gap_of_its_application(bench: Bench) -> None:
    await bench.send("A", 2)
    await bench.wait_blocked({"A": "gap"})
    await bench.world.send(bench.topic, "A", Noted(number=100), 1, source="/banka/notify")
    await bench.send("A", 1)
    await bench.wait_for("A", [1, 2, 100])


async def test_a_poison_event_blocks_its_own_application_and_nobody_else(bench: Bench) -> None:
    await bench.send("A", 1)
    for number in range(2, 12):
        await bench.send("A", number, "poison" if number == 2 else "fine")
        for other in ("B", "C", "D"):
            await bench.send(other, number - 1)
    for other in ("B", "C", "D"):
        await bench.wait_for(other, list(range(1, 11)))
    await bench.wait_blocked({"A": "parked"})

    async def all_wait() -> bool:
        return len(await bench.parked_ids("A")) == 10

    await eventually(all_wait)
    assert (await bench.world.entries(bench.database))["A"] == [1]


async def test_a_mended_handler_and_a_retry_bring_everything_on(bench: Bench) -> None:
    for number in range(1, 6):
        await bench.send("A", number, "poison" if number == 2 else "fine")
    await bench.wait_blocked({"A": "parked"})
    bench.moods.mended = True
    async with bench.service.pool.acquire() as conn:
        parked = (await list_parked(conn))[0]
        assert (parked.subject, parked.state, parked.type) == ("A", "parked", Noted.type)
        assert parked.reason == "Permanent: cannot be noted"
        await retry_parked(conn, parked.id, who="ops", why="mended")
    await bench.wait_for("A", [1, 2, 3, 4, 5])
    await bench.wait_blocked({})
    audit = await bench.world.rows(bench.database, "SELECT who, action FROM messaging.audit")
    assert [tuple(row) for row in audit] == [("ops", "retry")]


async def test_a_retry_before_the_mend_parks_again(bench: Bench) -> None:
    await bench.send("A", 1, "poison")
    await bench.wait_blocked({"A": "parked"})
    async with bench.service.pool.acquire() as conn:
        parked = (await list_parked(conn))[0]
        await retry_parked(conn, parked.id, who="ops", why="hope")

        async def tried() -> bool:
            return len(bench.moods.seen) >= 2 and await bench.blocked() == {"A": "parked"}

        await eventually(tried)


async def test_a_skipped_event_is_never_applied_and_the_rest_goes_on(bench: Bench) -> None:
    for number in range(1, 5):
        await bench.send("A", number, "poison" if number == 2 else "fine")
    await bench.wait_blocked({"A": "parked"})

    async def all_wait() -> bool:
        return len(await bench.parked_ids("A")) == 3

    await eventually(all_wait)
    async with bench.service.pool.acquire() as conn:
        first, second, _ = await bench.parked_ids("A")
        with pytest.raises(CannotRedrive, match="number 3, and 2 has not come"):
            await skip_parked(conn, second, who="ops", why="wrong one")
        with pytest.raises(CannotRedrive, match="reason"):
            await skip_parked(conn, first, who="ops", why=" ")
        await skip_parked(conn, first, who="ops", why="entered by hand")
        with pytest.raises(CannotRedrive, match="not parked"):
            await skip_parked(conn, first, who="other", why="me too")
    await bench.wait_for("A", [1, 3, 4])
    await bench.wait_blocked({})
    # a rebuild under a new name honours the decision
    moods = Moods()
    await bench.world.do(bench.database, "DELETE FROM ledger")
    rebuilt = bench.world.service(
        bench.database, consumers=[consumer(bench.topic, moods, f"{bench.group}@2")]
    )
    await rebuilt.start()
    await bench.wait_for("A", [1, 3, 4])
    assert ("A", 2) not in moods.seen


async def test_an_operator_sees_the_event_with_its_texts_masked(bench: Bench) -> None:
    await bench.world.send(
        bench.topic,
        "A",
        b'{"number": "not a number", "mood": "secret words"}',
        1,
        event_type=Noted.type,
    )
    await bench.wait_blocked({"A": "parked"})
    async with bench.service.pool.acquire() as conn:
        detail = await show_parked(conn, (await list_parked(conn))[0].id)
    assert detail.payload == {"number": "…", "mood": "…"}
    assert detail.key.reason == "Undecodable: ValidationError: number: int_parsing"
    assert "secret" not in repr(detail)


async def test_a_transient_failure_is_retried_by_itself(bench: Bench) -> None:
    bench.moods.transient_left = 2
    for number in (1, 2, 3):
        await bench.send("A", number, "flaky" if number == 1 else "fine")
    await bench.wait_for("A", [1, 2, 3])
    await bench.wait_blocked({})


async def test_transient_failures_end_in_the_parking_lot(bench: Bench) -> None:
    bench.service.consumers[0].attempts = 2
    bench.service._readers[0].attempts = 2
    bench.moods.transient_left = 99
    await bench.send("A", 1, "flaky")
    await bench.wait_blocked({"A": "parked"})
    rows = await bench.world.rows(bench.database, "SELECT attempts FROM messaging.blocked_key")
    assert rows[0]["attempts"] == 2


async def test_a_state_that_the_database_refuses_blocks_only_its_key(bench: Bench) -> None:
    await asyncio.gather(
        *(bench.send(f"S{s}", 1, "negative" if s == 3 else "fine") for s in range(8))
    )
    for subject in (s for s in range(8) if s != 3):
        await bench.wait_for(f"S{subject}", [1])
    assert list(await bench.blocked()) == ["S3"]


async def test_odd_records_are_parked_and_stop_nobody(bench: Bench) -> None:
    good = encode(Envelope("x-1", Noted.type, "/banka/intake", "odd-1", _now(), _now(), 1))
    send = bench.world.send_raw
    await send(bench.topic, b"odd-1", b"{broken", good)
    await send(bench.topic, b"odd-2", b"{}", [("ce_id", None), *good[2:]])
    await send(bench.topic, b"odd-3", b"{}", [("ce_id", b"\xff\xfe"), *good[2:]])
    await send(bench.topic, b"odd-4", b"", good)
    await send(bench.topic, b"odd-5", None, good)
    await send(bench.topic, b"odd-6", b"{}", [])
    await send(bench.topic, b"odd-7", b'{"number": 1}', good)  # key is not the subject
    await send(bench.topic, b"\xff\x00", b"{}", good)
    await send(bench.topic, None, b"{}", good)
    await send(bench.topic, b"odd-8", b"{}", [("content-type", b"text/plain"), *good])
    for number in range(1, 4):
        for subject in ("A", "B", "C", "D", "E"):
            await bench.send(subject, number)
    for subject in ("A", "B", "C", "D", "E"):
        await bench.wait_for(subject, [1, 2, 3])
    blocked = await bench.blocked()
    assert set(blocked) == {f"odd-{n}" for n in range(1, 9)} | {"hex:ff00", ""}
    assert set(blocked.values()) == {"parked"}


async def test_skipping_a_misaddressed_record_moves_no_number(bench: Bench) -> None:
    """Its key says A, its envelope B: the first real event of A must still be applied."""
    stray = encode(Envelope("x-1", Noted.type, "/banka/intake", "B", _now(), _now(), 1))
    await bench.world.send_raw(bench.topic, b"A", b'{"number": 66}', stray)
    await bench.wait_blocked({"A": "parked"})
    async with bench.service.pool.acquire() as conn:
        await skip_parked(conn, (await list_parked(conn))[0].id, who="ops", why="not ours")
    await bench.send("A", 1)
    await bench.send("B", 1)
    await bench.wait_for("A", [1])
    await bench.wait_for("B", [1])


async def test_skipped_records_that_are_no_events_stay_out_of_a_rebuild(bench: Bench) -> None:
    """And the event that one of them pretends to be, under a wrong key, is applied."""
    real = encode(Envelope("x-1", Noted.type, "/banka/intake", "B", _now(), _now(), 1))
    await bench.world.send_raw(bench.topic, b"A", b'{"number": 66}', real)
    await bench.world.send_raw(bench.topic, b"C", b"{broken", [])
    await bench.wait_blocked({"A": "parked", "C": "parked"})
    async with bench.service.pool.acquire() as conn:
        for parked in await list_parked(conn):
            await skip_parked(conn, parked.id, who="ops", why="no events")
    await bench.wait_blocked({})
    await bench.world.send_raw(bench.topic, b"B", b'{"number": 1}', real)
    for subject in ("A", "C"):
        await bench.send(subject, 1)
    for subject in ("A", "B", "C"):
        await bench.wait_for(subject, [1])
    await bench.service.stop()
    await bench.world.do(bench.database, "DELETE FROM ledger")
    rebuilt = bench.world.service(
        bench.database, consumers=[consumer(bench.topic, Moods(), f"{bench.group}@2")]
    )
    await rebuilt.start()
    for subject in ("A", "B", "C"):
        await bench.wait_for(subject, [1])
    assert await bench.blocked() == {}


async def test_an_event_that_kills_the_process_when_it_is_retried_is_parked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking, "backoff", lambda _attempts: 60.0)  # none before it is due here
    bench.moods.transient_left = 99
    await bench.send("A", 1, "flaky")
    await bench.wait_blocked({"A": "retry"})
    seen = len(bench.moods.seen)
    # as often was it begun, by processes that did not live to say how it ended
    await bench.world.do(
        bench.database,
        "UPDATE messaging.blocked_key SET attempts = $1, retry_at = clock_timestamp()",
        bench.service.consumers[0].attempts + STARTS,
    )
    await bench.wait_blocked({"A": "parked"})
    rows = await bench.world.rows(bench.database, "SELECT reason FROM messaging.blocked_key")
    assert rows[0]["reason"] == "stopped the process while it was applied"
    assert len(bench.moods.seen) == seen


async def test_a_retry_that_the_machinery_cuts_off_is_no_attempt(bench: Bench) -> None:
    """However often: this process lives, and what else was due then was not even begun."""
    world, database = bench.world, bench.database
    bench.moods.transient_left = 99
    allowed = bench.service.consumers[0].attempts
    bench.service._readers[0].attempts = 99  # the first waits for the second, not to be parked
    for subject in ("A", "B"):
        await bench.send(subject, 1)
        await bench.wait_for(subject, [1])
        await bench.send(subject, 2, "flaky")
    await bench.wait_blocked({"A": "retry", "B": "retry"})
    bench.service._readers[0].attempts = allowed

    async def cut_off() -> None:
        await world.do(
            database, "SELECT pg_terminate_backend($1, 5000)", await world.waiting(database)
        )

    due = "UPDATE messaging.blocked_key SET retry_at = clock_timestamp() - interval '2 seconds'"
    async with _row(world, database, "A"):
        async with _row(world, database, "B"):
            bench.moods.transient_left = 0
            await world.do(database, f"{due} * (CASE subject WHEN 'A' THEN 2 ELSE 1 END)")
            await cut_off()
            await world.waiting(database)  # B has its turn, and not after a claim's half minute
        await bench.wait_for("B", [1, 2])
        for _ in range(allowed + STARTS):
            await world.do(database, due)
            await cut_off()
    await world.do(database, due)
    await bench.wait_for("A", [1, 2])
    await bench.wait_blocked({})


@asynccontextmanager
async def _row(world: World, database: str, subject: str) -> AsyncIterator[None]:
    """Whoever loads this subject waits until the block ends."""
    conn = await world.connect(database)
    try:
        async with conn.transaction():
            await conn.execute("SELECT 1 FROM ledger WHERE subject = $1 FOR UPDATE", subject)
            yield
    finally:
        await conn.close()


async def test_a_good_event_that_the_machinery_holds_up_after_an_unclean_stop_is_applied(
    world: World,
) -> None:
    """This process lives through every one of its attempts: that is no event that stops it."""
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods())
    await bench.service.start()
    await bench.send("A", 1)
    await bench.wait_for("A", [1])
    await bench.service.stop()
    await world.do(bench.database, "UPDATE messaging.consumer_offset SET clean = false")
    moods = Moods()
    moods.gone_left = 3 * (STARTS + 2)  # a poll tries it three times
    bench.service = world.service(
        bench.database, consumers=[consumer(bench.topic, moods, bench.group)]
    )
    await bench.service.start()
    for number in (2, 3, 4):
        await bench.send("A", number, "gone" if number == 2 else "fine")
    await bench.wait_for("A", [1, 2, 3, 4])
    assert moods.gone_left == 0
    assert await bench.blocked() == {}


async def test_lives_that_an_event_did_not_end_are_not_counted_against_it(world: World) -> None:
    """The machinery fails through as many lives of the process as would park it; they end well."""
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods())
    await bench.send("A", 1, "gone")
    for life in range(STARTS + 2):
        moods = Moods()
        moods.gone_left = 999 if life <= STARTS else 0
        service = world.service(
            bench.database, consumers=[consumer(bench.topic, moods, bench.group)]
        )
        await service.start()

        async def tried(moods: Moods = moods) -> bool:
            return len(moods.seen) > 0

        await eventually(tried)
        if life <= STARTS:
            await service.stop()
            await world.do(bench.database, "UPDATE messaging.consumer_offset SET clean = false")
    await bench.wait_for("A", [1])
    assert await bench.blocked() == {}


async def test_a_failed_event_is_copied_to_the_dead_letters_once(bench: Bench) -> None:
    await bench.send("A", 1, "poison")
    await bench.send("A", 2)
    await bench.wait_blocked({"A": "parked"})

    async def copied() -> bool:
        return len(await bench.world.read(f"{bench.group}.dead-letters")) >= 1

    await eventually(copied)
    letters = await bench.world.read(f"{bench.group}.dead-letters")
    assert [letter.key for letter in letters] == [b"A"]
    headers = dict(letters[0].headers)
    assert headers["banka-reason"] == b"Permanent: cannot be noted"
    assert headers["ce_sequence"] == b"1"


async def test_an_unknown_version_pauses_its_partition_only(bench: Bench) -> None:
    await bench.send("A", 1)
    await bench.wait_for("A", [1])
    await bench.world.send(bench.topic, "A", b"{}", 2, event_type="banka.ledger.noted.v2")
    await bench.send("A", 3)

    async def paused() -> bool:
        checks = (await bench.service.readiness()).checks
        return "newer than this build" in checks[bench.group]

    await eventually(paused)
    others = [s for s in ("B", "C", "D", "E", "F", "G") if not _same_partition(s, "A")]
    assert others
    for subject in others:
        await bench.send(subject, 1)
        await bench.wait_for(subject, [1])
    assert (await bench.world.entries(bench.database))["A"] == [1]
    assert await bench.blocked() == {}
    assert not (await bench.service.readiness()).ready


def _same_partition(one: str, other: str) -> bool:
    from tests.integration.messaging.ledger import PARTITIONS

    return partition_of(one, PARTITIONS) == partition_of(other, PARTITIONS)


async def test_a_bad_build_halts_instead_of_parking_everything(world: World) -> None:
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods(), halt_after=5)
    await bench.service.start()
    await bench.send("S00", 1, "poison")
    await bench.wait_blocked({"S00": "parked"})
    for subject in range(1, 12):
        await bench.send(f"S{subject:02d}", 1, "poison")

    async def halted() -> bool:
        return "events failed" in (await bench.service.readiness()).checks[bench.group]

    await eventually(halted)
    assert 1 <= len(await bench.blocked()) < 5
    await bench.service.stop()
    # the next build is right, and nothing was lost; but that it starts is nobody's decision
    mended = Moods()
    mended.mended = True
    again = world.service(bench.database, consumers=[consumer(bench.topic, mended, bench.group)])
    await again.start()
    bench.service = again
    await eventually(halted)
    assert not mended.seen
    where = ("--database", bench.database)
    listed = await world.banka("parked", "list", "review", *where)
    assert f"banka parked resume review {bench.group} --why" in listed
    resume = ("parked", "resume", "review", bench.group, "--who", "ops", "--why", "rolled back")
    said = await world.banka(*resume, *where)
    assert f"banka parked retry review --consumer {bench.group}" in said
    assert "has not stopped" in await world.banka(*resume, *where, code=1)
    await world.banka(
        "parked", "retry", "review", "--consumer", bench.group, "--no-dry-run", "--who", "ops",
        "--why", "rolled back", *where,
    )  # fmt: skip
    for subject in range(12):
        await bench.wait_for(f"S{subject:02d}", [1])
    assert (await again.readiness()).checks[bench.group] == "ok"
    audit = await world.rows(bench.database, "SELECT who, action FROM messaging.audit ORDER BY id")
    assert tuple(audit[0]) == ("ops", "resume")
    assert {row["action"] for row in audit} == {"resume", "retry"}


async def test_more_than_a_share_of_failures_halts_though_others_are_applied(world: World) -> None:
    """Two of three fail: not one row without a success between, and a bad build all the same."""
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods(), halt_after=9)
    for subject in range(30):
        await bench.send(f"S{subject:02d}", 1, "fine" if subject % 3 == 0 else "negative")
    await bench.service.start()

    async def halted() -> bool:
        return "events failed" in (await bench.service.readiness()).checks[bench.group]

    await eventually(halted)
    assert len(await bench.blocked()) <= 4


async def test_failures_that_come_right_by_themselves_halt_nobody(world: World) -> None:
    """Two of three are transient: they are tried again; only a row without a success would halt."""
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods(), halt_after=9)
    bench.moods.transient_left = 20
    for subject in range(30):
        await bench.send(f"S{subject:02d}", 1, "fine" if subject % 3 == 0 else "flaky")
    await bench.service.start()
    for subject in range(30):
        await bench.wait_for(f"S{subject:02d}", [1])
    assert (await bench.service.readiness()).checks[bench.group] == "ok"


async def test_every_process_of_a_service_stops_and_goes_on_together(world: World) -> None:
    topic, database, group = world.topic("notes", 2), await world.database(), f"g.{world.tag}"
    bad, other = Moods(), Moods()
    one = world.service(database, consumers=[consumer(topic, bad, group, halt_after=4)])
    two = world.service(database, consumers=[consumer(topic, other, group, halt_after=4)])
    await one.start()
    await two.start()

    async def checks(words: str) -> bool:
        states = [(await s.readiness()).checks[group] for s in (one, two)]
        return all(words in state for state in states)

    await eventually(lambda: checks("ok"))
    for subject in range(12):
        if partition_of(f"S{subject}", 2) == min(one._subscriptions[0]._assigned):
            await world.send(topic, f"S{subject}", Noted(number=1, mood="poison"), 1)
    await eventually(lambda: checks("events failed"))
    assert not other.seen
    bad.mended = True
    conn = await world.connect(database)
    await resume_consumer(conn, group, who="ops", why="mended")
    await conn.close()
    await eventually(lambda: checks("ok"))
    for later in ("T1", "T2", "T3", "T4"):
        await world.send(topic, later, Noted(number=1), 1)

    async def all_there() -> bool:
        entries = await world.entries(database)
        return all(entries.get(subject) == [1] for subject in ("T1", "T2", "T3", "T4"))

    await eventually(all_there)


async def test_failures_with_successes_between_them_halt_nobody(world: World) -> None:
    """Neither in a poll of many applications nor one application after another."""
    bench = Bench(
        world, world.topic("notes", 1), await world.database(), Moods(), halt_after=4,
        halt_share=0.75,
    )  # fmt: skip
    # one poll; the database's refusal names nobody, so that every application is tried by itself
    for subject in range(12):
        mood = "negative" if subject % 2 else "fine"
        await bench.send(f"S{subject:02d}", 1, mood)
    await bench.service.start()
    await bench.wait_for("S10", [1])
    for subject in range(12, 18):
        mood = "poison" if subject % 2 else "fine"
        await bench.send(f"S{subject:02d}", 1, mood)
        if mood == "fine":
            await bench.wait_for(f"S{subject:02d}", [1])
    odd = {f"S{subject:02d}": "parked" for subject in range(1, 18, 2)}

    async def all_failed() -> bool:
        return (await bench.blocked()).keys() == odd.keys()

    await eventually(all_failed)
    assert (await bench.service.readiness()).checks[bench.group] == "ok"


async def test_failures_of_a_poll_that_was_rolled_back_are_not_counted(world: World) -> None:
    """The machinery fails beside one bad event, again and again: that is no row of bad events."""
    bench = Bench(world, world.topic("notes", 1), await world.database(), Moods(), halt_after=3)
    bench.moods.gone_left = 10
    await bench.send("A", 1, "poison")
    await bench.send("B", 1, "gone")
    await bench.service.start()
    await bench.wait_for("B", [1])
    assert bench.moods.gone_left == 0
    assert await bench.blocked() == {"A": "parked"}
    assert (await bench.service.readiness()).checks[bench.group] == "ok"


async def test_an_event_that_kills_the_process_is_parked_after_three_starts(world: World) -> None:
    topic, database, group = world.topic("notes", 1), await world.database(), f"g.{world.tag}"
    await world.send(topic, "A", Noted(number=1), 1)
    await world.send(topic, "K", Noted(number=1, mood="deadly"), 1)
    await world.send(topic, "B", Noted(number=1), 1)
    deaths = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.messaging.process", world.stack.name,
             world.tag, topic, topic, database, group],
            stdout=subprocess.DEVNULL, env={**os.environ, **world.stack.environment()},
        )  # fmt: skip

        async def over(process: subprocess.Popen[bytes] = process) -> bool:
            return process.poll() is not None or (await world.entries(database)).get("B") == [1]

        await eventually(over)
        if process.poll() is None:
            process.terminate()
            process.wait()
            break
        deaths += 1
    assert await world.entries(database) == {"A": [1], "B": [1]}
    blocked = await world.rows(database, "SELECT subject, reason FROM messaging.blocked_key")
    assert [tuple(row) for row in blocked] == [("K", "stopped the process while it was applied")]
    assert 3 <= deaths <= 4


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
