"""What core banking states about accounts: what cannot be, what counts, what contradicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.intake.account_facts import (
    Statement,
    contradicts,
    faults,
    stated,
    supersedes,
)
from shared.calendar import last_day_of
from shared.events.partners import PartnerHoldingReported, PartnerPerformanceReported

TODAY = date(2026, 12, 3)


def performance(**changes: Any) -> PartnerPerformanceReported:
    return PartnerPerformanceReported.model_validate({
        "reference": "CARD-1",
        "month": "2026-11",
        "opened_on": "2026-10-15",
        "days_past_due": 0,
        "balance": "zero",
        "last_customer_transaction": "2026-11-28",
        **changes,
    })  # fmt: skip


def holding(*cards: dict[str, Any], **changes: Any) -> PartnerHoldingReported:
    return PartnerHoldingReported.model_validate({
        "reference": "CARD-1",
        "as_of": "2026-11-30",
        "cards": [{"card": "CARD-1", "dormant": False}, *cards],
        **changes,
    })  # fmt: skip


def test_a_month_ends_with_its_last_day_of() -> None:
    assert last_day_of("2026-02") == date(2026, 2, 28)
    assert last_day_of("2026-12") == date(2026, 12, 31)


def test_what_can_be_true_has_no_fault() -> None:
    assert list(faults(performance(), TODAY)) == []
    assert list(faults(performance(last_customer_transaction=None), TODAY)) == []
    assert list(faults(holding(as_of="2026-12-03"), TODAY)) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (performance(month="2026-12"), ("MONTH_NOT_OVER", ("month",))),
        (
            performance(opened_on="2026-12-01", last_customer_transaction=None),
            ("DAYS_CONTRADICT", ("opened_on",)),
        ),
        (performance(closed_on="2026-12-01"), ("DAYS_CONTRADICT", ("closed_on",))),
        (
            performance(last_customer_transaction="2026-10-14"),
            ("DAYS_CONTRADICT", ("last_customer_transaction",)),
        ),
        (holding(as_of="2026-12-04"), ("DAY_IN_FUTURE", ("as_of",))),
        (
            holding({"card": "6222000000000000", "dormant": False}),
            ("CARD_NUMBER", ("cards", 1, "card")),
        ),
        (holding({"card": "CARD-1", "dormant": True}), ("CARD_TWICE", ("cards", 1, "card"))),
        (
            holding({"card": "CARD-2", "limit": {"minor": -1}, "dormant": True}),
            ("greater_than_equal", ("cards", 1, "limit", "minor")),
        ),
    ],
)
def test_what_cannot_be_true_is_said_with_its_place(statement: Statement, fault: Any) -> None:
    assert list(faults(statement, TODAY)) == [fault]


def test_a_first_statement_counts_and_a_repetition_does_not() -> None:
    first = stated(performance())
    assert supersedes(first, None)
    assert not supersedes(first, first)
    assert not contradicts(first, first)


def test_the_same_revision_with_another_content_contradicts() -> None:
    assert contradicts(stated(performance(days_past_due=31)), stated(performance()))


def test_a_higher_revision_corrects_and_a_lower_one_comes_too_late() -> None:
    first, second = stated(performance()), stated(performance(revision=2, days_past_due=31))
    assert supersedes(second, first)
    assert not contradicts(second, first)
    assert not supersedes(first, second)
    assert not contradicts(first, second)


def test_of_holdings_the_latest_day_counts_whatever_its_revision() -> None:
    october = stated(holding(as_of="2026-10-31", revision=7))
    november = stated(holding())
    assert supersedes(november, october)
    assert not supersedes(october, november)
    assert not contradicts(replace(october, digest=b""), november)
