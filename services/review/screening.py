"""Screens whoever is open again when a list has changed: the bank's own list of names, or one of
the screening system's, as that tells.

Each process looks for itself: once it has taken another list, or finds in the database that one has
changed, and for a minute more, because another process may still have searched the old one
meanwhile. What is on its way is looked at when it comes back (`examination.end`).
"""

from __future__ import annotations

import asyncio
import time

import structlog

from services.review import examination, store, watchlist_store
from services.review.case import Case
from services.review.watchlists import Lists
from shared.messaging import Service, Store
from shared.messaging.errors import one_line
from shared.parameters import load_internal_list

LOOK_SECONDS = 5.0  # between two looks at the lists
AGAIN_SECONDS = 20.0  # between two rounds after a change
SETTLED_SECONDS = 60.0  # after which every process has taken the list

log = structlog.get_logger(__name__)


class Screening:
    """One process's look at who was screened with other lists."""

    def __init__(self, service: Service, cases: Store[Case]) -> None:
        self._service = service
        self._cases = cases

    async def run(self) -> None:
        """Until cancelled."""
        settled: tuple[str, Lists] | None = None
        taken: tuple[str, Lists] | None = None
        since = time.monotonic()
        while True:
            begun = time.monotonic()
            try:
                found = await self._lists()
                if found != taken:
                    taken, since = found, begun
                if found == settled:
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                asked = await self.round()
            except Exception as error:  # noqa: BLE001 - the database is away: others say so
                log.warning("not screened again yet", error=one_line(error))
            else:
                if asked:
                    log.info("screened again", count=asked)
                if begun - since >= SETTLED_SECONDS:
                    settled = found
            await asyncio.sleep(AGAIN_SECONDS)

    async def round(self) -> int:
        """Ask about everybody open who was screened with other lists; says about how many."""
        (mark, lists), after, asked = await self._lists(), "", 0
        while True:
            async with self._service.pool.acquire() as conn:
                outdated = await store.screened_otherwise(conn, mark, lists, after)
            for application_id in outdated:
                case = await self._service.execute(
                    self._cases, application_id, examination.screen_again
                )
                asked += bool(case.entries)
            if not outdated:
                return asked
            after = outdated[-1]

    async def _lists(self) -> tuple[str, Lists]:
        """The bank's own list by its mark, and what is known of the screening system's."""
        async with self._service.pool.acquire() as conn:
            return load_internal_list().mark, await watchlist_store.lists(conn)
