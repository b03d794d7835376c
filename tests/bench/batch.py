"""How long a branch's table takes, from the upload to the last application: 10,000 rows on the
pages that people use, on a broker and a database of its own, with intake alone.

    python -m tests.bench.batch --rows 10000 --kind xlsx
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from deploy import local
from deploy.provision import provision
from services.intake.batch_files import Kind, result
from shared.formats import make_synthetic_resident_id
from tests.eventually import eventually
from tests.integration.intake.office import BRANCH, Office
from tests.stack import running

MORNING = datetime(2026, 10, 12, 2, 0, tzinfo=UTC)
_PROGRESS = re.compile(r'<progress[^>]* value="(\d+)" max="(\d+)"')


CELLS = {
    "salutation": "女士",
    "id_issued": "2019-03-01",
    "id_expires": "2039-03-01",
    "home_address": "上海市浦东新区望江路七十七号",
    "employer": "青岚机械制造有限公司",
    "occupation": "工程师",
    "work_address": "上海市徐汇区云锦路五百号",
    "office_phone": "021-64567890",
    "monthly_income_yuan": "12000",
    "other_bank_limits_yuan": "0",
    "applicant_type": "salaried",
    "product": "standard",
    "requested_limit_yuan": "20000",
    "consent_date": "2026-10-11",
}
"""What a row of a branch's table says, but for the person."""


def table(rows: int, kind: Kind) -> bytes:
    """A table of people who do not exist."""
    chance = random.Random(rows)
    numbers: set[str] = set()
    while len(numbers) < rows:
        born = date(1974, 1, 1) + timedelta(days=chance.randint(0, 6_800))
        province = chance.choice(("11", "31", "33", "44", "51"))
        numbers.add(make_synthetic_resident_id(province, born, chance.randint(100, 899)))
    return result(
        kind,
        [
            ({**CELLS, "name": "欧阳望舒", "id_number": one, "mobile": f"139{n:08d}"}, [])
            for n, one in enumerate(sorted(numbers))
        ],
    )


@dataclass
class Stretch:
    """Seconds that a step took, and how many of them this process, which is intake and whoever
    asks it, was at work."""

    seconds: float = 0.0
    busy: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is done meanwhile counts."""
        begun, busy = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - begun
        self.busy += time.process_time() - busy


async def watched(client: httpx.AsyncClient, where: str) -> None:
    """Until nothing goes on any more; looked at as the page does."""
    while True:
        answer = await client.get(f"{where}/progress")
        if answer.status_code == 204:
            return
        found = _PROGRESS.search(answer.text)
        if found and sys.stderr.isatty():
            sys.stderr.write(f"\r{found[1]} of {found[2]}   ")
        await asyncio.sleep(0.2)


async def sent(office: Office) -> bool:
    """Whether everything that was told is on the topics."""
    return (await office.service.quiet()).outbox == 0


async def measure(stack: local.Stack, folder: Path, rows: int, kind: Kind) -> dict[str, Stretch]:
    """What each step took."""
    steps = {name: Stretch() for name in ("read and kept", "looked at", "taken", "told")}
    content = table(rows, kind)
    await provision(stack)
    async with Office.on(stack, folder, MORNING) as office:
        client = await office.colleague("assistant")
        with steps["read and kept"].measured():
            answer = await client.post(
                "/intake/batches",
                data={"branch": BRANCH},
                files={"file": (f"list.{kind}", content)},
                timeout=120,
            )
        assert answer.status_code == 303, answer.text
        where = answer.headers["location"]
        with steps["looked at"].measured():
            await watched(client, where)
        with steps["taken"].measured():
            await client.post(f"{where}/take")
            await watched(client, where)
        with steps["told"].measured():
            await eventually(lambda: sent(office), 120)
        states = await office.fetch("SELECT state, count(*) AS n FROM batch_row GROUP BY state")
        assert {one["state"]: one["n"] for one in states} == {"taken": rows}, states
        return steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--kind", choices=("csv", "xlsx"), default="xlsx")
    options = parser.parse_args()
    os.environ.setdefault("BANKA_TEST_STACK", "local")
    with running("bench-batch") as stack, tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(stack, Path(folder), options.rows, options.kind))
    shown = Table(
        *("step", "seconds", "of them at work", "rows/s"),
        title=f"{options.rows:,} rows of {options.kind}; load {os.getloadavg()[0]:.1f}",
    )
    together = Stretch(
        sum(step.seconds for step in found.values()), sum(step.busy for step in found.values())
    )
    for name, step in [*found.items(), ("together", together)]:
        rate = options.rows / max(step.seconds, 1e-9)
        shown.add_row(name, f"{step.seconds:.1f}", f"{step.busy:.1f}", f"{rate:,.0f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
