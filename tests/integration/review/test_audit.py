"""Review's audit log, what is masked and shown for a reason, and the queue as it is kept."""

from __future__ import annotations

import html
import re
from typing import Any

import asyncpg
import httpx
import pytest

from shared.postgres.pool import app_role
from tests.integration.review.bank import EMPLOYER, MOBILE, NAME, Bank
from tests.integration.review.conftest import Desks
from tests.integration.review.test_service import do, handed

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "客户来电核对"
INCOME = "13,579.00"


async def log(client: httpx.AsyncClient, language: str = "en", **asked: str) -> str:
    found = await client.post("/review/audit", data=asked)
    assert found.status_code == 303
    assert asked.get("number", "no number") not in found.headers["location"]
    page = await client.get(f"{found.headers['location']}&lang={language}")
    assert page.status_code == 200
    return page.text


async def test_what_is_masked_is_shown_one_at_a_time_for_a_reason_and_that_is_recorded(
    bank: Bank, desks: Desks
) -> None:
    form = {
        "id_issued": "2019-04-03",
        "id_expires": "2039-04-02",
        "home_address": "上海市黄浦区四川中路二百零六号",
        "work_address": "上海市徐汇区漕溪北路九十八号",
        "office_phone": "02164380987",
    }
    kind: dict[str, Any] = {"new_to_bank": True, "income": 13_579_00, **form}
    applicant = await handed(bank, "application.referred", **kind)
    here = f"/review/cases/{applicant.application_id}"
    page = (await desks.first.get(here, lang="en")).text
    clear = {
        "name": NAME,
        "id_number": applicant.id_number,
        **form,
        "mobile": applicant.mobile,
        "employer": EMPLOYER,
        "monthly_income": INCOME,
        "bureau": "Monthly debt",
        "limit": "Income times the policy&#39;s multiple",
    }
    for secret in (*clear.values(), WORDS):
        assert secret not in page
    within = {"HX-Request": "true"}
    for field, text in clear.items():
        where = f"{here}/fields/{field}"
        assert f'href="{where}"' in page, field
        asked = await desks.first.client.get(where, headers=within)
        assert text not in asked.text
        for reason in ({}, {"why": "other"}, {"why": "because"}):
            refused = await desks.first.client.post(where, data=reason, headers=within)
            assert text not in refused.text
            assert "is-invalid" in refused.text
        shown = await desks.first.client.post(
            where, data={"why": "decide", "text": WORDS}, headers=within
        )
        assert text in shown.text, field
        assert shown.headers["cache-control"] == "no-store"
        # the working of the limit begins with the income
        own = {field, "monthly_income"} if field == "limit" else {field}
        others = [other for name, other in clear.items() if name not in own]
        assert not [other for other in others if other in shown.text], field
    for path in ("nonsense", "email"):
        assert (await desks.first.get(f"{here}/fields/{path}")).status_code == 404
    rows = await bank.fetch(
        "SELECT what, party, field, why, reason FROM personal_view WHERE application_id = $1",
        applicant.application_id,
    )
    fields = [row for row in rows if row["what"] == "field"]
    assert [row["field"] for row in fields] == list(clear)
    assert {(row["party"], row["why"]) for row in fields} == {("applicant", "decide")}
    assert all(row["reason"].startswith("bk1.") for row in fields), "the words are sealed"

    auditor = await bank.colleague(desks.transport, "auditor")
    lines = await log(auditor.client, number=applicant.about["application_number"])
    for words in ("One field in clear", "ID number", "Working of the limit", "To decide on the"):
        assert words in lines, words
    for secret in (NAME, applicant.id_number, applicant.mobile, EMPLOYER, INCOME, WORDS):
        assert secret not in lines
    values = re.search(r'href="(/review/audit/view/\d+/values)"', lines)
    assert values is not None
    opened = await auditor.client.post(values[1], data={"why": "inspection"}, headers=within)
    assert WORDS in opened.text
    assert "A line of the audit log opened" in await log(auditor.client, kind="read")


async def test_who_may_not_reveal_is_not_offered_it(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    here = f"/review/cases/{applicant.application_id}"
    for role in ("auditor", "manager"):
        other = await bank.colleague(desks.transport, role)
        page = (await other.get(here, lang="en")).text
        assert "Income and debts are shown to those who decide." in page
        assert "/fields/" not in page
        refused = await other.client.post(f"{here}/fields/mobile", data={"why": "decide"})
        assert refused.status_code == 403


async def test_the_log_tells_what_was_done_with_a_case_and_confidences_to_compliance_alone(
    bank: Bank, desks: Desks
) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    number = applicant.about["application_number"]
    assert await do(desks.first, applicant, "claim") == 200
    assert await do(desks.first, applicant, "hold", {"reason": "other", "note": "疑似代办"}) == 200
    auditor = (await bank.colleague(desks.transport, "auditor")).client
    lines = await log(auditor, number=number)
    assert "Claimed" in lines
    assert "Handed over by intake" in lines
    assert "Handed to compliance" not in lines
    told = await log(desks.compliance.client, number=number)
    assert "Handed to compliance" in told
    assert "疑似代办" not in told
    values = re.search(r"/review/audit/(confidential/\d+)/values", told)
    assert values is not None
    where = f"/review/audit/{values[1]}/values"
    assert (await auditor.get(where)).status_code == 404
    opened = await desks.compliance.client.post(where, data={"why": "inspection"})
    assert "疑似代办" in opened.text
    taken = await auditor.get("/review/audit/table")
    assert taken.status_code == 200
    assert number in taken.text
    assert "疑似代办" not in taken.text
    assert "Audit log taken away as a file" in await log(auditor, kind="office")


@pytest.mark.parametrize("role", ["reviewer", "risk_officer", "manager"])
async def test_the_log_is_for_auditors_and_compliance(bank: Bank, desks: Desks, role: str) -> None:
    client = (await bank.colleague(desks.transport, role)).client
    for answer in (
        await client.get("/review/audit"),
        await client.post("/review/audit"),
        await client.get("/review/audit/table"),
        await client.post("/review/audit/view/1/values", data={"why": "inspection"}),
    ):
        assert answer.status_code == 403


async def test_no_line_of_the_log_can_be_changed_by_the_service(bank: Bank, desks: Desks) -> None:
    conn = await asyncpg.connect(bank.settings.postgres_url("banka_review", app_role("review")))
    try:
        for table in ("personal_view", "case_history", "office_change", "messaging.audit"):
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET at = now()"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(change)
    finally:
        await conn.close()


async def test_the_queue_is_read_page_by_page_in_any_order_and_meets_every_case_once(
    bank: Bank, desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.review.pages.PAGE_SIZE", 2)
    wanted = {
        (await handed(bank, "application.referred", new_to_bank=True)).application_id
        for _ in range(5)
    }
    for sort in ("", "due", "-due", "since", "-since", "number", "-number"):
        met: list[str] = []
        address = f"/review/queue?branch={bank.branch}&sort={sort}"
        while True:
            page = (await desks.first.client.get(address)).text
            shown = re.findall(r'class="mono" href="/review/cases/([0-9a-f-]{36})"', page)
            assert len(shown) <= 2
            met += shown
            further = re.search(r'rel="next" href="([^"]+)"', page)
            if further is None:
                break
            address = html.unescape(further[1])
        assert len(met) == len(set(met)), sort
        assert wanted <= set(met), sort
        back = re.search(r'rel="prev" href="([^"]+)"', page)
        assert back is not None
        before = (await desks.first.client.get(html.unescape(back[1]))).text
        again = re.findall(r'class="mono" href="/review/cases/([0-9a-f-]{36})"', before)
        assert again == met[-len(shown) - 2 : -len(shown)], sort
        if sort == "number":
            numbers = await bank.fetch(
                "SELECT application_id FROM review_case WHERE application_id = ANY ($1)"
                ' ORDER BY application_number COLLATE "C"',
                met,
            )
            assert [row["application_id"] for row in numbers] == met


async def test_what_is_typed_to_find_a_case_comes_into_no_address(bank: Bank, desks: Desks) -> None:
    applicant = await handed(bank, "application.referred", new_to_bank=True)
    number = applicant.about["application_number"]
    found = await desks.first.client.post("/review/queue/search", data={"value": f" {number} "})
    assert found.headers["location"] == f"/review/cases/{applicant.application_id}"
    for text in (applicant.id_number, MOBILE, NAME, "110120261116000011"):
        answer = await desks.first.client.post("/review/queue/search", data={"value": text})
        assert answer.headers["location"] == "/review/queue"
        assert text not in str(answer.headers)
    # and what somebody writes into an address themselves is not told again
    page = (await desks.first.get("/review/queue", product=MOBILE, q=MOBILE)).text
    assert MOBILE not in page.replace(f"q={MOBILE}", "").replace(f"product={MOBILE}", "")


async def test_a_view_of_the_queue_is_kept_shared_removed_and_told_in_the_log(
    bank: Bank, desks: Desks
) -> None:
    manager = (await bank.colleague(desks.transport, "manager", branch=bank.branch)).client
    clerk = (await bank.colleague(desks.transport, "reviewer", branch=bank.branch)).client
    kept = {
        "listed": "queue",
        "name": "本网点新客户",
        "query": f"flag=NEW_TO_BANK&sort=-due&q={MOBILE}&product={MOBILE}",
        "branch": bank.branch,
    }
    assert (await clerk.post("/review/views", data=kept)).status_code == 403
    assert (await manager.post("/review/views", data=kept)).status_code == 303
    assert (await manager.post("/review/views", data={**kept, "listed": "x"})).status_code == 404
    page = (await clerk.get("/review/queue")).text
    shown = re.search(r'href="([^"]*)"[^>]*><svg[^>]*>.*?</svg>本网点新客户<', page)
    assert shown is not None
    assert html.unescape(shown[1]) == "/review/queue?product=-&flag=NEW_TO_BANK&sort=-due"
    (view,) = await bank.fetch("SELECT view_id FROM saved_view WHERE name = $1", kept["name"])
    drop = f"/review/views/{view['view_id']}/drop"
    assert (await clerk.post(drop)).status_code == 404
    assert (await manager.post(drop)).status_code == 303
    lines = await log((await bank.colleague(desks.transport, "auditor")).client, kind="office")
    assert "View of a list saved" in lines
    assert "Saved view removed" in lines
    assert "本网点新客户" not in lines
