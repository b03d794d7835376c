"""Writing effects: facts, calls and deadlines become rows in the transaction that causes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from aiokafka.partitioner import murmur2
from opentelemetry import trace

from shared.events.envelope import is_attribute, rfc3339
from shared.identifiers import new_id
from shared.messaging.broker import TopicIdentity
from shared.messaging.effects import Call, ClearDeadline, Connection, Deadline, Effect, Fact
from shared.messaging.errors import OlderDatabase, Permanent

_JSON = json.JSONEncoder(separators=(",", ":"))  # made once: `json.dumps` would for every fact
MAX_BODY = 800_000  # bytes; a larger record would be refused by the broker and stop its partition


@dataclass(frozen=True, slots=True)
class Cause:
    """What an effect goes back to; kept with calls and deadlines, so that the chain never breaks.

    event_id: becomes `causationid`. correlation_id: None starts a new chain.
    """

    event_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    origin: str = "live"
    actor: str | None = None

    def to_json(self) -> str:
        return json.dumps(
            [self.event_id, self.correlation_id, self.traceparent, self.origin, self.actor]
        )

    @staticmethod
    def from_json(text: str) -> Cause:
        return Cause(*json.loads(text))


def new_cause(actor: str | None = None) -> Cause:
    """The start of a chain: a command by a person or a machine."""
    return Cause(correlation_id=new_id(), traceparent=current_traceparent(), actor=actor)


def current_traceparent() -> str | None:
    """The W3C trace context of the running span, if there is one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"


@lru_cache(maxsize=65_536)
def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to a key."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Wanted:
    """An effect, the subject it falls back to, and its cause."""

    effect: Effect
    subject: str
    cause: Cause


_APPEND = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[],
                         $7::bytea[], $8::text[]) WITH ORDINALITY
        AS w (topic, part, subject, id, type, attributes, body, actor, nth)
), numbered AS (
    INSERT INTO messaging.subject_sequence AS s (topic, subject, last)
    SELECT topic, subject, count(*) FROM wanted GROUP BY topic, subject ORDER BY topic, subject
    ON CONFLICT (topic, subject) DO UPDATE SET last = s.last + excluded.last
    RETURNING topic, subject, last
), logged AS (
    -- positions are drawn after the sort, so after every subject's row is locked
    INSERT INTO messaging.event_log
        (topic, part, subject, sequence, id, type, attributes, body, actor)
    SELECT topic, part, subject,
           n.last - count(*) OVER (PARTITION BY topic, subject)
                  + row_number() OVER (PARTITION BY topic, subject ORDER BY w.nth),
           w.id, w.type, w.attributes, w.body, w.actor
    FROM wanted w JOIN numbered n USING (topic, subject) ORDER BY w.nth
    RETURNING position, topic, part, id
), queued AS (
    INSERT INTO messaging.outbox (position, topic, part) SELECT position, topic, part FROM logged
)
SELECT position, id FROM logged
"""

_CALLS = """
INSERT INTO messaging.call (kind, key, subject, payload, not_before, cause)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
ON CONFLICT (kind, key) DO NOTHING
"""

_DEADLINES = """
INSERT INTO messaging.deadline (name, subject, at, cause)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) ORDER BY 1, 2
ON CONFLICT (name, subject) DO UPDATE
    SET at = excluded.at, cause = excluded.cause, attempts = 0, retry_at = now(), error = NULL
"""

_CLEAR = """
DELETE FROM messaging.deadline d
USING unnest($1::text[], $2::text[]) AS c (name, subject)
WHERE d.name = c.name AND d.subject = c.subject
    AND d.name = ANY ($1) AND d.subject = ANY ($2)
"""


@dataclass(slots=True)
class Outbox:
    """Writes effects for one service.

    source: `/banka/<service>`. topics: what the broker has, filled in when it was asked.
    wake: tells relay and workers of this process that there may be work; which kinds of calls were
    written, where that is known. refused: why the relay does not
    run, for the database is not the broker's, or ""; then nothing may be begun either.
    """

    source: str
    topics: Mapping[str, TopicIdentity] = field(default_factory=dict)
    wake: Callable[[Collection[str] | None], None] = lambda _kinds: None
    refused: Callable[[], str] = lambda: ""

    def check(self) -> None:
        """Raise OlderDatabase where nothing may be begun."""
        if reason := self.refused():
            raise OlderDatabase(f"the relay refuses: {reason}")

    async def write(
        self, conn: Connection, wanted: Iterable[Wanted], now: datetime
    ) -> list[tuple[Wanted, int]]:
        """Write all effects, in order, in a handful of statements.

        Returns each fact with its position in the log. Raises Permanent for a topic that is not
        on the broker.
        """
        facts: list[Wanted] = []
        calls: list[Wanted] = []
        deadlines: dict[tuple[str, str], tuple[datetime, Cause] | None] = {}
        for item in wanted:
            effect = item.effect
            if isinstance(effect, Fact):
                facts.append(item)
            elif isinstance(effect, Call):
                calls.append(item)
            elif isinstance(effect, Deadline):
                deadlines[effect.name, effect.subject or item.subject] = (effect.at, item.cause)
            elif isinstance(effect, ClearDeadline):
                deadlines[effect.name, effect.subject or item.subject] = None
            else:
                raise Permanent(f"a handler returned {type(effect).__name__}, not an effect")
        positions = await self._append(conn, facts, now) if facts else []
        if calls:
            await self._write_calls(conn, calls)
        if deadlines:
            await self._write_deadlines(conn, deadlines)
        return positions

    async def _append(
        self, conn: Connection, facts: list[Wanted], now: datetime
    ) -> list[tuple[Wanted, int]]:
        columns: list[list[Any]] = [[], [], [], [], [], [], [], []]
        ids: dict[str, Wanted] = {}
        for item in facts:
            fact = item.effect
            assert isinstance(fact, Fact)
            topic = fact.topic or fact.data.topic
            known = self.topics.get(topic)
            if known is None:
                raise Permanent(f"no topic {topic} on the broker for {fact.data.type}")
            subject = fact.subject or item.subject
            chain = (item.cause.event_id, item.cause.correlation_id, item.cause.traceparent)
            if not all(is_attribute(text) for text in (subject, *filter(None, chain))):
                # once committed it could never be published
                raise Permanent(f"no record can carry the subject or the cause of {fact.data.type}")
            body = fact.data.model_dump_json().encode()
            if len(body) > MAX_BODY:
                raise Permanent(f"{fact.data.type} has {len(body)} bytes; at most {MAX_BODY}")
            event_id = new_id()
            ids[event_id] = item
            row = (
                topic,
                partition_of(subject, known.partitions),
                subject,
                event_id,
                fact.data.type,
                _attributes(fact, item.cause, now, event_id),
                body,
                item.cause.actor,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        rows = await conn.fetch(_APPEND, *columns)
        return [(ids[str(row["id"])], row["position"]) for row in rows]

    async def _write_calls(self, conn: Connection, calls: list[Wanted]) -> None:
        columns: list[list[Any]] = [[], [], [], [], [], []]
        for item in sorted(calls, key=lambda c: (c.effect.kind, c.effect.key)):  # type: ignore[union-attr]
            call = item.effect
            assert isinstance(call, Call)
            row = (
                call.kind,
                call.key,
                call.subject or item.subject,
                json.dumps(call.payload, ensure_ascii=False),
                call.not_before,
                item.cause.to_json(),
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        await conn.execute(_CALLS, *columns)

    async def _write_deadlines(
        self,
        conn: Connection,
        deadlines: dict[tuple[str, str], tuple[datetime, Cause] | None],
    ) -> None:
        cleared = sorted(key for key, value in deadlines.items() if value is None)
        if cleared:
            await conn.execute(_CLEAR, [name for name, _ in cleared], [s for _, s in cleared])
        kept = [(key, value) for key, value in deadlines.items() if value is not None]
        if kept:
            await conn.execute(
                _DEADLINES,
                [key[0] for key, _ in kept],
                [key[1] for key, _ in kept],
                [value[0] for _, value in kept],
                [value[1].to_json() for _, value in kept],
            )


def _attributes(fact: Fact, cause: Cause, now: datetime, event_id: str) -> str:
    """The envelope's attributes that the log keeps as JSON; the rest stands in columns."""
    return _JSON.encode(
        {
            "time": rfc3339(fact.time or now),
            "stateversion": fact.state_version,
            "causationid": cause.event_id,
            # a chain without a beginning starts here
            "correlationid": cause.correlation_id or event_id,
            "traceparent": cause.traceparent,
            "origin": fact.origin or cause.origin,
        }
    )
