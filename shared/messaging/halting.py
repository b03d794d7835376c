"""A bad build must not park everything: where too many events fail, their consumer stops.

That it stopped stands in the database, so that every process of the service stops with it and none
goes on by being restarted, which is nobody's decision; `redrive.resume_consumer` ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.messaging.errors import Halted, Transient, one_line

_FINE, _TRANSIENT, _FAILED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Recent:
    """How the last events that were tried came out. A value: what is rolled back is not counted.

    window: so many events in a row are looked at. share: if more than this share of them fails, the
    consumer stops; what is `Transient`, which comes right by itself, counts only where nothing
    between was applied. outcomes: oldest first; empty where none of them failed.
    """

    window: int = 20
    share: float = 0.5
    outcomes: tuple[int, ...] = ()

    def succeeded(self, count: int = 1) -> Recent:
        """So many more were applied."""
        if not self.outcomes:
            return self
        found = (self.outcomes + (_FINE,) * min(count, self.window))[-self.window :]
        return replace(self, outcomes=found if any(found) else ())

    def after(self, error: BaseException) -> Recent:
        """One more failed. Raises Halted if it is one too many."""
        mark = _TRANSIENT if isinstance(error, Transient) else _FAILED
        found = (*self.outcomes, mark)[-self.window :]
        if found.count(_FAILED) > self.share * self.window or (
            len(found) == self.window and all(found)
        ):
            raise Halted(
                f"{len(found) - found.count(_FINE)} of the last {len(found)} events failed,"
                f" the last with {one_line(error)}"
            )
        return replace(self, outcomes=found)

    def anew(self) -> Recent:
        """Nothing was tried yet."""
        return replace(self, outcomes=())


async def halt(conn: Any, consumer: str, reason: str) -> None:
    """Keep that the consumer stopped; the first reason stays."""
    await conn.execute(
        "INSERT INTO messaging.halted_consumer (consumer, reason) VALUES ($1, $2)"
        " ON CONFLICT DO NOTHING",
        consumer, reason,
    )  # fmt: skip


async def halted(conn: Any, consumers: Sequence[str]) -> dict[str, str]:
    """{consumer that stopped: why}"""
    rows = await conn.fetch(
        "SELECT consumer, reason FROM messaging.halted_consumer WHERE consumer = ANY ($1::text[])",
        list(consumers),
    )
    return {row["consumer"]: row["reason"] for row in rows}
