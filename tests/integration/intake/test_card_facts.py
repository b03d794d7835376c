"""Facts about cards at the real gate: in every order, late, and with times that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from shared.calendar import business_day, end_of_day
from shared.clock import format_instant, parse_instant
from shared.identifiers import new_id
from shared.parameters import load_clocks
from tests.eventually import eventually
from tests.integration.intake.office import API, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

TELLER = {
    "produced": "card-factory",
    "posted": "card-factory",
    "delivered": "card-factory",
    "activated": "core-banking",
    "first-used": "core-banking",
}


async def cards_on_order(office: Office, number: int) -> dict[str, str]:
    """{card id: application id} of so many cards that their partners know and have said nothing of
    yet."""
    operations = await office.colleague("ops")
    entries = [
        {
            **office.customer().form,
            "state": "card_producing",
            "submitted_at": format_instant(office.now - timedelta(days=9)),
            "state_since": format_instant(office.now - timedelta(days=1)),
            "limit": {"minor": 1_000_000},
            "card_id": new_id(),
        }
        for _ in range(number)
    ]
    answer = await operations.post(f"{API}/imports", json={"applications": entries}, timeout=120)
    results = answer.json()["results"]
    assert [one["state"] for one in results] == ["card_producing"] * number
    return {
        entry["card_id"]: one["application_id"] for entry, one in zip(entries, results, strict=True)
    }


async def say(office: Office, kind: str, card_id: str, at: datetime | None = None) -> str:
    partner, data = TELLER[kind], {"reference": card_id}
    return await office.partner_says(partner, f"card.{kind}", card_id, data, at=at)


async def answered(office: Office, event_ids: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """{event id: (type of the answer, whether it changed anything)} once all have one."""

    async def told() -> dict[str, tuple[str, Any]]:
        rows = await office.fetch(
            "SELECT type, body::jsonb ->> 'partner_event_id' AS event, "
            " body::jsonb ->> 'applied' AS applied FROM ("
            " SELECT type, convert_from(body, 'UTF8') AS body FROM messaging.event_log"
            " WHERE topic IN ('banka.outbound.card-factory', 'banka.outbound.core-banking')"
            " AND type LIKE 'banka.inbound.%') AS said"
            " WHERE body::jsonb ->> 'partner_event_id' = ANY ($1::text[])",
            list(event_ids),
        )
        found = {row["event"]: (row["type"].split(".")[2], row["applied"]) for row in rows}
        return found if len(found) == len(event_ids) else {}

    return await eventually(told)


async def timeline(office: Office, application_id: str) -> list[tuple[str, datetime]]:
    """What intake published of the card, and when it was."""
    return [
        (kind.removeprefix("card."), parse_instant(data["_time"]))
        for kind, _, data in await office.said(application_id)
        if kind.startswith("card.")
    ]


async def end_of(office: Office, application_id: str) -> tuple[Any, ...]:
    """What must be the same whatever came first: state, since when, and every fact once."""
    rows = await office.fetch(
        "SELECT state, state_since FROM application WHERE application_id = $1", application_id
    )
    terms = await office.fetch(
        "SELECT name FROM messaging.deadline WHERE subject = $1", application_id
    )
    told = await timeline(office, application_id)
    return rows[0]["state"], rows[0]["state_since"], sorted(told), terms


async def test_facts_of_one_moment_come_to_the_same_in_every_order(office: Office) -> None:
    # forwards and backwards from each: any three of them come in all their orders; all 120 of the
    # five are a matter of the rule alone (tests/unit/intake/test_cards.py)
    orders = [
        (*row[begin:], *row[:begin])
        for row in (tuple(TELLER), tuple(reversed(TELLER)))
        for begin in range(len(row))
    ]
    cards = await cards_on_order(office, len(orders))
    moment = office.now
    for step in range(len(TELLER)):
        # the next fact of every card; the one after it is told when this one was answered
        told = [
            await say(office, order[step], card_id, moment)
            for order, card_id in zip(orders, cards, strict=True)
        ]
        assert {kind for kind, _ in (await answered(office, told)).values()} == {"accepted"}
    facts = sorted((kind, moment) for kind in TELLER)
    for order, application_id in zip(orders, cards.values(), strict=True):
        assert await end_of(office, application_id) == ("in_use", moment, facts, []), order
    assert (await office.service.quiet()).parked == 0


async def test_facts_of_one_moment_that_are_told_at_once_come_to_the_same(office: Office) -> None:
    orders = [
        (*factory, *core)
        for factory in permutations(("produced", "posted", "delivered"))
        for core in permutations(("activated", "first-used"))
    ]
    cards = await cards_on_order(office, len(orders))
    moment = office.now
    told = [
        await say(office, kind, card_id, moment)
        for order, card_id in zip(orders, cards, strict=True)
        for kind in order
    ]
    assert {kind for kind, _ in (await answered(office, told)).values()} == {"accepted"}
    for order, application_id in zip(orders, cards.values(), strict=True):
        state, since, facts, terms = await end_of(office, application_id)
        assert (state, since, terms) == ("in_use", moment, []), order
        assert facts == sorted((kind, moment) for kind in TELLER), order


@pytest.mark.parametrize(
    "at",
    [datetime(1970, 1, 1, tzinfo=UTC), datetime(2150, 1, 1, tzinfo=UTC)],
    ids=["a clock that was never set", "a clock that runs ahead"],
)
async def test_a_wrong_clock_ends_no_application(office: Office, at: datetime) -> None:
    cards = await cards_on_order(office, 1)
    ((card_id, application_id),) = cards.items()
    office.step(office.now + timedelta(days=70))  # it was long on its way
    told = await answered(office, [await say(office, "delivered", card_id, at)])
    assert list(told.values()) == [("accepted", "true")]
    assert await timeline(office, application_id) == [("delivered", office.now)]
    assert (await office.service.quiet()).parked == 0
    state, *_ = await end_of(office, application_id)
    assert state == "delivered"
    terms = await office.fetch(
        "SELECT name, at FROM messaging.deadline WHERE subject = $1", application_id
    )
    clocks = load_clocks()
    days = clocks.activation_days + clocks.late_facts_days
    ends = end_of_day(business_day(office.now) + timedelta(days=days))
    assert {row["name"] for row in terms} == {"activation", "activation-reminder"}
    assert ("activation", ends) in [tuple(row) for row in terms]


async def test_an_activation_of_the_last_day_that_comes_a_day_late_is_taken(office: Office) -> None:
    cards = await cards_on_order(office, 1)
    ((card_id, application_id),) = cards.items()
    delivered = office.now
    await answered(office, [await say(office, "delivered", card_id, delivered)])
    last_day = delivered + timedelta(days=load_clocks().activation_days)
    office.step(last_day + timedelta(days=1))
    told = await answered(office, [await say(office, "activated", card_id, last_day)])
    assert list(told.values()) == [("accepted", "true")]
    state, since, _, terms = await end_of(office, application_id)
    assert (state, since, terms) == ("activated", last_day, [])
