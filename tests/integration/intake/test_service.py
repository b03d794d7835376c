"""Intake end to end: from the form to the hand-over, and from the approval to the card in use."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from shared.calendar import business_day, end_of_day
from shared.clock import parse_instant
from shared.events import review
from shared.identifiers import new_id, parse_application_number
from shared.parameters import load_clocks, load_papers
from shared.web import routes_without_permission
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    BRANCH,
    EMAIL,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OFFICE_PHONE,
    SALARIED_PAPERS,
    WORK,
    Customer,
    Office,
    decision,
)
from tests.integration.intake.test_counter import inputs
from tests.papers import HOSTILE, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSED = [
    "application.drafted",
    *["document.received"] * len(SALARIED_PAPERS),
    "application.submitted",
    "application.pre-check-started",
    "application.pre-check-passed",
]


async def test_every_route_says_who_may_enter(office: Office) -> None:
    assert routes_without_permission(office.app) == []


async def test_a_complete_application_is_handed_to_review(office: Office) -> None:
    customer = await office.handed_over()
    told = await office.said(customer.application_id)
    assert [kind for kind, _, _ in told] == PASSED
    assert [version for _, version, _ in told] == [1, 1, 1, 1, 1, 1, 2, 3, 4]
    passed = told[-1][2]
    assert passed["new_to_bank"] is True
    assert passed["region"] == "31"
    assert {paper["item"] for paper in passed["documents"]} == set(SALARIED_PAPERS)
    assert set(passed["parties"][0]["fields"]) >= {"name", "id_number", "mobile", "employer"}
    number = parse_application_number(passed["application_number"])
    assert (number.branch, number.day) == (BRANCH, date(2026, 10, 12))
    shown = await office.shown(customer)
    assert all(line["done"] for line in shown["checklist"] if line["need"] == "mandatory")
    assert shown["parties"][0]["fields"]["mobile"] == "139****7788"


async def test_numbers_run_without_repetition_when_many_come_at_once(office: Office) -> None:
    customers = await asyncio.gather(*(office.begun() for _ in range(20)))
    running = sorted(parse_application_number(one.number).running for one in customers)
    assert running == list(range(running[0], running[0] + 20))


async def test_what_is_missing_or_wrong_is_asked_for_in_one_list(office: Office) -> None:
    customer = await office.begun(office.customer(party={"mobile": "12345", "employer": None}))
    await office.upload(customer, "id_front")
    stale = office.now.date() - timedelta(days=200)
    await office.upload(customer, "income_proof", issued_on=stale)
    answer = await office.submit(customer)
    assert answer.json()["state"] == "awaiting_material"
    wanted = await office.last(customer, "application.material-requested")
    found = {(item["item"], item["code"], item["field"]) for item in wanted["items"]}
    assert ("id_back", "DOC_MISSING", None) in found
    assert ("application_form_signed", "EMPTY", "employer") in found
    assert any(field == "mobile" for _, _, field in found)
    assert any(code == "DOC_STALE" for _, code, _ in found)
    assert (wanted["round"], wanted["deadline"]) == (1, "2026-10-26T15:59:59Z")

    for item in ("application_form_signed", "id_back", "work_proof", "income_proof"):
        assert await office.state(customer) == "awaiting_material"
        await office.upload(customer, item, issued_on=office.now.date())
    assert await office.state(customer) == "awaiting_material"  # fields are still wrong
    path = f"{API}/applications/{customer.application_id}"
    mended = {"parties": [{"role": "applicant", "mobile": "13900001111", "employer": EMPLOYER}]}
    answer = await office.client().patch(path, json=mended)
    assert (answer.status_code, answer.json()["state"]) == (200, "checking")
    assert (await office.types(customer))[-2:] == [
        "application.material-completed",
        "application.pre-check-passed",
    ]
    found_again = await office.client().post(f"{API}/searches", json={"mobile": "13900001111"})
    assert customer.application_id in {row["application_id"] for row in found_again.json()}


async def test_a_paper_that_is_no_better_is_asked_for_again(office: Office) -> None:
    customer = await office.begun()
    for item in SALARIED_PAPERS[:-1]:
        await office.upload(customer, item)
    await office.submit(customer)
    stale = office.now.date() - timedelta(days=200)
    await office.upload(customer, "income_proof", issued_on=stale)
    again = await office.last(customer, "application.material-requested")
    assert (again["round"], {item["code"] for item in again["items"]}) == (2, {"DOC_STALE"})
    await office.upload(customer, "income_proof", issued_on=office.now.date())
    assert await office.state(customer) == "checking"


async def test_the_date_of_a_paper_can_be_told_afterwards(office: Office) -> None:
    customer = await office.begun()
    for item in SALARIED_PAPERS[:-1]:
        await office.upload(customer, item)
    scan = picture(new_id())
    await office.upload(customer, "income_proof", content=scan, dated=False)
    await office.submit(customer)
    wanted = await office.last(customer, "application.material-requested")
    assert [(one["item"], one["code"]) for one in wanted["items"]] == [
        ("income_proof", "DOC_UNDATED")
    ]
    answer = await office.upload(
        customer, "income_proof", content=scan, issued_on=office.now.date()
    )
    assert answer.json()["state"] == "checking"


async def test_one_upload_too_many_makes_one_paper(office: Office) -> None:
    customer = await office.begun()
    content = picture(new_id())
    first = await office.upload(customer, "id_front", content=content)
    second = await office.upload(customer, "id_front", content=content)
    assert first.json()["document_id"] == second.json()["document_id"]
    assert (await office.types(customer)).count("document.received") == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [("gif", 415), ("too large", 413), ("png cut off", 422), ("pdf with a hidden script", 422)],
)
async def test_what_is_no_paper_is_refused_in_words(office: Office, kind: str, status: int) -> None:
    customer = await office.begun()
    make, refusal = HOSTILE[kind]
    for language in ("en", "zh-CN"):
        answer = await office.client().post(
            f"{API}/applications/{customer.application_id}/documents",
            data={"item": "id_front"},
            files={"file": ("scan.png", make(), "image/png")},
            params={"lang": language},
        )
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        (error,) = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == (
            "/file",
            f"document-{refusal.replace('_', '-')}",
        )
        assert error["detail"] == load_papers().refusals[refusal].mend.in_language(language)
    assert (await office.shown(customer))["documents"] == []


async def test_the_same_request_twice_is_one_application(office: Office) -> None:
    customer, key = office.customer(), new_id()
    client, headers = office.client(), {"Idempotency-Key": key}
    answers = await asyncio.gather(
        *(client.post(f"{API}/applications", json=customer.form, headers=headers) for _ in "1234")
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["application_id"] for answer in answers}) == 1
    other = {**customer.form, "product": "gold"}
    answer = await client.post(f"{API}/applications", json=other, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")
    other_client = office.client("web-channel")
    of_the_web = {**other, "channel": "web"}
    answer = await other_client.post(f"{API}/applications", json=of_the_web, headers=headers)
    assert answer.status_code == 201


async def test_a_channel_hands_in_under_its_own_name_alone(office: Office) -> None:
    form = office.customer(channel="web").form
    answer = await office.client("branch-terminal").post(f"{API}/applications", json=form)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/channel", "other-channel")
    assistant = await office.colleague("assistant")
    assert (await assistant.post(f"{API}/applications", json=form)).status_code == 201


async def test_what_cannot_be_stored_is_refused_with_every_problem(office: Office) -> None:
    form = office.customer(applicant_type="wizard", surprise=1).form
    answer = await office.client().post(f"{API}/applications", json=form)
    assert answer.status_code == 422
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/applicant_type", "/surprise"}
    form = office.customer(branch="7777").form
    answer = await office.client().post(f"{API}/applications", json=form)
    assert answer.json()["code"] == "unknown-branch"
    assert NAME not in answer.text


async def test_a_branch_sees_its_own_applications_only(office: Office) -> None:
    customer = await office.begun()
    stranger = office.client("one-branch")
    path = f"{API}/applications/{customer.application_id}"
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(f"{path}/submit")).status_code == 404
    listed = (await stranger.get(f"{API}/applications")).json()
    assert all(row["branch"] != BRANCH for row in listed["applications"])
    found = await stranger.post(f"{API}/searches", json={"id_number": customer.id_number})
    assert found.json() == []
    answer = await stranger.post(f"{API}/applications", json=customer.form)
    assert answer.status_code == 422


async def test_two_applications_for_one_product_are_one_too_many(office: Office) -> None:
    first = await office.begun()
    second = await office.begun(Customer(first.id_number, form=first.form))
    answers = await asyncio.gather(office.submit(first), office.submit(second))
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    refused = next(answer for answer in answers if answer.status_code == 422)
    assert [error["code"] for error in refused.json()["errors"]] == ["DUPLICATE_APPLICATION"]
    states = {await office.state(first), await office.state(second)}
    assert states == {"draft", "awaiting_material"}


async def test_who_was_declined_waits(office: Office) -> None:
    customer = await office.handed_over()
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from=office.now.date() + timedelta(days=90),
    )
    await office.until(customer, "declined")
    form = {**customer.form, "product": "gold", "submit": True}
    answer = await office.client().post(f"{API}/applications", json=form)
    assert (answer.status_code, answer.json()["state"]) == (422, "draft")
    assert [error["code"] for error in answer.json()["errors"]] == ["COOL_DOWN"]
    # to take the decline itself up again is no new application
    again = {**form, "reopens": customer.application_id}
    about = customer.application_id
    page = f"/intake/applications/{about}"
    assistant = await office.colleague("assistant")
    offered = f"/intake/applications/new?reopens={about}"
    assert offered in (await assistant.get(page)).text
    begun = (await assistant.get(offered)).text
    assert f'name="reopens" value="{about}"' in begun

    # but not for ever
    late = load_clocks().reconsideration_days + 1
    moved = "UPDATE application SET state_since = state_since - make_interval(days => $2)"
    await office.service.pool.execute(f"{moved} WHERE application_id = $1", about, late)
    assert offered not in (await assistant.get(page)).text
    answer = await office.client().post(f"{API}/applications", json=again)
    assert (answer.status_code, answer.json()["code"]) == (422, "too-late")
    await office.service.pool.execute(f"{moved} WHERE application_id = $1", about, -1)
    answer = await office.client().post(f"{API}/applications", json=again)
    assert (answer.status_code, answer.json()["state"]) == (201, "awaiting_material")


async def test_another_persons_application_is_not_taken_up_again(office: Office) -> None:
    ended = await office.begun()
    await office.withdraw(ended)

    async def refused(answer: httpx.Response) -> None:
        told = [(one["pointer"], one["code"]) for one in answer.json()["errors"]]
        assert (answer.status_code, told) == (422, [("/reopens", "other-person")]), answer.text

    other = office.customer(reopens=ended.application_id)
    begin = f"{API}/applications"
    for submit in (False, True):
        form = {**other.form, "submit": submit}
        await refused(await office.client().post(begin, json=form))

    # whoever is not named yet may be anybody, until the draft says who they are
    nobody = office.customer(reopens=ended.application_id, party={"id_number": None})
    await office.begun(nobody)
    path = f"{begin}/{nobody.application_id}"
    await refused(await office.submit(nobody))
    await refused(await office.client().put(path, json={**nobody.form, "submit": True}))
    await refused(await office.client().put(path, json=other.form))
    mended = {"role": "applicant", "id_number": other.id_number}
    assert (await office.client().patch(path, json={"parties": [mended]})).status_code == 200
    await refused(await office.submit(nobody))
    assert await office.state(nobody) == "draft"

    assistant = await office.colleague("assistant")
    page = f"/intake/applications/{nobody.application_id}"
    await assistant.post(f"{page}/take-over", data={"why": "customer"})
    typed = inputs(await assistant.get(f"{page}/form"))
    kept = await assistant.post(
        f"{page}/form", data={**typed, "then": "keep"}, params={"lang": "en"}
    )
    assert kept.status_code == 422
    assert "It takes up again an application of another person." in kept.text
    assert inputs(kept)["id_number"] == other.id_number

    typed["id_number"] = ended.id_number
    assert (await assistant.post(f"{page}/form", data={**typed, "then": "keep"})).status_code == 303
    assert (await office.submit(nobody)).json()["state"] == "awaiting_material"


async def test_a_decline_ends_nothing_that_was_handed_in_before_it(office: Office) -> None:
    declined = await office.handed_over()
    other = Customer(declined.id_number, form={**declined.form, "product": "gold"})
    await office.begun(other)
    assert (await office.submit(other)).json()["state"] == "awaiting_material"
    office.step(office.now + timedelta(hours=1))
    await office.review_says(
        declined,
        review.ChecksCompleted,
        review.ApplicationDeclined,
        **decision(),
        category="credit_history",
        reapply_from=office.now.date() + timedelta(days=90),
    )
    await office.until(declined, "declined")
    await office.all_papers(other)
    assert (await office.shown(other))["state"] == "checking"


async def test_the_customer_is_reminded_once_and_then_the_term_ends(office: Office) -> None:
    customer = await office.begun()
    await office.upload(customer, "id_front")
    await office.submit(customer)
    wanted = await office.last(customer, "application.material-requested")
    deadline = parse_instant(wanted["deadline"])
    office.step(office.now + timedelta(days=9))  # the seventh working day, 10:00
    reminded = await office.last(customer, "application.material-reminded")
    assert reminded["deadline"] == wanted["deadline"]
    await office.upload(customer, "id_back")
    office.step(deadline - timedelta(seconds=1))
    office.step(deadline + timedelta(minutes=1))
    expired = await office.last(customer, "application.expired")
    assert expired["reason"] == "material-not-supplied"
    assert (await office.types(customer)).count("application.material-reminded") == 1
    answer = await office.upload(customer, "work_proof")
    assert (answer.status_code, answer.json()["code"]) == (409, "already-ended")


async def test_an_abandoned_draft_is_reminded_of_once_and_closed(office: Office) -> None:
    customer = await office.begun()
    ends = end_of_day(business_day(office.now) + timedelta(days=30))
    office.step(ends - timedelta(days=7, hours=14))  # the morning's nine o'clock of that day
    reminded = await office.last(customer, "application.draft-reminded")
    assert parse_instant(reminded["deadline"]) == ends
    assert set(reminded["addressee"]["fields"]) <= {"name", "mobile", "email", "salutation"}
    office.step(ends - timedelta(seconds=1))
    assert (await office.shown(customer))["state"] == "draft"
    office.step(ends + timedelta(minutes=1))
    expired = await office.last(customer, "application.expired")
    assert expired["reason"] == "draft-abandoned"
    assert (await office.types(customer)).count("application.draft-reminded") == 1


async def test_a_reviewer_may_want_more(office: Office) -> None:
    customer = await office.handed_over()
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationReferred,
        reason_codes=[],
        policy_version="2026.1",
    )
    await office.until(customer, "manual_review")
    await office.review_says(
        customer,
        review.MaterialWanted,
        items=[{"item": "tax_proof", "code": "DOC_MISSING"}],
        staff_id=new_id(),
    )
    await office.until(customer, "awaiting_material")
    wanted = await office.last(customer, "application.material-requested")
    assert [item["item"] for item in wanted["items"]] == ["tax_proof"]
    shown = await office.shown(customer)
    assert any(line["item"] == "tax_proof" and not line["done"] for line in shown["checklist"])
    await office.upload(customer, "work_proof")  # welcome, but not what was wanted
    assert await office.state(customer) == "awaiting_material"
    await office.upload(customer, "tax_proof", issued_on=office.now.date())
    assert await office.state(customer) == "checking"
    versions = [
        v for kind, v, _ in await office.said(customer.application_id) if "pre-check" in kind
    ]
    assert versions == [3, 4, 9]


# --- withdrawing -------------------------------------------------------------------------------


async def test_a_draft_is_withdrawn_at_once(office: Office) -> None:
    customer = await office.begun()
    path = f"{API}/applications/{customer.application_id}/withdraw"
    answer = await office.client().post(path, json={"reason": f"{NAME}改变主意"})
    assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
    answer = await office.withdraw(customer)
    assert answer.status_code == 200  # said twice, done once
    assert (await office.types(customer)).count("application.withdrawn") == 1


async def test_review_is_asked_while_it_decides(office: Office) -> None:
    customer = await office.handed_over()
    answer = await office.withdraw(customer)
    assert (answer.status_code, answer.json()["withdrawal"]) == (202, "asked")
    request = await office.last(customer, "application.withdrawal-requested")
    await office.review_says(customer, review.WithdrawalGranted, request_id=request["request_id"])
    await office.until(customer, "withdrawn")
    answer = await office.upload(customer, "tax_proof")
    assert answer.status_code == 409


async def test_an_approval_finds_the_customer_gone(office: Office) -> None:
    customer = await office.handed_over()
    await office.withdraw(customer)
    await office.review_says(
        customer,
        review.ChecksCompleted,
        review.ApplicationApproved,
        **decision(),
        limit={"minor": 1_000_000},
    )
    await office.until(customer, "withdrawn")
    types = await office.types(customer)
    assert types[-1] == "application.withdrawn"
    assert "card.ordered" not in types


async def test_withdrawing_and_deciding_at_once_ends_in_one_state(office: Office) -> None:
    customers = [await office.handed_over() for _ in range(12)]
    limit = {"minor": 1_000_000}

    async def decide(customer: Customer) -> None:
        kinds = (review.ChecksCompleted, review.ApplicationApproved)
        await office.review_says(customer, *kinds, **decision(), limit=limit)

    await asyncio.gather(
        *(decide(customer) for customer in customers),
        *(office.withdraw(customer) for customer in customers),
    )

    async def ended() -> bool:
        states = [await office.state(customer) for customer in customers]
        return set(states) <= {"withdrawn", "card_producing"}

    await eventually(ended)
    for customer in customers:
        types = await office.types(customer)
        asked = "application.withdrawal-requested" in types
        assert ("card.ordered" in types) is (await office.state(customer) == "card_producing")
        assert ("application.withdrawn" in types) is asked
        assert ("card.ordered" in types) is not asked


async def test_it_is_too_late_once_the_card_is_ordered(office: Office) -> None:
    customer = await office.approved()
    await office.until(customer, "card_producing")
    answer = await office.withdraw(customer)
    assert (answer.status_code, answer.json()["code"]) == (409, "card-ordered")


# --- the card ----------------------------------------------------------------------------------


async def ordered(office: Office) -> tuple[Customer, str]:
    customer = await office.approved()
    order = await office.last(customer, "card.ordered")
    return customer, order["card_id"]


async def fact(
    office: Office, partner: str, kind: str, card_id: str, **more: Any
) -> dict[str, Any]:
    data = {"reference": card_id}
    event_id = await office.partner_says(partner, f"card.{kind}", card_id, data, **more)
    return (await office.answers(partner, event_id))[0]


async def test_a_card_comes_into_use(office: Office) -> None:
    customer, card_id = await ordered(office)
    for partner in ("card-factory", "core-banking"):
        orders = await office.said(card_id, f"banka.outbound.{partner}")
        assert [kind for kind, _, _ in orders] == ["card-order.requested"]
    for partner, kind, state in (
        ("card-factory", "produced", "card_producing"),
        ("card-factory", "posted", "posted"),
        ("card-factory", "delivered", "delivered"),
        ("core-banking", "activated", "activated"),
        ("core-banking", "first-used", "in_use"),
    ):
        answer = await fact(office, partner, kind, card_id)
        assert (answer["kind"], answer["state"]) == ("accepted", state)
        assert answer["applied"] is (kind != "produced")
    assert await office.state(customer) == "in_use"


async def test_facts_out_of_order_fill_the_timeline(office: Office) -> None:
    customer, card_id = await ordered(office)
    office.step(office.now + timedelta(hours=5))
    at = office.now - timedelta(hours=2)
    assert (await fact(office, "card-factory", "delivered", card_id))["applied"] is True
    late = await fact(office, "card-factory", "posted", card_id, at=at)
    assert (late["applied"], late["state"]) == (False, "delivered")
    again = await fact(office, "card-factory", "posted", card_id)
    assert (again["kind"], again["applied"]) == ("accepted", False)
    told = [
        (kind, version, data["_time"])
        for kind, version, data in await office.said(customer.application_id)
        if kind == "card.posted"
    ]
    assert [(kind, version) for kind, version, _ in told] == [("card.posted", 8)]
    assert parse_instant(told[0][2]) == at
    assert (await fact(office, "core-banking", "first-used", card_id))["state"] == "in_use"
    assert (await fact(office, "core-banking", "activated", card_id))["applied"] is False


async def test_a_card_that_nobody_activates_expires(office: Office) -> None:
    customer, card_id = await ordered(office)
    await fact(office, "card-factory", "delivered", card_id)
    delivered = office.now
    ends = end_of_day(business_day(delivered) + timedelta(days=60))
    office.step(ends - timedelta(days=14, hours=14))  # the morning's nine o'clock of that day
    reminded = await office.last(customer, "application.activation-reminded")
    assert parse_instant(reminded["deadline"]) == ends
    office.step(ends + timedelta(minutes=1))
    too_late = await fact(office, "core-banking", "activated", card_id)
    assert (too_late["kind"], too_late["code"]) == ("rejected", "NOT_POSSIBLE")
    assert await office.state(customer) == "delivered"  # what happened before may be on its way
    office.step(ends + timedelta(days=load_clocks().late_facts_days, minutes=1))
    expired = await office.last(customer, "application.expired")
    assert expired["reason"] == "card-not-activated"
    assert (await office.types(customer)).count("application.activation-reminded") == 1
    answer = await fact(office, "core-banking", "activated", card_id)
    assert (answer["kind"], answer["code"]) == ("rejected", "NOT_POSSIBLE")
    refused = await office.last(customer, "card.fact-refused")
    assert refused["partner"] == "core-banking"


async def test_a_card_that_nobody_ordered_is_refused(office: Office) -> None:
    answer = await fact(office, "core-banking", "activated", new_id())
    assert (answer["kind"], answer["code"]) == ("rejected", "UNKNOWN_CARD")
    customer, card_id = await ordered(office)
    answer = await fact(office, "card-factory", "activated", card_id)
    assert answer["code"] == "UNKNOWN_TYPE"
    assert await office.state(customer) == "card_producing"


# --- personal data -----------------------------------------------------------------------------


async def test_nothing_personal_lies_anywhere_in_clear(office: Office) -> None:
    customer = await office.begun(office.customer(party={"mobile": "1390000"}))
    await office.upload(customer, "work_proof", content=picture(f"{customer.id_number} {NAME}"))
    await office.submit(customer)
    path = f"{API}/applications/{customer.application_id}"
    mended = {"role": "applicant", "mobile": MOBILE, "email": EMAIL}
    await office.client().patch(path, json={"parties": [mended]})
    await office.client().post(f"{path}/withdraw", json={"reason": f"{NAME}不想要了"})
    await office.client().post(f"{API}/searches", json={"id_number": customer.id_number})
    secrets = (
        NAME,
        customer.id_number,
        MOBILE,
        EMAIL,
        EMPLOYER,
        HOME,
        WORK,
        OFFICE_PHONE,
        "工程师",
    )
    for url in (office.superuser_url, office.vault_url):
        conn = await asyncpg.connect(url)
        try:
            tables = await conn.fetch(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname IN ('public', 'messaging', 'vault')"
            )
            for table in tables:
                name = f'{table["schemaname"]}."{table["tablename"]}"'
                for row in await conn.fetch(f"SELECT row_to_json(t)::text AS row FROM {name} t"):
                    assert not any(secret in row["row"] for secret in secrets), name
        finally:
            await conn.close()
    store = Path(office.settings.documents_url.removeprefix("file://"))
    papers = [path.read_bytes() for path in store.rglob("*") if path.is_file()]
    assert papers
    assert not any(secret.encode() in paper for paper in papers for secret in secrets)
    rows = await office.fetch("SELECT convert_from(body, 'UTF8') AS b FROM messaging.event_log")
    assert rows
    assert not any(secret in row["b"] for row in rows for secret in secrets)


async def test_quiet_again(office: Office) -> None:
    """Nothing is parked and nothing is left behind after all that."""

    async def quiet() -> bool:
        found = await office.service.quiet()
        return (found.outbox, found.unapplied, found.parked) == (0, 0, 0)

    await eventually(quiet)
