"""The queue at a size at which a plan tells: by what the database does, not how long it takes."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.review import officer_store, store
from services.review.queue import Section, SortKey
from services.review.store import Wanted
from shared.web.lists import MOST_COUNTED, Place, Total
from tests.integration.review.bank import Bank
from tests.integration.review.stock import BRANCHES, REVIEWERS, fill
from tests.plans import explained, rows_read

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 20_000
PAGE = 25
# Of one branch, of one's own and of what waits for a signature there are few: they may be sorted.
FEW = 300
MOST_READ = 100  # of the two thousand in the queue

REACHES = {"one branch": BRANCHES[:1], "some branches": BRANCHES[:12], "the bank": None}
SECTIONS: list[tuple[Section, bool]] = [
    *[(section, True) for section in ("open", "mine", "to_sign", "held")],
    *[(section, False) for section in ("open", "mine", "to_sign")],
]
SORTS: list[tuple[SortKey, bool]] = [
    (key, descending) for key in ("due", "since", "number") for descending in (False, True)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(bank: Bank) -> Bank:
    """Review with twenty thousand cases, a tenth of which lies in the queue."""
    conn = await asyncpg.connect(bank.superuser_url)
    try:
        await fill(conn, ROWS, now=bank.now)
    finally:
        await conn.close()
    return bank


@pytest.mark.parametrize(("key", "descending"), SORTS)
@pytest.mark.parametrize(("section", "knows_holds"), SECTIONS)
async def test_a_page_reads_what_it_shows_and_pages_are_the_whole_list_in_order(
    stocked: Bank, section: Section, knows_holds: bool, key: SortKey, descending: bool
) -> None:
    """Nothing is scanned or sorted as a whole; and page by page, onwards and back, it is what one
    sorted statement over all rows gives."""
    conn = await asyncpg.connect(stocked.superuser_url)
    try:
        for name, branches in REACHES.items():
            wanted = Wanted(section, REVIEWERS[0], branches, knows_holds=knows_holds)
            expected = await _sorted(conn, wanted, key, descending=descending)
            found: list[str] = []
            place: Place | None = None
            while True:
                asked = store.page_statement(wanted, PAGE, key, descending=descending, after=place)
                plan = await explained(conn, *asked)
                most = FEW if section in ("mine", "to_sign") else MOST_READ
                read = [
                    (node["Node Type"], rows_read(node))
                    for node in plan
                    if node.get("Relation Name") == "review_case" or node["Node Type"] == "Sort"
                ]
                assert [one for one in read if one[1] > most or one[0] == "Seq Scan"] == [], name
                page = await store.page_of(
                    conn, wanted, PAGE, key, descending=descending, after=place
                )
                if found and len(found) < 2 * PAGE:
                    back = await store.page_of(
                        conn, wanted, PAGE, key, descending=descending, before=page.before
                    )
                    assert [row.application_id for row in back.rows] == found
                found += [row.application_id for row in page.rows]
                place = page.after
                if place is None or len(found) > 4 * PAGE:
                    break
            assert found == expected[: len(found)], name
            assert len(found) == min(len(expected), len(found) if place else len(expected))
            assert expected or branches, "there is something to show"
    finally:
        await conn.close()


async def _sorted(
    conn: asyncpg.Connection, wanted: Wanted, key: SortKey, *, descending: bool
) -> list[str]:
    """The section as its words have it, sorted as a whole."""
    held = "on_hold" if wanted.knows_holds else "nowhere"
    fits = {
        "open": "state <> $4 AND proposed_by IS NULL",
        "mine": "state = 'manual_review' AND proposed_by IS NULL AND claimed_by = $2",
        "to_sign": "state = 'manual_review' AND proposed_by IS NOT NULL AND proposed_by <> $2",
        "held": "state = $4",
    }[wanted.section]
    column = {
        "due": "due",
        "since": "CASE state WHEN 'on_hold' THEN held_at ELSE queued_at END",
        "number": 'application_number COLLATE "C"',
    }[key]
    way = "DESC" if descending else "ASC"
    rows = await conn.fetch(
        "SELECT application_id FROM review_case"
        f" WHERE state = ANY ($1) AND {fits} AND $2::text <> '' AND $4::text <> ''"
        " AND ($3::text[] IS NULL OR branch = ANY ($3))"
        f" ORDER BY {column} {way}, application_id {way}",
        ["manual_review", "on_hold"],
        wanted.staff_id,
        wanted.branches,
        held,
    )
    return [row["application_id"] for row in rows]


async def test_a_count_stops_where_it_says_that_there_are_more(stocked: Bank) -> None:
    conn = await asyncpg.connect(stocked.superuser_url)
    try:
        for knows_holds in (True, False):
            wanted = Wanted("open", REVIEWERS[0], None, knows_holds=knows_holds)
            assert await store.total_of(conn, wanted) == Total(MOST_COUNTED, more=True)
        held = await store.total_of(conn, Wanted("held", REVIEWERS[0], None, knows_holds=True))
        assert held == Total(ROWS // 100)
    finally:
        await conn.close()


@pytest.mark.parametrize("name", REACHES)
async def test_a_filter_looks_at_cases_of_the_queue_alone(stocked: Bank, name: str) -> None:
    """What is filtered by may be passed over row by row, but the other cases are left alone."""
    conn = await asyncpg.connect(stocked.superuser_url)
    try:
        (row,) = await conn.fetch(
            "SELECT count(*) AS n FROM review_case WHERE state IN ('manual_review', 'on_hold')"
        )
        filters: list[dict[str, Any]] = [
            {"product": "gold"},
            {"flag": "CARDS_MANY"},
            {"branch": BRANCHES[3]},
            {"holder": REVIEWERS[3]},
            {"language": "en"},
            {"new_to_bank": False},
            {"products": ["gold"]},
            {"amount_from": 1_000_000, "amount_to": 2_000_000},
        ]
        for narrowed in filters:
            wanted = Wanted("open", REVIEWERS[0], REACHES[name], **narrowed)
            plan = await explained(conn, *store.page_statement(wanted, PAGE, "due"))
            there = [node for node in plan if node.get("Relation Name") == "review_case"]
            assert "Seq Scan" not in {node["Node Type"] for node in there}
            assert all(rows_read(node) <= row["n"] for node in there)
    finally:
        await conn.close()


# Beside every decided case there was something; one in ten is open, half of these somebody's.
_APPEALS = """
INSERT INTO appeal (appeal_id, application_id, number, wish, asked_by, asked_at, words, due,
    deciders, automatic, claimed_by, outcome, answered_by, answered_at)
SELECT application_id, application_id, application_number, 'explanation', 'customer', due, '', due,
    '{}', true, CASE WHEN n % 10 > 0 OR n % 20 = 0 THEN ($1::text[])[1 + n / 20 % 40] END,
    CASE WHEN n % 10 > 0 THEN 'explained' END, CASE WHEN n % 10 > 0 THEN 'R' END,
    CASE WHEN n % 10 > 0 THEN due END
FROM (SELECT *, row_number() OVER (ORDER BY application_id) AS n FROM review_case
    WHERE state = 'declined') decided
"""
_LIMIT_CHANGES = """
INSERT INTO limit_change (change_id, application_id, number, kind, asked_at, agreed_at, state, due,
    before, wanted, decided_by, decided_at, claimed_by, body)
SELECT application_id, application_id, application_number, 'increase', due, due,
    CASE WHEN n % 10 > 0 THEN 'refused' ELSE 'deciding' END, due, 100, 200, '{}',
    CASE WHEN n % 10 > 0 THEN due END,
    CASE WHEN n % 10 > 0 OR n % 20 = 0 THEN ($1::text[])[1 + n / 20 % 40] END, '{}'
FROM (SELECT *, row_number() OVER (ORDER BY application_id) AS n FROM review_case
    WHERE state = 'in_use') decided
"""


async def test_what_waits_beside_the_cases_is_found_without_what_was_answered(
    stocked: Bank,
) -> None:
    """Of an officer what is theirs alone is read, of nobody's what is open."""
    conn = await asyncpg.connect(stocked.superuser_url)
    try:
        for statement in (_APPEALS, _LIMIT_CHANGES):
            await conn.execute(statement, REVIEWERS)
        await conn.execute("VACUUM (ANALYZE) appeal, limit_change")
        opened = (
            "SELECT count(*) FROM (SELECT claimed_by FROM appeal WHERE outcome IS NULL UNION ALL"
            " SELECT claimed_by FROM limit_change WHERE state = 'deciding') AS open"
        )
        own = await conn.fetchval(f"{opened} WHERE claimed_by = $1", REVIEWERS[3])
        everything = await conn.fetchval(opened)
        assert 0 < own < everything / 20
        for branches in REACHES.values():
            for who, most in ((REVIEWERS[3], own), (None, everything)):
                asked = officer_store.beside_statement(branches, who, PAGE, knows_holds=True)
                plan = await explained(conn, *asked)
                there = [
                    node for node in plan if node.get("Relation Name") in ("appeal", "limit_change")
                ]
                assert "Seq Scan" not in {node["Node Type"] for node in there}
                assert sum(rows_read(node) for node in there) <= most
        gold = await officer_store.beside_of(
            conn, None, None, PAGE, knows_holds=True, products=["gold"]
        )
        assert {one.product for one in gold} == {"gold"}
        others = await officer_store.beside_of(
            conn, None, None, 1000, knows_holds=True, officers=REVIEWERS[1:]
        )
        assert {one.claimed_by for one in others} == {None, REVIEWERS[0]}
    finally:
        await conn.close()
