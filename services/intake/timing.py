"""Deadlines of steps that a service of the release before began, which counted none, and of those
whose product was not held: they are counted as soon as they can be, and the customer is reminded
before their end like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from services.intake import store
from services.intake.application import (
    ACTIVATION_REMINDER,
    DRAFT_REMINDER,
    late_reminder,
    step_due,
)
from services.intake.store import ApplicationStore
from shared.messaging import Service
from shared.messaging.errors import one_line

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 600
AT_ONCE = 200


class Timing:
    """Counts deadlines that are missing."""

    def __init__(self, service: Callable[[], Service]) -> None:
        self._of = service
        self._store = ApplicationStore()

    async def sweep(self) -> int:
        """Count all that can be counted now; how many were."""
        counted, last = 0, ""
        while True:
            async with self._of().transaction(actor="intake") as tx:
                ids = await store.untimed(tx.conn, after=last, limit=AT_ONCE)
                if not ids:
                    break
                apps = list((await self._store.load(tx.conn, ids)).values())
                names = (DRAFT_REMINDER, ACTIVATION_REMINDER)
                unreminded = await store.unreminded(tx.conn, ids, names)
                for app in apps:
                    app.due_at = step_due(app)
                    counted += app.due_at is not None
                    if app.application_id in unreminded:
                        reminders = late_reminder(app, tx.now)
                        await tx.append(reminders, subject=app.application_id)
                await self._store.save(tx.conn, apps)
                last = ids[-1]
        if counted:
            log.info("deadlines counted", count=counted)
        return counted

    async def sweeping(self) -> None:
        """Sweep from time to time, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 - something is away: the next round does it
                log.warning("deadlines were not counted", error=one_line(error))
            await asyncio.sleep(SWEEP_SECONDS)
