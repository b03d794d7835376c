"""A loop that waits for work ends when it is told to, whatever comes at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from shared.messaging.waking import woken


@pytest.mark.parametrize("steps", range(5))
async def test_a_loop_that_is_woken_and_cancelled_at_once_ends(steps: int) -> None:
    work = asyncio.Event()

    async def loop() -> None:
        while True:
            work.clear()
            await woken(work, 10.0)

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1.0)
    task.cancel()
    assert done


async def test_nobody_waits_longer_than_told() -> None:
    async with asyncio.timeout(5.0):
        await woken(asyncio.Event(), 0.01)
