"""From the outbox to Kafka: at least once, in order per key, deleted only on acknowledgement.

One holder per shard of partitions. The advisory lock and every read and delete of a holder live in
the same direct connection: whoever lost the connection has lost the lock and cannot delete. A
frozen holder that wakes late can therefore only publish something twice, never lose it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from asyncpg import Record

from shared.events.envelope import Envelope, encode
from shared.messaging import metrics
from shared.messaging.broker import (
    TopicIdentity,
    connection,
    fetch_cluster,
    links,
    read_events,
    take,
)
from shared.messaging.errors import OlderDatabase, is_infrastructure, one_line
from shared.messaging.waking import woken
from shared.postgres.pool import connect

if TYPE_CHECKING:
    from shared.settings import Settings

log = structlog.get_logger(__name__)

SHARDS = 4  # partition % SHARDS; two replicas of a service can share the work
ROUND = 2000  # rows read at once
BATCH_BYTES = 900_000  # below the broker's default limit of 1 MiB per request and partition
POLL_SECONDS = 0.05  # for rows that another process wrote; our own wake us at once
TAKE_SECONDS = 2.0  # how often shards without a holder are tried
HELD_SECONDS = 30.0  # how often facts that could not be made into records are tried again
TAIL = 2000  # records per partition, and log entries, that are compared on taking a shard
SLOW_SECONDS = 0.5  # for the broker's answer; after that the other partitions go on without it
SEND_SECONDS = 15.0  # for the broker's answer; after that somebody else may reach it
IDLE_SECONDS = 30  # a holder that says nothing to the database for so long lets go of its shards
CLOSE_SECONDS = 5.0  # for the connections of a producer
STEADY_SECONDS = 30.0  # after so long without trouble the next one is met without delay
LOCK_CLASS = 0x62616E6B  # "bank"; the second key is the shard

_READ = """
SELECT l.position, l.topic, l.part, l.subject, l.sequence, l.id, l.type, l.attributes, l.body,
       l.recorded_at
FROM (SELECT position FROM messaging.outbox
      WHERE part % $1 = ANY ($2::int[]) AND position <> ALL ($4::bigint[])
        AND (topic, part) NOT IN (SELECT * FROM unnest($5::text[], $6::int[]))
      ORDER BY position LIMIT $3) o
JOIN messaging.event_log l USING (position) ORDER BY l.position
"""

_REMEMBER_TOPICS = """
INSERT INTO messaging.published_topic SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING
"""

Message = tuple[bytes, list[tuple[str, bytes]], bytes, int]


def message(row: Record, source: str) -> Message:
    """A log entry as it stands on Kafka: key, headers, value, timestamp in ms. Always the same."""
    attributes: dict[str, Any] = json.loads(row["attributes"])
    recorded: datetime = row["recorded_at"]
    envelope = Envelope(
        id=str(row["id"]),
        type=row["type"],
        source=source,
        subject=row["subject"],
        time=datetime.fromisoformat(attributes["time"]),
        recorded_time=recorded,
        sequence=row["sequence"],
        state_version=attributes["stateversion"],
        causation_id=attributes["causationid"],
        correlation_id=attributes["correlationid"],
        traceparent=attributes["traceparent"],
        origin=attributes["origin"],
    )
    return row["subject"].encode(), encode(envelope), row["body"], int(recorded.timestamp() * 1000)


def build_batch(producer: Any, queue: Sequence[Message]) -> tuple[Any, int]:
    """A batch of as many records as fit, from the front, and how many those are."""
    batch = producer.create_batch()
    size = 0
    for count, (key, headers, value, stamp) in enumerate(queue):
        size += len(key) + len(value) + 400
        if count and size > BATCH_BYTES:
            return batch, count
        if batch.append(timestamp=stamp, key=key, value=value, headers=headers) is None:
            return batch, count
    return batch, len(queue)


def new_producer(settings: Settings, client_id: str) -> AIOKafkaProducer:
    """A producer that keeps order, and hears of every record whether the broker has it."""
    return AIOKafkaProducer(
        **connection(settings),
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        max_batch_size=1_000_000,
        linger_ms=0,
    )


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Let go of a producer, whatever it has not sent: that lies in the outbox.

    Its own `stop` waits until all of it is sent, and a broker that takes nothing (too few replicas
    in sync) would leave one behind, still trying, for every new start.
    """
    producer._closed = True
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.client.close()  # what is under way fails, and the sender ends
            if sender is not None:
                await asyncio.wait([sender])
    if sender is not None and not sender.done():
        sender.cancel()  # the first time it waits for what is under way


async def prove(
    conn: Any, found: Mapping[str, TopicIdentity], wanted: Collection[str] = ()
) -> None:
    """Refuse topics that are not the ones which this service has published to.

    found: what the broker has. wanted: topics that are to be published to, and remembered.
    """
    rows = await conn.fetch("SELECT topic, topic_id FROM messaging.published_topic ORDER BY topic")
    for topic, topic_id in rows:
        if topic in found and found[topic].topic_id != topic_id:
            raise OlderDatabase(
                f"{topic} was made anew since we published to it: what the event log has is not"
                " there. If the broker is the right one and has lost its data, stop every service"
                " and send it again: banka events restore --why …"
            )
    if new := sorted(set(wanted) & found.keys() - {topic for topic, _ in rows}):
        await conn.execute(_REMEMBER_TOPICS, new, [found[topic].topic_id for topic in new])


class Relay:
    """Publishes what a service has committed.

    publishes: the topics that this service may write, as far as they are known; their tails are
    compared with the log. The state is "" when all is well.
    """

    def __init__(
        self,
        settings: Settings,
        service: str,
        *,
        topics: Callable[[], Mapping[str, TopicIdentity]],
        publishes: Sequence[str] = (),
        database: str | None = None,
        source: str,
    ) -> None:
        self._settings = settings
        self._service = service
        self._database = database
        self._source = source
        self._topics = topics
        self._publishes = publishes
        self._conn: Any = None
        self._producer: Any = None
        self._held: set[int] = set()
        self._sent: dict[tuple[str, int], _Sent] = {}  # by topic, partition
        self._stuck: dict[tuple[str, str], str] = {}  # {(topic, subject): why it is held back}
        self._held_back: set[int] = set()  # positions of stuck subjects, left out of the rounds
        self._released = time.monotonic()
        self._links: frozenset[Any] | None = None  # connections to the broker that was proven
        self._proven: set[str] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self.state = "starting"
        self.refused = ""
        self.last_round = time.monotonic()

    def wake(self) -> None:
        """There may be new rows: called after every commit of this process."""
        self._wake.set()

    @property
    def shards(self) -> frozenset[int]:
        """The shards that this process publishes now."""
        return frozenset(self._held)

    @property
    def ended(self) -> bool:
        """Whether it has been started and publishes no more."""
        return self._task is not None and self._task.done()

    async def verify(self) -> None:
        """Refuse (OlderDatabase) if the broker holds events of ours that the log does not know."""
        conn = await self._open()
        try:
            await self._compare_tails(conn, range(SHARDS))
        finally:
            await conn.close()

    def start(self) -> None:
        """Begin to publish in the background."""
        self._task = asyncio.create_task(self._run(), name=f"relay-{self._service}")

    async def stop(self, grace: float = 5.0) -> None:
        """Publish what is there, as far as `grace` seconds allow, and let go of the shards."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=grace)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._discard()

    async def _run(self) -> None:
        delay = 0.1
        while True:
            begun = time.monotonic()
            try:
                await self._hold()
                return
            except OlderDatabase as refusal:
                self.state = self.refused = str(refusal)
                log.critical("relay refuses to run", reason=self.state)
                await self._discard()
                return
            except Exception as error:  # whatever it was: restart from the table
                metrics.BACKOFF.labels("relay").inc()
                self.state = one_line(error)
                if not (is_infrastructure(error) or isinstance(error, KafkaError)):
                    log.exception("relay failed", error=self.state)
                else:
                    log.warning("relay starts again", error=self.state, seconds=round(delay, 2))
            await self._discard()
            if self._stopping:
                return
            if time.monotonic() - begun > STEADY_SECONDS:
                delay = 0.1
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    async def _hold(self) -> None:
        self._conn = await self._open()
        # a deletion promises nothing: a row that a crash brings back is sent once more, as it would
        # be had the crash come before it was deleted
        await self._conn.execute("SET synchronous_commit = off")
        # whatever the statistics say: the few rows of the outbox, each looked up in the log. A plan
        # that was made while both were empty reads the whole log every time
        await self._conn.execute("SET enable_hashjoin = off; SET enable_mergejoin = off")
        # a process that is frozen holds its connection, and with it its shards; it reads at least
        # this often while it is well
        await self._conn.execute(f"SET idle_session_timeout = '{IDLE_SECONDS}s'")
        self._producer = new_producer(self._settings, f"banka-relay-{self._service}")
        await self._producer.start()
        tried = 0.0
        while True:
            await self._prove()
            if len(self._held) < SHARDS and time.monotonic() - tried > TAKE_SECONDS:
                await self._take_free_shards()
                tried = time.monotonic()
            self._wake.clear()
            if self._stuck and time.monotonic() - self._released > HELD_SECONDS:
                self._release()
            found = await self._round()
            self.last_round = time.monotonic()
            self.state = self._stuck_state()
            if self._stopping and found == 0:
                return
            # that was all: whoever has written more since has woken us
            if found < ROUND and (self._sent or not self._stopping):
                await woken(self._wake, POLL_SECONDS)

    async def _open(self) -> Any:
        return await connect(self._settings, self._service, database=self._database, by_key=True)

    async def _discard(self) -> None:
        """Drop connection (and with it every lock) and producer; the table knows the rest."""
        self._held.clear()
        self._sent.clear()
        self._release()
        self._links = None
        self._proven.clear()
        producer, self._producer = self._producer, None
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(Exception):
                await conn.close(timeout=2.0)
        if producer is not None:
            with contextlib.suppress(Exception):
                await end_producer(producer)

    async def _prove(self, topics: Collection[str] = ()) -> None:
        """Refuse a broker that is not the one we published to.

        It is asked when a topic is new to this holder, and with every new connection: a broker may
        have come back empty, and would take what we have as if nothing had been before.
        """
        now = links(self._producer)
        if now == self._links and (now or not topics) and self._proven.issuperset(topics):
            return
        found = (await fetch_cluster(self._settings)).topics
        await prove(self._conn, found, topics)
        self._links = now
        self._proven |= found.keys() & set(topics)

    async def _take_free_shards(self) -> None:
        taken = [
            shard
            for shard in range(SHARDS)
            if shard not in self._held
            and await self._conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS, shard)
        ]
        if taken:
            await self._compare_tails(self._conn, taken)
            self._held.update(taken)
            log.info("relay holds shards", service=self._service, shards=sorted(self._held))

    async def _round(self) -> int:
        """Send what waits, to each partition one batch after the other; returns how many rows were
        found, and batches left without an answer."""
        if not self._held:
            return 0
        begun = time.monotonic()
        # to a partition nothing more is sent before the broker has answered for what was
        topics, parts = zip(*self._sent, strict=True) if self._sent else ((), ())
        rows = await self._conn.fetch(
            _READ, SHARDS, list(self._held), ROUND, list(self._held_back), topics, parts
        )
        waiting: dict[tuple[str, int], list[tuple[int, Message]]] = defaultdict(list)
        for row in rows:
            # before anything is sent: what was sent and not yet deleted would be sent again
            record = self._record(row)
            if record is not None:
                waiting[row["topic"], row["part"]].append((row["position"], record))
        count = sum(map(len, waiting.values()))
        await self._prove({topic for topic, _ in waiting})
        while waiting or self._sent:
            failure = await self._send(waiting)
            # who has acknowledged, if the line broke on the way
            await self._prove({topic for topic, _ in (*waiting, *self._sent)})
            failure = await self._settle() or failure
            if failure is not None:
                raise failure
            waiting = {
                place: queue
                for place, queue in waiting.items()
                if queue and place not in self._sent
            }
            if not waiting:
                break
        if count:
            metrics.RELAY_SECONDS.observe(time.monotonic() - begun)
        return len(rows) + len(self._sent)

    async def _send(
        self, waiting: dict[tuple[str, int], list[tuple[int, Message]]]
    ) -> BaseException | None:
        """Send each partition's next batch, take it off its queue, and wait a while for the
        answers. Returns why one could not be sent."""
        futures: list[asyncio.Future[Any]] = []
        failure = None
        for place, queue in waiting.items():
            batch, fitting = build_batch(self._producer, [record for _, record in queue])
            try:
                future = await self._producer.send_batch(batch, place[0], partition=place[1])
            except Exception as error:  # noqa: BLE001 - raised when the others are known
                failure = error
                break
            futures.append(future)
            positions = [position for position, _ in queue[:fitting]]
            self._sent[place] = _Sent(future, positions, time.monotonic())
            waiting[place] = queue[fitting:]
        if futures:
            await asyncio.wait(futures, timeout=SLOW_SECONDS)
        return failure

    async def _settle(self) -> BaseException | None:
        """Delete what the broker has acknowledged. Returns why it has not, where it is too late:
        the producer itself would try for ever, and we would keep the shards."""
        done: list[int] = []
        failure = None
        for place, sent in list(self._sent.items()):
            if not sent.answer.done() and time.monotonic() - sent.at < SEND_SECONDS:
                continue
            del self._sent[place]
            problem = _problem(sent.answer)
            if problem is not None:
                failure = problem
            else:
                done += sent.positions
                metrics.RELAYED.labels(place[0]).inc(len(sent.positions))
        await self._delete(done)
        return failure

    def _record(self, row: Record) -> Message | None:
        """The row as a record; None if it cannot be made into one, or waits behind such a row of
        its subject. Those stay in the outbox, out of everybody's way, and are said in the state."""
        place = (row["topic"], row["subject"])
        if place not in self._stuck:
            try:
                return message(row, self._source)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others must flow
                self._stuck[place] = f"position {row['position']}: {one_line(error)}"
                log.critical(
                    "fact cannot be published", topic=row["topic"], event_id=str(row["id"]),
                    position=row["position"], error=one_line(error),
                )  # fmt: skip
        self._held_back.add(row["position"])
        return None

    def _release(self) -> None:
        """Try again what was held back: somebody may have mended it."""
        self._stuck.clear()
        self._held_back.clear()
        self._released = time.monotonic()

    def _stuck_state(self) -> str:
        if not self._stuck:
            return ""
        (topic, _), why = next(iter(self._stuck.items()))
        return (
            f"{len(self._stuck)} subjects cannot be published, {len(self._held_back)} facts wait;"
            f" the first on {topic}, {why}"
        )

    async def _delete(self, positions: list[int]) -> None:
        """Only now may the rows go: the broker has them."""
        await self._conn.execute(
            "DELETE FROM messaging.outbox WHERE position = ANY ($1::bigint[])", positions
        )

    async def _compare_tails(self, conn: Any, shards: Sequence[int] | range) -> None:
        """Hold the end of every partition against the log, in both directions.

        An event of ours on the topic that the log lacks: the database is older than the broker,
        refuse. A recent entry that is neither on the topic nor in the outbox: the broker lost it
        (its page cache, say), publish it again with everything after it.
        """
        recent = await conn.fetch(
            "SELECT l.position, l.topic, l.part, l.id, o.position IS NOT NULL AS pending"
            " FROM messaging.event_log l LEFT JOIN messaging.outbox o USING (position)"
            " ORDER BY l.position DESC LIMIT $1",
            TAIL,
        )
        known = self._topics()
        names = ({row["topic"] for row in recent} | set(self._publishes)) & known.keys()
        await prove(conn, known, names)
        if not names:
            return
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            client_id=f"banka-tail-{self._service}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            for name in sorted(names):
                partitions = [
                    TopicPartition(name, part)
                    for part in range(known[name].partitions)
                    if part % SHARDS in set(shards)
                ]
                tails = await _read_tails(consumer, partitions, self._source)
                for partition, tail in tails.items():
                    await self._refuse_unknown(conn, partition, tail)
                    lost = tail.lacks(
                        [row for row in recent if (row["topic"], row["part"]) == partition]
                    )
                    if lost:
                        await self._publish_again(conn, partition, min(lost))
        finally:
            await consumer.stop()

    async def _refuse_unknown(self, conn: Any, partition: TopicPartition, tail: _Tail) -> None:
        unknown = await conn.fetchrow(
            """
            SELECT t.id, t.subject, t.sequence
            FROM unnest($2::text[], $3::text[], $4::bigint[]) AS t (id, subject, sequence)
            LEFT JOIN messaging.event_log l
                ON l.topic = $1 AND l.subject = t.subject AND l.sequence = t.sequence
            WHERE l.id::text IS DISTINCT FROM t.id LIMIT 1
            """,
            partition.topic,
            [event.id for event in tail.events],
            [event.subject for event in tail.events],
            [event.sequence for event in tail.events],
        )
        if unknown is not None:
            raise OlderDatabase(
                f"{partition.topic}/{partition.partition} holds {self._source}'s event"
                f" {unknown['id']} (number {unknown['sequence']} of its subject), which this"
                " database does not know: it is older than the broker. Restore a newer one; what"
                " else can be done stands in deploy/README.md."
            )

    async def _publish_again(self, conn: Any, partition: TopicPartition, first: int) -> None:
        count = await conn.execute(
            """
            INSERT INTO messaging.outbox (position, topic, part)
            SELECT position, topic, part FROM messaging.event_log
            WHERE topic = $1 AND part = $2 AND position >= $3
            ON CONFLICT (position) DO NOTHING
            """,
            partition.topic,
            partition.partition,
            first,
        )
        log.error(
            "the broker lost acknowledged events; publishing them again",
            topic=partition.topic,
            partition=partition.partition,
            count=int(count.split()[-1]),
        )


def _problem(future: asyncio.Future[Any]) -> BaseException | None:
    """Why the broker has not acknowledged a batch, as far as is known; None if it has."""
    if not future.done():
        return TimeoutError(f"no answer of the broker within {SEND_SECONDS:g} s")
    return KafkaError("not sent") if future.cancelled() else future.exception()


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch on its way. at: of the monotonic clock."""

    answer: asyncio.Future[Any]
    positions: list[int]
    at: float


class _Tail:
    """Our own events at the end of a partition. whole: it was read from the very beginning."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.events: list[Envelope] = []

    def lacks(self, recent: Sequence[Record]) -> list[int]:
        """Positions of recent entries that should be here and are not."""
        here = {event.id for event in self.events}
        known = [row["position"] for row in recent if str(row["id"]) in here]
        if self.whole or len(known) < len(here):
            floor = -1  # the window reaches back beyond the recent entries
        elif known:
            floor = min(known)
        else:
            return []  # nothing of ours in the window: it says nothing
        return [
            row["position"]
            for row in recent
            if str(row["id"]) not in here and not row["pending"] and row["position"] > floor
        ]


async def _read_tails(
    consumer: Any, partitions: list[TopicPartition], source: str
) -> dict[TopicPartition, _Tail]:
    """The last records of every partition that carry this source."""
    if not partitions:
        return {}
    starts, ends = await take(consumer, partitions)
    begins = {p: max(starts[p], ends[p] - TAIL) for p in partitions}
    tails = {p: _Tail(whole=begin == 0) for p, begin in begins.items()}
    async for partition, event in read_events(consumer, begins, ends):
        if event.source == source:
            tails[partition].events.append(event)
    return tails
