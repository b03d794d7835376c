"""Applies the policy again to whoever it could not be applied to, once another version decides.

Each process looks for itself, and begins with a look: the release that it runs may be the one that
mends the fault. Meanwhile such cases show among those that wait, and people may ask again.
"""

from __future__ import annotations

import asyncio

import structlog

from services.review import examination, store
from services.review.case import Case
from services.review.policy_store import PolicyShelf
from shared.messaging import Service, Store
from shared.messaging.errors import one_line

LOOK_SECONDS = 15.0  # between two looks at the policy that decides
_ROUNDS = 2  # a version that was just being applied may still fail after the first

log = structlog.get_logger(__name__)


class Weighing:
    """One process's look at the cases that no policy was applied to."""

    def __init__(self, service: Service, cases: Store[Case], shelf: PolicyShelf) -> None:
        self._service = service
        self._cases = cases
        self._shelf = shelf

    async def run(self) -> None:
        """Until cancelled."""
        tried: str | None = None
        rounds = 0
        while True:
            try:
                decides = await self._decides()
                if decides != tried:
                    tried, rounds = decides, _ROUNDS
                if rounds:
                    again = await self.round()
                    if again:
                        log.info("policy applied again", count=again)
                    rounds -= 1
            except Exception as error:  # noqa: BLE001 - the database or the archive: others say so
                tried = None  # once it is mended, whatever failed by it is tried again
                log.warning("policy not applied again yet", error=one_line(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def round(self) -> int:
        """Have the policy applied to everybody who waits for that; says to how many."""
        after, again = "", 0
        while True:
            async with self._service.pool.acquire() as conn:
                found = await store.unweighed(conn, examination.MOST_SCORINGS, after)
            for application_id in found:
                case = await self._service.execute(
                    self._cases, application_id, examination.weigh_again
                )
                again += bool(case.entries)
            if not found:
                return again
            after = found[-1]

    async def _decides(self) -> str:
        """The digest of the policy that decides now."""
        async with self._service.pool.acquire() as conn:
            live, _shadows = await self._shelf.deciding(conn, self._service.clock.now())
            return live.digest
