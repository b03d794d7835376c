"""The officers of review: who may be given which case, who is away, who has how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal, get_args

from shared.web import Permission
from shared.web.directory import StaffMember
from shared.web.permissions import Reach


@dataclass(frozen=True, slots=True)
class Away:
    """Business days on which somebody is not there, both included. deputy: the staff id of who may
    take over their cases on these days."""

    first: date
    last: date
    deputy: str | None = None


@dataclass(frozen=True, slots=True)
class Officer:
    """A member of staff who claims cases. products: which they take, None for every one."""

    member: StaffMember
    away: Away | None = None
    products: frozenset[str] | None = None

    @property
    def staff_id(self) -> str:
        return self.member.staff_id

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def reach(self) -> Reach:
        """Of which branches they may claim cases."""
        return self.member.reach_of(Permission.REVIEW_CLAIM)

    def may_claim(self, branch: str) -> bool:
        """Whether they may claim cases of that branch at all."""
        return self.member.active and self.reach.covers(branch)

    def is_risk_officer(self, branch: str) -> bool:
        """Whether they may sign whatever the amount there."""
        return self.member.reach_of(Permission.REVIEW_SIGN).covers(branch)

    def away_on(self, day: date) -> bool:
        """Whether they are away on that business day."""
        return self.away is not None and self.away.first <= day <= self.away.last

    def away_within(self, first: date, last: date) -> bool:
        """Whether they are away on any of these business days."""
        return self.away is not None and self.away.first <= last and first <= self.away.last

    def stood_in_for_by(self, staff_id: str, day: date) -> bool:
        """Whether that other officer may take over their cases on that business day."""
        return self.away is not None and self.away_on(day) and self.away.deputy == staff_id

    def takes(self, product: str) -> bool:
        """Whether they take cases of that product."""
        return self.products is None or product in self.products

    def can_take(self, branch: str, product: str, day: date) -> bool:
        """Whether they can be given such a case on that day."""
        return self.may_claim(branch) and self.takes(product) and not self.away_on(day)


Kind = Literal["case", "appeal", "dispute", "limit_change"]
KINDS: Final[Sequence[Kind]] = get_args(Kind)
Due = Literal["open", "today", "overdue"]


@dataclass(frozen=True, slots=True)
class Work:
    """Something that an officer has, or nobody yet: a case, or what waits beside one, of each kind
    one at a time."""

    kind: Kind
    application_id: str

    @classmethod
    def read(cls, text: str) -> Work:
        """From a page's form, as it is written there: a case by its id alone."""
        kind, _sep, application_id = text.rpartition(":")
        return cls(next((one for one in KINDS if one == kind), "case"), application_id)


@dataclass(frozen=True, slots=True)
class Count:
    """How many of one kind somebody has; each is due once at most."""

    open: int = 0
    today: int = 0  # due by the end of this business day
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """How much somebody has, by kind; cases laid aside are open too."""

    by_kind: Mapping[Kind, Count] = field(default_factory=dict)
    snoozed: int = 0

    def of(self, kind: Kind) -> Count:
        """How many of that kind."""
        return self.by_kind.get(kind, Count())

    def numbers(self, what: Due) -> dict[Kind, int]:
        """How many of each kind are open, due today or overdue."""
        return {kind: getattr(self.of(kind), what) for kind in KINDS}

    @property
    def open(self) -> int:
        return sum(self.numbers("open").values())

    @property
    def today(self) -> int:
        return sum(self.numbers("today").values())

    @property
    def overdue(self) -> int:
        return sum(self.numbers("overdue").values())


@dataclass(frozen=True, slots=True)
class Beside:
    """A line of what waits beside the cases. claimed_by: who has it; None: nobody yet, so that it
    is the reviewers' of the branch. deciders: who took part in the decision that it is
    about, and answers it never."""

    work: Work
    number: str
    branch: str
    product: str
    due: datetime
    claimed_by: str | None
    deciders: tuple[str, ...] = ()
