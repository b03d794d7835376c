"""What becomes of every card of the demo after its order, and what its partners get wrong.

Pure: a card's fate follows from the seed, the application's number and the time of the order, and
never from an id that is made anew in every run. So two runs of the demo tell the same story, and a
partner that was restarted knows its whole schedule from the orders alone.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from shared.calendar import BUSINESS_ZONE, add_working_days, business_day
from shared.events.partners import (
    PartnerCardActivated,
    PartnerCardDelivered,
    PartnerCardEvent,
    PartnerCardFirstUsed,
    PartnerCardPosted,
    PartnerCardProduced,
)

FACTORY, CORE = "card-factory", "core-banking"

PRODUCED_WORKING_DAYS = (1, 2)  # after the order
DELIVERED_DAYS = (2, 5)  # after posting; posted on the working day after it was made
ACTIVATED_DAYS = (1, 20)  # after delivery
FIRST_USED_DAYS = (0, 10)  # after activation
NEVER_ACTIVATED_PER_THOUSAND = 30
# The term of a card that lies unused is 60 days, three more pass for late facts, and the working
# days of 2027 are not known yet: who gets the card later activates it.
LAST_TO_LIE = date(2026, 10, 26)

# The factory reports its day's work in two lists, the post rings thrice a day. People activate in
# the morning or at noon and pay later, so that a card is never used before it is activated.
_PRODUCED_AT, _POSTED_AT = time(16), time(17)
_DELIVERED_AT = (time(10), time(12), time(15))
_ACTIVATED_AT = (time(9), time(12, 30))
_FIRST_USED_AT = (time(13, 30), time(19))
_LATE = timedelta(hours=1)  # what should have been said before is said after so long

_IDS = uuid.UUID("6d1b1c8a-58a5-5f0e-9d43-3c1f9a1f2f60")  # name space of event ids; any would do


class Trouble(StrEnum):
    """What a partner gets wrong about a card."""

    OUT_OF_ORDER = "out-of-order"  # posted is told before produced
    SENT_TWICE = "sent-twice"  # the same event again
    TOLD_TWICE = "told-twice"  # the same fact again, under a new event id
    UNKNOWN_CARD = "unknown-card"  # a fact about a card that nobody ordered
    OTHER_BODY = "other-body"  # the event id of a fact again, with another body


TROUBLES: Mapping[Trouble, int] = {
    Trouble.OUT_OF_ORDER: 16,
    Trouble.SENT_TWICE: 14,
    Trouble.TOLD_TWICE: 14,
    Trouble.UNKNOWN_CARD: 12,
    Trouble.OTHER_BODY: 12,
}
"""How many cards of a thousand meet it; none meets two."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happens to a card, and who tells of it."""

    partner: str
    kind: type[PartnerCardEvent]
    at: datetime


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a card, in order; a card that is never activated ends with its delivery.

    `stricken`: index of the fact that the trouble is about.
    """

    facts: tuple[Fact, ...]
    trouble: Trouble | None = None
    stricken: int = 0

    @property
    def activated(self) -> bool:
        return len(self.facts) > 3


@dataclass(frozen=True, slots=True)
class Message:
    """One record that a partner writes. `turn` 1 is the second record under one event id; `due` is
    when it is written, `happened` what it tells, `key` the record's key, `body` what it says
    besides its reference."""

    partner: str
    event_id: str
    turn: int
    kind: type[PartnerCardEvent]
    reference: str
    key: str
    happened: datetime
    due: datetime
    trouble: Trouble | None = None
    body: Mapping[str, Any] = field(default_factory=dict, hash=False)


class Chance:
    """Figures that look like chance and are always the same for a seed and a name."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = f"{seed}|{name}"

    def between(self, what: str, lowest: int, highest: int) -> int:
        """A whole number from `lowest` to `highest`, both included."""
        digest = hashlib.sha256(f"{self._seed}|{what}".encode()).digest()
        return lowest + int.from_bytes(digest[:8], "big") % (highest - lowest + 1)

    def one_of(self, what: str, moments: tuple[time, ...]) -> time:
        return moments[self.between(what, 0, len(moments) - 1)]


def is_activated(seed: int, application_number: str) -> bool:
    """Whether the customer will activate the card; about 3 % never do."""
    drawn = Chance(seed, application_number).between("never", 0, 999)
    return drawn >= NEVER_ACTIVATED_PER_THOUSAND


def fate_of(
    seed: int,
    application_number: str,
    ordered: datetime,
    troubles: Mapping[Trouble, int] = TROUBLES,
) -> Fate:
    """What becomes of the card of an application that was ordered then. `troubles`: how many of a
    thousand cards meet each."""
    chance = Chance(seed, application_number)
    made = add_working_days(business_day(ordered), chance.between("made", *PRODUCED_WORKING_DAYS))
    posted = add_working_days(made, 1)
    arrived = posted + _days(chance, "delivered", DELIVERED_DAYS)
    facts = [
        Fact(FACTORY, PartnerCardProduced, moment(made, _PRODUCED_AT)),
        Fact(FACTORY, PartnerCardPosted, moment(posted, _POSTED_AT)),
        Fact(FACTORY, PartnerCardDelivered, moment(arrived, chance.one_of("rings", _DELIVERED_AT))),
    ]
    if is_activated(seed, application_number) or arrived > LAST_TO_LIE:
        woken = arrived + _days(chance, "activated", ACTIVATED_DAYS)
        used = woken + _days(chance, "used", FIRST_USED_DAYS)
        facts += [
            Fact(CORE, PartnerCardActivated, moment(woken, chance.one_of("calls", _ACTIVATED_AT))),
            Fact(CORE, PartnerCardFirstUsed, moment(used, chance.one_of("pays", _FIRST_USED_AT))),
        ]
    drawn = chance.between("trouble", 0, 999)
    for trouble, share in troubles.items():
        if drawn < share:
            stricken = chance.between("stricken", 0, len(facts) - 1)
            return Fate(tuple(facts), trouble, 0 if trouble is Trouble.OUT_OF_ORDER else stricken)
        drawn -= share
    return Fate(tuple(facts))


def messages(fate: Fate, card_id: str) -> tuple[Message, ...]:
    """Everything that both partners write about a card, in the order in which they write it."""
    written: list[Message] = []
    for index, fact in enumerate(fate.facts):
        message = Message(
            partner=fact.partner,
            event_id=event_id(card_id, fact.kind.type),
            turn=0,
            kind=fact.kind,
            reference=card_id,
            key=card_id,
            happened=fact.at,
            due=fact.at,
        )
        if fate.trouble is None or index != fate.stricken:
            written.append(message)
        else:
            written += _with_trouble(fate, message, card_id)
    # a stable sort: what is due at one moment keeps the order above
    return tuple(sorted(written, key=lambda one: one.due))


def _with_trouble(fate: Fate, right: Message, card_id: str) -> tuple[Message, ...]:
    """What is written in place of a message that should have been right."""
    trouble, late = fate.trouble, right.due + _LATE
    if trouble is Trouble.OUT_OF_ORDER:
        return (replace(right, trouble=trouble, due=fate.facts[1].at + _LATE),)
    if trouble is Trouble.SENT_TWICE:
        return right, replace(right, trouble=trouble, turn=1, due=late)
    other_id = event_id(card_id, f"{right.kind.type}|again")
    if trouble is Trouble.TOLD_TWICE:
        return right, replace(right, trouble=trouble, event_id=other_id, due=late)
    nobody = str(uuid.uuid5(_IDS, f"{card_id}|nobody's"))
    if trouble is Trouble.UNKNOWN_CARD:
        lost = replace(right, trouble=trouble, event_id=other_id, reference=nobody, key=nobody)
        return right, lost
    # under the key of the first, so that it comes after it
    return right, replace(right, trouble=trouble, turn=1, reference=nobody, due=late)


def event_id(card_id: str, what: str) -> str:
    """The id of an event of a partner: of the same thing the same one."""
    return str(uuid.uuid5(_IDS, f"{card_id}|{what}"))


def _days(chance: Chance, what: str, span: tuple[int, int]) -> timedelta:
    return timedelta(days=chance.between(what, *span))


def moment(day: date, clock: time) -> datetime:
    """A time of the bank's day."""
    return datetime.combine(day, clock, BUSINESS_ZONE).astimezone(UTC)
