"""Many at once: selected, looked at, then one by one at a bounded rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.redrive.failed import FailedWork, list_failed, retry_failed
from shared.redrive.parked import ParkedKey, list_parked, retry_parked, skip_parked
from shared.redrive.selection import CannotRedrive, Selection

MOST = 5_000  # of one bulk
PER_SECOND = 20.0  # of one bulk, unless somebody says otherwise

Waiting = ParkedKey | FailedWork
Action = Literal["retry", "skip"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many. refused: why nothing was done, or ""."""

    item: Waiting
    refused: str = ""


async def select_waiting(
    conn: Any, which: Selection, kind: str = "event", *, limit: int = MOST
) -> list[Waiting]:
    """What a bulk would be about: events, calls or deadlines (`kind`), oldest first."""
    if kind == "event":
        return list(await list_parked(conn, which, limit=limit))
    return [work for work in await list_failed(conn, which, limit=limit) if work.kind == kind]


def objection(item: Waiting, action: Action) -> str:
    """Why the action could not be done to it as it stands; "" if it could."""
    if isinstance(item, FailedWork):
        return "" if action == "retry" else "only an event can be skipped"
    if item.state == "gap":
        return f"{item.reason}: retrying or skipping does not bring it"
    return ""


async def redrive_many(
    conn: Any,
    items: Sequence[Waiting],
    action: Action,
    *,
    who: str,
    why: str,
    per_second: float = PER_SECOND,
) -> AsyncIterator[Outcome]:
    """Retry or skip each as it was selected, at most `per_second` a second, each audited by itself.

    What has changed since, because another operator or the service was quicker, is left alone.
    """
    if action == "skip" and not why.strip():
        raise CannotRedrive("skipping needs a reason", "reason")
    begun = time.monotonic()
    for place, item in enumerate(items):
        ahead = place / per_second - (time.monotonic() - begun)
        if ahead > 0:
            await asyncio.sleep(ahead)
        refused = objection(item, action)
        if not refused:
            try:
                await _redrive_one(conn, item, action, who, why)
            except CannotRedrive as refusal:
                refused = str(refusal)
        yield Outcome(item, refused)


async def _redrive_one(conn: Any, item: Waiting, action: Action, who: str, why: str) -> None:
    if isinstance(item, FailedWork):
        await retry_failed(conn, item.reference, who=who, why=why)
    elif action == "retry":
        await retry_parked(conn, item.id, who=who, why=why, seen=item.last_tried)
    else:
        await skip_parked(conn, item.id, who=who, why=why, seen=item.last_tried)
