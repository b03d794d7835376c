"""The limit: what the bank may grant after other banks' limits, and what it recommends.

2022 notice, deduction of other banks' limits:
`approvable = max(0, total_cap - sum of other banks' limits - own existing limits)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from shared.money import Money, Rounding
from shared.web.i18n import mark

LIMIT_ROUNDING = Rounding.DOWN  # never grant a fraction of a step more than the rule allows
INCOME_ROUNDING = Rounding.DOWN  # income times multiple, to the fen
EARNED: Final = mark("Income times the policy's multiple")  # of a working in which income counted


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """The product's bounds for one card. `step`: limits are whole multiples of it.

    `customer_cap` bounds all cards of a person at all banks together.
    """

    smallest: Money
    largest: Money
    step: Money
    customer_cap: Money

    def as_json(self) -> dict[str, int]:
        """Whole fen by name, for the frozen inputs."""
        return {
            "smallest": self.smallest.minor,
            "largest": self.largest.minor,
            "step": self.step.minor,
            "customer_cap": self.customer_cap.minor,
        }

    @classmethod
    def from_json(cls, frozen: Mapping[str, int]) -> LimitTerms:
        return _terms(*(frozen[name] for name in _TERM_NAMES))


_TERM_NAMES = ("smallest", "largest", "step", "customer_cap")


@lru_cache(maxsize=256)  # a bank has few products, and a replay thaws a million inputs
def _terms(smallest: int, largest: int, step: int, customer_cap: int) -> LimitTerms:
    return LimitTerms(*(Money(minor=one) for one in (smallest, largest, step, customer_cap)))


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the working, in order: what was taken, and what stands after it."""

    words: str  # a message id
    amount: Money
    sign: str = ""  # "", "-", "=" or "≤" as it is written before the amount

    def as_json(self) -> dict[str, Any]:
        return {"words": self.words, "amount": self.amount.minor, "sign": self.sign}


@dataclass(frozen=True, slots=True)
class LimitWorking:
    """How a limit came about. `ceiling` is the most that may be granted; `recommended` respects
    the customer's wish as well; both are zero where less than the smallest limit is left."""

    approvable: Money
    ceiling: Money
    recommended: Money
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "approvable": self.approvable.minor,
            "ceiling": self.ceiling.minor,
            "recommended": self.recommended.minor,
            "steps": [step.as_json() for step in self.steps],
        }


def approvable(total_cap: Money, other_bank_limits: Money, own_existing: Money) -> Money:
    """What may still be granted to a person: never below zero (2022 notice, deduction)."""
    left = total_cap - other_bank_limits - own_existing
    return max(Money.zero(), left)


def cash_limit(limit: Money, share: Decimal, step: Money) -> Money:
    """What of a limit may be drawn in cash: the product's share of it, rounded down to the step of
    limits; never more than the limit itself (2022 notice)."""
    return min(limit, limit.times(share, LIMIT_ROUNDING).to_step(step, LIMIT_ROUNDING))


def work_out(
    terms: LimitTerms,
    *,
    monthly_income: Money | None,
    income_multiple: Decimal,
    cap_without_income: Money,
    income_counts: bool = True,
    other_bank_limits: Money,
    own_existing: Money,
    requested: Money | None,
) -> LimitWorking:
    """The limit line by line.

    total_cap = the smaller of the customer's cap and income x multiple (or the cap that the
    strategy gives where no income is known, or where an income does not count). Rounded down to the
    product's step at the end.
    """
    steps: list[Step] = []
    if not income_counts:
        earned = cap_without_income
        steps.append(Step(mark("Cap whatever the income"), earned))
    elif monthly_income is not None:
        earned = monthly_income.times(income_multiple, INCOME_ROUNDING)
        steps.append(Step(mark("Monthly income"), monthly_income))
        steps.append(Step(EARNED, earned, "="))
    else:
        earned = cap_without_income
        steps.append(Step(mark("Cap where no income is stated"), earned))
    steps.append(Step(mark("Cap for all of a customer's cards"), terms.customer_cap, "≤"))
    total_cap = min(earned, terms.customer_cap)
    steps.append(Step(mark("Total cap"), total_cap, "="))
    steps.append(Step(mark("Limits at other banks"), other_bank_limits, "-"))
    steps.append(Step(mark("Own existing limits"), own_existing, "-"))
    left = approvable(total_cap, other_bank_limits, own_existing)
    steps.append(Step(mark("Approvable, at least zero"), left, "="))
    steps.append(Step(mark("The product's largest limit"), terms.largest, "≤"))
    ceiling = grantable(min(left, terms.largest), terms)
    recommended = ceiling
    if requested is not None:
        steps.append(Step(mark("The customer's wish"), requested, "≤"))
        wish = max(requested, terms.smallest)
        recommended = grantable(min(ceiling, wish), terms)
    steps.append(Step(mark("Recommended, rounded down to the product's step"), recommended, "="))
    return LimitWorking(left, ceiling, recommended, tuple(steps))


def grantable(amount: Money, terms: LimitTerms) -> Money:
    """What may be granted of an amount: whole steps, or nothing below the smallest limit."""
    whole = amount.to_step(terms.step, LIMIT_ROUNDING)
    return whole if whole >= terms.smallest else Money.zero()
