"""What makes a person look and stops nothing; and papers held against the form."""

from __future__ import annotations

import random
import re
from datetime import date
from typing import Any

import pytest

from shared.formats import resident_id_check_digit
from tests.integration.intake.office import (
    API,
    BRANCH,
    OTHER_BRANCH,
    SALARIED_PAPERS,
    Customer,
    Office,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


def mobile() -> str:
    return f"139{random.randint(0, 99_999_999):08d}"


async def warnings_of(office: Office, customer: Customer) -> list[str]:
    """The warnings as the office sees them."""
    assistant = await office.colleague("assistant")
    answer = await assistant.get(f"{API}/applications/{customer.application_id}")
    found: list[str] = answer.json()["warnings"]
    return found


async def read(office: Office, customer: Customer, item: str, **says: str) -> Any:
    """What somebody read on the customer's paper of that item."""
    shown = await office.shown(customer)
    [document_id] = [one["document_id"] for one in shown["documents"] if one["item"] == item]
    path = f"{API}/applications/{customer.application_id}/documents/{document_id}/reading"
    return await office.client().post(path, json=says)


async def test_a_mobile_of_three_persons_is_worth_a_look(office: Office) -> None:
    number = mobile()
    found = []
    for _ in range(3):
        customer = await office.handed_over(office.customer(party={"mobile": number}))
        found.append("MOBILE_SHARED" in await warnings_of(office, customer))
    assert found == [False, False, True]
    # no channel is told; whoever looks at the case reads it in words
    assert (await office.shown(customer))["warnings"] == []
    assistant = await office.colleague("assistant")
    page = await assistant.get(
        f"/intake/applications/{customer.application_id}", headers={"Accept-Language": "zh-CN"}
    )
    assert "同一手机号码由多人使用" in page.text


async def test_one_person_and_a_draft_share_no_mobile(office: Office) -> None:
    number = mobile()
    for _ in range(3):  # began and never handed in
        await office.begun(office.customer(party={"mobile": number}))
    one = office.customer(party={"mobile": number})
    first = await office.handed_over(one)
    again = office.customer(product="gold", party={"mobile": number, "id_number": one.id_number})
    second = await office.handed_over(again)
    for customer in (first, second):
        assert "MOBILE_SHARED" not in await warnings_of(office, customer)


async def test_a_family_in_one_application_shares_its_mobile(office: Office) -> None:
    number = mobile()
    one = office.customer(
        product="supplementary", applicant_type="supplementary", party={"mobile": number}
    )
    for role in ("supplementary_holder", "contact"):
        [other] = office.customer(party={"mobile": number, "role": role}).form["parties"]
        one.form["parties"].append(other)
    await office.begun(one)
    assert (await office.submit(one)).json()["state"] == "awaiting_material"
    for item in ("application_form_signed", "id_front", "id_back", "main_card_confirmation"):
        answer = await office.upload(one, item)
    # handed in by now, and looked at once more
    assert answer.json()["state"] == "checking"
    assert await warnings_of(office, one) == ["CONTACT_IS_APPLICANT"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_device_of_three_persons_is_worth_a_look(office: Office, at_once: bool) -> None:
    device = f"device-{mobile()}"
    for _ in range(2):  # began and never handed in
        await office.begun(office.customer(party={"device": device}))
    found = []
    for _ in range(3):
        one = office.customer(party={"mobile": mobile(), "device": device})
        if at_once:
            answer = await office.client().post(
                f"{API}/applications", json={**one.form, "submit": True}
            )
            assert answer.status_code == 201, answer.text
            one.application_id = answer.json()["application_id"]
        else:
            await office.handed_over(one)
        found.append("DEVICE_SHARED" in await warnings_of(office, one))
    assert found == [False, False, True]
    digests = await office.service.pool.fetch("SELECT digest FROM application_device")
    assert not any(device.encode() in row["digest"] for row in digests)


async def test_a_device_is_forgotten_once_it_is_no_longer_looked_at(office: Office) -> None:
    kept = []
    for _ in range(2):
        one = await office.begun(office.customer(party={"device": f"device-{mobile()}"}))
        await office.service.pool.execute(
            "UPDATE application_device SET at = at - interval '31 days' WHERE application_id = $1",
            one.application_id,
        )
        kept.append(one.application_id)
    rows = await office.service.pool.fetch("SELECT application_id FROM application_device")
    found = {row["application_id"] for row in rows}
    assert kept[0] not in found
    assert kept[1] in found


async def test_one_person_at_three_branches_is_worth_a_look(office: Office) -> None:
    customer = office.customer(party={"mobile": mobile()})
    found = []
    first = ""
    for product, branch in (("standard", BRANCH), ("gold", OTHER_BRANCH), ("business", BRANCH)):
        again = office.customer(
            product=product,
            branch=branch,
            party={"mobile": mobile(), "id_number": customer.id_number},
        )
        if product == "business":
            # two branches are open: the first application is made one of a third
            await office.service.pool.execute(
                "UPDATE application SET branch = '9901' WHERE application_id = $1", first
            )
        answer = await office.client().post(
            f"{API}/applications", json={**again.form, "submit": True}
        )
        assert answer.status_code == 201, answer.text
        again.application_id = answer.json()["application_id"]
        first = again.application_id if product == "standard" else first
        found.append("MANY_BRANCHES" in await warnings_of(office, again))
    assert found == [False, False, True]


async def test_a_number_from_an_unknown_place_is_taken(office: Office) -> None:
    born = f"{date(1985, 3, 4):%Y%m%d}{random.randint(100, 999)}"
    body = f"310199{born}"
    number = body + resident_id_check_digit(body)
    customer = await office.handed_over(office.customer(party={"id_number": number}))
    assert "ID_PLACE_UNKNOWN" in await warnings_of(office, customer)


async def test_a_foreigners_permanent_card_is_taken(office: Office) -> None:
    body = f"931124{date(1985, 3, 4):%Y%m%d}{random.randint(100, 999)}"
    card = {
        "id_number": body + resident_id_check_digit(body),
        "id_issued": "2024-01-05",
        "id_expires": "2034-01-05",
        "nationality": "CAN",
        "name": "Zoë O’Connor",
        "mobile": mobile(),
    }
    customer = await office.handed_over(office.customer(party=card))
    assert await warnings_of(office, customer) == ["ID_RESIDENCE_PERMIT"]


async def test_a_paper_that_says_something_else_is_returned(office: Office) -> None:
    customer = await office.begun()
    await office.all_papers(customer)
    answer = await read(office, customer, "work_proof", employer="云岭物流有限公司")
    assert answer.status_code == 200, answer.text
    answer = await office.submit(customer)
    assert answer.json()["state"] == "awaiting_material"
    [line] = [one for one in answer.json()["checklist"] if one["item"] == "work_proof"]
    assert line["reasons"] == [{"code": "EMPLOYER_MISMATCH", "field": None}]
    # the form was wrong: mended, it agrees with the paper
    answer = await office.client().patch(
        f"{API}/applications/{customer.application_id}",
        json={"parties": [{"role": "applicant", "employer": "云岭物流 有限公司"}]},
    )
    assert answer.json()["state"] == "checking", answer.text
    kept = await office.service.pool.fetchval(
        "SELECT says FROM paper_reading WHERE application_id = $1", customer.application_id
    )
    assert "云岭" not in kept
    history = await office.service.pool.fetchval(
        "SELECT details FROM application_history WHERE application_id = $1"
        " AND action = 'paper_read'",
        customer.application_id,
    )
    assert "云岭" not in history
    # with review, nothing is compared any more
    answer = await read(office, customer, "work_proof", employer="别的公司")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-open")


async def test_the_last_reading_counts_and_another_paper_is_unread(office: Office) -> None:
    customer = await office.begun()
    for item in SALARIED_PAPERS:
        await office.upload(customer, item)
    await read(office, customer, "id_front", name="另一人", id_number="360426199101010071")
    await read(office, customer, "id_front", name="诸葛明")
    answer = await office.submit(customer)
    [line] = [one for one in answer.json()["checklist"] if one["item"] == "id_front"]
    assert [one["code"] for one in line["reasons"]] == ["NAME_MISMATCH"]
    answer = await office.upload(customer, "id_front")
    assert answer.json()["state"] == "checking"


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"id_issued": "soon"}, {"income": "1"}])
async def test_a_reading_of_nothing_is_refused(office: Office, body: dict[str, str]) -> None:
    customer = await office.begun()
    await office.upload(customer, "id_front")
    answer = await read(office, customer, "id_front", **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


async def test_an_assistant_compares_on_the_page(office: Office) -> None:
    customer = await office.begun()
    await office.upload(customer, "work_proof")
    assistant = await office.colleague("assistant")
    here = f"/intake/applications/{customer.application_id}"
    document = (await office.shown(customer))["documents"][0]["document_id"]
    answer = await assistant.post(
        f"{here}/readings",
        data={"document_id": document, "employer": "云岭物流有限公司", "name": ""},
    )
    assert answer.status_code == 303
    page = await assistant.get(here, headers={"Accept-Language": "zh-CN"})
    assert "单位信息不一致" in page.text
    for unread in (
        {"document_id": document},
        {"document_id": document, "id_issued": "soon"},
        {"document_id": document, "id_expires": "2039-03-01", "id_long_term": "yes"},
    ):
        answer = await assistant.post(f"{here}/readings", data=unread)
        assert answer.status_code == 422
        assert f'value="{document}" selected' in answer.text
    # what was typed stands there still
    assert re.search(r'name="id_expires"[^>]*value="2039-03-01"', answer.text)
    assert re.search(r'name="id_long_term"[^>]* checked', answer.text)
    assert (
        await office.service.pool.fetchval(
            "SELECT count(*) FROM paper_reading WHERE document_id = $1", document
        )
        == 1
    )


async def test_somebody_reads_on_the_page_that_a_card_has_no_end(office: Office) -> None:
    customer = await office.begun()
    await office.upload(customer, "id_back")
    assistant = await office.colleague("assistant")
    here = f"/intake/applications/{customer.application_id}"
    document = (await office.shown(customer))["documents"][0]["document_id"]
    read = {"document_id": document, "id_issued": "2019-03-01", "id_long_term": "yes"}
    assert (await assistant.post(f"{here}/readings", data=read)).status_code == 303
    lines = {one["item"]: one for one in (await office.shown(customer))["checklist"]}
    assert [one["code"] for one in lines["id_back"]["reasons"]] == ["ID_DATES_MISMATCH"]
    # the form says so, too
    mended = await assistant.post(f"{here}/corrections", data={"id_long_term": "yes"})
    assert mended.status_code == 303
    lines = {one["item"]: one for one in (await office.shown(customer))["checklist"]}
    codes = {one["code"] for one in lines["id_back"]["reasons"]}
    assert "ID_DATES_MISMATCH" not in codes
