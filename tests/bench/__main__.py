"""`make bench`: whole lifecycles per second, against the plain pipeline on the same stack.

Three pipelines, one after the other: the plain one, the same stages on banka's kernel, and banka
itself, which seals, examines, asks and tells besides, some fifty events for the baseline's eight.

python -m tests.bench [LIFECYCLES]      # of each burst; 1000 without
"""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from tests.bench.driving import Measured, Pipeline, drive
from tests.bench.plain import Plain
from tests.bench.thin import Thin
from tests.bench.whole import Whole
from tests.stack import running

LOADS = (20, 50)  # applications a second
SECONDS = 10  # of each load


async def runs(pipeline: Pipeline, lifecycles: int) -> dict[str, Measured]:
    """One pipeline under every load, after a first round that warms it up."""
    await drive(pipeline, 0, 30)
    found = {"all at once": await drive(pipeline, 1_000, lifecycles)}
    for number, per_second in enumerate(LOADS, start=1):
        first = 100_000 * number
        found[f"{per_second} a second"] = await drive(
            pipeline, first, per_second * SECONDS, per_second=per_second
        )
    return found


async def measure(lifecycles: int) -> None:
    """All on one stack, and the ratio of each to the plain one."""
    found: dict[str, dict[str, Measured]] = {}
    with running("bench") as stack:
        # banka itself comes last: a thin stage would take its events for a newer database's
        for pipeline in (Plain(stack), Thin(stack), Whole(stack)):
            async with pipeline:
                found[pipeline.name] = await runs(pipeline, lifecycles)
    table = Table("load", "pipeline", "lifecycles/s", "p50 s", "p99 s", "rate", "p50", "p99")
    baseline = found[Plain.name]
    for load, plain in baseline.items():
        for name, loads in found.items():
            this = loads[load]
            ratios = (this.rate / plain.rate, this.p50 / plain.p50, this.p99 / plain.p99)
            row = (f"{this.rate:.1f}", f"{this.p50:.2f}", f"{this.p99:.2f}")
            table.add_row(load, name, *row, *(f"× {ratio:.2f}" for ratio in ratios))
    Console(width=120).print(table)


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
