"""Waiting to be woken, for the loops that look for work."""

from __future__ import annotations

import asyncio
import contextlib


async def woken(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, at most so long.

    `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with the event,
    and a loop that was told to stop would go on for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
