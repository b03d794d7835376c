"""The officers of review: who may be given which case, who is away, who has how many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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


@dataclass(frozen=True, slots=True)
class Load:
    """How many cases somebody has; those laid aside are open too, each is due once at most."""

    open: int = 0
    today: int = 0  # due by the end of this business day
    overdue: int = 0
    snoozed: int = 0
