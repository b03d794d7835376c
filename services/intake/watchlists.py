"""What the bank's screening system says of its lists: that one has changed, not what is in it.

Each statement is passed on; which of them counts is for whoever screens to say, so that they may
come late, twice and out of order. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.intake.account_facts import Problem
from shared.clock import CLOCKS_APART
from shared.events import intake
from shared.events.partners import PartnerWatchlistChanged


def faults(statement: PartnerWatchlistChanged, now: datetime) -> Iterator[Problem]:
    """What cannot be true. A change that is still to come would keep the office from hearing of
    every one before it."""
    if statement.changed_at > now + CLOCKS_APART:
        yield "TIME_IN_FUTURE", ("changed_at",)


def published(statement: PartnerWatchlistChanged) -> intake.WatchlistChanged:
    """What the office is told."""
    return intake.WatchlistChanged(
        list_name=statement.reference,
        version=statement.version,
        changed_at=statement.changed_at,
    )
