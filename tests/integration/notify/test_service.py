"""Notify from the events of the others, through real gateways, to what the desk sees."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from deploy.demo.message_gateways import Gateways, Kept
from deploy.local import Stack
from shared.events import intake
from shared.events.payload import ACCESS_CODE
from shared.web.access import routes_without_permission
from tests.eventually import eventually
from tests.integration.notify.conftest import Web
from tests.integration.notify.office import EMAIL, MOBILE, NAME, Customer, Office
from tests.weighing import MOST_BYTES, common_pages, copy_row, pages_of, weight_of

API = "/notify/api/v1/messages"


async def signed_in(web: Web, office: Office, role: str, *branches: str) -> None:
    """From here on the client is a member of staff with that role."""
    web.client.cookies.clear()
    web.client.cookies.update(await office.staff(role, *(branches or (office.branch,))))

    async def known() -> bool:
        return (await web.client.get(API)).status_code == 200

    await eventually(known)


async def messages(web: Web, customer: Customer) -> list[dict[str, Any]]:
    answer = await web.client.get(API, params={"application_id": customer.application_id})
    found: list[dict[str, Any]] = answer.json()["messages"]
    return sorted(found, key=lambda one: (one["requested_at"], one["template"], one["channel"]))


async def in_states(web: Web, customer: Customer, *states: str) -> list[dict[str, Any]]:
    """The customer's messages once they are in these states, oldest first."""

    async def there() -> list[dict[str, Any]]:
        found = await messages(web, customer)
        return found if sorted(one["state"] for one in found) == sorted(states) else []

    return await eventually(there)


async def quiet(web: Web) -> dict[str, Any]:
    """What is next, once nothing is on its way."""

    async def still() -> dict[str, Any]:
        told = (await web.client.get("/internal/quiet")).json()
        busy = ("outbox", "unapplied", "open_calls", "due_deadlines")
        return told if not any(told[name] for name in busy) else {}

    return await eventually(still)


def taken(gateways: Gateways, channel: str) -> list[Kept]:
    return list(gateways.kept[channel].values())


async def test_a_message_is_requested_sent_and_delivered_once(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "sent")
    assert message["recipient"] == "139****1234"
    [kept] = taken(gateways, "sms")
    assert re.fullmatch(
        r"【示例银行信用卡】尊敬的诸葛先生，您好。您的标准信用卡申请.*", kept.texts[0]
    )
    while (await messages(web, customer))[0]["state"] == "sent":
        due = (await quiet(web))["next_due"]
        if due is not None:
            office.step(office.now + timedelta(hours=1))
    await in_states(web, customer, "delivered")
    await quiet(web)
    told = await office.contacts(customer.application_id)
    assert [(kind, sequence) for kind, sequence, _ in told] == [
        ("requested", 1),
        ("sent", 2),
        ("delivered", 3),
    ]
    assert {data["message_id"] for _, _, data in told} == {message["message_id"]}

    await office.publish_all_again()
    await quiet(web)
    assert len(await messages(web, customer)) == 1
    assert kept.taken == 1
    assert gateways.receipts()["repeated"] == []


async def test_a_reminder_of_a_draft_reaches_the_customer_once_however_often_it_is_told(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.tell(
        customer,
        intake.DraftReminded,
        addressee=customer.party,
        deadline=office.now + timedelta(days=7),
    )
    [message] = await in_states(web, customer, "sent")
    assert message["template"] == "draft_reminder"
    [kept] = taken(gateways, "sms")
    assert "尊敬的诸葛先生" in kept.texts[0]
    assert "尚未提交，2026年11月16日之后将关闭" in kept.texts[0]
    await office.publish_all_again()
    await quiet(web)
    assert len(await messages(web, customer)) == 1
    assert kept.taken == 1
    await office.tell(customer, intake.ApplicationExpired, reason="draft-abandoned")
    await quiet(web)
    assert len(await messages(web, customer)) == 1


async def test_nothing_of_a_person_is_written_in_clear(
    web: Web, office: Office, gateways: Gateways, notify_stack: Stack
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer(email=EMAIL)
    await office.decline(customer)
    await in_states(web, customer, "sent", "sent", "sent")
    assert MOBILE not in str(gateways.receipts())
    conn = await asyncpg.connect(notify_stack.superuser_url("banka_notify"))
    try:
        tables = await conn.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname IN ('public', 'messaging')"
        )
        assert len(tables) > 8
        for table in tables:
            rows = await conn.fetch(f"SELECT t::text AS row FROM {table['name']} t")
            written = "\n".join(row["row"] for row in rows)
            for clear in (NAME, MOBILE, EMAIL, "诸葛"):
                assert clear not in written, table["name"]
                assert clear.encode().hex() not in written, table["name"]
    finally:
        await conn.close()
    contacts = str(await office.contacts(customer.application_id))
    assert not any(clear in contacts for clear in (NAME, MOBILE, EMAIL))


async def test_a_code_is_opened_by_who_sends_it_and_by_nobody_else(
    web: Web, office: Office, gateways: Gateways, notify_stack: Stack
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer(email=EMAIL)
    await office.submit(customer)
    await in_states(web, customer, "sent")
    keys = await office.vault.party_keys(customer.party.party_id, customer.application_id)
    await office.tell(
        customer,
        intake.AccessCodeIssued,
        party_id=customer.party.party_id,
        code=keys.seal("contact", ACCESS_CODE, "BCDF-GHJK"),
        valid_until=office.now + timedelta(days=30),
        issued_by="staff:A0101",
    )
    found = await in_states(web, customer, "sent", "sent")
    [message] = [one for one in found if one["template"] == "access_code"]
    texts = [text for kept in taken(gateways, "sms") for text in kept.texts]
    assert sum("查询码为BCDF-GHJK，" in text for text in texts) == 1
    assert taken(gateways, "email") == []
    for path in (f"{API}/{message['message_id']}", f"/notify/messages/{message['message_id']}"):
        shown = await web.client.get(path)
        assert shown.status_code == 200
        assert "＊＊＊＊-＊＊＊＊" in shown.text
        assert "BCDF" not in shown.text
    conn = await asyncpg.connect(notify_stack.superuser_url("banka_notify"))
    try:
        for table in ("message", "messaging.call", "messaging.event_log", "message_history"):
            rows = await conn.fetch(f"SELECT t::text AS row FROM {table} t")
            assert rows
            assert not [row for row in rows if "BCDF" in row["row"]], table
    finally:
        await conn.close()


async def test_a_decision_goes_by_sms_and_as_a_copy_by_e_mail(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer(email=EMAIL)
    await office.decline(customer)
    found = await in_states(web, customer, "sent", "sent", "sent")
    assert sorted((one["template"], one["channel"]) for one in found) == [
        ("declined", "email"),
        ("declined", "sms"),
        ("received", "sms"),
    ]
    [mail] = taken(gateways, "email")
    assert "尊敬的诸葛先生：" in mail.texts[0]
    assert "2027年2月10日" in mail.texts[0]


async def test_an_app_customer_is_told_in_the_app_and_by_sms_if_there_is_no_device(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    first = await office.customer(channel="mobile_app")
    await office.submit(first)
    assert [one["channel"] for one in await in_states(web, first, "delivered")] == ["app"]
    gateways.fates["app"] = {"no-device": 1000}
    second = await office.customer(channel="mobile_app")
    await office.submit(second)
    found = await in_states(web, second, "failed", "sent")
    assert {one["channel"]: one["state"] for one in found} == {"app": "failed", "sms": "sent"}


@pytest.mark.parametrize("trouble", ["late", "broken", "busy-once"])
async def test_a_gateway_that_does_not_answer_is_asked_and_sends_once(
    web: Web, office: Office, gateways: Gateways, trouble: str
) -> None:
    gateways.fates["sms"] = {trouble: 1000}
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    await in_states(web, customer, "sent")
    [kept] = taken(gateways, "sms")
    assert kept.taken == 1
    assert gateways.met == {f"sms:{trouble}": 1}


async def test_a_gateway_that_cannot_say_leaves_the_message_to_the_desk(
    web: Web, office: Office, gateways: Gateways
) -> None:
    gateways.fates["sms"] = {"silent": 1000}
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "unresolved")
    here = f"/notify/messages/{message['message_id']}"
    shown = await web.client.get(here)
    assert "尊敬的＊先生/女士" in shown.text
    assert NAME not in shown.text
    token = _form_token(shown.text)

    refused = await web.client.post(f"{here}/send-again", data={"evidence": "gateway-lacks-it"})
    assert refused.status_code == 403  # without the form's token
    # nobody writes a remark about a customer here: what is kept is chosen
    for written in ("", "customer-has-it", "王女士在住院"):
        form = {"csrf_token": token, "evidence": written, "note": "王女士在住院"}
        assert (await web.client.post(f"{here}/send-again", data=form)).status_code == 422

    gateways.kept["sms"][message["message_id"]].silent = False
    form = {"csrf_token": token, "evidence": "gateway-lacks-it"}
    assert (await web.client.post(f"{here}/send-again", data=form)).status_code == 303
    await in_states(web, customer, "sent")
    assert taken(gateways, "sms")[0].taken == 1  # the gateway knew the key
    detail = (await web.client.get(f"{API}/{message['message_id']}")).json()
    assert [one["state"] for one in detail["history"]] == [
        "requested",
        "unresolved",
        "requested",
        "sent",
    ]
    assert detail["history"][2]["detail"] == "gateway-lacks-it"
    assert "网关运维确认未发出" in (await web.client.get(here)).text
    assert detail["history"][2]["actor"].startswith("staff:")
    form["evidence"] = "gateway-has-it"
    again = await web.client.post(f"{here}/mark-sent", data=form)
    assert again.status_code == 409


async def test_a_mail_whose_answer_was_lost_is_not_sent_again_by_itself(
    web: Web, office: Office, gateways: Gateways
) -> None:
    gateways.fates["email"] = {"silent": 1000}
    await signed_in(web, office, "assistant")
    customer = await office.customer(mobile="", email=EMAIL)
    await office.submit(customer)
    [message] = await in_states(web, customer, "unresolved")
    await quiet(web)
    assert [one.taken for one in taken(gateways, "email")] == [1]
    here = f"/notify/messages/{message['message_id']}"
    form = {
        "csrf_token": _form_token((await web.client.get(here)).text),
        "evidence": "customer-has-it",
    }
    assert (await web.client.post(f"{here}/mark-sent", data=form)).status_code == 303
    await in_states(web, customer, "sent")
    assert [one.taken for one in taken(gateways, "email")] == [1]
    await quiet(web)
    assert [kind for kind, _, _ in await office.contacts(customer.application_id)] == [
        "requested",
        "unresolved",
        "sent",
    ]


@pytest.mark.parametrize(("trouble", "state"), [("no-mailbox", "failed"), ("busy-once", "sent")])
async def test_a_mail_server_that_refuses_is_believed(
    web: Web, office: Office, gateways: Gateways, trouble: str, state: str
) -> None:
    gateways.fates["email"] = {trouble: 1000}
    await signed_in(web, office, "assistant")
    customer = await office.customer(mobile="", email=EMAIL)
    await office.submit(customer)
    await in_states(web, customer, state)


async def test_what_may_wait_waits_for_the_morning_and_is_dropped_if_outdated(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    customer, other = await office.customer(), await office.customer()
    for one in (customer, other):
        await office.submit(one)
        await in_states(web, one, "sent")
    office.step(office.now.replace(hour=15))  # 23:00 in the office
    for one in (customer, other):
        await office.tell(
            one,
            intake.MaterialRequested,
            items=[{"item": "work_proof", "code": "NO_STAMP"}],
            deadline=office.now + timedelta(days=14),
            round=1,
        )
        await in_states(web, one, "sent", "requested")
    await office.tell(other, intake.ApplicationWithdrawn, request_id="r-1")
    await in_states(web, other, "sent", "failed", "sent")
    await quiet(web)
    assert not any("工作证明" in text for kept in taken(gateways, "sms") for text in kept.texts)
    office.step(office.now.replace(day=office.now.day + 1, hour=0, minute=0))  # 08:00

    async def told() -> list[str]:
        return [
            text for kept in taken(gateways, "sms") for text in kept.texts if "工作证明" in text
        ]

    assert len(await eventually(told)) == 1
    await quiet(web)
    assert len(await told()) == 1


async def test_an_imported_application_is_told_nothing(web: Web, office: Office) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer, origin="imported")
    await quiet(web)
    assert await messages(web, customer) == []


async def test_an_erased_customer_is_not_written_to(web: Web, office: Office) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.vault.destroy(customer.person, office.now)
    await office.submit(customer)
    [message] = await in_states(web, customer, "failed")
    assert message["reason"] == "erased"


async def test_each_viewer_sees_their_own_branches_and_may_do_what_their_role_says(
    web: Web, office: Office, gateways: Gateways
) -> None:
    gateways.fates["sms"] = {"silent": 1000}
    await signed_in(web, office, "assistant", "0001")
    customer = await office.customer()
    await office.submit(customer)
    await quiet(web)
    assert await messages(web, customer) == []
    await signed_in(web, office, "auditor")
    [message] = await in_states(web, customer, "unresolved")
    here = f"/notify/messages/{message['message_id']}"
    page = await web.client.get(here)
    form = {"csrf_token": _form_token(page.text), "evidence": "gateway-has-it"}
    assert (await web.client.post(f"{here}/mark-sent", data=form)).status_code == 403
    await signed_in(web, office, "assistant", "0001")
    assert (await web.client.get(here)).status_code == 404
    web.client.cookies.clear()
    answer = await web.client.get(here, headers={"accept": "text/html"})
    assert answer.status_code == 303


async def test_the_pages_are_in_chinese_and_in_english(web: Web, office: Office) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "sent")
    log = "/notify/messages?state=sent&channel=sms&template=received&first=2026-11-09"
    number = message["application_number"]
    assert number in (chinese := (await web.client.get(log)).text)
    assert "受理通知" in chinese
    assert "已发出" in chinese
    assert number not in (await web.client.get(log + "&last=2026-11-08")).text
    english = (await web.client.get(log + "&lang=en")).text
    assert "Application received" in english
    assert number in english
    one = (await web.client.get(f"/notify/messages/{message['message_id']}?lang=zh-CN")).text
    assert "网关已受理" in one
    assert "139****1234" in one


async def test_the_customer_s_language_is_kept_for_what_follows(
    web: Web, office: Office, gateways: Gateways
) -> None:
    await signed_in(web, office, "assistant")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "sent")
    here = f"/notify/messages/{message['message_id']}"
    form = {"csrf_token": _form_token((await web.client.get(here)).text), "language": "en"}
    assert (await web.client.post(f"{here}/language", data=form)).status_code == 303
    await office.tell(customer, intake.ApplicationWithdrawn, request_id="r-1")
    await in_states(web, customer, "sent", "sent")
    assert any(
        "Dear Mr 诸葛, as you asked" in t for kept in taken(gateways, "sms") for t in kept.texts
    )


async def test_every_route_says_who_may_enter(web: Web) -> None:
    assert routes_without_permission(web.app) == []


def _form_token(html: str) -> str:
    match = re.search(r'name="csrf-token" content="([^"]+)"', html)
    assert match is not None
    return match[1]


async def test_every_page_is_light_with_as_many_rows_as_it_may_have(
    web: Web, office: Office, notify_stack: Stack
) -> None:
    await signed_in(web, office, "manager")
    customer = await office.customer()
    await office.submit(customer)
    [message] = await in_states(web, customer, "sent")
    conn = await asyncpg.connect(notify_stack.superuser_url("banka_notify"))
    try:
        await copy_row(conn, "message", message["message_id"], 60, "message_id", "cause_id")
    finally:
        await conn.close()
    pages = {
        "/notify/messages": 31,  # the head, and a page of rows
        "/notify/messages/{message_id}": 0,
    }
    small = {"/notify/messages/{message_id}/fields/{field}"}  # a question of three lines
    assert pages.keys() | small == pages_of(web.app) - common_pages("notify")
    for page, rows in pages.items():
        for language in ("zh-CN", "en"):
            address = page.format(message_id=message["message_id"])
            answer = await web.client.get(address, params={"lang": language})
            assert answer.text.count("<tr") >= rows
            assert await weight_of(web.client, answer) <= MOST_BYTES, address
