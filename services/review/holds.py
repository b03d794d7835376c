"""A hold: a case rests while compliance looks into it. Why is chosen from a catalogue and known to
compliance alone (反洗钱法 35): outside it every hold is `internal`.

Pure. What is decided about a held case is in `case`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.calendar import due_about
from shared.parameters import load_clocks

HOLD_DEADLINE = "hold"
BY_ITSELF = "review"  # who held a case that nobody of the staff did


class HoldReason(StrEnum):
    """Why a case is held. The first two are review's own, the others an officer's to choose."""

    WATCHLIST = "watchlist"
    FRAUD_RULE = "fraud-rule"
    IDENTITY_MISUSED = "identity-misused"
    PAPERS_FORGED = "papers-forged"
    ORGANISED_FRAUD = "organised-fraud"
    MULE_ACCOUNT = "mule-account"
    OTHER = "other"


BY_OFFICERS: Sequence[HoldReason] = tuple(
    one for one in HoldReason if one not in (HoldReason.WATCHLIST, HoldReason.FRAUD_RULE)
)
"""What an officer may hold a case for."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The last hold of a case. `by`: staff id, or BY_ITSELF; `due`: when compliance has to have
    said what it found (UTC); `screening`: the request by which the watchlists were asked last, when
    it began."""

    reason: HoldReason
    by: str
    at: datetime
    due: datetime
    screening: str | None = None


def begin(reason: HoldReason, by: str, now: datetime) -> Hold:
    """A hold that begins now, with its own clock."""
    return Hold(reason, by, now, due_about(now, load_clocks().hold_working_days))
