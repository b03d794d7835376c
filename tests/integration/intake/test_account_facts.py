"""Statements about accounts at the real gate: taken, repeated, corrected, refused."""

from __future__ import annotations

from typing import Any

import pytest

from shared.calendar import business_day
from shared.identifiers import new_id
from tests.integration.intake.office import Office
from tests.integration.intake.test_card_facts import cards_on_order

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def say(office: Office, kind: str, card_id: str, **data: Any) -> dict[str, Any]:
    """The answer to a statement of core banking."""
    body = {"reference": card_id, **data}
    event_id = await office.partner_says("core-banking", f"account.{kind}", card_id, body)
    return (await office.answers("core-banking", event_id))[-1]


async def month(office: Office, card_id: str, name: str, **changes: Any) -> dict[str, Any]:
    data = {
        "month": name,
        "opened_on": "2026-01-05",
        "days_past_due": 0,
        "balance": "from_1k",
        "last_customer_transaction": f"{name}-03",
    }
    return await say(office, "performance-reported", card_id, **{**data, **changes})


async def told(office: Office, application_id: str) -> list[tuple[str, dict[str, Any]]]:
    """What intake published of the accounts, in order."""
    return [(kind, data) for kind, _, data in await office.said(application_id, "banka.accounts")]


async def test_months_are_taken_in_any_order_and_a_repetition_changes_nothing(
    office: Office,
) -> None:
    assert business_day(office.now).isoformat() > "2026-09-30"
    ((card_id, application_id),) = (await cards_on_order(office, 1)).items()
    for name, applied in (("2026-09", True), ("2026-08", True), ("2026-09", False)):
        answer = await month(office, card_id, name)
        assert (answer["kind"], answer["applied"]) == ("accepted", applied)
        assert answer["application_id"] == application_id
    published = await told(office, application_id)
    assert [data["month"] for _, data in published] == ["2026-09", "2026-08"]
    assert {kind for kind, _ in published} == {"account.performance-reported"}
    (person,) = {data["person"] for _, data in published}
    assert person
    assert (await office.service.quiet()).parked == 0


async def test_a_month_said_otherwise_needs_a_higher_revision(office: Office) -> None:
    ((card_id, application_id),) = (await cards_on_order(office, 1)).items()
    assert (await month(office, card_id, "2026-09"))["applied"]
    refused = await month(office, card_id, "2026-09", days_past_due=31)
    assert (refused["kind"], refused["code"]) == ("rejected", "STATED_OTHERWISE")
    assert [one["pointer"] for one in refused["problems"]] == ["/revision"]
    corrected = await month(office, card_id, "2026-09", days_past_due=31, revision=3)
    assert corrected["applied"]
    # a correction that was overtaken by a later one
    assert (await month(office, card_id, "2026-09", days_past_due=5, revision=2))[
        "applied"
    ] is False
    days = [data["days_past_due"] for _, data in await told(office, application_id)]
    assert days == [0, 31]


async def test_a_holding_names_the_cards_that_the_office_ordered(office: Office) -> None:
    cards = await cards_on_order(office, 2)
    card_id, other = cards
    held = [
        {"card": card_id, "limit": {"minor": 1_000_000}, "dormant": False},
        {"card": other, "limit": None, "dormant": False},
        {"card": "core-77", "limit": {"minor": 500_000}, "dormant": True, "policy_card": True},
    ]
    answer = await say(office, "holding-reported", card_id, as_of="2026-09-30", cards=held)
    assert answer["applied"]
    ((kind, data),) = await told(office, cards[card_id])
    assert kind == "account.holding-reported"
    assert [one["application_id"] for one in data["cards"]] == [cards[card_id], cards[other], None]
    assert data["cards"][2]["policy_card"]
    late = await say(office, "holding-reported", card_id, as_of="2026-08-31", cards=[])
    assert (late["kind"], late["applied"]) == ("accepted", False)
    assert len(await told(office, cards[card_id])) == 1


async def test_everything_that_is_wrong_with_a_statement_is_said(office: Office) -> None:
    ((card_id, application_id),) = (await cards_on_order(office, 1)).items()
    refused = await month(office, card_id, "2099-01", closed_on="2025-01-01", days_past_due=0)
    assert refused["kind"] == "rejected"
    assert {(one["pointer"], one["code"]) for one in refused["problems"]} == {
        ("/month", "MONTH_NOT_OVER"),
        ("/closed_on", "DAYS_CONTRADICT"),
    }
    nobody = await month(office, new_id(), "2026-09")
    assert (nobody["kind"], nobody["code"]) == ("rejected", "UNKNOWN_CARD")
    number = [{"card": "6222000000000000", "dormant": False}]
    refused = await say(office, "holding-reported", card_id, as_of="2026-09-30", cards=number)
    assert refused["code"] == "CARD_NUMBER"
    assert "6222" not in str(refused)
    unread = await month(office, card_id, "2026-9")
    assert unread["kind"] == "rejected"
    assert await told(office, application_id) == []


async def test_a_statement_moves_no_application(office: Office) -> None:
    ((card_id, application_id),) = (await cards_on_order(office, 1)).items()
    before = await office.fetch(
        "SELECT state, state_version, state_since FROM application WHERE application_id = $1",
        application_id,
    )
    await month(office, card_id, "2026-09")
    after = await office.fetch(
        "SELECT state, state_version, state_since FROM application WHERE application_id = $1",
        application_id,
    )
    assert before == after
