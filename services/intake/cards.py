"""The card after the approval: the order, and the facts that its partners report.

Facts come from two partners and over networks: late, twice, out of order, or impossible. The
lifecycle says what each is, and its own time whether it lies within the term: so that facts of one
moment come to the same in every order. Pure, like `application`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from services.intake.application import (
    ACTIVATION_DEADLINE,
    ACTIVATION_REMINDER,
    Application,
    Card,
    publish,
    reminder,
    term_ends,
)
from shared.clock import format_instant
from shared.events import intake, lifecycle, partners
from shared.events.intake import CardLimitReason
from shared.events.lifecycle import State
from shared.identifiers import new_id
from shared.messaging import ClearDeadline, Deadline, Effect, Fact
from shared.messaging.errors import Permanent
from shared.money import Money
from shared.parameters import load_clocks

CARD_PARTNERS = ("card-factory", "core-banking")

FACTS: Mapping[str, type[intake.CardEvent]] = {
    partners.PartnerCardProduced.type: intake.CardProduced,
    partners.PartnerCardPosted.type: intake.CardPosted,
    partners.PartnerCardDelivered.type: intake.CardDelivered,
    partners.PartnerCardActivated.type: intake.CardActivated,
    partners.PartnerCardFirstUsed.type: intake.CardFirstUsed,
}
"""What a partner reports -> what intake publishes once it has been checked."""


class NotPossible(Exception):
    """A partner reported what cannot be true; `effects` say so to everybody in the office."""

    def __init__(self, effects: list[Effect]) -> None:
        super().__init__("reported what cannot be true of the application")
        self.effects = effects


def order(app: Application, limit: Money, now: datetime) -> list[Effect]:
    """Order the card of an approved application, with factory and core banking."""
    app.card = Card(new_id(), limit, now)
    app.note(now, "intake", "card_ordered")
    ordered = intake.CardOrdered(**app.fields(), card_id=app.card.card_id, limit=limit)
    scope = app.need_scope()
    request = intake.CardOrderRequested(
        card_id=app.card.card_id,
        application_id=app.application_id,
        application_number=scope.application_number,
        product=scope.product,
        limit=limit,
    )
    return [
        publish(app, ordered, now),
        *(
            Fact(request, subject=app.card.card_id, topic=f"banka.outbound.{partner}")
            for partner in CARD_PARTNERS
        ),
    ]


def limit_changed(
    app: Application, told: Any, reason: CardLimitReason, since: date, until: date | None
) -> Fact:
    """Core banking hears that the card has another limit from that day on. told: review's event."""
    if app.card is None:
        raise Permanent("review changed the limit of a card that intake does not know")
    changed = intake.CardLimitChanged(
        card_id=app.card.card_id,
        application_id=app.application_id,
        application_number=app.need_scope().application_number,
        change_number=told.change_number,
        reason=reason,
        limit=told.limit,
        effective_on=since,
        until=until,
    )
    return Fact(changed, subject=app.card.card_id, topic="banka.outbound.core-banking")


def take_fact(
    app: Application,
    event_type: str,
    *,
    partner: str,
    partner_event_id: str,
    reported: datetime | None,
    now: datetime,
) -> tuple[list[Effect], bool]:
    """A partner's fact about the card: what follows, and whether it changed anything.

    What was reported before changes nothing. Raises NotPossible for what cannot be true.
    """
    kind = FACTS[event_type]
    if app.card is None:
        raise NotPossible([_refused(app, event_type, partner, partner_event_id, now)])
    name = _name_of(kind)
    if name in app.card.facts:
        return [], False
    when = _believed(app, app.card, reported, now)
    if _too_late(app, app.card, kind, when):
        raise NotPossible([_refused(app, event_type, partner, partner_event_id, now)])
    try:
        transition = lifecycle.advance(app.state, kind)
    except lifecycle.IllegalTransition:
        refused = _refused(app, event_type, partner, partner_event_id, now)
        raise NotPossible([refused]) from None
    app.card.facts[name] = when
    told = {}
    if reported is not None and reported != when:
        told = {"told": format_instant(reported)}
    app.note(now, f"partner:{partner}", f"card_{name}", **told)
    effects: list[Effect] = [
        publish(app, kind(**app.fields(), card_id=app.card.card_id), now, time=when)
    ]
    if transition.moves and app.state is State.DELIVERED:
        effects += activation_term(app, when, now)
    elif transition.moves:
        effects += [ClearDeadline(ACTIVATION_DEADLINE), ClearDeadline(ACTIVATION_REMINDER)]
    return effects, transition.moves


def activation_term(app: Application, since: datetime, now: datetime) -> list[Effect]:
    """The term in which a card has to be activated that was delivered then, with a reminder before
    it ends; who hears late of the delivery waits as long for what else may be on its way."""
    app.due_at = end = term_ends(app, State.DELIVERED, since)
    return [
        Deadline(ACTIVATION_DEADLINE, last_facts(max(end, now))),
        *reminder(app, ACTIVATION_REMINDER, State.DELIVERED, since, end),
    ]


def last_facts(end: datetime) -> datetime:
    """Until when the office waits for facts from before `end`: they travel, too."""
    return end + timedelta(days=load_clocks().late_facts_days)


def _believed(app: Application, card: Card, reported: datetime | None, now: datetime) -> datetime:
    """When it happened. A partner's clock may be wrong: what would lie before the order or in the
    future counts from now on, when the office hears of it."""
    # of an imported card the office knows its last change only, not the order
    earliest = app.submitted_at if app.imported else card.ordered_at
    if reported is None or reported > now or (earliest is not None and reported < earliest):
        return now
    return reported


def _too_late(app: Application, card: Card, kind: type[intake.CardEvent], when: datetime) -> bool:
    """Whether a card that waits for its activation was put to use after the term. While the office
    waits for late facts, the fact's own time decides, as it does when the term has closed."""
    delivered = card.facts.get(_name_of(intake.CardDelivered))
    return (
        app.state is State.DELIVERED
        and kind in (intake.CardActivated, intake.CardFirstUsed)
        and delivered is not None
        and when > term_ends(app, State.DELIVERED, delivered)
    )


def _name_of(kind: type[intake.CardEvent]) -> str:
    """`produced`, `first-used`: the fact's own part of the event type."""
    return kind.type.removeprefix("banka.card.").removesuffix(".v1").replace("-", "_")


def _refused(
    app: Application, event_type: str, partner: str, partner_event_id: str, now: datetime
) -> Fact:
    app.note(now, f"partner:{partner}", "card_fact_refused", reported=event_type)
    payload = intake.CardFactRefused(
        **app.fields(), partner=partner, reported=event_type, partner_event_id=partner_event_id
    )
    return publish(app, payload, now)
