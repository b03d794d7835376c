"""What core banking of the demo states about accounts, a month at a time.

Pure, like `fates`: what a card's account did follows from the seed and the application's number.
Nobody's statements make the share of dormant cards exceed the bound: of five cards one lies dormant
at most, so that a demo of any size goes on issuing.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Final

from deploy.demo.fates import CORE, Chance, Fate, Message, event_id, moment
from shared.calendar import business_day, last_day_of
from shared.events.partners import (
    PartnerCardEvent,
    PartnerCardFirstUsed,
    PartnerHoldingReported,
    PartnerPerformanceReported,
)
from shared.money import Money

# Later ones would lead the clock beyond the end of a demo.
MONTHS: Final = ("2026-10", "2026-11")
_STATED_AT = time(8)  # on the second day of the next month
_OLDER_CARDS = 4  # of who had any before
_OLDER_LIMIT = 200_000  # fen
_LATE_PER_THOUSAND = 25  # 31 days past due in the last month
_CORRECTED_PER_THOUSAND = 25  # stated as late by mistake, put right on the next day


def statements(
    seed: int, application_number: str, ordered: datetime, fate: Fate, card_id: str, limit: Money
) -> tuple[Message, ...]:
    """Everything that core banking states about a card's account and its holder, in the order in
    which it does."""
    chance = Chance(seed, application_number)
    opened = business_day(ordered)
    used = [business_day(fact.at) for fact in fate.facts if fact.kind is PartnerCardFirstUsed]
    written: list[Message] = []
    for month in MONTHS:
        ends = last_day_of(month)
        if opened > ends:
            continue
        known = [day for day in used if day <= ends]
        body: dict[str, Any] = {
            "month": month,
            "opened_on": opened,
            "days_past_due": 0,
            "balance": "from_1k" if known else "zero",
            "last_customer_transaction": known[0] if known else None,
        }
        drawn = chance.between("late", 0, 999) if known and month == MONTHS[-1] else 1000
        if drawn < _LATE_PER_THOUSAND + _CORRECTED_PER_THOUSAND:
            body["days_past_due"] = 31
        said = _due(ends)
        written.append(_message(card_id, PartnerPerformanceReported, body, month, said))
        if _LATE_PER_THOUSAND <= drawn < _LATE_PER_THOUSAND + _CORRECTED_PER_THOUSAND:
            right = {**body, "days_past_due": 0, "revision": 2}
            later = said + timedelta(days=1)
            written.append(
                _message(card_id, PartnerPerformanceReported, right, f"{month}|2", later)
            )
    if written:
        last = last_day_of(MONTHS[-1])
        cards = [{"card": card_id, "limit": limit, "dormant": False}]
        if chance.between("older", 0, 1):
            cards += [
                {
                    "card": f"core-{application_number}-{nth}",
                    "limit": Money(minor=_OLDER_LIMIT),
                    "dormant": nth == 1,
                }
                for nth in range(1, _OLDER_CARDS + 1)
            ]
        body = {"as_of": last, "cards": cards}
        written.append(_message(card_id, PartnerHoldingReported, body, "holding", _due(last)))
    return tuple(written)


def _due(ends: date) -> datetime:
    return moment(ends + timedelta(days=2), _STATED_AT)


def _message(
    card_id: str, kind: type[PartnerCardEvent], body: dict[str, Any], what: str, due: datetime
) -> Message:
    return Message(
        partner=CORE,
        event_id=event_id(card_id, f"{kind.type}|{what}"),
        turn=0,
        kind=kind,
        reference=card_id,
        key=card_id,
        happened=due,
        due=due,
        body=body,
    )
