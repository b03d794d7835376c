"""`make fuzz`: everything that comes in is fuzzed for as long as wanted, each round with a seed of
its own; then what was sent and how it was answered, and 1 where something was found.

    python -m tests.fuzz [--minutes N] [--examples N] [--seed N] [--only api|pages|events|files]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import warnings

from rich.console import Console

from deploy.local import Stack
from tests.fuzz.over_events import fuzz_events
from tests.fuzz.over_files import fuzz_papers, fuzz_sheets
from tests.fuzz.over_http import fuzz_http
from tests.fuzz.over_pages import fuzz_pages
from tests.fuzz.tally import Tally
from tests.fuzz.world import Fuzz, fuzz, open_world
from tests.stack import running

WAYS = ("api", "pages", "events", "files")


def round_of(way: str, examples: int, seed: int) -> list[Fuzz]:
    """One round of a way in; files are sent all each time."""
    match way:
        case "api":
            return [fuzz_http(examples, seed)]
        case "pages":
            return [fuzz_pages(examples, seed)]
        case "events":
            return [fuzz_events(2 * examples, seed)]
        case _:
            return [fuzz_papers(1000, seed), fuzz_sheets(1000, seed)]


async def _run(stack: Stack, asked: argparse.Namespace, tally: Tally) -> int:
    """Rounds until the time is over; gives how many were begun."""
    seed = int(asked.seed)
    async with open_world(stack, tally) as world:
        end = time.monotonic() + 60 * asked.minutes
        while True:
            # files stay the same: once is enough
            ways = [way for way in asked.only if way != "files" or seed == asked.seed]
            for way in ways:
                await fuzz(world, *round_of(way, asked.examples, seed), judge=False)
            seed += 1
            if time.monotonic() > end or asked.only == ["files"]:
                break
        await fuzz(world)
    return seed - int(asked.seed)


def main() -> int:
    asking = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the office.")
    asking.add_argument("--minutes", type=float, default=5.0, help="rounds are begun for so long")
    asking.add_argument("--examples", type=int, default=10, help="of each kind for each route")
    asking.add_argument("--seed", type=int, default=1, help="of the first round")
    asking.add_argument("--only", choices=WAYS, action="append", help="a way in, or several")
    asked = asking.parse_args()
    asked.only = asked.only or list(WAYS)
    warnings.simplefilter("ignore")  # of strategies that are not ours
    console, tally = Console(width=160 if not sys.stdout.isatty() else None), Tally()
    with running(f"fuzz-{os.getpid()}", durable=False) as stack:
        rounds = asyncio.run(_run(stack, asked, tally))
    console.print(tally.table())
    found = sum(map(len, tally.findings.values()))
    begun = f"{rounds} rounds from seed {asked.seed}"
    console.print(f"{begun}: {tally.sent} looked at, {found} findings")
    if found:
        console.print(tally.report(), markup=False, highlight=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
