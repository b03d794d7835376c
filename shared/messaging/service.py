"""A service: its pool, relay, consumers, workers and deadlines, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from faststream.kafka import KafkaBroker

from shared.calendar import CALENDAR_WARNING_DAYS, business_day, days_left, last_known_year
from shared.clock import ClockUnreadableError, SteppedClock
from shared.events.catalog import MAX_MESSAGE_BYTES, deployed_topics
from shared.messaging import metrics
from shared.messaging.broker import Observer, TopicIdentity, connection, fetch_cluster
from shared.messaging.calls import Results, Worker, WorkerLoop
from shared.messaging.deadlines import ATTEMPTS, DeadlineLoop, Deadlines
from shared.messaging.effects import Connection, Effect, Received, Store
from shared.messaging.errors import NotReady, OlderDatabase, is_infrastructure, one_line
from shared.messaging.inbound import Gate, Inbound, InboundEvent
from shared.messaging.inbox import Consumer, Inbox, cause_of
from shared.messaging.outbox import Cause as Chain
from shared.messaging.outbox import Outbox, Wanted, new_cause
from shared.messaging.parking import ParkingLot, backoff
from shared.messaging.relay import Relay
from shared.messaging.subscribe import Subscription, build_broker
from shared.parameters.load import take
from shared.parameters.watch import Watch
from shared.postgres.migrate import check_schema
from shared.postgres.pool import open_pool

if TYPE_CHECKING:
    from asyncpg import Pool

    from shared.clock import Clock
    from shared.settings import Settings

log = structlog.get_logger(__name__)

S = TypeVar("S")

#: what made this happen: its id becomes `causationid`, its correlation id is passed on
Cause = Received[Any] | InboundEvent

ASKING = 12  # connections at most for pages and commands
WAITING_SECONDS = 5.0  # how often it is counted what waits for an operator
CLOCK_SECONDS = 0.02  # how often a stepped clock is looked at
HALT_SECONDS = 1.0  # how often it is asked who has halted, or was resumed
STUCK_SECONDS = 30.0  # no progress for so long, with work waiting, is not ready


def published_topics(service: str) -> list[str]:
    """The topics that a service's facts go to.

    Not its dead letters, which it writes too: they hold copies that name the first publisher, so
    that a copy of a fact of its own would look like one that its log does not know.
    """
    return [
        topic.name
        for topic in deployed_topics()
        if service in topic.writers and not topic.holds_dead_letters
    ]


@dataclass(slots=True)
class Transaction:
    """An open transaction for the rarer many-step command.

    conn: for your stores. now: business time, read once. actor: who asked (a staff id).
    """

    conn: Connection
    now: datetime
    actor: str | None = None
    cause: Cause | None = None
    _outbox: Outbox | None = None
    _chain: Chain = field(default_factory=Chain)

    async def append(self, effects: Iterable[Effect], *, subject: str | None = None) -> None:
        """Write the effects; `subject` is the default for those that name none.

        Lock the state of the subject (load it through its store) before you append.
        """
        assert self._outbox is not None
        wanted = []
        for effect in effects:
            about = effect.subject or subject
            if about is None:
                raise ValueError(f"{type(effect).__name__} names no subject and none was given")
            wanted.append(Wanted(effect, about, self._chain))
        await self._outbox.write(self.conn, wanted, self.now)


@dataclass(frozen=True, slots=True)
class Readiness:
    """ready: may take traffic. checks: {what: "ok" or one line that says what is wrong}. notes:
    {what: one line} of what an operator has to mend although the service goes on with its work."""

    ready: bool
    checks: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is still on its way; all zero means that the business clock may move.

    outbox: facts not yet on Kafka. unapplied: events behind the end of consumed topics; the broker
    is asked only where nothing else is on its way.
    parked: events, results and deadlines that wait for an operator (or a retry).
    open_calls: due now or leased. due_deadlines: due now. next_due: earliest of the rest.
    """

    outbox: int
    unapplied: int
    parked: int
    open_calls: int
    due_deadlines: int
    next_due: datetime | None = None


@dataclass(kw_only=True)
class Service:
    """Everything of a service that is not HTTP. Built once, in the composition root.

    name: also the database's and the roles' (`banka_<name>`, `<name>_app`) and the source of its
    events (`/banka/<name>`). database: another database name (tests). migrations: another folder
    than `services/<name>/migrations`.

    pool: connections for pages and commands, whatever they ask. by_key: for the loops, and for what
    workers look up: work that finds its rows by key (`postgres.pool.session_settings`).
    """

    name: str
    settings: Settings
    clock: Clock
    consumers: Sequence[Consumer] = ()
    inbound: Sequence[Inbound] = ()
    workers: Sequence[Worker] = ()
    deadlines: Sequence[Deadlines] = ()
    database: str | None = None
    migrations: Path | None = None
    pool: Pool = field(init=False, repr=False)
    by_key: Pool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pools: list[Pool] = []
        self._topics: dict[str, TopicIdentity] = {}
        self._outbox = Outbox(
            f"/banka/{self.name}", self._topics, self._wake, lambda: self._relay.refused
        )
        self._relay = Relay(
            self.settings,
            self.name,
            topics=lambda: self._topics,
            publishes=published_topics(self.name),
            database=self.database,
            source=self._outbox.source,
        )
        self._readers: list[Inbox | Gate] = [
            *(Inbox(consumer, self._outbox) for consumer in self.consumers),
            *(Gate(inbound, self._outbox) for inbound in self.inbound),
        ]
        self._subscriptions: list[Subscription] = []
        self._loops: list[WorkerLoop] = []
        self._other: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._broker: KafkaBroker | None = None
        self._copier: AIOKafkaProducer | None = None
        self._observer = Observer(self.settings)
        self._parameters = Watch(self.settings.parameters)
        self._state = "starting"
        self._first_waiting: tuple[int | None, float] = None, 0.0  # position, since when
        self._accepts = False  # commands, once it is known which topics there are

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect, check the schema, prove that database and broker belong together, then run.

        Raises `errors.OlderDatabase`, or `postgres.migrate.SchemaMismatch`; waits for a database
        or a broker that is not there yet. Raises `parameters.ParametersError` for wrong ones.
        """
        take(self.settings.parameters)
        try:
            self.pool = await self._open_pool(max_size=ASKING)
            self.by_key = await self._open_pool(
                max_size=2
                + 2 * len(self._readers)
                + sum(worker.concurrency for worker in self.workers),
                by_key=True,
            )
            async with self.pool.acquire() as conn:
                await check_schema(conn, self.name, folder=self.migrations)
            cluster = await self._patiently(lambda: fetch_cluster(self.settings))
            self._topics.update(cluster.topics)
            await self._patiently(self._relay.verify)
        except BaseException as error:
            for pool in self._pools:
                pool.terminate()
            if isinstance(error, Exception):
                # the web server logs a trace, which ends before its last line: that says why
                log.error("service does not start", service=self.name, error=one_line(error))
            raise
        self._accepts = True
        self._relay.start()
        self._broker = build_broker(self.settings, self.name)
        self._subscriptions = [
            Subscription(
                reader,
                self._broker,
                self.settings,
                self.by_key,
                self.clock,
                self._wake,
                self._outbox,
            )
            for reader in self._readers
        ]
        results = {
            id(worker.store): Results(worker.store, self.by_key, self._outbox, self.clock)
            for worker in self.workers
        }
        self._loops = [
            WorkerLoop(worker, self.by_key, self._outbox, self.clock, results[id(worker.store)])
            for worker in self.workers
        ]
        self._other = {
            "parking": ParkingLot(
                self.by_key,
                self._readers,
                self.clock,
                self._wake,
                self._send_copy,
                self._refused,
            ),
            "deadlines": DeadlineLoop(self.deadlines, self.by_key, self._outbox, self.clock),
        }
        for name, loop in [*((x.worker.kind, x) for x in self._loops), *self._other.items()]:
            self._spawn(f"{self.name}-{name}", loop.run())
        self._spawn(f"{self.name}-waiting", self._count_waiting())
        self._spawn(f"{self.name}-parameters", self._parameters.run())
        if isinstance(self.clock, SteppedClock):
            self._spawn(f"{self.name}-clock", self._watch(self.clock))
        for subscription in self._subscriptions:
            self._spawn(f"{subscription.reader.name}-commit", subscription.tell_kafka())
            self._spawn(f"{subscription.reader.name}-halts", self._heed_halts(subscription))
        if self._subscriptions:
            await self._patiently(self._broker.start)
        self._state = ""
        log.info("service runs", service=self.name)

    async def stop(self) -> None:
        """Stop consuming, finish what is open, hand over, close. Never loses, may repeat."""
        self._state = "stopping"
        for subscription in self._subscriptions:
            await subscription.commit()
            await subscription.revoked()
        if self._broker is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._broker.stop(), 10.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._relay.stop()
        for other in (self._copier, self._observer):
            if other is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(other.stop(), 5.0)
        closing = (asyncio.wait_for(pool.close(), 5.0) for pool in self._pools)
        await asyncio.gather(*closing, return_exceptions=True)
        for pool in self._pools:
            pool.terminate()
        log.info("service stopped", service=self.name)

    async def _open_pool(self, **options: Any) -> Pool:
        pool: Pool = await self._patiently(
            lambda: open_pool(self.settings, self.name, database=self.database, **options)
        )
        self._pools.append(pool)
        return pool

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _patiently(self, attempt: Callable[[], Any]) -> Any:
        """Try until it works; what refuses on purpose is raised at once."""
        tries = 0
        while True:
            try:
                return await attempt()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                tries += 1
                self._state = f"waiting: {one_line(error)}"
                metrics.BACKOFF.labels("start").inc()
                log.warning("not there yet", service=self.name, error=one_line(error))
                await asyncio.sleep(backoff(tries, first=0.2, most=3.0))

    async def _count_waiting(self) -> None:
        """Keep the metrics of what waits for an operator, or will soon."""
        while True:
            with contextlib.suppress(ClockUnreadableError):  # the loops say so themselves
                metrics.CALENDAR_DAYS.set(days_left(business_day(self.clock.now())))
            with contextlib.suppress(Exception):  # the database is away: others say so
                for kind, count in (await _waiting(self.pool)).items():
                    metrics.WAITING.labels(kind).set(count)
            await asyncio.sleep(WAITING_SECONDS)

    async def _heed_halts(self, subscription: Subscription) -> None:
        """Stop and go on with the other processes of the service."""
        while True:
            with contextlib.suppress(Exception):  # the database is away: others say so
                await subscription.heed_halts()
            await asyncio.sleep(HALT_SECONDS)

    async def _watch(self, clock: SteppedClock) -> None:
        """Wake whoever waits for business time when a demo or test moves it."""
        before = None
        while True:
            with contextlib.suppress(ClockUnreadableError):  # the loops say so themselves
                now = clock.now()
                if now != before:
                    before = now
                    self._wake()
                    self._other["deadlines"].wake()
            await asyncio.sleep(CLOCK_SECONDS)

    def _refused(self, consumer: str) -> str:
        """Why a consumer may not apply anything now, or ""."""
        own = (s.refused for s in self._subscriptions if s.reader.name == consumer)
        return self._outbox.refused() or next(own, "")

    def _wake(self, kinds: Collection[str] | None = None) -> None:
        """There may be work: facts to publish, calls of these kinds (None: of any) to make."""
        self._relay.wake()
        for loop in self._loops:
            if kinds is None or loop.worker.kind in kinds:
                loop.wake()

    async def _send_copy(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Any
    ) -> None:
        if self._copier is None:
            producer = AIOKafkaProducer(
                **connection(self.settings),
                client_id=f"banka-dead-letters-{self.name}",
                acks="all",
                max_request_size=MAX_MESSAGE_BYTES,
            )
            await producer.start()
            self._copier = producer
        try:
            await self._copier.send_and_wait(topic, value or b"", key=key, headers=headers)
        except MessageSizeTooLargeError:
            # our own headers made it too large: the parking lot has it whole, the letter says where
            left_out = [*headers, ("banka-left-out", b"value")]
            await self._copier.send_and_wait(topic, b"", key=key, headers=left_out)

    # -- commands -----------------------------------------------------------------------------

    async def execute(
        self,
        store: Store[S],
        subject: str,
        decide: Callable[[S, datetime], Iterable[Effect]],
        *,
        actor: str | None = None,
        causation: Cause | None = None,
    ) -> S:
        """A command: load and lock the subject, decide, save, append, commit; returns the state.

        Whatever `decide` raises rolls back and reaches the caller.
        """
        async with self.transaction(actor=actor, cause=causation) as tx:
            state = (await store.load(tx.conn, [subject]))[subject]
            effects = list(decide(state, tx.now))
            await store.save(tx.conn, [state])
            await tx.append(effects, subject=subject)
        return state

    @asynccontextmanager
    async def transaction(
        self, *, actor: str | None = None, cause: Cause | None = None
    ) -> AsyncIterator[Transaction]:
        """For the rarer many-step command: `tx.conn`, `tx.now`, `await tx.append(effects)`.

        Raises NotReady before the service has started.
        """
        if not self._accepts:
            raise NotReady(self._state)
        if self._relay.refused:
            # numbers given now would exist twice on the topics
            raise OlderDatabase(self._relay.refused)
        async with self.pool.acquire() as conn, conn.transaction():
            yield Transaction(
                conn, self.clock.now(), actor, cause, self._outbox, _chain(cause, actor)
            )
        self._wake()

    # -- what others ask ----------------------------------------------------------------------

    async def readiness(self) -> Readiness:
        """Broker, database, relay and progress of every consumer: a stuck handler shows."""
        checks = {"service": self._state or "ok"}
        try:
            async with asyncio.timeout(2.0):
                waiting = await self.by_key.fetchval("SELECT min(position) FROM messaging.outbox")
            checks["database"] = "ok"
            checks["relay"] = self._relay_state(waiting)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            checks["database"] = one_line(error)
        for subscription in self._subscriptions:
            checks[subscription.reader.name] = subscription.state(STUCK_SECONDS)
        for loop in self._loops:
            checks[f"worker {loop.worker.kind}"] = loop.state or "ok"
        for name, loop in self._other.items():
            checks[name] = loop.state or "ok"
        for task in self._tasks:
            if task.done() and not self._state:
                checks[task.get_name()] = "ended"
        return Readiness(all(text == "ok" for text in checks.values()), checks, await self.notes())

    async def notes(self) -> dict[str, str]:
        """What an operator has to mend although the service goes on."""
        notes = {}
        if self._parameters.refused:
            notes["parameters"] = self._parameters.refused
        with contextlib.suppress(ClockUnreadableError):
            left = days_left(business_day(self.clock.now()))
            if left < CALENDAR_WARNING_DAYS:
                notes["calendar"] = (
                    f"known for {max(left, 0)} more days, to the end of {last_known_year()}:"
                    " add the next year to calendar.yaml"
                )
        return notes

    def _relay_state(self, first: int | None) -> str:
        """first: position of the fact that has waited longest, or None."""
        now = time.monotonic()
        if first is None or first != self._first_waiting[0]:
            self._first_waiting = first, now
        if self._relay.state:
            return self._relay.state
        if self._relay.ended and not self._state:
            return "ended"
        if first is None:
            return "ok"
        idle, waited = now - self._relay.last_round, now - self._first_waiting[1]
        if self._relay.shards and idle > STUCK_SECONDS:
            return f"no progress for {idle:.0f} s with facts waiting"
        if not self._relay.shards and waited > STUCK_SECONDS:
            return (
                f"facts wait for {waited:.0f} s, and the process that holds the shards sends none"
            )
        return "ok"

    async def quiet(self) -> Quiet:
        """What is still on its way in this service (demo and tests)."""
        row = (await self.pool.fetch(_QUIET, self.clock.now(), ATTEMPTS))[0]
        busy = row["outbox"] or row["open_calls"] or row["due_deadlines"]
        unapplied = 0 if busy else await self._unapplied()
        return Quiet(
            outbox=row["outbox"],
            unapplied=unapplied,
            parked=row["parked"],
            open_calls=row["open_calls"],
            due_deadlines=row["due_deadlines"],
            next_due=row["next_due"],
        )

    async def _unapplied(self) -> int:
        """Events of consumed topics that no process of this service has applied yet."""
        stored: Mapping[tuple[str, str, int], int] = {
            (row["consumer"], row["topic"], row["part"]): row["next"]
            for row in await self.pool.fetch("SELECT * FROM messaging.consumer_offset")
        }
        read = [(s.reader.name, s.reader.topic) for s in self._subscriptions]
        ends = await self._observer.ends(
            {topic: self._topics[topic].partitions for _, topic in read}
        )
        return sum(
            max(end - stored.get((consumer, topic, part), 0), 0)
            for consumer, topic in read
            for (name, part), end in ends.items()
            if name == topic
        )


def _chain(cause: Cause | None, actor: str | None) -> Chain:
    if isinstance(cause, Received):
        return cause_of(cause, actor)
    if isinstance(cause, InboundEvent):
        return Chain(cause.id, cause.correlation_id, cause.traceparent, "live", actor)
    return new_cause(actor)


_QUIET = """
SELECT
    (SELECT count(*) FROM messaging.outbox) AS outbox,
    (SELECT count(*) FROM messaging.parked_event)
        + (SELECT count(*) FROM messaging.call WHERE state = 'failed')
        + (SELECT count(*) FROM messaging.deadline WHERE attempts >= $2) AS parked,
    (SELECT count(*) FROM messaging.call WHERE state IN ('open', 'leased')
        AND (not_before IS NULL OR not_before <= $1)) AS open_calls,
    (SELECT count(*) FROM messaging.deadline WHERE at <= $1 AND attempts < $2) AS due_deadlines,
    least(
        (SELECT min(at) FROM messaging.deadline WHERE at > $1 AND attempts < $2),
        (SELECT min(not_before) FROM messaging.call WHERE state = 'open' AND not_before > $1)
    ) AS next_due
"""


async def _waiting(conn: Any) -> dict[str, int]:
    """{event | call | deadline | consumer: how many wait for an operator}; events: failed keys."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM messaging.blocked_key WHERE state <> 'retry') AS event,
            (SELECT count(*) FROM messaging.call WHERE state = 'failed') AS call,
            (SELECT count(*) FROM messaging.deadline WHERE attempts >= $1) AS deadline,
            (SELECT count(*) FROM messaging.halted_consumer) AS consumer
        """,
        ATTEMPTS,
    )
    return dict(row)
