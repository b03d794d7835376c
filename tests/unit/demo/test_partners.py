"""The fates of cards: the same for a seed, possible, and wrong only where trouble was planted."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.fates import (
    CORE,
    FACTORY,
    LAST_TO_LIE,
    TROUBLES,
    Fate,
    Message,
    Trouble,
    fate_of,
    is_activated,
    messages,
)
from deploy.demo.partners import Played
from deploy.demo.statements import statements
from deploy.partner_link import Heard
from shared.calendar import business_day, is_working_day, working_days_between
from shared.events import catalog
from shared.events.envelope import Envelope
from shared.events.intake import CardOrderRequested, InboundAccepted, InboundRejected, Problem
from shared.events.partners import (
    PartnerCardActivated,
    PartnerCardDelivered,
    PartnerCardFirstUsed,
    PartnerCardPosted,
    PartnerCardProduced,
)
from shared.identifiers import make_application_number
from shared.money import Money

MONDAY = datetime(2026, 10, 12, 3, 0, tzinfo=UTC)
LIFE = (
    PartnerCardProduced,
    PartnerCardPosted,
    PartnerCardDelivered,
    PartnerCardActivated,
    PartnerCardFirstUsed,
)
NUMBERS = [make_application_number("1101", MONDAY.date(), n) for n in range(1, 4001)]

orders = st.builds(
    lambda hours: MONDAY + timedelta(hours=hours), st.integers(min_value=0, max_value=40 * 24)
)
seeds = st.integers(min_value=0, max_value=2**31)
numbers = st.sampled_from(NUMBERS)


def with_trouble(wanted: Trouble, *, activated: bool = True) -> tuple[Fate, str]:
    """A fate with that trouble, and the application it belongs to."""
    for number in NUMBERS:
        fate = fate_of(7, number, MONDAY, {wanted: 1000})
        if fate.activated is activated:
            return fate, number
    raise AssertionError("no such fate")


def card() -> str:
    return str(uuid.uuid4())


def order_of(card_id: str, number: str, time: datetime = MONDAY) -> Heard:
    order = CardOrderRequested(
        card_id=card_id,
        application_id=card(),
        application_number=number,
        product="standard",
        limit=Money(minor=1_000_000),
    )
    return Heard(
        Envelope(card(), order.type, catalog.source("intake"), card_id, time),
        order.model_dump(mode="json"),
    )


def accepted(event_id: str) -> Heard:
    answer = InboundAccepted(
        partner_event_id=event_id,
        partner_reference="x",
        application_id="x",
        application_number="x",
        state="posted",
        applied=True,
    )
    return Heard(
        Envelope(card(), answer.type, catalog.source("intake"), "x", MONDAY),
        answer.model_dump(mode="json"),
    )


def refused(event_id: str, code: str) -> Heard:
    answer = InboundRejected(
        partner_event_id=event_id,
        partner_reference="x",
        code=code,
        problems=[Problem(pointer="/id", code=code, detail="another body")],
    )
    return Heard(
        Envelope(card(), answer.type, catalog.source("intake"), "x", MONDAY),
        answer.model_dump(mode="json"),
    )


@given(seeds, numbers, orders)
def test_a_fate_follows_from_seed_number_and_time_alone(
    seed: int, number: str, ordered: datetime
) -> None:
    fate = fate_of(seed, number, ordered)
    assert fate_of(seed, number, ordered) == fate
    one, other = messages(fate, card()), messages(fate, card())
    assert [(m.kind, m.happened, m.due, m.turn) for m in one] == [
        (m.kind, m.happened, m.due, m.turn) for m in other
    ]
    assert not {m.event_id for m in one} & {m.event_id for m in other}


@given(seeds, numbers, orders)
def test_a_card_lives_in_order_and_within_the_days_that_are_usual(
    seed: int, number: str, ordered: datetime
) -> None:
    fate = fate_of(seed, number, ordered)
    kinds = tuple(fact.kind for fact in fate.facts)
    # a term that would outlast the calendar is not begun: such a card is activated
    late = business_day(fate.facts[2].at) > LAST_TO_LIE
    assert kinds == (LIFE if late or is_activated(seed, number) else LIFE[:3])
    times = [fact.at for fact in fate.facts]
    assert times == sorted(set(times))
    assert times[0] > ordered
    days = [business_day(moment) for moment in times]
    assert is_working_day(days[0])
    assert is_working_day(days[1])
    assert 1 <= working_days_between(business_day(ordered), days[0]) <= 2
    assert working_days_between(days[0], days[1]) == 1
    assert 2 <= (days[2] - days[1]).days <= 5
    if fate.activated:
        assert 1 <= (days[3] - days[2]).days <= 20
        assert 0 <= (days[4] - days[3]).days <= 10


@given(seeds, numbers, orders)
def test_each_partner_tells_only_what_it_may_and_never_before_it_happened(
    seed: int, number: str, ordered: datetime
) -> None:
    may = {partner.name: partner.sends for partner in catalog.PARTNERS}
    told = messages(fate_of(seed, number, ordered), card())
    assert all(message.kind in may[message.partner] for message in told)
    assert all(message.happened <= message.due for message in told)
    assert [m.due for m in told] == sorted(m.due for m in told)
    assert len({(m.event_id, m.turn) for m in told}) == len(told)


def test_about_three_of_a_hundred_cards_are_never_activated() -> None:
    never = sum(not is_activated(7, number) for number in NUMBERS)
    assert 0.02 < never / len(NUMBERS) < 0.04
    assert all(
        fate_of(7, number, MONDAY).activated is is_activated(7, number) for number in NUMBERS[:200]
    )


def test_a_few_of_a_hundred_cards_meet_each_trouble_and_no_trouble_can_be_wished() -> None:
    met = Counter(fate_of(7, number, MONDAY).trouble for number in NUMBERS)
    for trouble, share in TROUBLES.items():
        assert 0.5 < met[trouble] / len(NUMBERS) * 1000 / share < 1.6
    assert met[None] > 0.9 * len(NUMBERS)
    assert all(fate_of(7, number, MONDAY, {}).trouble is None for number in NUMBERS[:200])


def test_no_trouble_takes_a_fact_away() -> None:
    for number in NUMBERS[:1500]:
        fate, card_id = fate_of(7, number, MONDAY), card()
        told = messages(fate, card_id)
        right = {m.kind for m in told if m.reference == card_id}
        assert right == {fact.kind for fact in fate.facts}


def test_out_of_order_posted_is_told_before_produced_with_the_right_times() -> None:
    fate, _ = with_trouble(Trouble.OUT_OF_ORDER)
    told = messages(fate, card())
    assert [m.kind for m in told][:2] == [PartnerCardPosted, PartnerCardProduced]
    assert told[1].happened < told[0].happened < told[1].due


def extra_of(trouble: Trouble) -> tuple[Message, Message]:
    """The right message and the one that is too many."""
    fate, _ = with_trouble(trouble)
    told = messages(fate, card())
    assert len(told) == len(fate.facts) + 1
    (wrong,) = [m for m in told if m.trouble is not None]
    (right,) = [m for m in told if m.kind is wrong.kind and m is not wrong]
    assert told.index(right) < told.index(wrong)
    return right, wrong


def test_sent_twice_is_the_same_event_to_the_letter() -> None:
    right, wrong = extra_of(Trouble.SENT_TWICE)
    assert (wrong.event_id, wrong.reference, wrong.happened) == (
        right.event_id,
        right.reference,
        right.happened,
    )


def test_told_twice_is_the_same_fact_under_another_id() -> None:
    right, wrong = extra_of(Trouble.TOLD_TWICE)
    assert wrong.event_id != right.event_id
    assert (wrong.reference, wrong.happened) == (right.reference, right.happened)


def test_an_unknown_card_is_nobodys() -> None:
    right, wrong = extra_of(Trouble.UNKNOWN_CARD)
    assert wrong.event_id != right.event_id
    assert wrong.reference == wrong.key != right.reference


def test_another_body_has_the_id_and_the_key_of_the_right_one() -> None:
    right, wrong = extra_of(Trouble.OTHER_BODY)
    assert (wrong.event_id, wrong.key) == (right.event_id, right.key)
    assert wrong.reference != right.reference


def test_a_partner_plans_an_order_once_however_often_it_is_read() -> None:
    factory, core = Played(FACTORY, 7, {}), Played(CORE, 7, {})
    number = next(number for number in NUMBERS if is_activated(7, number))
    order = order_of(card(), number)
    for _ in range(2):
        factory.hear(order)
        core.hear(order)
    fate = fate_of(7, number, MONDAY, {})
    stated = statements(7, number, MONDAY, fate, card(), Money(minor=1_000_000))
    assert (factory.planned, core.planned) == (3, 2 + len(stated))
    facts = fate.facts
    assert factory.next_due(MONDAY) == facts[0].at
    assert factory.due(facts[0].at) == 1
    assert factory.next_due(facts[0].at) == facts[1].at
    assert core.due(facts[2].at) == 0
    assert core.next_due(max(facts[4].at, *(one.due for one in stated))) is None


def test_only_an_answer_to_this_very_record_shows_that_it_was_told() -> None:
    fate, number = with_trouble(Trouble.SENT_TWICE)
    card_id = card()
    told = messages(fate, card_id)
    again = next(m for m in told if m.trouble)
    first = next(m for m in told if m.event_id == again.event_id and not m.turn)
    partner = Played(again.partner, 7, {Trouble.SENT_TWICE: 1000})
    partner.hear(order_of(card_id, number))
    assert not partner.is_answered(first)
    partner.hear(accepted(first.event_id))
    assert partner.is_answered(first)
    assert not partner.is_answered(again)
    partner.hear(accepted(first.event_id))
    assert partner.is_answered(again)


def test_another_body_counts_as_told_once_it_was_refused_for_that() -> None:
    fate, _ = with_trouble(Trouble.OTHER_BODY)
    wrong = next(m for m in messages(fate, card()) if m.trouble)
    partner = Played(wrong.partner, 7)
    partner.hear(accepted(wrong.event_id))
    partner.hear(accepted(wrong.event_id))
    assert not partner.is_answered(wrong)
    partner.hear(refused(wrong.event_id, "SAME_ID_OTHER_BODY"))
    assert partner.is_answered(wrong)
    receipts = partner.receipts()
    assert receipts["accepted"] == 1
    assert receipts["rejected"] == {"SAME_ID_OTHER_BODY": 1}
    assert receipts["answers"] == 3
