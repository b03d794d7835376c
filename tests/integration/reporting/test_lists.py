"""The list of applications at a size at which a plan tells: by what the database does, not how long
it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from deploy.local import Stack
from services.reporting import store
from services.reporting.filters import SortKey
from services.reporting.store import Wanted
from shared.web.lists import MOST_COUNTED, Place
from tests.integration.reporting.bank import Bank
from tests.plans import explained, rows_read

ROWS = 20_000
PAGE = 25
MOST_READ = 400  # of twenty thousand; the few hundred of a branch may be sorted
BRANCHES = [f"44{n:02d}" for n in range(10, 70)]
REACHES = {"one branch": BRANCHES[:1], "some branches": BRANCHES[:12], "the bank": None}
SORTS: list[tuple[SortKey, bool]] = [
    (key, descending) for key in ("submitted", "since", "number") for descending in (False, True)
]

# Every row is made of its number `n` alone: one in twenty is a draft, of which nothing says when it
# was handed in, one in a thousand is held, and one in five hundred has a refused fact.
_FILL = """
INSERT INTO projection.application (application_id, number, branch, region, channel, product,
    applicant_type, product_version, state, state_version, since, origin, submitted_at, wanted,
    rounds, refused_facts, waited, outside_since, outside_waited)
SELECT 'old-' || md5(n::text), branch || '2026' || lpad((n * 7919 % 1000000)::text, 10, '0') || n,
    branch, '44', 'web', CASE n % 3 WHEN 0 THEN 'gold' ELSE 'standard' END, 'salaried', '2026.1',
    CASE WHEN n % 20 = 0 THEN 'draft' WHEN n % 1000 = 7 THEN 'on_hold' ELSE 'in_use' END, 4,
    $2::timestamptz - make_interval(mins => (n * 31 % 90000)), 'live',
    CASE WHEN n % 20 > 0 THEN $2::timestamptz - make_interval(mins => (n * 17 % 90000)) END,
    '[]', 0, (n % 500 = 0)::int, '{}',
    $2::timestamptz - make_interval(mins => (n * 13 % 90000)), '{}'
FROM (SELECT n, ($3::text[])[1 + n % cardinality($3)] AS branch FROM generate_series(1, $1) n) one
"""


@pytest_asyncio.fixture
async def conn(reporting_stack: Stack, bank: Bank) -> AsyncIterator[Any]:
    """Reporting's database with twenty thousand applications, taken away again for others."""
    conn = await asyncpg.connect(reporting_stack.superuser_url("banka_reporting"))
    await conn.execute(_FILL, ROWS, bank.now, BRANCHES)
    await conn.execute("VACUUM (ANALYZE) projection.application")
    yield conn
    await conn.execute("DELETE FROM projection.application WHERE application_id LIKE 'old-%'")
    await conn.close()


async def test_a_page_reads_what_it_shows_and_pages_are_the_whole_list_in_order(
    conn: Any,
) -> None:
    """Nothing is scanned or sorted as a whole; and page by page, onwards and back, it is what one
    sorted statement over all rows gives. Who may not know of holds has an order of their own."""
    for name, branches in REACHES.items():
        for knows_holds in (True, False):
            for key, descending in SORTS:
                await _reads_what_it_shows(
                    conn, Wanted(branches, knows_holds), key, name, descending=descending
                )


async def _reads_what_it_shows(
    conn: Any, wanted: Wanted, key: SortKey, name: str, *, descending: bool
) -> None:
    expected = await _sorted(conn, wanted, key, descending=descending)
    case = (name, wanted.knows_holds, key, descending)
    found: list[str] = []
    place: Place | None = None
    for _ in range(3):
        asked = store.page_statement(wanted, PAGE, key, descending=descending, after=place)
        read = [
            (node["Node Type"], rows_read(node))
            for node in await explained(conn, *asked)
            if node.get("Relation Name") == "application" or node["Node Type"] == "Sort"
        ]
        assert [one for one in read if one[1] > MOST_READ or one[0] == "Seq Scan"] == [], case
        page = await store.page_of(conn, wanted, PAGE, key, descending=descending, after=place)
        if len(found) == PAGE:
            back = await store.page_of(
                conn, wanted, PAGE, key, descending=descending, before=page.before
            )
            assert [row.application_id for row in back.rows] == found, case
        found += [row.application_id for row in page.rows]
        place = page.after
    assert found == expected[: 3 * PAGE], case


async def _sorted(conn: Any, wanted: Wanted, key: SortKey, *, descending: bool) -> list[str]:
    since = "since" if wanted.knows_holds else "outside_since"
    column = {"submitted": "submitted_at", "since": since, "number": 'number COLLATE "C"'}[key]
    way = "DESC NULLS LAST" if descending else "ASC NULLS FIRST"
    rows = await conn.fetch(
        "SELECT application_id FROM projection.application"
        " WHERE number IS NOT NULL AND ($1::text[] IS NULL OR branch = ANY ($1))"
        f" ORDER BY {column} {way}, application_id {way.split(maxsplit=1)[0]} LIMIT 100",
        wanted.branches,
    )
    return [row["application_id"] for row in rows]


async def test_an_application_is_found_by_its_last_digits_without_a_look_at_everything(
    conn: Any,
) -> None:
    numbers = await conn.fetch("SELECT number FROM projection.application WHERE number LIKE '44%'")
    (whole,) = await conn.fetch(
        "SELECT number, branch FROM projection.application"
        " WHERE application_id = 'old-' || md5('7')"
    )
    for branches in (None, BRANCHES[:12], [whole["branch"]]):
        for knows_holds in (True, False):
            for digits in (whole["number"], whole["number"][-8:], whole["number"][-4:]):
                wanted = Wanted(branches, knows_holds, number=digits)
                plan = await explained(
                    conn, *store.page_statement(wanted, PAGE, "submitted", descending=True)
                )
                there = [node for node in plan if node.get("Relation Name") == "application"]
                assert {node["Node Type"] for node in there} & {"Seq Scan"} == set(), digits
                assert max(map(rows_read, there)) <= MOST_READ, digits
                found, total = await store.list_applications(conn, wanted, page=1, page_size=1000)
                expected = {
                    row["number"]
                    for row in numbers
                    if row["number"].endswith(digits)
                    and (branches is None or row["number"][:4] in branches)
                }
                assert {row.number for row in found} == expected
                assert total == len(expected) > 0
    none = Wanted(None, True, number=whole["number"][:-1])
    assert await store.list_applications(conn, none, page=1, page_size=1) == ([], 0)


async def test_what_is_rare_is_found_without_a_look_at_everything(
    conn: Any,
) -> None:
    """By the board's links; and a count stops where it says that there are more."""
    filters: list[dict[str, Any]] = [
        {"attention": "refused"},
        {"attention": "stalled"},
        {"attention": "owing"},
    ]
    for narrowed in filters:
        wanted = Wanted(None, True, **narrowed)
        plan = await explained(
            conn, *store.page_statement(wanted, PAGE, "submitted", descending=True)
        )
        there = [node for node in plan if node.get("Relation Name") == "application"]
        assert {node["Node Type"] for node in there} & {"Seq Scan"} == set(), narrowed
        assert max(map(rows_read, there)) <= MOST_READ, narrowed
    refused = await store.total_of(conn, Wanted(None, True, attention="refused", region="44"))
    assert refused.counted == 40
    assert (await store.total_of(conn, Wanted(None, True, attention="nonsense"))).counted == 0
    total = await store.total_of(conn, Wanted(None, True))
    assert (total.counted, total.more) == (MOST_COUNTED, True)
    # a hold has no place in the list of who may not know of one
    for knows_holds, held in ((True, 20), (False, 0)):
        wanted = Wanted(None, knows_holds, state="on_hold", region="44")
        assert (await store.total_of(conn, wanted)).counted == held
