"""Lists at a size at which a plan tells: by what the database does, not by how long it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy import local
from deploy.provision import provision
from services.intake import store_lists
from services.intake.filters import ListFilter
from services.intake.pages_lists import PAGE_SIZE, SECTIONS, wanted_by
from services.intake.store_lists import Wanted
from shared.privacy.vault_database import read_bank_key
from shared.web.lists import MOST_COUNTED, Place
from shared.web.permissions import WHOLE_BANK, Permission, Reach, Viewer
from tests.integration.intake.conftest import MORNING
from tests.integration.intake.office import BRANCH, OTHER_BRANCH, Office
from tests.integration.intake.stock import BRANCHES, NAMES, fill
from tests.plans import explained, rows_read
from tests.stack import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 20_000
MOST_READ = 4_000  # rows of the table or an index that a page may touch, of twenty thousand


@pytest.fixture(scope="module")
def stocked_stack() -> Iterator[local.Stack]:
    # of its own: other tests count what the package's office holds
    with running("intake-lists", durable=False) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(
    stocked_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    """An office with twenty thousand applications of three years."""
    folder = tmp_path_factory.mktemp("intake-lists")
    await provision(stocked_stack)
    async with Office.on(stocked_stack, folder, MORNING) as office:
        done = await office.handed_over()
        intake = await asyncpg.connect(office.superuser_url)
        vault = await asyncpg.connect(office.vault_url)
        try:
            await fill(
                intake,
                vault,
                ROWS,
                now=MORNING - timedelta(hours=1),
                pattern=done.application_id,
                blind=read_bank_key(office.settings).blind,
            )
        finally:
            await intake.close()
            await vault.close()
        yield office


def viewer(*branches: str, holds: bool = True) -> Viewer:
    """Somebody of these branches; of all, where none is named."""
    return Viewer(
        staff_id="A0101",
        name="林晓岚",
        roles=frozenset(),
        grants={Permission.HOLD_VIEW: WHOLE_BANK} if holds else {},
        reach=Reach(frozenset(branches)) if branches else WHOLE_BANK,
        language="zh-CN",
    )


VIEWERS = {
    "one branch": viewer(BRANCH, holds=False),
    "some branches": viewer(*BRANCHES[:12]),
    "many branches": viewer(BRANCH, *BRANCHES),
    "the bank": viewer(),
}
QUERIES = [
    "",
    *(f"sort={one}" for one in ("number", "-number", "begun", "since", "-since", "due", "-due")),
    *("state=open", "state=in_use", "state=pre_check&sort=since", "desk=operations"),
    *("waiting=customer&sort=number", "age=day", "age=week&sort=since", "age=over-90&state=open"),
    *("due=overdue", "due=in-3&sort=due", f"branch={BRANCHES[3]}&sort=-number"),
    "product=business",
    "channel=partner&sort=-since",
]


def wholes(plan: list[dict[str, Any]], *, sieved: bool = False) -> list[str]:
    """Where the database went through everything. `sieved`: what does not fit may be passed over,
    in an index and nowhere else."""
    found = []
    for node in plan:
        kind, there = node["Node Type"], node.get("Relation Name") == "application"
        many = rows_read(node) > MOST_READ and not (sieved and kind == "Index Only Scan")
        if (there and kind == "Seq Scan") or ((there or kind == "Sort") and many):
            found.append(f"{kind} of {rows_read(node)} rows")
    return found


@pytest.mark.parametrize("who", VIEWERS)
@pytest.mark.parametrize("query", QUERIES)
async def test_a_page_reads_what_it_shows(stocked: Office, who: str, query: str) -> None:
    """And so does the page behind its last row; nothing is scanned or sorted as a whole."""
    chosen = ListFilter.read(dict(part.split("=") for part in query.split("&") if part))
    wanted = wanted_by(chosen, VIEWERS[who], MORNING)
    async with stocked.service.pool.acquire() as conn:
        place: Place | None = None
        for _ in range(2):
            plan = await explained(conn, *store_lists.page_statement(wanted, 30, after=place))
            assert wholes(plan, sieved=bool(wanted.product or wanted.channel)) == []
            page = await store_lists.page_of(conn, wanted, 30, after=place)
            if page.after is None:
                break
            place = page.after


@pytest.mark.parametrize("who", VIEWERS)
@pytest.mark.parametrize("query", ["", "state=open", "age=week", "due=overdue"])
async def test_counting_scans_no_table(stocked: Office, who: str, query: str) -> None:
    """Of no state more is counted than is told."""
    chosen = ListFilter.read(dict(part.split("=") for part in query.split("&") if part))
    wanted = wanted_by(chosen, VIEWERS[who], MORNING)
    async with stocked.service.pool.acquire() as conn:
        plan = await explained(conn, *store_lists.counts_statement(wanted))
    kinds = {one["Node Type"] for one in plan if one.get("Relation Name") == "application"}
    assert "Seq Scan" not in kinds
    most = (MOST_COUNTED + 1) * len(wanted.states)
    assert sum(rows_read(n) for n in plan if n.get("Relation Name") == "application") <= most


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("who", ["one branch", "the bank"])
async def test_the_work_reads_what_it_shows(stocked: Office, who: str, section: str) -> None:
    wanted = wanted_of(section, VIEWERS[who])
    async with stocked.service.pool.acquire() as conn:
        for statement in (
            store_lists.page_statement(wanted, 30, items=True),
            store_lists.counts_statement(wanted),
        ):
            assert wholes(await explained(conn, *statement)) == []


def wanted_of(section: str, who: Viewer) -> Wanted:
    from services.intake.pages_lists import _of_section

    return _of_section(section, wanted_by(ListFilter(sort="since"), who, MORNING), MORNING)


@pytest.mark.parametrize("who", VIEWERS)
@pytest.mark.parametrize("query", QUERIES)
async def test_page_by_page_it_is_the_whole_list_in_order(
    stocked: Office, who: str, query: str
) -> None:
    """The same as one sorted statement over all rows gives, onwards and back again."""
    chosen = ListFilter.read(dict(part.split("=") for part in query.split("&") if part))
    viewing = VIEWERS[who]
    wanted = wanted_by(chosen, viewing, MORNING)
    way = "DESC" if wanted.descending else "ASC"
    key = {
        "begun": "created_at",
        "since": "CASE WHEN state = ANY ($8) THEN created_at ELSE state_since END",
        "due": "due_at",
        "number": "application_number",
    }[wanted.key]
    expected = await stocked.fetch(
        "SELECT application_number FROM application"
        " WHERE state = ANY ($1) AND ($2::text[] IS NULL OR branch = ANY ($2))"
        " AND ($3 = '' OR product = $3) AND ($4 = '' OR channel = $4)"
        " AND ($5::timestamptz IS NULL OR created_at >= $5)"
        " AND ($6::timestamptz IS NULL OR created_at < $6)"
        " AND ($7::timestamptz IS NULL OR due_at < $7) AND $8::text[] IS NOT NULL"
        " AND ($9::timestamptz IS NULL OR due_at >= $9)"
        f" ORDER BY {key} {way}, application_number {way} LIMIT 95",
        list(wanted.states),
        wanted.branches,
        wanted.product,
        wanted.channel,
        wanted.begun.start,
        wanted.begun.end,
        wanted.term.end,
        list(wanted.hidden),
        wanted.term.start,
    )
    numbers = [row[0] for row in expected]
    found: list[str] = []
    back: list[str] = []
    async with stocked.service.pool.acquire() as conn:
        place: Place | None = None
        while len(found) < len(numbers):
            page = await store_lists.page_of(conn, wanted, 20, after=place)
            found += [row.application_number for row in page.rows]
            place = page.after
            if place is None:
                break
            if len(found) == 40:
                before = await store_lists.page_of(conn, wanted, 20, before=page.before)
                back = [row.application_number for row in before.rows]
                assert before.before is None
                assert before.after is not None
    assert found[: len(numbers)] == numbers[: len(found)]
    assert len(found) >= len(numbers)
    assert back == (numbers[:20] if len(numbers) > 40 else [])


async def test_counts_follow_the_filter_and_stop_at_a_thousand(stocked: Office) -> None:
    async with stocked.service.pool.acquire() as conn:
        for query in ({}, {"product": "business"}, {"branch": BRANCH}, {"age": "over-30"}):
            wanted = wanted_by(ListFilter.read(query), VIEWERS["the bank"], MORNING)
            counted = await store_lists.counts_of(conn, wanted)
            rows = await stocked.fetch(
                "SELECT state, count(*) AS n FROM application"
                " WHERE ($1 = '' OR product = $1) AND ($2 = '' OR branch = $2)"
                " AND ($3::timestamptz IS NULL OR created_at < $3) GROUP BY state",
                query.get("product", ""),
                query.get("branch", ""),
                wanted.begun.end,
            )
            exact = {row["state"]: row["n"] for row in rows}
            assert {one: n for one, n in counted.by_state.items() if n} == {
                one: min(n, MOST_COUNTED + 1) for one, n in exact.items()
            }
            total = counted.of(wanted.states)
            assert total.counted == min(sum(exact.values()), MOST_COUNTED)
            assert total.more == (sum(exact.values()) > MOST_COUNTED)


async def test_a_common_name_says_that_there_are_more(stocked: Office) -> None:
    """The latest are shown; of one branch there are few enough."""
    name = NAMES[0]
    vault = await asyncpg.connect(stocked.vault_url)
    blind = read_bank_key(stocked.settings).blind
    try:
        await vault.execute(
            "UPDATE vault.blind_index SET digest = $1 WHERE kind = 'name' AND party_id IN"
            " (SELECT party_id FROM vault.blind_index WHERE kind = 'name'"
            " ORDER BY party_id DESC LIMIT 400)",
            blind("name", name),
        )
    finally:
        await vault.close()
    everywhere = await stocked.colleague("auditor")
    page = await everywhere.post(
        "/intake/applications/search", data={"value": name}, params={"lang": "en"}
    )
    assert page.text.count('data-label="Application"') == PAGE_SIZE
    assert "There are more than are shown here" in page.text
    here = await stocked.colleague("assistant", branch=OTHER_BRANCH)
    page = await here.post(
        "/intake/applications/search", data={"value": name}, params={"lang": "en"}
    )
    assert "No application found" in page.text
    assert name not in page.text
