"""How fast a candidate policy is asked about a portfolio.

    python -m tests.bench.replay --decisions 100000

Decisions of the past are put into review's tables on a database of its own, each with frozen inputs
and verdict sealed under keys of its own person, as a decision leaves them, a file of the usual
length, and six months of the account of who was approved. Printed are decisions a minute with one
process and with one per core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from bisect import bisect
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from deploy import local
from deploy.provision import provision
from services.review import portfolio_runs, replay
from services.review.policy import BureauRecord, Policy, PolicyInputs
from services.review.policy_folder import newest
from services.review.workers import FROZEN_CLASS, INPUTS_FIELD, VERDICT_FIELD
from shared.identifiers import new_id
from shared.postgres.migrate import migrate
from shared.privacy.vault import NewParty
from shared.privacy.vault_database import migrate_vault, open_vault
from shared.settings import Environment, Settings
from tests.stack import running
from tests.unit.review.builders import TERMS, inputs

_BANDS = ("18-25", "26-35", "36-45", "46-60", "60-65")
BEGAN = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
LOT = 1_000
# of a case's history: its way to the card that is used
_STATES = [
    *("submitted", "pre_check", "checking", "scoring", "manual_review", "approved"),
    *("card_producing", "posted", "delivered", "activated", "in_use"),
]
_HISTORY = """
INSERT INTO case_history (application_id, at, actor, action, details, confidential)
SELECT application_id, decided_at + n * interval '1 hour', 'intake', 'moved',
    jsonb_build_object('state', state), false
FROM decision, unnest($1::text[]) WITH ORDINALITY AS way (state, n)
ORDER BY decided_at, application_id, n
"""
FILE_BYTES = 6_000  # of a case's file: fields, answers and verdict, sealed
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--decisions", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    policy = newest().policy
    with running("bench-replay", durable=False) as stack:
        asyncio.run(_measure(stack, policy, asked.decisions, asked.processes))


def inputs_of_a_portfolio(chance: random.Random) -> PolicyInputs:
    """Somebody as they come: good, middling and bad records."""
    record = BureauRecord(
        score=chance.choice([None, *range(480, 820)]),
        overdue_24m=chance.choice([0, 0, 0, 1, 2, 6]),
        max_overdue_days_24m=chance.choice([0, 0, 30, 95]),
        queries_3m=chance.randint(0, 12),
        open_cards=chance.randint(0, 12),
        other_bank_limits=chance.randint(0, 60_000_00),
        monthly_debt=chance.randint(0, 6_000_00),
        adverse=chance.random() < 0.02,
        lenders_6m=chance.randint(0, 9),
    )
    return replace(
        inputs(),
        bureau=record,
        age=chance.randint(18, 65),
        monthly_income=chance.randint(3_000_00, 40_000_00),
        new_to_bank=chance.random() < 0.6,
        terms=TERMS,
    )


async def _measure(stack: local.Stack, policy: Policy, count: int, processes: int) -> None:
    settings = Settings(
        service="review",
        environment=Environment.TEST,
        kafka_bootstrap=stack.kafka_bootstrap,
        kafka_security=stack.kafka_security,  # type: ignore[arg-type]
        postgres_dsn=stack.postgres_dsn,
        secrets_dir=stack.secrets_dir,
    )
    await provision(stack)
    await migrate(settings, "review")
    await migrate_vault(settings)
    began = time.perf_counter()
    conn = await asyncpg.connect(stack.superuser_url("banka_review"))
    await fill(conn, settings, policy, count)
    await conn.execute(_HISTORY, _STATES)
    await conn.execute("ANALYZE")
    console.print(f"{count:,} decisions stored in {time.perf_counter() - began:.0f} s")
    until = BEGAN + timedelta(days=400)
    asked = await replay.ask(conn, policy, BEGAN, until, until)
    begins = await portfolio_runs.batches(conn, asked)
    await conn.close()
    table = Table("processes", "decisions a minute", "against one", title="replay")
    rates: dict[int, float] = {}
    reports = set()
    for number in sorted({1, processes}):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            whole = await asyncio.to_thread(
                portfolio_runs.run,
                settings,
                None,
                asked,
                begins,
                Path(folder) / "journal",
                processes=number,
                told=lambda _count: None,
            )
            rates[number] = asked.decisions / (time.perf_counter() - began) * 60
        assert whole.tally.decisions == count
        reports.add(whole.text())
        table.add_row(str(number), f"{rates[number]:,.0f}", f"{rates[number] / rates[1]:.2f}")
    assert len(reports) == 1
    console.print(table)


async def fill(
    conn: Any,
    settings: Settings,
    policy: Policy,
    count: int,
    *,
    began: datetime = BEGAN,
    every: timedelta = timedelta(minutes=1),
) -> None:
    """Decisions of the past, one of each application, with what core banking had stated of their
    accounts by the last of them."""
    last = began + count * every
    await conn.execute(
        "INSERT INTO policy_archive VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        policy.digest,
        policy.version,
        policy.source,
    )
    vault, pool = await open_vault(settings, "intake")
    chance = random.Random(11)
    for start in range(0, count, LOT):
        ids = [new_id() for _ in range(min(LOT, count - start))]
        parties = await vault.new_parties([NewParty(one) for one in ids])
        cases, files, decisions, months = [], [], [], []
        for number, (application_id, keys) in enumerate(zip(ids, parties, strict=True), start):
            frozen = inputs_of_a_portfolio(chance)
            verdict = policy.evaluate(frozen)
            approved = verdict.advice != "decline"  # what is to be examined people approve
            at = began + number * every
            region = chance.choice(["11", "31", "44", "51"])
            cases.append(_case(application_id, number, region, approved=approved, keys=keys))
            file = {
                "hand_over": {
                    "age_band": _BANDS[bisect(_BANDS, frozen.age, key=_starts) - 1],
                    "new_to_bank": frozen.new_to_bank,
                },
                "sealed": chance.randbytes(FILE_BYTES // 2).hex(),
            }
            files.append((application_id, json.dumps(file)))
            decisions.append((
                new_id(), application_id, "approve" if approved else "decline", False, ["a", "b"],
                list(verdict.findings), 1_000_000 if approved else None,
                None if approved else "credit_history", None if approved else at.date(),
                str(keys.seal(FROZEN_CLASS, INPUTS_FIELD, frozen.freeze())),
                str(keys.seal(FROZEN_CLASS, VERDICT_FIELD, verdict.freeze())),
                policy.version, policy.digest, at,
                verdict.score.points if verdict.score else None, verdict.pricing_class,
            ))  # fmt: skip
            if approved:
                months += _months(application_id, at, last, chance)
        await conn.copy_records_to_table("review_case", records=cases, columns=_CASE)
        await conn.copy_records_to_table("case_file", records=files)
        await conn.copy_records_to_table("decision", records=decisions, columns=_DECISION)
        await conn.copy_records_to_table("account_month", records=months)
    await pool.close()


_CASE = (
    *("application_id", "state", "state_version", "application_number", "branch", "region"),
    *("channel", "product", "product_version", "applicant_type", "person", "granted_limit"),
)
_DECISION = (
    *("decision_id", "application_id", "outcome", "automatic", "decided_by", "reasons"),
    *("granted_limit", "category", "reapply_from", "inputs", "verdict", "policy_version"),
    *("policy_digest", "decided_at", "points", "pricing_class"),
)


def _case(
    application_id: str, number: int, region: str, *, approved: bool, keys: Any
) -> tuple[Any, ...]:
    return (
        application_id, "in_use" if approved else "declined", 9, f"{number:018d}", "1101", region,
        "web", "standard", "2026.2", "salaried", keys.person, 1_000_000 if approved else None,
    )  # fmt: skip


def _starts(band: str) -> int:
    return int(band[:2])


def _months(
    application_id: str, at: datetime, last: datetime, chance: random.Random
) -> list[tuple[Any, ...]]:
    """The first six months of the account that had ended by then, as core banking stated them."""
    opened, rows = at.date(), []
    begun = opened.year * 12 + opened.month - 1
    for count in range(begun, min(begun + 6, last.year * 12 + last.month - 1)):
        month = f"{count // 12:04d}-{count % 12 + 1:02d}"
        late = 31 if chance.random() < 0.01 else 0
        rows.append((application_id, month, 1, opened, None, late, "from_1k", opened, False, BEGAN))
    return rows


if __name__ == "__main__":
    main()
