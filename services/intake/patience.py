"""How long the office bears with senders whose papers take long to open.

A paper opens in a fraction of a second; one that is made to take long takes ten, of the time of
everybody who waits behind it. So what an event takes beyond an honest measure is taken from its
sender, and comes back slowly. Each process of a service counts for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.parameters import load_papers


class Patience:
    """Seconds that are left of each sender's."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent: dict[str, tuple[float, float]] = {}  # {sender: (seconds, when)}

    def left(self, sender: str) -> bool:
        """Whether papers of theirs are looked at now."""
        return self._gone(sender) < load_papers().patience.most

    def spend(self, sender: str, seconds: float) -> None:
        """The papers of one event took so long."""
        gone = self._gone(sender) + max(0.0, seconds - load_papers().patience.each)
        self._spent[sender] = (gone, self._now())

    def _gone(self, sender: str) -> float:
        spent, at = self._spent.get(sender, (0.0, 0.0))
        return max(0.0, spent - load_papers().patience.back * (self._now() - at))
