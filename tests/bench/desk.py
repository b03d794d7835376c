"""How long a reviewer waits for the queue and for a case when years of cases are stored, at the
server, on a broker and a database of its own, with review alone.

    python -m tests.bench.desk --cases 1000000

First with a thousand cases, then with all of them, in one run: a page whose time grows with the
number of cases shows. Cases of the past are put into the tables as they would have been left, each
a copy of one that review examined as always, so that evidence, history and decision are as long as
they are, and the vault opens them; of older ones, which no page reads, the evidence is left out. Of
the latest one in six is open: nobody's, somebody's (200 of who looks), proposed, snoozed, held;
two in a hundred wait for a system. Measured is from the request to the last byte of the answer
within the service's own process, the network left out, one request at a time; and of that, what
the process worked (CPU), which says more where the machine does other things too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from deploy import local
from deploy.provision import provision
from services.review.app import build
from shared.postgres.migrate import migrate
from tests.bench.office import GOAL, Line, Stopwatch, always, deep, tell
from tests.eventually import eventually
from tests.integration.review.bank import Applicant, Bank, Colleague, listening, settings_of
from tests.integration.review.stock import BRANCHES
from tests.stack import running

MORNING = datetime(2026, 11, 9, 2, 0, tzinfo=UTC)
FEW = 1_000
LATEST = 48_000  # cases with evidence, history and decision whole
OFFICERS = [f"O{n:04d}" for n in range(200)]
OWN, FEW_OWN = 200, 30
STEP = 50_000
QUEUE, API = "/review/queue", "/review/api/v1"
SORTS = ("due", "-due", "since", "-since", "number", "-number")
FILTERS = (
    *("product=gold", "flag=CARDS_MANY", "language=en", "product=gold&flag=CARDS_MANY"),
    *("amount_from=20000", "amount_from=500000", "skill=own", "product=gold&sort=-since"),
    *("flag=REPORT_DISPUTED", "acquaintance=new"),
)


@dataclass(frozen=True)
class Patterns:
    """Ids of cases that went the whole way: one lies in the queue, one was approved."""

    queued: str
    approved: str


# Every row is made of its number `n` alone; ids and numbers grow with it, as they do with time.
_ROWS = """
CREATE TEMP TABLE stock AS
SELECT lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(hash), 12, '0') AS id,
    n, hash, latest,
    CASE WHEN latest AND n % 6 = 0 THEN 'manual_review' WHEN latest AND n % 150 = 1 THEN 'on_hold'
        WHEN latest AND n % 50 = 2 THEN 'checking' WHEN hash % 100 < 62 THEN 'in_use'
        ELSE 'declined' END AS state,
    ($4::text[])[1 + hash % cardinality($4)] AS branch,
    ($5::text[])[1 + (hash / 64) % cardinality($5)] AS officer,
    n % 12 = 0 AS taken, n % 72 = 0 AS proposed, n % 120 = 12 AS snoozed,
    $6::timestamptz - make_interval(mins => ($3::int - n)) AS at
FROM (
    SELECT n, n > $3::int - $7::int AS latest,
        ('x' || substr(md5(n::text), 1, 7))::bit(28)::bigint AS hash
    FROM generate_series($1::int, $2::int) n
) numbered
"""

_CASES = """
INSERT INTO review_case (application_id, state, state_version, application_number, branch, region,
    channel, product, product_version, applicant_type, person, claimed_by, claimed_at, proposed_by,
    queued_at, held_at, due, findings, advice, granted_limit, category, snoozed_until, amount,
    language)
SELECT id, s.state, 9, s.branch || '2026' || lpad(n::text, 10, '0'), s.branch, '44', 'counter',
    CASE WHEN hash % 10 = 0 THEN 'gold' ELSE 'standard' END, p.product_version, p.applicant_type,
    id, CASE WHEN queued AND taken THEN officer END, CASE WHEN queued AND taken THEN at END,
    CASE WHEN queued AND proposed THEN officer END, CASE WHEN queued THEN at END,
    CASE WHEN s.state = 'on_hold' THEN at END, at + make_interval(hours => (hash % 300)::int),
    CASE WHEN hash % 50 = 0 THEN ARRAY['CARDS_MANY'] ELSE p.findings END, p.advice,
    CASE WHEN s.state = 'in_use' THEN 1000000 + hash % 40 * 100000 END,
    CASE WHEN s.state = 'declined' THEN 'credit_history' END,
    CASE WHEN queued AND snoozed AND NOT proposed THEN $2::timestamptz + interval '2 days' END,
    1000000 + hash % 60 * 100000, CASE WHEN hash % 20 = 0 THEN 'en' ELSE 'zh-CN' END
FROM (SELECT *, state = 'manual_review' AS queued FROM stock) s, review_case p
WHERE p.application_id = $1
"""

_FILES = """
INSERT INTO case_file (application_id, body)
SELECT id, f.body FROM stock s JOIN case_file f
    ON f.application_id = CASE WHEN s.state IN ('in_use', 'declined') THEN $2 ELSE $1 END
WHERE latest
"""

_HISTORY = """
INSERT INTO case_history (application_id, at, actor, action, details, confidential)
SELECT s.id, s.at, h.actor, h.action, h.details, h.confidential
FROM stock s, (SELECT *, row_number() OVER (ORDER BY id) AS nth FROM case_history
    WHERE application_id = $1) h
WHERE latest OR nth <= 3 ORDER BY s.n, h.nth
"""

_DECISIONS = """
INSERT INTO decision (decision_id, application_id, outcome, automatic, decided_by, reasons,
    granted_limit, category, reapply_from, inputs, verdict, policy_version, policy_digest,
    decided_at, points, pricing_class)
SELECT s.id, s.id, CASE WHEN approved THEN 'approve' ELSE 'decline' END, true, '{}', d.reasons,
    CASE WHEN approved THEN 1000000 + hash % 40 * 100000 END,
    CASE WHEN NOT approved THEN 'credit_history' END, CASE WHEN NOT approved THEN at::date END,
    CASE WHEN latest THEN d.inputs ELSE '' END, CASE WHEN latest THEN d.verdict ELSE '' END,
    d.policy_version, d.policy_digest, at, 450 + (hash % 350)::int, d.pricing_class
FROM (SELECT *, state = 'in_use' AS approved FROM stock WHERE state IN ('in_use', 'declined')) s,
    decision d
WHERE d.application_id = $1
"""

_WAITING = """
INSERT INTO check_waiting (application_id, check_name, since)
SELECT id, 'bureau', at FROM stock WHERE state = 'checking'
"""

_SCREENED = """
INSERT INTO screened (application_id, list)
SELECT s.id, p.list FROM stock s, screened p WHERE s.latest AND p.application_id = $1
"""

_APPEALS = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, claimed_by, outcome, answered_by, answered_at)
SELECT id, id, id, 'human-review', 'customer', at, '', at + interval '20 days', '{}', true,
    CASE WHEN answered OR n % 180 = 5 THEN officer END, CASE WHEN answered THEN 'upheld' END,
    CASE WHEN answered THEN officer END, CASE WHEN answered THEN at END
FROM (SELECT *, n % 90 <> 5 AS answered FROM stock) s
WHERE state = 'declined' AND latest AND n % 5 = 0
"""

# Of the latest cases one in eight hundred is of somebody who disputes the credit report.
_DISPUTES = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, person)
SELECT 'd' || id, id, 'd' || id, 'report-dispute', 'customer', at, '', at + interval '20 days',
    '{}', true, c.person
FROM stock JOIN review_case c ON c.application_id = id
WHERE latest AND n % 800 = 3 AND c.person IS NOT NULL
"""

# One in forty cards had its limit changed; of ten changes one waits, half of these with somebody.
_LIMIT_CHANGES = """
INSERT INTO limit_change (change_id, application_id, number, kind, asked_at, agreed_at, state, due,
    before, wanted, decided_by, decided_at, claimed_by, body)
SELECT id, id, id, 'increase', at, at, state_of, at + interval '20 days', 1000000, 2000000, '{}',
    CASE WHEN decided THEN at END, holder, jsonb_build_object(
        'change_id', id, 'number', id, 'asked_by', 'customer', 'asked_at', at,
        'asked', jsonb_build_object('kind', 'increase', 'agreed_at', at,
            'wanted', jsonb_build_object('minor', 2000000, 'currency', 'CNY')),
        'due', at + interval '20 days',
        'before', jsonb_build_object('minor', 1000000, 'currency', 'CNY'), 'state', state_of,
        'claimed_by', holder, 'decided_at', CASE WHEN decided THEN at END)
FROM (SELECT *, n % 400 <> 7 AS decided,
        CASE WHEN n % 400 <> 7 THEN 'refused' ELSE 'deciding' END AS state_of,
        CASE WHEN n % 800 <> 407 THEN officer END AS holder
    FROM stock) s
WHERE state = 'in_use' AND latest AND n % 40 = 7
"""

_CLAIM = """
UPDATE review_case SET claimed_by = $1, claimed_at = queued_at WHERE application_id IN (
    SELECT application_id FROM review_case WHERE state = 'manual_review' AND proposed_by IS NULL
        AND snoozed_until IS NULL ORDER BY application_id LIMIT $2)
"""


async def fill(
    conn: Any, patterns: Patterns, first: int, last: int, *, latest: int, own: tuple[str, int]
) -> None:
    """Cases number `first` to `last`, so many of them the latest; own: whose so many of the open
    ones are."""
    await conn.execute("SET session_replication_role = replica")  # what is referred to is there
    for begin in range(first, last + 1, STEP):
        end = min(begin + STEP - 1, last)
        await conn.execute(_ROWS, begin, end, last, BRANCHES, OFFICERS, MORNING, latest)
        await conn.execute(_CASES, patterns.queued, MORNING)
        await conn.execute(_FILES, patterns.queued, patterns.approved)
        for statement in (_HISTORY, _DECISIONS):
            await conn.execute(statement, patterns.approved)
        await conn.execute(_WAITING)
        await conn.execute(_SCREENED, patterns.queued)
        await conn.execute(_APPEALS)
        await conn.execute(_DISPUTES)
        await conn.execute(_LIMIT_CHANGES)
        await conn.execute("DROP TABLE stock")
        tell(f"{end:,} of {last:,} filled")
    await conn.execute(_CLAIM, *own)
    await conn.execute("SET session_replication_role = origin")
    await conn.execute("VACUUM (ANALYZE)")


async def organise(conn: Any) -> None:
    """The bank's branches and reviewers."""
    await conn.executemany(
        "INSERT INTO directory_branch VALUES ($1, $1, $1, '44', true)", [(one,) for one in BRANCHES]
    )
    await conn.executemany(
        "INSERT INTO directory_staff VALUES ($1, $1, '{reviewer}', ARRAY[$2], 'credit_review',"
        " true, 1)",
        [(one, BRANCHES[n % len(BRANCHES)] if n % 2 else "*") for n, one in enumerate(OFFICERS)],
    )


async def examined(bank: Bank, conn: Any) -> Patterns:
    """A new customer, whom people decide about, and a known one, whom the policy approves."""
    applicants = [await bank.applicant(new_to_bank=new) for new in (True, False)]
    for applicant in applicants:
        await bank.hand_over(applicant)
    for applicant, state in zip(applicants, ("manual_review", "approved"), strict=True):

        async def there(applicant: Applicant = applicant, state: str = state) -> bool:
            found = await conn.fetchval(
                "SELECT state FROM review_case WHERE application_id = $1", applicant.application_id
            )
            return bool(found == state)

        await eventually(there)
    return Patterns(*(one.application_id for one in applicants))


async def measure(
    stack: local.Stack, folder: Path, cases: int, times: int
) -> tuple[list[Line], list[Line], dict[str, str]]:
    """Every line with a few cases and with all of them, and what is stored."""
    await provision(stack)
    async with listening() as systems:
        settings = settings_of(stack, folder / "clock", systems)
        await migrate(settings, "review")
        async with Bank.open(stack, settings, folder / "clock", systems, MORNING) as bank:
            app = build(settings)
            conn = await asyncpg.connect(stack.superuser_url("banka_review"))
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app)
                viewers = {
                    "reviewer": await bank.colleague(transport, "reviewer"),
                    "branch": await bank.colleague(transport, "reviewer", branch=BRANCHES[0]),
                    "risk": await bank.colleague(transport, "reviewer", "risk_officer"),
                    "compliance": await bank.colleague(transport, "compliance"),
                }
                await organise(conn)
                patterns = await examined(bank, conn)
                who = viewers["reviewer"].staff_id
                lots = []
                for first, last, own in ((1, FEW, FEW_OWN), (FEW + 1, cases, OWN - FEW_OWN)):
                    begun = time.perf_counter()
                    latest = min(LATEST, last - first + 1)
                    await fill(conn, patterns, first, last, latest=latest, own=(who, own))
                    filled = time.perf_counter() - begun
                    watch = Stopwatch(times)
                    await ask(watch, viewers, conn)
                    lots.append(watch.lines)
                stored = await described(conn)
            await conn.close()
    return lots[0], lots[1], stored | {"filled in": f"{filled:,.0f} s"}


async def ask(watch: Stopwatch, viewers: dict[str, Colleague], conn: Any) -> None:
    """Every page and its twin of the API."""
    reviewer, risk = viewers["reviewer"].client, viewers["risk"].client
    await watch.page("anybody", reviewer, "/healthz", always("/healthz"))
    for who in ("reviewer", "branch", "compliance"):
        client = viewers[who].client
        await watch.page(who, client, "queue", always(QUEUE))
        for sort in SORTS[1:]:
            await watch.page(who, client, f"sorted by {sort}", always(f"{QUEUE}?sort={sort}"))
        pages = 20 if who != "branch" else 2
        later = await deep(client, f"{QUEUE}?sort=due", pages)
        await watch.page(who, client, f"page {pages + 1}", always(later))
        for one in FILTERS:
            await watch.page(who, client, one, always(f"{QUEUE}?{one}"))
    await watch.page(
        "reviewer", reviewer, "branch=…", lambda n: f"{QUEUE}?branch={BRANCHES[n % len(BRANCHES)]}"
    )
    await watch.page(
        "risk", risk, "holder=…", lambda n: f"{QUEUE}?holder={OFFICERS[n % len(OFFICERS)]}"
    )
    for section in ("mine", "snoozed", "to_sign", "waiting"):
        await watch.page("reviewer", reviewer, section, always(f"{QUEUE}?section={section}"))
    held = viewers["compliance"].client
    await watch.page("compliance", held, "held", always(f"{QUEUE}?section=held"))
    await watch.page("risk", risk, "workload", always("/review/workload"))
    await watch.page("risk", risk, "appeals", always("/review/appeals"))
    await watch.page("risk", risk, "limit changes", always("/review/limit-changes"))
    await _cases(watch, viewers, conn)
    await watch.page("reviewer", reviewer, "API: queue", always(f"{API}/queue?section=open"))
    await watch.page("reviewer", reviewer, "API: own", always(f"{API}/queue?section=mine"))
    await watch.page(
        "reviewer", reviewer, "API: a filter", always(f"{API}/queue?section=open&product=gold")
    )
    await watch.page("risk", risk, "API: workload", always(f"{API}/workload"))
    await watch.page("risk", risk, "API: appeals", always(f"{API}/appeals"))


async def _cases(watch: Stopwatch, viewers: dict[str, Colleague], conn: Any) -> None:
    client = viewers["reviewer"].client
    for what, condition in (
        ("open", "state = 'manual_review' AND claimed_by IS NULL"),
        ("own", f"claimed_by = '{viewers['reviewer'].staff_id}'"),
        ("decided", "state IN ('in_use', 'declined')"),
    ):
        rows = await conn.fetch(
            "SELECT application_id, application_number FROM review_case"
            f" WHERE {condition} AND application_number LIKE branch || '2026%'"
            " ORDER BY application_id DESC LIMIT 300"
        )
        ids, numbers = zip(*rows, strict=True)
        await watch.page("reviewer", client, f"case: {what}", _nth("/review/cases/", ids))
        await watch.page("reviewer", client, f"API: case, {what}", _nth(f"{API}/cases/", ids))
    await watch.search("reviewer", client, "search", _nth("", numbers), f"{QUEUE}/search")


def _nth(before: str, many: tuple[str, ...]) -> Callable[[int], str]:
    return lambda n: f"{before}{many[n * 7 % len(many)]}"


async def described(conn: Any) -> dict[str, str]:
    """How much is stored."""
    states = await conn.fetch("SELECT state, count(*) AS n FROM review_case GROUP BY 1 ORDER BY 2")
    size = await conn.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    lines = await conn.fetchval("SELECT count(*) FROM case_history")
    beside = await conn.fetchrow(
        "SELECT (SELECT count(*) FROM appeal WHERE outcome IS NULL) AS appeals,"
        " (SELECT count(*) FROM limit_change WHERE state = 'deciding') AS changes"
    )
    return {
        "cases": ", ".join(f"{row['state']} {row['n']:,}" for row in states),
        "open beside": f"{beside['appeals']:,} appeals, {beside['changes']:,} changes of limits",
        "review's database": f"{size}; {lines:,} lines of history",
    }


def main() -> None:
    """Measure and print; exits with 1 where a median misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40, help="requests of each kind")
    asked = parser.parse_args()
    os.environ.setdefault("BANKA_TEST_STACK", "local")
    with running("bench-desk") as stack, tempfile.TemporaryDirectory() as folder:
        few, many, stored = asyncio.run(measure(stack, Path(folder), asked.cases, asked.times))
    console, load = Console(), os.getloadavg()[0]
    shown = Table(
        *("page", "who looks", "p50 ms", "p95 ms", "CPU ms", f"p50 with {FEW:,}", "ratio"),
        title=f"{asked.cases:,} cases; {os.cpu_count()} cores, load {load:.1f}",
    )
    for before, line in zip(few, many, strict=True):
        first, p50 = statistics.median(before.seconds), statistics.median(line.seconds)
        late = "[red]" if p50 > GOAL else ""
        shown.add_row(
            line.what, line.who, f"{late}{p50 * 1000:.1f}", f"{line.at(0.95) * 1000:.1f}",
            f"{statistics.median(line.cpu) * 1000:.1f}", f"{first * 1000:.1f}",
            f"{p50 / first:.2f}",
        )  # fmt: skip
    for what, how_much in stored.items():
        console.print(f"{what}: {how_much}")
    console.print(shown)
    missed = [line for line in many if statistics.median(line.seconds) > GOAL]
    console.print(f"{len(many) - len(missed)} of {len(many)} medians within {GOAL * 1000:.0f} ms")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
