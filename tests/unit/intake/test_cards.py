"""The card's order, and facts that come late, twice, out of order or cannot be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from services.intake import cards
from shared.calendar import business_day, end_of_day
from shared.clock import format_instant
from shared.events import review
from shared.events.lifecycle import State
from shared.messaging import ClearDeadline, Deadline, Fact
from shared.parameters import load_clocks
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

LATE = timedelta(days=load_clocks().late_facts_days)
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
    later = NOW + timedelta(days=3)
    fact(app, "delivered", now=later)
    version = app.state_version
    before = NOW + timedelta(days=1)
    effects, applied = fact(app, "posted", reported=before, now=later)
    told = effects[0]
    assert isinstance(told, Fact)
    assert (applied, told.time, told.state_version) == (False, before, version)
    assert app.state is State.DELIVERED


@pytest.mark.parametrize(
    "reported",
    [NOW + timedelta(days=100), NOW - timedelta(seconds=1), datetime(1970, 1, 1, tzinfo=UTC)],
    ids=["yet to come", "just before the order", "a clock that was never set"],
)
def test_a_time_that_cannot_be_counts_from_when_the_office_hears_of_it(reported: datetime) -> None:
    app = ordered()
    heard = NOW + timedelta(days=99)
    effects, applied = fact(app, "delivered", reported=reported, now=heard)
    told = effects[0]
    assert isinstance(told, Fact)
    assert (applied, told.time) == (True, heard)
    last_day = end_of_day(business_day(heard) + timedelta(days=60))
    assert Deadline("activation", last_day + LATE) in effects
    assert app.entries[-1].details == {"told": format_instant(reported)}


def test_a_fact_of_the_moment_of_the_order_is_believed() -> None:
    app = ordered()
    fact(app, "produced", reported=NOW, now=NOW + timedelta(days=1))
    assert app.card is not None
    assert app.card.facts["produced"] == NOW
    assert app.entries[-1].details == {}


def test_of_an_imported_card_only_the_submission_is_known_to_lie_before_its_facts() -> None:
    app = ordered()
    assert app.card is not None
    app.imported = True
    app.card.ordered_at = NOW + timedelta(days=5)  # its last change over there
    fact(app, "produced", reported=NOW + timedelta(days=2), now=NOW + timedelta(days=6))
    assert app.card.facts["produced"] == NOW + timedelta(days=2)


def test_whoever_hears_late_of_the_delivery_waits_for_facts_that_come_as_late() -> None:
    app = ordered()
    heard = NOW + timedelta(days=80)
    effects, _ = fact(app, "delivered", reported=NOW + timedelta(days=2), now=heard)
    assert Deadline("activation", heard + LATE) in effects
    fact(app, "activated", reported=NOW + timedelta(days=62), now=heard)
    assert app.state is State.ACTIVATED


@pytest.mark.parametrize("kind", ["activated", "first-used"])
@pytest.mark.parametrize(
    ("days", "taken"), [(59, True), (60.5, True), (60.6, False)], ids=["within", "last", "after"]
)
def test_the_facts_own_time_says_whether_the_term_was_kept(
    kind: str, days: float, taken: bool
) -> None:
    app = ordered()
    fact(app, "delivered")
    late = NOW + timedelta(days=61)
    put_to_use = NOW + timedelta(days=days)
    if taken:
        assert fact(app, kind, reported=put_to_use, now=late)[1]
        return
    with pytest.raises(cards.NotPossible) as refusal:
        fact(app, kind, reported=put_to_use, now=late)
    assert names(refusal.value.effects) == ["CardFactRefused"]
    assert app.state is State.DELIVERED


def test_the_activation_ends_the_term() -> None:
    app = ordered()
    fact(app, "delivered")
    effects, _ = fact(app, "activated")
    assert ClearDeadline("activation") in effects
    assert ClearDeadline("activation-reminder") in effects


def test_what_cannot_be_is_told_to_the_office() -> None:
    for app in (submitted(), draft()):
        state, version = app.state, app.state_version
        with pytest.raises(cards.NotPossible) as refusal:
            fact(app, "activated")
        assert names(refusal.value.effects) == ["CardFactRefused"]
        assert (app.state, app.state_version) == (state, version)
