"""The small office as processes: made, started, hurt, brought to rest and looked at."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.local import HOST, Stack, free_port
from shared.messaging.outbox import partition_of
from shared.messaging.relay import LOCK_CLASS, SHARDS
from tests.faults.checker import Broken, check
from tests.faults.driving import Driver, World
from tests.faults.history import History, Outcome
from tests.faults.lifecycle import ENDS
from tests.faults.observed import Observed, observe
from tests.faults.office import MIGRATIONS, READINGS, RUNNING, STAGES, Names
from tests.faults.proxy import Lines
from tests.integration.messaging.ledger import World as Bench

PARTITIONS = 6
_SECONDS = 20.0
START_SECONDS = 60.0
UNTIL_SECONDS = 60.0
AT_REST_SECONDS = 60.0
"""The bound of promise L: so long after a fault's end nothing is on its way any more."""
LOAD = 25.0  # customers a second


class NotRun(Exception):
    """A fault cannot be done on this machine; the message says why. It has not passed."""


def server_process(stack: Stack, server: str) -> psutil.Process:
    """A server of a stack that runs here: kafka, postgres, kafka-2."""
    record = json.loads((stack.folder / f"{server}.pid").read_text())
    return psutil.Process(record["pid"])


@dataclass(slots=True)
class Member:
    """One process of a stage. port: intake's for commands, else 0."""

    stage: str
    instance: str
    port: int
    process: subprocess.Popen[bytes]
    output: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash does: no farewell."""
        self.process.kill()
        self.process.wait()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class Office:
    """A running small office with topics and databases of its own, under load.

    closing: what a fault opened and its processes need until their end.
    """

    stack: Stack
    bench: Bench
    history: History
    world: World
    driver: Driver
    closing: AsyncExitStack
    broken: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)  # what was done, for the table
    _started: int = 0

    @property
    def names(self) -> Names:
        return self.driver.names

    def database(self, stage: str) -> str:
        return f"banka_{self.names.tag}_{STAGES.index(stage)}"

    # --- processes -------------------------------------------------------------------------------

    async def start(
        self,
        stage: str,
        instance: str = "",
        *,
        wait: bool = True,
        build: int = 1,
        lines: Lines | None = None,
    ) -> Member:
        """One more process of the stage; `instance` tells two of them apart. build: 2 knows one
        more version of an event. lines: between it and the servers."""
        instance = instance or f"{stage}-1"
        port = free_port() if stage == "intake" else 0
        self._started += 1
        output = self.stack.folder / "logs" / f"{self.names.tag}-{instance}-{self._started}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.faults.office", self.stack.name),
                    *(self.names.tag, stage, instance, str(port), self.world.url),
                    *(str(build), self.broken),
                ],
                env={
                    **os.environ,
                    **self.stack.environment(),
                    **(lines.environment() if lines else {}),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        member = self.members[instance] = Member(stage, instance, port, process, output)
        if wait:
            await self.await_start(member)
        return member

    async def await_start(self, member: Member) -> None:
        """Raises RuntimeError with the last lines if it does not come up."""
        end = time.monotonic() + START_SECONDS
        while RUNNING not in member.output.read_text(errors="replace"):
            if not member.alive or time.monotonic() > end:
                tail = member.output.read_text(errors="replace")[-1500:]
                raise RuntimeError(f"{member.instance} does not run: {tail}")
            await asyncio.sleep(0.05)

    async def stop(self, member: Member, seconds: float = 30.0) -> float:
        """SIGTERM; returns how long it took. Raises RuntimeError with what was still open."""
        begun = time.monotonic()
        member.signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(member.process.wait, seconds)
        except subprocess.TimeoutExpired:
            tail = member.output.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{member.instance} does not stop: {tail}") from None
        return time.monotonic() - begun

    def of(self, stage: str) -> Member:
        """The first living member of a stage."""
        return next(one for one in self.members.values() if one.stage == stage and one.alive)

    def intakes(self) -> list[str]:
        """Where commands may be sent now."""
        return [
            f"http://{HOST}:{one.port}"
            for one in self.members.values()
            if one.stage == "intake" and one.alive
        ]

    # --- databases -------------------------------------------------------------------------------

    async def make_database(self, stage: str) -> None:
        """The stage's database, empty and migrated."""
        await self.bench.database(stage, MIGRATIONS, self.database(stage))

    async def fetch(self, stage: str, query: str, *values: Any) -> list[Any]:
        """As the superuser."""
        conn = await asyncpg.connect(self.stack.superuser_url(self.database(stage)))
        try:
            return list(await conn.fetch(query, *values))
        finally:
            await conn.close()

    async def outbox(self, stage: str) -> int:
        """How many facts of the stage no broker has acknowledged."""
        (row,) = await self.fetch(stage, "SELECT count(*) AS n FROM messaging.outbox")
        return int(row["n"])

    @asynccontextmanager
    async def held(self, stage: str, table: str) -> AsyncIterator[None]:
        """Whoever writes the table waits in mid-transaction until the block ends."""
        conn = await asyncpg.connect(self.stack.superuser_url(self.database(stage)))
        try:
            async with conn.transaction():
                await conn.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                yield
        finally:
            await conn.close()

    async def lock_waiters(self, stage: str) -> int:
        """How many server processes of the stage wait for what somebody holds."""
        found = await self.fetch(
            stage,
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'",
        )
        return len(found)

    async def waits_for_lock(self, stage: str) -> None:
        """Until somebody of the stage waits for what is held."""
        await self.until(lambda: self.lock_waiters(stage), "somebody waits for the lock")

    # --- rest ------------------------------------------------------------------------------------

    async def until(
        self,
        what: Callable[[], Awaitable[Any]],
        words: str,
        seconds: float | None = None,
        *,
        pause: float = 0.1,
    ) -> Any:
        """Wait until it is true, asking every `pause` seconds; raises TimeoutError in words.
        seconds: at most UNTIL_SECONDS where nothing else is said."""
        seconds = UNTIL_SECONDS if seconds is None else seconds
        end = time.monotonic() + seconds
        while True:
            try:
                found = await what()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaException):
                found = None
            if found:
                return found
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:.0f} s: {words}")
            await asyncio.sleep(pause)

    async def shared_by(self, stage: str, members: int) -> bool:
        """Whether the topic's partitions are handed out to so many members."""

        def described() -> bool:
            name = self.names.group(stage, "applications")
            admin = AdminClient(self.stack.kafka_admin())  # named: its answers come while it lives
            asked = admin.describe_consumer_groups([name])
            found = asked[name].result(_SECONDS).members
            shares = [one.assignment.topic_partitions for one in found]
            return len(shares) == members and sum(map(len, shares)) == PARTITIONS

        return await asyncio.to_thread(described)

    async def ended(self, least: int) -> int:
        """Wait until so many applications have come to their end in reporting's eyes."""

        async def enough() -> int:
            return self.driver.ended if self.driver.ended >= least else 0

        return int(await self.until(enough, f"{least} applications have ended"))

    async def watch(self) -> None:
        """Keep the driver's count of applications that have come to their end."""
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                rows = await self.fetch(
                    "reporting",
                    "SELECT count(*) AS n FROM application WHERE state = ANY ($1::text[])",
                    sorted(ENDS),
                )
                self.driver.ended = max(self.driver.ended, rows[0]["n"])
            await asyncio.sleep(0.3)

    async def probe(self, part: int | None = None) -> float:
        """Seconds until an application that is handed in now has come to its end everywhere; one
        of that partition, if it matters."""
        begun = time.monotonic()
        application = name = self.driver.next_id()
        for n in itertools.count():
            if part is None or partition_of(application, PARTITIONS) == part:
                break
            application = f"{name}.{n}"
        command = self.driver.command(application, "http", "submit")
        await self.driver.until_known(command, seconds=UNTIL_SECONDS)
        if command.outcome is not Outcome.ACKNOWLEDGED:
            raise TimeoutError(f"a new application is {command.outcome}")

        async def arrived() -> bool:
            rows = await self.fetch(
                "reporting", "SELECT state FROM application WHERE application_id = $1", application
            )
            return bool(rows) and rows[0]["state"] in ENDS

        await self.until(arrived, "a new application comes to its end")
        return time.monotonic() - begun

    async def rest(self, ended: float) -> list[Broken]:
        """Until nothing is on its way any more; promise L is broken if that came too long after
        `ended`, by the monotonic clock. Where it does not come, the checker says what is."""

        async def at_rest() -> bool:
            for stage in STAGES:
                rows = await self.fetch(
                    stage,
                    "SELECT (SELECT count(*) FROM messaging.outbox)"
                    " + (SELECT count(*) FROM messaging.call WHERE state <> 'done')"
                    " + (SELECT count(*) FROM messaging.blocked_key WHERE state = 'retry')"
                    " + (SELECT count(*) FROM messaging.parked_event WHERE failed AND NOT copied)"
                    " AS n,"
                    " (SELECT count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory'"
                    " AND granted AND classid::bigint = $1 AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())) AS held",
                    LOCK_CLASS,
                )
                if rows[0]["n"] or rows[0]["held"] < SHARDS:
                    return False
            return await asyncio.to_thread(self._all_read, await self._offsets())

        try:
            for _ in range(2):  # what came in between is seen by the second look
                await self.until(at_rest, "everything is at rest")
        except TimeoutError as late:
            self.said.append(str(late))
        took = time.monotonic() - ended
        self.said.append(f"at rest {took:.0f} s after its end")
        return late_at_rest(took)

    async def _offsets(self) -> dict[tuple[str, str, int], int]:
        return {
            (row["consumer"], row["topic"], row["part"]): row["next"]
            for stage in STAGES
            for row in await self.fetch(stage, "SELECT * FROM messaging.consumer_offset")
        }

    def _all_read(self, offsets: dict[tuple[str, str, int], int]) -> bool:
        consumer = Consumer({**self.stack.kafka_admin(), "group.id": "rest"})
        try:
            groups = {(name, topic) for name, topic, _ in offsets}
            return len(groups) == sum(map(len, READINGS.values())) and all(
                offsets.get((name, topic, part), -1)
                >= consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=10)[1]
                for name, topic in groups
                for part in range(PARTITIONS)
            )
        finally:
            consumer.close()

    async def checked(self) -> list[Broken]:
        """What the checker says of the office at rest."""
        return check(await self.look(), self.history)

    async def look(self) -> Observed:
        return await observe(self.stack, self.names)


@asynccontextmanager
async def opened(stack: Stack, *, broken: str = "", pair: str = "") -> AsyncIterator[Office]:
    """A new small office with one process a stage, two of the stage `pair`, and its customers'
    clients."""
    bench, history = Bench(stack), History()
    names = Names(bench.tag)
    for topic in ("applications", "contacts", "inbound", "outbound"):
        bench.topic("", PARTITIONS, full=names.topic(topic))
    for topic in names.dead_letters():
        bench.topic("", 1, full=topic)
    world = World(history)
    async with world.open(), AsyncExitStack() as closing:
        office = Office(
            stack,
            bench,
            history,
            world,
            Driver(bench.settings, names, history, lambda: office.intakes()),
            closing,
            broken,
        )
        try:
            for stage in STAGES:
                await office.make_database(stage)
            for stage in STAGES:
                await office.start(stage, wait=False)
            if pair:
                await office.start(pair, f"{pair}-2", wait=False)
            for member in list(office.members.values()):
                await office.await_start(member)
            watching = asyncio.create_task(office.watch())
            try:
                async with office.driver.open():
                    yield office
            finally:
                watching.cancel()
                await asyncio.wait([watching])
        finally:
            for member in office.members.values():
                if member.alive:
                    member.process.send_signal(signal.SIGCONT)
                    member.kill()
            await bench.close()


def late_at_rest(took: float) -> list[Broken]:
    """Promise L, by the clock. took: seconds from the fault's end until everything was at rest."""
    if took <= AT_REST_SECONDS:
        return []
    return [Broken("L", f"at rest after {took:.0f} s, not within {AT_REST_SECONDS:.0f}")]


@contextmanager
def stopped(member: Member) -> Iterator[None]:
    """SIGSTOP while the block runs."""
    member.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        member.signal(signal.SIGCONT)
