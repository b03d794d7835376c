"""`python -m tests.bench.reading`: how much of an ID card the machine reads rightly, and how often
it is wrong without knowing it.

Draws made-up cards (`tests.bench.cards`), spoils their pictures as phones do, has them read by what
the office runs, and counts field by field. What counts most is the second column: a wrong text that
nothing warns of. Drawn cards are kinder than real ones: the numbers compare conditions and releases
of the machine, and promise nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from services.intake.idcard import FIELDS, Suggestion, read_card
from services.intake.reader import CardReader
from shared.paper_images import DocumentRefusedError
from shared.parameters import load_papers
from tests.bench.cards import CONDITIONS, OPENING, Shown, shown

SEED, CARDS = 20261012, 25

Outcome = Literal["right", "wrong and sure", "wrong and doubtful", "unread"]
OUTCOMES: tuple[Outcome, ...] = ("right", "wrong and sure", "wrong and doubtful", "unread")
Counts = dict[str, dict[str, Counter[Outcome]]]  # by condition, by field


def outcome(found: Suggestion | None, truth: str, sure: float) -> Outcome:
    """What became of one field."""
    if found is None:
        return "unread"
    if "".join(found.value.split()) == "".join(truth.split()):
        return "right"
    return "wrong and doubtful" if _is_doubtful(found, sure) else "wrong and sure"


def _is_doubtful(found: Suggestion, sure: float) -> bool:
    return bool(found.doubts) or found.confidence < sure


async def read(reader: CardReader, one: Shown) -> dict[str, Suggestion]:
    """What the machine suggests; nothing where a picture was too much for it."""
    try:
        return read_card(one.side, await reader.lines(one.picture), OPENING)
    except DocumentRefusedError:
        return {}


class Watched:
    """The most memory that the machine took, fork included, as the system counts it once."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        yield
        self._over.set()
        thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.1):
            taken = 0
            for process in me.children(recursive=True):
                try:
                    taken += process.memory_full_info().pss
                except psutil.Error:
                    continue  # a fork that has ended
            self.most = max(self.most, taken)


def table(counts: Counts, title: str) -> Table:
    """A row for each, with the share of every outcome."""
    drawn = Table(title=title)
    drawn.add_column("")
    for name in (*OUTCOMES, "fields"):
        drawn.add_column(name, justify="right")
    for name, by_field in counts.items():
        total = sum(by_field.values(), Counter[Outcome]())
        drawn.add_row(name, *_shares(total))
    return drawn


def _shares(counted: Mapping[Outcome, int]) -> list[str]:
    total = sum(counted.values())
    return [f"{counted.get(one, 0) / total:.1%}" for one in OUTCOMES] + [str(total)]


async def measure(
    cards: int, seed: int, conditions: list[str]
) -> tuple[Counts, Counter[str], list[float], int]:
    """(what became of each field, how many right ones the page warns of in vain by condition,
    seconds for each picture, the most bytes)."""
    counts: Counts = defaultdict(lambda: defaultdict(Counter))
    in_vain: Counter[str] = Counter()
    seconds, sure, watched = [], load_papers().cards.sure, Watched()
    reader = CardReader()
    try:
        with watched.watching():
            await reader.ready()
            for condition in conditions:
                for one in shown(seed, cards, condition):
                    began = time.perf_counter()
                    found = await read(reader, one)
                    seconds.append(time.perf_counter() - began)
                    for name in FIELDS[one.side]:
                        what = outcome(found.get(name), one.says[name], sure)
                        counts[condition][name][what] += 1
                        in_vain[condition] += what == "right" and _is_doubtful(found[name], sure)
                        if what == "wrong and sure":
                            print(f"  {name}: {one.says[name]} read as {found[name].value}")
                total = sum(counts[condition].values(), Counter[Outcome]())
                print(condition, dict(total), "warned in vain", in_vain[condition], flush=True)
    finally:
        reader.close()
    return counts, in_vain, seconds, watched.most


def main() -> None:
    """Measure, print, and keep as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading")
    parser.add_argument(
        "--cards", type=int, default=CARDS, help="of each condition, two sides each"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", nargs="*", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    counts, in_vain, seconds, most = asyncio.run(measure(options.cards, options.seed, options.only))
    by_field: Counts = defaultdict(lambda: defaultdict(Counter))
    for of_condition in counts.values():
        for name, counted in of_condition.items():
            by_field[name][name] += counted
    console = Console(width=110)
    console.print(table(counts, "by condition"))
    console.print(table(by_field, "by field"))
    console.print(
        f"{len(seconds)} pictures; seconds for one: median {statistics.median(seconds):.1f},"
        f" longest {max(seconds):.1f}; most memory {most / 2**20:.0f} MB"
    )
    console.print(f"{in_vain.total()} right fields are doubtful all the same: {dict(+in_vain)}")
    if options.json:
        kept = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cards": options.cards,
            "seed": options.seed,
            "sure": load_papers().cards.sure,
            "counts": counts,
            "warned_in_vain": in_vain,
            "median_seconds": statistics.median(seconds),
            "longest_seconds": max(seconds),
            "most_bytes": most,
        }
        options.json.write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
