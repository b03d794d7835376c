"""Facts about accounts: what core banking stated, how many cards lie dormant, who fell into arrears
early. Pure.

2022 joint notice: a card is dormant after more than 18 months without a transaction of the
customer's, with neither debt nor credit on it; where dormant cards are more than a fifth of those
issued the bank issues no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from shared.calendar import last_day_of
from shared.events import intake
from shared.events.payload import BalanceBand, Payload
from shared.messaging import Effect, Received
from shared.money import Money
from shared.parameters import Dormancy, EarlyArrears

OVER_BOUND: Final = "DORMANCY_OVER_BOUND"
UNREPORTED: Final = "DORMANCY_UNREPORTED"

Standing = Literal["unreported", "fine", "near", "over"]
Arrears = Literal["yes", "no", "not yet", "unknown"]


@dataclass(frozen=True, slots=True)
class AccountMonth:
    """How the account of an application's card stood at the end of a month. `known_at`: when review
    heard of it."""

    card: str
    application_id: str
    person: str
    month: str
    revision: int
    opened_on: date
    closed_on: date | None
    days_past_due: int
    balance: BalanceBand
    last_transaction: date | None
    policy_card: bool
    known_at: datetime

    @property
    def as_of(self) -> date:
        return last_day_of(self.month)

    @property
    def idle_since(self) -> date | None:
        """Since when the customer has not used the card; None while anything stands on it."""
        if self.balance is not BalanceBand.ZERO:
            return None
        return self.last_transaction or self.opened_on


_MOST_OWED: Mapping[BalanceBand, Money | None] = {
    BalanceBand.OVERPAID: Money.zero(),
    BalanceBand.ZERO: Money.zero(),
    BalanceBand.UNDER_1K: Money.of(1_000),
    BalanceBand.FROM_1K: Money.of(10_000),
    BalanceBand.FROM_10K: Money.of(50_000),
    BalanceBand.FROM_50K: None,
}


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The latest that core banking stated about the account of one application's card."""

    as_of: date
    opened_on: date
    closed_on: date | None
    days_past_due: int
    balance: BalanceBand

    @property
    def most_owed(self) -> Money | None:
        """The upper end of the balance's band; None for the highest, which has none."""
        return _MOST_OWED[self.balance]


@dataclass(frozen=True, slots=True)
class Holding:
    """All cards of the bank that a person holds at the end of a day."""

    person: str
    as_of: date
    revision: int
    application_id: str
    cards: tuple[intake.HeldCard, ...]


@dataclass(slots=True)
class Accounts:
    """What was newly stated under one application; nothing of it needs what was stated before."""

    application_id: str
    months: list[AccountMonth] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)


def on_performance(
    event: Received[intake.AccountPerformanceReported], accounts: Accounts, now: datetime
) -> Iterable[Effect]:
    """Core banking stated how an account stood in a month."""
    data = event.data
    accounts.months.append(
        AccountMonth(
            card=data.card_id,
            application_id=data.application_id,
            person=data.person,
            month=data.month,
            revision=data.revision,
            opened_on=data.opened_on,
            closed_on=data.closed_on,
            days_past_due=data.days_past_due,
            balance=data.balance,
            last_transaction=data.last_customer_transaction,
            policy_card=data.policy_card,
            known_at=now,
        )
    )
    return ()


def on_holding(
    event: Received[intake.AccountHoldingReported],
    accounts: Accounts,
    now: datetime,  # noqa: ARG001 - every handler is given it
) -> Iterable[Effect]:
    """Core banking stated which cards somebody holds."""
    data = event.data
    accounts.holdings.append(
        Holding(data.person, data.as_of, data.revision, data.application_id, tuple(data.cards))
    )
    return ()


HANDLERS: Mapping[type[Payload], Any] = {
    intake.AccountPerformanceReported: on_performance,
    intake.AccountHoldingReported: on_holding,
}


# --- dormancy ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DormancyFigure:
    """How many of the cards that core banking told of lie dormant, on a business day. `as_of`: the
    day that the facts of all of them reach, but of so many as may be silent; None where there are
    none."""

    day: date
    at: datetime
    issued: int
    dormant: int
    as_of: date | None

    @property
    def share(self) -> Decimal | None:
        """Dormant of issued; None where nothing is issued."""
        return Decimal(self.dormant) / self.issued if self.issued else None

    def is_over(self, bound: Decimal) -> bool:
        """Whether the share lies above a bound."""
        return self.dormant > bound * self.issued


def reached_by(facts: Mapping[date, int], terms: Dormancy) -> date | None:
    """The day that the facts of all cards reach, but of the share that may be silent; None where
    there are none. `facts`: {day of a card's latest facts: how many cards}."""
    silent = terms.silent_share * sum(facts.values())
    behind = 0
    for day in sorted(facts):
        behind += facts[day]
        if behind > silent:
            return day
    return None


def standing_of(figure: DormancyFigure | None, terms: Dormancy, today: date) -> Standing:
    """How the figure stands to the bank's bound. Facts that are too old by today, however long ago
    they were counted, tell nothing that would let cards be issued; what they said against that
    stands until others come."""
    if figure is None or figure.as_of is None or not figure.issued:
        return "unreported"
    if figure.is_over(terms.bound):
        return "over"
    if (today - figure.as_of).days > terms.stale_days:
        return "unreported"
    reached = any(figure.dormant >= alert * figure.issued for alert in terms.alerts)
    return "near" if reached else "fine"


def stop_of(figure: DormancyFigure | None, terms: Dormancy, today: date) -> str | None:
    """Why the bank issues no card now, as the code of an obstacle; None: it does. Where the figure
    is not known a parameter says which."""
    match standing_of(figure, terms, today):
        case "over":
            return OVER_BOUND
        case "unreported" if terms.unreported_stops:
            return UNREPORTED
        case _:
            return None


# --- arrears -----------------------------------------------------------------------------------


def early_arrears(
    months: Mapping[str, int], opened_on: date | None, terms: EarlyArrears
) -> Arrears:
    """Whether an account fell into arrears within its first months.

    `months`: {month: days past due}. "no" only where every one of the first months was reported,
    "not yet" where some are still to come; "unknown" where nothing was reported.
    """
    if opened_on is None:
        return "unknown"
    first = [_month_after(opened_on, nth) for nth in range(terms.months)]
    known = [months[month] for month in first if month in months]
    if any(days >= terms.days_past_due for days in known):
        return "yes"
    if not known:
        return "unknown"
    return "no" if len(known) == len(first) else "not yet"


def _month_after(day: date, months: int) -> str:
    count = day.year * 12 + day.month - 1 + months
    return f"{count // 12:04d}-{count % 12 + 1:02d}"
