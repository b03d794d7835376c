"""How long an office waits for its pages when years of applications are stored: lists in every
order and by every filter, searches, an officer's work and cases, at the server, on a broker and a
database of its own, with intake alone.

    python -m tests.bench.office --rows 1000000

Applications of the past are put into the tables as they would have been left; a thousand more are
taken from a branch's table as always, so that the vault opens them. Two people look: an assistant
of one branch, which has one in thirty-three of all, and an auditor who sees the whole bank.
Measured is from the request to the last byte of the answer within the service's own process:
middleware, session and database included, the network left out, one request at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from deploy import local
from deploy.provision import provision
from services.intake.batch_files import result
from services.intake.pages_lists import SECTIONS
from shared.formats import make_synthetic_resident_id
from shared.privacy.vault_database import read_bank_key
from tests.bench.batch import CELLS
from tests.integration.intake.office import API, BRANCH, Office
from tests.integration.intake.stock import BRANCHES, NAMES, fill
from tests.stack import running

MORNING = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
LIST, WORK = "/intake/applications", "/intake/work"
REAL = 1_000
GOAL = 0.1  # seconds, of the median


@dataclass(frozen=True)
class Person:
    """Somebody who really applied."""

    name: str
    id_number: str
    mobile: str


@dataclass
class Line:
    """What was asked, by whom, how long each answer took, and of the processor in this process."""

    what: str
    who: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rows: int = 0

    def at(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def people(count: int) -> list[Person]:
    """Made-up people, each with a number of their own; names as common as anywhere."""
    chance = random.Random(count)
    numbers: set[str] = set()
    while len(numbers) < count:
        born = date(1974, 1, 1) + timedelta(days=chance.randint(0, 6_800))
        numbers.add(make_synthetic_resident_id("31", born, chance.randint(100, 899)))
    return [
        Person(chance.choice(NAMES), number, f"139{n:08d}")
        for n, number in enumerate(sorted(numbers))
    ]


def sheet(persons: list[Person]) -> bytes:
    """A branch's table of them."""
    rows = [
        {**CELLS, "name": one.name, "id_number": one.id_number, "mobile": one.mobile}
        for one in persons
    ]
    return result("csv", [(row, []) for row in rows])


def tell(how_far: str) -> None:
    """Say it to who waits at a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{how_far}   ")


def always(value: str) -> Callable[[int], str]:
    return lambda _n: value


class Stopwatch:
    """Asks for pages and keeps how long each took."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.lines: list[Line] = []

    async def page(
        self, who: str, client: httpx.AsyncClient, what: str, address: Callable[[int], str]
    ) -> None:
        """The n-th of so many addresses."""
        await self._measure(who, what, lambda n: client.get(address(n)))

    async def search(
        self,
        who: str,
        client: httpx.AsyncClient,
        what: str,
        value: Callable[[int], str],
        address: str = f"{LIST}/search",
    ) -> None:
        """Searches for the n-th of so many values."""
        await self._measure(who, what, lambda n: client.post(address, data={"value": value(n)}))

    async def _measure(self, who: str, what: str, ask: Callable[[int], Any]) -> None:
        line = Line(what, who)
        self.lines.append(line)
        for n in range(-2, self._times):
            begun, worked = time.perf_counter(), time.process_time()
            answer = await ask(n % self._times)
            taken, cpu = time.perf_counter() - begun, time.process_time() - worked
            assert answer.status_code in (200, 303), (what, answer.status_code, answer.text)
            if n >= 0:  # the first ones prepare their statements
                line.seconds.append(taken)
                line.cpu.append(cpu)
            line.rows = answer.text.count("<tr>") - 1 if "<tr>" in answer.text else 0
        tell(f"{len(self.lines)} measured")


async def build(office: Office, rows: int) -> list[Person]:
    """The office's past, and a thousand people who can be opened."""
    persons = people(min(REAL, rows))
    done = await office.handed_over()
    answer = await office.client().post(
        f"{API}/batches",
        data={"branch": BRANCH},
        files={"file": ("list.csv", sheet(persons))},
        timeout=600,
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["accepted"]) == len(persons), answer.json()["rejected"][:3]
    intake = await asyncpg.connect(office.superuser_url)
    vault = await asyncpg.connect(office.vault_url)
    try:
        await fill(
            intake,
            vault,
            rows,
            now=MORNING - timedelta(hours=1),
            pattern=done.application_id,
            blind=read_bank_key(office.settings).blind,
            after_step=lambda done: tell(f"{done:,} of {rows:,} filled"),
        )
    finally:
        await intake.close()
        await vault.close()
    return persons


async def measure(
    stack: local.Stack, folder: Path, rows: int, times: int
) -> tuple[list[Line], dict[str, str]]:
    """Every line, and what is stored."""
    await provision(stack)
    async with Office.on(stack, folder, MORNING) as office:
        begun = time.perf_counter()
        persons = await build(office, rows)
        stored = await described(office)
        stored["filled in"] = f"{time.perf_counter() - begun:,.0f} s"
        watch = Stopwatch(times)
        viewers = {
            "branch": await office.colleague("assistant", branch=BRANCH),
            "bank": await office.colleague("auditor"),
        }
        found = await office.fetch(
            "SELECT application_id, application_number FROM application"
            " WHERE channel = 'batch' AND branch = $1 ORDER BY created_at DESC LIMIT $2",
            BRANCH,
            len(persons),
        )
        for who, client in viewers.items():
            await _lists(watch, who, client)
            await _work(watch, who, client)
            await _searches(watch, who, client, persons, [one[1] for one in found])
            await watch.page(
                who, client, "a case", lambda n: f"{LIST}/{found[n * 7 % len(found)][0]}"
            )
        program = office.client()
        await watch.page("program", program, "API: list", always(f"{API}/applications"))
        await watch.page(
            "program",
            program,
            "API: an application",
            lambda n: f"{API}/applications/{found[n * 3 % len(found)][0]}",
        )
        return watch.lines, stored


async def _lists(watch: Stopwatch, who: str, client: httpx.AsyncClient) -> None:
    await watch.page(who, client, "list", always(LIST))
    for sort in ("number", "-number", "begun", "since", "-since", "due", "-due"):
        await watch.page(who, client, f"sorted by {sort}", always(f"{LIST}?sort={sort}"))
    later = await deep(client, f"{LIST}?sort=-begun", 20)
    await watch.page(who, client, "twenty-first page", always(later))
    filters = [
        *(f"state={one}" for one in ("open", "in_use", "pre_check", "awaiting_material")),
        *("product=business", "channel=partner", "desk=operations", "waiting=customer"),
        *("channel=partner&sort=since", "channel=partner&sort=due"),
        *("age=day", "age=over-90", "due=overdue", "due=in-3"),
        "state=open&age=over-30&sort=since",
        "product=student&channel=partner&state=declined",
        "product=business&channel=partner&state=approved",
    ]
    for one in filters:
        await watch.page(who, client, one, always(f"{LIST}?{one}"))
    if who == "bank":
        await watch.page(
            who, client, "branch=…", lambda n: f"{LIST}?branch={BRANCHES[n % len(BRANCHES)]}"
        )


async def deep(client: httpx.AsyncClient, address: str, pages: int) -> str:
    """The address of a page so far on."""
    for _ in range(pages):
        answer = await client.get(address)
        links = [part for part in answer.text.split('href="')[1:] if part.startswith("/")]
        following = [part.split('"')[0] for part in links if "after=" in part.split('"')[0]]
        address = following[0].replace("&amp;", "&") if following else address
    return address


async def _work(watch: Stopwatch, who: str, client: httpx.AsyncClient) -> None:
    for section in SECTIONS:
        await watch.page(who, client, f"work: {section}", always(f"{WORK}?section={section}"))


async def _searches(
    watch: Stopwatch,
    who: str,
    client: httpx.AsyncClient,
    persons: list[Person],
    numbers: list[str],
) -> None:
    def nth(values: list[str]) -> Callable[[int], str]:
        return lambda n: values[n * 13 % len(values)]

    await watch.search(who, client, "search: number", nth(numbers))
    await watch.search(who, client, "search: begin of a number", nth([n[:12] for n in numbers]))
    await watch.search(who, client, "search: mobile", nth([one.mobile for one in persons]))
    await watch.search(who, client, "search: ID number", nth([one.id_number for one in persons]))
    await watch.search(who, client, "search: name", nth([one.name for one in persons]))
    await watch.search(who, client, "search: the commonest name", always(NAMES[0]))
    await watch.search(who, client, "search: nobody's mobile", lambda n: f"188{n:08d}")


async def described(office: Office) -> dict[str, str]:
    """How much is stored."""
    (row,) = await office.fetch(
        "SELECT (SELECT count(*) FROM application) AS applications,"
        " (SELECT count(*) FROM application WHERE branch = $1) AS of_one,"
        " pg_size_pretty(pg_database_size(current_database())) AS size,"
        " pg_size_pretty(pg_indexes_size('application')) AS indexes,"
        " pg_size_pretty(pg_table_size('application')) AS rows",
        BRANCH,
    )
    hanging = await office.fetch(
        "SELECT relname, reltuples::bigint AS rows FROM pg_class WHERE relname = ANY ($1)"
        " ORDER BY relname",
        ["application_history", "checklist_change", "checklist_item", "document"],
    )
    vault = await asyncpg.connect(office.vault_url)
    try:
        keys = await vault.fetchval("SELECT count(*) FROM vault.data_key")
        entries = await vault.fetchval("SELECT count(*) FROM vault.blind_index")
        common = await vault.fetchval(
            "SELECT count(*) FROM vault.blind_index WHERE kind = 'name' AND digest = $1",
            read_bank_key(office.settings).blind("name", NAMES[0]),
        )
    finally:
        await vault.close()
    return {
        "applications": f"{row['applications']:,}, of the branch {row['of_one']:,}",
        "intake's database": f"{row['size']}; applications {row['rows']}, their indexes"
        f" {row['indexes']}",
        "rows that hang on them": ", ".join(f"{one['relname']} {one['rows']:,}" for one in hanging),
        "the vault": f"{keys:,} keys, {entries:,} entries for search, {common:,} of the commonest"
        " name",
    }


def main() -> None:
    """Measure and print; exits with 1 where a median misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40, help="requests of each kind")
    options = parser.parse_args()
    os.environ.setdefault("BANKA_TEST_STACK", "local")
    with running("bench-office") as stack, tempfile.TemporaryDirectory() as folder:
        lines, stored = asyncio.run(measure(stack, Path(folder), options.rows, options.times))
    console = Console()
    load = os.getloadavg()[0]
    shown = Table(
        *("page", "who looks", "rows", "p50 ms", "p99 ms"),
        title=f"{options.rows:,} applications; {os.cpu_count()} cores, load {load:.1f}",
    )
    for line in lines:
        p50, p99 = statistics.median(line.seconds), line.at(0.99)
        late = "[red]" if p50 > GOAL else ""
        shown.add_row(
            line.what, line.who, str(line.rows), f"{late}{p50 * 1000:.1f}", f"{p99 * 1000:.1f}"
        )
    for what, how_much in stored.items():
        console.print(f"{what}: {how_much}")
    console.print(shown)
    missed = [line for line in lines if statistics.median(line.seconds) > GOAL]
    console.print(f"{len(lines) - len(missed)} of {len(lines)} medians within {GOAL * 1000:.0f} ms")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
