"""Screens whoever is open again when the bank's own list of names has changed.

Each process looks for itself: once it has taken another list, and for a minute more, because
another one may still have searched the old one meanwhile. What is on its way is looked at when it
comes back (`examination.end`).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from services.review import examination, store
from services.review.case import Case
from shared.messaging import Service, Store
from shared.messaging.errors import one_line
from shared.parameters import load_internal_list

LOOK_SECONDS = 5.0  # between two looks at the list
AGAIN_SECONDS = 20.0  # between two rounds after a change
SETTLED_SECONDS = 60.0  # after which every process has taken the list

log = structlog.get_logger(__name__)


class Screening:
    """One process's look at who was screened with another list."""

    def __init__(self, service: Service, cases: Store[Case]) -> None:
        self._service = service
        self._cases = cases

    async def run(self) -> None:
        """Until cancelled."""
        settled: str | None = None
        taken, since = load_internal_list().mark, time.monotonic()
        while True:
            mark = load_internal_list().mark
            if mark != taken:
                taken, since = mark, time.monotonic()
            if mark == settled:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            begun = time.monotonic()
            try:
                asked = await self.round()
            except Exception as error:  # noqa: BLE001 - the database is away: others say so
                log.warning("not screened again yet", error=one_line(error))
            else:
                if asked:
                    log.info("screened again", count=asked)
                if begun - since >= SETTLED_SECONDS:
                    settled = mark
            await asyncio.sleep(AGAIN_SECONDS)

    async def round(self) -> int:
        """Ask about everybody open who was screened with another list; says about how many."""
        mark, after, asked = load_internal_list().mark, "", 0
        while True:
            async with self._service.pool.acquire() as conn:
                outdated = await store.screened_otherwise(conn, mark, after)
            for application_id in outdated:
                case = await self._service.execute(
                    self._cases, application_id, examination.screen_again
                )
                asked += bool(case.entries)
            if not outdated:
                return asked
            after = outdated[-1]
