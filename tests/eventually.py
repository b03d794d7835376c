"""Waiting for what happens in other tasks and processes, without ever sleeping a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# who has waited long does not ask again at once: a question takes of the machine what it waits for
_PAUSES = (0.03, 0.3)  # seconds, least and most
_OF_WAITED = 0.1


async def eventually(check: Callable[[], Awaitable[T]], seconds: float = 180.0) -> T:
    """The first true answer of `check`; fails with the last one after so many seconds."""
    least, most = _PAUSES
    begun = time.monotonic()
    while True:
        answer = await check()
        if answer:
            return answer
        waited = time.monotonic() - begun
        assert waited < seconds, f"not within {seconds} s: {answer!r}"
        await asyncio.sleep(min(max(_OF_WAITED * waited, least), most))
