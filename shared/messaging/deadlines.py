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
from shared.messaging.parking import backoff

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
BATCH = 100  # deadlines in one transaction
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


_DUE = """
SELECT subject FROM messaging.deadline
WHERE name = $1 AND at <= $2 AND retry_at <= clock_timestamp() AND attempts < $3
ORDER BY at, subject LIMIT $4
"""

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
        self.state = ""

    async def run(self) -> None:
        """Until cancelled."""
        delay = POLL_SECONDS
        while True:
            try:
                now = self._clock.now()
                worked = 0
                for name in self._handlers:
                    worked += await self._handle_due(name, now)
                self.state = ""
                delay = 0.0 if worked else POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - the database is away: try again later
                self.state = one_line(error)
                delay = min(max(delay, POLL_SECONDS) * 2, 5.0)
            await asyncio.sleep(delay)

    async def _handle_due(self, name: str, now: datetime) -> int:
        due = [row["subject"] for row in await self._pool.fetch(_DUE, name, now, ATTEMPTS, BATCH)]
        if not due:
            return 0
        try:
            await self._handle(name, due, now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            for subject in sorted(due):
                await self._handle_one(name, subject, now)
        self._outbox.wake()
        return len(due)

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
