"""Consumers that stopped because too many events failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.redrive.selection import CannotRedrive, audit


@dataclass(frozen=True, slots=True)
class HaltedConsumer:
    """A consumer that stopped because too many events failed; since: machine time."""

    consumer: str
    reason: str
    since: datetime


async def list_halted(conn: Any) -> list[HaltedConsumer]:
    """Consumers that wait to be resumed, the longest first."""
    rows = await conn.fetch(
        "SELECT consumer, reason, halted_at FROM messaging.halted_consumer ORDER BY halted_at"
    )
    return [HaltedConsumer(*row) for row in rows]


async def resume_consumer(conn: Any, consumer: str, *, who: str, why: str) -> None:
    """Have every process of the service go on with it, from where it stopped.

    What was parked before it stopped stays parked. Raises CannotRedrive if it has not stopped.
    """
    async with conn.transaction():
        reason = await conn.fetchval(
            "DELETE FROM messaging.halted_consumer WHERE consumer = $1 RETURNING reason", consumer
        )
        if reason is None:
            raise CannotRedrive(f"{consumer} has not stopped", "gone")
        await audit(conn, who, "resume", f"{consumer} {reason}", why)
