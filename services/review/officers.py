"""Who may be given a case: the officers of review, and what they can take."""

from __future__ import annotations

from dataclasses import dataclass

from shared.web import Permission
from shared.web.directory import StaffMember
from shared.web.permissions import Reach


@dataclass(frozen=True, slots=True)
class Officer:
    """A member of staff who claims cases."""

    member: StaffMember

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
