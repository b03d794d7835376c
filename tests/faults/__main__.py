"""`make faults`: the faults one after the other, each on a small office of its own under load, and
what the checker says of it afterwards.

    python -m tests.faults [--only WORDS]... [--short] [--again] [--of-the-checker]

A row a fault: what was done, seconds until a new application came to its end, promises that were
not kept. Resumes where it stopped: faults that passed on the same sources are not run again unless
`--again` says so.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from deploy.local import Stack
from tests.faults.broken import BROKEN, Sabotage
from tests.faults.checker import Broken, letters
from tests.faults.faults import FAULTS, Fault
from tests.faults.running import LOAD, NotRun, opened
from tests.stack import running_here

ROOT = Path(__file__).parents[2]
DONE = ROOT / ".banka" / "faults.json"
SOURCES = (
    "shared/messaging",
    "shared/redrive",
    "shared/events",
    "shared/postgres",
    "shared/clock.py",
    "shared/identifiers.py",
    "shared/observability.py",
    "shared/settings.py",
    "deploy/local.py",
    "deploy/provision.py",
    "requirements-dev.lock",
    "tests/faults",
    "tests/integration/messaging/ledger.py",
    "tests/stack.py",
)
"""What a fault's outcome depends on: files, and all that is in folders."""
_WARM = 25  # applications that have come to their end before anything is done to the office


@dataclass(frozen=True, slots=True)
class Row:
    """How one fault went. recovery: seconds; broken: promises by letter, "" if all were kept.
    not_run: why it could not be done here, else ""; then nothing is known of the promises."""

    name: str
    done: str
    recovery: float
    took: float
    broken: str
    examples: tuple[str, ...] = ()
    not_run: str = ""

    @property
    def passed(self) -> bool:
        return not self.broken and not self.not_run

    @property
    def verdict(self) -> str:
        """In a few words, for people."""
        return f"not run: {self.not_run}" if self.not_run else self.broken or "every promise kept"


async def run_fault(
    stack: Stack, fault: Fault, *, broken: str = "", per_second: float = LOAD
) -> Row:
    """One fault on an office of its own, with so many customers a second; `broken` names a sabotage
    of the kernel."""
    begun = time.monotonic()
    ended, recovery, found, not_run = begun, 0.0, [], ""
    async with opened(stack, broken=broken, pair=fault.pair) as office:
        stop = asyncio.Event()
        load = asyncio.create_task(office.driver.load(per_second, stop))
        try:
            await office.ended(_WARM)
            done = await fault.hurt(office)
            ended = time.monotonic()
            recovery = await office.probe()
        except NotRun as reason:
            done, not_run = "", str(reason)
        except Exception as problem:  # noqa: BLE001 - a fault that cannot be done is a row too
            done = f"{type(problem).__name__}: {problem}"
            found.append(Broken("!", done))
            ended = time.monotonic()
        finally:
            stop.set()
        await load
        if not not_run:
            found += await office.rest(ended)
            found += await office.checked()
            done = "; ".join((done, *office.said))
    examples = tuple(f"{one.letter}: {one.words}" for one in found)
    took = time.monotonic() - begun
    return Row(fault.name, done, recovery, took, letters(found), examples, not_run)


def sources() -> str:
    """A digest of what a fault's outcome depends on."""
    digest = hashlib.sha256()
    for name in SOURCES:
        for path in sorted((ROOT / name).rglob("*")) or [ROOT / name]:
            if path.suffix in (".py", ".sql", ".lock"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


async def run(faults: Sequence[Fault], *, again: bool) -> list[Row]:
    """All of them, those together that are done on the same servers."""
    kept = json.loads(DONE.read_text()) if DONE.exists() else {}
    known = kept.get("rows", {}) if kept.get("sources") == sources() and not again else {}
    rows = {name: Row(**row) for name, row in known.items()}
    for servers in dict.fromkeys(_servers(fault) for fault in faults):
        left = [one for one in faults if _servers(one) == servers and one.name not in known]
        if not left:
            continue
        try:
            with servers() as stack:
                for fault in left:
                    row = rows[fault.name] = await run_fault(stack, fault)
                    _say(row)
                    if row.passed:
                        known[row.name] = asdict(row)
                        DONE.write_text(json.dumps({"sources": sources(), "rows": known}))
        except NotRun as reason:
            for fault in left:
                row = rows[fault.name] = Row(fault.name, "", 0.0, 0.0, "", not_run=str(reason))
                _say(row)
    return [rows[fault.name] for fault in faults]


_usual = partial(running_here, "faults")


def _servers(fault: Fault) -> Callable[[], AbstractContextManager[Stack]]:
    """What opens the servers that a fault is done on."""
    return fault.stack or _usual


def _say(row: Row) -> None:
    console = Console(stderr=True)
    recovered = "" if row.not_run else f"{row.done} · recovered in {row.recovery:.1f} s · "
    console.print(f"{row.name}: {recovered}{row.verdict} ({row.took:.0f} s)")
    for example in row.examples:
        console.print(f"    {example}")


async def run_broken(names: Sequence[str]) -> list[tuple[str, Sabotage, Row]]:
    """Each sabotage of the kernel, under the fault that brings it to light."""
    found = []
    console = Console(stderr=True)
    with running_here("faults-of-the-checker") as stack:
        for name in names:
            sabotage = BROKEN[name]
            row = await run_fault(stack, FAULTS[sabotage.fault], broken=name)
            found.append((name, sabotage, row))
            console.print(f"{name}: {row.broken or 'NOT NOTICED'} ({row.took:.0f} s)")
            for example in row.examples[:3]:
                console.print(f"    {example}")
    return found


def noticed(sabotage: Sabotage, row: Row) -> bool:
    """Whether the checker saw what the sabotage breaks."""
    return bool(set(sabotage.letters) & set(row.broken.split()))


def table_of_broken(found: Sequence[tuple[str, Sabotage, Row]]) -> Table:
    """What was broken on purpose and what the checker said, for people."""
    shown = Table("the kernel, broken", "under", "promises seen to be broken", "noticed")
    for _, sabotage, row in found:
        yes = "yes" if noticed(sabotage, row) else "NO"
        shown.add_row(sabotage.words, sabotage.fault, row.broken, yes)
    return shown


def table(rows: Sequence[Row]) -> Table:
    """What was run, for people."""
    shown = Table("fault", "what was done", "recovery s", "promises broken")
    for row in rows:
        recovery = "" if row.not_run else f"{row.recovery:.1f}"
        shown.add_row(row.name, row.done, recovery, "none" if row.passed else row.verdict)
    return shown


def summary(rows: Sequence[Row]) -> str:
    """The last line: what is not known must not look as if it had passed."""
    failed = sum(bool(row.broken) for row in rows)
    not_run = sum(bool(row.not_run) for row in rows)
    passed = len(rows) - failed - not_run
    line = f"{passed} faults with every promise kept, {failed} with a broken one"
    return f"{line}, {not_run} NOT RUN" if not_run else line


def quiet() -> None:
    """Only what goes wrong is said; the table says the rest."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _told_to_stop(*_: object) -> None:
    """As by Ctrl-C: what was started is removed, undisturbed by whoever says it again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """0 if every promise was kept under every fault that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--only", action="append", default=[], help="faults that have these words")
    parser.add_argument("--short", action="store_true", help="the selection of every test run")
    parser.add_argument("--again", action="store_true", help="those too that passed already")
    parser.add_argument(
        "--of-the-checker", action="store_true", help="kernels that are broken on purpose instead"
    )
    asked = parser.parse_args()
    quiet()
    signal.signal(signal.SIGTERM, _told_to_stop)
    if asked.of_the_checker:
        names = [
            name
            for name, one in BROKEN.items()
            if not asked.only or any(words in name for words in asked.only)
        ]
        found = asyncio.run(run_broken(names))
        Console(width=150).print(table_of_broken(found))
        return 0 if all(noticed(one, row) for _, one, row in found) else 1
    faults = [
        fault
        for fault in FAULTS.values()
        if (not asked.only or any(words in fault.name for words in asked.only))
        and (fault.short or not asked.short)
    ]
    if not faults:
        sys.stderr.write("no fault has these words; there are: " + ", ".join(FAULTS) + "\n")
        return 2
    rows = asyncio.run(run(faults, again=asked.again))
    console = Console(width=150)
    console.print(table(rows))
    console.print(summary(rows))
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
