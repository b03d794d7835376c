"""How long the automatic path takes from the last check's answer to the decision, and how many
verdicts a second a policy gives in one process.

    python -m tests.bench.decision --applications 200

Review on the loop that it is deployed with, a real broker, database and vault; a known customer's
application is handed over by intake's events, and the bank's systems, in a process of their own,
answer over HTTP. Measured is from the moment at which the last of their answers is there until the
transaction with the decision is committed: two transactions, the vault, the policy, and the ways
between them. Twice: with systems that take up to 0.1 s each, as their likes do, and with all
answers at one moment, where the last waits for the transaction of those before it. Beside it, in
the same run: a bare commit on that database, of which there are two; and the policy's tables asked
as the engine's manual has it, compiled at each turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import socket
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
import uvloop
import zen
from rich.console import Console
from rich.table import Table

from deploy import local
from deploy.demo import credit_systems
from deploy.provision import provision
from services.review import examination
from services.review.app import build_service
from services.review.policy import TABLES, Policy, PolicyInputs
from services.review.policy_folder import newest
from shared.messaging.calls import WorkerLoop
from shared.postgres.migrate import migrate
from tests.bench.replay import inputs_of_a_portfolio
from tests.eventually import eventually
from tests.integration.review.bank import Bank, settings_of
from tests.stack import running

MORNING = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)
WARM_UP = 20
COMMITS = 300
VERDICTS = 5_000
ROUNDS = 5
APART = 0.1  # seconds that a system may take; how long each takes is drawn anew
APPLY = WorkerLoop._apply  # where a worker's transaction ends
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--applications", type=int, default=200)
    parser.add_argument("--a-second", type=float, default=5.0, help="of them")
    asked = parser.parse_args()
    speak(newest().policy)
    for apart, title in ((APART, "answers apart"), (0.0, "all answers at one moment")):
        with running("bench-decision") as stack, _systems(apart) as systems:
            uvloop.run(_decide(stack, systems, title, asked.applications, asked.a_second))


def speak(policy: Policy) -> None:
    """Verdicts a second of one process, the median of some rounds, and the plain way."""
    chance = random.Random(7)
    many = [inputs_of_a_portfolio(chance) for _ in range(VERDICTS)]
    few = many[: VERDICTS // 20]
    plain = _plain(policy)
    rates = {"policy": [], "tables compiled at each turn": []}  # type: dict[str, list[float]]
    for _ in range(ROUNDS):
        rates["policy"].append(_rate(policy.evaluate, many))
        rates["tables compiled at each turn"].append(_rate(plain, few))
    table = Table(
        "way", "verdicts a second of CPU", "slowest and fastest round", title="one process"
    )
    for way, found in rates.items():
        table.add_row(
            way, f"{statistics.median(found):,.0f}", f"{min(found):,.0f}–{max(found):,.0f}"
        )
    console.print(table)


def _rate(ask: Callable[[PolicyInputs], Any], many: list[PolicyInputs]) -> float:
    """A second of the processor's time, so that what else runs on the machine counts little."""
    began = time.process_time()
    for one in many:
        ask(one)
    return len(many) / (time.process_time() - began)


def _plain(policy: Policy) -> Callable[[PolicyInputs], Any]:
    """The four tables, asked one after the other as the engine's manual has it."""
    texts = json.loads(policy.source)
    engine = zen.ZenEngine()
    decisions = [engine.create_decision(json.dumps(texts[name])) for name in TABLES]

    def ask(inputs: PolicyInputs) -> None:
        known = json.loads(inputs.freeze())
        facts = {
            **known,
            "income": known["monthly_income"] or 0,
            "bureau": {"known": True, "scored": known["bureau"]["score"] is not None}
            | known["bureau"],
            "debt": {"known": True, "ratio_bp": 1_000, "income_stated": True},
            "score": {"known": True, "points": 600, "weakest": "record"},
            "limit": {"known": True, "ceiling": 1_000_000},
        }
        for decision in decisions:
            decision.evaluate(facts)

    return ask


PHASES = (
    ("the last check's transaction", "answered", "written"),
    ("way to the policy's worker", "written", "asked"),
    ("evidence opened, policy asked, sealed", "asked", "said"),
    ("the decision's transaction", "said", "decided"),
    ("last answer to decision", "answered", "decided"),
)


class Watched:
    """When something happened to each application, by `time.perf_counter`. `answered`: the last
    system's answer was there; `written`: it was committed; `asked`, `said`: the policy's worker
    began and ended; `decided`: the decision was committed."""

    def __init__(self) -> None:
        self.at: dict[str, dict[str, float]] = defaultdict(dict)

    def worker(self, worker: Any) -> Any:
        """The worker, observed."""
        call, scoring = worker.call, worker.kind == examination.SCORING

        async def observed(claimed: Any) -> Any:
            if scoring:
                self.at[claimed.subject]["asked"] = time.perf_counter()
            result = await call(claimed)
            self.at[claimed.subject]["said" if scoring else "answered"] = time.perf_counter()
            return result

        return replace(worker, call=observed)

    async def apply(self, loop: WorkerLoop, row: Any, result: Any) -> None:
        await APPLY(loop, row, result)
        scoring = loop.worker.kind == examination.SCORING
        self.at[row["subject"]]["decided" if scoring else "written"] = time.perf_counter()


@contextmanager
def _systems(apart: float) -> Iterator[str]:
    """The bank's systems in a process of their own, each answer after up to `apart` seconds; gives
    their address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listening, apart), daemon=True
        )
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()


def _serve(listening: socket.socket, apart: float) -> None:
    app = credit_systems.make_app(latency=0)

    @app.middleware("http")
    async def later(request: Any, answer: Any) -> Any:
        await asyncio.sleep(random.uniform(0, apart))
        return await answer(request)

    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listening])


async def _decide(
    stack: local.Stack, systems: str, title: str, count: int, a_second: float
) -> None:
    await provision(stack)
    with tempfile.TemporaryDirectory() as folder:
        clock = Path(folder) / "clock"
        settings = settings_of(stack, clock, systems)
        await migrate(settings, "review")
        async with Bank.open(stack, settings, clock, systems, MORNING) as bank:
            service, watched = build_service(settings), Watched()
            service.workers = [watched.worker(one) for one in service.workers]
            WorkerLoop._apply = lambda loop, row, result: watched.apply(loop, row, result)  # type: ignore[method-assign,assignment]
            await service.start()
            try:
                await _apply_for(bank, watched, WARM_UP, a_second)
                took = await _apply_for(bank, watched, count, a_second)
            finally:
                await service.stop()
    bare = await _bare_commits(stack)
    table = Table("", "p50 ms", "p90 ms", "slowest ms", title=f"{count:,} applications, {title}")
    phases = [(what, [one[end] - one[begin] for one in took]) for what, begin, end in PHASES]
    for what, seconds in (*phases, ("a bare commit", bare)):
        cuts = statistics.quantiles(seconds, n=10)
        table.add_row(
            what,
            f"{statistics.median(seconds) * 1000:.1f}",
            f"{cuts[8] * 1000:.1f}",
            f"{max(seconds) * 1000:.1f}",
        )
    console.print(table)


async def _apply_for(
    bank: Bank, watched: Watched, count: int, a_second: float
) -> list[dict[str, float]]:
    """When what happened to so many applications."""
    applicants = [await bank.applicant() for _ in range(count)]
    for applicant in applicants:
        await bank.hand_over(applicant)
        await asyncio.sleep(1 / a_second)
    ids = [one.application_id for one in applicants]

    async def all_decided() -> bool:
        return all("decided" in watched.at[one] for one in ids)

    await eventually(all_decided, 120)
    rows = await bank.fetch(
        "SELECT count(*) AS n FROM decision WHERE automatic AND application_id = ANY ($1)", ids
    )
    assert rows[0]["n"] == count, "not the automatic path"
    return [watched.at[one] for one in ids]


async def _bare_commits(stack: local.Stack) -> list[float]:
    """Seconds of a commit of one row."""
    conn = await asyncpg.connect(stack.superuser_url("banka_review"))
    try:
        await conn.execute("CREATE TABLE bare (n int)")
        took = []
        for number in range(COMMITS):
            began = time.perf_counter()
            await conn.execute("INSERT INTO bare VALUES ($1)", number)
            took.append(time.perf_counter() - began)
    finally:
        await conn.close()
    return took


if __name__ == "__main__":
    main()
