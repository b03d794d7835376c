"""Events from partners: no unbroken sequence, no trust, an answer to every one.

A topic per partner; `source` must be
`/partners/<partner>`; one permanent row per (partner, event id)
with a digest of the body: the same body again gets the same answer, another body is rejected.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
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


_Known = dict[str, tuple[str, list[int]]]

_MOST = 100  # problems in one answer
_FIELD = 200  # characters of a field's name in it
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_KNOWN = """
SELECT event_id, digest, answers FROM messaging.inbound_event
WHERE partner = $1 AND event_id = ANY ($2::text[])
"""

_REMEMBER = """
INSERT INTO messaging.inbound_event (partner, event_id, digest, answers)
SELECT $1, event_id, digest, answers::bigint[]
FROM unnest($2::text[], $3::text[], $4::text[]) AS m (event_id, digest, answers)
"""

# the partner's own event, which a repaired one answers as well
_ANSWERED_BY_REPAIR = """
UPDATE messaging.inbound_event i SET answers = r.answers::bigint[]
FROM unnest($2::text[], $3::text[]) AS r (event_id, answers)
WHERE i.partner = $1 AND i.event_id = r.event_id AND i.event_id = ANY ($2)
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


def _array(positions: Sequence[int]) -> str:
    """As PostgreSQL reads an array: one array of arrays of several lengths there is not."""
    return "{" + ",".join(map(str, positions)) + "}"


def _sayable(codes: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Problems as they fit into an answer: fields that a partner invented may have any name, and
    there may be any number of them."""
    said = [(_UNSTORABLE.sub("?", field)[:_FIELD], code[:_FIELD]) for field, code in codes[:_MOST]]
    if len(codes) > _MOST:
        said.append(("body", "MORE_PROBLEMS"))
    return tuple(said)


@dataclass(slots=True)
class _Outcome:
    """What an event came to, to be written: its effects and, if it has an id that can be
    remembered, the digest to know it by. again: positions of the answers that it had before."""

    event: Arrived
    effects: list[Effect] = field(default_factory=list)
    digest: str | None = None
    again: Sequence[int] = ()


class Gate:
    """Handles a partner's events one by one, each in a savepoint, and writes what they come to
    together; a bad one stops nobody else."""

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
        carefully: bool = True,
    ) -> bool:
        """Answer every event; park (and block its key) only where our own code fails.

        carefully: False writes what all of them come to together; should that fail, the
        transaction is lost, and it is to be done again carefully.
        """
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
            await self._answer_all(conn, events, blocked, now, killer, carefully=carefully)
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
        *,
        carefully: bool,
    ) -> None:
        known = await self._known(conn, events)
        unwritten: dict[str, _Outcome] = {}
        for event in events:
            if event.subject in blocked:
                await park(conn, self.name, [Parked(event, "", "")])
                continue
            try:
                if event.offset == killer:
                    raise Permanent(KILLED)
                if carefully:
                    async with conn.transaction():
                        await self.apply_one(conn, event, now)
                else:
                    if event.event_id in unwritten:  # the same one twice in a poll
                        await self._write(conn, unwritten.values(), now)
                        known |= await self._known(conn, events)
                        unwritten.clear()
                    place = event.event_id or f"{event.part}/{event.offset}"
                    unwritten[place] = await self._answer(conn, event, known, now)
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
        await self._write(conn, unwritten.values(), now)

    async def _known(self, conn: Connection, events: Iterable[Arrived]) -> _Known:
        """What was answered before: {event id: (digest, positions of the answers)}."""
        ids = [event.event_id for event in events if event.envelope is not None]
        rows = await conn.fetch(_KNOWN, self.inbound.partner, ids)
        return {row["event_id"]: (row["digest"], row["answers"]) for row in rows}

    async def apply_one(self, conn: Connection, event: Arrived, now: datetime) -> None:
        """Deduplicate, handle, answer."""
        outcome = await self._answer(conn, event, await self._known(conn, [event]), now)
        await self._write(conn, [outcome], now)

    async def _answer(
        self, conn: Connection, event: Arrived, known: _Known, now: datetime
    ) -> _Outcome:
        """Handle the event in a savepoint; raises what is our own failure."""
        if event.envelope is None:
            # no id to remember it by: its place on the topic and the stored offset must do
            code = event.problem.partition(":")[0]
            return self._refused(event, now, (("envelope", code),), None)
        digest = hashlib.sha256(event.body).hexdigest()
        if event.event_id in known:
            metrics.EVENTS.labels(self.name, "duplicate").inc()
            before, answers = known[event.event_id]
            if before == digest:
                return _Outcome(event, again=answers)
            return self._refused(event, now, (("id", "SAME_ID_OTHER_BODY"),), None)
        if event.left_out:
            return self._refused(event, now, (("", "LEFT_OUT"),), digest)
        if not event.repairs and event.envelope.source != f"/partners/{self.inbound.partner}":
            return self._refused(event, now, (("source", "WRONG_SOURCE"),), digest)
        if event.renamed:
            return self._refused(event, now, (("key", "KEY_UNREADABLE"),), digest)
        try:
            received = self._received(event, digest)
            async with conn.transaction():
                effects = list(await self.inbound.handle(conn, received, now))
        except Rejected as refusal:
            return self._refused(event, now, tuple(refusal.problems), digest)
        except ValidationError as error:
            found = tuple(
                (".".join(map(str, item["loc"])) or "body", item["type"])
                for item in error.errors(include_input=False, include_url=False)
            )
            return self._refused(event, now, found, digest)
        return _Outcome(event, effects, digest)

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

    def _refused(
        self,
        event: Arrived,
        now: datetime,
        codes: tuple[tuple[str, str], ...],
        digest: str | None,
    ) -> _Outcome:
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
        return _Outcome(event, list(self.inbound.reject(problem, now)), digest)

    async def _write(self, conn: Connection, outcomes: Iterable[_Outcome], now: datetime) -> None:
        """What events came to, in their order, and what they are to be known by."""
        outcomes = list(outcomes)
        whose: dict[int, _Outcome] = {}
        wanted: list[Wanted] = []
        for outcome in outcomes:
            subject = _key(outcome.event) or f"{self.inbound.partner}:unreadable"
            cause = self._cause(outcome.event)
            for effect in outcome.effects:
                wanted.append(Wanted(effect, subject, cause))
                whose[id(wanted[-1])] = outcome
        answers: dict[int, list[int]] = defaultdict(list)
        outbound = f"banka.outbound.{self.inbound.partner}"
        for item, position in await self._outbox.write(conn, wanted, now):
            if isinstance(item.effect, Fact) and outbound == (
                item.effect.topic or item.effect.data.topic
            ):
                answers[id(whose[id(item)])].append(position)
        known = [
            (outcome.event, outcome.digest, _array(answers[id(outcome)]))
            for outcome in outcomes
            if outcome.digest is not None
        ]
        if known:
            await conn.execute(
                _REMEMBER,
                self.inbound.partner,
                [event.event_id for event, _, _ in known],
                [digest for _, digest, _ in known],
                [positions for _, _, positions in known],
            )
        repaired = [(event.repairs, positions) for event, _, positions in known if event.repairs]
        if repaired:
            await conn.execute(
                _ANSWERED_BY_REPAIR, self.inbound.partner,
                [event for event, _ in repaired], [positions for _, positions in repaired],
            )  # fmt: skip
        again = [position for outcome in outcomes for position in outcome.again]
        if again:
            await conn.execute(_ANSWER_AGAIN, again)

    def _cause(self, event: Arrived) -> Cause:
        envelope = event.envelope
        return Cause(
            envelope.id if envelope else None,
            (envelope.correlation_id or envelope.id) if envelope else None,
            envelope.traceparent if envelope else None,
            # live, whatever the partner says: `imported` silences all messages and alarms
            actor=f"partner:{self.inbound.partner}",
        )

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
