"""Deadlines in business time: come back to a subject, look at its state, decide then."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from shared.messaging import metrics
from shared.messaging.effects import DeadlineHandler, Store
from shared.messaging.errors import is_infrastructure, one_line
from shared.messaging.outbox import Cause, Outbox, Wanted
from shared.messaging.parking import backoff, come
from shared.messaging.waking import woken

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
BATCH = 100  # deadlines in one round
ATTEMPTS = 5  # tries before a failing deadline waits for an operator


@dataclass(slots=True, kw_only=True)
class Deadlines:
    """The deadlines that one store's subjects may have.

    handlers: {deadline name: handler(state, now) -> effects}. A deadline is not a verdict: the
    handler looks at the state and may find that nothing is to be done. Names are unique in a
    service.
    """

    store: Store[Any]
    handlers: Mapping[str, DeadlineHandler]


_DUE = f"""
SELECT name, array_agg(subject ORDER BY subject) AS subjects
FROM (
    SELECT name, subject FROM messaging.deadline
    WHERE name = ANY ($1::text[]) AND at <= $2 AND {come("retry_at")} AND attempts < $3
    ORDER BY at, subject LIMIT $4
) due
GROUP BY name ORDER BY name
"""  # noqa: S608 - constants of ours

_TAKE = """
DELETE FROM messaging.deadline WHERE name = $1 AND subject = ANY ($2::text[]) AND at <= $3
RETURNING subject, cause
"""

_FAILED = """
UPDATE messaging.deadline
SET attempts = attempts + 1, error = $3,
    retry_at = clock_timestamp() + make_interval(secs => $4)
WHERE name = $1 AND subject = $2
"""


class DeadlineLoop:
    """Hands due deadlines to their handlers; with several processes each is handled once."""

    def __init__(
        self, deadlines: Sequence[Deadlines], pool: Any, outbox: Outbox, clock: Any
    ) -> None:
        self._handlers = {
            name: (item.store, handler)
            for item in deadlines
            for name, handler in item.handlers.items()
        }
        self._pool = pool
        self._outbox = outbox
        self._clock = clock
        self._wake = asyncio.Event()
        self.state = ""

    def wake(self) -> None:
        """Something may have fallen due: called when a stepped clock was moved."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        delay = POLL_SECONDS
        while True:
            self._wake.clear()
            try:
                worked = await self._handle_due(self._clock.now())
                self.state = ""
                delay = 0.0 if worked else POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - the database is away: try again later
                self.state = one_line(error)
                delay = min(max(delay, POLL_SECONDS) * 2, 5.0)
            await woken(self._wake, delay)

    async def _handle_due(self, now: datetime) -> bool:
        self._outbox.check()
        due = await self._pool.fetch(_DUE, list(self._handlers), now, ATTEMPTS, BATCH)
        for row in due:
            name, subjects = row["name"], row["subjects"]
            try:
                await self._handle(name, subjects, now)
            except Exception as error:
                if is_infrastructure(error):
                    raise
                for subject in subjects:
                    await self._handle_one(name, subject, now)
            self._outbox.wake(None)
        return bool(due)

    async def _handle_one(self, name: str, subject: str, now: datetime) -> None:
        try:
            await self._handle(name, [subject], now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            metrics.DEADLINES.labels(name, "failed").inc()
            log.error("deadline failed", deadline=name, subject=subject, error=one_line(error))
            attempts = await self._pool.fetchval(
                "SELECT attempts FROM messaging.deadline WHERE name = $1 AND subject = $2",
                name, subject,
            )  # fmt: skip
            await self._pool.execute(
                _FAILED, name, subject, one_line(error), backoff((attempts or 0) + 1)
            )

    async def _handle(self, name: str, subjects: Sequence[str], now: datetime) -> None:
        store, handler = self._handlers[name]
        async with self._pool.acquire() as conn, conn.transaction():
            # the subjects first: the order in which everybody locks
            states = await store.load(conn, sorted(subjects))
            taken = await conn.fetch(_TAKE, name, list(subjects), now)
            wanted = []
            for row in sorted(taken, key=lambda row: row["subject"]):
                subject = row["subject"]
                cause = Cause.from_json(row["cause"])
                for effect in handler(states[subject], now):
                    wanted.append(Wanted(effect, subject, cause))
            await store.save(conn, [states[row["subject"]] for row in taken])
            await self._outbox.write(conn, wanted, now)
        metrics.DEADLINES.labels(name, "handled").inc(len(taken))
