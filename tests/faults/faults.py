"""The faults: each does something to a small office under load and says what it did. What must hold
afterwards is the checker's business."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy import local
from shared.events.envelope import Envelope, encode
from shared.identifiers import new_id
from shared.messaging.outbox import partition_of
from shared.messaging.relay import SEND_SECONDS
from shared.postgres.pool import connect
from shared.redrive import CannotRedrive, retry_parked, skip_parked
from shared.redrive.event_log import republish
from shared.redrive.places import read_again
from tests.faults import clock, disk, network, wiped
from tests.faults.cluster import running_cluster
from tests.faults.driving import ANSWER_SECONDS
from tests.faults.failover import (
    below_least_in_sync,
    controller_killed,
    coordinator_moved,
    followers_cut,
    leader_frozen,
    leader_killed,
    rolled,
    two_of_three_away,
)
from tests.faults.history import Outcome
from tests.faults.repeating import deliver_again
from tests.faults.running import PARTITIONS, Member, Office, server_process, stopped

_SECONDS = 20.0
_RACES, _WAVE = 1000, 50
_LARGE = 1_000_000  # bytes
SESSION_SECONDS = 10.0  # after which the group takes a silent member for dead


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. hurt: does it, under load, and returns what was done in a few words, or raises
    NotRun before it has done anything.

    short: belongs to the selection that runs with every test run. stack: opens servers of its own,
    where those of the others will not do, such as three brokers. pair: the stage that has two
    processes from the start, or "" where the fault itself says how many there are.
    """

    name: str
    hurt: Callable[[Office], Awaitable[str]]
    short: bool = False
    stack: Callable[[], AbstractContextManager[local.Stack]] | None = None
    pair: str = "reporting"


async def _restart(office: Office, member: Member) -> None:
    member.kill()
    await office.start(member.stage, member.instance)


# --- processes -----------------------------------------------------------------------------------
async def killed_before_commit(office: Office) -> str:
    """intake dies with its facts written and not committed."""
    async with office.held("intake", "messaging.outbox"):
        await office.waits_for_lock("intake")
        member = office.of("intake")
        member.kill()
    await office.start("intake", member.instance)
    return "kill -9 while intake waits to write its outbox"


async def killed_after_commit(office: Office) -> str:
    """intake dies with facts committed that no broker has."""
    with Frozen(office, "kafka"):
        await asyncio.sleep(1.0)
        waiting = await office.outbox("intake")
        member = office.of("intake")
        member.kill()
    await office.start("intake", member.instance)
    return f"kill -9 with {waiting} facts committed and not published"


async def relay_killed_before_delete(office: Office) -> str:
    """A relay dies when the broker has its rows and the outbox still has them too."""
    conn = await asyncpg.connect(office.stack.superuser_url(office.database("intake")))
    try:
        async with conn.transaction():
            with Frozen(office, "kafka"):

                async def locked() -> bool:
                    return bool(
                        await conn.fetch("SELECT 1 FROM messaging.outbox LIMIT 50 FOR UPDATE")
                    )

                await office.until(locked, "the outbox holds facts")

            async def deleting() -> bool:
                # by another connection: within a transaction the answer stays what it was
                found = await office.fetch(
                    "intake",
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND query LIKE '%DELETE FROM messaging.outbox%'",
                )
                return bool(found)

            await office.until(deleting, "the relay wants to delete")
            member = office.of("intake")
            member.kill()
    finally:
        await conn.close()
    await office.start("intake", member.instance)
    return "kill -9 between the broker's acknowledgement and the DELETE"


async def consumer_killed_in_transaction(office: Office) -> str:
    """review dies in the middle of applying."""
    async with office.held("review", "applied"):
        await office.waits_for_lock("review")
        member = office.of("review")
        member.kill()
    await office.start("review", member.instance)
    return "kill -9 in the middle of a poll's transaction"


async def consumer_killed_before_kafka_commit(office: Office) -> str:
    """review dies when PostgreSQL knows that it has applied events and Kafka does not."""
    for attempt in range(1, 8):
        member = office.of("review")
        before = await _applied(office, "review")

        async def more(before: int = before) -> bool:
            return await _applied(office, "review") > before

        await office.until(more, "review applies something")
        member.kill()
        ahead = await asyncio.to_thread(_ahead, office, await _stored(office, "review"))
        await office.start("review", member.instance)
        if ahead:
            return f"kill -9 with {ahead} events applied that Kafka knows nothing of ({attempt}.)"
    raise RuntimeError("never caught between the two commits")


async def _applied(office: Office, stage: str) -> int:
    (row,) = await office.fetch(stage, "SELECT coalesce(max(nth), 0) AS n FROM applied")
    return int(row["n"])


async def _stored(office: Office, stage: str) -> dict[int, int]:
    rows = await office.fetch(
        stage,
        "SELECT part, next FROM messaging.consumer_offset WHERE topic = $1",
        office.names.topic("applications"),
    )
    return {row["part"]: row["next"] for row in rows}


def _ahead(office: Office, stored: dict[int, int]) -> int:
    topic, group = office.names.topic("applications"), office.names.group("review", "applications")
    consumer = Consumer({**office.stack.kafka_admin(), "group.id": group})
    try:
        places = [TopicPartition(topic, part) for part in stored]
        told = {p.partition: max(p.offset, 0) for p in consumer.committed(places, _SECONDS)}
        return sum(max(next_ - told[part], 0) for part, next_ in stored.items())
    finally:
        consumer.close()


async def consumer_frozen_beyond_its_session(office: Office) -> str:
    """A member freezes with a poll in hand until another has its partitions, and wakes.

    It has surely a poll in hand, because the member before it died: what was waiting meanwhile is
    applied one event at a time.
    """
    frozen = office.of("review")
    frozen.kill()
    await asyncio.sleep(4.0)
    before = await _applied(office, "review")
    frozen = await office.start("review", frozen.instance)

    async def applying(least: int) -> bool:
        return await _applied(office, "review") >= least

    await office.until(lambda: applying(before + 5), "review applies what waited", pause=0.01)
    with stopped(frozen):
        begun = time.monotonic()
        before = await _applied(office, "review")
        await office.start("review", "review-2")

        async def taken_over() -> bool:
            # it may have frozen in mid-transaction: then the other waits for its locks
            return await applying(before + 1) or bool(await office.lock_waiters("review"))

        await office.until(taken_over, "the other member takes over")
        seconds = time.monotonic() - begun
    return f"SIGSTOP a member with a poll in hand for {seconds:.0f} s, until another took over"


async def relay_frozen_beyond_its_lock(office: Office) -> str:
    """A relay freezes until the server ends its silent session and another has its shards, and
    wakes."""
    frozen = office.of("intake")
    begun = time.monotonic()
    with stopped(frozen):
        second = await office.start("intake", "intake-2")

        async def taken_over() -> bool:
            return "relay holds shards" in second.output.read_text()

        await office.until(taken_over, "another relay takes over")
        seconds = time.monotonic() - begun
    return f"SIGSTOP the relay for {seconds:.0f} s, until a second one took over, SIGCONT"


async def _terminate_sessions(office: Office, stage: str) -> int:
    rows = await office.fetch(
        stage,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return len(rows)


async def told_to_stop_under_load(office: Office) -> str:
    """Every service is asked to stop, one after the other, and drains within its grace."""
    took = {}
    for member in list(office.members.values()):
        took[member.stage] = await office.stop(member)
        if member.process.returncode != 0:
            raise RuntimeError(f"{member.instance} ended with {member.process.returncode}")
        await office.start(member.stage, member.instance)
    return "SIGTERM: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in took.items())


async def scaled(office: Office) -> str:
    """Members come and go: one, four, two."""
    more = [await office.start("review", f"review-{n}") for n in (2, 3, 4)]
    await office.until(lambda: office.shared_by("review", 4), "four share the partitions")
    for member in more[1:]:
        await office.stop(member)
    await office.until(lambda: office.shared_by("review", 2), "two share the partitions")
    return "review 1 → 4 → 2 members"


async def killed_again_and_again(office: Office) -> str:
    """Each service dies twice, at no moment in particular."""
    for _ in range(2):
        for stage in ("intake", "review", "notify", "reporting"):
            await asyncio.sleep(0.3)
            await _restart(office, office.of(stage))
    return "kill -9 of each service, twice"


# --- broker and database -------------------------------------------------------------------------
class Frozen:
    """The server does not answer while the block runs."""

    def __init__(self, office: Office, server: str) -> None:
        self._process = server_process(office.stack, server)

    def __enter__(self) -> None:
        self._process.suspend()

    def __exit__(self, *_: object) -> None:
        self._process.resume()


async def _down(office: Office, server: str, ask: signal.Signals, seconds: float) -> None:
    await asyncio.to_thread(local.stop, office.stack.folder, server, ask=ask)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(local.up, office.stack.name)


async def broker_restarted(office: Office) -> str:
    await _down(office, "kafka", signal.SIGTERM, 0.0)
    return "the broker stops in order and starts"


async def broker_killed(office: Office) -> str:
    await _down(office, "kafka", signal.SIGKILL, 0.0)
    return "kill -9 of the broker"


async def broker_away(office: Office) -> str:
    await _down(office, "kafka", signal.SIGTERM, 60.0)
    return "the broker is away for 60 s"


async def broker_frozen(office: Office) -> str:
    """What was sent is neither acknowledged nor refused for a while."""
    with Frozen(office, "kafka"):
        await asyncio.sleep(12.0)
    return "SIGSTOP the broker for 12 s: beyond every request's time-out"


async def database_crashed(office: Office) -> str:
    await _down(office, "postgres", signal.SIGQUIT, 0.0)
    return "immediate shutdown of PostgreSQL, crash recovery"


async def database_away(office: Office) -> str:
    await _down(office, "postgres", signal.SIGINT, 120.0)
    return "PostgreSQL is away for 120 s"


async def sessions_ended(office: Office) -> str:
    """Connections break under whoever uses them."""
    ended = 0
    for _ in range(5):
        for stage in ("intake", "review", "notify", "reporting"):
            ended += await _terminate_sessions(office, stage)
        await asyncio.sleep(0.7)
    return f"{ended} sessions of PostgreSQL ended in five rounds"


async def long_transaction(office: Office) -> str:
    """Somebody holds a few applications' rows and forgets to commit."""
    conn = await asyncpg.connect(office.stack.superuser_url(office.database("review")))
    try:
        async with conn.transaction():
            rows = await conn.fetch("SELECT application_id FROM application LIMIT 5 FOR UPDATE")
            await asyncio.sleep(8.0)
    finally:
        await conn.close()
    return f"{len(rows)} applications' rows locked for 8 s"


async def prepared_transaction(office: Office) -> str:
    """A transaction manager prepares a transaction that wrote, and dies before it commits."""
    url = office.stack.superuser_url()
    conn = await asyncpg.connect(url)
    await conn.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
    await conn.close()
    await _down(office, "postgres", signal.SIGINT, 0.0)
    await office.probe()  # everybody is back
    name = f"forgotten-{office.names.tag}"
    conn = await asyncpg.connect(office.stack.superuser_url(office.database("review")))
    try:
        await conn.execute("BEGIN")
        rows = await conn.fetch(
            "UPDATE application SET version = version WHERE application_id IN"
            " (SELECT application_id FROM application ORDER BY random() LIMIT 5) RETURNING 1"
        )
        await conn.execute(
            "INSERT INTO messaging.outbox SELECT max(position) + 1000000, 'none', 0"
            " FROM messaging.event_log"
        )
        await conn.execute(f"PREPARE TRANSACTION '{name}'")
        await asyncio.sleep(8.0)
        await conn.execute(f"ROLLBACK PREPARED '{name}'")
        await conn.execute("ALTER SYSTEM RESET max_prepared_transactions")
    finally:
        await conn.close()
    return f"{len(rows)} applications' rows and an outbox row held for 8 s by a prepared one"


# --- clients -------------------------------------------------------------------------------------
async def client_asks_again(office: Office) -> str:
    """Commands are carried out after their clients have given up; they ask again."""
    rounds = 0
    for _ in range(3):
        async with office.held("intake", "messaging.outbox"):
            await office.waits_for_lock("intake")
            await asyncio.sleep(ANSWER_SECONDS + 0.5)
        rounds += 1
        await office.ended(office.driver.ended + 10)
    known = [one for one in office.history.commands.values() if one.way == "http"]
    again = sum(one.times > 1 and one.outcome is not Outcome.UNKNOWN for one in known)
    if not again:
        raise RuntimeError("no client gave up")
    return f"{again} commands whose clients gave up, and asked again, in {rounds} rounds"


async def withdrawn_against_decided(office: Office) -> str:
    """A thousand customers withdraw at the moment of the decision."""
    office.driver.pausing = True
    asked = []
    for _ in range(_RACES // _WAVE):
        asked += await asyncio.gather(*(_race(office) for _ in range(_WAVE)))
    office.driver.pausing = False
    (granted,) = await office.fetch(
        "review", "SELECT count(*) AS n FROM messaging.event_log WHERE type LIKE '%.withdrawn.v1'"
    )
    (refused,) = await office.fetch(
        "review",
        "SELECT count(*) AS n FROM messaging.event_log WHERE type LIKE '%.withdrawal-refused.v1'",
    )
    late = sum(outcome is Outcome.REFUSED for outcome in asked)
    if min(granted["n"], refused["n"] + late) < _RACES // 50:
        raise RuntimeError(f"no race: {granted['n']} granted, {refused['n']} and {late} refused")
    return (
        f"{_RACES} withdrawals: {granted['n']} granted, {refused['n']} refused by review,"
        f" {late} by intake"
    )


async def _race(office: Office) -> Outcome:
    application = office.driver.next_id()
    await office.driver.until_known(office.driver.command(application, "http", "submit"))
    await asyncio.sleep(office.driver.chance.uniform(0.0, 0.5))
    wish = office.driver.command(application, "http", "withdraw")
    await office.driver.until_known(wish)
    return wish.outcome


# --- builds --------------------------------------------------------------------------------------
async def rolling_deploy(office: Office) -> str:
    """A build that knows one more version of an event comes in, readers first, one after the other,
    while both builds of review share the partitions."""
    for stage in ("reporting", "notify", "review", "intake"):
        old = office.of(stage)
        if stage == "review":
            await office.start(stage, "review-2", build=2)
            await office.until(lambda: office.shared_by("review", 2), "both builds read")
        await office.stop(old)
        await office.start(stage, old.instance, build=2)
    await office.ended(office.driver.ended + 25)
    return f"{await _new_versions(office)} events in the new version, no reader without it"


async def publisher_before_its_readers(office: Office) -> str:
    """The build that publishes the new version comes first: who cannot read it pauses, and goes on
    when its own new build comes."""
    intake = office.of("intake")
    await office.stop(intake)
    await office.start("intake", intake.instance, build=2)
    readers = [office.of(stage) for stage in ("review", "notify", "reporting")]

    async def paused() -> bool:
        return all("newer than this build" in one.output.read_text() for one in readers)

    await office.until(paused, "every reader pauses")
    for member in readers:
        await office.stop(member)
        await office.start(member.stage, member.instance, build=2)
    return f"{await _new_versions(office)} events in a version that nobody could read yet"


async def _new_versions(office: Office) -> int:
    (row,) = await office.fetch(
        "intake", "SELECT count(*) AS n FROM messaging.event_log WHERE type LIKE '%.v2'"
    )
    if not row["n"]:
        raise RuntimeError("nothing was published in the new version")
    return int(row["n"])


# --- records -------------------------------------------------------------------------------------
async def everything_three_times(office: Office) -> str:
    copied = {}
    for name in ("applications", "contacts", "inbound", "outbound"):
        topic = office.names.topic(name)
        copied[name] = await asyncio.to_thread(deliver_again, office.stack, topic, 2)
    if not all(copied.values()):
        raise RuntimeError(f"a topic was empty: {copied}")
    said = ", ".join(f"{name} {n}" for name, n in copied.items())
    return f"every event of every topic twice more: {said} records"


async def topic_read_again(office: Office) -> str:
    """Somebody has a reader read its whole topic again."""
    member = office.of("review")
    await office.stop(member)
    (row,) = await office.fetch(
        "review",
        "SELECT sum(next) AS records FROM messaging.consumer_offset WHERE consumer = $1",
        office.names.group("review", "applications"),
    )
    await _read_again(office, "review", "applications")
    await office.start("review", member.instance)
    return f"review reads all {row['records']} records again"


async def _read_again(office: Office, stage: str, *names: str) -> None:
    conn = await connect(
        office.bench.settings, stage, database=office.database(stage), patient=True
    )
    try:
        for name in names:
            group, topic = office.names.group(stage, name), office.names.topic(name)
            settings = office.bench.settings
            await read_again(conn, settings, group, topic, who="o.perator", why="an older database")
    finally:
        await conn.close()


async def partner_repeats_everything(office: Office) -> str:
    copied = await asyncio.to_thread(deliver_again, office.stack, office.names.topic("inbound"))
    return f"the partner sends all {copied} events once more"


async def odd_records(office: Office) -> str:
    """Records that are no events, or not the office's, among those that are."""
    planted = await asyncio.to_thread(_plant, office, office.names.topic("applications"))
    planted += await asyncio.to_thread(_plant, office, office.names.topic("inbound"))
    return f"{planted} records that are no events of ours"


def _plant(office: Office, topic: str) -> int:
    def envelope(**more: Any) -> list[tuple[str, bytes]]:
        known = {
            "id": new_id(),
            "type": "banka.small.submitted.v1",
            "source": "/banka/intake",
            "subject": "odd",
            "time": datetime.now(UTC),
            "recorded_time": datetime.now(UTC),
            "sequence": 1,
        }
        return encode(Envelope(**{**known, **more}))

    good = b'{"application_id": "odd"}'
    cases: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"odd-1", b"{broken", [*envelope(subject="odd-1")]),
        (b"odd-2", good, [("ce_id", None)]),
        (b"odd-3", good, [("ce_id", b"\xff\xfe"), ("ce_type", b"\xff")]),
        (b"odd-4", good, []),
        (b"odd-5", b"", [*envelope(subject="odd-5")]),
        (b"odd-6", None, [*envelope(subject="odd-6")]),
        (b"odd-7", b'"' + b"x" * (_LARGE - 2) + b'"', [*envelope(subject="odd-7")]),
        (b"odd-8", good, [("content-type", b"text/plain"), *envelope(subject="odd-8")[:-1]]),
        (b"another-key", good, [*envelope(subject="odd-9")]),
        (b"odd-10", good, [*envelope(subject="odd-10", type="banka.small.never-seen.v1")]),
        (b"odd-11", good, [*envelope(subject="odd-11", source="/somebody/else")]),
        (b"\xff\x00", good, [*envelope(subject="odd-12")]),
        (None, good, [*envelope(subject="odd-13")]),
        (b"odd-14", b"[" * 5_000, [*envelope(subject="odd-14")]),
        (b"odd-15", good, [*envelope(subject="odd-15", sequence=None)]),
    ]
    producer = Producer({**office.stack.kafka_admin(), "message.max.bytes": 4_000_000})
    places: list[tuple[str, int, int]] = []

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            places.append((message.topic(), message.partition(), message.offset()))

    for key, value, headers in cases:
        part = partition_of((key or b"").decode("utf-8", "replace"), PARTITIONS)
        producer.produce(topic, value, key, part, delivered, headers=headers)
    producer.flush(_SECONDS)
    office.history.planted |= set(places)
    if len(places) != len(cases):
        raise RuntimeError(f"{len(cases) - len(places)} records did not arrive on {topic}")
    return len(places)


async def missing_on_arrival(office: Office) -> str:
    """An event never leaves its outbox, later ones of its application do; then it is published
    again from the log."""
    while True:
        application = office.driver.next_id()
        began = time.monotonic()
        with Frozen(office, "kafka"):
            await office.driver.until_known(office.driver.command(application, "http", "submit"))
            wishes = [office.driver.command(application, "http", "withdraw") for _ in range(4)]
            await asyncio.gather(*map(office.driver.until_known, wishes))
            (lost,) = await office.fetch(
                "intake",
                "DELETE FROM messaging.outbox WHERE position = (SELECT position"
                " FROM messaging.event_log WHERE subject = $1 AND sequence = 2) RETURNING position",
                application,
            )
            office.history.lost.add(application)
        if time.monotonic() - began < SEND_SECONDS / 2:
            break
        # so long without the broker, a relay lets go, compares log and topic, and mends it itself

    async def waits() -> bool:
        rows = await office.fetch(
            "review",
            "SELECT 1 FROM messaging.blocked_key WHERE subject = $1 AND state = 'gap'",
            application,
        )
        return bool(rows)

    try:
        await office.until(waits, "the application waits for what is missing")
    finally:
        await _publish_again(office, application)
    return f"an event lost at position {lost['position']}, waited for, published again"


async def _publish_again(office: Office, application: str) -> None:
    conn = await asyncpg.connect(office.stack.superuser_url(office.database("intake")))
    try:
        await republish(
            conn, office.names.topic("applications"), application, who="o.perator", why="a gap"
        )
    finally:
        await conn.close()


async def poison_and_mend(office: Office) -> str:
    """An event that cannot be applied, with what follows of its application behind it; the others
    flow. Then the build is mended, and two operators have it tried again at once."""
    application = office.driver.next_id()
    handed_in = office.driver.command(application, "http", "submit")
    await office.driver.until_known(handed_in, "review:poison")
    for _ in range(10):
        wishes = [office.driver.command(application, "http", "withdraw") for _ in range(10)]
        await asyncio.gather(*map(office.driver.until_known, wishes))
    parked = await _parked(office, "review", application)
    before = await _applied(office, "review")

    async def others_flow() -> bool:
        return await _applied(office, "review") >= before + 1000

    await office.until(others_flow, "a thousand events of others are applied")
    (waiting,) = await office.fetch(
        "review", "SELECT count(*) AS n FROM messaging.parked_event WHERE subject = $1", application
    )
    mended = office.stack.folder / f"mended-{office.names.tag}"
    mended.touch()
    taken = await asyncio.gather(*(_retry(office, "review", parked) for _ in range(2)))
    if sum(taken) != 1:
        raise RuntimeError(f"of two operators {sum(taken)} retried it")
    return (
        f"a poison with {waiting['n'] - 1} behind it and 1000 of others past it; of two operators"
        " one retried it"
    )


async def poison_skipped(office: Office) -> str:
    """An event that nobody can mend: an operator leaves it out, and says why."""
    application = office.driver.next_id()
    handed_in = office.driver.command(application, "http", "submit")
    await office.driver.until_known(handed_in, "notify:poison")
    parked = await _parked(office, "notify", application)
    conn = await asyncpg.connect(office.stack.superuser_url(office.database("notify")))
    try:
        await skip_parked(conn, parked, who="o.perator", why="cannot be mended")
    finally:
        await conn.close()
    return "a poison, skipped by an operator"


async def _parked(office: Office, stage: str, application: str) -> int:
    async def found() -> int:
        rows = await office.fetch(
            stage,
            "SELECT e.id FROM messaging.parked_event e JOIN messaging.blocked_key b"
            " USING (consumer, topic, subject)"
            " WHERE subject = $1 AND state = 'parked' ORDER BY e.id LIMIT 1",
            application,
        )
        return rows[0]["id"] if rows else 0

    return int(await office.until(found, "the event is parked"))


async def _retry(office: Office, stage: str, parked: int) -> bool:
    conn = await asyncpg.connect(office.stack.superuser_url(office.database(stage)))
    try:
        await retry_parked(conn, parked, who="o.perator", why="mended")
    except CannotRedrive:
        return False
    finally:
        await conn.close()
    return True


async def deadly_event(office: Office) -> str:
    """An event over which the process dies; somebody starts it again each time."""
    application = office.driver.next_id()
    handed_in = office.driver.command(application, "http", "submit")
    await office.driver.until_known(handed_in, "notify:deadly")
    starts = 0

    async def quarantined() -> bool:
        nonlocal starts
        member = next(one for one in office.members.values() if one.stage == "notify")
        if not member.alive:
            starts += 1
            try:
                await office.start("notify", member.instance)
            except RuntimeError:
                return False  # it died over it while starting
        rows = await office.fetch(
            "notify", "SELECT 1 FROM messaging.blocked_key WHERE subject = $1", application
        )
        return bool(rows)

    await office.until(quarantined, "the deadly event is parked")
    return f"an event that kills its process, parked after {starts} starts"


async def transient_failures(office: Office) -> str:
    """A third of the events fail at first, nine with others of their application at their heels."""
    handed_in = [office.driver.command(office.driver.next_id(), "http", "submit") for _ in range(9)]
    wishes = [office.driver.command(one.application_id, "http", "withdraw") for one in handed_in]

    # it gets both of each in one poll, and soon enough that its session does not end
    with stopped(office.of("notify")):
        await asyncio.gather(*(office.driver.until_known(one, "notify:late") for one in handed_in))
        await asyncio.gather(*map(office.driver.until_known, wishes))
        (last,) = await office.fetch("intake", "SELECT max(position) FROM messaging.event_log")

        async def published() -> bool:
            waiting = "SELECT 1 FROM messaging.outbox WHERE position <= $1"
            return not await office.fetch("intake", waiting, last["max"])

        await office.until(published, "they are on the topic")
    office.driver.moods.extend(["review:flaky", "notify:flaky", "reporting:flaky"] * 15)
    office.world.failing = 0.3

    async def used() -> bool:
        return not office.driver.moods

    await office.until(used, "the flaky applications are handed in")
    office.world.failing = 0.0
    return "a third of 45 applications' events fail at first; a third of outside calls fail"


# --- history that is lost ------------------------------------------------------------------------
async def older_database(office: Office) -> str:
    """review's database comes back from a backup that is older than the broker: it must refuse."""
    url, name = office.stack.superuser_url(), office.database("review")
    conn = await asyncpg.connect(url)
    member = office.of("review")
    await office.stop(member)
    await conn.execute(f'CREATE DATABASE "{name}_backup" TEMPLATE "{name}"')
    await office.start("review", member.instance)
    ended = await office.ended(1)
    await office.ended(ended + 30)
    await office.stop(member := office.of("review"))
    await conn.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_newer"')
    await conn.execute(f'ALTER DATABASE "{name}_backup" RENAME TO "{name}"')
    try:
        await office.start("review", member.instance)
    except RuntimeError as refusal:
        said = str(refusal)
    else:
        said = ""
    # whoever decides takes the newer one after all
    if (one := office.members[member.instance]).alive:
        one.kill()
    await conn.execute(f'ALTER DATABASE "{name}" RENAME TO "{name}_backup"')
    await conn.execute(f'ALTER DATABASE "{name}_newer" RENAME TO "{name}"')
    await conn.execute(f'DROP DATABASE "{name}_backup"')
    await conn.close()
    await office.start("review", member.instance)
    if "older than the broker" not in said:
        raise RuntimeError("a restored database was taken for a good one")
    return "review's database restored from an older backup: refused; the newer one given back"


async def reporting_rebuilt(office: Office) -> str:
    """reporting loses its database and reads everything again."""
    member = office.of("reporting")
    await office.stop(member)
    conn = await asyncpg.connect(office.stack.superuser_url())
    name = office.database("reporting")
    await conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await conn.close()
    await office.make_database("reporting")
    await _read_again(office, "reporting", "applications", "contacts")
    await office.start("reporting", member.instance)
    return "reporting's database dropped, made anew and read from the topics"


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("intake killed before COMMIT", killed_before_commit),
        Fault("intake killed after COMMIT", killed_after_commit),
        Fault("relay killed before DELETE", relay_killed_before_delete, short=True),
        Fault("consumer killed in mid-transaction", consumer_killed_in_transaction),
        Fault("consumer killed before Kafka's commit", consumer_killed_before_kafka_commit),
        Fault("consumer frozen beyond its session", consumer_frozen_beyond_its_session),
        Fault("relay frozen beyond its lock", relay_frozen_beyond_its_lock),
        Fault("told to stop under load", told_to_stop_under_load),
        Fault("scaled 1 → 4 → 2", scaled),
        Fault("killed again and again", killed_again_and_again),
        Fault("broker restarted", broker_restarted),
        Fault("broker killed", broker_killed),
        Fault("broker frozen", broker_frozen, pair=""),
        Fault("broker away for a minute", broker_away),
        Fault("broker wiped and restored", wiped.broker_wiped),
        Fault("database crashed", database_crashed),
        Fault("database away", database_away),
        Fault("sessions ended under load", sessions_ended),
        Fault("long write transaction", long_transaction),
        Fault("prepared transaction", prepared_transaction),
        Fault("client asks again", client_asks_again),
        Fault("withdrawn against decided", withdrawn_against_decided),
        Fault("rolling deploy", rolling_deploy, pair=""),
        Fault("publisher before its readers", publisher_before_its_readers, pair=""),
        Fault("intake cut from the broker", network.intake_cut_from_the_broker),
        Fault("review stalled from the broker", network.review_stalled_from_the_broker),
        Fault("review cut from the database", network.review_cut_from_the_database),
        Fault("reporting cut from the broker", network.reporting_cut_from_the_broker),
        Fault("reporting stalled from the database", network.reporting_stalled_from_the_database),
        Fault("notify cut from the broker", network.notify_cut_from_the_broker),
        Fault("notify stalled from the database", network.notify_stalled_from_the_database),
        Fault("answers to COMMIT lost", network.answers_to_commit_lost),
        Fault("slow lines", network.slow_lines),
        Fault("world outside cut", network.outside_cut),
        Fault("clock set back and forward", clock.set_back_and_forward, pair=""),
        Fault("broker's disk full", disk.broker_disk_full, stack=disk.small_disk("kafka")),
        Fault("database's disk full", disk.database_disk_full, stack=disk.small_disk("postgres")),
        Fault("every event three times", everything_three_times),
        Fault("topic read again", topic_read_again),
        Fault("partner repeats everything", partner_repeats_everything),
        Fault("an event is missing on arrival", missing_on_arrival, short=True),
        Fault("odd records", odd_records),
        Fault("poison, mended", poison_and_mend),
        Fault("poison, skipped", poison_skipped),
        Fault("deadly event", deadly_event),
        Fault("a third fails at first", transient_failures),
        Fault("older database", older_database),
        Fault("reporting rebuilt", reporting_rebuilt, pair=""),
        Fault("leader killed", leader_killed, stack=running_cluster),
        Fault("leader frozen", leader_frozen, stack=running_cluster, pair=""),
        Fault("followers cut from their leader", followers_cut, stack=running_cluster),
        Fault("controller killed", controller_killed, stack=running_cluster),
        Fault("group coordinator moved", coordinator_moved, stack=running_cluster, pair=""),
        Fault("all three restarted in turn", rolled, stack=running_cluster),
        Fault("below min.insync.replicas", below_least_in_sync, stack=running_cluster),
        Fault("two of three away", two_of_three_away, stack=running_cluster),
    )
}
"""{name: the fault}, in the order in which `make faults` runs them."""
