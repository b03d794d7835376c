"""`make bench`: whole lifecycles per second, against the plain pipeline on the same stack.

python -m tests.bench [LIFECYCLES]      # of each burst; 300 without
"""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console
from rich.table import Table

from tests.bench.driving import Measured, Pipeline, drive
from tests.bench.plain import Plain
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
    """Both on one stack, one after the other, and the ratio of what they did."""
    with running("bench") as stack:
        async with Plain(stack) as plain:
            baseline = await runs(plain, lifecycles)
        async with Whole(stack) as whole:
            ours = await runs(whole, lifecycles)
    table = Table("load", "pipeline", "lifecycles/s", "p50 s", "p99 s", "ratio of rates")
    for load in baseline:
        for name, found in ((Plain.name, baseline[load]), (Whole.name, ours[load])):
            ratio = found.rate / baseline[load].rate
            row = (f"{found.rate:.1f}", f"{found.p50:.2f}", f"{found.p99:.2f}", f"{ratio:.2f}")
            table.add_row(load, name, *row)
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
