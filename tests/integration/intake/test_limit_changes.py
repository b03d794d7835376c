"""An assistant writes down that a customer wants another limit; review decides."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from shared.calendar import business_day, start_of_day
from shared.clock import parse_instant
from shared.events import review
from shared.events.envelope import decode
from shared.identifiers import new_id
from shared.messaging.broker import connection
from tests.eventually import eventually
from tests.integration.intake.office import API, Customer, Office
from tests.integration.intake.test_customer import OWN, Phone, code_for
from tests.integration.intake.test_many import activated

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def holder(office: Office) -> Customer:
    """Somebody whose card is activated, with 15,000."""
    customer = await office.approved()
    await office.until(customer, "card_producing")
    await activated(office, customer)
    await office.until(customer, "activated")
    return customer


async def ask(office: Office, customer: Customer, **wish: Any) -> httpx.Response:
    today = business_day(office.now).isoformat()
    body = {"kind": "increase", "wanted": {"minor": 3_000_000}, "agreed_on": today, **wish}
    return await office.client().post(
        f"{API}/applications/{customer.application_id}/limit-changes",
        json=body,
        headers={"If-Match": "*"},
    )


async def test_a_wish_reaches_review_with_the_customers_agreement_and_comes_back_decided(
    office: Office,
) -> None:
    customer = await holder(office)
    today = business_day(office.now)
    for wrong, code in (
        ({"agreed_on": None}, "not-agreed"),
        ({"wanted": {"minor": 1_500_000}}, "limit-not-fitting"),
        ({"kind": "temporary"}, "until-not-fitting"),
        ({"monthly_income": {"minor": 2_000_000}}, "income-not-proved"),
    ):
        refused = await ask(office, customer, **wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    answer = await ask(
        office,
        customer,
        credit_consent_on=today.isoformat(),
        monthly_income={"minor": 2_000_000},
        income_on=today.isoformat(),
        note="装修",
    )
    assert answer.status_code == 202, answer.text
    asked = await office.last(customer, "limit-change.requested")
    assert (asked["change_id"], asked["kind"]) == (answer.json()["change_id"], "increase")
    assert parse_instant(asked["agreed_at"]) == start_of_day(today)
    assert asked["consent"]["purpose"] == "信用卡审批"
    assert "2000000" not in asked["monthly_income"]
    assert "装修" not in asked["words"]
    assert await office.state(customer) == "activated"

    about = {
        "change_id": asked["change_id"],
        "change_number": f"{customer.number}-L1",
        "kind": "increase",
        "by_bank": False,
    }
    await office.review_says(customer, review.LimitChangeOpened, **about, working_days=10)
    decided = {
        "outcome": "granted", "limit": {"minor": 3_000_000}, "automatic": False,
        "effective_on": today.isoformat(), "decided_by": ["a", "b"],
    }  # fmt: skip
    await office.review_says(customer, review.LimitChangeDecided, **about, **decided)
    here = f"/intake/applications/{customer.application_id}"
    desk = await office.colleague("assistant")

    async def shown() -> bool:
        page = (await desk.get(here, params={"lang": "en"})).text
        return "-L1" in page and "¥30,000.00" in page

    await eventually(shown)
    # and from the new one on
    below = await ask(office, customer)
    assert (below.status_code, below.json()["code"]) == (422, "limit-not-fitting")
    lowered = await ask(office, customer, kind="decrease", wanted={"minor": 2_000_000})
    assert lowered.status_code == 202


async def test_of_two_wishes_at_once_one_is_taken(office: Office) -> None:
    customer = await holder(office)
    answers = await asyncio.gather(*(ask(office, customer) for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [202, 409, 409]
    codes = {one.json()["code"] for one in answers if one.status_code == 409}
    assert codes == {"limit-not-changeable"}
    kinds = [kind for kind, _, _ in await office.said(customer.application_id)]
    assert kinds.count("limit-change.requested") == 1


async def test_the_page_takes_a_wish_and_says_what_is_wrong_with_it(office: Office) -> None:
    customer = await holder(office)
    here = f"/intake/applications/{customer.application_id}/limit-change"
    client = await office.colleague("assistant")
    page = (await client.get(here, params={"lang": "en"})).text
    assert "the card has ¥15,000.00 now" in page
    shown = await office.client().get(f"{API}/applications/{customer.application_id}")
    today = business_day(office.now).isoformat()
    form = {"revision": shown.json()["revision"], "kind": "increase", "wanted": "30000"}
    refused = await client.post(here, data=form)
    assert refused.status_code == 422
    assert "say when they gave it" in refused.text
    unread = await client.post(here, data={**form, "wanted": "many", "agreed_on": today})
    assert unread.status_code == 422
    taken = await client.post(here, data={**form, "agreed_on": today})
    assert taken.status_code == 303
    assert (await office.last(customer, "limit-change.requested"))["wanted"]["minor"] == 3_000_000
    closed = (await client.get(here, params={"lang": "en"})).text
    assert "one change at a time" in closed


async def test_before_the_card_is_activated_nothing_is_changed(office: Office) -> None:
    customer = await office.approved()
    await office.until(customer, "card_producing")
    refused = await ask(office, customer)
    assert (refused.status_code, refused.json()["code"]) == (409, "limit-not-changeable")


async def test_a_temporary_limit_that_ended_and_what_the_bank_lowered_stand_on_the_page(
    office: Office,
) -> None:
    customer = await holder(office)
    phone, desk = Phone.at(office), await office.colleague("assistant")
    await phone.enter(customer.number, await code_for(office, customer, desk))
    assert "Ask about the limit" in (await phone.get(OWN, lang="en")).text
    today = business_day(office.now).isoformat()
    about = {"change_id": new_id(), "change_number": f"{customer.number}-L1", "by_bank": True}
    lowered = {**about, "kind": "decrease"}
    await office.review_says(customer, review.LimitChangeOpened, **lowered, working_days=10)
    decided = {
        "outcome": "granted", "limit": {"minor": 500_000}, "automatic": False,
        "effective_on": today, "decided_by": ["a", "b"],
    }  # fmt: skip
    await office.review_says(customer, review.LimitChangeDecided, **lowered, **decided)
    here = f"/intake/applications/{customer.application_id}"

    async def shown() -> bool:
        page = (await desk.get(here, params={"lang": "en"})).text
        return "by the bank" in page and "¥5,000.00" in page

    await eventually(shown)
    # the policy set this limit no more: there is nothing of a machine's to ask about
    assert "Ask about the limit" not in (await phone.get(OWN, lang="en")).text
    assert (await phone.get(f"{OWN}/appeal")).headers["location"] == OWN


async def heard(office: Office, card_id: str) -> list[dict[str, Any]]:
    """What core banking reads of a card on its own topic, with its own rights."""
    settings = office.settings.model_copy(update={"kafka_user": "core-banking"})
    consumer = AIOKafkaConsumer(
        "banka.outbound.core-banking",
        **connection(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        parts = consumer.assignment()
        ends = await consumer.end_offsets(parts)
        found = []
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    envelope, body = decode(record.headers, record.value)
                    if envelope.subject == card_id:
                        found.append({"type": envelope.type, **json.loads(body)})
        return found
    finally:
        await consumer.stop()


async def test_core_banking_can_apply_a_temporary_limit_and_its_end(office: Office) -> None:
    customer = await holder(office)
    card_id = (await office.last(customer, "card.ordered"))["card_id"]
    today = business_day(office.now)
    until = today + timedelta(days=10)
    answer = await ask(office, customer, kind="temporary", until=until.isoformat())
    assert answer.status_code == 202, answer.text
    about = {
        "change_id": answer.json()["change_id"],
        "change_number": f"{customer.number}-L1",
        "kind": "temporary",
    }
    await office.review_says(
        customer, review.LimitChangeOpened, **about, by_bank=False, working_days=10
    )
    decided = {
        "by_bank": False, "outcome": "granted", "limit": {"minor": 3_000_000}, "automatic": True,
        "effective_on": today.isoformat(), "until": until.isoformat(), "decided_by": [],
    }  # fmt: skip
    await office.review_says(customer, review.LimitChangeDecided, **about, **decided)
    over = {"limit": {"minor": 1_500_000}, "why": "term"}
    await office.review_says(customer, review.LimitExpired, **about, **over)

    async def all_told() -> list[dict[str, Any]]:
        found = [one for one in await heard(office, card_id) if "card-limit.changed" in one["type"]]
        return found if len(found) >= 2 else []

    raised, back = await eventually(all_told)
    assert (raised["reason"], raised["limit"]["minor"]) == ("temporary", 3_000_000)
    assert (raised["effective_on"], raised["until"]) == (today.isoformat(), until.isoformat())
    assert (back["reason"], back["limit"]["minor"]) == ("temporary-ended", 1_500_000)
    assert (back["effective_on"], back["until"]) == (
        (until + timedelta(days=1)).isoformat(),
        None,
    )
    assert {one["change_number"] for one in (raised, back)} == {f"{customer.number}-L1"}
    assert raised.keys() == {
        "type",
        "card_id",
        "application_id",
        "application_number",
        "change_number",
        "reason",
        "limit",
        "effective_on",
        "until",
    }  # fmt: skip - and nothing of a person
