"""Driving a pipeline: load, and when each lifecycle was complete in the read model."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

POLL_SECONDS = 0.02  # the resolution of every latency that is printed
STALLED_SECONDS = 60.0  # no lifecycle completed for so long: the run is broken off


class Pipeline(Protocol):
    """A way from a partner's event to a complete read model."""

    name: str

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Whatever is the sender's own work, before the clock runs."""
        ...

    async def submit(self, nth: int) -> str:
        """Publish the nth application; returns the key that `finished` will report."""
        ...

    async def finished(self) -> Sequence[str]:
        """Keys of all lifecycles that are complete by now, in no order."""
        ...


class Stalled(RuntimeError):
    """Nothing is completed any more although something is missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `rate`: lifecycles per second from the first event to the last read model. `p50`,
    `p99`: seconds from a lifecycle's first event to its complete read model."""

    lifecycles: int
    rate: float
    p50: float
    p99: float


async def drive(
    pipeline: Pipeline, first: int, lifecycles: int, *, per_second: float | None = None
) -> Measured:
    """Run lifecycles number `first` and following: all at once, or so many a second (the next is
    sent on time, whether or not the last has come back).

    Raises Stalled.
    """
    await pipeline.prepare(first, lifecycles)
    sent: dict[str, float] = {}
    done: dict[str, float] = {}
    began = time.monotonic()

    async def send() -> None:
        for nth in range(lifecycles):
            if per_second is not None:
                await asyncio.sleep(max(0.0, began + nth / per_second - time.monotonic()))
            at = time.monotonic()
            sent[await pipeline.submit(first + nth)] = at

    async def watch() -> None:
        last = time.monotonic()
        while len(done) < lifecycles:
            await asyncio.sleep(POLL_SECONDS)
            keys = await pipeline.finished()
            now = time.monotonic()
            fresh = [key for key in keys if key in sent and key not in done]
            done.update(dict.fromkeys(fresh, now))
            last = now if fresh else last
            if now - last > STALLED_SECONDS:
                raise Stalled(f"{pipeline.name}: {len(done)} of {lifecycles} were completed")

    async with asyncio.TaskGroup() as together:
        together.create_task(send())
        together.create_task(watch())
    took = sorted(done[key] - sent[key] for key in sent)
    return Measured(
        lifecycles,
        lifecycles / (max(done.values()) - began),
        statistics.median(took),
        took[min(len(took) - 1, round(0.99 * len(took)))],
    )
