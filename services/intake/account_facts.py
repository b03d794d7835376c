"""What core banking states about cards' accounts: how one stood in a month, what its holder holds.

Statements travel: late, twice, out of order, corrected. Of a month the highest revision counts, of
holdings the latest day. Pure; nothing of it moves an application.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.intake.application import Application
from shared.calendar import last_day_of
from shared.events import intake
from shared.events.partners import PartnerHoldingReported, PartnerPerformanceReported

Statement = PartnerPerformanceReported | PartnerHoldingReported

HOLDING = "holding"  # the period of every holding: only the latest is remembered
_CARD_NUMBER = re.compile(r"\d{12,19}")

Problem = tuple[str, tuple[str | int, ...]]
"""A code of `answers`, and where in the event."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement as the gate knows it again."""

    period: str
    as_of: date
    revision: int
    digest: bytes


def stated(statement: Statement) -> Stated:
    """What is to be remembered of a statement."""
    body = statement.model_dump_json(exclude={"reference"}).encode()
    digest = hashlib.sha256(body).digest()
    if isinstance(statement, PartnerHoldingReported):
        return Stated(HOLDING, statement.as_of, statement.revision, digest)
    return Stated(statement.month, last_day_of(statement.month), statement.revision, digest)


def faults(statement: Statement, today: date) -> Iterator[Problem]:
    """What cannot be true, or may not be said, whatever was stated before."""
    if isinstance(statement, PartnerPerformanceReported):
        yield from _faults_of_performance(statement, today)
    else:
        yield from _faults_of_holding(statement, today)


def _faults_of_performance(statement: PartnerPerformanceReported, today: date) -> Iterator[Problem]:
    ends = last_day_of(statement.month)
    if ends >= today:
        yield "MONTH_NOT_OVER", ("month",)
    if statement.opened_on > ends:
        yield "DAYS_CONTRADICT", ("opened_on",)
    for name in ("closed_on", "last_customer_transaction"):
        day = getattr(statement, name)
        if day is not None and not statement.opened_on <= day <= ends:
            yield "DAYS_CONTRADICT", (name,)


def _faults_of_holding(statement: PartnerHoldingReported, today: date) -> Iterator[Problem]:
    if statement.as_of > today:
        yield "DAY_IN_FUTURE", ("as_of",)
    seen: set[str] = set()
    for place, one in enumerate(statement.cards):
        if _CARD_NUMBER.fullmatch(one.card):
            yield "CARD_NUMBER", ("cards", place, "card")
        if one.card in seen:
            yield "CARD_TWICE", ("cards", place, "card")
        seen.add(one.card)
        if one.limit is not None and one.limit.minor < 0:
            yield "greater_than_equal", ("cards", place, "limit", "minor")


def contradicts(new: Stated, known: Stated | None) -> bool:
    """Whether the same was stated otherwise without saying that it is a correction."""
    return (
        known is not None
        and (new.as_of, new.revision) == (known.as_of, known.revision)
        and new.digest != known.digest
    )


def supersedes(new: Stated, known: Stated | None) -> bool:
    """Whether something follows from it: it is the first, or later than what is known."""
    return known is None or (new.as_of, new.revision) > (known.as_of, known.revision)


def published(
    app: Application, statement: Statement, ours: Mapping[str, str]
) -> intake.AccountPerformanceReported | intake.AccountHoldingReported:
    """What the office is told; `ours`: {card id: application id} of the cards in a holding that it
    ordered."""
    about: dict[str, Any] = {
        **app.fields(),
        "card_id": statement.reference,
        "person": app.holder.person,
    }
    if isinstance(statement, PartnerPerformanceReported):
        told = statement.model_dump(exclude={"reference"})
        return intake.AccountPerformanceReported(**about, **told)
    cards = [
        intake.HeldCard(
            card=one.card,
            application_id=ours.get(one.card),
            limit=one.limit,
            dormant=one.dormant,
            policy_card=one.policy_card,
        )
        for one in statement.cards
    ]
    return intake.AccountHoldingReported(
        **about, as_of=statement.as_of, revision=statement.revision, cards=cards
    )
