"""Kernels that are broken on purpose, each in one way that has been seen in the field, to show that
the checker would notice. They are broken in the processes of one office only.

Where the kernel has two guards against one mistake, both are taken away: one alone keeps the
promise, and there is nothing to notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.messaging import calls, inbox, relay
from shared.messaging.calls import ClaimedCall, WorkerLoop
from shared.messaging.inbox import Inbox
from shared.messaging.parking import Arrived, Parked
from shared.messaging.relay import Relay
from shared.messaging.service import Service
from shared.messaging.subscribe import Subscription


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One way to break the kernel. words: what is wrong with it; fault: under which it shows;
    letters: promises of which at least one is then seen to be broken."""

    words: str
    fault: str
    letters: str
    break_it: Callable[[], None]


def _acknowledge_first() -> None:
    execute = Service.execute

    async def early(self: Service, store: Any, subject: str, decide: Any, **more: Any) -> Any:
        decided = asyncio.Event()

        def telling(state: Any, now: Any) -> Any:
            effects = list(decide(state, now))
            asyncio.get_running_loop().call_soon(decided.set)
            return effects

        done = asyncio.create_task(execute(self, store, subject, telling, **more))
        first = asyncio.create_task(decided.wait())
        await asyncio.wait((done, first), return_when=asyncio.FIRST_COMPLETED)
        return await done if done.done() else None

    Service.execute = early  # type: ignore[method-assign]


def _relay_by_cursor() -> None:
    record = Relay._record
    newest: dict[tuple[str, int], int] = {}

    def by_cursor(self: Relay, row: Any) -> Any:
        place = (row["topic"], row["part"])
        if row["position"] <= newest.get(place, 0):
            self._held_back.add(row["position"])
            return None
        newest[place] = row["position"]
        return record(self, row)

    Relay._record = by_cursor  # type: ignore[method-assign]
    Relay._release = lambda self: None  # type: ignore[method-assign]


def _by_transaction_id() -> None:
    relay._READ = relay._READ.replace(
        "JOIN messaging.event_log l USING (position) ORDER BY l.position",
        "JOIN messaging.event_log l USING (position)"
        " ORDER BY l.xmin::text::bigint, l.position DESC",
    )


def _offset_first() -> None:
    async def apply(
        self: Subscription, events: Sequence[Arrived], killer: int | None = None
    ) -> set[int]:
        ends = {event.part: event.offset + 1 for event in events}
        async with self._pool.acquire() as conn, conn.transaction():
            owned = await self._claim(conn, ends, events)
        async with self._pool.acquire() as conn, conn.transaction():
            mine = [event for event in events if event.part in owned]
            if mine:
                await self.reader.apply(conn, mine, self._clock.now(), killer)
        for part in owned & self.positions.keys():
            self.positions[part].next = ends[part]
        self._wake()
        return owned

    Subscription._apply = apply  # type: ignore[method-assign]


_MOVE_ANYHOW = """
WITH moved AS (
    INSERT INTO messaging.cursor AS c (consumer, topic, subject, source, sequence, event_id)
    SELECT $1, $2, subject, source, sequence, event_id
    FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[])
        AS m (subject, source, sequence, event_id)
    WHERE $7::bigint[] IS NOT NULL
    ON CONFLICT (consumer, topic, subject, source) DO UPDATE
        SET sequence = greatest(c.sequence, excluded.sequence)
    RETURNING 1
)
SELECT count(*) FROM moved
"""


def _no_deduplication() -> None:
    plan = Inbox._plan
    inbox._MOVE = _MOVE_ANYHOW

    def careless(
        self: Inbox, events: Sequence[Arrived], blocked: Any, cursors: Any, killer: Any
    ) -> Any:
        """A plan made with cursors that lie: the first of a subject seems to be the next."""
        told = dict(cursors)
        seen: set[tuple[str, str]] = set()
        for event in events:
            key = (event.subject, event.source)
            if event.sequence is None or key in seen:
                continue
            seen.add(key)
            if event.sequence <= told.get(key, (0, ""))[0]:
                told[key] = (event.sequence - 1, "")
        return plan(self, events, blocked, told, killer)

    Inbox._plan = careless  # type: ignore[method-assign]


def _no_gaps() -> None:
    plan = Inbox._plan
    inbox._MOVE = _MOVE_ANYHOW

    def careless(
        self: Inbox, events: Sequence[Arrived], blocked: Any, cursors: Any, killer: Any
    ) -> Any:
        planned = plan(self, events, blocked, cursors, killer)
        open_ = {parked.event.subject for parked in planned.park if parked.state == "gap"}
        for parked in planned.park:
            if parked.event.subject in open_:
                planned.apply.setdefault(parked.event.subject, []).append(parked.event)
        planned.park = [one for one in planned.park if one.event.subject not in open_]
        for subject in open_:
            del blocked[subject]
        return planned

    Inbox._plan = careless  # type: ignore[method-assign]


def _relays_without_lock() -> None:
    async def take_all(self: Relay) -> None:
        self._held.update(range(relay.SHARDS))

    Relay._take_free_shards = take_all  # type: ignore[method-assign]


def _retry_later() -> None:
    inbox._MOVE = _MOVE_ANYHOW

    async def reordering(
        self: Inbox, conn: Any, events: Sequence[Arrived], now: Any
    ) -> list[Parked]:
        failed = []
        for event in events:
            try:
                async with conn.transaction():
                    await self.apply_one(conn, event, now)
            except Exception:  # noqa: BLE001 - sabotage: the next one goes first
                failed.append(Parked(event, "retry", "later", 1))
        return failed

    Inbox._apply_singly = reordering  # type: ignore[method-assign]


def _swallow_bad_headers() -> None:
    apply = Inbox.apply

    async def swallowing(
        self: Inbox, conn: Any, events: Sequence[Arrived], *rest: Any, **more: Any
    ) -> bool:
        good = [event for event in events if event.envelope is not None]
        return bool(good) and await apply(self, conn, good, *rest, **more)

    Inbox.apply = swallowing  # type: ignore[method-assign]


def _commit_what_was_revoked() -> None:
    async def claim(
        self: Subscription,
        conn: Any,
        ends: dict[int, int],
        events: Any,
    ) -> set[int]:
        await conn.execute(
            "UPDATE messaging.consumer_offset o SET next = p.next"
            " FROM unnest($3::int[], $4::bigint[]) AS p (part, next)"
            " WHERE o.consumer = $1 AND o.topic = $2 AND o.part = p.part",
            self.reader.name, self.reader.topic, list(ends), list(ends.values()),
        )  # fmt: skip
        return set(ends)

    Subscription._claim = claim  # type: ignore[method-assign]
    _no_deduplication()


def _delete_first() -> None:
    rounds = Relay._round

    async def round_(self: Relay) -> int:
        if self._held:
            rows = await self._conn.fetch(
                relay._READ, relay.SHARDS, list(self._held), relay.ROUND, [], [], []
            )
            await self._delete([row["position"] for row in rows])
            kept, self._conn = self._conn, _Remembering(self._conn, rows)
            try:
                return await rounds(self)
            finally:
                self._conn = kept
        return 0

    async def trusting(self: Relay, conn: Any, shards: Any) -> None:
        return None

    Relay._round = round_  # type: ignore[method-assign]
    Relay._compare_tails = trusting  # type: ignore[method-assign]


class _Remembering:
    """A connection that gives the rows which were read before they were deleted."""

    def __init__(self, conn: Any, rows: list[Any]) -> None:
        self._conn = conn
        self._rows = rows

    async def fetch(self, *_: Any) -> list[Any]:
        return self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


def _park_everybody() -> None:
    plan = Inbox._plan

    def panicking(
        self: Inbox, events: Sequence[Arrived], blocked: Any, cursors: Any, killer: Any
    ) -> Any:
        made = plan(self, events, blocked, cursors, killer)
        if "parked" in blocked.values():
            for own in made.apply.values():
                made.park += [Parked(event, "parked", "another's failure", 1) for event in own]
            made.apply.clear()
        return made

    Inbox._plan = panicking  # type: ignore[method-assign]


def _result_without_lease() -> None:
    calls._FINISH = """
UPDATE messaging.call c SET state = 'done', done_at = now(), lease_owner = NULL, error = NULL
WHERE c.id = ANY ($2::bigint[]) AND $1::uuid IS NOT NULL AND $3::int[] IS NOT NULL RETURNING c.id
"""


def _a_key_per_attempt() -> None:
    make = WorkerLoop._make

    async def anew(self: WorkerLoop, call: ClaimedCall) -> Any:
        return await make(self, replace(call, key=f"{call.key}/{call.attempt}"))

    WorkerLoop._make = anew  # type: ignore[method-assign]


BROKEN: dict[str, Sabotage] = {
    "acknowledge-first": Sabotage(
        "a command is acknowledged before it is committed",
        "intake killed before COMMIT", "A", _acknowledge_first,
    ),
    "relay-by-cursor": Sabotage(
        "the relay reads on from the last id that it saw",
        "killed again and again", "BDHL", _relay_by_cursor,
    ),
    "by-transaction-id": Sabotage(
        "the relay publishes in the order of transaction ids",
        "broker frozen", "DEG", _by_transaction_id,
    ),
    "offset-first": Sabotage(
        "the offset is stored before the effects",
        "consumer killed in mid-transaction", "HKLM", _offset_first,
    ),
    "no-deduplication": Sabotage(
        "what was applied is applied again",
        "every event three times", "FGJ", _no_deduplication,
    ),
    "no-gaps": Sabotage(
        "what arrives is applied, whatever is missing before it",
        "an event is missing on arrival", "GHM", _no_gaps,
    ),
    "relays-without-lock": Sabotage(
        "every relay publishes everything",
        "relay frozen beyond its lock", "O", _relays_without_lock,
    ),
    "retry-later": Sabotage(
        "what failed is tried again later, and its followers go first",
        "a third fails at first", "GHIM", _retry_later,
    ),
    "swallow-bad-headers": Sabotage(
        "a record whose headers cannot be read is passed over in silence",
        "odd records", "H", _swallow_bad_headers,
    ),
    "commit-what-was-revoked": Sabotage(
        "who lost a partition goes on, and trusts its own memory of what was applied",
        "consumer frozen beyond its session", "FGJM", _commit_what_was_revoked,
    ),
    "delete-first": Sabotage(
        "an outbox row is deleted before the broker has it, and nobody compares afterwards",
        "intake killed after COMMIT", "BL", _delete_first,
    ),
    "park-everybody": Sabotage(
        "one application's failure makes all others wait",
        "poison, mended", "I", _park_everybody,
    ),
    "result-without-lease": Sabotage(
        "a worker writes a call's result, although its lease is another's by now",
        "notify stalled from the database", "F", _result_without_lease,
    ),
    "a-key-per-attempt": Sabotage(
        "a call that is tried again goes out under a new idempotency key",
        "a third fails at first", "F", _a_key_per_attempt,
    ),
}  # fmt: skip
"""{name: the sabotage}"""
