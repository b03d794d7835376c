"""Driving a pipeline: load, when each lifecycle was complete in the read model, and its cost."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import psutil

POLL_SECONDS = 0.005  # the resolution of latencies; longer while more lifecycles are under way
BACKLOG_POLL_SECONDS = 0.1  # where only the last one's end is asked for
WAITING_PER_SECOND = 40_000  # so many keys are asked for in a second at most
STALLED_SECONDS = 60.0  # no lifecycle completed for so long: the run is broken off
FELL_BEHIND = 0.8  # of the offered rate: a pipeline that completed less did not keep up


class Pipeline(Protocol):
    """A way from a partner's event to a complete read model."""

    name: str

    async def prepare(self, first: int, lifecycles: int) -> None:
        """Whatever is the sender's own work, before the clock runs."""
        ...

    async def submit(self, nth: int) -> str:
        """Publish the nth application; returns the key that `finished` will report."""
        ...

    async def finished(self, keys: Collection[str]) -> Sequence[str]:
        """Those of the keys whose lifecycles are complete by now, in no order."""
        ...

    async def hops(self, keys: Collection[str]) -> Sequence[float]:
        """Seconds from a fact's commit in one service to its effect in the next, sorted; none where
        the pipeline does not tell."""
        ...

    def processes(self) -> Mapping[str, int]:
        """{process: pid}, to be charged for what they use."""
        ...


class Stalled(RuntimeError):
    """Nothing is completed any more although something is missing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    rate: lifecycles per second from the first event to the last read model. latency, hop: seconds,
    {"p50", "p99", "p99.9"}; a lifecycle's from its first event to its complete read model. cpu: ms
    of each process for one lifecycle. memory: MiB resident at the end; grown: since the begin.
    kept_up: False if lifecycles
    came faster than they were completed, so that latencies only tell how long it was.
    """

    lifecycles: int
    offered: float | None
    rate: float
    latency: dict[str, float]
    hop: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    grown: dict[str, float] = field(default_factory=dict)
    kept_up: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def drive(
    pipeline: Pipeline, first: int, lifecycles: int, *, per_second: float | None = None
) -> Measured:
    """Run lifecycles number `first` and following: all at once, or so many a second (the next is
    sent on time, whether or not the last has come back).

    Raises Stalled.
    """
    await pipeline.prepare(first, lifecycles)
    gc.collect()
    sent: dict[str, float] = {}
    waiting: set[str] = set()
    done: dict[str, float] = {}
    resident = {name: _resident(pid) for name, pid in pipeline.processes().items()}
    before = {name: _cpu_seconds(pid) for name, pid in pipeline.processes().items()}
    began = time.monotonic()
    resolution = BACKLOG_POLL_SECONDS if per_second is None else POLL_SECONDS

    async def send() -> None:
        for nth in range(lifecycles):
            if per_second is not None:
                await asyncio.sleep(max(0.0, began + nth / per_second - time.monotonic()))
            at = time.monotonic()
            key = await pipeline.submit(first + nth)
            sent[key] = at
            waiting.add(key)

    async def watch() -> None:
        last = time.monotonic()
        while len(done) < lifecycles:
            await asyncio.sleep(max(resolution, len(waiting) / WAITING_PER_SECOND))
            fresh = await pipeline.finished(list(waiting)) if waiting else []
            now = time.monotonic()
            done.update(dict.fromkeys(fresh, now))
            waiting.difference_update(fresh)
            last = now if fresh else last
            if now - last > STALLED_SECONDS:
                raise Stalled(f"{pipeline.name}: {len(done)} of {lifecycles} were completed")

    async with asyncio.TaskGroup() as together:
        together.create_task(send())
        together.create_task(watch())
    rate = lifecycles / (max(done.values()) - began)
    used = {name: _cpu_seconds(pid) for name, pid in pipeline.processes().items()}
    memory = {name: _resident(pid) for name, pid in pipeline.processes().items()}
    return Measured(
        lifecycles,
        per_second,
        rate,
        quantiles(sorted(done[key] - sent[key] for key in sent)),
        quantiles(await pipeline.hops(list(sent))),
        {name: (used[name] - before[name]) * 1000 / lifecycles for name in before},
        memory,
        {name: memory[name] - resident[name] for name in memory},
        per_second is None or rate >= FELL_BEHIND * per_second,
    )


def quantiles(ordered: Sequence[float]) -> dict[str, float]:
    """{"p50", "p99", "p99.9"} of sorted values; empty for none."""
    if not ordered:
        return {}
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    return {name: ordered[min(last, round(share * last))] for name, share in shares.items()}


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, ended ones included; of this process
    alone, for its children are the pipeline's."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    if pid == os.getpid():
        return float(own.user + own.system)
    total: float = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it has ended, and is in its parent's account
        total += times.user + times.system
    return total


def _resident(pid: int) -> float:
    """MiB of a process and its children, what they share counted once where the system tells."""
    found = 0
    process = psutil.Process(pid)
    children = [] if pid == os.getpid() else process.children(recursive=True)
    for each in (process, *children):
        try:
            full = each.memory_full_info()
        except psutil.Error:
            continue
        found += getattr(full, "pss", 0) or full.rss
    return found / 2**20
