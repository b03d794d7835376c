"""Events from partners: no unbroken sequence, no trust, an answer to every one.

A topic per partner; `source` must be
`/partners/<partner>`; one permanent row per (partner, event id)
with a digest of the body: the same body again gets the same answer, another body is rejected.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from shared.identifiers import new_id
from shared.messaging import metrics
from shared.messaging.effects import Connection, Effect, Fact
from shared.messaging.errors import Permanent, Rejected, is_infrastructure, one_line
from shared.messaging.halting import Recent
from shared.messaging.offsets import MOVE_OFFSETS, OffsetMove, columns
from shared.messaging.outbox import Cause, Outbox, Wanted
from shared.messaging.parking import KILLED, Arrived, Parked, park, verdict


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """A partner's event as it came, binary or structured mode.

    key: the partner's own reference (Kafka key, else the envelope's subject).
    data: the body parsed as JSON, not validated yet: validate with your payload model and raise
      `errors.Rejected(("field", "CODE"), ...)`; a pydantic ValidationError is answered likewise.
    digest: SHA-256 of the body.
    partner_event_id: of the partner's own event, which the answer names. repaired_by: None, or the
      same as `id` where an operator of ours repaired the partner's event and this is the new one.
    """

    partner: str
    id: str
    type: str
    source: str
    key: str
    time: datetime | None
    correlation_id: str
    traceparent: str | None
    data: Any
    body: bytes
    digest: str
    topic: str
    partition: int
    offset: int
    partner_event_id: str
    repaired_by: str | None


@dataclass(frozen=True, slots=True)
class InboundProblem:
    """Why a partner's event is refused: fields and codes, never values.

    event_id, type, key: as far as they could be read. codes: `(field, code)` pairs; the kernel's
    own are UNREADABLE, KEY_UNREADABLE, WRONG_SOURCE, SAME_ID_OTHER_BODY, MORE_PROBLEMS, LEFT_OUT
    (an operator of ours skipped it), the envelope's (`not-utf-8`, ...) and pydantic's error types.
    repaired_by: id of our operator's event that stood in for it, or None.
    """

    partner: str
    event_id: str | None
    type: str | None
    key: str | None
    codes: tuple[tuple[str, str], ...]
    correlation_id: str
    repaired_by: str | None = None


@dataclass(slots=True, kw_only=True)
class Inbound:
    """The gate for one partner's topic.

    name: Kafka group id. handle: async, gets the connection of the open transaction (a savepoint
    of its own per event), the event and business now; loads and saves state itself through its
    stores and returns effects. reject: turns a problem into the answering fact.
    lock: locks, in sorted order, whatever `handle` will load for these keys; called once a poll.
    Without it two polls, or a poll and a consumer, that load the same in another order wait for
    each other. Effects without a subject take the event's key.
    halt_share, halt_after: as a consumer's; what counts is our own failure, never a partner's.
    """

    name: str
    topic: str
    partner: str
    handle: Callable[[Connection, InboundEvent, datetime], Awaitable[Iterable[Effect]]]
    reject: Callable[[InboundProblem, datetime], Iterable[Effect]]
    lock: Callable[[Connection, Sequence[str]], Awaitable[None]]
    max_records: int = 200
    halt_after: int = 20
    halt_share: float = 0.5


_MOST = 100  # problems in one answer
_FIELD = 200  # characters of a field's name in it
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_KNOWN = """
SELECT event_id, digest, answers FROM messaging.inbound_event
WHERE partner = $1 AND event_id = ANY ($2::text[])
"""

_REMEMBER = """
INSERT INTO messaging.inbound_event (partner, event_id, digest) VALUES ($1, $2, $3)
"""

_ANSWER_AGAIN = """
INSERT INTO messaging.outbox (position, topic, part)
SELECT position, topic, part FROM messaging.event_log WHERE position = ANY ($1::bigint[])
ON CONFLICT (position) DO NOTHING
"""

_BLOCKED = """
SELECT subject FROM messaging.blocked_key
WHERE consumer = $1 AND topic = $2 AND subject = ANY ($3::text[]) ORDER BY subject FOR UPDATE
"""


def _key(event: Arrived) -> str:
    return event.subject or (event.envelope.subject if event.envelope else "")


def _is_text(data: Any) -> bool:
    """False if some text in a JSON document is none that can be stored: JSON may escape lone
    surrogates and NUL. Without recursion, because a partner chooses the depth."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if _UNSTORABLE.search(one):
                return False
        elif isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return True


def _sayable(codes: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Problems as they fit into an answer: fields that a partner invented may have any name, and
    there may be any number of them."""
    said = [(_UNSTORABLE.sub("?", field)[:_FIELD], code[:_FIELD]) for field, code in codes[:_MOST]]
    if len(codes) > _MOST:
        said.append(("body", "MORE_PROBLEMS"))
    return tuple(said)


class Gate:
    """Applies a partner's events one by one, each in a savepoint; a bad one stops nobody else."""

    attempts = 5
    history_needed = False  # the topic keeps seven days; what is older was answered or is gone

    def __init__(self, inbound: Inbound, outbox: Outbox) -> None:
        self.inbound = inbound
        self.name = inbound.name
        self.topic = inbound.topic
        self.max_records = inbound.max_records
        self.recent = Recent(inbound.halt_after, inbound.halt_share)
        self._outbox = outbox

    async def prepare(self, conn: Connection) -> None:
        """Nothing to learn."""

    def unreadable(self, event: Arrived) -> str:  # noqa: ARG002
        """Nothing a partner sends stops its topic."""
        return ""

    async def claim(
        self,
        conn: Connection,
        moves: Sequence[OffsetMove],
        events: Sequence[Arrived],  # noqa: ARG002 - what is known of them is asked one by one
    ) -> set[int]:
        """Move the stored offsets where they are still ours; returns those partitions."""
        rows = await conn.fetch(MOVE_OFFSETS, self.name, self.topic, *columns(moves))
        return {row["part"] for row in rows}

    async def apply(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        now: datetime,
        killer: int | None = None,
        *,
        carefully: bool = True,  # noqa: ARG002 - one by one is careful enough
    ) -> bool:
        """Answer every event; park (and block its key) only where our own code fails."""
        for event in events:
            if event.envelope is not None:
                # parked events are told apart by their numbers, and a partner's tell nothing
                event.envelope = replace(event.envelope, sequence=None)
        subjects = sorted({event.subject for event in events})
        blocked = {
            row["subject"] for row in await conn.fetch(_BLOCKED, self.name, self.topic, subjects)
        }
        await self.inbound.lock(conn, sorted({key for e in events if (key := _key(e))}))
        recent = self.recent
        try:
            await self._answer_all(conn, events, blocked, now, killer)
        except BaseException:
            self.recent = recent  # what is rolled back was not counted
            raise
        return True

    async def _answer_all(
        self,
        conn: Connection,
        events: Sequence[Arrived],
        blocked: set[str],
        now: datetime,
        killer: int | None,
    ) -> None:
        for event in events:
            if event.subject in blocked:
                await park(conn, self.name, [Parked(event, "", "")])
                continue
            try:
                if event.offset == killer:
                    raise Permanent(KILLED)
                async with conn.transaction():
                    await self.apply_one(conn, event, now)
                self.recent = self.recent.succeeded()
                metrics.EVENTS.labels(self.name, "applied").inc()
            except Exception as error:
                if is_infrastructure(error):
                    raise
                self.recent = self.recent.after(error)
                state = verdict(error, 1, self.attempts)
                await park(conn, self.name, [Parked(event, state, one_line(error), 1)])
                blocked.add(event.subject)
                metrics.EVENTS.labels(self.name, "parked").inc()

    async def apply_one(self, conn: Connection, event: Arrived, now: datetime) -> None:
        """Deduplicate, handle, answer."""
        if event.envelope is None:
            # no id to remember it by: its place on the topic and the stored offset must do
            code = event.problem.partition(":")[0]
            await self._reject(conn, event, now, (("envelope", code),), None)
            return
        digest = hashlib.sha256(event.body).hexdigest()
        known = await conn.fetchrow(_KNOWN, self.inbound.partner, [event.event_id])
        if known is not None:
            metrics.EVENTS.labels(self.name, "duplicate").inc()
            if known["digest"] == digest:
                await conn.execute(_ANSWER_AGAIN, known["answers"])
            else:
                await self._reject(conn, event, now, (("id", "SAME_ID_OTHER_BODY"),), None)
            return
        await conn.execute(_REMEMBER, self.inbound.partner, event.event_id, digest)
        if event.left_out:
            await self._reject(conn, event, now, (("", "LEFT_OUT"),), event.event_id)
            return
        if not event.repairs and event.envelope.source != f"/partners/{self.inbound.partner}":
            await self._reject(conn, event, now, (("source", "WRONG_SOURCE"),), event.event_id)
            return
        if event.renamed:
            await self._reject(conn, event, now, (("key", "KEY_UNREADABLE"),), event.event_id)
            return
        try:
            received = self._received(event, digest)
            async with conn.transaction():
                effects = list(await self.inbound.handle(conn, received, now))
                await self._write(conn, event, effects, now, event.event_id)
        except Rejected as refusal:
            await self._reject(conn, event, now, tuple(refusal.problems), event.event_id)
        except ValidationError as error:
            found = tuple(
                (".".join(map(str, item["loc"])) or "body", item["type"])
                for item in error.errors(include_input=False, include_url=False)
            )
            await self._reject(conn, event, now, found, event.event_id)

    def _received(self, event: Arrived, digest: str) -> InboundEvent:
        envelope = event.envelope
        assert envelope is not None
        try:
            data = json.loads(event.body)
        except (ValueError, RecursionError):
            raise Rejected(("body", "UNREADABLE")) from None
        if not isinstance(data, dict) or (b"\\u" in event.body and not _is_text(data)):
            raise Rejected(("body", "UNREADABLE"))
        return InboundEvent(
            partner=self.inbound.partner,
            id=envelope.id,
            type=envelope.type,
            source=envelope.source,
            key=_key(event),
            time=envelope.time,
            correlation_id=envelope.correlation_id or envelope.id,
            traceparent=envelope.traceparent,
            data=data,
            body=event.body,
            digest=digest,
            topic=event.topic,
            partition=event.part,
            offset=event.offset,
            partner_event_id=event.repairs or envelope.id,
            repaired_by=envelope.id if event.repairs else None,
        )

    async def _reject(
        self,
        conn: Connection,
        event: Arrived,
        now: datetime,
        codes: tuple[tuple[str, str], ...],
        remembered: str | None,
    ) -> None:
        envelope = event.envelope
        problem = InboundProblem(
            partner=self.inbound.partner,
            event_id=event.repairs or (envelope.id if envelope else None),
            type=envelope.type if envelope else None,
            key=_key(event) or None,
            codes=_sayable(codes),
            correlation_id=(envelope and (envelope.correlation_id or envelope.id)) or new_id(),
            repaired_by=envelope.id if envelope and event.repairs else None,
        )
        await self._write(conn, event, self.inbound.reject(problem, now), now, remembered)

    async def _write(
        self,
        conn: Connection,
        event: Arrived,
        effects: Iterable[Effect],
        now: datetime,
        remembered: str | None,
    ) -> None:
        cause = Cause(
            event.envelope.id if event.envelope else None,
            (event.envelope.correlation_id or event.envelope.id) if event.envelope else None,
            event.envelope.traceparent if event.envelope else None,
            # live, whatever the partner says: `imported` silences all messages and alarms
            actor=f"partner:{self.inbound.partner}",
        )
        subject = _key(event) or f"{self.inbound.partner}:unreadable"
        wanted = [Wanted(effect, subject, cause) for effect in effects]
        written = await self._outbox.write(conn, wanted, now)
        outbound = f"banka.outbound.{self.inbound.partner}"
        answers = [
            position
            for item, position in written
            if isinstance(item.effect, Fact)
            and (item.effect.topic or item.effect.data.topic) == outbound
        ]
        if remembered is not None and answers:
            await conn.execute(
                "UPDATE messaging.inbound_event SET answers = $3"
                " WHERE partner = $1 AND event_id = ANY ($2::text[])",
                self.inbound.partner, [remembered, event.repairs], answers,
            )  # fmt: skip

    def next_of(
        self,
        waiting: list[tuple[int, Arrived]],
        cursors: dict[str, int],  # noqa: ARG002
    ) -> tuple[int, Arrived] | None:
        """The head: partners' events have no numbers."""
        return waiting[0]

    def is_done(self, event: Arrived, cursors: dict[str, int]) -> bool:  # noqa: ARG002
        """Never known before trying; the permanent table answers then."""
        return False
