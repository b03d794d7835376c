"""What core banking states in the demo: true, the same for a seed, and never above the bound."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.fates import fate_of
from deploy.demo.statements import MONTHS, statements
from services.intake.account_facts import faults
from shared.calendar import business_day
from shared.events.partners import PartnerHoldingReported, PartnerPerformanceReported
from shared.money import Money
from shared.parameters import load_accounts
from tests.unit.demo.test_partners import MONDAY, NUMBERS, numbers, orders, seeds

LIMIT = Money(minor=1_000_000)


@given(seeds, numbers, orders, st.uuids(version=4))
def test_what_is_stated_can_be_true_on_the_day_on_which_it_is(
    seed: int, number: str, ordered: datetime, card_id: UUID
) -> None:
    fate = fate_of(seed, number, ordered)
    told = statements(seed, number, ordered, fate, str(card_id), LIMIT)
    assert told == statements(seed, number, ordered, fate, str(card_id), LIMIT)
    assert len({one.event_id for one in told}) == len(told)
    for one in told:
        statement = one.kind.model_validate({"reference": one.reference, **one.body})
        assert isinstance(statement, PartnerPerformanceReported | PartnerHoldingReported)
        assert list(faults(statement, business_day(one.due))) == []


def test_some_pay_late_some_statements_are_put_right_and_the_share_keeps_within_the_bound() -> None:
    months, late, corrected, issued, dormant = set(), 0, 0, 0, 0
    for number in NUMBERS[:1000]:
        for one in statements(7, number, MONDAY, fate_of(7, number, MONDAY), number, LIMIT):
            if one.kind is PartnerPerformanceReported:
                months.add(one.body["month"])
                late += one.body["days_past_due"] > 0
                corrected += one.body.get("revision", 1) > 1
            else:
                marks = [card["dormant"] for card in one.body["cards"]]
                assert sum(marks) <= load_accounts().dormancy.bound * len(marks)
                issued, dormant = issued + len(marks), dormant + sum(marks)
    assert months == set(MONTHS)
    assert 0 < corrected < late < 100
    assert 0.1 < dormant / issued <= load_accounts().dormancy.bound


def test_who_got_a_card_in_the_second_month_has_no_first_one() -> None:
    ordered = MONDAY + timedelta(days=30)
    (number, *_) = NUMBERS
    told = statements(7, number, ordered, fate_of(7, number, ordered), number, LIMIT)
    months = {one.body["month"] for one in told if one.kind is PartnerPerformanceReported}
    assert months == {MONTHS[1]}
