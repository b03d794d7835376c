"""Every page of intake with as many rows as it may have: light enough for a branch's line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from deploy import local
from deploy.provision import provision
from shared.parameters import load_papers
from shared.privacy.vault_database import read_bank_key
from tests.integration.intake.conftest import MORNING
from tests.integration.intake.office import BRANCH, SALARIED_PAPERS, Customer, Office
from tests.integration.intake.stock import NAMES, fill
from tests.integration.intake.test_batches import load, row, sheet
from tests.integration.intake.test_batches import number as table_of
from tests.integration.intake.test_batches import until as until_table
from tests.integration.intake.test_counter import begun
from tests.integration.intake.test_customer import Phone, code_for, declined, inside
from tests.integration.intake.test_reading import Canned, lines, reader_of
from tests.stack import running
from tests.weighing import MOST_BYTES, common_pages, copy_row, pages_of, weight_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ONE = "/intake/applications/{application_id}"
# What people get that is no page: files, pictures, ways on to other addresses.
NO_PAGES = {
    _ONE + "/access/give",
    _ONE + "/checklist.pdf",
    _ONE + "/documents/{document_id}/pages/{number}",
    _ONE + "/documents/{document_id}/thumbnail",
    _ONE + "/items/{item}/ask",
    _ONE + "/items/{party}/{item}/{verdict}",
    _ONE + "/meetings",
    _ONE + "/withdraw",
    "/intake/batches/{batch_id}/rejected.{kind}",
    "/progress/application/code",
    "/progress/application/list.pdf",
}
# Whatever the page is of: who looks, what is asked beside it.
PAGES: dict[str, tuple[str, str]] = {
    "/intake/applications": ("auditor", ""),
    "/intake/work": ("auditor", "section=returned"),
    "/intake/applications/new": ("assistant", ""),
    "/intake/applications/search": ("assistant", ""),
    _ONE: ("assistant", ""),
    _ONE + "/form": ("assistant", ""),
    _ONE + "/corrections": ("assistant", ""),
    _ONE + "/limit-change": ("assistant", ""),
    _ONE + "/readings": ("assistant", ""),
    _ONE + "/history": ("assistant", ""),
    _ONE + "/checklist": ("assistant", "reader=office"),
    _ONE + "/register": ("assistant", ""),
    _ONE + "/access": ("assistant", ""),
    _ONE + "/persons/{role}/{field}": ("assistant", ""),
    _ONE + "/documents/{document_id}": ("assistant", ""),
    _ONE + "/documents/{document_id}/reading": ("assistant", ""),
    "/intake/audit": ("auditor", "since=2020-01-01"),
    "/intake/audit/{source}/{number}/values": ("auditor", ""),
    "/intake/staff": ("manager", ""),
    "/intake/staff/{staff_id}": ("manager", ""),
    "/intake/sessions": ("assistant", ""),
    "/intake/batches/new": ("assistant", ""),
    "/intake/batches/{batch_id}": ("assistant", ""),
    "/intake/batches/{batch_id}/progress": ("assistant", ""),
    "/sign-in": ("", ""),
    "/progress": ("", ""),
    "/progress/application": ("customer", ""),
    "/progress/application/items/{item}": ("customer", ""),
    "/progress/application/fields": ("customer", ""),
    "/progress/application/consent": ("customer", ""),
    "/progress/application/withdraw": ("customer", ""),
    "/progress/application/appeal": ("declined", ""),
    "/progress/application/dispute": ("declined", ""),
}
# How many lines of a table a full list has: its head, and a page of rows.
FULL = {
    "/intake/applications": 31,
    "/intake/work": 31,
    "/intake/audit": 51,
    "/intake/staff": 51,
    "/intake/batches/{batch_id}": 31,
    _ONE + "/register": 51,
}
# Whose styles and scripts count as they are sent, packed: it has more to say than any other page.
AS_SENT = {_ONE}
MANY = 60
FOUND = 30  # of what was found, so many are shown


@dataclass(frozen=True, slots=True)
class Full:
    """An office in which every list is full, and who looks."""

    office: Office
    who: dict[str, httpx.AsyncClient]
    parts: dict[str, str]  # of addresses
    draft: Customer
    working: str  # a table that is not done

    def address(self, page: str) -> str:
        """Of an application of which every page says most: its form is a draft's."""
        parts = dict(self.parts)
        if page.endswith("/form"):
            parts["application_id"] = self.draft.application_id
        if page.endswith("/progress"):
            parts["batch_id"] = self.working
        return page.format(**parts)


@pytest.fixture(scope="module")
def full_stack() -> Iterator[local.Stack]:
    # of its own: other tests count what the package's office holds
    with running("intake-weights", durable=False) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(
    full_stack: local.Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Full]:
    folder = tmp_path_factory.mktemp("intake-weights")
    await provision(full_stack)
    async with Office.on(full_stack, folder, MORNING) as office:
        conn, holding = [await asyncpg.connect(office.superuser_url) for _ in "12"]
        try:
            yield await filled(office, conn, holding)
        finally:
            await holding.close()
            await conn.close()


async def stock(office: Office, conn: Any) -> None:
    """Thousands of applications, of which hundreds are of people of one name."""
    pattern = (await office.handed_over()).application_id
    vault = await asyncpg.connect(office.vault_url)
    blind = read_bank_key(office.settings).blind
    try:
        before = MORNING - timedelta(hours=1)
        await fill(conn, vault, 6_000, now=before, pattern=pattern, blind=blind)
        await vault.execute(
            "UPDATE vault.blind_index SET digest = $1 WHERE kind = 'name' AND party_id IN"
            " (SELECT party_id FROM vault.blind_index WHERE kind = 'name'"
            " ORDER BY party_id DESC LIMIT 400)",
            blind("name", NAMES[0]),
        )
    finally:
        await conn.execute("RESET session_replication_role")
        await vault.close()


async def staffed(conn: Any) -> None:
    await conn.executemany(
        "INSERT INTO staff (staff_id, username, display_name, roles, branches, desk)"
        " VALUES ($1, $2, $3, $4, $5, 'assistant')",
        [
            (f"A{n:04d}", f"staff-{n}", f"甲{n}", ["assistant", "manager"], [BRANCH])
            for n in range(MANY)
        ],
    )


async def with_papers(office: Office, conn: Any, customer: Customer) -> str:
    """As many papers as the office takes of one application, one of them a card that a machine has
    read, and a long history; the card's id."""
    await office.all_papers(customer)
    (card,) = await office.fetch(
        "SELECT document_id FROM document WHERE application_id = $1 AND item = 'id_front'",
        customer.application_id,
    )
    most = load_papers()
    for item in SALARIED_PAPERS:
        (paper,) = await office.fetch(
            "SELECT document_id FROM document WHERE application_id = $1 AND item = $2",
            *(customer.application_id, item),
        )
        await copy_row(
            conn,
            "document",
            paper["document_id"],
            most.most_of_item - 1,
            *("document_id", "document_number"),
        )
    for table, columns in (
        ("application_history", "application_id, at, actor, action, details, revision"),
        (
            "checklist_change",
            "application_id, party, item, at, actor, action, was, state, codes, why",
        ),
    ):
        await conn.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table},"
            " generate_series(1, 40) WHERE application_id = $1",
            customer.application_id,
        )
    await office.drawn(card["document_id"])
    machine = Canned()
    machine.pages = [lines("姓名欧阳一", "住址浦东新区望江路七号", "公民身份号码" + "1" * 18)]
    while await reader_of(office, machine).once():
        pass
    machine.close()
    return str(card["document_id"])


async def under_way(office: Office, conn: Any, holding: Any, clerk: httpx.AsyncClient) -> str:
    """A table whose rows are looked at for as long as `holding` keeps the workers from it."""
    table = table_of(await load(clerk, sheet(row(office))))
    await until_table(office, table, "checked")
    await holding.execute("BEGIN")
    await holding.execute("SELECT FROM batch WHERE batch_id = $1 FOR KEY SHARE", table)
    await conn.execute("UPDATE batch SET state = 'checking' WHERE batch_id = $1", table)
    return table


async def filled(office: Office, conn: Any, holding: Any) -> Full:
    """More applications, staff and rows of a table than a page shows."""
    who = {role: await office.colleague(role) for role in ("assistant", "manager", "auditor")}
    await stock(office, conn)
    await staffed(conn)
    clerk = who["assistant"]
    bad = [row(office, mobile="1", id_number="1", name="", consent_date="x") for _ in range(MANY)]
    table = await load(clerk, sheet(*bad))
    await until_table(office, table, "checked")
    customer, phone = await inside(office, clerk, party={"office_phone": "1"}, consent=None)
    who["customer"] = phone.client
    refused = await declined(office)
    who["declined"] = (turned_away := Phone.at(office)).client
    await turned_away.enter(refused.number, await code_for(office, refused, clerk))
    card = await with_papers(office, conn, customer)
    shown = await clerk.post(
        f"/intake/applications/{customer.application_id}/persons/applicant/mobile",
        data={"why": "contact", "text": "约定补件时间"},
    )
    assert shown.status_code == 200
    log = await who["auditor"].get("/intake/audit", params={"kind": "read"})
    line = re.search(r"/intake/audit/([a-z-]+)/(\d+)/values", log.text)
    assert line
    parts = {
        "application_id": customer.application_id,
        "document_id": card,
        "role": "applicant",
        "field": "mobile",
        "source": line[1],
        "number": line[2],
        "staff_id": "A0000",
        "batch_id": table_of(table),
        "item": "work_proof",
    }
    working = await under_way(office, conn, holding, clerk)
    return Full(office, who, parts, await begun(office, clerk), working)


async def test_every_page_of_intake_is_weighed(full: Full) -> None:
    assert PAGES.keys() | NO_PAGES | common_pages("intake") == pages_of(full.office.app)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_light_with_as_many_rows_as_it_may_have(full: Full, page: str) -> None:
    who, query = PAGES[page]
    client = full.who.get(who) or Phone.at(full.office).client
    for language in ("zh-CN", "en"):
        answer = await client.get(
            f"{full.address(page)}?{query}&lang={language}", headers={"Accept": "text/html"}
        )
        weight = await weight_of(client, answer, as_sent=page in AS_SENT)
        assert weight <= MOST_BYTES, language
        assert answer.text.count("<tr") >= FULL.get(page, 0)


async def test_what_a_search_finds_is_light(full: Full) -> None:
    """More people share a name than are shown."""
    clerk = full.who["auditor"]
    found = await clerk.post("/intake/applications/search", data={"value": NAMES[0]})
    assert found.text.count("<tr") == FOUND + 1
    assert await weight_of(clerk, found) <= MOST_BYTES
