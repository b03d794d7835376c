"""Calls to the outside world: made outside transactions, answered inside one."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from shared.messaging import (
    Call,
    ClaimedCall,
    ClearDeadline,
    Deadline,
    Deadlines,
    Effect,
    Refused,
    Result,
    Service,
    Succeeded,
    Worker,
)
from shared.messaging import calls as kernel
from shared.messaging.calls import APPLY_ATTEMPTS
from shared.messaging.deadlines import ATTEMPTS
from shared.messaging.parking import FARTHEST
from tests.eventually import eventually
from tests.integration.messaging.ledger import Ledger, LedgerStore, World


def on_result(result: Any, state: Ledger, now: datetime) -> Iterable[Effect]:
    text = getattr(result, "reason", "") or json.dumps(getattr(result, "value", None))
    state.answers.append(f"{type(result).__name__}:{text}")
    return []


def _worker(call: Callable[[ClaimedCall], Awaitable[Result]], **parts: Any) -> Worker:
    settings: dict[str, Any] = {"timeout": 0.3, "backoff": 0.05, "attempts": 3} | parts
    return Worker(
        kind="bureau", store=LedgerStore(), call=call, **({"on_result": on_result} | settings)
    )


async def _ask(service: Service, subject: str, key: str, **parts: Any) -> None:
    await service.execute(
        LedgerStore(), subject, lambda s, n: [Call("bureau", key, {"x": 1}, **parts)]
    )


async def _answers(world: World, subject: str) -> list[str]:
    rows = await world.rows(
        world.databases[0], "SELECT answers FROM ledger WHERE subject = $1", subject
    )
    return list(rows[0]["answers"]) if rows else []


async def _wait_answers(world: World, subject: str, expected: list[str]) -> None:
    async def there() -> bool:
        return await _answers(world, subject) == expected

    await eventually(there)


async def _open(world: World) -> int:
    rows = await world.rows(
        world.databases[0],
        "SELECT count(*) FROM messaging.call WHERE state IN ('open', 'leased')",
    )
    return int(rows[0][0])


async def _run(world: World, *workers: Worker, **parts: Any) -> Service:
    database = world.databases[0] if world.databases else await world.database()
    service = world.service(database, workers=workers, **parts)
    await service.start()
    return service


async def test_a_call_is_made_once_and_its_result_applied(world: World) -> None:
    calls: list[ClaimedCall] = []

    async def bureau(call: ClaimedCall) -> Result:
        calls.append(call)
        return Succeeded({"score": 7})

    service = await _run(world, _worker(bureau))
    for _ in range(3):  # asking again with the same key is asking once
        await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ['Succeeded:{"score": 7}'])
    assert [(c.key, c.subject, c.payload, c.attempt) for c in calls] == [("k1", "A", {"x": 1}, 1)]
    assert await _open(world) == 0


async def test_a_failing_call_is_retried_with_the_same_key_until_it_succeeds(world: World) -> None:
    keys: list[str] = []

    async def bureau(call: ClaimedCall) -> Result:
        keys.append(call.key)
        if call.attempt < 3:
            raise ConnectionError("refused")
        return Succeeded({})

    service = await _run(world, _worker(bureau))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ["Succeeded:{}"])
    assert keys == ["k1", "k1", "k1"]


async def test_after_the_last_attempt_the_handler_is_told(world: World) -> None:
    async def bureau(call: ClaimedCall) -> Result:
        raise ConnectionError("refused")

    service = await _run(world, _worker(bureau))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ["Exhausted:ConnectionError: refused"])


async def test_a_refusal_is_not_retried(world: World) -> None:
    made = 0

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal made
        made += 1
        return Refused("NO_CONSENT")

    service = await _run(world, _worker(bureau))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ["Refused:NO_CONSENT"])
    assert made == 1


async def test_no_answer_in_time_is_retried_where_the_key_protects(world: World) -> None:
    async def bureau(call: ClaimedCall) -> Result:
        if call.attempt == 1:
            await asyncio.sleep(10)
        return Succeeded({})

    service = await _run(world, _worker(bureau))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ["Succeeded:{}"])


async def test_no_answer_in_time_is_unknown_where_nothing_protects(world: World) -> None:
    made = 0

    async def mail(call: ClaimedCall) -> Result:
        nonlocal made
        made += 1
        await asyncio.sleep(10)
        return Succeeded({})

    service = await _run(world, _worker(mail, repeatable=False))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ["Unknown:no answer within 0.3 s"])
    assert made == 1


async def test_a_worker_that_died_in_mid_call_leaves_it_to_the_next(world: World) -> None:
    attempts: list[int] = []

    async def bureau(call: ClaimedCall) -> Result:
        attempts.append(call.attempt)
        return Succeeded({})

    service = await _run(world)
    await _ask(service, "A", "k1")
    await _as_if_claimed_and_dead(world)
    await _run(world, _worker(bureau))
    await _wait_answers(world, "A", ["Succeeded:{}"])
    assert attempts == [2]


async def test_a_mail_that_was_under_way_when_the_worker_died_is_not_sent_again(
    world: World,
) -> None:
    async def mail(call: ClaimedCall) -> Result:
        raise AssertionError("sent again")

    service = await _run(world)
    await _ask(service, "A", "k1")
    await _as_if_claimed_and_dead(world)
    await _run(world, _worker(mail, repeatable=False))
    await _wait_answers(world, "A", ["Unknown:the worker stopped in mid-call"])


async def _as_if_claimed_and_dead(world: World) -> None:
    await world.do(
        world.databases[0],
        "UPDATE messaging.call SET state = 'leased', attempt = 1, lease_owner = gen_random_uuid(),"
        " lease_until = clock_timestamp() - interval '1 second'",
    )


async def test_a_result_that_comes_after_the_lease_is_lost_is_dropped(world: World) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slow(call: ClaimedCall) -> Result:
        if call.attempt == 1:
            begun.set()
            await finish.wait()
            return Succeeded({"from": "the late one"})
        return Succeeded({"from": "the second"})

    service = await _run(world, _worker(slow, timeout=30, break_after=99))
    await _ask(service, "A", "k1")
    await begun.wait()
    await world.do(
        world.databases[0],
        "UPDATE messaging.call SET lease_until = clock_timestamp() - interval '1 second'",
    )
    other = await _run(world, _worker(slow))
    await _wait_answers(world, "A", ['Succeeded:{"from": "the second"}'])
    finish.set()
    await other.stop()
    await service.stop()
    assert await _answers(world, "A") == ['Succeeded:{"from": "the second"}']


async def test_a_result_whose_handler_fails_is_kept_and_the_call_not_repeated(
    world: World,
) -> None:
    made, failures = 0, 2

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal made
        made += 1
        return Succeeded({"score": 1})

    def flaky(result: Any, state: Ledger, now: datetime) -> Iterable[Effect]:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("bug")
        return on_result(result, state, now)

    service = await _run(world, _worker(bureau, on_result=flaky))
    await _ask(service, "A", "k1")
    await _wait_answers(world, "A", ['Succeeded:{"score": 1}'])
    assert made == 1


async def test_results_that_come_back_together_are_written_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "WRITE_SECONDS", 600)
    asked, come_back = 0, asyncio.Event()

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal asked
        asked += 1
        await come_back.wait()
        return Succeeded({})

    def picky(result: Any, state: Ledger, now: datetime) -> Iterable[Effect]:
        if result.call.key == "k7" and come_back.is_set():
            come_back.clear()
            raise RuntimeError("bug")
        return on_result(result, state, now)

    service = await _run(world, _worker(bureau, timeout=60, on_result=picky, concurrency=12))
    await asyncio.gather(*(_ask(service, f"S{n % 6}", f"k{n}") for n in range(12)))

    async def all_asked() -> bool:
        return asked == 12

    async def all_done() -> bool:
        return await _open(world) == 0

    await eventually(all_asked)
    come_back.set()
    await eventually(all_done)
    # the first by itself, the others behind it together; as one of those failed, each by itself,
    # and the one once more: but every one is there, and once
    for n in range(6):
        assert await _answers(world, f"S{n}") == ["Succeeded:{}"] * 2

    asked = 0
    await asyncio.gather(*(_ask(service, f"T{n}", f"l{n}") for n in range(12)))
    await eventually(all_asked)
    come_back.set()
    await eventually(all_done)
    (row,) = await world.rows(
        world.databases[0],
        "SELECT count(DISTINCT done_at) AS n FROM messaging.call WHERE key LIKE 'l%'",
    )
    assert row["n"] == 2, "transactions: the first, and all that came back while it was written"


async def test_results_of_several_kinds_about_one_subject_are_written_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three systems answer about one application at about the same moment: its row is locked for
    the first answer, and once more for the others."""
    monkeypatch.setattr(kernel, "WRITE_SECONDS", 600)
    asked, come_back = 0, asyncio.Event()

    async def answer(call: ClaimedCall) -> Result:
        nonlocal asked
        asked += 1
        await come_back.wait()
        return Succeeded({})

    kinds, store = ("bureau", "identity", "watchlist"), LedgerStore()
    workers = [
        Worker(kind=kind, store=store, call=answer, on_result=on_result, timeout=60)
        for kind in kinds
    ]
    service = await _run(world, *workers)
    await service.execute(store, "A", lambda s, n: [Call(kind, "k") for kind in kinds])

    async def all_asked() -> bool:
        return asked == len(kinds)

    await eventually(all_asked)
    come_back.set()
    await _wait_all_done(world)
    assert await _answers(world, "A") == ["Succeeded:{}"] * 3
    (row,) = await world.rows(
        world.databases[0], "SELECT count(DISTINCT done_at) AS n FROM messaging.call"
    )
    assert row["n"] == 2


async def test_a_call_that_a_result_asks_for_is_made_without_looking_round_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for work only once an hour hears of what this process wrote."""
    store = LedgerStore()

    async def answer(call: ClaimedCall) -> Result:
        return Succeeded({"kind": call.kind})

    def then_the_policy(result: Any, state: Ledger, now: datetime) -> Iterable[Effect]:
        return [*on_result(result, state, now), Call("policy", "k")]

    service = await _run(
        world,
        Worker(kind="bureau", store=store, call=answer, on_result=then_the_policy),
        Worker(kind="policy", store=store, call=answer, on_result=on_result),
    )
    monkeypatch.setattr(kernel, "POLL_SECONDS", 3600.0)
    for loop in service._loops:
        loop.wake()  # from here on each waits until it is woken
    await _ask(service, "A", "k")
    expected = [f'Succeeded:{{"kind": "{kind}"}}' for kind in ("bureau", "policy")]
    await _wait_answers(world, "A", expected)


async def test_whoever_waits_for_room_is_called_as_soon_as_there_is_some(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bureau(call: ClaimedCall) -> Result:
        return Succeeded({})

    service = await _run(world, _worker(bureau, concurrency=2))
    monkeypatch.setattr(kernel, "POLL_SECONDS", 3600.0)
    for loop in service._loops:
        loop.wake()
    await service.execute(
        LedgerStore(), "A", lambda s, n: [Call("bureau", f"k{number}") for number in range(9)]
    )
    await _wait_answers(world, "A", ["Succeeded:{}"] * 9)


@dataclass
class _Outside:
    """Another side that answers when it is let; counts what it was asked."""

    asked: Counter[str] = field(default_factory=Counter)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: int = 0

    async def call(self, call: ClaimedCall) -> Result:
        self.asked[call.key] += 1
        await self.answer.wait()
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("refused")
        return Succeeded({})

    async def wait_asked(self, calls: int) -> None:
        async def all_asked() -> bool:
            return len(self.asked) == calls

        await eventually(all_asked)


async def _ask_together(world: World, outside: _Outside, **parts: Any) -> Service:
    """Six calls of six subjects are under way; they come back in this order."""
    service = await _run(world, _worker(outside.call, **({"timeout": 60} | parts)))
    for number in range(6):
        await _ask(service, f"S{number}", f"k{number}")
    await outside.wait_asked(6)
    return service


async def _wait_all_done(world: World) -> None:
    async def all_done() -> bool:
        return await _open(world) == 0

    await eventually(all_done)


@pytest.mark.parametrize("repeatable", [True, False])
async def test_results_whose_session_breaks_off_are_written_with_another(
    world: World, repeatable: bool
) -> None:
    outside = _Outside()
    await _ask_together(world, outside, repeatable=repeatable)
    await world.do(
        world.databases[0],
        """
        CREATE SEQUENCE writes;
        CREATE FUNCTION break_off() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('writes') = 7 THEN  -- the third of the five that came back together
                PERFORM pg_terminate_backend(pg_backend_pid());
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER break_off BEFORE INSERT OR UPDATE ON ledger
            FOR EACH ROW EXECUTE FUNCTION break_off()
        """,
    )
    outside.answer.set()
    await _wait_all_done(world)
    for number in range(6):
        assert await _answers(world, f"S{number}") == ["Succeeded:{}"]
    assert set(outside.asked.values()) == {1}
    (row,) = await world.rows(world.databases[0], "SELECT last_value FROM writes")
    assert row["last_value"] > 12, "nothing was broken off"


async def test_a_row_that_somebody_holds_costs_no_result_and_nobody_elses_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "WRITE_SECONDS", 3)
    # as long as may be: whatever lies farther ahead counts as come, and is tried at once
    monkeypatch.setattr(kernel, "KEPT_SECONDS", FARTHEST - 5)
    outside = _Outside()
    await _ask_together(world, outside, repeatable=False)
    database = world.databases[0]

    async def kept() -> list[str]:
        """Keys of the calls whose results are kept; none while anything is under way."""
        found = await world.rows(
            database,
            "SELECT key, state, attempt, applying, result FROM messaging.call"
            " WHERE state <> 'done' ORDER BY key",
        )
        result = '["Succeeded", {"value": {}}]'
        for row in found:
            if tuple(row)[1:] != ("open", 1, 0, result):
                return []
        return [row["key"] for row in found]

    async def held_is_kept() -> bool:
        return "k3" in await kept()

    async def only_the_held_is_kept() -> bool:
        return await kept() == ["k3"]

    again = "UPDATE messaging.call SET retry_at = clock_timestamp() WHERE state = 'open'"
    holder = await world.connect(database)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM ledger WHERE subject = 'S3' FOR UPDATE")
            outside.answer.set()
            # alone or beside whatever came back with it
            await eventually(held_is_kept)
            await world.do(database, again)
            await eventually(only_the_held_is_kept)
    finally:
        await holder.close()
    await world.do(database, again)
    await _wait_all_done(world)
    for number in range(6):
        assert await _answers(world, f"S{number}") == ["Succeeded:{}"]
    assert set(outside.asked.values()) == {1}
    # what the other side said of a customer is kept no longer than it is needed
    assert not await world.rows(database, "SELECT FROM messaging.call WHERE result IS NOT NULL")


@asynccontextmanager
async def _away(world: World) -> AsyncIterator[asyncpg.Connection[Any]]:
    """The database takes no connection and ends those that it has; gives one to another."""
    name = world.databases[0]
    admin = await asyncpg.connect(world.stack.superuser_url())
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield admin
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    finally:
        await admin.close()


@pytest.mark.parametrize("refusals", [0, 1])
async def test_what_came_back_while_the_database_was_away_longer_than_the_lease_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    monkeypatch.setattr(kernel, "LEASE_GRACE", 0.5)
    monkeypatch.setattr(kernel, "WRITE_SECONDS", 0.5)
    outside = _Outside(refusals=refusals)
    await _ask_together(world, outside, repeatable=False)
    # long enough for the other side to be asked however busy the machine is, and no longer
    rows = await world.rows(
        world.databases[0],
        "UPDATE messaging.call SET lease_until = clock_timestamp() + interval '1 second'"
        " RETURNING lease_until",
    )
    over = max(row["lease_until"] for row in rows)
    async with _away(world) as admin:
        outside.answer.set()

        async def leases_over() -> bool:
            return bool(await admin.fetchval("SELECT clock_timestamp() > $1", over))

        await eventually(leases_over)
    await _wait_all_done(world)
    for number in range(6):
        assert await _answers(world, f"S{number}") == ["Succeeded:{}"]
    assert outside.asked.total() == 6 + refusals


async def test_a_service_that_cannot_write_what_came_back_stops_all_the_same(
    world: World,
) -> None:
    outside = _Outside()
    service = await _ask_together(world, outside, timeout=2)
    loop = service._loops[0]
    async with _away(world):
        outside.answer.set()
        await service.stop()
        assert not loop._open


async def test_a_call_for_later_waits_for_the_business_clock(world: World) -> None:
    clock = _Clock()

    async def bureau(call: ClaimedCall) -> Result:
        return Succeeded({})

    service = await _run(world, _worker(bureau), clock=clock)
    await _ask(service, "A", "k1", not_before=clock.now() + timedelta(days=1))
    await _ask(service, "B", "k2")
    await _wait_answers(world, "B", ["Succeeded:{}"])
    quiet = await service.quiet()
    assert (quiet.open_calls, quiet.next_due) == (0, clock.now() + timedelta(days=1))
    assert await _answers(world, "A") == []
    clock.instant += timedelta(days=1)
    await _wait_answers(world, "A", ["Succeeded:{}"])


async def test_two_workers_never_make_the_same_call(world: World) -> None:
    made: list[str] = []

    async def bureau(call: ClaimedCall) -> Result:
        made.append(call.key)
        await asyncio.sleep(0)
        return Succeeded({})

    first = await _run(world, _worker(bureau))
    await _run(world, _worker(bureau))
    await asyncio.gather(*(_ask(first, f"S{n}", f"k{n}") for n in range(60)))

    async def all_done() -> bool:
        return await _open(world) == 0

    await eventually(all_done)
    assert sorted(made) == sorted(f"k{n}" for n in range(60))


async def test_after_many_failures_nobody_is_called_for_a_while(world: World) -> None:
    made = 0

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal made
        made += 1
        raise ConnectionError("down")

    service = await _run(
        world, _worker(bureau, attempts=99, break_after=3, break_seconds=3600, concurrency=1)
    )
    for number in range(6):
        await _ask(service, f"S{number}", f"k{number}")

    async def broken() -> bool:
        return made >= 3

    await eventually(broken)
    loop, rounds = service._loops[0], 0
    claim = loop._claim

    async def counted() -> list[Any]:
        nonlocal rounds
        rounds += 1
        return list(await claim())

    loop._claim = counted  # type: ignore[method-assign]

    async def looked_for_work() -> bool:
        loop.wake()
        return rounds >= 10

    await eventually(looked_for_work)
    assert made == 3
    assert await _open(world) == 6


async def test_after_a_success_everybody_is_called_again(world: World) -> None:
    made, inside = 0, 0
    together = asyncio.Event()

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal made, inside
        made += 1
        if made <= 3:
            raise ConnectionError("down")
        if made == 4:  # the one that tells, after the pause
            return Succeeded({})
        inside += 1
        if inside == 4:
            together.set()
        await together.wait()
        return Succeeded({})

    service = await _run(
        world, _worker(bureau, attempts=99, timeout=120, break_after=3, break_seconds=0.3)
    )
    for number in range(5):
        await _ask(service, f"S{number}", f"k{number}")
    await asyncio.wait_for(together.wait(), 120)


async def test_a_result_that_fails_too_often_waits_for_an_operator(world: World) -> None:
    made, broken = 0, True

    async def bureau(call: ClaimedCall) -> Result:
        nonlocal made
        made += 1
        return Succeeded({"score": 1, "name": "Li Lei"})

    def unsure(result: Any, state: Ledger, now: datetime) -> Iterable[Effect]:
        if broken:
            raise RuntimeError("bug")
        return on_result(result, state, now)

    service = await _run(world, _worker(bureau, on_result=unsure))
    await _ask(service, "A", "k1")

    async def failed_once() -> bool:
        rows = await world.rows(world.databases[0], "SELECT applying FROM messaging.call")
        return bool(rows[0]["applying"])

    await eventually(failed_once)
    await world.do(
        world.databases[0],
        "UPDATE messaging.call SET applying = $1, retry_at = clock_timestamp()",
        APPLY_ATTEMPTS - 1,
    )

    async def given_up() -> bool:
        rows = await world.rows(world.databases[0], "SELECT state FROM messaging.call")
        return bool(rows[0]["state"] == "failed")

    await eventually(given_up)
    assert (await service.quiet()).parked == 1
    await _wait_metric("call", 1)
    where = ("--database", world.databases[0])
    listed = json.loads(await world.banka("parked", "list", "review", "--json", *where))
    assert [(w["kind"], w["subject"], w["name"], w["reason"]) for w in listed] == [
        ("call", "A", "bureau", "RuntimeError: bug")
    ]
    number = listed[0]["reference"]
    shown = await world.banka("parked", "show", "review", number, *where)
    assert "Succeeded" in shown
    assert "Li Lei" not in shown
    refusal = await world.banka("parked", "skip", "review", number, "--why", "x", *where, code=1)
    assert refusal == "banka: only an event can be skipped: fix what fails, then retry\n"
    broken = False
    again = ("parked", "retry", "review", number, "--who", "ops", "--why", "mended", *where)
    await world.banka(*again)
    await _wait_answers(world, "A", ['Succeeded:{"score": 1, "name": "Li Lei"}'])
    assert made == 1, "the call itself was made again"
    assert "does not wait for anybody" in await world.banka(*again, code=1)
    audit = await world.rows(world.databases[0], "SELECT who, action, what FROM messaging.audit")
    assert [tuple(row) for row in audit] == [("ops", "retry", f"{number} bureau A")]
    await _wait_metric("call", 0)


async def _wait_metric(kind: str, expected: int) -> None:
    async def counted() -> bool:
        labels = {"kind": kind}
        return REGISTRY.get_sample_value("banka_waiting_for_operator", labels) == expected

    await eventually(counted)


class _Clock:
    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant


async def test_a_deadline_is_handled_once_when_its_moment_comes(world: World) -> None:
    clock = _Clock()

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        state.answers.append(f"due {now:%d}")
        return [Deadline("again", now + timedelta(days=1))]

    def on_again(state: Ledger, now: datetime) -> Iterable[Effect]:
        state.answers.append(f"again {now:%d}")
        return []

    deadlines = [Deadlines(store=LedgerStore(), handlers={"due": on_due, "again": on_again})]
    service = await _run(world, clock=clock, deadlines=deadlines)
    other = await _run(world, clock=clock, deadlines=deadlines)
    at = clock.now() + timedelta(days=1)
    for subject in ("A", "B"):
        await service.execute(LedgerStore(), subject, lambda s, n: [Deadline("due", at)])
    await service.execute(LedgerStore(), "B", lambda s, n: [ClearDeadline("due")])
    quiet = await service.quiet()
    assert (quiet.due_deadlines, quiet.next_due) == (0, at)
    clock.instant = at
    await _wait_answers(world, "A", ["due 03"])
    clock.instant += timedelta(days=1)
    await _wait_answers(world, "A", ["due 03", "again 04"])
    await other.stop()
    await service.stop()
    assert await _answers(world, "A") == ["due 03", "again 04"]
    assert await _answers(world, "B") == []


async def test_nothing_is_begun_in_a_database_that_the_relay_refuses(world: World) -> None:
    clock, made = _Clock(), []

    async def bureau(call: ClaimedCall) -> Result:
        made.append(call.key)
        return Succeeded({})

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        made.append("due")
        return []

    deadlines = [Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    service = await _run(world, _worker(bureau), clock=clock, deadlines=deadlines)
    at = clock.now() + timedelta(days=1)
    await _ask(service, "A", "k1", not_before=at)
    await service.execute(LedgerStore(), "B", lambda s, n: _due_at(at, s, n))
    service._relay.refused = "older than the broker"
    clock.instant = at

    async def told() -> bool:
        checks = (await service.readiness()).checks
        return all("older" in checks[name] for name in ("worker bureau", "deadlines"))

    await eventually(told)
    assert made == []
    service._relay.refused = ""

    async def both() -> bool:
        return sorted(made) == ["due", "k1"]

    await eventually(both)


def _due_at(at: datetime, state: Any, now: datetime) -> list[Effect]:
    return [Deadline("due", at)]


async def test_a_deadline_set_again_replaces_the_first(world: World) -> None:
    clock = _Clock()

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        state.answers.append(f"due {now:%d}")
        return []

    service = await _run(
        world, clock=clock, deadlines=[Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    )
    for days in (1, 5):
        at = clock.now() + timedelta(days=days)
        await service.execute(LedgerStore(), "A", partial(_due_at, at))
    clock.instant += timedelta(days=2)
    await service.execute(LedgerStore(), "B", lambda s, n: [Deadline("due", n)])
    await _wait_answers(world, "B", ["due 04"])
    assert await _answers(world, "A") == []
    clock.instant += timedelta(days=3)
    await _wait_answers(world, "A", ["due 07"])


async def test_two_processes_that_saw_the_same_deadline_handle_it_once(world: World) -> None:
    clock = _Clock()

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        state.answers.append("due")
        return []

    deadlines = [Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    services = [await _run(world, clock=clock, deadlines=deadlines) for _ in range(2)]
    at = clock.now() + timedelta(days=1)
    await services[0].execute(LedgerStore(), "A", partial(_due_at, at))
    loops = [service._other["deadlines"] for service in services]
    await asyncio.gather(*(loop._handle("due", ["A"], at) for loop in loops))
    assert await _answers(world, "A") == ["due"]


async def test_a_failing_deadline_keeps_nobody_else_waiting(world: World) -> None:
    clock = _Clock()
    broken = True

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        if state.subject == "bad" and broken:
            raise RuntimeError("bug")
        state.answers.append("due")
        return []

    service = await _run(
        world, clock=clock, deadlines=[Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    )
    for subject in ("A", "bad", "C"):
        await service.execute(LedgerStore(), subject, lambda s, n: [Deadline("due", n)])
    await _wait_answers(world, "A", ["due"])
    await _wait_answers(world, "C", ["due"])
    assert (await service.quiet()).due_deadlines == 1
    broken = False
    await _wait_answers(world, "bad", ["due"])


async def test_a_deadline_that_was_moved_while_it_was_read_is_not_handled(world: World) -> None:
    clock = _Clock()

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        state.answers.append("due")
        return []

    service = await _run(
        world, clock=clock, deadlines=[Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    )
    early, late = clock.now() + timedelta(days=1), clock.now() + timedelta(days=9)
    await service.execute(LedgerStore(), "A", partial(_due_at, early))
    async with world.held(world.databases[0], "ledger") as other:
        clock.instant = early
        await world.waiting(world.databases[0])  # it has read the deadline and loads the state
        await other.execute("UPDATE messaging.deadline SET at = $1", late)
    await service.execute(LedgerStore(), "B", partial(_due_at, early))
    await _wait_answers(world, "B", ["due"])
    assert await _answers(world, "A") == []
    clock.instant = late
    await _wait_answers(world, "A", ["due"])


async def test_a_deadline_that_fails_too_often_waits_for_an_operator(world: World) -> None:
    clock, broken = _Clock(), True

    def on_due(state: Ledger, now: datetime) -> Iterable[Effect]:
        if broken:
            raise RuntimeError("bug")
        state.answers.append("due")
        return []

    service = await _run(
        world, clock=clock, deadlines=[Deadlines(store=LedgerStore(), handlers={"due": on_due})]
    )
    await service.execute(LedgerStore(), "A", lambda s, n: [Deadline("due", n)])

    async def failed_once() -> bool:
        rows = await world.rows(world.databases[0], "SELECT attempts FROM messaging.deadline")
        return bool(rows[0]["attempts"])

    await eventually(failed_once)
    await world.do(
        world.databases[0],
        "UPDATE messaging.deadline SET attempts = $1, retry_at = clock_timestamp()",
        ATTEMPTS - 1,
    )

    async def given_up() -> bool:
        return (await service.quiet()).parked == 1

    await eventually(given_up)
    await _wait_metric("deadline", 1)
    where = ("--database", world.databases[0])
    listed = json.loads(await world.banka("parked", "list", "review", "--json", *where))
    assert [(w["reference"], w["kind"], w["reason"]) for w in listed] == [
        ("deadline:due:A", "deadline", "RuntimeError: bug")
    ]
    assert "RuntimeError" in await world.banka("parked", "show", "review", "deadline:due:A", *where)
    broken = False
    await world.banka("parked", "retry", "review", "deadline:due:A", "--why", "mended", *where)
    await _wait_answers(world, "A", ["due"])
    assert json.loads(await world.banka("parked", "list", "review", "--json", *where)) == []
