"""The card's order, and facts that come late, twice, out of order or cannot be."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest

from services.intake import cards
from shared.events import review
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Fact
from tests.unit.intake.drawers import (
    GRANTED,
    LIMIT,
    NOW,
    draft,
    fact,
    hear,
    names,
    ordered,
    payloads,
    submitted,
)

KINDS = ("produced", "posted", "delivered", "activated", "first-used")


def test_an_approval_orders_the_card_with_both_partners() -> None:
    app = submitted()
    hear(app, review.ChecksCompleted)
    effects = hear(app, review.ApplicationApproved, **GRANTED, limit=LIMIT)
    assert names(effects) == ["CardOrdered", "CardOrderRequested", "CardOrderRequested"]
    assert app.card is not None
    assert [
        (effect.topic, effect.subject) for effect in effects[1:] if isinstance(effect, Fact)
    ] == [
        ("banka.outbound.card-factory", app.card.card_id),
        ("banka.outbound.core-banking", app.card.card_id),
    ]
    assert payloads(effects)[0].limit == LIMIT


@pytest.mark.parametrize("order", list(permutations(KINDS)))
def test_every_order_of_the_facts_ends_in_use_with_the_whole_timeline(
    order: tuple[str, ...],
) -> None:
    app = ordered()
    told = [name for kind in order for name in names(fact(app, kind)[0])]
    assert app.state is State.IN_USE
    assert sorted(told) == [
        *("CardActivated", "CardDelivered", "CardFirstUsed", "CardPosted", "CardProduced"),
    ]


def test_a_fact_told_twice_is_one_fact() -> None:
    app = ordered()
    first, applied = fact(app, "posted")
    assert (len(payloads(first)), applied) == (1, True)
    assert fact(app, "posted") == ([], False)


def test_a_late_fact_keeps_its_own_time_and_moves_nothing() -> None:
    app = ordered()
    fact(app, "delivered")
    version = app.state_version
    before = NOW - timedelta(days=2)
    effects, applied = fact(app, "posted", reported=before)
    told = effects[0]
    assert isinstance(told, Fact)
    assert (applied, told.time, told.state_version) == (False, before, version)
    assert app.state is State.DELIVERED


def test_nothing_happens_in_the_future() -> None:
    app = ordered()
    effects, _ = fact(app, "delivered", reported=NOW + timedelta(days=3))
    told = effects[0]
    assert isinstance(told, Fact)
    assert told.time == NOW
    assert Deadline("activation", NOW + timedelta(days=60)) in effects


def test_the_activation_ends_the_term() -> None:
    app = ordered()
    fact(app, "delivered")
    effects, _ = fact(app, "activated")
    assert ClearDeadline("activation") in effects


def test_what_cannot_be_is_told_to_the_office() -> None:
    for app in (submitted(), draft()):
        state, version = app.state, app.state_version
        with pytest.raises(cards.NotPossible) as refusal:
            fact(app, "activated")
        assert names(refusal.value.effects) == ["CardFactRefused"]
        assert (app.state, app.state_version) == (state, version)
