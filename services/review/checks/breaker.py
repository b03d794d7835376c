"""Whether one of the bank's systems is asked just now (circuit breaker), as one process sees it.

Business time counts, as for the cases that wait: none of the libraries for this takes a clock, and
a pause by the machine's would make a stepped day come out differently each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import Gauge

from shared.parameters import load_checks

AWAY = Gauge(
    "banka_system_away",
    "1 while a system that review asks counts as away and its cases wait, as this process sees it",
    ["check"],
)


class Breaker:
    """After `failures` questions in a row without an answer (`checks.yaml`, outage) the system is
    away: nobody is asked for `ask_again_minutes`, then one question tells for all.

    away_since: when the first of those questions failed; None while the system answers.
    """

    def __init__(self, check: str, now: Callable[[], datetime]) -> None:
        self.away_since: datetime | None = None
        self._now = now
        self._failures = 0
        self._first_failure: datetime | None = None
        self._ask_at: datetime | None = None  # while away
        self._trial: asyncio.Event | None = None  # the one question, until it has told
        self._metric = AWAY.labels(check)
        self._metric.set(0)

    async def may_ask(self) -> bool:
        """Whether to ask now; waits where another question is about to tell. Whoever may has to say
        what came of it: `answered` or `failed`."""
        while self.away_since is not None:
            if self._trial is None:
                assert self._ask_at is not None
                if self._now() < self._ask_at:
                    return False
                self._trial = asyncio.Event()
                return True
            await self._trial.wait()
        return True

    def answered(self) -> None:
        """The system answered, whatever it said."""
        self._failures, self._first_failure = 0, None
        self.away_since = self._ask_at = None
        self._told()

    def failed(self) -> bool:
        """No answer came. True: the system counts as away, asking again at once is useless."""
        now, terms = self._now(), load_checks().outage
        self._failures += 1
        self._first_failure = self._first_failure or now
        if self._failures >= terms.failures:
            self.away_since = self._first_failure
            self._ask_at = now + timedelta(minutes=terms.ask_again_minutes)
        self._told()
        return self.away_since is not None

    def _told(self) -> None:
        self._metric.set(self.away_since is not None)
        if self._trial is not None:
            self._trial.set()
            self._trial = None
