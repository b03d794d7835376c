"""Watches the share of dormant cards by which the bank may issue or not.

Each process works the figure out again and again; the database keeps the last one of each day. A
decision reads that one and never counts itself: with millions of cards this takes seconds.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Gauge

from services.review import account_store
from services.review.accounts import DormancyFigure, Standing, standing_of, stop_of
from shared.calendar import business_day
from shared.messaging import Service
from shared.messaging.errors import one_line
from shared.parameters import Dormancy, load_accounts

LOOK_SECONDS = 15.0  # between two countings, at least
_IDLE = 20  # times as long as a counting took nobody counts: it never takes much of the machine

SHARE = Gauge(
    "banka_dormant_card_share",
    "Dormant of issued cards as core banking reported them, 0 to 1; NaN while it is not reported",
)
STOPPED = Gauge(
    "banka_issuing_stopped",
    "1 while no card is issued because too many lie dormant, or because the share is not reported"
    " where the bank wants it known",
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the share of dormant cards stands, for people to see. `stop`: code of why no card is
    issued, None where it is."""

    figure: DormancyFigure | None
    standing: Standing
    stop: str | None
    terms: Dormancy


async def look(conn: Any, now: datetime) -> Outlook:
    """The newest figure against the bank's bound."""
    figure, terms = await account_store.last_figure(conn), load_accounts().dormancy
    today = business_day(now)
    return Outlook(figure, standing_of(figure, terms, today), stop_of(figure, terms, today), terms)


class Issuing:
    """One process's look at the share of dormant cards."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self) -> None:
        """Until cancelled."""
        before: str | None = None
        while True:
            begun = time.monotonic()
            try:
                figure = await self.round()
            except Exception as error:  # noqa: BLE001 - the database is away: others say so
                log.warning("dormant cards not counted", error=one_line(error))
            else:
                standing = standing_of(figure, load_accounts().dormancy, figure.day)
                if standing != before and standing in ("near", "over"):
                    log.warning("many cards lie dormant", state=standing)
                before = standing
            await asyncio.sleep(max(LOOK_SECONDS, _IDLE * (time.monotonic() - begun)))

    async def round(self) -> DormancyFigure:
        """Count once, and keep the figure."""
        terms, now = load_accounts().dormancy, self._service.clock.now()
        async with self._service.pool.acquire() as conn:
            figure = await account_store.count_dormant(conn, terms, business_day(now), now)
            await account_store.keep_figure(conn, figure)
        shown = standing_of(figure, terms, figure.day) != "unreported"
        SHARE.set(float(figure.share) if shown and figure.share is not None else math.nan)
        STOPPED.set(stop_of(figure, terms, figure.day) is not None)
        return figure
