"""What an operator means, why it cannot be done, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


class CannotRedrive(ValueError):
    """The request does not fit what is parked now; the message says why, in one line.

    code: for who translates: gone, busy, changed, order, reason or other.
    """

    def __init__(self, words: str, code: str = "other") -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of what waits is meant; what is left out is no matter.

    event_type: of the first failed event; of a call or a deadline its name. text: part of the
    reason, in any case. older, younger: of the time since it began to wait. until: nothing that
    began to wait later, so that a bulk does no more than was looked at. The last four are machine
    time; a deadline's age is business time, and `until` leaves none out.
    """

    consumer: str | None = None
    subject: str | None = None
    event_type: str | None = None
    state: str | None = None
    text: str | None = None
    older: timedelta | None = None
    younger: timedelta | None = None
    until: datetime | None = None

    @property
    def names_something(self) -> bool:
        """False if everything is meant."""
        return any((self.consumer, self.subject, self.event_type, self.state, self.text,
                    self.older, self.younger))  # fmt: skip

    def values(self) -> tuple[Any, ...]:
        """For the queries, in the order of their parameters."""
        return (self.consumer or None, self.subject or None, self.event_type or None,
                self.state or None, self.text or None, self.older, self.younger,
                self.until)  # fmt: skip


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided: action, about what, and why; at: machine time."""

    at: datetime
    who: str
    action: str
    what: str
    why: str


async def list_decisions(conn: Any, *, limit: int = 20) -> list[Decision]:
    """The latest decisions, newest first."""
    rows = await conn.fetch(
        "SELECT at, who, action, what, why FROM messaging.audit ORDER BY id DESC LIMIT $1", limit
    )
    return [Decision(*row) for row in rows]


async def audit(conn: Any, who: str, action: str, what: str, why: str) -> None:
    await conn.execute(
        "INSERT INTO messaging.audit (who, action, what, why) VALUES ($1, $2, $3, $4)",
        who, action, what, why,
    )  # fmt: skip
