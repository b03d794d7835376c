"""Money is whole fen; nothing is rounded unless a rule names how."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.money import Money, Rounding

FEN = st.integers(-(10**15), 10**15)


def test_it_is_written_as_fen_with_currency() -> None:
    assert Money.of("12345.00").model_dump() == {"minor": 1234500, "currency": "CNY"}
    assert Money.model_validate_json('{"minor": 5, "currency": "CNY"}') == Money(minor=5)


@given(FEN)
def test_yuan_and_fen_are_the_same_amount(fen: int) -> None:
    assert Money.of(Money(minor=fen).yuan) == Money(minor=fen)


@given(FEN, FEN)
def test_adding_and_subtracting_lose_nothing(one: int, other: int) -> None:
    a, b = Money(minor=one), Money(minor=other)
    assert (a + b) - b == a
    assert a - a == Money.zero()
    assert (a < b) == (one < other)


@pytest.mark.parametrize("wrong", [1.0, True, 0.1])
def test_floats_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        Money.of(wrong)
    with pytest.raises(TypeError):
        Money(minor=100).times(wrong, Rounding.HALF_UP)
    with pytest.raises(ValidationError):
        Money(minor=wrong)


def test_part_of_a_fen_needs_a_named_rounding() -> None:
    with pytest.raises(ValueError, match="name a rounding"):
        Money.of("0.005")
    assert Money.of("0.005", Rounding.HALF_UP) == Money(minor=1)
    assert Money.of("0.005", Rounding.HALF_EVEN) == Money(minor=0)
    assert Money.of("-0.005", Rounding.FLOOR) == Money(minor=-1)
    assert Money.of("-0.005", Rounding.DOWN) == Money(minor=0)
    assert Money.of("0.001", Rounding.CEILING) == Money(minor=1)
    with pytest.raises(ValueError, match="not an amount"):
        Money.of("NaN")


def test_interest_on_the_full_balance() -> None:
    """全额计息: 2,000 for 23 days, then 1,800 for 13 days at 0.05 % a day."""
    daily = Decimal("0.0005")
    interest = Money.of(2000).times(daily * 23, Rounding.HALF_UP) + Money.of(1800).times(
        daily * 13, Rounding.HALF_UP
    )
    assert interest == Money.of("34.70")


def test_a_limit_is_brought_down_to_whole_hundreds() -> None:
    step = Money.of(100)
    assert Money.of("12399.99").to_step(step, Rounding.DOWN) == Money.of(12300)
    with pytest.raises(ValueError, match="positive"):
        Money.of(1).to_step(Money.zero(), Rounding.DOWN)


def test_people_read_it_with_sign_and_separators() -> None:
    assert str(Money(minor=-1234567)) == "-¥12,345.67"
