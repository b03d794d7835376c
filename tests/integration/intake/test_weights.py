"""Every page of intake with as many rows as it may have: light enough for a branch's line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import httpx
import pytest
import pytest_asyncio

from deploy import local
from deploy.provision import provision
from shared.events import intake
from shared.identifiers import new_id
from shared.messaging import Fact
from shared.privacy.vault_database import read_bank_key
from tests.eventually import eventually
from tests.integration.intake.conftest import MORNING
from tests.integration.intake.office import (
    BRANCH,
    Customer,
    Office,
)
from tests.integration.intake.stock import NAMES, fill
from tests.integration.intake.test_batches import load, row, sheet
from tests.integration.intake.test_batches import until as until_table
from tests.integration.intake.test_customer import Phone, inside
from tests.stack import running
from tests.weighing import MOST_BYTES, pages_of, weight_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

# What people get that is no page: files, pictures, ways on to other addresses.
NO_PAGES = {
    "/intake/applications/{application_id}/access/give",
    "/intake/applications/{application_id}/documents/{document_id}/pages/{number}",
    "/intake/applications/{application_id}/documents/{document_id}/thumbnail",
    "/intake/applications/{application_id}/checklist.pdf",
    "/intake/batches/{batch_id}/rejected.{kind}",
    "/progress/application/list.pdf",
    "/sign-in/provider",
    "/sign-in/provider/callback",
}
# All services have them alike; the browser's tests weigh them where something is parked.
OF_ALL_SERVICES = {
    "/intake/operations/parked/{number}",
    "/intake/operations/parked/failed",
}
_ONE = "/intake/applications/{application_id}"
# {page: (who looks, what is asked beside)}
PAGES: dict[str, tuple[str, str]] = {
    "/intake/applications": ("auditor", ""),
    "/intake/work": ("auditor", "section=returned"),
    "/intake/applications/new": ("assistant", ""),
    "/intake/applications/search": ("assistant", ""),
    _ONE: ("assistant", ""),
    _ONE + "/form": ("assistant", ""),
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
    "/intake/operations/parked": ("ops", ""),
    "/intake/operations/parked/many": ("ops", "action=retry"),
    "/sign-in": ("", ""),
    "/progress": ("", ""),
    "/progress/application": ("customer", ""),
    "/progress/application/code": ("customer", ""),
    "/progress/application/items/{item}": ("customer", ""),
    "/progress/application/fields": ("customer", ""),
    "/progress/application/consent": ("customer", ""),
    "/progress/application/withdraw": ("customer", ""),
}
# How many lines of a table a full list has: its head, and a page of rows.
FULL = {
    "/intake/applications": 31,
    "/intake/work": 31,
    "/intake/audit": 51,
    "/intake/staff": 51,
    "/intake/batches/{batch_id}": 31,
}
MANY = 60
FOUND = 30  # of what was found, so many are shown


@dataclass(frozen=True, slots=True)
class Full:
    """An office in which every list is full, and who looks."""

    office: Office
    who: dict[str, httpx.AsyncClient]
    parts: dict[str, str]  # of addresses
    draft: Customer

    def address(self, page: str) -> str:
        """Of an application of which every page says most: its form is a draft's."""
        parts = dict(self.parts)
        if page.endswith("/form"):
            parts["application_id"] = self.draft.application_id
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
        yield await filled(office)


async def stock(office: Office) -> None:
    """Two thousand applications, of which hundreds are of people of one name."""
    pattern = (await office.handed_over()).application_id
    conn, vault = [await asyncpg.connect(url) for url in (office.superuser_url, office.vault_url)]
    blind = read_bank_key(office.settings).blind
    try:
        before = MORNING - timedelta(hours=1)
        await fill(conn, vault, 2_000, now=before, pattern=pattern, blind=blind)
        await vault.execute(
            "UPDATE vault.blind_index SET digest = $1 WHERE kind = 'name' AND party_id IN"
            " (SELECT party_id FROM vault.blind_index WHERE kind = 'name'"
            " ORDER BY party_id DESC LIMIT 400)",
            blind("name", NAMES[0]),
        )
    finally:
        await conn.close()
        await vault.close()


async def filled(office: Office) -> Full:
    """More applications, staff and rows of a table than a page shows."""
    who = {
        role: await office.colleague(role) for role in ("assistant", "manager", "auditor", "ops")
    }
    await stock(office)
    async with office.service.transaction() as tx:
        for number in range(MANY):
            staff_id = new_id()
            payload = intake.StaffChanged(
                staff_id=staff_id,
                username=f"staff-{number}",
                display_name=f"甲{number}",
                roles=["assistant", "manager"],
                branches=[BRANCH],
                desk="assistant",
                session_epoch=1,
            )
            await tx.append([Fact(payload)], subject=staff_id)
    clerk = who["assistant"]
    bad = [row(office, mobile="1", id_number="1", name="", consent_date="x") for _ in range(MANY)]
    table = await load(clerk, sheet(*bad))
    await until_table(office, table, "checked")
    customer, phone = await inside(office, clerk, party={"office_phone": "1"}, consent=None)
    await office.all_papers(customer)
    who["customer"] = phone.client

    async def known() -> bool:
        page = await who["manager"].get("/intake/staff")
        return page.text.count("<tr") >= FULL["/intake/staff"]

    await eventually(known)
    (paper,) = await office.fetch(
        "SELECT document_id FROM document WHERE application_id = $1 AND item = 'id_front'",
        customer.application_id,
    )
    log = await who["auditor"].get("/intake/audit", params={"kind": "change"})
    line = re.search(r"/intake/audit/([a-z-]+)/(\d+)/values", log.text)
    assert line
    parts = {
        "application_id": customer.application_id,
        "document_id": paper["document_id"],
        "role": "applicant",
        "field": "mobile",
        "source": line[1],
        "number": line[2],
        "staff_id": staff_id,
        "batch_id": table.rpartition("/")[2],
        "item": "work_proof",
    }
    return Full(office, who, parts, await office.begun())


def test_every_page_of_intake_is_weighed(full: Full) -> None:
    assert PAGES.keys() | NO_PAGES | OF_ALL_SERVICES == pages_of(full.office.app)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_light_with_as_many_rows_as_it_may_have(full: Full, page: str) -> None:
    who, query = PAGES[page]
    client = full.who.get(who) or Phone.at(full.office).client
    for language in ("zh-CN", "en"):
        answer = await client.get(
            f"{full.address(page)}?{query}&lang={language}", headers={"Accept": "text/html"}
        )
        assert await weight_of(client, answer) <= MOST_BYTES, language
        assert answer.text.count("<tr") >= FULL.get(page, 0)


async def test_what_a_search_finds_is_light(full: Full) -> None:
    """More people share a name than are shown."""
    clerk = full.who["auditor"]
    found = await clerk.post("/intake/applications/search", data={"value": NAMES[0]})
    assert found.text.count("<tr") == FOUND + 1
    assert await weight_of(clerk, found) <= MOST_BYTES
