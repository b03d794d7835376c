"""Many applications at once: a branch's table, another system's stock, and what the sums say."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.clock import format_instant, parse_instant
from shared.identifiers import new_id, parse_application_number
from shared.parameters import load_products
from tests.eventually import eventually
from tests.integration.intake.office import (
    API,
    BRANCH,
    EMPLOYER,
    HOME,
    MOBILE,
    NAME,
    OFFICE_PHONE,
    WORK,
    Customer,
    Office,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = [
    *(
        "姓名",
        "称呼",
        "身份证号",
        "证件签发日",
        "证件到期日",
        "手机",
        "住址",
        "单位",
        "职业",
        "单位地址",
    ),
    *("单位电话", "月收入(元)", "申请人类型", "产品", "申请额度(元)", "征信授权日"),
]


def table(customers: list[Customer], encoding: str = "utf-8-sig") -> bytes:
    """A branch's list as Excel saves it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in customers:
        writer.writerow(
            [
                *(NAME, "女士", one.id_number, "2019-03-01", "2039-03-01", MOBILE, HOME, EMPLOYER),
                *("工程师", WORK, OFFICE_PHONE, "12000", "salaried", "standard", "20000"),
                "2026-10-11",
            ]
        )
    return text.getvalue().encode(encoding)


async def load(office: Office, content: bytes) -> dict[str, Any]:
    answer = await office.client().post(
        f"{API}/batches", data={"branch": BRANCH}, files={"file": ("list.csv", content)}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
async def test_a_table_becomes_applications_once(office: Office, encoding: str) -> None:
    good = [office.customer() for _ in range(3)]
    twice = Customer(good[0].id_number)
    content = table([*good, twice], encoding)
    outcome = await load(office, content)
    assert [row["state"] for row in outcome["accepted"]] == ["awaiting_material"] * 3
    assert [row["problems"][0]["code"] for row in outcome["rejected"]] == ["DUPLICATE_APPLICATION"]
    assert await load(office, content) == outcome
    rows = await office.fetch(
        "SELECT channel FROM application WHERE application_id = ANY ($1)",
        [row["application_id"] for row in outcome["accepted"]],
    )
    assert [row["channel"] for row in rows] == ["batch"] * 3


async def test_a_row_with_an_unknown_product_stops_no_other(office: Office) -> None:
    customers = [office.customer() for _ in range(3)]
    lines = table(customers).decode("utf-8-sig").splitlines()
    lines[2] = lines[2].replace("standard", "platinum")
    outcome = await load(office, "\n".join(lines).encode())
    assert [row["row"] for row in outcome["accepted"]] == [2, 4]
    (refused,) = outcome["rejected"]
    (problem,) = refused["problems"]
    assert (refused["row"], problem["field"], problem["code"]) == (3, "product", "UNKNOWN_PRODUCT")
    answer = await office.client().post(
        f"{API}/applications", json=office.customer(product="platinum").form
    )
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/product", "UNKNOWN_PRODUCT")
    assert error["detail"]


async def test_a_file_that_is_no_table_is_refused(office: Office) -> None:
    answer = await office.client().post(
        f"{API}/batches", data={"branch": BRANCH}, files={"file": ("x", b"\x00\x01nonsense")}
    )
    assert answer.status_code == 422
    answer = await office.client().get(f"{API}/batches/template.xlsx")
    assert (answer.status_code, answer.content[:2]) == (200, b"PK")


async def test_an_application_comes_over_in_its_state_with_its_dates(office: Office) -> None:
    operations = await office.colleague("ops")
    long_ago = office.now - timedelta(days=40)
    since = office.now - timedelta(days=20)
    card_id = new_id()

    def entry(state: str, **more: Any) -> dict[str, Any]:
        form = office.customer().form
        return {**form, "state": state, "submitted_at": format_instant(long_ago), **more}

    granted = {"limit": {"minor": 1_000_000}, "state_since": format_instant(since)}
    body = {
        "applications": [
            entry("delivered", **granted, card_id=card_id),
            entry("awaiting_material"),
            entry("pre_check"),
            entry("checking"),
            entry("approved", **granted),
            entry("declined"),
            entry("scoring"),
            entry("in_use"),
            {"state": "in_use"},
        ]
    }
    key = {"Idempotency-Key": new_id()}
    answer = await operations.post(f"{API}/imports", json=body, headers=key)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [one["state"] for one in results] == [
        *("delivered", "awaiting_material", "awaiting_material", "checking", "card_producing"),
        *("declined", None, None, None),
    ]
    assert all(one["problems"] for one in results[6:])
    again = await operations.post(f"{API}/imports", json=body, headers=key)
    assert again.json() == answer.json()

    delivered = Customer("", application_id=results[0]["application_id"])
    told = await office.said(delivered.application_id)
    assert [(kind, version) for kind, version, _ in told] == [("application.imported", 1)]
    assert told[0][2]["_origin"] == "imported"
    assert parse_instant(told[0][2]["_time"]) == since
    number = parse_application_number(results[0]["application_number"])
    assert number.day < office.now.date()
    ordered = await office.said(results[4]["application_id"])
    assert {data["_origin"] for _, _, data in ordered} == {"imported"}

    event_id = await office.partner_says(
        "core-banking", "card.activated", card_id, {"reference": card_id}
    )
    assert (await office.answers("core-banking", event_id))[0]["state"] == "activated"


async def test_only_operations_import(office: Office) -> None:
    body = {"applications": [{"state": "in_use"}]}
    assert (await office.client().post(f"{API}/imports", json=body)).status_code == 403
    reviewer = await office.colleague("reviewer")
    assert (await reviewer.post(f"{API}/imports", json=body)).status_code == 403


async def test_a_known_customer_needs_no_papers_that_are_on_file(office: Office) -> None:
    first = await office.approved()
    await office.until(first, "card_producing")
    await activated(office, first)
    form = {**first.form, "product": "gold", "applicant_type": "existing_customer"}
    second = await office.begun(Customer(first.id_number, form=form))
    await office.upload(second, "application_form_signed")
    answer = await office.submit(second)
    assert answer.json()["state"] == "checking", answer.text
    passed = await office.last(second, "application.pre-check-passed")
    assert passed["new_to_bank"] is False
    # of a proof that nobody knows the date of, nobody knows that it still counts
    conn = await asyncpg.connect(office.superuser_url)
    await conn.execute(
        "UPDATE document SET issued_on = NULL WHERE application_id = $1", first.application_id
    )
    await conn.close()
    await office.withdraw(second)
    third = await office.begun(Customer(first.id_number, form=form))
    await office.upload(third, "application_form_signed")
    lines = (await office.client().get(f"{API}/applications/{third.application_id}")).json()
    lacking = [line["item"] for line in lines["checklist"] if line["reasons"]]
    assert lacking == ["work_proof"]
    stranger = await office.begun(
        office.customer(product="gold", applicant_type="existing_customer")
    )
    await office.upload(stranger, "application_form_signed")
    answer = await office.submit(stranger)
    assert answer.json()["state"] == "awaiting_material"


async def activated(office: Office, customer: Customer) -> None:
    """The customer's card arrives and is activated."""
    card_id = (await office.last(customer, "card.ordered"))["card_id"]
    for partner, kind in (("card-factory", "delivered"), ("core-banking", "activated")):
        told = await office.partner_says(partner, f"card.{kind}", card_id, {"reference": card_id})
        await office.answers(partner, told)


async def test_a_card_that_nobody_activated_makes_no_customer(office: Office) -> None:
    first = await office.approved()
    await office.until(first, "card_producing")
    form = {**first.form, "product": "gold"}
    second = await office.handed_over(Customer(first.id_number, form=form))
    assert (await office.last(second, "application.pre-check-passed"))["new_to_bank"] is True


async def test_nobody_holds_more_cards_than_the_product_allows(office: Office) -> None:
    operations = await office.colleague("ops")
    customer = office.customer()
    held = {
        **customer.form,
        "state": "in_use",
        "submitted_at": format_instant(office.now - timedelta(days=400)),
        "limit": {"minor": 1_000_000},
    }
    ended = {**held, "state": "expired"}
    most = load_products()["gold"].cards_per_customer
    wishes = Customer(customer.id_number, form={**customer.form, "product": "gold"})
    for count, states in ((most - 1, 200), (most, 422)):
        body = {"applications": [held] * (count if count < most else 1) + [ended]}
        answer = await operations.post(f"{API}/imports", json=body)
        assert not any(one["problems"] for one in answer.json()["results"]), answer.text
        begun = await office.begun(wishes)
        answer = await office.submit(begun)
        assert answer.status_code == states, answer.text
        if states == 200:
            await office.withdraw(begun)
    assert [error["code"] for error in answer.json()["errors"]] == ["TOO_MANY_CARDS"]


async def test_whoever_only_says_that_they_are_a_customer_is_new_to_the_bank(
    office: Office,
) -> None:
    wishes = {"product": "gold", "applicant_type": "existing_customer"}
    claims = await office.handed_over(office.customer(**wishes))
    passed = await office.last(claims, "application.pre-check-passed")
    assert passed["new_to_bank"] is True


async def test_a_corrected_id_number_is_another_person(office: Office) -> None:
    wrong, right = office.customer(), await office.begun()
    draft = await office.begun(wrong)
    path = f"{API}/applications/{draft.application_id}"
    mended = {"parties": [{"role": "applicant", "id_number": right.id_number}]}
    assert (await office.client().patch(path, json=mended)).status_code == 200
    rows = await office.fetch(
        "SELECT DISTINCT person FROM application WHERE application_id = ANY ($1)",
        [draft.application_id, right.application_id],
    )
    assert len(rows) == 1
    found = await office.client().post(f"{API}/searches", json={"id_number": right.id_number})
    ids = {row["application_id"] for row in found.json()}
    assert ids == {draft.application_id, right.application_id}
    # its papers and fields are still readable
    assert (await office.shown(draft))["parties"][0]["fields"]["name"] == "司***"


async def test_what_is_typed_again_and_says_the_same_keeps_its_seal(office: Office) -> None:
    """By it review knows about which fields the bank's systems need not be asked anew."""
    customer = await office.begun()

    async def seals() -> dict[str, str]:
        (row,) = await office.fetch(
            "SELECT body FROM application_file WHERE application_id = $1", customer.application_id
        )
        found: dict[str, str] = json.loads(row["body"])["parties"][0]["fields"]
        return found

    before = await seals()
    typed = {"role": "applicant", "id_number": customer.id_number, "name": "司徒改"}
    path = f"{API}/applications/{customer.application_id}"
    assert (await office.client().patch(path, json={"parties": [typed]})).status_code == 200
    after = await seals()
    assert {name for name in after if after[name] != before[name]} == {"name"}


async def test_the_sums_agree_with_what_was_published(office: Office) -> None:
    operations = await office.colleague("ops")

    async def quiet() -> bool:
        found = await office.service.quiet()
        return (found.outbox, found.unapplied) == (0, 0)

    await eventually(quiet)
    sums = (await operations.get(f"{API}/reconciliation")).json()
    assert sums["applications"] == sum(sums["by_state"].values())
    rows = await office.fetch("SELECT type, count(*) AS n FROM messaging.event_log GROUP BY type")
    told = {row["type"].removeprefix("banka.").removesuffix(".v1"): row["n"] for row in rows}
    begun = told["application.drafted"] + told["application.imported"]
    assert sums["applications"] == begun
    assert sums["documents"] == told["document.received"]
    assert sums["inbound"]["accepted"] == told["inbound.accepted"]
    assert (await office.client().get(f"{API}/reconciliation")).status_code == 200
