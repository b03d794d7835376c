"""How long the office bears with senders whose papers take long to open.

A paper opens in a fraction of a second; one that is made to take long takes ten, of the time of
everybody who waits behind it. So what an event takes beyond an honest measure is taken from its
sender, and comes back slowly. Each process of a service counts for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

EACH = 1.0  # seconds that the papers of one event may take and cost nothing
MOST = 20.0  # seconds beyond that, when nothing was taken for long
BACK = 0.1  # seconds that come back with each second


class Patience:
    """Seconds that are left of each sender's."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent: dict[str, tuple[float, float]] = {}  # {sender: (seconds, when)}

    def left(self, sender: str) -> bool:
        """Whether papers of theirs are looked at now."""
        return self._gone(sender) < MOST

    def spend(self, sender: str, seconds: float) -> None:
        """The papers of one event took so long."""
        gone = self._gone(sender) + max(0.0, seconds - EACH)
        self._spent[sender] = (gone, self._now())

    def _gone(self, sender: str) -> float:
        spent, at = self._spent.get(sender, (0.0, 0.0))
        return max(0.0, spent - BACK * (self._now() - at))
