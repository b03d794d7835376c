"""The audit log: everything that somebody looked at or changed, and nothing in clear."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake.accounts import DEMO_PASSWORD, Accounts, load, set_password
from services.intake.audit import LOG
from services.intake.audit_words import KINDS
from services.intake.organisation import read_organisation
from shared.postgres.pool import app_role
from shared.web.audit import Line, Place, Wanted
from tests.integration.intake.office import API, MOBILE, Customer, Office, audited
from tests.integration.intake.test_organisation import FILE

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_MOBILE = "13911112222"
# people of its own: other tests count what became of theirs
OWN_FILE = FILE.replace("T000", "T010").replace("tester", "audited").replace("other", "another")
PAGE = "/intake/audit"


async def lines_of(office: Office, **wanted: Any) -> list[Line]:
    async with office.service.pool.acquire() as conn:
        return await LOG.find(conn, Wanted(**wanted), 1000)


async def a_busy_case(office: Office, client: httpx.AsyncClient) -> Customer:
    """An application of which somebody sees a field and a paper, and corrects the form."""
    customer = await office.begun()
    here = f"/intake/applications/{customer.application_id}"
    shown = await client.post(
        f"{here}/persons/applicant/mobile", data={"why": "contact", "text": "约定补件时间"}
    )
    assert MOBILE in shown.text
    answer = await client.patch(
        f"{API}/applications/{customer.application_id}",
        json={"parties": [{"role": "applicant", "mobile": OTHER_MOBILE}]},
    )
    assert answer.status_code == 200, answer.text
    document = (await office.upload(customer, "id_front")).json()["document_id"]
    await office.drawn(document)
    assert (await client.get(f"{here}/documents/{document}/pages/1")).status_code == 200
    return customer


def cell(page: str, source: str) -> str:
    """Where the values of the first line of a source are asked for."""
    found = re.search(rf'href="({PAGE}/{source}/\d+/values)"', page)
    assert found, f"no line of {source} has values"
    return found[1]


async def test_what_was_looked_at_and_changed_is_found_and_opened_for_a_reason(
    office: Office,
) -> None:
    client, auditor = await office.colleague("assistant"), await office.colleague("auditor")
    customer = await a_busy_case(office, client)
    of_it = {"number": customer.number}
    page = await audited(auditor, **of_it)
    for words in (
        "One field in clear",
        "Applicant · Mobile",
        "To call or write to the customer",
        "Form corrected",
        "Paper received",
        "Seen, page 1",
        "ID card, portrait side",
    ):
        assert words in page, words
    for secret in (MOBILE, OTHER_MOBILE, "约定补件时间", customer.id_number):
        assert secret not in page

    values = cell(page, "history")
    within = {"HX-Request": "true"}
    for reason in ({}, {"why": "other"}, {"why": "because"}):
        refused = await auditor.post(values, data=reason, headers=within)
        assert OTHER_MOBILE not in refused.text
        assert "is-invalid" in refused.text
    opened = await auditor.post(values, data={"why": "inspection"}, headers=within)
    assert f"<del>{MOBILE}</del>" in opened.text
    assert f"<ins>{OTHER_MOBILE}</ins>" in opened.text
    assert "约定补件时间" in (await auditor.post(cell(page, "view"), data={"why": "asked"})).text
    # who opened it stands there, too
    page = await audited(auditor, "zh-CN", **of_it, kind="read")
    assert page.count("查看审计记录内容") == 2
    assert "检查或审计" in page


async def test_no_value_stands_in_clear_where_it_is_kept(office: Office) -> None:
    customer = await a_busy_case(office, await office.colleague("assistant"))
    for line in await lines_of(office, application_id=customer.application_id):
        for secret in (MOBILE, OTHER_MOBILE, "约定补件时间", customer.id_number):
            assert secret not in str(line), line


async def test_the_values_of_whom_the_office_forgot_are_gone(office: Office) -> None:
    client, auditor = await office.colleague("assistant"), await office.colleague("auditor")
    customer = await a_busy_case(office, client)
    (row,) = await office.fetch(
        "SELECT person FROM application WHERE application_id = $1", customer.application_id
    )
    vault = await office.service.archive.vault()
    await vault.destroy(row["person"], office.now, on_duty=False)
    page = await audited(auditor, "zh-CN", number=customer.number)
    assert "更正申请表" in page
    for text in ("", "年度检查"):
        reason = {"why": "inspection", "text": text}
        opened = await auditor.post(cell(page, "history"), data=reason)
        assert opened.status_code == 200
        assert "已删除" in opened.text
        assert OTHER_MOBILE not in opened.text


@pytest.mark.parametrize("role", ["assistant", "reviewer", "risk_officer", "manager", "ops"])
async def test_the_log_is_for_auditors_and_compliance(office: Office, role: str) -> None:
    client = await office.colleague(role)
    for answer in (
        await client.get(PAGE),
        await client.get(f"{PAGE}/view/1/values"),
        await client.post(f"{PAGE}/view/1/values", data={"why": "inspection"}),
    ):
        assert answer.status_code == 403
    assert (await (await office.colleague("compliance")).get(PAGE)).status_code == 200


async def test_every_line_is_met_once_page_by_page(office: Office) -> None:
    customer = await a_busy_case(office, await office.colleague("assistant"))
    of_it = Wanted(application_id=customer.application_id)
    whole = await lines_of(office, application_id=customer.application_id)
    assert len(whole) > 9
    met: list[Line] = []
    place: Place | None = None
    async with office.service.pool.acquire() as conn:
        while part := await LOG.find(conn, replace(of_it, before=place), 3):
            met += part
            place = Place.read(str(part[-1].place))
            assert place == part[-1].place
    assert met == whole
    assert len({str(one.place) for one in met}) == len(met)
    assert [one.place.at for one in met] == sorted((o.place.at for o in met), reverse=True)


async def test_the_log_is_narrowed_by_person_kind_and_time(office: Office) -> None:
    client, auditor = await office.colleague("assistant"), await office.colleague("auditor")
    customer = await a_busy_case(office, client)
    (row,) = await office.fetch(
        "SELECT DISTINCT staff_id FROM personal_view WHERE application_id = $1",
        customer.application_id,
    )
    own = await lines_of(office, who=[f"staff:{row['staff_id']}"])
    assert {"field", "page", "corrected"} <= {one.action for one in own}
    assert {one.actor for one in own} == {f"staff:{row['staff_id']}"}
    for kind in KINDS:
        assert {one.kind for one in await lines_of(office, kind=kind)} <= {kind}
    later = office.now + timedelta(days=3650)
    assert await lines_of(office, since=later) == []
    for asked in ({"who": row["staff_id"]}, {"who": f"甲{row['staff_id'][-4:]}"}):
        page = await audited(auditor, **asked)
        assert "One field in clear" in page
    for asked in (
        {"who": "nobody"},
        {"number": "999"},
        {"since": "2099-01-01"},
        {"until": "2020-01-01"},
        {"until": "9999-12-31", "number": "1", "since": "0001-01-01"},
        {"who": "nobody", "kind": "nonsense", "since": "yesterday"},
    ):
        assert "Nothing fits" in await audited(auditor, **asked), asked
    nonsense = {"before": "nonsense", "kind": "-", "who": "-", "lang": "zh-CN"}
    assert "没有符合条件的记录" in (await auditor.get(PAGE, params=nonsense)).text


async def test_changes_of_the_office_say_who_what_and_why(office: Office) -> None:
    settings, clock = office.service.settings, office.service.clock
    await load(settings, clock, read_organisation(OWN_FILE), who="staff:B0001")
    changed = OWN_FILE.replace("测试员, roles: [assistant]", "测试员, roles: [assistant, reviewer]")
    await load(settings, clock, read_organisation(changed), who="staff:B0001", why="换岗")
    await set_password(settings, clock, "audited", "quite a long one", who="staff:B0001")
    accounts = Accounts(office.service)
    await accounts.verify("audited", "wrong")
    await accounts.verify("audited", DEMO_PASSWORD)
    await accounts.verify("audited", "quite a long one")
    (line, *_) = [
        one
        for one in await lines_of(office, kind="office")
        if (one.action, one.subject) == ("staff", "T0101")
    ]
    assert line.actor == "staff:B0001"
    assert line.details == {
        "old": {"roles": ["assistant"]},
        "new": {"roles": ["assistant", "reviewer"]},
        "why": "换岗",
    }
    auditor = await office.colleague("auditor")
    page = (await auditor.get(PAGE, params={"kind": "office", "lang": "en"})).text
    assert "换岗" in page
    assert "Password set" in page
    assert "quite a long one" not in page
    shown = re.sub(r"\s+", " ", page)
    assert "<del>Account manager&#39;s assistant</del>" in shown
    page = (await auditor.get(PAGE, params={"kind": "sign-in", "lang": "en"})).text
    assert "Wrong password" in page
    assert "Signed in" in page


async def test_a_line_cannot_be_changed_by_the_service(office: Office) -> None:
    async with office.service.pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == app_role("intake")
        for source in LOG.sources.values():
            for change in (f"DELETE FROM {source.table}", f"UPDATE {source.table} SET at = now()"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(change)


@pytest.mark.parametrize(
    "path", ["view/0/values", "office/1/values", "nonsense/1/values", "history/99999999/values"]
)
async def test_what_is_no_line_or_has_nothing_sealed_is_not_found(
    office: Office, path: str
) -> None:
    auditor = await office.colleague("auditor")
    assert (await auditor.get(f"{PAGE}/{path}")).status_code == 404
    answer = await auditor.post(f"{PAGE}/{path}", data={"why": "inspection"})
    assert answer.status_code == 404
