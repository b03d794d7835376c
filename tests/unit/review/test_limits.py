"""The deduction of other banks' limits, line by line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.review.limits import LimitTerms, LimitWorking, approvable, work_out
from shared.money import Money

TERMS = LimitTerms(Money.of(3000), Money.of(50_000), Money.of(100), Money.of(200_000))


def worked(**changes: Any) -> LimitWorking:
    wanted: dict[str, Any] = {
        "monthly_income": Money.of(8000),
        "income_multiple": Decimal(6),
        "cap_without_income": Money.of(10_000),
        "other_bank_limits": Money.zero(),
        "own_existing": Money.zero(),
        "requested": None,
    }
    return work_out(TERMS, **(wanted | changes))


@pytest.mark.parametrize(
    ("cap", "others", "own", "left"),
    [
        (48_000, 0, 0, 48_000),
        (48_000, 20_000, 0, 28_000),
        (48_000, 20_000, 8_000, 20_000),
        (48_000, 48_000, 0, 0),
        (48_000, 40_000, 8_001, 0),
        (0, 1, 0, 0),
    ],
)
def test_deduction_of_other_banks_limits(cap: int, others: int, own: int, left: int) -> None:
    assert approvable(Money.of(cap), Money.of(others), Money.of(own)) == Money.of(left)


def test_working_shows_every_line_that_leads_to_the_limit() -> None:
    found = worked(other_bank_limits=Money.of(20_050), own_existing=Money.of(5_000))
    assert [(step.sign, step.amount.yuan) for step in found.steps] == [
        ("", Decimal("8000.00")),
        ("=", Decimal("48000.00")),
        ("≤", Decimal("200000.00")),
        ("=", Decimal("48000.00")),
        ("-", Decimal("20050.00")),
        ("-", Decimal("5000.00")),
        ("=", Decimal("22950.00")),
        ("≤", Decimal("50000.00")),
        ("=", Decimal("22900.00")),
    ]
    assert found.ceiling == found.recommended == Money.of(22_900)


def test_limit_is_rounded_down_to_the_step_never_up() -> None:
    assert worked(other_bank_limits=Money.of("20000.01")).recommended == Money.of(27_900)


def test_customers_cap_bounds_a_high_income() -> None:
    found = worked(monthly_income=Money.of(1_000_000), other_bank_limits=Money.of(190_000))
    assert found.approvable == Money.of(10_000)


def test_product_bounds_what_the_income_would_allow() -> None:
    assert worked(monthly_income=Money.of(20_000)).ceiling == Money.of(50_000)


def test_less_than_the_smallest_limit_is_none_at_all() -> None:
    assert worked(other_bank_limits=Money.of(45_000)).ceiling == Money.of(3_000)
    assert worked(other_bank_limits=Money.of("45000.01")).ceiling == Money.zero()


def test_without_income_the_strategys_cap_counts() -> None:
    assert worked(monthly_income=None).recommended == Money.of(10_000)


@pytest.mark.parametrize("income", [None, Money.of(800), Money.of(80_000)])
def test_an_income_that_does_not_count_changes_nothing(income: Money | None) -> None:
    found = worked(monthly_income=income, income_counts=False)
    assert found.recommended == Money.of(10_000)
    assert found.steps[0].words == "Cap whatever the income"


def test_the_customers_wish_lowers_the_recommendation_but_not_the_ceiling() -> None:
    found = worked(requested=Money.of(12_345))
    assert (found.recommended, found.ceiling) == (Money.of(12_300), Money.of(48_000))


def test_a_wish_below_the_smallest_limit_is_granted_the_smallest() -> None:
    assert worked(requested=Money.of(500)).recommended == Money.of(3_000)


_MONEY = st.integers(0, 100_000_000).map(lambda minor: Money(minor=minor))


@given(income=st.none() | _MONEY, others=_MONEY, own=_MONEY, wish=st.none() | _MONEY)
def test_no_limit_ever_breaks_a_bound(
    income: Money | None, others: Money, own: Money, wish: Money | None
) -> None:
    found = worked(
        monthly_income=income, other_bank_limits=others, own_existing=own, requested=wish
    )
    assert found.recommended <= found.ceiling <= found.approvable
    assert found.ceiling <= TERMS.largest
    for amount in (found.ceiling, found.recommended):
        assert amount == Money.zero() or amount >= TERMS.smallest
        assert amount.minor % TERMS.step.minor == 0
    if found.ceiling:
        assert others + own + found.ceiling <= TERMS.customer_cap
