"""Applying events: one transaction per poll, each event's effects exactly once, in order.

The cursor per (consumer, topic, source, subject) decides: `last + 1` applies, `<= last` was seen,
more is a gap. State, effects, cursors and the next offset are one commit; what Kafka believes of
our offsets does not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from shared.messaging import metrics
from shared.messaging.effects import Connection, Handler, Received, Store
from shared.messaging.errors import (
    ConcurrentApply,
    Halted,
    Permanent,
    Undecodable,
    is_infrastructure,
    one_line,
)
from shared.messaging.halting import Recent
from shared.messaging.offsets import MOVE_OFFSETS, OffsetMove, columns
from shared.messaging.outbox import Cause, Outbox, Wanted
from shared.messaging.parking import (
    KILLED,
    Arrived,
    Parked,
    drain,
    gap_reason,
    park,
    verdict,
)

log = structlog.get_logger(__name__)

_VERSION = re.compile(r"(.+)\.v\d+")
_SUSPECTS = 8  # failing keys found one after another before every key is taken by itself


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One reading of one topic by one aggregate.

    name: Kafka group id; a rebuild uses a new one (`reporting.applications@2`).
    handlers: {payload class: on_<event>}. A type that is not named here moves the cursor on; an
      unknown version of a named one pauses the partition.
    max_records: upper bound of events in one transaction.
    attempts: how often a failing event is tried (`Transient` and unexpected errors) before it
      stays parked.
    halt_share, halt_after: if more than this share of so many events in a row fails, each of
      another application, the consumer stops until somebody resumes it.
    """

    name: str
    topic: str
    store: Store[Any]
    handlers: Mapping[type[Any], Handler]
    max_records: int = 500
    attempts: int = 5
    halt_after: int = 20
    halt_share: float = 0.5


class HandlerFailed(Exception):
    """An event's own failure, with the key that it belongs to."""

    def __init__(self, subject: str, error: BaseException) -> None:
        super().__init__(one_line(error))
        self.subject = subject
        self.error = error


@dataclass(slots=True)
class _Standing:
    """How the keys of a poll stood when its offsets were claimed. blocked: some key is."""

    cursors: dict[tuple[str, str], tuple[int, str]]
    blocked: bool


@dataclass(slots=True)
class _Plan:
    """What a poll comes to, before anything is applied."""

    apply: dict[str, list[Arrived]] = field(default_factory=dict)
    park: list[Parked] = field(default_factory=list)
    fill: set[str] = field(default_factory=set)  # keys with a gap that may be filled now
    skipped: int = 0  # records that are no events and that an operator decided to leave out


_BLOCKED = """
SELECT subject, state FROM messaging.blocked_key
WHERE consumer = $1 AND topic = $2 AND subject = ANY ($3::text[])
ORDER BY subject FOR UPDATE
"""

_CURSORS = """
SELECT subject, source, sequence, event_id FROM messaging.cursor
WHERE consumer = $1 AND topic = $2 AND subject = ANY ($3::text[])
"""

# The offsets moved, the cursors, and the keys that are blocked, in one round trip: a row each,
# told apart by `what`. Cursors are as of its start, which is enough where no key is blocked:
# whoever else moved one had its partition, and then the offset was not ours to move.
_CLAIM = f"""
WITH claimed AS (
    {MOVE_OFFSETS}
)
SELECT 'part' AS what, part::bigint AS number, NULL AS subject, NULL AS source, NULL AS event_id
FROM claimed
UNION ALL
SELECT 'cursor', sequence, subject, source, event_id FROM messaging.cursor
WHERE consumer = $1 AND topic = $2 AND subject = ANY ($6::text[])
UNION ALL
SELECT 'blocked', NULL, subject, NULL, NULL FROM messaging.blocked_key
WHERE consumer = $1 AND topic = $2 AND subject = ANY ($6::text[])
"""  # noqa: S608 - a constant of ours

# `before` guards against anybody who moved the cursor meanwhile: such a row is not written
_MOVE = """
WITH moved AS (
    INSERT INTO messaging.cursor AS c (consumer, topic, subject, source, sequence, event_id)
    SELECT $1, $2, subject, source, sequence, event_id
    FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[])
        AS m (subject, source, sequence, event_id)
    ORDER BY subject, source
    ON CONFLICT (consumer, topic, subject, source) DO UPDATE
        SET sequence = excluded.sequence, event_id = excluded.event_id
        WHERE (c.subject, c.source, c.sequence) IN (
            SELECT * FROM unnest($3::text[], $4::text[], $7::bigint[]))
    RETURNING 1
)
SELECT count(*) FROM moved
"""


class Inbox:
    """Applies the events of one consumer; knows nothing of Kafka but records that arrived."""

    history_needed = True  # every event from the first on, or state would be built on a hole

    def __init__(self, consumer: Consumer, outbox: Outbox) -> None:
        self.consumer = consumer
        self.name = consumer.name
        self.topic = consumer.topic
        self.attempts = consumer.attempts
        self.max_records = consumer.max_records
        self._outbox = outbox
        self._handlers = {
            payload.type: (payload, handler) for payload, handler in consumer.handlers.items()
        }
        self._stems = {_stem(name) for name in self._handlers}
        self._skipped: set[tuple[str, str]] = set()  # event id, key
        self.recent = Recent(consumer.halt_after, consumer.halt_share)
        self._standing: _Standing | None = None  # between `claim` and `apply` of one poll

    async def prepare(self, conn: Connection) -> None:
        """Learn which events an operator skipped; honoured also by a rebuild under a new name."""
        rows = await conn.fetch(
            "SELECT event_id, subject FROM messaging.skipped_event"
            " WHERE consumer = $1 AND topic = $2",
            self.name.partition("@")[0], self.topic,
        )  # fmt: skip
        self._skipped = {(row["event_id"], row["subject"]) for row in rows}

    def unreadable(self, event: Arrived) -> str:
        """Why this build must not go past the event: a handled type in an unknown version."""
        if event.envelope is None or event.type in self._handlers:
            return ""
        if _stem(event.type) not in self._stems:
            return ""
        return f"{event.type} is newer than this build: deploy one that reads it"

    async def claim(
        self, conn: Connection, moves: Sequence[OffsetMove], events: Sequence[Arrived]
    ) -> set[int]:
        """Move the stored offsets where they are still ours; returns those partitions."""
        subjects = sorted({event.subject for event in events})
        rows = await conn.fetch(_CLAIM, self.name, self.topic, *columns(moves), subjects)
        self._standing = _Standing(
            {
                (row["subject"], row["source"]): (row["number"], row["event_id"])
                for row in rows
                if row["what"] == "cursor"
            },
            any(row["what"] == "blocked" for row in rows),
        )
        return {row["number"] for row in rows if row["what"] == "part"}

    async def apply(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        now: datetime,
        killer: int | None = None,
        *,
        carefully: bool = True,
    ) -> bool:
        """Apply a poll's events in the caller's transaction; park what fails. True if there were
        effects.

        killer: offset of an event that stopped the process too often and is parked unseen.
        carefully: False spares the savepoint; what fails is then raised, the transaction lost.
        """
        suspects: set[str] = set()
        subjects = sorted({event.subject for event in events})
        recent = self.recent
        if not carefully:
            try:
                return await self._poll(conn, events, subjects, suspects, now, killer)
            except BaseException:
                self.recent = recent
                raise
        while True:
            self.recent = recent  # what is rolled back was not counted
            try:
                async with conn.transaction():
                    return await self._poll(conn, events, subjects, suspects, now, killer)
            except HandlerFailed as failed:
                suspects.add(failed.subject)
                if len(suspects) > _SUSPECTS:
                    suspects.update(subjects)
            except Halted:
                self.recent = recent
                raise
            except Exception as error:
                # a constraint or a bad value: some event's state, but whose is not known
                if is_infrastructure(error) or suspects.issuperset(subjects):
                    self.recent = recent
                    raise
                suspects.update(subjects)

    async def _poll(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        subjects: list[str],
        suspects: set[str],
        now: datetime,
        killer: int | None,
    ) -> bool:
        """True if there were effects."""
        blocked: dict[str, str] = {}
        standing, self._standing = self._standing, None
        if standing is not None and not standing.blocked:
            cursors = standing.cursors
        else:
            blocked = {
                row["subject"]: row["state"]
                for row in await conn.fetch(_BLOCKED, self.name, self.topic, subjects)
            }
            # read after the blocked keys are locked: whoever drained one has moved its cursors
            cursors = {
                (row["subject"], row["source"]): (row["sequence"], row["event_id"])
                for row in await conn.fetch(_CURSORS, self.name, self.topic, subjects)
            }
        plan = self._plan(events, blocked, cursors, killer)
        together = [
            event for key, own in plan.apply.items() if key not in suspects for event in own
        ]
        effects = bool(plan.fill)
        if together:
            before = {key: sequence for key, (sequence, _) in cursors.items()}
            effects |= await self._apply_all(conn, together, before, now)
            self.recent = self.recent.succeeded(len(together))
        parked = plan.park
        for subject in sorted(suspects & plan.apply.keys()):
            effects = True
            failed = await self._apply_singly(conn, plan.apply[subject], now)
            if failed:
                # behind it, in order of arrival, whatever was planned to wait
                behind = [p for p in parked if p.event.subject == subject]
                parked = [p for p in parked if p.event.subject != subject]
                parked += failed + [Parked(p.event, "", "") for p in behind]
        await park(conn, self.name, parked)
        for subject in sorted(plan.fill):
            await drain(conn, self, self.topic, subject, now)
        self._count(plan, together)
        return effects

    def _plan(
        self,
        events: Sequence[Arrived],
        blocked: dict[str, str],
        cursors: dict[tuple[str, str], tuple[int, str]],
        killer: int | None,
    ) -> _Plan:
        plan = _Plan()
        last = {key: sequence for key, (sequence, _) in cursors.items()}
        for event in events:
            subject, sequence = event.subject, event.sequence
            problem = event.problem = self._problem(event)
            if problem and self._is_skipped(event):
                plan.skipped += 1
                continue  # it has no number that a cursor could be moved by
            if event.offset == killer:
                problem = KILLED
            expected = last.get((subject, event.source), 0) + 1
            if sequence is not None and not problem and sequence < expected:
                self._notice_duplicate(event, cursors)
            elif subject in blocked:
                plan.park.append(Parked(event, "", ""))
                if blocked[subject] == "gap":
                    plan.fill.add(subject)
            elif problem:
                plan.park.append(Parked(event, "parked", problem, 1))
                blocked[subject] = "parked"
            elif sequence == expected:
                plan.apply.setdefault(subject, []).append(event)
                last[subject, event.source] = expected
            else:
                reason = gap_reason(event, {event.source: expected - 1})
                plan.park.append(Parked(event, "gap", reason))
                blocked[subject] = "gap"
        return plan

    def _is_skipped(self, event: Arrived) -> bool:
        # with its key: a record under a wrong key may name the event that another one really is
        return (event.event_id, event.subject) in self._skipped

    def _problem(self, event: Arrived) -> str:
        """Why the record is not an event of ours; "" if it is."""
        envelope = event.envelope
        if envelope is None:
            return event.problem
        if envelope.subject != event.subject:
            return "the Kafka key is not the event's subject"
        if envelope.sequence is None:
            return "the event carries no sequence"
        return ""

    def _notice_duplicate(
        self, event: Arrived, cursors: dict[tuple[str, str], tuple[int, str]]
    ) -> None:
        metrics.EVENTS.labels(self.name, "duplicate").inc()
        seen = cursors.get((event.subject, event.source))
        if seen is not None and seen[0] == event.sequence and seen[1] != event.event_id:
            # two events with one number: a publisher whose database went back in time
            log.error(
                "another event with a known number", consumer=self.name, subject=event.subject,
                source=event.source, sequence=event.sequence, event_id=event.event_id,
            )  # fmt: skip

    async def _apply_all(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        before: Mapping[tuple[str, str], int],
        now: datetime,
    ) -> bool:
        """Load, handle, save, append and move the cursors of many events in a few statements;
        True if there were effects."""
        handled = [e for e in events if self._outcome(e) == "applied"]
        states: dict[str, Any] = {}
        wanted: list[Wanted] = []
        if handled:
            subjects = sorted({event.subject for event in handled})
            states = await self.consumer.store.load(conn, subjects)
        for event in handled:
            try:
                self._handle(event, states[event.subject], now, wanted)
            except Exception as error:
                raise HandlerFailed(event.subject, error) from error
        if handled:
            await self.consumer.store.save(conn, list(states.values()))
        if wanted:
            await self._outbox.write(conn, wanted, now)
        await self._move_cursors(conn, events, before)
        newest = events[-1].envelope
        if newest is not None and newest.recorded_time is not None:
            age = datetime.now(UTC) - newest.recorded_time
            metrics.EVENT_AGE.labels(self.name).set(age.total_seconds())
        return bool(wanted)

    def _outcome(self, event: Arrived) -> str:
        """What applying the event comes to: applied, ignored or skipped."""
        if event.type not in self._handlers:
            return "ignored"
        return "skipped" if self._is_skipped(event) else "applied"

    def _handle(self, event: Arrived, state: Any, now: datetime, wanted: list[Wanted]) -> None:
        payload, handler = self._handlers[event.type]
        envelope = event.envelope
        assert envelope is not None
        try:
            data = payload.model_validate_json(event.body)
        except ValueError as error:
            raise Undecodable(one_line(error)) from None
        received = Received(
            id=envelope.id,
            type=envelope.type,
            source=envelope.source,
            subject=envelope.subject,
            time=envelope.time,
            recorded_time=envelope.recorded_time or envelope.time,
            sequence=envelope.sequence,
            state_version=envelope.state_version,
            causation_id=envelope.causation_id,
            correlation_id=envelope.correlation_id or envelope.id,
            traceparent=envelope.traceparent,
            origin=envelope.origin,
            data=data,
            topic=event.topic,
            partition=event.part,
            offset=event.offset,
        )
        cause = cause_of(received)
        for effect in handler(received, state, now):
            wanted.append(Wanted(effect, event.subject, cause))

    async def _move_cursors(
        self, conn: Connection, events: Sequence[Arrived], before: Mapping[tuple[str, str], int]
    ) -> None:
        newest: dict[tuple[str, str], Arrived] = {}
        for event in events:
            newest[event.subject, event.source] = event
        keys = sorted(newest)
        moved = await conn.fetchval(
            _MOVE,
            self.name,
            self.topic,
            [subject for subject, _ in keys],
            [source for _, source in keys],
            [newest[key].sequence for key in keys],
            [newest[key].event_id for key in keys],
            [before.get(key, 0) for key in keys],
        )
        if moved != len(keys):
            raise ConcurrentApply(f"{len(keys) - moved} cursors of {self.name} moved meanwhile")

    async def _apply_singly(
        self, conn: Connection, events: Sequence[Arrived], now: datetime
    ) -> list[Parked]:
        """One key's events, each in a savepoint; the first that fails and the rest are parked."""
        for place, event in enumerate(events):
            try:
                async with conn.transaction():
                    await self.apply_one(conn, event, now)
            except Exception as error:
                cause = error.error if isinstance(error, HandlerFailed) else error
                if is_infrastructure(cause):
                    raise
                self.recent = self.recent.after(cause)
                state = verdict(cause, 1, self.attempts)
                rest = [Parked(later, "", "") for later in events[place + 1 :]]
                return [Parked(event, state, one_line(cause), 1), *rest]
            self.recent = self.recent.succeeded()
            metrics.EVENTS.labels(self.name, self._outcome(event)).inc()
        return []

    async def apply_one(self, conn: Connection, event: Arrived, now: datetime) -> None:
        """Apply one event and move its cursor; used in savepoints and by redrive."""
        problem = self._problem(event) or self.unreadable(event)
        if problem:
            raise Permanent(problem)
        assert event.sequence is not None
        before = {(event.subject, event.source): event.sequence - 1}
        try:
            await self._apply_all(conn, [event], before, now)
        except HandlerFailed as failed:
            raise failed.error from None

    def next_of(
        self, waiting: list[tuple[int, Arrived]], cursors: dict[str, int]
    ) -> tuple[int, Arrived] | None:
        """The head, or the earlier event of its source that it waits for."""
        key, head = waiting[0]
        if self._problem(head):
            return key, head
        due = cursors.get(head.source, 0) + 1
        for item in waiting:
            if item[1].source == head.source and item[1].sequence == due:
                return item
        return None

    def is_done(self, event: Arrived, cursors: dict[str, int]) -> bool:
        """True if its number is not above the cursor."""
        if self._problem(event):
            return False
        return event.sequence is not None and event.sequence <= cursors.get(event.source, 0)

    def _count(self, plan: _Plan, together: Sequence[Arrived]) -> None:
        outcomes = Counter(self._outcome(event) for event in together)
        outcomes["skipped"] += plan.skipped
        for item in plan.park:
            outcomes["gap" if item.state == "gap" else "parked"] += 1
        for outcome, count in outcomes.items():
            metrics.EVENTS.labels(self.name, outcome).inc(count)


def cause_of(received: Received[Any], actor: str | None = None) -> Cause:
    """What effects of an event go back to."""
    return Cause(received.id, received.correlation_id, received.traceparent, received.origin, actor)


def _stem(event_type: str) -> str:
    match = _VERSION.fullmatch(event_type)
    return match[1] if match else event_type
