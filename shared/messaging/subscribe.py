"""Kafka's side of consuming: FastStream batch subscribers with nothing left to defaults.

A poll is applied completely or not at all, and the offset it ends at is stored in the same
transaction by compare-and-set. Kafka's own offsets are advisory: for lag tools, and as a witness
against a database that was restored from an older backup.

Two things of FastStream and aiokafka shape this file. An exception out of a batch handler under
manual acknowledgement skips the batch silently, so nothing leaves `_on_batch`; and positions are
ours, so every assignment starts paused until PostgreSQL has said where to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage
from faststream.security import SASLScram512

from shared.messaging import halting, metrics
from shared.messaging.broker import REQUEST_MS, Cluster, fetch_cluster
from shared.messaging.effects import Connection
from shared.messaging.errors import Halted, OlderDatabase, is_infrastructure, one_line
from shared.messaging.offsets import OffsetMove
from shared.messaging.parking import STARTS, Arrived, arrived, backoff
from shared.messaging.records import read_all

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.messaging.outbox import Outbox
    from shared.settings import Settings

log = structlog.get_logger(__name__)

POLL_MS = 200  # a poll returns as soon as there is something
FETCH_WAIT_MS = 200  # the most that a broker with nothing new lets us wait
SESSION_MS = 10_000  # after so long without a heartbeat another member takes over
METADATA_MS = 10_000  # how often the broker is asked for its topics: one may be away, and come back
TRICKLE = 100  # records; after a larger poll the next is fetched while it is being applied
COMMIT_SECONDS = 0.5  # how often Kafka is told where we are
HANDOVER_SECONDS = 20.0  # a revoked partition waits at most so long for the poll in hand


class PollReader(Protocol):
    """What a subscription needs of an inbox or of the gate for a partner."""

    name: str
    topic: str
    max_records: int
    history_needed: bool
    recent: halting.Recent

    async def prepare(self, conn: Connection) -> None: ...

    def unreadable(self, event: Arrived) -> str: ...

    async def claim(
        self, conn: Connection, moves: Sequence[OffsetMove], events: Sequence[Arrived]
    ) -> set[int]: ...

    async def apply(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        now: datetime,
        killer: int | None = None,
        *,
        carefully: bool = True,
    ) -> bool: ...


@dataclass(slots=True)
class Position:
    """Where an assigned partition goes on.

    next: offset of the next event, as stored. singly: so many events go one at a time, because the
    last owner did not stop in order. sought: the offset that was last sought, to tell a hole in
    the log from records that were fetched before. paused: why nothing more is applied, or "".
    """

    next: int
    singly: int = 0
    sought: int | None = None
    paused: str = ""


def build_broker(settings: Settings, service: str) -> KafkaBroker:
    """FastStream's broker for a service's consumers; nothing is published through it."""
    security = None
    if settings.kafka_security == "SASL_PLAINTEXT":
        security = SASLScram512(
            username=settings.kafka_user, password=settings.kafka_password(), use_ssl=False
        )
    _quieten()
    read_all()
    return KafkaBroker(
        settings.required("kafka_bootstrap").split(","),
        security=security,
        client_id=f"banka-{service}",
        metadata_max_age_ms=METADATA_MS,
        apply_types=False,  # raw records in: type conversion costs a thread hop a message
        allow_auto_create_topics=False,
        consumer_only=True,
        request_timeout_ms=REQUEST_MS,
        logger=None,
    )


def _quieten() -> None:
    """aiokafka logs up to a hundred errors a second while the broker is away."""
    for name in (
        "client", "cluster", "conn", "consumer.consumer", "consumer.fetcher",
        "consumer.group_coordinator", "producer.producer", "producer.sender",
    ):  # fmt: skip
        logger = logging.getLogger(f"aiokafka.{name}")
        if not any(isinstance(f, _RateLimit) for f in logger.filters):
            logger.addFilter(_RateLimit())


class _RateLimit(logging.Filter):
    """At most one equal message in five seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = f"{record.name}{record.msg}", time.monotonic()
        if now - self._seen.get(key, -10.0) < 5.0:
            return False
        if len(self._seen) > 200:
            self._seen.clear()
        self._seen[key] = now
        return True


async def _parse(raw: tuple[Any, ...]) -> KafkaMessage:
    # FastStream's own parser decodes headers and fails on None or non-UTF-8 ones, which skips
    return KafkaMessage(body=raw, raw_message=raw, headers={}, consumer=None)  # type: ignore[arg-type]


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message


class Subscription:
    """One consumer of one topic in one process."""

    def __init__(
        self,
        reader: PollReader,
        broker: KafkaBroker,
        settings: Settings,
        pool: Any,
        clock: Clock,
        wake: Any,
        outbox: Outbox,
    ) -> None:
        self.reader = reader
        self._settings = settings
        self._pool = pool
        self._clock = clock
        self._wake = wake
        self._outbox = outbox
        self.positions: dict[int, Position] = {}
        self.refused = ""
        self.halted = ""
        self._unkept = False  # halted, and not in the database yet
        self.trouble = ""
        self.last_progress = time.monotonic()
        self._member = False  # the group has given us a share, if only an empty one
        self._assigned: frozenset[int] = frozenset()
        self._asked_anew = False
        self._busy = asyncio.Lock()
        self._preparing: asyncio.Task[None] | None = None
        self._failures = 0
        self._held: list[int] = []  # partitions that are not fetched while a poll is applied
        self._begun: dict[int, int] = {}  # {partition: the offset that is counted as begun by us}
        self._told: dict[int, int] = {}  # {partition: the offset that Kafka has of us}
        self._subscriber = broker.subscriber(
            reader.topic,
            batch=True,
            group_id=reader.name,
            group_instance_id=settings.instance or None,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=reader.max_records,
            batch_timeout_ms=POLL_MS,
            # an event that comes while its partition's last ones are being handled waits until the
            # fetch under way returns, for that one was asked without the partition
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_min_bytes=1,
            max_partition_fetch_bytes=1 << 20,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 10,
            max_poll_interval_ms=300_000,
            listener=_Listener(self),
            parser=_parse,
            decoder=_decode,
        )
        self._subscriber(self._on_batch)
        # its own would sleep as long again after an empty poll, deaf to what comes meanwhile
        self._subscriber.get_msg = self._poll  # type: ignore[method-assign]

    @property
    def _consumer(self) -> Any:
        return self._subscriber.consumer

    def _partition(self, part: int) -> TopicPartition:
        return TopicPartition(self.reader.topic, part)

    # -- assignment ---------------------------------------------------------------------------

    async def assigned(self, parts: frozenset[int]) -> None:
        """Pause what was assigned; it flows once PostgreSQL has said from where."""
        self._member = True
        self._assigned = parts
        self.positions.clear()
        self.refused = ""  # what follows decides anew
        self.last_progress = time.monotonic()
        if not parts:
            self._ask_anew()
            return
        self._asked_anew = False
        self._consumer.pause(*(self._partition(part) for part in parts))
        # who has halted stays halted, whatever is handed round, until somebody resumes
        if not self.halted:
            self._preparing = asyncio.create_task(self._prepare(parts))

    def _ask_anew(self) -> None:
        """Have the group share the topic out again, once.

        Who comes back under its name within its session gets what it had, without a sharing. If
        that was nothing, because the broker had no such topic then, nobody would ever read it.
        """
        if not self._asked_anew:
            self._asked_anew = True
            self._consumer._coordinator.request_rejoin()

    async def revoked(self) -> None:
        """Finish the poll in hand, then let go."""
        self._member = False
        self._assigned = frozenset()
        self.last_progress = time.monotonic()
        await self._cancel_preparing()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_SECONDS), self._busy:
                pass
        parts = list(self.positions)
        self.positions.clear()
        await self._stopped_in_order(parts)

    async def _stopped_in_order(self, parts: Sequence[int]) -> None:
        """Nothing of these partitions is in hand: whoever goes on need not go one at a time."""
        if parts:
            with contextlib.suppress(Exception):
                await self._pool.execute(
                    "UPDATE messaging.consumer_offset SET clean = true"
                    " WHERE consumer = $1 AND topic = $2 AND part = ANY ($3::int[])",
                    self.reader.name, self.reader.topic, list(parts),
                )  # fmt: skip

    async def _cancel_preparing(self) -> None:
        task, self._preparing = self._preparing, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _prepare(self, parts: frozenset[int]) -> None:
        """Take over partitions: check the database against the broker, seek, resume."""
        attempt = 0
        while True:
            try:
                kept = await halting.halted(self._pool, [self.reader.name])
                self.halted = self.halted or kept.get(self.reader.name, "")
                if self.halted:  # and a restart is nobody's decision to go on
                    return
                found = await self._take_over(parts)
                break
            except OlderDatabase as refusal:
                self._refuse(str(refusal))
                return
            except Exception as error:  # noqa: BLE001 - broker or database away: try again
                attempt += 1
                self.trouble = one_line(error)
                metrics.BACKOFF.labels("assignment").inc()
                await asyncio.sleep(backoff(attempt, most=5.0))
        self.trouble = ""
        if self._has_halted:  # another process has, meanwhile
            return
        for part, position in found.items():
            self.positions[part] = position
            self._seek(part, position)
            self._consumer.resume(self._partition(part))

    def _refuse(self, reason: str) -> None:
        """Apply nothing more; the next assignment decides anew."""
        self.refused = reason
        log.critical("consumer refuses to run", consumer=self.reader.name, reason=reason)
        self._pause(list(self.positions), reason)

    async def _take_over(self, parts: frozenset[int]) -> dict[int, Position]:
        self._outbox.check()
        cluster = await fetch_cluster(self._settings)
        partitions = [self._partition(part) for part in sorted(parts)]
        starts = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        committed = {p.partition: await self._consumer.committed(p) for p in partitions}
        async with self._pool.acquire() as conn, conn.transaction():
            await self.reader.prepare(conn)
            rows = {
                row["part"]: row
                for row in await conn.fetch(
                    "SELECT * FROM messaging.consumer_offset"
                    " WHERE consumer = $1 AND topic = $2 AND part = ANY ($3::int[]) FOR UPDATE",
                    self.reader.name, self.reader.topic, sorted(parts),
                )
            }  # fmt: skip
            found = {}
            for partition in partitions:
                part = partition.partition
                row = rows.get(part)
                begin, end = starts[partition], ends[partition]
                self._check(row, cluster, part, begin, end, committed[part])
                next_ = max(row["next"], begin) if row else begin
                singly = self.reader.max_records if row and not row["clean"] else 0
                found[part] = Position(next_, singly)
            await conn.execute(
                """
                INSERT INTO messaging.consumer_offset
                    (consumer, topic, part, next, cluster_id, topic_id, clean)
                SELECT $1, $2, part, next, $5, $6, false
                FROM unnest($3::int[], $4::bigint[]) AS p (part, next)
                ON CONFLICT (consumer, topic, part) DO UPDATE
                    SET clean = false, next = greatest(consumer_offset.next, excluded.next)
                """,
                self.reader.name,
                self.reader.topic,
                list(found),
                [position.next for position in found.values()],
                cluster.cluster_id,
                cluster.topics[self.reader.topic].topic_id,
            )
        self._told = {part: told for part, told in committed.items() if told is not None}
        return found

    def _check(
        self, row: Any, cluster: Cluster, part: int, begin: int, end: int, committed: int | None
    ) -> None:
        """Refuse a database and a broker that do not belong together."""
        where = f"{self.reader.name}, {self.reader.topic}/{part}"
        topic = cluster.topics.get(self.reader.topic)
        if topic is None:
            raise KafkaError(f"no topic {self.reader.topic} on the broker")
        restore = (
            "If the broker is the right one and has lost its data, stop every service and send it"
            " again: banka events restore --why …"
        )
        stored = row["next"] if row else 0
        if row and row["cluster_id"] != cluster.cluster_id:
            raise OlderDatabase(f"{where}: the offset belongs to another cluster. {restore}.")
        if row and row["topic_id"] != topic.topic_id:
            raise OlderDatabase(f"{where}: the topic was made anew since. {restore}.")
        if stored > end:
            raise OlderDatabase(
                f"{where}: offset {stored} lies beyond the end {end}. {self._cure()}"
            )
        if committed is not None and committed > max(stored, begin):
            raise OlderDatabase(
                f"{where}: Kafka saw us at {committed}, the database says {stored}: it is older"
                f" than the broker. {self._cure()}"
            )
        if self.reader.history_needed and begin > stored:
            raise OlderDatabase(
                f"{where}: events {stored} to {begin - 1} are gone from the topic. Have every"
                f" publisher of it send them again (banka events republish <publisher> --topic"
                f" {self.reader.topic} --why …), then begin where the topic does"
                f" ({self._command('accept-start')}) and restart."
            )

    def _cure(self) -> str:
        """What an operator does about a database that stands elsewhere than the broker."""
        return (
            "If there is a newer database, restore it; if not, stop the service and have it read"
            f" the topic again from the start, which applies nothing twice"
            f" ({self._command('read-again')})."
        )

    def _command(self, name: str) -> str:
        where = f"--consumer {self.reader.name} --topic {self.reader.topic}"
        return f"banka events {name} {self._settings.service} {where} --why …"

    # -- polls --------------------------------------------------------------------------------

    async def _poll(self, consumer: Any) -> tuple[Any, ...]:
        self._fetch_on()
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=self.reader.max_records)
        if 0 < sum(map(len, found.values())) < TRICKLE:
            self._hold_fetches()
        if not found and self._taken_over and self.lag() == 0:
            self.last_progress = time.monotonic()  # at the end of everything, and still looking
        return tuple(itertools.chain.from_iterable(found.values()))

    def _hold_fetches(self) -> None:
        """Fetch no more until this poll is applied.

        The next fetch would come back with the very next event and wait; asked afterwards, it comes
        back with all that arrived meanwhile, and polls grow with the load.
        """
        self._held = [part for part, position in self.positions.items() if not position.paused]
        with contextlib.suppress(Exception):  # revoked meanwhile
            self._consumer.pause(*map(self._partition, self._held))

    def _fetch_on(self) -> None:
        held, self._held = self._held, []
        for part in held:
            if part in self.positions and not self.positions[part].paused:
                with contextlib.suppress(Exception):  # revoked meanwhile
                    self._consumer.resume(self._partition(part))

    async def _on_batch(self, records: Sequence[Any]) -> None:
        """Never raises: FastStream would go on behind the batch as if it had been handled."""
        pause = 0.0
        async with self._busy:
            try:
                await self._handle(records)
                self._failures = 0
                self.trouble = ""
            except Halted as halted:
                await self._halt(str(halted))
                self._unkept = True
                with contextlib.suppress(Exception):  # the database is away: kept once it is back
                    await self._keep_halt()
            except OlderDatabase as refusal:
                self._refuse(str(refusal))
            except Exception as error:  # noqa: BLE001 - nothing was committed: seek back, wait, repeat
                self._failures += 1
                self.trouble = one_line(error)
                metrics.BACKOFF.labels("poll").inc()
                pause = backoff(self._failures, first=0.1, most=5.0)
                log.warning(
                    "poll rolled back", consumer=self.reader.name, error=self.trouble,
                    seconds=round(pause, 2), infrastructure=is_infrastructure(error),
                )  # fmt: skip
                for part, position in self.positions.items():
                    self._seek(part, position)
        if pause:
            await asyncio.sleep(pause)

    async def _halt(self, reason: str) -> None:
        self.halted = reason
        log.critical("consumer halted", consumer=self.reader.name, reason=reason)
        parts = list(self.positions)
        self._pause(parts, reason)
        await self._stopped_in_order(parts)

    async def _keep_halt(self) -> None:
        await halting.halt(self._pool, self.reader.name, self.halted)
        self._unkept = False

    async def heed_halts(self) -> None:
        """Stop where another process of the service did, go on where somebody resumed."""
        name = self.reader.name
        if self._unkept:
            await self._keep_halt()
        if bool(self.halted) == (name in await halting.halted(self._pool, [name])):
            return
        async with self._busy:  # asked again: the poll in hand may have halted meanwhile
            kept = (await halting.halted(self._pool, [name])).get(name, "")
            if kept and not self.halted:
                await self._halt(kept)
            elif self.halted and not kept and not self._unkept:
                log.warning("consumer resumed", consumer=name)
                self.halted = ""
                self.refused = ""  # what follows decides anew
                self.reader.recent = self.reader.recent.anew()
                self.positions.clear()
                self.last_progress = time.monotonic()
                if self._assigned:
                    self._preparing = asyncio.create_task(self._prepare(self._assigned))

    def _seek(self, part: int, position: Position) -> None:
        with contextlib.suppress(Exception):  # revoked meanwhile
            self._consumer.seek(self._partition(part), position.next)
            position.sought = position.next

    def _pause(self, parts: Sequence[int], reason: str) -> None:
        for part in parts:
            if part in self.positions:
                self.positions[part].paused = reason
                with contextlib.suppress(Exception):
                    self._consumer.pause(self._partition(part))

    async def _handle(self, records: Sequence[Any]) -> None:
        by_part: dict[int, list[Any]] = defaultdict(list)
        for record in records:
            by_part[record.partition].append(record)
        events: list[Arrived] = []
        singly: list[Arrived] = []
        paused: dict[int, str] = {}
        for part, own in by_part.items():
            position = self.positions.get(part)
            if position is None or position.paused or not self._continues(part, position, own):
                continue
            read = [arrived(record) for record in own if record.offset >= position.next]
            for count, event in enumerate(read):
                reason = self.reader.unreadable(event)
                if reason:
                    paused[part] = f"{reason} (offset {event.offset})"
                    read = read[:count]
                    break
            singly += read[: position.singly]
            events += read[position.singly :]
        lost: set[int] = set()  # moved on by another member: what we hold of them is stale
        for event in singly:
            if event.part not in lost:
                owned = await self._begin(event)
                lost |= {event.part} - owned
        events = [event for event in events if event.part not in lost]
        if events:
            await self._apply(events)
        for part, reason in paused.items():
            log.error("partition paused", consumer=self.reader.name, partition=part, reason=reason)
            self._pause([part], reason)
            self._seek(part, self.positions[part]) if part in self.positions else None

    def _continues(self, part: int, position: Position, records: Sequence[Any]) -> bool:
        """True if the records go on where we stand; else seek there and drop them."""
        first, last = records[0].offset, records[-1].offset
        if last < position.next:
            return False  # fetched before we sought
        if first > position.next and position.sought != position.next:
            self._seek(part, position)
            return False
        if first > position.next and self.reader.history_needed:
            # straight after a seek: the log itself has a hole there
            gone = f"events {position.next} to {first - 1} are gone from the topic."
            self._pause([part], f"{gone} {self._cure()}")
            return False
        return True

    async def _begin(self, event: Arrived) -> set[int]:
        """Apply one event by itself; that it is tried is kept, in case this process dies of it."""
        killer = await self._mark_attempt(event)
        try:
            owned = await self._apply([event], killer)
        except Exception:
            # we live: it was not this event. Where it cannot be taken back it stays counted, once
            with contextlib.suppress(Exception):
                await self._take_back_attempt(event)
            raise
        position = self.positions.get(event.part)
        if position is not None:
            position.singly = max(position.singly - 1, 0)
        return owned

    async def _mark_attempt(self, event: Arrived) -> int | None:
        """Commit that this event is being tried; returns its offset if it was too often.

        An offset counts once in the life of a process, however often that one tries it.
        """
        anew = self._begun.get(event.part) != event.offset
        count = await self._pool.fetchval(
            """
            UPDATE messaging.consumer_offset
            SET attempt_count = CASE WHEN attempt_offset = $4 THEN attempt_count + $5 ELSE 1 END,
                attempt_offset = $4
            WHERE consumer = $1 AND topic = $2 AND part = $3
            RETURNING attempt_count
            """,
            self.reader.name,
            self.reader.topic,
            event.part,
            event.offset,
            int(anew),
        )
        self._begun[event.part] = event.offset
        return event.offset if count is not None and count > STARTS else None

    async def _take_back_attempt(self, event: Arrived) -> None:
        await self._pool.execute(
            """
            UPDATE messaging.consumer_offset SET attempt_count = attempt_count - 1
            WHERE consumer = $1 AND topic = $2 AND part = $3 AND attempt_offset = $4
                AND attempt_count > 0
            """,
            self.reader.name, self.reader.topic, event.part, event.offset,
        )  # fmt: skip
        self._begun.pop(event.part, None)

    async def _apply(self, events: Sequence[Arrived], killer: int | None = None) -> set[int]:
        """Apply in one transaction; returns the partitions that were still ours."""
        begun = time.monotonic()
        ends: dict[int, int] = {}
        for event in events:
            ends[event.part] = event.offset + 1
        try:
            owned, moved, effects = await self._transact(events, ends, killer, carefully=False)
        except Exception as error:
            if is_infrastructure(error) or isinstance(error, OlderDatabase):
                raise
            # some event's own failure: all again, with savepoints to find it by
            owned, moved, effects = await self._transact(events, ends, killer, carefully=True)
        for part, position in self.positions.items():
            if part in owned:
                position.next = ends[part]
            elif part in moved:
                log.warning(
                    "offset moved by another member", consumer=self.reader.name, partition=part
                )
                position.next = moved[part]
                self._seek(part, position)
        self.last_progress = time.monotonic()
        metrics.POLL_SECONDS.labels(self.reader.name).observe(self.last_progress - begun)
        if effects:
            self._wake()
        return owned

    async def _transact(
        self,
        events: Sequence[Arrived],
        ends: dict[int, int],
        killer: int | None,
        *,
        carefully: bool,
    ) -> tuple[set[int], dict[int, int], bool]:
        """One try; returns the partitions that were still ours, where others' offsets are now, and
        whether there were effects."""
        self._outbox.check()
        effects = False
        async with self._pool.acquire() as conn, conn.transaction():
            stood = {part: self.positions[part].next for part in ends if part in self.positions}
            owned = await self._claim(conn, ends, events)
            moved = await self._moved(conn, {p: n for p, n in stood.items() if p not in owned})
            mine = [event for event in events if event.part in owned]
            if mine:
                effects = await self.reader.apply(
                    conn, mine, self._clock.now(), killer, carefully=carefully
                )
        return owned, moved, effects

    async def _claim(
        self, conn: Connection, ends: dict[int, int], events: Sequence[Arrived]
    ) -> set[int]:
        """Move the stored offsets from where we stand to the poll's end, where still ours."""
        moves = [
            OffsetMove(part, self.positions[part].next, end)
            for part, end in sorted(ends.items())
            if part in self.positions
        ]
        return await self.reader.claim(conn, moves, events)

    async def _moved(self, conn: Connection, stood: dict[int, int]) -> dict[int, int]:
        """{partition: where another member has moved the offset on to}, of those not ours now.

        stood: {partition: where we stood}, which the database has said itself, or has committed.
        Nobody moves an offset back while a service runs. One that lies behind was put back with the
        database, by a restore or by a failover to a standby that lagged; then nothing of this poll
        may be applied.
        """
        if not stood:
            return {}
        rows = await conn.fetch(
            "SELECT part, next FROM messaging.consumer_offset"
            " WHERE consumer = $1 AND topic = $2 AND part = ANY ($3::int[])",
            self.reader.name, self.reader.topic, list(stood),
        )  # fmt: skip
        stored = {row["part"]: row["next"] for row in rows}
        for part, next_ in stood.items():
            if part not in stored or stored[part] < next_:
                raise OlderDatabase(
                    f"{self.reader.name}, {self.reader.topic}/{part}: this process stood at"
                    f" {next_}, the database now says {stored.get(part, 'nothing')}: it was put"
                    " back while the service ran, and is older than the broker."
                    f" {self._cure()}"
                )
        return stored

    # -- what others ask ----------------------------------------------------------------------

    async def tell_kafka(self) -> None:
        """Commit our positions to Kafka now and then; advisory, so a failure changes nothing."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self.commit()

    async def commit(self) -> None:
        """Tell Kafka where we are; never less than it has, for it is the witness."""
        told = {
            part: position.next
            for part, position in self.positions.items()
            if part in self._assigned and position.next > self._told.get(part, -1)
        }
        if not told or self._consumer is None:
            return
        with contextlib.suppress(Exception):  # a rebalance, or the broker is away
            async with asyncio.timeout(5.0):
                await self._consumer.commit({self._partition(p): n for p, n in told.items()})
                self._told.update(told)
        metrics.LAG.labels(self.reader.name).set(self.lag())

    def lag(self) -> int:
        """Events behind the end of the assigned partitions, as of the last fetch."""
        behind = 0
        for part, position in self.positions.items():
            high = None
            with contextlib.suppress(Exception):
                high = self._consumer.highwater(self._partition(part))
            behind += max((high or 0) - position.next, 0)
        return behind

    @property
    def _has_no_topic(self) -> bool:
        """True if the group gave us no share because the broker has no such topic."""
        if not self._member or self._assigned:
            return False
        return not self._consumer.partitions_for_topic(self.reader.topic)

    @property
    def _has_halted(self) -> bool:
        return bool(self.halted)

    @property
    def _taken_over(self) -> bool:
        return self._member and self.positions.keys() == self._assigned

    def state(self, stuck_after: float = 30.0) -> str:
        """ "ok", or one line that says what is wrong.

        stuck_after: seconds; progress is a poll that was applied, or an empty one at the end of
        everything, so that a handler, a take-over or a group that hangs shows.
        """
        paused = next((p.paused for p in self.positions.values() if p.paused), "")
        if self.halted and not self.refused:
            resume = f"banka parked resume {self._settings.service} {self.reader.name} --why …"
            return f"stopped: {self.halted}; mend, then {resume}"
        wrong = self.refused or paused or self.trouble
        if wrong:
            return wrong
        if self._has_no_topic:
            return f"no topic {self.reader.topic} on the broker"
        idle = time.monotonic() - self.last_progress
        if idle <= stuck_after:
            return "ok"
        if not self._member:
            return f"not in its group for {idle:.0f} s"
        if not self._taken_over:
            return f"its partitions not taken over for {idle:.0f} s"
        return f"no progress for {idle:.0f} s with {self.lag()} events waiting"


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        await self._subscription.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._subscription.assigned(frozenset(p.partition for p in assigned))
