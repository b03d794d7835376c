"""What a customer hears tells nothing of a suspicion (反洗钱法 35): whoever was held, whatever came
of it, gets byte for byte the messages of a customer who never was.

The events are those of review's own decisions, once with a hit of the watchlists and once without;
the texts are what reached the gateways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from deploy.demo.message_gateways import Gateways
from services.review import case as cases
from services.review import limit_changes
from services.review.case import Case
from services.review.case import Finding as Found
from shared.events import intake, review
from shared.events.payload import Payload
from shared.identifiers import new_id
from shared.messaging import Effect, Fact
from shared.money import Money
from tests.integration.notify.conftest import Web
from tests.integration.notify.office import EMAIL, Customer, Office
from tests.integration.notify.test_service import in_states, messages, quiet, signed_in
from tests.unit.review.builders import NOW, case, recommendation
from tests.unit.review.test_limit_changes import asked, card, request, result_of

FIRST, SECOND, COMPLIANCE = "officer", "signer", "compliance"
WORDS = "sealed"
HIT = "WATCHLIST_HIT"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Story = Callable[[Found | None], list[Payload]]
"""What review says; of somebody who was held with what compliance found, None: of nobody such."""


def said(effects: Iterable[Effect]) -> list[Payload]:
    """What of it stands on the topic that notify reads."""
    told = [one.data for one in effects if isinstance(one, Fact)]
    return [one for one in told if isinstance(one, Payload) and one.topic == "banka.applications"]


def examined(finding: Found | None) -> tuple[Case, list[Effect]]:
    """A case whose checks have ended: in the queue, or held and released."""
    subject = case()
    held = {"outcome": "hold", "findings": (HIT, "NEW_TO_BANK")} if finding else {}
    effects = list(cases.apply_recommendation(subject, recommendation(**held), NOW))
    if finding is not None:
        effects += cases.decide_release(subject, COMPLIANCE, finding, WORDS, NOW)
    return subject, effects


def declined(finding: Found | None) -> list[Payload]:
    """For the bank's own reasons: compliance's proposal, or an officer's."""
    subject, effects = examined(finding)
    if finding is None:
        effects += cases.decide_claim(subject, FIRST, NOW)
        effects += cases.decide_propose_decline(subject, FIRST, "INTERNAL_RISK", WORDS, NOW)
    return said([*effects, *cases.decide_sign(subject, SECOND, NOW)])


def approved(finding: Found | None) -> list[Payload]:
    subject, effects = examined(finding)
    effects += cases.decide_claim(subject, FIRST, NOW)
    effects += cases.decide_propose_approval(subject, FIRST, Money.of(10_000), WORDS, NOW)
    return said([*effects, *cases.decide_sign(subject, SECOND, NOW)])


def asked_for_more(finding: Found | None) -> tuple[Case, list[Effect]]:
    """A card whose limit waits to be raised: for a decision, or held and released."""
    subject = card()
    effects = request(subject, asked())
    held: dict[str, Any] = {"outcome": "hold", "findings": [HIT]} if finding else {}
    effects += limit_changes.on_worked_out(result_of(subject, **held), subject, NOW)
    if finding is not None:
        effects += limit_changes.decide_release(subject, COMPLIANCE, finding, WORDS, NOW)
    return subject, effects


def limit_refused(finding: Found | None) -> list[Payload]:
    subject, effects = asked_for_more(finding)
    if finding is None:
        effects += limit_changes.decide_refuse(subject, FIRST, WORDS, NOW)
    return said(effects)


def limit_raised(finding: Found | None) -> list[Payload]:
    subject, effects = asked_for_more(finding)
    effects += limit_changes.decide_grant(subject, FIRST, Money.of(30_000), WORDS, NOW)
    return said([*effects, *limit_changes.decide_sign(subject, SECOND, NOW)])


async def lives(office: Office, customer: Customer, *, card: bool) -> None:
    """What comes before review decides: of an application the hand-over, of a limit a card."""
    await office.submit(customer)
    handed_over: dict[str, Any] = {
        "parties": [customer.party],
        "consent": {"signed_at": office.now, "purpose": "信用卡审批"},
        "documents": [],
        "new_to_bank": True,
        "age_band": "26-35",
        "income_band": "unknown",
        "submitted_at": office.now,
    }
    await office.tell(customer, intake.PreCheckPassed, **handed_over)
    if card:
        await tell(office, customer, approved(None))
        made = {"card_id": new_id()}
        limit = Money.of(10_000).model_dump()
        await office.tell(customer, intake.CardOrdered, **made, limit=limit)
        await office.tell(customer, intake.CardActivated, **made)


async def tell(office: Office, customer: Customer, told: Sequence[Payload]) -> None:
    for one in told:
        about = one.model_dump(mode="json") | customer.about
        await office.publish("review", customer.application_id, type(one).model_validate(about))


async def heard(
    web: Web, office: Office, gateways: Gateways, story: Story, finding: Found | None, *, card: bool
) -> list[str]:
    """Everything that one customer gets, and what the desk and other services see of it."""
    before = {channel: set(kept) for channel, kept in gateways.kept.items()}
    customer = await office.customer(email=EMAIL)
    await lives(office, customer, card=card)
    await tell(office, customer, story(finding))
    await in_states(web, customer, *["sent"] * (7 if card else 3))
    await quiet(web)  # the topic has all of it, too
    texts = [
        (channel, text)
        for channel, kept in gateways.kept.items()
        for key in kept.keys() - before[channel]
        for text in kept[key].texts
    ]
    shown = [
        (one["template"], json.dumps(one, sort_keys=True)) for one in await messages(web, customer)
    ]
    told = [
        (kind, json.dumps(data, sort_keys=True))
        for kind, _sequence, data in await office.contacts(customer.application_id)
    ]
    number = customer.about["application_number"]
    return sorted(
        _UUID.sub("UUID", " ".join(one).replace(number, "NUMBER").replace(number[-6:], "NUMBER"))
        for one in (*texts, *shown, *told)
    )


@pytest.mark.parametrize(
    ("story", "finding", "card", "template"),
    [
        (declined, "confirmed", False, "declined"),
        (approved, "clear", False, "approved"),
        (limit_refused, "confirmed", True, "limit_refused"),
        (limit_raised, "clear", True, "limit_raised"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
async def test_who_was_held_hears_byte_for_byte_what_any_other_customer_hears(
    web: Web,
    office: Office,
    gateways: Gateways,
    story: Story,
    finding: Found,
    card: bool,
    template: str,
) -> None:
    kinds = [type(one) for one in story(finding)]
    assert (review.ApplicationHeld in kinds) is not card
    await signed_in(web, office, "assistant")
    suspected = await heard(web, office, gateways, story, finding, card=card)
    plain = await heard(web, office, gateways, story, None, card=card)
    assert suspected == plain
    assert any(line.startswith(f"{template} ") for line in plain)
